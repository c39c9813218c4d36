"""`doctown export PACK --to FORMAT`: a pack as Markdown pages, JSON Lines or a SCIP index."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from doctown.docpack import Pack, open_pack
from doctown.errors import OutputError

SUMMARY = "Write a pack as Markdown pages, as JSON Lines, or as a SCIP index."
FORMATS = ("markdown", "jsonl", "scip")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="default: beside PACK, NAME-markdown, NAME-jsonl or NAME.scip"
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="FOLDER", help="scip: where the sources are (default: here)"
    )


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    from doctown.docpack.export import export_json_lines, export_markdown

    pack = open_pack(options.pack)
    stem = options.pack.name.removesuffix(".docpack")
    ending = ".scip" if options.to == "scip" else f"-{options.to}"
    path: Path = options.output or options.pack.with_name(f"{stem}{ending}")
    if options.to == "scip":
        _export_scip(pack, path, options.root)
    else:
        (export_markdown if options.to == "markdown" else export_json_lines)(pack, path)
    print(f"{options.to}: {path}")  # noqa: T201 - a command speaks by printing


def _export_scip(pack: Pack, path: Path, root: Path) -> None:
    from doctown.docpack.scip import scip_index

    try:
        path.write_bytes(scip_index(pack, root.resolve().as_uri()))
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}."
        raise OutputError(message) from None
