"""Report how large the contents of each layer of the image are, without building it: the sum of installed files.

    python builder/image_size.py VENV

VENV is the environment of the image, made by the image's own scripts (`make image-size`). The sizes of the base image
and of Debian's packages are not measured: they are the figures below. Exits with 1 where the sum is MAX_MB or more.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
MAX_MB = 700
# python:3.12-slim, unpacked: Debian's minimal system and Python.
BASE_MB = 130.0
# ca-certificates, git and openssh-client with what they depend on, as Debian's Installed-Size says (Debian 12).
PACKAGES_MB = 115.0
BYTES_PER_MB = 1_000_000
# What .dockerignore leaves out of the packages: what Python compiles here, and the sources of the viewer of packs.
LEFT_OUT = {"__pycache__", "viewer"}


def size_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links count for nothing, caches of Python for all."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())


def code_bytes(folder: Path) -> int:
    """Return the bytes of a package's files that are copied."""
    files = (one for one in folder.rglob("*") if LEFT_OUT.isdisjoint(one.relative_to(folder).parts))
    return sum(one.stat().st_size for one in files if one.is_file())


def layers(environment: Path, repository: Path = REPOSITORY) -> dict[str, float]:
    """Return the size of each layer in megabytes, in the order of the Dockerfile."""
    code = sum(code_bytes(repository / name) for name in ("generation", "doctown"))
    return {
        "base image (not measured)": BASE_MB,
        "Debian packages (not measured)": PACKAGES_MB,
        "Python packages": size_bytes(environment) / BYTES_PER_MB,
        "vocabulary": size_bytes(repository / "vocabulary") / BYTES_PER_MB,
        "embedding model": size_bytes(repository / "models") / BYTES_PER_MB,
        "code": (code + sum(size_bytes(repository / name) for name in ("start.py", "handler.py"))) / BYTES_PER_MB,
    }


def main() -> None:
    """Print the table; exit with 1 where the image is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, metavar="VENV")
    found = layers(parser.parse_args().environment)
    for name, megabytes in found.items():
        print(f"{name:32}{megabytes:8.1f} MB")
    total = sum(found.values())
    print(f"{'together':32}{total:8.1f} MB, of {MAX_MB} at most")
    sys.exit(total >= MAX_MB)


if __name__ == "__main__":
    main()
