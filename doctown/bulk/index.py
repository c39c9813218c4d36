"""`docpacks/index.json`: the packs of a bucket, for a website and for the next run.

An entry is a repository: its newest pack, what that holds and has cost, and whether the repository has moved on since.
It is written conditionally, entry by entry merged into what is there: runs of other lists may write it too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from doctown.docpack.schema import Counts
from doctown.jobs.keys import INDEX_KEY
from doctown.jobs.output import RepositoryOutput
from generation import RESUMABLE, Storage, StorageError
from generation.domain.output import Count, ResultsPointer, Status, Usd

MAX_CONFLICTS = 10
CONFLICT_PAUSE_S = 1.0  # R2 takes one write a second of a key

Timestamp = Annotated[str, Field(description="UTC, in RFC 3339.")]


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class IndexEntry(TypedDict):
    """A repository. What is missing is not known: it has no pack yet, or was never looked at."""

    url: str
    ref: Annotated[str | None, Field(description="The ref that was asked for; null for the repository's own branch.")]
    subdir: str | None
    status: NotRequired[Annotated[Status, Field(description="Of the job that made the pack.")]]
    commit: NotRequired[Annotated[str | None, Field(description="The commit that the pack documents.")]]
    newest_commit: NotRequired[Annotated[str | None, Field(description="The commit at the ref when last looked at.")]]
    is_stale: Annotated[bool, Field(description="Whether the repository has moved on since the pack, or has none.")]
    docpack: NotRequired[ResultsPointer]
    embeddings: NotRequired[ResultsPointer | None]
    counts: NotRequired[Counts]
    model: NotRequired[str]
    total_cost: NotRequired[Annotated[Usd, Field(description="Of the job that made the pack.")]]
    total_cost_so_far: NotRequired[Annotated[Usd, Field(description="Of all jobs of this repository.")]]
    built_at: NotRequired[Timestamp]
    checked_at: NotRequired[Timestamp]
    options_digest: NotRequired[Annotated[str, Field(description="Of the options of the job.")]]
    failures: NotRequired[Annotated[dict[str, Count], Field(description="Symbols without a summary, by failure code.")]]
    failure: NotRequired[Annotated[str | None, Field(description="Code of why the last job had no pack.")]]
    message: NotRequired[str | None]


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class PackIndex(TypedDict):
    """All packs of a bucket; `packs` are by the folder of the pack."""

    version: Literal[1]
    updated_at: Timestamp
    packs: dict[str, IndexEntry]


_indexes = TypeAdapter(PackIndex)


def now() -> str:
    """Return the time, in UTC, to a second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def read_index(storage: Storage) -> PackIndex:
    """Return the index; an empty one where there is none. Raise StorageError where it is of another version."""
    stored = await storage.read(INDEX_KEY)
    return _parsed(None if stored is None else stored.body)


def _parsed(body: bytes | None) -> PackIndex:
    if body is None:
        return {"version": 1, "updated_at": now(), "packs": {}}
    try:
        return _indexes.validate_json(body)
    except ValidationError:
        raise StorageError(f"{INDEX_KEY} is no index of this version: move it away") from None


async def merge_into_index(storage: Storage, entries: Mapping[str, IndexEntry]) -> None:
    """Put these entries, by the folder of their packs, into the index. Raise StorageError."""
    for _ in range(MAX_CONFLICTS):
        stored = await storage.read(INDEX_KEY)
        index = _parsed(None if stored is None else stored.body)
        packs = dict(sorted({**index["packs"], **entries}.items()))
        merged: PackIndex = {"version": 1, "updated_at": now(), "packs": packs}
        body = json.dumps(merged, ensure_ascii=False, allow_nan=False, indent=1).encode()
        if await storage.put_if_match(INDEX_KEY, body, None if stored is None else stored.version):
            return
        await asyncio.sleep(CONFLICT_PAUSE_S)
    raise StorageError(f"{INDEX_KEY} is changed by others faster than it can be written")


def built_entry(entry: IndexEntry, output: RepositoryOutput, options_digest: str) -> IndexEntry:
    """Return the entry of a repository whose job has stored a pack."""
    commit = output["repository"]["commit"]
    spent_usd = output["total_cost"] - output["paid_before"]["total_cost"]
    return {
        **entry,
        "status": output["status"],
        "commit": commit,
        "newest_commit": commit,
        "is_stale": False,
        "docpack": output["docpack"],
        "embeddings": output["embeddings"],
        "counts": output["counts"],
        "model": output["model"],
        "total_cost": output["total_cost"],
        "total_cost_so_far": round(entry.get("total_cost_so_far", 0.0) + max(0.0, spent_usd), 6),
        "built_at": now(),
        "checked_at": now(),
        "options_digest": options_digest,
        "failures": output["failures"],
        "failure": None,
        "message": None,
    }


def failed_entry(entry: IndexEntry, failure: str, message: str) -> IndexEntry:
    """Return the entry of a repository whose job has failed: the pack that it has stays, and is stale."""
    return {**entry, "is_stale": True, "failure": failure, "message": message, "checked_at": now()}


def looked_at(entry: IndexEntry, newest_commit: str) -> IndexEntry:
    """Return the entry of a repository that was looked at."""
    stale = entry.get("commit") != newest_commit
    return {**entry, "newest_commit": newest_commit, "is_stale": stale, "checked_at": now()}


def is_current(entry: IndexEntry, newest_commit: str, options_digest: str) -> bool:
    """Return whether a new job would change nothing: a pack of this commit and these options, with all it can have.

    Symbols that a model refuses are refused again, and paid again; those that failed for another cause are asked for.
    """
    return (
        entry.get("commit") == newest_commit
        and entry.get("options_digest") == options_digest
        and entry.get("failure") is None
        and not RESUMABLE & entry.get("failures", {}).keys()
    )


def as_entry(repository: Mapping[str, Any]) -> IndexEntry:
    """Return the first entry of a listed repository."""
    entry = {"url": repository["url"], "ref": repository.get("ref"), "subdir": repository.get("subdir")}
    return cast("IndexEntry", {**entry, "is_stale": True})
