"""What a Python that starts at once runs: a program, as `python -u PROGRAM` would run it.

Most of a worker's start is the import of libraries, over a second of the processor for each worker that a test starts.
A server of `multiprocessing` imports this module, and with it those libraries, once; each worker is a fork of it. What
reads the environment at its import (RunPod's SDK) is imported by the worker itself.

Left out: starting, watching and ending the process (`worker_process`).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3
import cpuinfo  # type: ignore[import-untyped]
import httpcore2

from tests.support.loaded_once import load_once

LIBRARIES = (
    "aiohttp",
    "aiohttp_retry",
    "backoff",
    "fastapi",
    "openai",
    "paramiko",
    "requests",
    "tiktoken",
    "tomlkit",
    "truststore",
    "uvicorn",
)
OURS = (
    "doctown.jobs",
    "generation.bulk.__main__",
    "generation.job",
    "generation.model.documenter",
    "generation.service.app",
)

for name in (*LIBRARIES, *OURS):
    importlib.import_module(name)

# RunPod's SDK asks for the processor's name when it is imported, which takes a second.
cpuinfo.get_cpu_info = functools.cache(cpuinfo.get_cpu_info)
cpuinfo.get_cpu_info()
load_once()
httpcore2.default_ssl_context()
boto3.session.Session().client("s3", region_name="auto", aws_access_key_id="none", aws_secret_access_key="none")


def run(args: Sequence[str], environment: Mapping[str, str], cwd: Path, stdout: Path, stderr: Path) -> None:
    """Run `python -u ARGS` in this process: a file, `-m MODULE` or `-c CODE`, with arguments of its own."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # the server's own, which it may have asked for
    sys.stdout, sys.stderr = _opened(stdout, 1), _opened(stderr, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    multiprocessing.set_start_method("fork", force=True)  # the default of a Python on Linux
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    code = _load(main, args)
    exec(code, main.__dict__)  # noqa: S102 - what a Python does with its program


def _opened(path: Path, descriptor: int) -> io.TextIOWrapper:
    with path.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), descriptor)
    return io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), encoding="utf-8", write_through=True)


def _load(main: types.ModuleType, args: Sequence[str]) -> types.CodeType:
    """Return the program's code; set what it finds in `sys` and in its module as the interpreter does."""
    first, *rest = args
    if first == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        return compile(rest[0], "<string>", "exec")
    if first == "-m":
        sys.path[0] = os.getcwd()  # noqa: PTH109 - a text
        return _load_module(main, rest)
    sys.argv, sys.path[0] = list(args), str(Path(first).resolve().parent)
    main.__file__ = first
    return compile(Path(first).read_bytes(), first, "exec")


def _load_module(main: types.ModuleType, args: Sequence[str]) -> types.CodeType:
    name = args[0]
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    assert spec is not None
    assert spec.origin is not None
    main.__spec__, main.__package__, main.__file__ = spec, spec.parent, spec.origin
    sys.argv = [spec.origin, *args[1:]]
    return compile(Path(spec.origin).read_bytes(), spec.origin, "exec")
