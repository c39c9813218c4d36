"""Builds the repositories of a list, each by a job of its own, and keeps the index of their packs.

A repository whose pack is current costs nothing; one that fails is named with its cause and touches no other; a fault
of the account or of the settings ends the run, since it would meet every job. All state is in the store (`state`): a
run that was stopped or killed goes on, and one that is over begins anew with what has changed since.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from doctown.bulk.engines import LOST, Attempt, Engine
from doctown.bulk.index import (
    IndexEntry,
    as_entry,
    built_entry,
    failed_entry,
    is_current,
    looked_at,
    merge_into_index,
    read_index,
)
from doctown.bulk.inputs import ListedRepository
from doctown.bulk.state import (
    Manifest,
    State,
    digest_of,
    forget_states,
    load_manifest,
    load_state,
    save_manifest,
    save_state,
)
from doctown.jobs import parse_repository_job
from doctown.jobs.keys import repository_folder, without_capitals
from doctown.repository import ignores_case
from generation import FATAL, JobError, Storage

log = logging.getLogger(__name__)

ESTIMATE_ABOVE_CAP = "estimate_above_cap"
CAP_REACHED = "cost_cap_reached"
# What another execution may not meet: the job was lost, or its time was up.
TRANSIENT = frozenset({LOST, "deadline_exceeded", "lease_lost", "worker_stopping"})
# Executions of a repository that bring nothing new, one after another.
MAX_FRUITLESS_ATTEMPTS = 3
FIRST_PAUSE_S = 1.0
INDEX_EVERY_S = 10.0
MIN_GRANT_USD = 1e-6

Report = Callable[[ListedRepository, State | None, str], None]
NewestCommit = Callable[[Mapping[str, Any]], Awaitable[str | None]]


@dataclass(frozen=True)
class Request:
    """What a run is asked for. `is_forced` builds what has not changed too."""

    run: str
    repositories: Sequence[ListedRepository]
    options: Mapping[str, Any]
    in_flight: int
    max_cost_usd: float | None = None
    is_forced: bool = False


@dataclass
class _Budget:
    """What a run may still spend: its cap less what was spent and what jobs under way were granted.

    `over` is the part of `spent` of jobs that are over: what they have bought is in a pack, and the next job does not
    count it. What an unfinished job has kept counts in the next one, whose cap is for both.
    """

    cap_usd: float | None
    spent: dict[int, float] = field(default_factory=dict)
    over: dict[int, float] = field(default_factory=dict)
    granted: dict[int, float] = field(default_factory=dict)

    @property
    def left_usd(self) -> float:
        return (self.cap_usd or 0.0) - sum(self.spent.values()) - sum(self.granted.values())

    def kept_usd(self, number: int) -> float:
        return self.spent.get(number, 0.0) - self.over.get(number, 0.0)

    def count(self, number: int, cost_usd: float, *, is_over: bool) -> None:
        over_usd = self.over.get(number, 0.0)
        self.spent[number] = max(self.spent.get(number, 0.0), over_usd + cost_usd)
        if is_over:
            self.over[number] = self.spent[number]

    def on(self, number: int, state: State) -> State:
        """Return the state of a repository with what its jobs have cost."""
        spent_usd, over_usd = self.spent.get(number, 0.0), self.over.get(number, 0.0)
        return dataclasses.replace(state, spent_usd=spent_usd, over_usd=over_usd)


class RepositoryRun:
    """One start of one run. `report` is told of each repository when its job moves on, and when it has ended."""

    def __init__(
        self, request: Request, storage: Storage, engine: Engine, report: Report, newest_commit: NewestCommit
    ) -> None:
        self._request = request
        self._storage = storage
        self._engine = engine
        self._report = report
        self._newest_commit = newest_commit
        self._digest = digest_of([], request.options)
        self._packs: dict[str, IndexEntry] = {}
        self._indexed_as: dict[str, str] = {}
        self._changed: dict[str, IndexEntry] = {}
        self._budget = _Budget(request.max_cost_usd)
        self._at_once = max(1, min(request.in_flight, len(request.repositories)))
        self._has_room = asyncio.Condition()
        self.states: dict[int, State] = {}

    async def go_on(self) -> None:
        """Do what is left of the run. Raise JobError where it cannot go on; cancelled, leave the rest for later."""
        await self._load()
        slots = asyncio.Semaphore(self._request.in_flight)
        writing = asyncio.create_task(self._keep_writing_the_index())
        fault: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for number, listed in enumerate(self._request.repositories):
                    if number not in self.states or not self.states[number].has_ended:
                        group.create_task(self._in_turn(slots, number, listed))
        except* JobError as errors:
            fault = errors.exceptions[0]
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self._write_index()
        if fault is not None:
            raise fault
        await save_manifest(self._storage, dataclasses.replace(await self._manifest(), is_over=True))

    async def _manifest(self) -> Manifest:
        request = self._request
        return Manifest(request.run, digest_of(request.repositories, request.options))

    async def _load(self) -> None:
        request, new = self._request, await self._manifest()
        there = await load_manifest(self._storage, request.run)
        if there is None or there.is_over or there.digest != new.digest:
            await forget_states(self._storage, request.run)
            await save_manifest(self._storage, new)
        else:
            for number in range(len(request.repositories)):
                if (state := await load_state(self._storage, request.run, number)) is not None:
                    self.states[number] = state
                    self._budget.spent[number], self._budget.over[number] = state.spent_usd, state.over_usd
        self._packs = dict((await read_index(self._storage))["packs"])
        # Packs of earlier versions lie under the capitals of their URL.
        self._indexed_as = {without_capitals(folder): folder for folder in sorted(self._packs)}

    async def _in_turn(self, slots: asyncio.Semaphore, number: int, listed: ListedRepository) -> None:
        async with slots:
            state = await self._build(number, listed)
            await self._save(number, state)
            self._report(listed, state, "")

    async def _save(self, number: int, state: State) -> None:
        self.states[number] = state
        await save_state(self._storage, self._request.run, number, state)

    async def _build(self, number: int, listed: ListedRepository) -> State:
        """Do a repository's job until it is done, or brings nothing new."""
        if listed.fault is not None:
            return State("failed", failure="bad_input", message=listed.fault)
        folder = self._folder(listed)
        entry = self._packs.get(folder) or as_entry(listed.repository)
        newest = await self._newest_commit(listed.repository)
        if newest is not None:
            entry = self._note(folder, looked_at(entry, newest))
            if not self._request.is_forced and is_current(entry, newest, self._digest):
                return self._budget.on(number, State("unchanged"))
        state, fruitless, documented = self.states.get(number) or State("sent"), 0, 0
        while True:
            attempt = await self._attempt(number, listed, state)
            state = self._budget.on(number, _state_after(attempt))
            _stop_where_fatal(listed, attempt)
            has_partial = attempt.output is not None and attempt.output["is_unfinished"]
            is_unfinished = attempt.failure in TRANSIENT or has_partial
            now_documented = 0 if attempt.output is None else attempt.output["documented_count"]
            fruitless = 0 if now_documented > documented else fruitless + 1
            documented = max(documented, now_documented)
            if not is_unfinished or fruitless >= MAX_FRUITLESS_ATTEMPTS:
                break
            await self._save(number, self._budget.on(number, State("sent")))
            await asyncio.sleep(FIRST_PAUSE_S * 2**fruitless)
        if attempt.output is None:
            self._note(folder, failed_entry(self._packs.get(folder, entry), attempt.failure, attempt.message))
        return state

    async def _attempt(self, number: int, listed: ListedRepository, state: State) -> Attempt:
        """Send the job with its share of the cap, and once more with all that is left where that was too little."""
        before: Attempt | None = None
        for whole in (False, True):
            granted_usd = await self._grant(number, whole=whole)
            if granted_usd is not None and granted_usd < MIN_GRANT_USD:
                await self._return(number)
                cap = f"max_cost_usd of the run ({self._budget.cap_usd}) is reached"
                return before or Attempt(None, CAP_REACHED, f"{cap}: give a higher --max-cost-usd")
            options = dict(self._request.options)
            if granted_usd is not None:
                options["max_cost_usd"] = granted_usd
            try:
                attempt = await self._engine.attempt(
                    listed.job_input(options),
                    self._budget.on(number, dataclasses.replace(state, status="sent")),
                    lambda new: self._save(number, new),
                    lambda step: self._report(listed, None, step),
                )
            finally:
                await self._return(number)
            self._count(number, listed, attempt)
            if not _needs_more(attempt) or granted_usd is None:
                return attempt
            if attempt.output is None and before is not None:
                return before  # its pack is there, and what is left does not pay for the rest
            before, state = attempt, State("sent")
        return attempt

    async def _grant(self, number: int, *, whole: bool) -> float | None:
        """Return the cap of a job, None where there is none; wait while others may return what they leave."""
        if self._budget.cap_usd is None:
            return None
        async with self._has_room:
            while True:
                left_usd = self._budget.left_usd
                is_alone = not self._budget.granted
                share_usd = left_usd if whole or is_alone else left_usd / self._at_once
                if is_alone or (not whole and share_usd >= MIN_GRANT_USD):
                    self._budget.granted[number] = max(0.0, share_usd)
                    return round(max(0.0, share_usd) + self._budget.kept_usd(number), 6)
                await self._has_room.wait()

    async def _return(self, number: int) -> None:
        async with self._has_room:
            self._budget.granted.pop(number, None)
            self._has_room.notify_all()

    def _count(self, number: int, listed: ListedRepository, attempt: Attempt) -> None:
        """Count what a job that has stored a pack has cost, in the budget and in the index."""
        if attempt.output is not None:
            self._budget.count(number, attempt.output["total_cost"], is_over=not attempt.output["is_unfinished"])
            folder = self._folder(listed)
            entry = self._packs.get(folder) or as_entry(listed.repository)
            self._note(folder, built_entry(entry, attempt.output, self._digest))

    def _folder(self, listed: ListedRepository) -> str:
        """Return under which folder the index has a repository, or will have it."""
        job = parse_repository_job(listed.job_input({}), "bulk")
        assert job.git is not None  # noqa: S101 - a list has no archives
        folder = repository_folder(job.git.url, job.subdir)
        return self._indexed_as.get(folder, folder) if ignores_case(job.git.host) else folder

    def _note(self, folder: str, entry: IndexEntry) -> IndexEntry:
        self._packs[folder] = self._changed[folder] = entry
        return entry

    async def _keep_writing_the_index(self) -> None:
        while True:
            await asyncio.sleep(INDEX_EVERY_S)
            try:
                await self._write_index()
            except JobError as error:
                log.warning("the index is not written: %s", error)

    async def _write_index(self) -> None:
        changed, self._changed = self._changed, {}
        if changed:
            try:
                await merge_into_index(self._storage, changed)
            except BaseException:
                self._changed = {**changed, **self._changed}
                raise


def _stop_where_fatal(listed: ListedRepository, attempt: Attempt) -> None:
    """Raise JobError for a fault that would meet every other job too."""
    if attempt.failure in FATAL:
        raise JobError(attempt.message, attempt.failure)
    if attempt.output is not None and (met := FATAL & attempt.output["failures"].keys()):
        failure = min(met)
        raise JobError(f"symbols of {listed.name} failed with {failure}, as those of others would", failure)


def _needs_more(attempt: Attempt) -> bool:
    """Return whether a job was refused at its cap, or has ended at it."""
    if attempt.output is None:
        return attempt.failure == ESTIMATE_ABOVE_CAP
    return CAP_REACHED in attempt.output["failures"]


def _state_after(attempt: Attempt) -> State:
    output = attempt.output
    if output is None:
        return State("failed", None, attempt.failure, attempt.message)
    return State(output["status"], output=output)
