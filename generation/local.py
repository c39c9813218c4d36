"""One job of a file in this process, as `make run` does it: a table of summaries, and where the results are.

For people who try the worker: what RunPod's own local mode prints is a dict. Leaves out: RunPod (`handler.py`), and
the bulk command, which documents many files.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from generation.config import Settings
from generation.domain.catalogue import OFFLINE
from generation.domain.outcome import Documented, Outcome
from generation.domain.output import JobOutput, PlannedOutput
from generation.domain.usage import cost_usd
from generation.errors import InputError, JobError
from generation.job import run_job
from generation.reporting.events import Event, print_event
from generation.results.report import Totals
from generation.storage import check_storage, open_storage

MAX_ROWS = 40
_SYMBOL_WIDTH = 28


def run_file(path: Path, settings: Settings) -> int:
    """Document the symbols of a file and print them; return the exit code: 0 unless no symbol was documented.

    The file holds `{"input": {"symbols": …}}`, as RunPod takes it, or what is inside of `input`.
    """
    console = Console()
    outcomes: list[Outcome] = []
    try:
        payload, job_id = read_payload(path)
        output = asyncio.run(_run(payload, job_id, settings, outcomes, console))
    except JobError as error:
        console.print(f"{path.name}: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    if output["status"] == "planned":
        console.print_json(data=output)
        return 0
    for part in report(outcomes, output, settings):
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
    return 1 if output["status"] == "failed" else 0


def read_payload(path: Path) -> tuple[object, str]:
    """Return the job input in a file, and the id of a job that names none. Raises InputError for what is no JSON."""
    try:
        document: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: line {error.lineno}, column {error.colno} is where it goes wrong") from None
    except (ValueError, RecursionError):
        raise InputError("is not JSON in UTF-8") from None
    if isinstance(document, dict) and "input" in document:
        return document["input"], str(document.get("id") or path.stem)
    return document, path.stem


async def _run(
    payload: object, job_id: str, settings: Settings, outcomes: list[Outcome], console: Console
) -> JobOutput | PlannedOutput:
    """Run the job: with a bar on a terminal, else with its events as JSON lines, as every worker prints them."""
    await check_storage(open_storage(settings))
    emit = _ignore_event if console.is_terminal else print_event
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("documenting", total=None)

        def watch(_job_id: str, outcome: Outcome, totals: Totals) -> None:
            outcomes.append(outcome)
            progress.update(bar, total=totals.total, completed=totals.completed + totals.failed)

        return await run_job(payload, settings, default_job_id=job_id, emit=emit, watch=watch)


def _ignore_event(event: Event) -> None:
    pass


def report(outcomes: list[Outcome], output: JobOutput, settings: Settings) -> list[Table | str]:
    """Return what is printed of a job: the table, the totals, where the results are, and what to try next."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.position)
    parts: list[Table | str] = [_table(ordered[:MAX_ROWS], settings)]
    if len(ordered) > MAX_ROWS:
        parts.append(f"… and {len(ordered) - MAX_ROWS:,} more in the results.")
    total = f"{output['documented_count']:,} of {len(ordered):,} symbols documented by {output['model']}"
    parts.append(f"{total}: {output['total_tokens']:,} tokens, ${output['total_cost']:.4f}.")
    parts.extend(f"Warning: {warning}" for warning in output["warnings"])
    if output["results"] is not None:
        parts.append(f"Results: {output['results']['url'] or output['results']['key']}")
    parts.append(_next_steps(settings))
    return parts


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
