"""`doctown show PACK [SYMBOL]`: what is in a pack, or all that it knows of one symbol."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from doctown.docpack import open_pack
from doctown.docpack.show import show

SUMMARY = "Show what is in a pack, or one symbol of it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="its id, or its name where that is enough")


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    from rich.console import Console

    show(open_pack(options.pack), options.symbol, Console())
