"""`run_build`: a repository becomes a pack, in seven steps, once; whatever starts a build calls it.

fetch, parse, embed, assemble, document, pack, store. Nothing is bought before the output folder is known to take the
pack. What has been bought lies in `OUTPUT/.work/NAME` until the pack has its name: a build that was interrupted goes on
from there. Leaves out how options are read and how events are shown.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import hashlib
import re
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from doctown.analysis import Analysis, analyse
from doctown.assembly import records
from doctown.assembly.choice import is_documented, is_minor, spending_centrality
from doctown.assembly.contexts import Facts, Neighbour, make_context
from doctown.assembly.groups import Groups, group_symbols, name_again, nearest_of, neighbours_of, no_groups
from doctown.assembly.neighbours import Neighbours, nearest_neighbours
from doctown.assembly.symbols import ProgramSymbol, program_symbols, sure_calls
from doctown.docpack import BuildInfo, Pack, PackFile, Vectors, make_pack, open_previous, write_pack
from doctown.docpack.compare import Difference, compare_packs
from doctown.docpack.schema import PACK_SUFFIX, Failure, Near, Repository
from doctown.embedding import Embeddings, embed_texts
from doctown.engines import Engine, Purchase
from doctown.errors import DocumentError, OutputError, PackError, SourceError
from doctown.events import Emit, Event, Steps, progress
from doctown.execution import Execution
from doctown.graph.model import MODULE
from doctown.graph.pagerank import centrality
from doctown.machine import collector_paused
from doctown.options import BuildOptions
from doctown.parsing.cache import Cache
from doctown.parsing.languages import LANGUAGES
from doctown.reading import Sources, read_description, read_licence, read_sources
from doctown.repository import Checkout, open_source
from doctown.summaries import Estimate, Summaries, failure_lines
from generation import JobError, Settings, SymbolContext, __version__, cancelled_on_signals, open_storage
from generation.domain.catalogue import OFFLINE, utc_today

WORK_FOLDER = ".work"
BUCKET_FOLDER = "docpacks"
# Measured on packs of 1,000 to 20,000 symbols: with its vectors and what is written beside it before it gets its name.
DISK_BYTES_PER_SYMBOL = 8_000
MIN_DISK_BYTES = 10_000_000
MAX_SHOWN_CHANGES = 10

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Caller(NamedTuple):
    """What a build reports to, and asks: `confirm` says whether the summaries are wanted at their price.

    `environ` has git's PATH and tokens; `today` decides which models exist. `execution` is that of a job: what was
    bought is then kept in the store until the pack is there. `store` takes the finished pack and says where it then is,
    by default in the bucket, if one is set.
    """

    emit: Emit
    confirm: Callable[[Estimate], bool]
    environ: Mapping[str, str]
    today: Callable[[], date] = utc_today
    execution: Execution | None = None
    store: Callable[[PackFile], str | None] | None = None


@dataclasses.dataclass(frozen=True)
class BuildResult:
    """A build that has ended: its pack, what it took, and what differs from the pack before; times by step."""

    pack: PackFile
    url: str | None
    estimate: Estimate
    summaries: Summaries
    difference: Difference | None
    seconds: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Assembled:
    """All that is known before the first summary is bought; `near` only where contexts tell of neighbours."""

    checkout: Checkout
    repository: Repository
    parsed: _Parsed
    embeddings: Embeddings | None
    groups: Groups
    near: Neighbours | None
    centrality: Mapping[str, float]
    contexts: list[SymbolContext]
    invalid: Mapping[str, Failure]
    previous: Pack | None


def run_build(options: BuildOptions, settings: Settings, parse_cache: Cache | None, caller: Caller) -> BuildResult:
    """Build the pack of a source. Raise DoctownError, in one sentence; a pack that was there before is there then.

    Interrupted, it keeps what was bought, and the same call goes on from there.
    """
    settings = settings.as_of(caller.today())
    steps = Steps(caller.emit)
    check_output(options.output)
    if caller.store is None:
        _check_bucket(settings)
    with _assembled(options, settings, parse_cache, caller, steps) as found:
        purchase = _purchase(found, options, settings, caller)
        path = _pack_path(options, found.checkout.name)
        _check_disk(options.output, len(found.parsed.symbols))
        with steps.step("document") as results:
            estimate, summaries = _document(found, purchase, caller)
            results.extend(_describe_summaries(summaries, settings))
        with steps.step("pack") as results, collector_paused():
            pack = _make_pack(_named_again(found, summaries, settings), summaries, settings)
            written = write_pack(pack, path, _vectors(found))
            results.append(f"{written.size_bytes:,} bytes, read back and valid")
        with steps.step("store") as results:
            url = _upload(written, settings) if caller.store is None else caller.store(written)
            # What a worker's job has not come to, its next execution asks for, within the same cap.
            if caller.execution is None or not summaries.is_unfinished:
                purchase.forget()
            _remove_if_empty(purchase.work.parent)
            results.append(_describe_places(written, url, caller))
    difference = None if found.previous is None else compare_packs(found.previous, pack)
    if difference is not None:
        _emit_difference(difference, caller.emit)
    return BuildResult(written, url, estimate, summaries, difference, steps.seconds)


def plan_build(
    options: BuildOptions, settings: Settings, parse_cache: Cache | None, caller: Caller
) -> dict[Engine, Estimate]:
    """Return what a build would cost by each engine; buy and write nothing but caches. Raise DoctownError."""
    settings = settings.as_of(caller.today())
    steps = Steps(caller.emit)
    with _assembled(options, settings, parse_cache, caller, steps) as found:
        purchase = _purchase(found, options, settings, caller)
        estimates = purchase.estimates() if caller.execution is None else {options.via: purchase.estimate(options.via)}
    _emit_estimate(estimates[options.via], caller.emit)
    for engine, estimate in estimates.items():
        said = f"--via {engine}: {_requests(estimate)}, ${estimate.estimated_cost:.4f}"
        caller.emit(Event("engine", said, {"engine": engine, **dataclasses.asdict(estimate)}))
    return estimates


def check_output(folder: Path) -> None:
    """Raise OutputError where a folder cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctown")
    except OSError as error:
        raise OutputError(
            f"The folder {str(folder)!a} cannot be written to ({error.strerror}): give another --output"
        ) from None


def _check_bucket(settings: Settings) -> None:
    """Raise OutputError where a bucket is set and the pack could not be put there."""
    if not settings.r2_bucket:
        return
    key = f"{BUCKET_FOLDER}/.doctown-{secrets.token_hex(8)}"

    async def write_and_delete() -> None:
        storage = open_storage(settings)
        await storage.write(key, b"doctown")
        await storage.delete([key])

    try:
        asyncio.run(cancelled_on_signals(write_and_delete()))
    except JobError as error:
        raise OutputError(f"The bucket {settings.r2_bucket!a} cannot take the pack: {error}") from None


def job_id_of(repository: Repository, subdir: str | None) -> str:
    """Return the id under which a repository's summaries are bought: the same in every build of it."""
    identity = f"{repository['url'] or repository['name']}\n{subdir or ''}"
    name = _UNSAFE.sub("-", repository["name"])[:60].strip(".") or "repository"
    return f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


@contextmanager
def _assembled(
    options: BuildOptions, settings: Settings, parse_cache: Cache | None, caller: Caller, steps: Steps
) -> Iterator[Assembled]:
    """Do the first four steps; the checkout is there until the block ends."""
    with ExitStack() as stack:
        with collector_paused():
            with steps.step("fetch") as results:
                checkout = stack.enter_context(_opened(options, caller))
                repository = _repository(checkout)
                previous = _previous(options, repository, settings)
                results.extend([checkout.name, *([checkout.commit[:12]] if checkout.commit else [])])
            with steps.step("parse") as results:
                parsed = _parse(checkout, options, parse_cache, caller.emit)
                if caller.execution is not None:
                    caller.execution.figures.cache_hits["files"] += parsed.analysis.from_cache
                results.extend(_describe_files(parsed))
            with steps.step("embed") as results:
                embeddings = _embed(parsed, options, caller)
                results.append(_describe_embeddings(embeddings))
            with steps.step("assemble") as results:
                found = _assemble(checkout, repository, parsed, embeddings, options, settings, previous)
                results.append(f"{found.groups.document['k']} clusters, {len(found.contexts):,} symbols to document")
            # What is known by now stays to the end: the collector need not look at it again.
            gc.freeze()
            stack.callback(gc.unfreeze)
        yield found


def _opened(options: BuildOptions, caller: Caller) -> AbstractContextManager[Checkout]:
    opening = functools.partial(
        open_source, options.source, limits=options.limits, environ=caller.environ, network=options.network
    )
    if caller.execution is None:
        return opening()
    return opening(work_dir=caller.execution.work, check=caller.execution.check)


def _repository(checkout: Checkout) -> Repository:
    repository: Repository = {
        "name": checkout.name,
        "url": checkout.url,
        "commit": checkout.commit,
        "ref": checkout.ref,
        "dirty": checkout.dirty,
        "licence": read_licence(checkout),
    }
    description = read_description(checkout)
    return repository if description is None else {**repository, "description": description}


def _pack_path(options: BuildOptions, name: str) -> Path:
    return options.output / (options.file_name or f"{name}{PACK_SUFFIX}")


def _previous(options: BuildOptions, repository: Repository, settings: Settings) -> Pack | None:
    """Return the earlier pack, by default the one that is to be replaced, if there is one."""
    path = options.previous or _pack_path(options, repository["name"])
    if options.previous is None and not path.exists():
        return None
    try:
        pack = open_previous(path, repository)
    except PackError as error:
        if options.previous is not None:
            raise
        raise PackError(f"{error} It would be replaced: move it away, or give another --output") from None
    model = pack.manifest["documentation"]["model"]
    if options.previous is None and settings.model_name == OFFLINE != model and not options.may_replace_model:
        raise PackError(
            f"{path} has summaries of {model}, which offline ones would replace: set OPENAI_API_KEY, "
            "or give --model offline, or another --output"
        )
    return pack


class _Parsed(NamedTuple):
    """What the second step leaves: the analysis, its symbols, those to document and to embed, and their sources."""

    analysis: Analysis
    symbols: list[ProgramSymbol]
    documented: list[ProgramSymbol]
    embedded: list[ProgramSymbol]
    sources: Sources


def _parse(checkout: Checkout, options: BuildOptions, parse_cache: Cache | None, emit: Emit) -> _Parsed:
    def report(step: str, done: int, total: int) -> None:
        progress(emit, step)(done, total)

    analysis = analyse(checkout, options.selection, cache=parse_cache, progress=report)
    parsed = [file for file in analysis.files if file.status != "skipped"]
    if not options.include_tests and all(file.is_test for file in parsed):
        raise SourceError("The source has tests only: give --include-tests to document them")
    symbols = program_symbols(analysis)
    include_tests = options.include_tests
    documented = [one for one in symbols if is_documented(one, options.kinds, include_tests=include_tests)]
    embedded = [one for one in symbols if include_tests or not one.is_test] if options.embeddings != "none" else []
    sources = read_sources(
        checkout, analysis, frozenset(one.id for one in documented), frozenset(one.id for one in embedded)
    )
    return _Parsed(analysis, symbols, documented, embedded, sources)


def _embed(parsed: _Parsed, options: BuildOptions, caller: Caller) -> Embeddings | None:
    def count(hits: int) -> None:
        if caller.execution is not None:
            caller.execution.figures.cache_hits["vectors"] += hits

    texts = [parsed.sources.embedded[symbol.id] for symbol in parsed.embedded]
    found = embed_texts(
        texts,
        options.embeddings,
        options.embedding_settings,
        cache_folder=options.cache_folder,
        found=count,
        progress=progress(caller.emit, "embed"),
    )
    for warning in found.warnings if found is not None else ():
        caller.emit(Event("warning", warning))
    return found


def _assemble(  # noqa: PLR0913, PLR0917 - what the steps before have left
    checkout: Checkout,
    repository: Repository,
    parsed: _Parsed,
    embeddings: Embeddings | None,
    options: BuildOptions,
    settings: Settings,
    previous: Pack | None,
) -> Assembled:
    graph = parsed.analysis.graph
    groups: Groups = no_groups()
    near: Neighbours | None = None
    neighbours: Mapping[str, Sequence[Neighbour]] = {}
    if embeddings is not None:
        groups = group_symbols(parsed.embedded, embeddings, options.clusters, checkout.name)
        if settings.include_semantic_context:
            near = nearest_neighbours(embeddings.vectors)
            neighbours = neighbours_of(parsed.embedded, near)
    central = centrality(graph)
    counts = {one: graph.counts[one] for one in (symbol.id for symbol in parsed.symbols)}
    sites = {one: found.resolved + found.external + found.unresolved for one, found in counts.items()}
    tests = frozenset(symbol.id for symbol in parsed.symbols if symbol.is_test and not options.include_tests)
    facts = Facts(
        names={symbol.id: symbol.symbol.qualified_name for symbol in parsed.symbols},
        calls=sure_calls(graph, tests),
        centrality={one.id: spending_centrality(one, central[one.id], sites[one.id]) for one in parsed.documented},
        external_calls={one: found.external_names for one, found in counts.items()},
    )
    contexts: list[SymbolContext] = []
    invalid: dict[str, Failure] = {}
    # Of equally central symbols, those are bought first that others can see.
    for symbol in sorted(parsed.documented, key=lambda one: (is_minor(one, sites[one.id]), not one.symbol.exported)):
        try:
            source = parsed.sources.prompt[symbol.id]
            contexts.append(make_context(symbol, source, facts, neighbours.get(symbol.id, ())))
        except ValidationError:
            message = "its name, path or facts are more than the worker takes"
            invalid[symbol.id] = {"failure": "invalid_symbol", "message": message}
    return Assembled(
        checkout=checkout,
        repository=repository,
        parsed=parsed,
        embeddings=embeddings,
        groups=groups,
        near=near,
        centrality=central,
        contexts=contexts,
        invalid=invalid,
        previous=previous,
    )


def _purchase(found: Assembled, options: BuildOptions, settings: Settings, caller: Caller) -> Purchase:
    return Purchase(
        engine=options.via,
        contexts=found.contexts,
        job_id=job_id_of(found.repository, options.selection.subdir)
        if caller.execution is None
        else caller.execution.kept_as,
        work=options.output / WORK_FOLDER / found.checkout.name,
        settings=settings,
        environ=caller.environ,
        previous=found.previous,
        today=caller.today(),
        renew=options.renew,
        execution=caller.execution,
    )


def _document(found: Assembled, purchase: Purchase, caller: Caller) -> tuple[Estimate, Summaries]:
    estimate = purchase.estimate(purchase.engine)
    _emit_estimate(estimate, caller.emit)
    if not caller.confirm(estimate):
        raise DocumentError("Nothing was bought: give --yes, or a lower --max-symbols or --max-cost-usd")
    summaries = purchase.run(estimate, found.parsed.sources.hashes, caller.emit)
    summaries.failures.update(found.invalid)
    for line in failure_lines(summaries.failures):
        caller.emit(Event("failed", line))
    for warning in summaries.warnings:
        if warning not in estimate.warnings:
            caller.emit(Event("warning", warning))
    return estimate, summaries


def _named_again(found: Assembled, summaries: Summaries, settings: Settings) -> Assembled:
    """Return the clusters named by what a model says of their symbols; offline summaries say what is known already."""
    if settings.model_name == OFFLINE:
        return found
    texts = {one: documentation["summary"] for one, documentation in summaries.documentation.items()}
    groups = name_again(found.groups, found.parsed.embedded, found.checkout.name, texts)
    return dataclasses.replace(found, groups=groups)


def _make_pack(found: Assembled, summaries: Summaries, settings: Settings) -> Pack:
    analysis, sources = found.parsed.analysis, found.parsed.sources
    documented = records.Documented(
        summaries.documentation, summaries.failures, found.centrality, found.groups.cluster_of, _nearest(found)
    )
    nodes = records.nodes(analysis, found.parsed.symbols, documented)
    ids = frozenset(node["id"] for node in nodes)
    template = records.url_template(
        found.repository["url"], found.repository["commit"], dirty=found.repository["dirty"]
    )
    files = records.source_files(analysis.files, sources.contents)
    info = BuildInfo(
        generator={"name": "doctown", "version": __version__},
        repository=found.repository,
        created_at=records.created_at(found.checkout.committed_at),
        levels={language.name: language.level for language in LANGUAGES},
        call_sites=records.call_sites(analysis.graph, ids),
        documentation={
            "model": settings.model_name,
            "language": settings.output_language,
            "usage": summaries.token_usage,
            "total_cost": summaries.total_cost,
            "checks": summaries.check_counts,
        },
        warnings=_warnings(found, summaries, len(analysis.files) - len(files)),
    )
    return make_pack(
        info,
        nodes=nodes,
        edges=records.edges(analysis.graph, ids),
        clusters=found.groups.document,
        source_map=records.source_map(template, files, sources.spans),
    )


def _nearest(found: Assembled) -> Mapping[str, list[Near]]:
    if found.embeddings is None:
        return {}
    near = nearest_neighbours(found.embeddings.vectors) if found.near is None else found.near
    return nearest_of(found.parsed.embedded, near)


def _warnings(found: Assembled, summaries: Summaries, unnamed_files: int) -> list[str]:
    warnings = [*(found.embeddings.warnings if found.embeddings is not None else ()), *summaries.warnings]
    if summaries.left_out:
        warnings.append(f"{summaries.left_out} symbols were not selected: max_symbols or max_cost_usd was reached.")
    if unnamed_files:
        warnings.append(f"{unnamed_files} files are left out: their names cannot stand in a pack.")
    return warnings


def _vectors(found: Assembled) -> Vectors | None:
    """Return the model's vectors of the symbols; those of words are of no use to who has not all the texts."""
    embeddings = found.embeddings
    if embeddings is None or embeddings.model is None:
        return None
    packed = [(row, one.id) for row, one in enumerate(found.parsed.embedded) if one.id in found.parsed.sources.spans]
    rows = [row for row, _ in packed]
    return Vectors([one for _, one in packed], embeddings.vectors[rows], embeddings.model, embeddings.model_sha256)


def _check_disk(folder: Path, symbols: int) -> None:
    """Raise OutputError where the disk has no room for the pack."""
    needed = MIN_DISK_BYTES + DISK_BYTES_PER_SYMBOL * symbols
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"The disk of {str(folder)!a} has {free:,} bytes left and the pack may take {needed:,}: make room, "
            "or give another --output"
        )


def _upload(written: PackFile, settings: Settings) -> str | None:
    """Put the pack and its vectors into the bucket, if one is set, and return where the pack then is."""
    if not settings.r2_bucket:
        return None
    storage = open_storage(settings)

    async def upload() -> str:
        for path in (written.embeddings_path, written.path):  # who sees the pack finds its vectors
            if path is not None:
                await storage.write(f"{BUCKET_FOLDER}/{path.name}", path.read_bytes())
        key = f"{BUCKET_FOLDER}/{written.path.name}"
        return storage.url(key) or f"{settings.r2_bucket}/{key}"

    try:
        return asyncio.run(cancelled_on_signals(upload()))
    except JobError as error:
        raise OutputError(f"The pack is at {str(written.path)!a}, and was not uploaded: {error}") from None


def _describe_places(written: PackFile, url: str | None, caller: Caller) -> str:
    if url is None:
        return str(written.path)
    return url if caller.execution is not None else f"{written.path} and {url}"


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _describe_files(parsed: _Parsed) -> list[str]:
    statuses = Counter(file.status for file in parsed.analysis.files)
    parts = [f"{statuses['parsed'] + statuses['partial']:,} files", f"{len(parsed.symbols):,} symbols"]
    parts.append(f"{len(parsed.analysis.graph.edges):,} edges")
    return [*parts, *([f"{statuses['skipped']:,} files skipped"] if statuses["skipped"] else [])]


def _describe_embeddings(embeddings: Embeddings | None) -> str:
    if embeddings is None:
        return "no vectors"
    return f"{len(embeddings.vectors):,} vectors by {embeddings.model or 'words'}"


def _emit_estimate(estimate: Estimate, emit: Emit) -> None:
    sizes = f"{estimate.large_symbols:,} large, {estimate.medium_symbols:,} medium, {estimate.small_symbols:,} small"
    lines = [f"{estimate.symbols:,} symbols to document with {estimate.model}: {sizes}"]
    if estimate.known_symbols:
        lines.append(f"{estimate.known_symbols:,} symbols have not changed and cost nothing")
    if estimate.left_out_symbols or estimate.offline_symbols:
        lines.append(f"{estimate.left_out_symbols:,} are left out, {estimate.offline_symbols:,} are written offline")
    tokens = f"{estimate.estimated_input_tokens:,} input and {estimate.estimated_output_tokens:,} output tokens"
    lines.append(f"estimate: {_requests(estimate)}, {tokens}, ${estimate.estimated_cost:.4f}")
    emit(Event("estimate", "\n".join(lines), dataclasses.asdict(estimate)))
    for warning in estimate.warnings:
        emit(Event("warning", warning))


def _requests(estimate: Estimate) -> str:
    """Return how many requests go to the model; the estimate counts offline symbols too, which send none."""
    return "no requests" if estimate.model == OFFLINE else f"{estimate.requests:,} requests"


def _describe_summaries(summaries: Summaries, settings: Settings) -> list[str]:
    parts = [f"{len(summaries.documentation):,} documented", f"{len(summaries.failures):,} failed"]
    if summaries.taken_over:
        parts.append(f"{summaries.taken_over:,} taken over")
    if settings.model_name == OFFLINE:
        return parts
    usage = summaries.token_usage
    tokens = f"{usage['input_tokens']:,} input and {usage['output_tokens']:,} output tokens"
    return [*parts, f"{tokens} in {usage['requests']:,} requests", f"${summaries.total_cost:.4f}"]


def symbols_by_change(difference: Difference | None) -> dict[str, list[str]]:
    """Return the ids of the symbols that were added, removed and changed; nodes of whole files are left out."""
    if difference is None:
        return {"added": [], "removed": [], "changed": []}
    changed = [one.id for one in difference.changed]
    found = {"added": difference.added, "removed": difference.removed, "changed": changed}
    return {name: [one for one in ids if not one.endswith(f"::{MODULE}")] for name, ids in found.items()}


def _emit_difference(difference: Difference, emit: Emit) -> None:
    lists = symbols_by_change(difference)
    counts = ", ".join(f"{len(ids):,} {name}" for name, ids in lists.items())
    lines = [f"since the pack before: {counts}"]
    for name in ("removed", "changed"):
        lines += [f"  {name}: {one}" for one in lists[name][:MAX_SHOWN_CHANGES]]
    emit(Event("difference", "\n".join(lines), lists))
