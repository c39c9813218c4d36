"""Document a file in this process, as `make run` does, and print a table of summaries.

For people who try the worker: RunPod's own local mode prints a dict. A file that holds more symbols than one job takes
becomes a bulk run. Leaves out: RunPod (`handler.py`), and the bulk command, which documents many files.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from generation.config import Settings
from generation.domain.catalogue import OFFLINE
from generation.domain.limits import MAX_DEADLINE_S, MAX_JOB_SYMBOLS
from generation.domain.outcome import Documented, Outcome
from generation.domain.output import JobOutput, PlannedOutput, ResultsPointer
from generation.domain.usage import cost_usd
from generation.errors import InputError, JobError
from generation.intake.job_input import JobInput, parse_job
from generation.intake.sources import decompressed, read_payload
from generation.job import run_job
from generation.process import stopping_on_signals
from generation.reporting.events import Event, print_event
from generation.results.report import Totals
from generation.storage import check_storage, open_storage

MAX_ROWS = 40
_SYMBOL_WIDTH = 28


def run_file(path: Path, settings: Settings, environ: Mapping[str, str]) -> int:
    """Document the symbols of a file and print them; return the exit code: 0 unless no symbol was documented.

    The file has any form that a job's symbols may have (`intake.sources`). The job has no deadline unless DEADLINE_S
    is set: only the user ends this process. `environ` is for a bulk run, which reads the settings anew.

    The first SIGINT or SIGTERM ends the job in order, with what is done and the exit code 1.
    """
    console = Console()
    outcomes: list[Outcome] = []
    try:
        payload = read_file(path)
        job_id = job_id_of(payload, path)
        job = parse_job(payload, job_id)
        if len(job.symbols or []) > MAX_JOB_SYMBOLS:
            return _run_in_bulk(path, job, environ)
        output, is_stopped = asyncio.run(_run(payload, job_id, settings, outcomes, console))
    except JobError as error:
        console.print(f"{path.name}: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    if output["status"] == "planned":
        console.print_json(data=output)
        return 0
    for part in report(outcomes, output, settings):
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
    return 1 if output["status"] == "failed" or is_stopped else 0


def read_file(path: Path) -> object:
    """Return the payload that a file holds. Raise InputError if it cannot be read or is not JSON."""
    try:
        with path.open("rb") as file, decompressed(file, "the file") as plain:
            return read_payload(plain, "the file")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from None


def job_id_of(payload: object, path: Path) -> str:
    """Return the id of a job that names none: the `id` beside its `input`, else one made of the file's name."""
    if isinstance(payload, dict) and "input" in payload and payload.get("id"):
        return str(payload["id"])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.name.split(".")[0])[:100].strip("-.") or "symbols"


def _run_in_bulk(path: Path, job: JobInput, environ: Mapping[str, str]) -> int:
    """Document a file of more symbols than one job takes, as a bulk run of the job's id and options."""
    from generation.bulk.__main__ import run_command

    if job.previous_results_key is not None:
        advice = "run doctown-bulk with --previous instead"
        raise InputError(f"input.previous_results_key is for files of {MAX_JOB_SYMBOLS:,} symbols at most: {advice}")
    given = job.options.model_dump(exclude_none=True, exclude={"max_cost_usd"})
    arguments = [f"--option={name}={json.dumps(value)}" for name, value in given.items()]
    if job.options.dry_run:
        return run_command(["plan", *arguments, "--", str(path)], environ)
    if job.options.max_cost_usd is not None:
        arguments.append(f"--max-cost-usd={job.options.max_cost_usd}")
    return run_command(["run", "--via=local", f"--run={job.job_id}", *arguments, "--", str(path)], environ)


async def _run(
    payload: object, job_id: str, settings: Settings, outcomes: list[Outcome], console: Console
) -> tuple[JobOutput | PlannedOutput, bool]:
    """Run the job with a progress bar on a terminal, otherwise with its events as JSON lines.

    Return its output, and whether a signal has stopped it.
    """
    if "deadline_s" not in settings.model_fields_set:
        settings = settings.model_copy(update={"deadline_s": MAX_DEADLINE_S})
    emit = _ignore_event if console.is_terminal else print_event
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("documenting", total=None)

        def watch(_job_id: str, outcome: Outcome, totals: Totals) -> None:
            outcomes.append(outcome)
            progress.update(bar, total=totals.total, completed=totals.completed + totals.failed)

        with stopping_on_signals() as stopping:
            await check_storage(open_storage(settings))
            output = await run_job(payload, settings, default_job_id=job_id, emit=emit, watch=watch, stopping=stopping)
            return output, stopping.is_set()


def _ignore_event(event: Event) -> None:
    pass


def report(outcomes: list[Outcome], output: JobOutput, settings: Settings) -> list[Table | str]:
    """Return the printed parts: the table, the totals, where the results are, and next steps."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.position)
    parts: list[Table | str] = [_table(ordered[:MAX_ROWS], settings)]
    if len(ordered) > MAX_ROWS:
        parts.append(f"… and {len(ordered) - MAX_ROWS:,} more in the results.")
    total = f"{output['documented_count']:,} of {len(ordered):,} symbols documented by {output['model']}"
    parts.append(f"{total}: {output['total_tokens']:,} tokens, ${output['total_cost']:.4f}.")
    parts.extend(f"Warning: {warning}" for warning in output["warnings"])
    if output["results"] is not None:
        parts.append(f"Results: {_place(output['results'], settings)}")
    parts.append(_next_steps(settings))
    return parts


def _place(results: ResultsPointer, settings: Settings) -> str:
    """Return where the results are: their URL, their key in the bucket, or their path."""
    if results["bucket"] is None:
        return str(settings.results_dir / results["key"].removeprefix("results/"))
    return results["url"] or f"{results['bucket']}/{results['key']}"


def _table(outcomes: list[Outcome], settings: Settings) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("symbol", width=_SYMBOL_WIDTH, overflow="fold")
    table.add_column("summary", ratio=1, overflow="fold")
    table.add_column("tokens", justify="right")
    table.add_column("cost", justify="right")
    for outcome in outcomes:
        text = Text(outcome.summary if isinstance(outcome, Documented) else f"failed: {outcome.message}")
        cost = f"${cost_usd(outcome.usage, settings.pricing):.4f}"
        table.add_row(Text(outcome.symbol_id), text, f"{outcome.usage.total_tokens:,}", cost)
    return table


def _next_steps(settings: Settings) -> str:
    with_model = "  OPENAI_API_KEY=… make run       have a model write the summaries\n"
    return (
        "Next:\n"
        f"{with_model if settings.model_name == OFFLINE else ''}"
        "  make run FILE=symbols.json      document symbols of your own\n"
        "  make run-service                serve POST /generate on port 8003\n"
        "  docs/input-and-output.md        what goes in and comes out"
    )
