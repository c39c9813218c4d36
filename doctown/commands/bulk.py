"""`doctown bulk LIST`: document the repositories of a list, each by a job of its own, and keep the index of packs."""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

from doctown.errors import ConfigError
from generation import JobError, cancelled_on_signals, dollars, whole_number

SUMMARY = "Document the repositories of a list, each by a job of its own."
MAX_IN_FLIGHT = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "lists",
        nargs="+",
        type=Path,
        metavar="LIST",
        help="a URL a line, or an object with url, ref and subdir",
    )
    parser.add_argument("--via", choices=("runpod", "local"), required=True, help="who does the jobs")
    parser.add_argument("--run", metavar="NAME", help="name of the run (default: by what is in the lists)")
    parser.add_argument(
        "--in-flight", type=whole_number(MAX_IN_FLIGHT), metavar="N", help="jobs at once (default: runpod 50, local 2)"
    )
    parser.add_argument("--max-cost-usd", type=dollars, metavar="X", help="spend no more than this on the whole run")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of every job, such as model"
    )
    parser.add_argument("--all", action="store_true", help="build what has not changed too")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache", type=Path, metavar="FOLDER", help="local: of what was parsed before")
    cache.add_argument("--no-cache", action="store_true", help="local: parse everything anew and keep nothing")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command; return 0 where every repository has its pack, 1 where some have not. Raise DoctownError."""
    # Imported here: no other command needs the client of RunPod's API.
    from doctown.bulk.command import run_bulk

    try:
        return asyncio.run(cancelled_on_signals(run_bulk(options, environ)))
    except JobError as error:
        raise ConfigError(str(error)) from None
