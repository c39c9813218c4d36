"""What a run is and how far each of its sources is: all the state that a run has, kept in the store.

    bulk/{run}/manifest.json          `Run`: its engine, its options and its sources; written before anything else
    bulk/{run}/sources/{number}.json  a source's state: its `Division` into shards, and in its place the `Summary` of
                                      its merged results when nothing is left to do; nothing before it is divided
    bulk/{run}/shards/...             the contexts of shards, see `contexts_key`

A source is divided once: a run that starts again finds the same shards under the same job ids. The truth about a shard
is its results document, `results/{job_id}.json`. Leaves out what an engine remembers of its own (`runpod_engine`: what
was submitted), and how sources are read, divided and merged (`inputs`, `partition`, `merge`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Discriminator, TypeAdapter, ValidationError

from generation.domain.usage import Counts
from generation.errors import InputError, StorageError
from generation.storage.base import Storage
from generation.storage.keys import manifest_key, state_key

Engine = Literal["runpod", "batch", "local"]

# A job id is at most 128 characters, and two numbers follow the run's name in it.
RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
# Folders beside the results where these are in a folder.
_TAKEN_NAMES = frozenset({"bulk", "checkpoints", "results"})


@dataclass(frozen=True, slots=True)
class Source:
    """A file or an object that holds symbols: one source, one document of results.

    `place` is a path where `is_local`, else a key of the store. `previous_key` names the results that its unchanged
    symbols are taken over from.
    """

    number: int
    name: str
    place: str
    is_local: bool
    previous_key: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was asked for. `options` are those of a job; `max_cost_usd` is for all of the run."""

    name: str
    engine: Engine
    sources: tuple[Source, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    shard_size: int = 500
    in_flight: int = 50
    max_cost_usd: float | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Symbols of a source that are documented together, as one job.

    `positions` are their places in the source and `ids` their symbol ids, both in the order of the shard's contexts.
    """

    job_id: str
    positions: tuple[int, ...]
    ids: tuple[str, ...]
    expected_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a source: its merged results in figures. `failures` counts failed symbols by their code."""

    symbols: int
    documented: int
    taken_over: int
    failures: Mapping[str, int]
    total_tokens: int
    total_cost: float
    fault: str | None = None
    kind: Literal["merged"] = "merged"

    @property
    def counts(self) -> Counts:
        """Return the same as counts."""
        return Counts(self.documented, self.symbols - self.documented, self.total_tokens, self.total_cost)


@dataclass(frozen=True, slots=True)
class Division:
    """A source cut into shards; `invalid` are the kept records of symbols that are in none, with their positions.

    With a `fault` the source cannot be read as a whole, and has no shards. `merged` is there once its results are in
    their place with symbols that resuming the run may yet document.
    """

    symbols: int
    shards: tuple[Shard, ...] = ()
    invalid: tuple[tuple[int, dict[str, Any]], ...] = ()
    warnings: tuple[str, ...] = ()
    fault: str | None = None
    merged: Summary | None = None
    kind: Literal["divided"] = "divided"


State = Division | Summary

_runs = TypeAdapter(Run)
_states: TypeAdapter[State] = TypeAdapter(Annotated[State, Discriminator("kind")])


def check_run_name(name: str) -> None:
    """Raise InputError where a run cannot have this name."""
    if not RUN_NAME.fullmatch(name) or not name.strip(".") or name in _TAKEN_NAMES:
        taken = ", ".join(sorted(_TAKEN_NAMES))
        rule = "1 to 100 letters, digits, dots, underscores or hyphens, not only dots"
        raise InputError(f"--run must be {rule}, and none of {taken}")


def shard_job_id(run_name: str, source: Source, number: int) -> str:
    """The job id of a source's shard: the same each time, so that a job that is sent again goes on."""
    return f"{run_name}.{source.number}.{number}"


async def load_run(storage: Storage, name: str) -> Run | None:
    """The run of this name; None where there is none."""
    stored = await storage.read(manifest_key(name))
    if stored is None:
        return None
    try:
        return _runs.validate_json(stored.body)
    except ValidationError:
        raise StorageError(f"{manifest_key(name)} is no manifest of this version: use another --run") from None


async def save_new_run(storage: Storage, run: Run) -> bool:
    """Put a run's manifest into the store; False where a run of its name is there."""
    return await storage.put_if_match(manifest_key(run.name), _runs.dump_json(run), None)


async def save_run(storage: Storage, run: Run) -> None:
    """Put a changed manifest in the place of the one that is there."""
    await storage.write(manifest_key(run.name), _runs.dump_json(run))


async def load_state(storage: Storage, run_name: str, source: Source) -> State | None:
    """How far a source is; None where it has not been divided."""
    key = state_key(run_name, source.number)
    stored = await storage.read(key)
    if stored is None:
        return None
    try:
        return _states.validate_json(stored.body)
    except ValidationError:
        raise StorageError(f"{key} is no state of a source of this version: use another --run") from None


async def save_state(storage: Storage, run_name: str, source: Source, state: State) -> None:
    """Put the state of a source in the place of the one before it."""
    await storage.write(state_key(run_name, source.number), _states.dump_json(state))
