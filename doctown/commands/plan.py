"""`doctown plan SOURCE`: what documenting a repository would cost. It needs no key and buys nothing."""

import argparse
import dataclasses
from collections.abc import Mapping

from doctown.build import Caller, plan_build
from doctown.commands import display
from doctown.commands.build import add_build_arguments, build_options
from doctown.commands.options import cache_of
from doctown.commands.worker import worker_settings

SUMMARY = "Say what documenting a repository would cost."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_build_arguments(parser)


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    worker = worker_settings(options, environ, is_plan=True)
    with display.shown(as_json=options.json) as emit:
        caller = Caller(emit, lambda _estimate: True, environ)
        estimates = plan_build(build_options(options, environ), worker.settings, cache_of(options), caller)
    if options.json:
        costs = {engine: estimate.estimated_cost for engine, estimate in estimates.items()}
        display.print_record({"event": "plan", **dataclasses.asdict(estimates[options.via]), "cost_by_engine": costs})
