"""How the summaries of a build are bought: by jobs in this process, on RunPod, or by OpenAI's Batch API.

`Purchase` is one build's: what each engine would cost, buying with the engine that was asked for, and forgetting what
was kept once the pack has its name. A build that was interrupted goes on with the engine that it began with, as only
that one knows what is under way.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from doctown.docpack import Pack
from doctown.documenting import PREVIOUS_FILE, Documenting, kept_in, run_to_end
from doctown.errors import DocumentError, OutputError
from doctown.events import Emit, Event, documented_so_far
from doctown.execution import Execution
from doctown.previous import previous_results
from doctown.summaries import Estimate, Summaries, add_outcome, add_totals
from generation import (
    BATCH_SHARE,
    Codebase,
    CodebaseResults,
    Settings,
    SymbolContext,
    document_codebase,
    engine_settings,
    find_bought,
    forget_codebase,
)
from generation.domain.catalogue import OFFLINE

Engine: TypeAlias = Literal["local", "runpod", "batch"]
ENGINES: tuple[Engine, ...] = ("local", "runpod", "batch")
LEASE_FILE = "lease.json"  # of a job that another build runs
ENGINE_FILE = "engine.json"  # in the work folder: the engine that a build began with

Result = TypeVar("Result")


@dataclass(frozen=True)
class Purchase:
    """The summaries of one build. `work` is its folder for what is kept until the pack has its name.

    `today` decides which models exist; with `renew` every summary is written anew. A build with an `execution` is a job
    of a worker: it buys in this process and keeps what it buys in the worker's store.
    """

    engine: Engine
    contexts: Sequence[SymbolContext]
    job_id: str
    work: Path
    settings: Settings
    environ: Mapping[str, str]
    previous: Pack | None
    today: date
    renew: bool = False
    execution: Execution | None = None

    def estimates(self) -> dict[Engine, Estimate]:
        """Return what each engine would cost after what was bought before an interruption. Raise DocumentError."""
        if self.settings.model_name == OFFLINE:
            return {"local": self.estimate("local")}
        local = self.estimate("local")
        runpod = local if self._interrupted() is None else self.estimate("runpod")
        return {"local": local, "runpod": runpod, "batch": self.estimate("batch")}

    def estimate(self, engine: Engine) -> Estimate:
        """Return what an engine would cost. Raise DocumentError."""
        if self.execution is not None:
            jobs = self._hosted_jobs()
            try:
                return jobs.estimate()
            finally:
                jobs.forget_previous()
        settings = engine_settings(engine, self.settings)
        # Away from a build that may be under way; what it has bought is looked at in a copy.
        with tempfile.TemporaryDirectory(prefix="doctown-") as folder:
            copy = Path(folder, "work")
            if engine == "local" and self.work.is_dir():
                shutil.copytree(self.work, copy, ignore=shutil.ignore_patterns(LEASE_FILE))
            previous = self._previous(engine, self._bought(engine))
            found = self._jobs(copy, settings, previous).estimate()
        share = BATCH_SHARE if engine == "batch" else 1.0
        return dataclasses.replace(found, estimated_cost=round(found.estimated_cost * share, 6))

    def run(self, estimate: Estimate, hashes: Mapping[str, str], emit: Emit) -> Summaries:
        """Buy the summaries; `hashes` are those of the symbols' sources, by id. Raise DocumentError or OutputError."""
        if self.execution is not None:
            self.execution.begin_to_buy()
            return self._hosted_jobs().run(hashes, emit)
        self._begin()
        if self.engine == "local":
            previous = None if self.previous is None else self._previous("local", [])
            return self._jobs(self.work, self.settings, previous).run(hashes, emit)
        cap_usd = self.settings.max_cost_usd
        if cap_usd is not None and estimate.estimated_cost > cap_usd:
            raise DocumentError(
                f"the estimated cost of ${estimate.estimated_cost:.4f} is above max_cost_usd ({cap_usd}): raise it, "
                "lower max_symbols or raise min_centrality"
            )
        return self._of_run(run_to_end(self._document(emit)), hashes)

    def forget(self) -> None:
        """Remove what was kept. Raise DocumentError where the bucket cannot be reached."""
        if self.execution is not None:
            self._jobs(self.work, self.settings, None).forget()
        if self.engine == "runpod":
            run_to_end(forget_codebase(self.job_id, self.settings))
        shutil.rmtree(self.work, ignore_errors=True)

    def _jobs(self, work: Path, settings: Settings, previous: Mapping[str, object] | None) -> Documenting:
        return Documenting(
            self.contexts,
            self.job_id,
            work,
            settings,
            previous,
            today=self.today,
            renew=self.renew,
            execution=self.execution,
        )

    def _hosted_jobs(self) -> Documenting:
        previous = None if self.previous is None else self._previous("local", [])
        return self._jobs(self.work, self.settings, previous)

    def _begin(self) -> None:
        """Note the engine. Raise DocumentError where the build began with another one."""
        began = self._interrupted()
        if began not in {None, self.engine}:
            raise DocumentError(
                f"An interrupted build has bought summaries with --via {began}: give it again to go on, or remove "
                f"{str(self.work)!a} to lose them"
            )
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            (self.work / ENGINE_FILE).write_text(json.dumps(self.engine), encoding="ascii")
        except OSError as error:
            raise OutputError(f"The folder {str(self.work)!a} cannot be written to ({error.strerror})") from None

    def _interrupted(self) -> str | None:
        """Return the engine by which an interrupted build may have bought something, None where there is none."""
        file = self.work / ENGINE_FILE
        began = str(json.loads(file.read_text(encoding="ascii"))) if file.exists() else None
        if began == "local":
            own = {ENGINE_FILE, PREVIOUS_FILE, LEASE_FILE}
            return began if any(one.is_file() and one.name not in own for one in self.work.rglob("*")) else None
        if began == "batch":
            return began if any(self.work.glob("bulk/*/batch/parts/*")) else None
        return began

    def _previous(self, engine: Engine, bought: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if self.previous is None or self.renew:
            return {"documented_symbols": list(bought), "failed_symbols": []}
        found = previous_results(self.previous, self.contexts, self.settings, engine)
        records = {one["symbol_id"]: one for one in [*found["documented_symbols"], *bought]}
        return {**found, "documented_symbols": list(records.values())}

    def _codebase(self) -> Codebase:
        engine: Literal["runpod", "batch"] = "batch" if self.engine == "batch" else "runpod"
        return Codebase(self.job_id, engine, self.contexts, self._previous(engine, []))

    def _store(self, engine: Engine) -> Settings:
        """Return the settings of where a run is kept: the workers' bucket, or the work folder."""
        return self.settings if engine == "runpod" else kept_in(self.work, self.settings)

    def _bought(self, engine: Engine) -> list[dict[str, Any]]:
        if engine == "local" or self._interrupted() != engine:
            return []
        return run_to_end(find_bought(Codebase(self.job_id, engine, self.contexts), self._store(engine)))

    async def _document(self, emit: Emit) -> CodebaseResults:
        return await document_codebase(
            self._codebase(),
            self._store(self.engine),
            self.environ,
            report=lambda now: emit(
                documented_so_far(now.counts.done, len(self.contexts), now.counts.failed, now.counts.total_cost)
            ),
            notify=lambda sentence: emit(Event("note", sentence)),
            today=lambda: self.today,
        )

    def _of_run(self, results: CodebaseResults, hashes: Mapping[str, str]) -> Summaries:
        summaries = Summaries()
        for outcome in results.outcomes:
            add_outcome(summaries, outcome, hashes)
        usage = dataclasses.asdict(results.usage)
        add_totals(summaries, usage, results.total_cost, results.checks, results.warnings)
        return summaries
