"""The work of `doctown bulk`: reads lists and settings, runs the jobs, and shows what comes of each repository."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from doctown.bulk.engines import Engine, LocalEngine, RunPodEngine
from doctown.bulk.inputs import ListedRepository, read_lists
from doctown.bulk.run import RepositoryRun, Request
from doctown.bulk.state import State, digest_of
from doctown.commands import display
from doctown.commands.options import cache_of
from doctown.errors import ConfigError, SourceError
from doctown.jobs import Caches, find_repository_faults, parse_repository_job
from doctown.jobs.keys import INDEX_KEY
from doctown.parsing.cache import default_folder
from doctown.repository import Limits, Network, newest_commit
from generation import (
    RUN_TTL_S,
    JobError,
    ProcessFigures,
    RunPodApi,
    RunPodSettings,
    Settings,
    check_run_name,
    lease,
    open_storage,
    read_pairs,
    run_lease_key,
)
from generation.domain.catalogue import utc_today

IN_FLIGHT: Mapping[str, int] = {"runpod": 50, "local": 2}
ALL_DONE, SOME_FAILED = 0, 1
# Options of single jobs, and what a run has in their place.
NOT_OPTIONS = dict.fromkeys(("max_cost_usd", "dry_run"), "use --max-cost-usd, or a single job")
KINDS = ("success", "unchanged", "partial", "failed")


async def run_bulk(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command of these arguments; return its exit code. Raise DoctownError or JobError."""
    settings = Settings.from_env(environ)
    job_options = read_options(options.option)
    listed = read_lists(options.lists, job_options)
    name = options.run or f"repositories-{digest_of(listed, job_options)[:12]}"
    check_run_name(name)
    request = Request(
        run=name,
        repositories=listed,
        options=job_options,
        in_flight=options.in_flight or IN_FLIGHT[options.via],
        max_cost_usd=options.max_cost_usd,
        is_forced=options.all,
    )
    storage = open_storage(settings)
    figures = ProcessFigures()
    async with AsyncExitStack() as stack:
        engine = await _engine(options, settings, environ, stack, figures)
        run_of = RepositoryRun(request, storage, engine, _report(as_json=options.json), _looking(environ))
        async with lease(storage, run_lease_key(name), ttl_s=RUN_TTL_S, on_wait=_say_that_it_waits):
            try:
                await run_of.go_on()
            except JobError as error:
                _say(f"the run has stopped: {error}; the same command goes on")
    return _summary(run_of, listed, name, figures if options.json else None)


async def _engine(
    options: argparse.Namespace,
    settings: Settings,
    environ: Mapping[str, str],
    stack: AsyncExitStack,
    figures: ProcessFigures,
) -> Engine:
    if options.via == "local":
        settings.as_of(utc_today()).require_usable_model()
        vectors = None if options.no_cache else options.cache or default_folder()
        return LocalEngine(settings, environ, Caches(cache_of(options), vectors), figures)
    endpoint = RunPodSettings.from_env(environ)
    if not settings.r2_bucket:
        raise ConfigError("RunPod's workers need a bucket to write to: set R2_BUCKET to theirs")
    import aiohttp

    api = RunPodApi(endpoint, await stack.enter_async_context(aiohttp.ClientSession(trust_env=True)))
    return RunPodEngine(api, figures=figures)


def read_options(given: list[str]) -> dict[str, Any]:
    """Return the options of every job, given as NAME=VALUE. Raise ConfigError or InputError for a wrong one."""
    options = read_pairs(given, NOT_OPTIONS)
    _, faults = find_repository_faults({"archive_key": "any.zip", "options": options}, "job")
    if faults:
        raise ConfigError("; ".join(fault.replace("input.options.", "--option ") for fault in faults[:3]))
    return options


def _looking(environ: Mapping[str, str]) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that looks at the newest commit of a repository; None where that cannot be seen from here."""
    limits, network = Limits.from_env(environ), Network.from_env(environ)

    async def look(repository: Mapping[str, Any]) -> str | None:
        git = parse_repository_job({"repository": dict(repository)}, "bulk").git
        assert git is not None  # noqa: S101 - a repository
        try:
            return await asyncio.to_thread(newest_commit, git, limits=limits, environ=environ, network=network)
        except SourceError:
            return None  # the job says why, or sees more than this machine

    return look


def _report(*, as_json: bool) -> Callable[[ListedRepository, State | None, str], None]:
    steps: dict[str, str] = {}

    def report(listed: ListedRepository, state: State | None, step: str) -> None:
        if state is None:
            if steps.get(listed.name) != step and as_json:
                display.print_record({"event": "step", "repository": listed.name, "step": step})
            steps[listed.name] = step
        elif as_json:
            display.print_record({"event": "repository", **record(listed, state)})
        else:
            _print(line_of(listed, state))

    return report


def record(listed: ListedRepository, state: State) -> dict[str, object]:
    """Return what came of a repository as one record."""
    output = state.output
    return {
        "repository": listed.name,
        "place": listed.place,
        "status": state.status,
        "failure": state.failure,
        "message": state.message,
        "spent_usd": state.spent_usd,
        "commit": None if output is None else output["repository"]["commit"],
        "docpack": None if output is None else output["docpack"],
        "documented": None if output is None else output["documented_count"],
        "taken_over": None if output is None else output["taken_over_count"],
        "failed": None if output is None else output["failed_count"],
    }


def line_of(listed: ListedRepository, state: State) -> str:
    """Return what came of a repository as a line of text."""
    output = state.output
    if output is None:
        why = f": {state.message} ({state.failure})" if state.message else ""
        return f"{listed.name} {state.status}{why}"
    taken = f", {output['taken_over_count']:,} of them taken over" if output["taken_over_count"] else ""
    failed = f", {output['failed_count']:,} failed" if output["failed_count"] else ""
    counts = f"{output['documented_count']:,} symbols documented{taken}{failed}"
    return f"{listed.name} {state.status}: {counts}, ${state.spent_usd:.4f}, {output['docpack']['key']}"


def _summary(run_of: RepositoryRun, listed: list[ListedRepository], name: str, figures: ProcessFigures | None) -> int:
    """Print what came of a run, as JSON with the figures of this start where they are given; return the exit code."""
    states = [run_of.states.get(number) for number in range(len(listed))]
    ended = [state for state in states if state is not None and state.has_ended]
    counts = {
        kind: sum(state.status == kind for state in ended) for kind in ("success", "unchanged", "partial", "failed")
    }
    spent_usd = round(sum(state.spent_usd for state in states if state is not None), 6)
    left = len(listed) - len(ended)
    if figures is not None:
        totals = {"repositories": len(listed), **counts, "left": left, "spent_usd": spent_usd, "index": INDEX_KEY}
        display.print_record({"event": "summary", "run": name, **totals, "figures": figures.record()})
    else:
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "none done"
        _print(f"run {name}: {len(listed)} repositories: {said}, {left} left, ${spent_usd:.4f}")
        for one, state in zip(listed, states, strict=True):
            if state is not None and state.status == "failed":
                _print(f"  {one.place}: {line_of(one, state)}")
    return ALL_DONE if counts["success"] + counts["unchanged"] == len(listed) else SOME_FAILED


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command speaks by printing


def _say(sentence: str) -> None:
    print(f"doctown: {sentence}", file=sys.stderr, flush=True)  # noqa: T201


def _say_that_it_waits() -> None:
    _say("another process does this run, or did a minute ago: waiting for it")
