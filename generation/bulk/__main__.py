"""The command `doctown-bulk`, or `python -m generation.bulk`: documents whole collections of codebases.

It reads the arguments and the environment, runs an engine, and reports progress and errors on standard error and the
summary on standard output; with --json, progress and summary on standard output, as JSON lines. The exit status is 0 if
every symbol is documented, 1 if some are not, 2 if nothing ran, and 130 after a second Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import shtab
from pydantic import ValidationError

import generation
from generation.bulk import display
from generation.bulk import estimate as planning
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.engines.start import run_engine
from generation.bulk.inputs import find_sources, previous_warning
from generation.bulk.manifest import (
    IN_FLIGHT,
    SHARD_SIZES,
    Run,
    Source,
    check_run_name,
    load_run,
    save_new_run,
    save_run,
)
from generation.bulk.report.figures import read_figures
from generation.bulk.report.page import run_page
from generation.bulk.report.timeline import recorded
from generation.bulk.status import Survey, survey
from generation.command_line import CommandParser, dollars, prepare_environment, read_pairs, whole_number
from generation.config import Settings
from generation.domain.catalogue import utc_today
from generation.domain.output import Stats
from generation.errors import ConfigError, InputError, JobError
from generation.figures.process import ProcessFigures
from generation.intake.faults import describe_fault
from generation.intake.job_input import JobOptions
from generation.logs import set_up_logging
from generation.pages.html import render_page
from generation.process import cancelled_on_signals, protect_streams, stopping_on_signals
from generation.storage import open_storage
from generation.storage.base import Storage
from generation.storage.keys import run_lease_key
from generation.storage.lease import RUN_TTL_S, lease

ALL_DOCUMENTED, SOME_FAILED, NOTHING_RAN = 0, 1, 2
ENGINES = ("runpod", "batch", "local")
# The limit of one job.
MAX_SHARD_SIZE = 50_000
MAX_IN_FLIGHT = 1_000
# Job options that are not allowed in a run: the run sets them itself, or they would apply to each shard separately.
NOT_OPTIONS = {"max_cost_usd": "use --max-cost-usd", "max_symbols": "it is for single jobs", "dry_run": "use plan"}


@dataclass(frozen=True)
class CommandContext:
    """What every subcommand needs: the arguments, the environment, the settings read from it, and the store."""

    arguments: argparse.Namespace
    environ: Mapping[str, str]
    settings: Settings
    storage: Storage
    today: Callable[[], date] = utc_today


def main() -> None:
    """Run the subcommand and exit with its status."""
    protect_streams()
    for warning in prepare_environment(os.environ):
        print_status(f"warning: {warning}")
    sys.exit(run_command(sys.argv[1:], os.environ))


def run_command(command_line: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a subcommand with the settings of an environment; return the exit status."""
    arguments = parser().parse_args(command_line)
    set_up_logging(environ.get("LOG_LEVEL") or "WARNING")
    try:
        settings = Settings.from_env(environ)
        context = CommandContext(arguments, environ, settings, open_storage(settings))
        return asyncio.run(cancelled_on_signals(COMMANDS[arguments.command](context)))
    except JobError as error:
        print_status(f"{error}")
        return NOTHING_RAN
    except KeyboardInterrupt:
        return SOME_FAILED


def print_status(line: str) -> None:
    """Print a status message to standard error: standard output is reserved for the command's result."""
    print(f"bulk: {line}", file=sys.stderr, flush=True)  # noqa: T201 - output of a command


def print_line(line: str) -> None:
    """Print a line of the command's result to standard output, which `main` protects from readers that go away."""
    print(line, flush=True)  # noqa: T201 - as above


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = CommandParser(
        prog=command_name(),
        description="Document whole collections of codebases.\n"
        "Ends with 0 if every symbol is documented, 1 if some are not, 2 if nothing ran.",
        epilog=_EXAMPLES.format(command=command_name()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"%(prog)s {generation.__version__}")
    shtab.add_argument_to(result, "--print-completion", help="print the completion script of a shell")
    commands = result.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="document sources; the same --run goes on where it was stopped")
    _add_sources(run)
    run.add_argument("--via", choices=ENGINES, required=True, help="who documents the symbols")
    run.add_argument("--run", metavar="NAME", help="name of the run; default: by date and time")
    run.add_argument(
        "--shard-size",
        type=whole_number(MAX_SHARD_SIZE),
        metavar="N",
        help=f"symbols of a job (default: {_defaults(SHARD_SIZES)})",
    )
    run.add_argument("--webhook", metavar="URL", help="called by RunPod for each job that has ended")
    resume = commands.add_parser("resume", help="go on with a run that was stopped, killed or has failed symbols")
    for command in (run, resume):
        command.add_argument(
            "--in-flight",
            type=whole_number(MAX_IN_FLIGHT),
            metavar="N",
            help=f"jobs at once (default: {_defaults(IN_FLIGHT)})",
        )
        command.add_argument(
            "--max-cost-usd", type=dollars, metavar="X", help="spend no more than this on the whole run"
        )
        command.add_argument(
            "--finish-now", action="store_true", help="batch: ask at full price for what no batch has answered yet"
        )
    _add_sources(commands.add_parser("plan", help="what a run would cost; buys nothing and stores nothing"))
    status = commands.add_parser("status", help="how far a run is")
    report = commands.add_parser("report", help="write a run as an HTML page, or two runs side by side")
    cancel = commands.add_parser("cancel", help="cancel what a run has under way; resume goes on")
    for command in (resume, status, cancel, report):
        command.add_argument("run", metavar="RUN", help="name of the run")
    report.add_argument("other", nargs="?", metavar="OTHER", help="a second run, to stand beside the first")
    report.add_argument("--output", type=Path, metavar="FILE", help="default: RUN.html, or RUN-and-OTHER.html")
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="JSON lines on standard output")
    return result


_EXAMPLES = """examples:
  What it would cost; buys nothing:
    {command} plan contexts/
  Document it; see how far it is, and what failed; go on, or ask again:
    {command} run contexts/ --via local --run first
    {command} status first
    {command} resume first
  Write first.html, with cost, latency, failures and checks:
    {command} report first
  Half price, and only what has changed:
    {command} run contexts/ --via batch --previous results/first
"""


def command_name() -> str:
    """Return what the user types to run this command: the installed script, or the module."""
    is_script = Path(sys.argv[0]).name == "doctown-bulk"
    return "doctown-bulk" if is_script else "python -m generation.bulk"


def _defaults(by_engine: Mapping[str, int]) -> str:
    return ", ".join(f"{engine} {number:,}" for engine, number in by_engine.items())


def _add_sources(command: argparse.ArgumentParser) -> None:
    command.add_argument("sources", nargs="+", metavar="SOURCE", help="file, folder, key, or prefix that ends in /")
    command.add_argument("--previous", metavar="PREFIX", help="earlier results: PREFIX, the source's name, .json")
    command.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the jobs, such as model"
    )


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return the job options given as NAME=VALUE. Raises InputError where one is unknown or invalid."""
    options = read_pairs(given, NOT_OPTIONS)
    try:
        JobOptions.model_validate(options)
    except ValidationError as error:
        raise InputError(
            "; ".join(describe_fault("--option", fault, JobOptions.model_fields) for fault in error.errors()[:3])
        ) from None
    return options


async def _run(context: CommandContext) -> int:
    """Start a new run, or continue one of the same name, sources and options."""
    run = await _asked_for(context)
    if await save_new_run(context.storage, run):
        print_status(f"run {run.name}: {display.counted(len(run.sources), 'source')} via {run.engine}")
        return await _go_on(context, run)
    there = await _stored_run(context)
    if _as_new(there) != _as_new(run):
        raise InputError(f"there is a run {run.name} of other sources or options: resume it, or use another --run")
    return await _go_on(context, await _with_changes(context, there))


def _as_new(run: Run) -> Run:
    """Return the run with the fields that may change between starts reset to fixed values."""
    return replace(run, in_flight=1, max_cost_usd=None)


async def _asked_for(context: CommandContext) -> Run:
    arguments = context.arguments
    name = arguments.run or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    arguments.run = name
    check_run_name(name)
    if arguments.via == "runpod":
        RunPodSettings.from_env(context.environ)
    options = read_options(arguments.option)
    planning.with_options(context.settings.as_of(context.today()), options, needs_key=arguments.via != "runpod")
    return Run(
        name=name,
        engine=arguments.via,
        sources=tuple(await _sources(context)),
        options=options,
        shard_size=arguments.shard_size or SHARD_SIZES[arguments.via],
        in_flight=arguments.in_flight or IN_FLIGHT[arguments.via],
        max_cost_usd=arguments.max_cost_usd,
        webhook=arguments.webhook,
    )


async def _sources(context: CommandContext) -> list[Source]:
    """Return the sources of `run` and `plan`; warn where their earlier results are missing."""
    arguments = context.arguments
    sources = await find_sources(arguments.sources, context.storage, arguments.previous)
    if warning := previous_warning(sources, arguments.previous):
        print_status(f"warning: {warning}")
    return sources


async def _stored_run(context: CommandContext, name: str | None = None) -> Run:
    """Return the run of this name, or that of the arguments."""
    name = name or context.arguments.run
    check_run_name(name)
    run = await load_run(context.storage, name)
    if run is None:
        raise InputError(f"there is no run {name} in this store")
    return run


async def _with_changes(context: CommandContext, run: Run) -> Run:
    """Return the run with the --in-flight and --max-cost-usd of this start, saved where they differ."""
    arguments = context.arguments
    changed = replace(
        run,
        in_flight=arguments.in_flight or run.in_flight,
        max_cost_usd=arguments.max_cost_usd or run.max_cost_usd,
    )
    if changed != run:
        await save_run(context.storage, changed)
    return changed


async def _resume(context: CommandContext) -> int:
    return await _go_on(context, await _with_changes(context, await _stored_run(context)))


async def _go_on(context: CommandContext, run: Run) -> int:
    """Run the engine until the run has ended or is stopped, print the summary and return the exit status."""
    settings = context.settings.as_of(context.today())
    # Of a run on RunPod only the workers ask a model.
    settings = planning.with_options(settings, run.options, needs_key=run.engine != "runpod")
    with stopping_on_signals() as stopping:
        return await _run_until_stopped(context, run, settings, stopping)


async def _run_until_stopped(context: CommandContext, run: Run, settings: Settings, stopping: asyncio.Event) -> int:
    warnings = settings.model_warnings(context.today())
    for warning in warnings:
        print_status(warning)
    figures = ProcessFigures()
    try:
        with display.shown(sys.stderr, print_line if context.arguments.json else None) as show:
            async with (
                lease(context.storage, run_lease_key(run.name), ttl_s=RUN_TTL_S, on_wait=_say_that_it_waits),
                recorded(show, context.storage, run.name) as report,
            ):
                await run_engine(
                    run,
                    context.storage,
                    settings,
                    context.environ,
                    report,
                    stopping,
                    today=context.today,
                    finish_now=context.arguments.finish_now,
                    figures=figures,
                )
    except JobError as error:
        print_status(f"{error}")
        found = await survey(run, context.storage)
        if isinstance(error, (ConfigError, InputError)) and not found.counts.documented:
            return NOTHING_RAN
    else:
        found = await survey(run, context.storage)
    if stopping.is_set():
        print_status(f"stopped; to go on: {command_name()} resume {run.name}")
    _print_survey(context, found, warnings, figures.record())
    return ALL_DOCUMENTED if found.is_complete else SOME_FAILED


def _say_that_it_waits() -> None:
    print_status(f"another coordinator is at work on this run, or was until {RUN_TTL_S:.0f} s ago: waiting for it")


async def _status(context: CommandContext) -> int:
    run = await _stored_run(context)
    found = await survey(run, context.storage)
    settings = planning.with_options(context.settings.as_of(context.today()), run.options, needs_key=False)
    _print_survey(context, found, settings.model_warnings(context.today()))
    return ALL_DOCUMENTED if found.is_complete else SOME_FAILED


def _print_survey(
    context: CommandContext, found: Survey, warnings: Sequence[str], figures: Stats | None = None
) -> None:
    """Print the state of a run; at its end, as JSON, with the figures of this start."""
    if context.arguments.json:
        counted = {} if figures is None else {"figures": figures}
        print_line(json.dumps({**found.as_record(), **counted, "warnings": list(warnings)}))
        return
    key = f"results/{found.run}/"
    place = (
        f"{context.storage.bucket}/{key}" if context.storage.bucket else str(context.settings.results_dir / found.run)
    )
    told = display.summary_lines(found, place, command_name())
    for line in (*told, *(f"  warning: {warning}" for warning in warnings)):
        print_line(line)


async def _cancel(context: CommandContext) -> int:
    run = await _stored_run(context)
    if run.engine == "runpod":
        from generation.bulk.engines.runpod import engine as runpod_engine

        found = await runpod_engine.cancel(run, context.storage, RunPodSettings.from_env(context.environ))
        jobs = display.counted(found.jobs - len(found.errors), "job")
        go_on = f"to go on: {command_name()} resume {run.name}"
        print_line(f"run {run.name}: {jobs} cancelled, as far as they had not ended; {go_on}")
        if found.errors:
            print_status(f"{len(found.errors)} of {found.jobs} jobs could not be cancelled: {found.errors[0]}")
        return SOME_FAILED if found.errors else ALL_DOCUMENTED
    if run.engine == "batch":
        from generation.bulk.engines.batch import engine as batch_engine

        settings = context.settings.as_of(context.today())
        settings.require_usable_model()
        with display.shown(sys.stderr, print_line if context.arguments.json else None) as report:
            count = await batch_engine.cancel(run, context.storage, settings, report)
        batches = display.counted(count, "batch", "es")
        print_line(f"run {run.name}: {batches} cancelled; to go on: {command_name()} resume {run.name}")
        return ALL_DOCUMENTED
    go_on = f"to go on: {command_name()} resume {run.name}"
    raise InputError(f"run {run.name} is local: stop its process (Ctrl-C, or SIGTERM); {go_on}")


async def _plan(context: CommandContext) -> int:
    arguments = context.arguments
    options, today = read_options(arguments.option), context.today()
    settings = planning.with_options(context.settings.as_of(today), options, needs_key=False)
    warnings = settings.model_warnings(today)
    renew = bool(options.get("renew"))
    sources = await _sources(context)
    plans = [
        await planning.plan_source(source, context.storage, settings, renew=renew, today=today) for source in sources
    ]
    if arguments.json:
        for plan in plans:
            costs = {"runpod": plan.cost_usd, "local": plan.cost_usd, "batch": plan.cost_usd * planning.BATCH_SHARE}
            record = {"type": "bulk.plan.v1", **asdict(plan), "cost_usd": costs, "warnings": warnings}
            print_line(json.dumps(record))
    else:
        for line in (*display.plan_lines(plans), *(f"warning: {warning}" for warning in warnings)):
            print_line(line)
    return SOME_FAILED if any(plan.fault for plan in plans) else ALL_DOCUMENTED


async def _report(context: CommandContext) -> int:
    arguments = context.arguments
    runs = [await _stored_run(context, name) for name in (arguments.run, arguments.other) if name]
    page = run_page([await read_figures(run, context.storage) for run in runs])
    path = arguments.output or Path(f"{'-and-'.join(run.name for run in runs)}.html")
    try:
        await asyncio.to_thread(path.write_bytes, render_page(page))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): name another file with --output") from None
    print_line(json.dumps({"type": "bulk.report.v1", "file": str(path)}) if arguments.json else f"report: {path}")
    return ALL_DOCUMENTED


COMMANDS = {"run": _run, "resume": _resume, "status": _status, "report": _report, "cancel": _cancel, "plan": _plan}

if __name__ == "__main__":
    main()
