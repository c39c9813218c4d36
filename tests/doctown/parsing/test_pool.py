"""Parsing in worker processes: what one file does to its process costs only that file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from doctown.errors import DoctownError
from doctown.parsing import pool
from doctown.parsing.extract import extract
from doctown.parsing.pool import Limits, Parsed, SourceFile, parse_files

BAD = "tests.doctown.parsing.bad_extractors:extract"
GOOD_TEXT = b"def f():\n    return g()\n"


def parsed(names: Sequence[str], text: bytes = GOOD_TEXT, **options: object) -> dict[str, Parsed]:
    found: list[Parsed] = []
    files = (SourceFile(name, "python", text) for name in names)
    parse_files(files, found.append, **options)  # type: ignore[arg-type]
    assert len(found) == len(names)
    return {one.path: one for one in found}


def assert_no_child() -> None:
    """No child of this process is left, running or not waited for, but for the servers of multiprocessing itself."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    servers = (b"multiprocessing.forkserver", b"multiprocessing.resource_tracker")
    assert [child for child, command in commands.items() if not any(server in command for server in servers)] == []


def open_descriptors() -> list[str]:
    return sorted(os.listdir("/dev/fd"))  # noqa: PTH208 - names, not paths


def test_records_are_those_of_the_extractor() -> None:
    found = parsed(["a/b.py", "c.py"])
    assert found["a/b.py"].record == extract("python", "a/b.py", GOOD_TEXT)
    assert found["c.py"].record == extract("python", "c.py", GOOD_TEXT)


def test_no_file_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert parsed([]) == {}


def test_a_few_files_are_parsed_by_one_process_and_many_bytes_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    popen = subprocess.Popen

    def counted(*arguments: object, **options: object) -> object:
        started.append(arguments)
        return popen(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", counted)
    parsed(["a.py", "b.py", "c.py"], processes=3)
    assert len(started) == 1
    monkeypatch.setattr(pool, "MAX_BATCH_FILES", 1)
    parsed(["a.py", "b.py", "c.py", "d.py"], processes=3)
    assert len(started) == 1 + 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash.py", "the parser crashed"),
        ("hang.py", "over 0.5 s"),
        ("killed.py", "the parser was killed from outside"),
        ("abort.py", "the parser crashed"),
        ("memory.py", "over the memory limit"),
        ("fault.py", "the extractor failed (LookupError)"),
    ],
)
def test_a_bad_file_costs_only_itself(name: str, reason: str) -> None:
    """Files before and after it in its batch are parsed, and so are two more of its kind."""
    names = ["a.py", name, "b.py", f"{name[:-3]}2.py", f"{name[:-3]}3.py", "c.py"]
    found = parsed(names, extractor=BAD, processes=2, limits=Limits(file_s=0.5))
    assert {path: one.reason for path, one in found.items()} == {
        path: reason if path.startswith(name[:-3]) else None for path in names
    }
    assert_no_child()


def test_no_message_shows_source_code() -> None:
    found = parsed(["fault.py"], text=b"SECRET = 1", extractor=BAD)
    assert "SECRET" not in str(found)


def test_a_missing_grammar_ends_the_run_in_one_sentence() -> None:
    with pytest.raises(DoctownError, match="not installed as it should be: No module named 'tree_sitter_klingon'"):
        parsed(["a.py", "missing.py"], extractor=BAD)
    assert_no_child()


def test_workers_that_cannot_start_end_the_run_in_one_sentence() -> None:
    with pytest.raises(DoctownError, match="do not start: ModuleNotFoundError: No module named"):
        parsed(["a.py"], extractor="tests.no_such:extract")
    assert_no_child()


def test_an_error_of_the_caller_leaves_no_process_and_no_open_file() -> None:
    before = open_descriptors()

    def fail(_: Parsed) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        parse_files((SourceFile(f"{n}.py", "python", GOOD_TEXT) for n in range(9)), fail)
    assert_no_child()
    assert open_descriptors() == before


def test_workers_get_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TOKEN", "do-not-pass-on")
    found = parsed(["a.py"], extractor="tests.doctown.parsing.bad_extractors:environment")
    record = found["a.py"].record
    assert record is not None
    assert record.docstring is not None
    assert "PYTHONHASHSEED" in record.docstring
    assert "GIT_TOKEN" not in record.docstring


def first_name_in(folder: Path) -> str:
    while not (names := [file.name for file in folder.iterdir()]):
        time.sleep(0.01)
    return names[0]


def wait_for_end(process: int) -> None:
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(sent: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C ends a parse with its workers; a worker whose parent was killed ends by its own timer."""
    program = (
        # Who runs the tests in the background may have them ignore it.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from doctown.parsing.pool import *\n"
        f"files = [SourceFile('wait.py', 'python', {str(tmp_path).encode()!r})]\n"
        "parse_files(files, print, extractor='tests.doctown.parsing.bad_extractors:write_pid_and_wait',\n"
        f"    limits=Limits(file_s={60 if sent == signal.SIGINT else 0.5}))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL, start_new_session=True)
    worker = int(first_name_in(tmp_path))
    # To the whole group, as a terminal does: the worker must leave it to its parent.
    (os.killpg if sent == signal.SIGINT else os.kill)(parent.pid, sent)
    assert parent.wait() == -sent
    wait_for_end(worker)


def test_a_megabyte_on_one_line_is_parsed() -> None:
    text = b"x = [f(), " + b"'0123456789', " * 70_000 + b"g()]\n"
    record = parsed(["long.py"], text=text)["long.py"].record
    assert record is not None
    assert [call.callee for call in record.calls] == [("name", "f"), ("name", "g")]
    assert record.lines == 1


def test_a_hundred_thousand_brackets_are_parsed() -> None:
    record = parsed(["deep.py"], text=b"x = " + b"[" * 100_000 + b"]" * 100_000 + b"\nf()\n")["deep.py"].record
    assert record is not None
    assert [call.callee for call in record.calls] == [("name", "f")]


def test_real_memory_limits_hold() -> None:
    """The parser's own allocations count: a limit below what a tree takes skips the file, and says so.

    In a process of its own: a worker's peak is only seen where it is above that of the process that started it.
    """
    program = (
        "from doctown.parsing.pool import *\n"
        "files = [SourceFile('large.py', 'python', b'f(1, 2)\\n' * 120_000)]\n"
        "parse_files(files, lambda parsed: print(parsed.reason), limits=Limits(memory_bytes=150 * 1024**2))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "over the memory limit\n"


def test_the_number_of_processes_is_that_of_usable_cores() -> None:
    assert 1 <= pool.available_cores() <= (os.cpu_count() or 1)
