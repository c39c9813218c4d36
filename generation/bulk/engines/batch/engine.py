"""Documents a run through OpenAI's Batch API: writes rows to files, submits files as batches, and collects answers.

Rows are written from contexts on disk, so that memory use does not grow with the contexts. Every batch is submitted
exactly once: each step is written ahead to the store (`store`), and after a restart a batch whose creation had an
unknown result is searched for (`api`). Symbols that need another answer go into a later batch or, with `finish_now`, to
the normal API. What is asked and how an answer is interpreted is defined in `rows`. Prompts have no summaries of
callees, since the rows of a batch are processed in no particular order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import BinaryIO, cast

from generation.bulk.engines.batch.api import Batch, BatchApi, Delays, unknown
from generation.bulk.engines.batch.ledger import BatchState
from generation.bulk.engines.batch.rows import RowWriter, batch_settings, fault_of
from generation.bulk.engines.batch.store import Part, PartStore
from generation.bulk.engines.outcomes import CAP_REACHED
from generation.bulk.manifest import Run
from generation.bulk.partition import states
from generation.bulk.progress import ProgressSink, ProgressTracker
from generation.config import Settings
from generation.domain.catalogue import OFFLINE, utc_today
from generation.domain.outcome import Outcome, Request, Symbol
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.errors import AccountError, ConfigError, JobError, Stopped, Taken, kept_on_disk
from generation.executor import generate
from generation.fan_out import fan_out
from generation.intake.job_input import JobOptions
from generation.job import warm_up
from generation.model.budget import Budget
from generation.model.documenter import OpenAIDocumenter
from generation.planning.planner import make_plan
from generation.planning.schedule import Schedule
from generation.prompts.builder import NO_NOTES
from generation.prompts.tokens import VocabularyMissing
from generation.storage.base import Storage

log = logging.getLogger(__name__)

QUEUE_FULL = "token_limit_exceeded"
# Answers per object in the store, and symbols per round of direct requests.
MAX_CONCURRENT_SAVES = 1_000
MAX_CONCURRENT_DIRECT_REQUESTS = 100
MAX_CONCURRENT_CANCELS = 10
# Minimum cost, as a share of the spend cap, of a batch that the cap limits: a smaller one is not worth a day's wait.
MIN_CAP_SHARE = 0.03
CANCELLED = "worker_stopping"
MAX_CONFLICTS = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a file: OpenAI's 50,000 requests and 200 MB, less a margin."""

    rows: int = 49_000
    file_bytes: int = 190_000_000


DELAYS = Delays()
LIMITS = Limits()


async def run(  # noqa: PLR0913 - the parameters of every engine, and this one's own
    run: Run,
    storage: Storage,
    settings: Settings,
    report: ProgressSink,
    stopping: asyncio.Event,
    *,
    finish_now: bool = False,
    waits: Delays = DELAYS,
    limits: Limits = LIMITS,
    today: Callable[[], date] = utc_today,
) -> None:
    """Run the engine, as `progress` defines it.

    Batches continue after a stop or a kill; the next start collects them. `today` decides which models exist.
    """
    engine = _Engine(run, storage, settings, report, waits=waits, limits=limits, today=today())
    working = asyncio.create_task(engine.work(finish_now=finish_now))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
    finally:
        was_done = working.done()
        for task in (working, stop):
            task.cancel()
        await asyncio.gather(working, stop, return_exceptions=True)
        engine.close()
    if was_done:
        working.result()


async def cancel(  # noqa: PLR0913 - as `run`
    run: Run,
    storage: Storage,
    settings: Settings,
    report: ProgressSink,
    *,
    waits: Delays = DELAYS,
    today: Callable[[], date] = utc_today,
) -> int:
    """Cancel a run's batches, merge what they have finished, and return their number.

    Resuming the run requests the rest. Raises Stopped where another process keeps working on the run.
    """
    for _ in range(MAX_CONFLICTS):
        engine = _Engine(run, storage, settings, report, waits=waits, limits=LIMITS, today=today())
        # Another process that is running the run may collect the cancelled batches first (Taken).
        with contextlib.closing(engine), contextlib.suppress(Taken):
            return await engine.end()
    raise Stopped(f"another process works on the run {run.name}: stop it, and cancel the run again", CANCELLED)


class _Engine:
    """One start of one run."""

    def __init__(  # noqa: PLR0913 - the parameters of `run`
        self,
        run: Run,
        storage: Storage,
        settings: Settings,
        report: ProgressSink,
        *,
        waits: Delays,
        limits: Limits,
        today: date,
    ) -> None:
        self._run = run
        self._storage = storage
        options = JobOptions.model_validate(dict(run.options)).as_settings()
        self._run_settings = settings.as_of(today).with_options(options)
        self._settings = batch_settings(self._run_settings)
        if self._settings.model_name == OFFLINE:
            raise ConfigError("--via batch asks a model: set MODEL_NAME to one of OpenAI's")
        self._waits = waits
        self._limits = limits
        self._max_rows = limits.rows
        self._api = BatchApi(self._settings, waits)
        self._store = PartStore(storage, run.name)
        self._progress = ProgressTracker(run.name, run.engine, len(run.sources), report)
        left_out = ["the Batch API was asked without semantic context"] * self._run_settings.include_semantic_context
        self._ledger = BatchState(run, storage, self._settings, self._progress, left_out, today=today)
        self._open: dict[int, Part] = {}
        self._numbers: dict[int, list[int]] = {}
        self._seen: dict[int, tuple[str, int]] = {}
        self._pending: deque[int] = deque()
        self._next_part = 0
        self._queue_is_full = False
        self._is_cautious = False
        self._refused_since_s: float | None = None
        self._queue_pause_s = waits.first_s
        self._waits_for_budget = False
        self._cap_reached = False
        self._fault: JobError | None = None

    def close(self) -> None:
        """Close the temporary files."""
        self._ledger.symbols.close()

    # --- Main loops

    async def work(self, *, finish_now: bool) -> None:
        """Work until every source has its results or the spend cap is reached."""
        await self._store.open()
        await self._store.mark_cancelled(is_cancelled=False)
        await self._load()
        direct = self._queue_symbols(finish_now=finish_now)
        for part in list(self._open.values()):
            if part.status == "planned":
                await self._upload_again(part)
            elif part.status == "begun":
                await self._submit(part)
        pause_s = self._waits.first_s
        while True:
            moved = await self._look(direct if finish_now else self._pending)
            await self._submit_all()
            await self._ledger.merge_complete()
            self._publish_progress()
            if not self._open and (not self._pending or self._cap_reached):
                break
            pause_s = self._waits.first_s if moved else min(self._waits.most_s, 2 * pause_s)
            await asyncio.sleep(pause_s)
        await self._finish(direct)
        await self._merge_rest(CAP_REACHED, self._cap_sentence())

    async def end(self) -> int:
        """Cancel the submitted batches, merge the answers that exist, and return the number of batches."""
        await self._store.open()
        await self._store.mark_cancelled(is_cancelled=True)
        await self._load()
        for part in list(self._open.values()):
            await self._withdraw_or_find(part)
        count = len(self._open)
        pause_s = self._waits.first_s
        while self._open:
            await self._cancel_all()
            await self._look(self._pending)
            self._publish_progress()
            if self._open:
                await asyncio.sleep(pause_s)
            pause_s = min(self._waits.most_s, 2 * pause_s)
        await self._merge_rest(CANCELLED, "the run was cancelled: resume it to go on")
        return count

    async def _cancel_all(self) -> None:
        """Cancel every batch; an error of one does not stop the others. Raises the first error after all of them.

        A batch that the server does not know, under this id or another, has no answers: its part is withdrawn, unless
        the server knows none.
        """
        gone: list[Part] = []

        async def cancel(part: Part) -> None:
            if await self._api.cancel(str(part.batch_id)):
                return
            if batch := await self._api.find(self._metadata(part), 0.0):
                await self._save(replace(part, batch_id=batch.id))
            else:
                gone.append(part)

        parts = list(self._open.values())
        if errors := await fan_out(cancel, parts, MAX_CONCURRENT_CANCELS):
            sentence = f"{len(errors)} of {len(parts)} batches could not be cancelled: {errors[0]}"
            raise JobError(sentence, errors[0].failure)
        if len(gone) == len(parts):
            raise unknown(f"the batch {gone[0].batch_id}")
        for part in gone:
            log.warning("the batch %s is not known to the server any more: its requests are left", part.batch_id)
            await self._withdraw(part)

    # --- State of earlier starts

    async def _load(self) -> None:
        """Load the symbols, and the answers of earlier starts. Raises ConfigError where the vocabulary is missing."""
        try:
            counter = await asyncio.to_thread(warm_up, self._settings)
        except VocabularyMissing as error:
            raise ConfigError(str(error)) from None
        self._writer = RowWriter(self._run.name, self._settings, counter)
        self._counter = counter
        async for source, state in states(self._run, self._storage, self._run_settings):
            await self._ledger.load(source, state)
        await self._replay()

    async def _replay(self) -> None:
        """Replay the answers of earlier starts and load the parts that are in flight."""
        for part in await self._store.parts():
            self._next_part = part.number + 1
            if part.status != "ended":
                places = await self._store.places(part)
                self._open[part.number] = part
                self._numbers[part.number] = [
                    number for place in places if (number := self._ledger.symbols.number(place)) is not None
                ]
                continue
            self._progress.shards_done += 1
            async for source, outcome in self._store.answers(part):
                number = self._ledger.symbols.number((source, outcome.position))
                if number is not None:
                    self._ledger.record_answer(number, outcome, is_direct=part.is_direct)
        self._ledger.finish_replay()

    def _queue_symbols(self, *, finish_now: bool) -> deque[int]:
        """Queue the symbols that are neither done nor in flight, for a batch or for direct requests (returned)."""
        in_flight = {number for numbers in self._numbers.values() for number in numbers}
        direct: deque[int] = deque()
        for number in self._ledger.waiting(in_flight):
            was_asked = self._ledger.state(number).asked > 0
            (direct if finish_now and was_asked else self._pending).append(number)
        return direct

    # --- Batches

    async def _look(self, again: deque[int]) -> bool:
        """Poll the batches and collect those that have ended. Return whether any has changed.

        Symbols that need another answer are appended to `again`.
        """
        moved = False
        for part in [part for part in self._open.values() if part.status == "submitted"]:
            batch = await self._batch_of(part)
            seen = (batch.status, batch.rows_done)
            moved |= self._seen.get(part.number) != seen
            self._seen[part.number] = seen
            if batch.status not in {"validating", "failed"}:
                self._accepted()
            if batch.has_ended:
                if batch.status == "failed" and QUEUE_FULL in batch.codes:
                    await self._refused(part)
                else:
                    await self._collect(part, batch, again)
        return moved

    async def _batch_of(self, part: Part) -> Batch:
        """Return the present state of a part's batch, which is searched for where its id is not known to the API."""
        try:
            return await self._api.look(str(part.batch_id))
        except AccountError as error:
            if error.failure != "not_permitted" or not (batch := await self._api.find(self._metadata(part), 0.0)):
                raise
        await self._save(replace(part, batch_id=batch.id))
        return batch

    def _accepted(self) -> None:
        if self._refused_since_s is not None:
            self._refused_since_s, self._queue_pause_s = None, self._waits.first_s
            self._queue_is_full = False
            self._max_rows = min(self._limits.rows, 2 * self._max_rows)

    async def _refused(self, part: Part) -> None:
        """Handle a batch rejected because the account's queue is full.

        Submit the part again once another batch of this run has ended. If there is no other, wait, then put the rows
        back and halve the maximum size of a part.
        """
        self._queue_is_full = self._is_cautious = True
        self._seen.pop(part.number, None)
        is_alone = not any(one.status == "submitted" and one != part for one in self._open.values())
        if is_alone:
            await self._wait_for_queue()
        if is_alone and part.rows > 1:
            self._max_rows = part.rows // 2
            await self._withdraw(part)
        else:
            await self._save(replace(part, status="uploaded", batch_id=None, attempt=part.attempt + 1))

    async def _wait_for_queue(self) -> None:
        now_s = time.monotonic()
        self._refused_since_s = self._refused_since_s or now_s
        if now_s - self._refused_since_s > self._waits.queue_s:
            full = f"the account's queue of batches has been full for {self._waits.queue_s:g} s without any of this run"
            raise Stopped(f"{full}: resume it when others have ended", "server_error")
        await asyncio.sleep(self._queue_pause_s)
        self._queue_pause_s = min(self._waits.most_s, 2 * self._queue_pause_s)

    async def _withdraw(self, part: Part) -> None:
        """End a part that has no batch and put its rows back at the front of the queue."""
        self._pending.extendleft(reversed(self._numbers[part.number]))
        await self._save(replace(part, status="ended"))
        await self._remove_file(part)

    async def _collect(self, part: Part, batch: Batch, again: deque[int]) -> None:
        """Save the answers to a part, then mark it as ended. Raises JobError where they show a fault of the account."""
        numbers = self._numbers[part.number]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            for file_id, file in ((batch.output_file_id, output), (batch.error_file_id, errors)):
                if file_id and not await self._api.download(file_id, cast(BinaryIO, file)):
                    log.warning("run %s: the file %s of batch %s is gone", self._run.name, file_id, batch.id)
            answers = self._ledger.answers(numbers, batch, itertools.chain(output, errors))
            saved = 0
            while some := await asyncio.to_thread(list, itertools.islice(answers, MAX_CONCURRENT_SAVES)):
                places = [self._ledger.symbols.place(number)[0] for number, _ in some]
                outcomes = [outcome for _, outcome in some]
                await self._store.write_answers(part, saved, zip(places, outcomes, strict=True))
                saved += 1
                for number, outcome in some:
                    self._fault = self._fault or fault_of(outcome)
                    self._ledger.record_answer(number, outcome, is_direct=False)
        await self._remove_file(part)
        await self._save(replace(part, status="ended", answers=saved))
        self._queue_is_full = self._waits_for_budget = False
        again.extend(self._ledger.close_finished(numbers))
        if self._fault:
            raise self._fault

    async def _submit_all(self) -> None:
        """Submit parts for as long as `_may_submit` allows. Raises Stopped where the run was cancelled."""
        while self._may_submit():
            waiting = [part for part in self._open.values() if part.status == "uploaded"]
            part = min(waiting, key=lambda one: one.number) if waiting else await self._new_part()
            if part is None:
                return
            if await self._store.is_cancelled():
                raise Stopped("the run was cancelled: resume it to go on", CANCELLED)
            await self._submit(part)

    def _may_submit(self) -> bool:
        """Return whether a batch may be submitted now.

        Once the queue has been full, only one batch is validated at a time; while it is full, a batch must end first.
        """
        submitted = [part for part in self._open.values() if part.status == "submitted"]
        if self._queue_is_full and submitted:
            return False
        is_validating = any(self._seen.get(part.number, ("validating", 0))[0] == "validating" for part in submitted)
        return not (self._is_cautious and is_validating)

    async def _new_part(self) -> Part | None:
        """Return the next part, uploaded, or None where no rows are left or the spend cap allows none now."""
        if not self._pending or self._waits_for_budget:
            return None
        with tempfile.TemporaryFile() as file:
            numbers, at_most, is_cut = await asyncio.to_thread(self._fill, cast(BinaryIO, file))
            if is_cut and not self._is_worth_it(at_most):
                self._pending.extendleft(reversed(numbers))
                self._waits_for_budget, self._cap_reached = bool(self._open), not self._open
                return None
            part = Part(self._next_part, len(numbers), at_most)
            self._next_part += 1
            self._numbers[part.number] = numbers
            self._open[part.number] = part
            await self._store.add(part, [self._ledger.symbols.place(number) for number in numbers])
            return await self._upload(part, cast(BinaryIO, file), is_new=True)

    def _fill(self, file: BinaryIO) -> tuple[list[int], Usage, bool]:
        """Write rows until the file is full.

        Return the numbers of their symbols, their maximum usage, and whether the spend cap ended the file.
        """
        left_usd = self._left_usd()
        numbers: list[int] = []
        at_most, size = NO_USAGE, 0
        while self._pending and len(numbers) < self._max_rows:
            line, usage = self._ledger.line(self._pending[0], self._writer)
            if size + len(line) > self._limits.file_bytes and numbers:
                break
            if left_usd is not None and cost_usd(at_most + usage, self._ledger.money.half) > left_usd:
                return numbers, at_most, True
            with kept_on_disk("a file of requests"):
                file.write(line)
            size += len(line)
            at_most += usage
            numbers.append(self._pending.popleft())
        with kept_on_disk("a file of requests"):
            file.flush()
        return numbers, at_most, False

    def _left_usd(self) -> float | None:
        if self._run.max_cost_usd is None:
            return None
        open_usd = sum(cost_usd(part.at_most, self._ledger.money.half) for part in self._open.values())
        return self._run.max_cost_usd - self._ledger.money.spent_usd - open_usd

    def _is_worth_it(self, at_most: Usage) -> bool:
        """Return whether to submit a part that the cap limits: not while open parts may still return unspent money."""
        least_usd = MIN_CAP_SHARE * (self._run.max_cost_usd or 0.0)
        return not self._open and cost_usd(at_most, self._ledger.money.half) >= least_usd and at_most != NO_USAGE

    async def _upload_again(self, part: Part) -> None:
        """Write and upload the file of a part whose upload had an unknown result."""
        with tempfile.TemporaryFile() as file:
            for number in self._numbers[part.number]:
                line, _ = await asyncio.to_thread(self._ledger.line, number, self._writer)
                with kept_on_disk("a file of requests"):
                    file.write(line)
            await self._upload(part, cast(BinaryIO, file), is_new=False)

    async def _upload(self, part: Part, file: BinaryIO, *, is_new: bool) -> Part:
        name = f"doctown-{self._run.name}-{self._store.token}-{part.number:06}.jsonl"
        file_id = await self._api.upload(name, file, is_new=is_new)
        return await self._save(replace(part, status="uploaded", file_id=file_id))

    async def _submit(self, part: Part) -> None:
        """Create the batch of a part exactly once, even if an earlier attempt may have created it."""
        is_new = part.status == "uploaded"
        if is_new:
            part = await self._save(replace(part, status="begun", begun_at_s=time.time()))
        try:
            batch = await self._api.create(str(part.file_id), self._metadata(part), part.begun_at_s, is_new=is_new)
        except AccountError as error:
            if error.failure == "bad_request":
                # The API may not know the file: the next start uploads it again.
                await self._save(replace(part, status="planned", file_id=None))
            raise
        await self._save(replace(part, status="submitted", batch_id=batch.id))
        log.info("run %s: batch %s has %d requests", self._run.name, batch.id, part.rows)

    async def _withdraw_or_find(self, part: Part) -> None:
        """Withdraw a part that has no batch; where it may have one, find out first."""
        if part.status == "begun":
            batch = await self._api.find(self._metadata(part), part.begun_at_s)
            if batch:
                await self._save(replace(part, status="submitted", batch_id=batch.id))
                return
        if part.status != "submitted":
            await self._withdraw(part)

    def _metadata(self, part: Part) -> dict[str, str]:
        return {
            "doctown_run": self._run.name,
            "doctown_token": self._store.token,
            "doctown_part": str(part.number),
            "doctown_attempt": str(part.attempt),
        }

    async def _save(self, part: Part) -> Part:
        await self._store.save(part)
        if part.status == "ended":
            self._open.pop(part.number, None)
            self._numbers.pop(part.number, None)
            self._seen.pop(part.number, None)
            self._progress.shards_done += 1
        else:
            self._open[part.number] = part
        return part

    async def _remove_file(self, part: Part) -> None:
        """Delete the uploaded file of a part: it contains source code and is no longer needed."""
        if part.file_id:
            await self._api.delete_file(part.file_id)

    # --- Direct requests

    async def _finish(self, direct: deque[int]) -> None:
        """Request the remaining symbols from the normal API, one per request, at full price."""
        while direct and not self._cap_reached:
            numbers = [direct.popleft() for _ in range(min(MAX_CONCURRENT_DIRECT_REQUESTS, len(direct)))]
            answers = [answer async for answer in self._request_directly(numbers)]
            part = Part(self._next_part, len(answers), status="ended", answers=1, is_direct=True)
            self._next_part += 1
            for number, answer in answers:
                self._fault = self._fault or fault_of(answer)
                self._ledger.record_answer(number, answer, is_direct=True)
            await self._store.write_answers(
                part, 0, [(self._ledger.symbols.place(one)[0], answer) for one, answer in answers]
            )
            await self._store.add(part, ())
            self._ledger.close_finished(numbers)
            self._publish_progress()
            if self._fault:
                raise self._fault
            await self._ledger.merge_complete()

    async def _request_directly(self, numbers: Sequence[int]) -> AsyncIterator[tuple[int, Outcome]]:
        """Request symbols as a normal job does, and yield their numbers and outcomes.

        Within the requests, a symbol's position is its number. A spend cap or a fault ends the outcomes early, and is
        recorded.
        """
        symbols = [Symbol(number, self._ledger.symbols.symbol(number).context) for number in numbers]
        plan = replace(make_plan(symbols, self._settings), requests=tuple(self._request(one) for one in symbols))
        left_usd = self._left_usd()
        documenter = OpenAIDocumenter(
            self._settings,
            self._counter,
            lambda _: NO_NOTES,
            lambda summary, symbol, _: self._ledger.review(symbol.position)(summary, symbol),
            Budget(left_usd, self._ledger.money.full),
        )
        run = generate(Schedule(plan), documenter, self._settings.max_concurrent_requests, lambda _: None)
        try:
            async with contextlib.aclosing(run) as outcomes:
                async for outcome in outcomes:
                    number = outcome.position
                    position, content_hash = self._ledger.symbols.place(number)[1], self._ledger.symbols.hashes[number]
                    yield number, replace(outcome, position=position, content_hash=content_hash)
        except Stopped:
            self._cap_reached = True
        except JobError as error:
            self._fault = error

    def _request(self, symbol: Symbol) -> Request:
        state = self._ledger.state(symbol.position)
        if state.fallback is None:
            return Request((symbol,))
        fallback = replace(state.fallback, usage=NO_USAGE)
        return Request((symbol,), reasons={symbol.position: state.reason}, fallback={symbol.position: fallback})

    # --- The end

    async def _merge_rest(self, failure: str, sentence: str) -> None:
        await self._ledger.merge_rest(failure, sentence)
        if not self._ledger.is_resumable:
            await self._store.remove()
        self._publish_progress()

    def _cap_sentence(self) -> str:
        spent = f"${self._ledger.money.spent_usd:.6f} are spent"
        return f"max_cost_usd of the run ({self._run.max_cost_usd}) is reached: {spent}"

    def _publish_progress(self) -> None:
        money = self._ledger.money
        self._progress.done = replace(self._progress.done, total_tokens=money.tokens, total_cost=money.spent_usd)
        self._progress.shards = self._next_part
        self._progress.in_flight = sum(part.status == "submitted" for part in self._open.values())
        self._progress.note = self._note()
        self._progress.publish()

    def _note(self) -> str:
        if self._cap_reached:
            return f"{self._cap_sentence()}; resume it with a higher --max-cost-usd"
        rows = sum(part.rows for part in self._open.values())
        answered = sum(rows_done for _, rows_done in self._seen.values())
        return f"{answered} of {rows} requests under way are answered" if rows else ""
