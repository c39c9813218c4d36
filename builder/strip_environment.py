"""Remove from a virtual environment what only an installation or a developer needs: a step of the image build.

    python builder/strip_environment.py VENV

It removes pip, the packages' own tests, type stubs and C headers: a worker runs without them. What is imported stays,
with its compiled code, which makes the start faster.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALLERS = ("pip", "setuptools", "wheel")
# Packages whose `tests` folders are no part of what they do. Others may import theirs.
TESTED = ("numpy",)
UNUSED_ENDINGS = (".pyi", ".pxd", ".h", ".a")


def unused(environment: Path) -> Iterator[Path]:
    """Yield the files and folders that are to go."""
    yield from sorted(path for name in INSTALLERS for path in (environment / "bin").glob(f"{name}*"))
    for packages in sorted(environment.glob("lib/python3.*/site-packages")):
        for name in INSTALLERS:
            yield from sorted([*packages.glob(name), *packages.glob(f"{name}-*.dist-info")])
        for name in TESTED:
            yield from sorted((packages / name).rglob("tests"))
        yield from sorted(path for path in packages.rglob("*") if path.suffix in UNUSED_ENDINGS and path.is_file())


def main() -> None:
    """Strip the environment that is given; exit with 2 where it is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, metavar="VENV")
    environment = parser.parse_args().environment
    if not (environment / "pyvenv.cfg").is_file():
        print(f"{environment} is no virtual environment", file=sys.stderr)
        sys.exit(2)
    for path in list(unused(environment)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
