"""Arguments that several commands share: what to read, and where the cache is."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from doctown.docpack import Pack, open_pack
from doctown.docpack.compare import Staleness, find_stale
from doctown.errors import ConfigError
from doctown.parsing.cache import Cache, default_folder
from doctown.repository import Limits, Selection, open_source

MAX_PORT = 65_535


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the source and what is read of it."""
    parser.add_argument(
        "source", metavar="SOURCE", help="a folder, a .zip, .tar.gz or .tgz archive, or a git URL[@REF]"
    )
    add_selection_arguments(parser)
    parser.add_argument("--include-tests", action="store_true", help="take the symbols of tests too")


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which files are read, and where the cache is."""
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="take only these files")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="leave these files out")
    parser.add_argument("--subdir", metavar="FOLDER", help="take only this folder of the repository")
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache", type=Path, metavar="FOLDER", help="of what was parsed before (default: the user's)")
    cache.add_argument("--no-cache", action="store_true", help="parse everything anew and keep nothing")


def selection_of(options: argparse.Namespace) -> Selection:
    """Return which files are to be read."""
    return Selection(include=tuple(options.include), exclude=tuple(options.exclude), subdir=options.subdir)


def cache_of(options: argparse.Namespace) -> Cache | None:
    """Return the cache that was asked for, or the user's own; None without one, or where the user's cannot be used.

    Raises ConfigError for a folder that was asked for and cannot be used.
    """
    if options.no_cache:
        return None
    if options.cache is not None:
        return Cache(options.cache)
    try:
        return Cache(default_folder())
    except ConfigError:
        return None


def pack_and_staleness(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Pack, Staleness | None]:
    """Return the pack `options.pack`, and how it fits `options.source` where that is given. Raise DoctownError."""
    pack = open_pack(options.pack)
    return pack, None if options.source is None else staleness_of(options.source, environ)(pack)


def staleness_of(source: str, environ: Mapping[str, str]) -> Callable[[Pack], Staleness]:
    """Return what compares a pack with a source as it is at that time. That raises DoctownError."""
    from doctown.reading import read_current

    def compare(pack: Pack) -> Staleness:
        with open_source(source, limits=Limits.from_env(environ), environ=environ) as checkout:
            return find_stale(pack, read_current(checkout, Selection(), None))

    return compare
