"""The summaries of a build, bought through `generation`: what they would cost, and what came of each symbol.

A build's symbols go to the worker in jobs of at most 50,000. A job keeps what it has paid in the build's work folder,
under an id that is the same when the build is run again, so that nothing is paid twice; summaries of an earlier pack
are handed to it as the results of an earlier job. Leaves out which symbols, and what the worker is told of them.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from doctown.docpack import Pack
from doctown.docpack.schema import CheckCounts, Documentation, Failure, SummaryChecks, TokenUsage
from doctown.errors import DocumentError, OutputError
from doctown.telling import Event, Tell
from generation import JobError, JobOptions, JobRequest, Settings, SymbolContext, cancelled_on_signals, document
from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Documented, Failed, Outcome
from generation.domain.output import JobOutput, PlannedOutput

# A week: a build ends when it is done, not when a worker's time is up.
BUILD_DEADLINE_S = 7 * 24 * 3600.0
PREVIOUS_KEY = "results/previous.json"
# Not chosen because of max_symbols: no failure, and not worth a line for each.
NOT_SELECTED = "not_selected"
MAX_TOLD_FAILURES = 5
# A job whose estimate does not fit what the jobs before it have left.
ESTIMATE_ABOVE_CAP = "estimate_above_cap"
# Of an output that is only too large to list all symbols: they are known already.
LISTS_LEFT_OUT = "the symbols are left out of this output"

Result = TypeVar("Result")

_R2_SETTINGS = (
    "r2_account_id",
    "r2_access_key_id",
    "r2_secret_access_key",
    "r2_bucket",
    "r2_endpoint_url",
    "r2_public_base_url",
)


@dataclass(frozen=True)
class Estimate:
    """What the summaries would take: symbols by what happens to them and by size, and tokens and US dollars."""

    model: str
    symbols: int = 0
    known_symbols: int = 0
    offline_symbols: int = 0
    left_out_symbols: int = 0
    large_symbols: int = 0
    medium_symbols: int = 0
    small_symbols: int = 0
    requests: int = 0
    estimated_input_tokens: int = 0
    estimated_output_tokens: int = 0
    estimated_cost: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass
class Summaries:
    """What came of the symbols, by id, and what it took."""

    documentation: dict[str, Documentation] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    usage: Counter[str] = field(default_factory=Counter)
    total_cost: float = 0.0
    checks: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    taken_over: int = 0
    left_out: int = 0

    @property
    def token_usage(self) -> TokenUsage:
        """The tokens and requests as a pack has them."""
        return {
            "input_tokens": self.usage["input_tokens"],
            "cached_input_tokens": self.usage["cached_input_tokens"],
            "output_tokens": self.usage["output_tokens"],
            "reasoning_tokens": self.usage["reasoning_tokens"],
            "requests": self.usage["requests"],
            "retries": self.usage["retries"],
        }

    @property
    def check_counts(self) -> CheckCounts:
        """How the summaries fared in their checks, as a pack has it."""
        return {
            "checked": self.checks["checked"],
            "passed_all": self.checks["passed_all"],
            "findings": dict(sorted(self.findings.items())),
        }


class Job(NamedTuple):
    """One job of a build: its id and its symbols."""

    job_id: str
    contexts: Sequence[SymbolContext]


class Documenting:
    """The jobs of one build."""

    def __init__(  # noqa: PLR0913 - what a build knows
        self,
        contexts: Sequence[SymbolContext],
        job_id: str,
        work: Path,
        settings: Settings,
        previous: Pack | None,
        *,
        today: date,
        renew: bool = False,
    ) -> None:
        self._today = today
        self._renew = renew
        self._jobs = split(contexts, job_id)
        self._work = work
        # Not in the bucket: a build that ends removes what it has kept, and counts nothing that an earlier one paid.
        here: dict[str, object] = dict.fromkeys(_R2_SETTINGS)
        self._settings = settings.model_copy(update={**here, "results_dir": work, "deadline_s": BUILD_DEADLINE_S})
        self._previous_key = None if previous is None else PREVIOUS_KEY
        if previous is not None:
            _write(work / PREVIOUS_KEY.removeprefix("results/"), previous_results(previous))

    def estimate(self) -> Estimate:
        """Return what the jobs would cost. Raise DocumentError."""
        return _run(self._estimate())

    def run(self, hashes: Mapping[str, str], tell: Tell) -> Summaries:
        """Write the summaries; `hashes` are those of the symbols' sources, by id. Raise DocumentError."""
        return _run(self._document(hashes, tell))

    async def _estimate(self) -> Estimate:
        counts: Counter[str] = Counter()
        cost_usd, warnings = 0.0, []
        for job in self._jobs:
            output = await self._call(job, JobOptions(dry_run=True, renew=self._renew), Summaries(), {}, lambda _: None)
            if output["status"] == "planned":
                counts.update({name: value for name, value in output["plan"].items() if isinstance(value, int)})
                cost_usd += output["plan"]["estimated_cost"]
                warnings += output["warnings"]
        counts.pop("estimated_cost", None)
        return Estimate(
            self._settings.model_name,
            **counts,
            estimated_cost=round(cost_usd, 6),
            warnings=tuple(dict.fromkeys(warnings)),
        )

    async def _document(self, hashes: Mapping[str, str], tell: Tell) -> Summaries:
        summaries = Summaries()
        for number, job in enumerate(self._jobs):
            options = self._rest(number, summaries)
            if options is None:
                summaries.left_out += len(job.contexts)
                continue
            try:
                output = await self._call(job, options, summaries, hashes, tell)
            except JobError as error:
                if not number or error.failure != ESTIMATE_ABOVE_CAP:
                    raise
                # What the jobs before it have bought stays.
                summaries.left_out += len(job.contexts)
                continue
            if output["status"] != "planned":
                _add_totals(summaries, output)
        return summaries

    def _rest(self, number: int, summaries: Summaries) -> JobOptions | None:
        """Return what is left of the caps for the job of this number, None where nothing is."""
        max_symbols, max_cost_usd = self._settings.max_symbols, self._settings.max_cost_usd
        if max_symbols is not None and number:
            max_symbols -= number * MAX_JOB_SYMBOLS
        if max_cost_usd is not None and number:
            max_cost_usd -= summaries.total_cost
        if (max_symbols is not None and max_symbols <= 0) or (max_cost_usd is not None and max_cost_usd <= 0):
            return None
        return JobOptions(max_symbols=max_symbols, max_cost_usd=max_cost_usd, renew=self._renew)

    async def _call(
        self, job: Job, options: JobOptions, summaries: Summaries, hashes: Mapping[str, str], tell: Tell
    ) -> JobOutput | PlannedOutput:
        request = JobRequest(job.job_id, options, self._previous_key)
        total = sum(len(one.contexts) for one in self._jobs)

        def watch(_job_id: str, outcome: Outcome, totals: object) -> None:
            _add(summaries, outcome, hashes)
            done = len(summaries.documentation) + len(summaries.failures) + summaries.left_out
            cost = summaries.total_cost + float(getattr(totals, "total_cost", 0.0))
            data = {"name": "document", "done": done, "total": total, "failed": len(summaries.failures)}
            said = f"document {done:,}/{total:,}, {len(summaries.failures):,} failed, ${cost:.4f}"
            tell(Event("progress", said, {**data, "total_cost": cost}))

        return await document(
            request,
            job.contexts,
            self._settings,
            emit=lambda _event: None,
            watch=watch,
            today=lambda: self._today,
        )


def split(contexts: Sequence[SymbolContext], job_id: str, most: int = MAX_JOB_SYMBOLS) -> list[Job]:
    """Return the jobs for these symbols; where there are several, the most central symbols are in the first."""
    if len(contexts) <= most:
        return [Job(job_id, contexts)] if contexts else []
    ordered = sorted(contexts, key=lambda context: -(context.centrality or 0.0))
    return [
        Job(f"{job_id}-{number}", ordered[start : start + most])
        for number, start in enumerate(range(0, len(ordered), most), start=1)
    ]


def previous_results(pack: Pack) -> dict[str, object]:
    """Return the summaries of a pack in the form of a job's results, for the worker to take over."""
    model = pack.manifest["documentation"]["model"]
    return {"model": model, "documented_symbols": list(_previous_records(pack)), "failed_symbols": []}


def failure_lines(failures: Mapping[str, Failure]) -> Iterator[str]:
    """Yield a line for each of the first symbols that failed."""
    for symbol_id, failure in list(failures.items())[:MAX_TOLD_FAILURES]:
        yield f"failed: {symbol_id}: {failure['message']} ({failure['failure']})"
    if len(failures) > MAX_TOLD_FAILURES:
        yield f"and {len(failures) - MAX_TOLD_FAILURES:,} more failed"


def _previous_records(pack: Pack) -> Iterator[dict[str, object]]:
    for node in pack.nodes:
        documentation = node["documentation"]
        if documentation is not None:
            checks = documentation["checks"]
            yield {
                "symbol_id": node["id"],
                "summary": documentation["summary"],
                "source": documentation["source"],
                "content_hash": documentation["content_hash"],
                "checks": {"passed": checks["passed"], "findings": checks["findings"]},
            }


def _add(summaries: Summaries, outcome: Outcome, hashes: Mapping[str, str]) -> None:
    if isinstance(outcome, Documented):
        summaries.documentation[outcome.symbol_id] = {
            "summary": outcome.summary,
            "source": outcome.source,
            "content_hash": outcome.content_hash,
            "checks": _checks(outcome, hashes.get(outcome.symbol_id)),
        }
        summaries.taken_over += outcome.source == "previous"
    elif outcome.failure == NOT_SELECTED:
        summaries.left_out += 1
    else:
        _add_failure(summaries, outcome)


def _add_failure(summaries: Summaries, outcome: Failed) -> None:
    summaries.failures[outcome.symbol_id] = {"failure": outcome.failure, "message": outcome.message or "no reason"}


def _checks(outcome: Documented, source_hash: str | None) -> SummaryChecks:
    found = outcome.checks
    checks: SummaryChecks = {
        "passed": [] if found is None else list(found.passed),
        "findings": []
        if found is None
        else [{"check": one.check, "hard": one.hard, "reason": one.reason} for one in found.findings],
    }
    if source_hash is not None:
        checks["source_hash"] = source_hash
    return checks


def _add_totals(summaries: Summaries, output: JobOutput) -> None:
    summaries.usage.update(
        {name: int(count) for name, count in dict(output["usage"]).items() if isinstance(count, int)}
    )
    summaries.total_cost = round(summaries.total_cost + output["total_cost"], 6)
    summaries.checks.update(checked=output["checks"]["checked"], passed_all=output["checks"]["passed_all"])
    summaries.findings.update(output["checks"]["findings"])
    summaries.warnings += [one for one in output["warnings"] if not one.startswith(LISTS_LEFT_OUT)]


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the worker to its end. Raise DocumentError, in its sentence."""
    try:
        return asyncio.run(cancelled_on_signals(work))
    except JobError as error:
        raise DocumentError(str(error)) from None


def _write(path: Path, value: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"The file {str(path)!a} cannot be written ({error.strerror}): make room for it") from None
