"""Starts the engine of a run. An engine is imported when it is needed, since each has libraries of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import date

from generation.bulk.manifest import Run
from generation.bulk.progress import ProgressSink
from generation.config import Settings
from generation.domain.catalogue import utc_today
from generation.figures.process import ProcessFigures
from generation.storage.base import Storage


async def run_engine(  # noqa: PLR0913, PLR0917 - the parameters of every engine, and where they are read from
    run: Run,
    storage: Storage,
    settings: Settings,
    environ: Mapping[str, str],
    report: ProgressSink,
    stopping: asyncio.Event,
    *,
    today: Callable[[], date] = utc_today,
    finish_now: bool = False,
    figures: ProcessFigures | None = None,
) -> None:
    """Run the run's engine, as `progress` defines it; `finish_now` is the batch engine's. Raises JobError.

    `figures` count what the jobs of this start have done; those of the Batch API have none.
    """
    figures = figures or ProcessFigures()
    if run.engine == "runpod":
        from generation.bulk.engines.runpod import engine as runpod_engine
        from generation.bulk.engines.runpod.settings import RunPodSettings

        runpod = RunPodSettings.from_env(environ)
        await runpod_engine.run(run, storage, settings, report, stopping, runpod=runpod, figures=figures)
    elif run.engine == "local":
        from generation.bulk.engines import local as local_engine

        await local_engine.run(run, storage, settings, report, stopping, today=today, figures=figures)
    else:
        from generation.bulk.engines.batch import engine as batch_engine

        waits = batch_engine.DELAYS
        await batch_engine.run(
            run, storage, settings, report, stopping, finish_now=finish_now, waits=waits, today=today
        )
