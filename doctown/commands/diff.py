"""`doctown diff OLD NEW`: what differs between two packs of one repository."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from doctown.docpack import open_pack, open_previous
from doctown.docpack.compare import compare_packs
from doctown.docpack.show import show_difference

SUMMARY = "Show what differs between two packs of one repository."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument("--json", action="store_true", help="print the difference as JSON")


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    from rich.console import Console

    new = open_pack(options.new)
    difference = compare_packs(open_previous(options.old, new.manifest["repository"]), new)
    if options.json:
        changed = {one.id: one.aspects for one in difference.changed}
        print(json.dumps({**difference._asdict(), "changed": changed}))  # noqa: T201 - a command speaks by printing
    else:
        show_difference(difference, Console())
