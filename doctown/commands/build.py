"""`doctown build SOURCE`: document a repository and write its pack."""

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from doctown.build import BuildResult, Caller, run_build, symbols_by_change
from doctown.commands import display
from doctown.commands.options import add_source_arguments, cache_of, selection_of
from doctown.commands.worker import NO_KEY, add_worker_arguments, worker_settings
from doctown.docpack.schema import Kind
from doctown.embedding import EmbeddingSettings, Method
from doctown.engines import ENGINES
from doctown.errors import ConfigError
from doctown.events import Event
from doctown.options import DEFAULT_OUTPUT, BuildOptions
from doctown.parsing.cache import default_folder
from doctown.repository import Limits
from doctown.summaries import Estimate

SUMMARY = "Document a repository and write its pack."
ASK_ABOVE_USD = 1.0
MAX_DIGITS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_build_arguments(parser)
    parser.add_argument("--yes", action="store_true", help=f"do not ask where the estimate is above ${ASK_ABOVE_USD:g}")


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a build and of a plan."""
    add_source_arguments(parser)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="FOLDER", help="default: output/")
    parser.add_argument("--embeddings", choices=get_args(Method), default="minilm", help="default: minilm")
    parser.add_argument("--clusters", default="auto", metavar="N", help="their number, or auto (default)")
    parser.add_argument("--kinds", metavar="KIND,KIND", help=f"document only these: {', '.join(get_args(Kind))}")
    parser.add_argument(
        "--previous", type=Path, metavar="PACK", help="take over what has not changed (default: the pack in --output)"
    )
    parser.add_argument("--renew", action="store_true", help="write every summary anew, also of unchanged symbols")
    parser.add_argument(
        "--via", choices=ENGINES, default="local", help="who buys the summaries: this process, RunPod, OpenAI's batches"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    add_worker_arguments(parser)


def build_options(
    options: argparse.Namespace, environ: Mapping[str, str], *, may_replace_model: bool = True
) -> BuildOptions:
    """Return what the arguments say. Raise ConfigError."""
    return BuildOptions(
        source=options.source,
        output=options.output,
        selection=selection_of(options),
        include_tests=options.include_tests,
        kinds=_kinds(options.kinds),
        via=options.via,
        embeddings=options.embeddings,
        embedding_settings=EmbeddingSettings.from_env(environ),
        clusters=_clusters(options.clusters),
        previous=options.previous,
        renew=options.renew,
        may_replace_model=may_replace_model,
        limits=Limits.from_env(environ),
        cache_folder=None if options.no_cache else options.cache or default_folder(),
    )


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Run the command. Raise DoctownError."""
    worker = worker_settings(options, environ)
    build = build_options(options, environ, may_replace_model=not worker.is_fallback)
    with display.shown(as_json=options.json) as emit:
        if worker.is_fallback:
            emit(Event("note", NO_KEY))

        def confirm(estimate: Estimate) -> bool:
            is_asked = estimate.estimated_cost > ASK_ABOVE_USD and not options.yes and not options.json
            if not is_asked or not sys.stdin.isatty() or not sys.stdout.isatty():
                return True
            return display.ask(f"Buy summaries for about ${estimate.estimated_cost:.2f}?")

        try:
            result = run_build(build, worker.settings, cache_of(options), Caller(emit, confirm, environ))
        except KeyboardInterrupt:
            emit(Event("note", "interrupted: the same command goes on with what was bought"))
            raise
        if not options.json:
            emit(Event("note", f"\n{result.pack.path}\nnext: {display.program()} show {result.pack.path}"))
    if options.json:
        display.print_record(record(result))


def record(result: BuildResult) -> dict[str, object]:
    """Return a build as one record."""
    manifest = result.pack.manifest
    return {
        "event": "build",
        "pack": str(result.pack.path),
        "bytes": result.pack.size_bytes,
        "sha256": result.pack.sha256,
        "embeddings": None if result.pack.embeddings_path is None else str(result.pack.embeddings_path),
        "url": result.url,
        "repository": manifest["repository"],
        "counts": manifest["counts"],
        "documentation": manifest["documentation"],
        "taken_over": result.summaries.taken_over,
        "left_out": result.summaries.left_out,
        "estimate": dataclasses.asdict(result.estimate),
        **symbols_by_change(result.difference),
        "warnings": manifest["warnings"],
        "seconds": dict(result.seconds),
    }


def _clusters(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < MAX_DIGITS and int(text) > 0):
        raise ConfigError("--clusters must be auto or a whole number above 0")
    return int(text)


def _kinds(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    kinds = frozenset(part.strip() for part in text.split(",") if part.strip())
    known = frozenset(get_args(Kind)) - {"module"}
    if not kinds or kinds - known:
        raise ConfigError(f"--kinds must be some of {', '.join(sorted(known))}, with commas between them")
    return kinds
