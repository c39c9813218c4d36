"""A pack in the browser: the command as a process, asked over sockets."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doctown.docpack import write_pack
from doctown.site import write
from doctown.site.serve import folder_server
from tests.doctown.docpack import packs
from tests.doctown.site.test_write import shard_in
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import RunningProcess, running_worker


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "small.docpack"
    write_pack(packs.small_pack(), path)
    return path


@contextmanager
def viewed(pack: Path, *more: str, **environment: str) -> Iterator[tuple[RunningProcess, int]]:
    """The command, which has told its address, and its port; temporary folders are made beside the pack."""
    temporary = pack.parent / "temporary"
    temporary.mkdir()
    command = ("-m", "doctown", "view", str(pack), *more)
    with running_worker({"TMPDIR": str(temporary), **environment}, args=command) as running:
        told = running.wait_for_output("(until Ctrl-C)", LIMIT_S)
        yield running, int(told.partition("http://127.0.0.1:")[2].partition("/")[0])


def got(port: int, path: str, host: str | None = None, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_viewed_pack_is_served_to_this_machine_only(written: Path) -> None:
    """The site is there with its headers and no folder's list; another host's name and other methods are refused."""
    with viewed(written, "--no-open") as (running, port):
        response, page = got(port, "/")
        assert (response.status, page) == (200, (write.ASSETS_FOLDER / "index.html").read_bytes())
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        own = re.search(rb'http-equiv="Content-Security-Policy" content="(.*?)"', page)
        assert own is not None
        assert response.headers["Content-Security-Policy"] == f"{own[1].decode()}; frame-ancestors 'none'"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        response, script = got(port, "/data/overview.js", f"localhost:{port}")
        assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert shard_in(script)[0] == "overview"
        assert got(port, "/", f"rebound.example:{port}")[0].status == 421
        assert got(port, "/data/overview.js", "[")[0].status == 421
        assert got(port, "/data/")[0].status == 404
        assert got(port, "/../small.docpack")[0].status == 404
        assert got(port, "/", method="POST")[0].status == 501
        running.terminate()
        assert running.wait(LIMIT_S) == 0
    assert list((written.parent / "temporary").iterdir()) == [], "the site is gone"
    assert running.stderr() == ""


def test_a_visitor_who_leaves_is_no_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Who closes the connection in the middle of a file, as a reload does, leaves no traceback on the terminal."""
    with (tmp_path / "large.js").open("wb") as file:
        file.truncate(64 << 20)  # more than a socket holds
    with folder_server(tmp_path, 0) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        before = set(threading.enumerate())
        with socket.create_connection(("127.0.0.1", server.server_port), LIMIT_S) as visitor:
            visitor.sendall(b"GET /large.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert visitor.recv(1) == b"H"
            [answering] = set(threading.enumerate()) - before
        answering.join(LIMIT_S)
        assert not answering.is_alive()
        server.shutdown()
        serving.join(LIMIT_S)
    assert capfd.readouterr().err == ""


def test_a_viewed_pack_is_opened_in_the_browser_until_ctrl_c(written: Path, tmp_path: Path) -> None:
    """The browser that is set is given the address; Ctrl-C ends the command, and that is no fault."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part; mv {tmp_path}/opened.part {tmp_path}/opened\n')
    browser.chmod(0o700)
    with viewed(written, BROWSER=str(browser)) as (running, port):
        wait_until((tmp_path / "opened").exists, "the browser")
        assert (tmp_path / "opened").read_text() == f"http://127.0.0.1:{port}/\n"
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(LIMIT_S) == 0
