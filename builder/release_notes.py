"""Print what a release says of itself: the changelog's section of the version in `generation/__init__.py`.

`--version` prints the version alone. Ends with 1 and one sentence where there is nothing to release: the changelog has
no such section or an empty one, the TypeScript client has another version, or git has the tag already. Leaves out:
making the tag and the release, which the workflow `release.yml` does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def notes_of(changelog: str, version: str) -> str:
    """Return the text below the heading of the version; empty where there is none."""
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    own = [section for section in sections if re.match(rf"\[?{re.escape(version)}\]?(\s|$)", section)]
    return own[0].partition("\n")[2].strip() if own else ""


def main() -> None:
    """Print the notes, or the version."""
    source = (REPOSITORY / "generation" / "__init__.py").read_text(encoding="utf-8")
    version = re.findall(r'^__version__ = "([^"]+)"', source, re.MULTILINE)[0]
    client = json.loads((REPOSITORY / "clients" / "typescript" / "package.json").read_text(encoding="utf-8"))["version"]
    if client != version:
        sys.exit(f"generation/__init__.py has version {version}, clients/typescript/package.json {client}: set both")
    notes = notes_of((REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not notes:
        sys.exit(f"CHANGELOG.md has nothing below a heading ## {version}: move the Unreleased section there")
    tagged = subprocess.run(
        ["git", "tag", "--list", f"v{version}"],  # noqa: S607 - git as the caller's shell finds it
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if tagged:
        sys.exit(f"v{version} is released already: set a new version in generation/__init__.py")
    print(version if "--version" in sys.argv[1:] else notes)


if __name__ == "__main__":
    main()
