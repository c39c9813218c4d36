"""`doctown report PACK [OTHER]`: a pack as an HTML page of figures, or two packs side by side."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from doctown.docpack import open_pack
from doctown.errors import OutputError

SUMMARY = "Write a pack as an HTML page of figures, or two packs side by side."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("other", type=Path, nargs="?", metavar="OTHER", help="a second pack, to stand beside the first")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: PACK with .html at its end")


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    from doctown.docpack.report import pack_page
    from generation import render_page

    page = pack_page([open_pack(path) for path in (options.pack, options.other) if path])
    path = options.output or options.pack.with_name(f"{options.pack.name}.html")
    try:
        path.write_bytes(render_page(page))
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}): name another file with --output."
        raise OutputError(message) from None
    print(f"report: {path}")  # noqa: T201 - a command speaks by printing
