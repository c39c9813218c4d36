"""The persistent state of a run, in the store: its manifest, and the state of each of its sources.

    bulk/{run}/manifest.json          `Run`: its engine, options and sources; written before anything else
    bulk/{run}/sources/{number}.json  a source's state: missing until it is divided, then its `Division` into shards,
                                      and finally the `Summary` of its merged results
    bulk/{run}/shards/...             the contexts of shards, see `contexts_key`

A source is divided once, so that a restarted run has the same shards with the same job ids. A shard's results document,
`results/{job_id}.json`, is authoritative for it. Engines store further state (`engines.runpod.submissions`,
`engines.batch.store`). Sources are read in `inputs`, divided in `partition` and merged in `merge`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, TypeAdapter, ValidationError

from generation.domain.usage import Counts
from generation.errors import InputError, StorageError
from generation.storage.base import Storage
from generation.storage.keys import manifest_key, state_key

Engine = Literal["runpod", "batch", "local"]

# By engine: symbols of a job, and jobs at once. Jobs on RunPod should be small, to end before their deadline.
SHARD_SIZES: Mapping[str, int] = {"runpod": 500, "batch": 5_000, "local": 2_000}
IN_FLIGHT: Mapping[str, int] = {"runpod": 50, "batch": 4, "local": 4}

# A job id has at most 128 characters and consists of the run's name and two numbers.
RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
# Names of other folders next to the results, in folder storage.
_TAKEN_NAMES = frozenset({"bulk", "checkpoints", "results"})


@dataclass(frozen=True, slots=True)
class Source:
    """A file or an object of symbols, which gets one results document.

    `place` is a path if `is_local`, else a key of the store. `previous_key` is the key of the results from which
    unchanged symbols are reused.
    """

    number: int
    name: str
    place: str
    is_local: bool
    previous_key: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as requested. `options` are job options; `max_cost_usd` applies to the whole run."""

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

    `positions` are their positions in the source and `ids` their symbol ids, both in the order of the shard's contexts.
    """

    job_id: str
    positions: tuple[int, ...]
    ids: tuple[str, ...]
    expected_usd: float = 0.0


# So many failed symbols of a source are kept beside its counts, to be shown.
MAX_KEPT_FAILURES = 5


class FailedSymbol(NamedTuple):
    """A symbol that failed, and why."""

    symbol_id: str
    failure: str
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of a source's merged results; `failures` counts failed symbols by code, `failed` are the first."""

    symbols: int
    documented: int
    taken_over: int
    failures: Mapping[str, int]
    total_tokens: int
    total_cost: float
    fault: str | None = None
    failed: tuple[FailedSymbol, ...] = ()
    kind: Literal["merged"] = "merged"

    @property
    def counts(self) -> Counts:
        """The totals as `Counts`."""
        return Counts(self.documented, self.symbols - self.documented, self.total_tokens, self.total_cost)


@dataclass(frozen=True, slots=True)
class Division:
    """A source divided into shards; `invalid` are the positions and stored records of invalid symbols.

    A source with a `fault` could not be read and has no shards. `merged` is set once results have been written that
    resuming the run may still improve.
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
    """Raise InputError where this is not a valid name of a run."""
    if not RUN_NAME.fullmatch(name) or not name.strip(".") or name in _TAKEN_NAMES:
        taken = ", ".join(sorted(_TAKEN_NAMES))
        rule = "1 to 100 letters, digits, dots, underscores or hyphens, not only dots"
        raise InputError(f"--run must be {rule}, and none of {taken}")


def shard_job_id(run_name: str, source: Source, number: int) -> str:
    """Return the deterministic job id of a shard, so that a repeated job continues from its checkpoint."""
    return f"{run_name}.{source.number}.{number}"


async def load_run(storage: Storage, name: str) -> Run | None:
    """Return the run of this name, or None. Raises StorageError where the manifest is not of this version."""
    stored = await storage.read(manifest_key(name))
    if stored is None:
        return None
    try:
        return _runs.validate_json(stored.body)
    except ValidationError:
        raise StorageError(f"{manifest_key(name)} is no manifest of this version: use another --run") from None


async def save_new_run(storage: Storage, run: Run) -> bool:
    """Store the manifest of a new run. Return False where a run of its name exists."""
    return await storage.put_if_match(manifest_key(run.name), _runs.dump_json(run), None)


async def save_run(storage: Storage, run: Run) -> None:
    """Replace the manifest of a run."""
    await storage.write(manifest_key(run.name), _runs.dump_json(run))


async def load_state(storage: Storage, run_name: str, source: Source) -> State | None:
    """Return the state of a source, or None where it has not been divided. Raises StorageError."""
    key = state_key(run_name, source.number)
    stored = await storage.read(key)
    if stored is None:
        return None
    try:
        return _states.validate_json(stored.body)
    except ValidationError:
        raise StorageError(f"{key} is no state of a source of this version: use another --run") from None


async def save_state(storage: Storage, run_name: str, source: Source, state: State) -> None:
    """Replace the state of a source."""
    await storage.write(state_key(run_name, source.number), _states.dump_json(state))
