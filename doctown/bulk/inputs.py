"""Read lists of repositories: a URL a line (`repos.txt`), or a JSON object a line (`ORG.jsonl`).

    https://github.com/owner/one
    https://github.com/owner/two@v1.2        # a branch, a tag or a commit
    {"url": "https://github.com/owner/three", "ref": "main", "subdir": "packages/core"}

A line that is wrong is a repository that fails with a sentence: it touches no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doctown.errors import ConfigError
from doctown.jobs import RepositoryJob, find_repository_faults
from doctown.jobs.keys import repository_folder

MAX_LIST_BYTES = 100_000_000


@dataclass(frozen=True)
class ListedRepository:
    """A line of a list: `place` says where; `repository` is a job's, `fault` what is wrong with the line."""

    place: str
    repository: Mapping[str, Any]
    fault: str | None = None

    @property
    def name(self) -> str:
        """What it is called in messages; a line that is wrong by its place, as its URL may have a password."""
        if self.fault is not None:
            return self.place
        return str(self.repository.get("url") or self.place).removeprefix("https://").removesuffix(".git")

    def job_input(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input of its job."""
        return {"repository": dict(self.repository), "options": dict(options)}


def read_lists(paths: Sequence[Path], options: Mapping[str, Any]) -> list[ListedRepository]:
    """Return the repositories of all lists, each once. Raise ConfigError where a list cannot be read or is empty.

    `options` are those of every job.
    """
    found: list[ListedRepository] = []
    places: dict[str, str] = {}
    for listed in (one for path in paths for one in _lines(path)):
        job, faults = find_repository_faults(listed.job_input(options), "job")
        if listed.fault is None and job is None:
            found.append(replace(listed, fault="; ".join(faults)))
            continue
        folder = _folder(job)
        if folder is not None and folder in places:
            found.append(replace(listed, fault=f"it is listed already, at {places[folder]}: list it once"))
            continue
        if folder is not None:
            places[folder] = listed.place
        found.append(listed)
    if not found:
        raise ConfigError("The list has no repositories: give a URL a line")
    return found


def _folder(job: RepositoryJob | None) -> str | None:
    return None if job is None or job.git is None else repository_folder(job.git.url, job.subdir)


def _lines(path: Path) -> Iterator[ListedRepository]:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ConfigError(f"The list {str(path)!a} has more than {MAX_LIST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"The list {str(path)!a} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The list {str(path)!a} is not UTF-8") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield _listed(stripped, f"{path.name}:{number}")


def _listed(line: str, place: str) -> ListedRepository:
    if not line.startswith("{"):
        return ListedRepository(place, {"url": line.partition(" #")[0].strip()})
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ListedRepository(place, {}, "the line is not JSON: give a URL, or an object with url, ref and subdir")
    return ListedRepository(place, {name: one for name, one in value.items() if one is not None})
