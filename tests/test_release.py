"""What the release workflow asks of `builder/release_notes.py`: the version, its notes, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
CHANGELOG = "# Changelog\n\n## Unreleased\n\n- later\n\n## 1.2.0 (2026-12-01)\n\n- this\n- that\n\n## 1.1.0\n\n- old\n"


def tell(folder: Path, *arguments: str, client: str = "1.2.0", changelog: str = CHANGELOG, tag: str = "v1.1.0") -> str:
    """What the script says in a repository of this client's version, changelog and tag, and its exit code."""
    for name, text in {
        "generation/__init__.py": '__version__ = "1.2.0"  # of all\n',
        "clients/typescript/package.json": f'{{"version": "{client}"}}',
        "CHANGELOG.md": changelog,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    script = folder / "builder" / "release_notes.py"
    script.parent.mkdir()
    shutil.copy(REPOSITORY / "builder" / "release_notes.py", script)
    # Git's own variables, as a hook of git sets them, would have it look at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    as_someone = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "--quiet"], [*as_someone, "commit", "--quiet", "--allow-empty", "-m", "a"], ["tag", tag]):
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True)
    told = subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return f"{told.returncode} {told.stdout}{told.stderr}".strip()


def test_the_notes_are_the_versions_section(tmp_path: Path) -> None:
    assert tell(tmp_path) == "0 - this\n- that"


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert tell(tmp_path, "--version") == "0 1.2.0"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"client": "1.1.0"}, "clients/typescript/package.json 1.1.0: set both"),
        ({"changelog": CHANGELOG.replace("1.2.0", "1.2.0rc1")}, "CHANGELOG.md has nothing below a heading ## 1.2.0"),
        ({"tag": "v1.2.0"}, "v1.2.0 is released already"),
    ],
    ids=["another version of the client", "no section", "released"],
)
def test_what_cannot_be_released_is_refused(tmp_path: Path, given: dict[str, str], words: str) -> None:
    """The workflow's first step ends with 1 and a sentence, before anything is built or published."""
    said = tell(tmp_path, "--version", **given)

    assert said.startswith("1 ")
    assert words in said


def test_nothing_is_published_before_it_is_checked() -> None:
    """The release's jobs run one after the other: the version, all checks of a commit, then image, tag and release."""
    jobs = yaml.safe_load((REPOSITORY / ".github/workflows/release.yml").read_text())["jobs"]
    published = "\n".join(step.get("run", "") for step in jobs["publish"]["steps"])

    assert jobs["check"] == {"needs": "version", "uses": "./.github/workflows/ci.yml"}
    assert jobs["publish"]["needs"] == ["version", "check"]
    assert published.index("docker run") < published.index("docker push") < published.index("gh release create")
    checks = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]["check"]["steps"]
    assert checks[-1] == {"run": ".ci/run"}
