"""`doctown validate FILE`: every fault of a worker's payload, without running it. CI sees them by the exit code."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from doctown.errors import SourceError
from generation import validate_payload

SUMMARY = "Name every fault of a file of symbols, without documenting it."
FAILED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a job's input, a list of symbols, or JSON Lines; gzip")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code. Raise DoctownError where the file cannot be read."""
    try:
        with options.file.open("rb") as file:
            found = validate_payload(file, options.file.name)
    except OSError as error:
        raise SourceError(f"{options.file} cannot be read ({error.strerror})") from None
    if options.json:
        print(json.dumps(dataclasses.asdict(found)))  # noqa: T201 - a command speaks by printing
        return FAILED if found.faults else 0
    for line in (*found.faults, *(f"warning: {warning}" for warning in found.warnings)):
        print(line)  # noqa: T201
    counted = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}" if found.faults else "no fault"
    symbols = f"{found.symbols:,} symbol{'' if found.symbols == 1 else 's'}"
    print(f"{options.file}: {counted} in {symbols}", file=sys.stderr if found.faults else sys.stdout)
    return FAILED if found.faults else 0
