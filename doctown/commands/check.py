"""`doctown check PACK [SOURCE]`: whether a pack is whole and still fits the source. CI sees it by the exit code."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from doctown.commands.options import add_selection_arguments, cache_of, selection_of
from doctown.docpack import open_pack, read_embeddings
from doctown.docpack.compare import find_stale
from doctown.docpack.show import show_staleness
from doctown.reading import read_current
from doctown.repository import Limits, open_source
from generation import whole_number

SUMMARY = "Check that a pack is whole, and that it fits the source."
FAILED = 3
MAX_STALE = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="what the pack should fit; default: nothing")
    parser.add_argument(
        "--max-stale",
        type=whole_number(MAX_STALE, least=0),
        default=0,
        metavar="N",
        help=f"end with {FAILED} where more are stale (default: 0)",
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    add_selection_arguments(parser)


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code. Raise DoctownError where the pack is not whole."""
    from rich.console import Console

    pack = open_pack(options.pack)
    read_embeddings(options.pack)
    if options.source is None:
        print(f"{options.pack} is whole: {pack.manifest['counts']['symbols']:,} symbols")  # noqa: T201
        return 0
    with open_source(options.source, limits=Limits.from_env(environ), environ=environ) as checkout:
        staleness = find_stale(pack, read_current(checkout, selection_of(options), cache_of(options)))
    if options.json:
        print(json.dumps(staleness._asdict()))  # noqa: T201 - a command speaks by printing
    else:
        show_staleness(staleness, Console())
    return FAILED if len(staleness.stale) > options.max_stale else 0
