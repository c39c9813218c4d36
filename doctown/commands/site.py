"""`doctown site PACK DIR`: a pack as a static site."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from doctown.commands.options import pack_and_staleness

SUMMARY = "Write a pack as a static site, for any host or to be opened as a file."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("folder", type=Path, metavar="DIR", help="new, empty, or an earlier site, which is replaced")
    parser.add_argument("--source", metavar="FOLDER", help="the repository of the pack: what is stale is shown")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    from doctown.site.write import write_site

    pack, staleness = pack_and_staleness(options, environ)
    site = write_site(pack, options.folder, staleness)
    print(f"site: {site.folder}/index.html ({site.files} files, {site.size_bytes:,} bytes)")  # noqa: T201
