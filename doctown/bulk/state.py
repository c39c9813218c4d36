"""The state of a run over repositories, in the store, so that any start of it goes on where the last one ended.

bulk/{run}/repositories.json          `Manifest`: what the run is of; whether each repository has ended
bulk/{run}/repositories/{number}.json `State` of a repository: missing until its job is sent
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from doctown.bulk.inputs import ListedRepository
from doctown.jobs.output import RepositoryOutput
from generation import Storage, StorageError

Via = Literal["runpod", "local"]


@dataclass(frozen=True)
class Manifest:
    """A run as requested; `digest` is of its repositories and options. `is_over` once each repository has ended."""

    run: str
    digest: str
    is_over: bool = False


@dataclass(frozen=True)
class State:
    """What came of a repository: `sent` while its job is under way, on RunPod under `runpod_id`.

    `spent_usd` is what its jobs have cost in this run; of that, `over_usd` is of jobs that are over: the next job does
    not know of it, while it counts itself what an unfinished one has kept.
    """

    status: Literal["sent", "success", "partial", "failed", "unchanged"]
    runpod_id: str | None = None
    failure: str | None = None
    message: str | None = None
    spent_usd: float = 0.0
    over_usd: float = 0.0
    output: RepositoryOutput | None = field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether this run does nothing more about it."""
        return self.status != "sent"


_manifests = TypeAdapter(Manifest)
_states = TypeAdapter(State)


def digest_of(repositories: Sequence[ListedRepository], options: Mapping[str, Any]) -> str:
    """Return what identifies the work of a run."""
    what = [[dict(one.repository) for one in repositories], dict(options)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def manifest_key(run: str) -> str:
    """Return the key of a run's manifest."""
    return f"bulk/{run}/repositories.json"


def _state_key(run: str, number: int) -> str:
    return f"bulk/{run}/repositories/{number:06}.json"


async def load_manifest(storage: Storage, run: str) -> Manifest | None:
    """Return a run's manifest, None where there is none. Raise StorageError."""
    stored = await storage.read(manifest_key(run))
    return None if stored is None else _parsed(_manifests, stored.body, manifest_key(run))


async def save_manifest(storage: Storage, manifest: Manifest) -> None:
    """Replace a run's manifest."""
    await storage.write(manifest_key(manifest.run), _manifests.dump_json(manifest))


async def load_state(storage: Storage, run: str, number: int) -> State | None:
    """Return a repository's state, None where its job was not sent yet. Raise StorageError."""
    key = _state_key(run, number)
    stored = await storage.read(key)
    return None if stored is None else _parsed(_states, stored.body, key)


async def save_state(storage: Storage, run: str, number: int, state: State) -> None:
    """Replace a repository's state."""
    await storage.write(_state_key(run, number), _states.dump_json(state))


async def forget_states(storage: Storage, run: str) -> None:
    """Delete the states of all repositories of a run."""
    await storage.delete(await storage.list_keys(f"bulk/{run}/repositories/"))


def _parsed(adapter: TypeAdapter[Any], body: bytes, key: str) -> Any:  # noqa: ANN401 - what the adapter is of
    try:
        return adapter.validate_json(body)
    except ValidationError:
        raise StorageError(f"{key} is no state of this version: use another --run") from None
