"""The script that fetches the embedding model, against a hub on the loopback.

Left out: the packages, which need a registry; the image build and `make` fetch from them.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
FETCH = REPOSITORY / "builder" / "fetch_embedding_model.py"
CONTENT = b"what the hub has as a model"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(model_folder: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a hub with the real tokenizer and something as a model."""
    served = tmp_path / "hub"
    (served / "onnx").mkdir(parents=True)
    (served / "onnx" / "model.onnx").write_bytes(CONTENT)
    (served / "tokenizer.json").write_bytes((model_folder / "tokenizer.json").read_bytes())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, str(FETCH), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_model_that_is_right_is_left_alone(model_folder: Path, tmp_path: Path) -> None:
    """Nothing is said, and the files are the same ones."""
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes((model_folder / name).read_bytes())
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}

    ended = fetch(str(tmp_path))

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


def test_a_hubs_model_is_taken_and_its_sha256_said(hub: str, tmp_path: Path) -> None:
    ended = fetch("--hub", f"{hub}/", str(tmp_path / "models"))

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "models" / "model.onnx").read_bytes() == CONTENT
    assert ended.stdout.endswith(f"model.onnx (SHA-256 {hashlib.sha256(CONTENT).hexdigest()}, not checked)\n")


def test_a_wrong_file_is_replaced_by_the_one_that_is_pinned(hub: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another")

    ended = fetch("--hub", hub, "--sha256", hashlib.sha256(CONTENT).hexdigest(), str(tmp_path))

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_hubs_model_with_another_sha256_is_refused_in_a_line(hub: str, tmp_path: Path) -> None:
    ended = fetch("--hub", hub, "--sha256", "0" * 64, str(tmp_path / "models"))

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"its SHA-256 is {hashlib.sha256(CONTENT).hexdigest()} and must be {'0' * 64}" in line
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tokenizer.json"]


@pytest.mark.parametrize(
    ("address", "why"),
    [("{hub}/nothing", "HTTP Error 404"), ("file:///etc", "must begin with https://")],
    ids=["no such page", "not http"],
)
def test_a_hub_that_has_nothing_is_named_in_a_line(hub: str, address: str, why: str, tmp_path: Path) -> None:
    ended = fetch("--hub", address.format(hub=hub), str(tmp_path / "models"))

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert why in line
    assert line.endswith("or build without: --embeddings words.")
    assert not (tmp_path / "models").exists()
