"""Documents one codebase of a Python caller as a run, on RunPod or by the Batch API.

A codebase has one run at a time, whose name is made of the codebase's and of what its symbols are: the same symbols
continue the run that was interrupted. Where they have changed since, the interrupted run is ended first, and what it
has bought is handed to the new one as earlier results, together with its cost.

    bulk/{codebase}/run.json              the name of the codebase's run; missing where none is under way
    bulk/{run}/codebase/symbols.jsonl.gz  the source of the run
    results/{run}/previous.json           earlier results, with the usage and the cost of interrupted runs
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any, Literal

from pydantic import TypeAdapter

from generation.bulk.engines.start import run_engine
from generation.bulk.inputs import read_shard
from generation.bulk.manifest import (
    IN_FLIGHT,
    SHARD_SIZES,
    Division,
    Run,
    Shard,
    Source,
    load_run,
    load_state,
    save_new_run,
    save_run,
)
from generation.bulk.merge import usage_of
from generation.bulk.progress import Progress, ProgressSink
from generation.config import Settings
from generation.domain.catalogue import utc_today
from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Failed, Outcome
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.errors import ConfigError, InputError, StorageError
from generation.prompts.content_hash import hasher
from generation.results.records import StoredRecord, stored_record
from generation.results.report import as_json
from generation.results.reuse import Results, find_earlier, read_results
from generation.storage import open_storage
from generation.storage.base import Storage
from generation.storage.keys import (
    codebase_key,
    codebase_previous_key,
    codebase_symbols_key,
    contexts_key,
    merged_key,
    prefix_of,
    results_key,
    run_lease_key,
)
from generation.storage.lease import RUN_TTL_S, lease

CodebaseEngine = Literal["runpod", "batch"]

# The only source of such a run; its merged results have this name.
SOURCE = "symbols"
NOT_SELECTED = "not_selected"
WAITING = "another process documents this codebase, or did a minute ago: waiting for it"
# The settings that determine summaries, as job options; workers have settings of their own.
_OPTIONS = (
    "batch_mode",
    "batch_size",
    "max_batch_tokens",
    "include_semantic_context",
    "callees_first",
    "output_language",
    "min_centrality",
)

_contexts = TypeAdapter(SymbolContext)


@dataclass(frozen=True, slots=True)
class Codebase:
    """Symbols to document by an engine. `name` identifies the codebase in the store.

    `previous` is a results document from which unchanged symbols are reused. Embeddings are not passed on: neighbours
    that prompts should show must be among the related symbols.
    """

    name: str
    engine: CodebaseEngine
    symbols: Sequence[SymbolContext]
    previous: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodebaseResults:
    """The outcome of every symbol, and what all runs that led to it have cost; `checks` as in a job's output."""

    outcomes: tuple[Outcome, ...]
    usage: Usage
    total_cost: float
    checks: Mapping[str, Any]
    warnings: tuple[str, ...]


def engine_settings(engine: str, settings: Settings) -> Settings:
    """Return the settings that determine content hashes and estimates with an engine.

    The Batch API is asked for one symbol a request, without what depends on other symbols.
    """
    if engine != "batch":
        return settings
    from generation.bulk.engines.batch.rows import batch_settings

    return batch_settings(settings)


async def document_codebase(  # noqa: PLR0913 - what a run needs, most of it named
    codebase: Codebase,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    report: ProgressSink,
    notify: Callable[[str], None],
    today: Callable[[], date] = utc_today,
) -> CodebaseResults:
    """Document a codebase, or continue where an earlier call was interrupted. Raises JobError.

    `environ` has the settings of RunPod; `today` decides which models exist. `notify` gets a sentence where another
    process documents the same codebase. Cancelled, it leaves batches and jobs running; the next call continues with
    them. What is stored stays until `forget_codebase`.
    """
    if codebase.engine == "runpod" and not settings.r2_bucket:
        raise ConfigError("RunPod's workers need a bucket to read from and to write to: set R2_BUCKET")
    settings = settings.as_of(today())
    storage = open_storage(settings)
    key = run_lease_key(codebase.name)
    async with lease(storage, key, ttl_s=RUN_TTL_S, on_wait=lambda: notify(WAITING)):
        run = await _prepared_run(codebase, storage, settings, environ)
        await run_engine(run, storage, _unlimited(settings), environ, report, asyncio.Event(), today=today)
        return await _results(run, codebase, storage, settings)


async def find_bought(codebase: Codebase, settings: Settings) -> list[dict[str, Any]]:
    """Return the records of what an interrupted run has bought and not delivered yet; changes nothing.

    A record has the symbol's id and content hash; one that is still in a batch has a placeholder as its summary.
    Raises StorageError.
    """
    storage = open_storage(settings)
    name = await _present_run(codebase.name, storage)
    run = await load_run(storage, name) if name else None
    if run is None:
        return []
    records, _, _ = await _harvest(run, storage, settings)
    if run.engine == "batch":
        records = [*records, *[record async for record in _in_batches(run, storage, settings)]]
    return records


async def forget_codebase(name: str, settings: Settings) -> None:
    """Delete what is stored of a codebase's run, once its results are kept elsewhere. Raises StorageError."""
    storage = open_storage(settings)
    if run_name := await _present_run(name, storage):
        await _remove_run(run_name, storage)
        await storage.delete([codebase_key(name)])


def _unlimited(settings: Settings) -> Settings:
    # The selection is made here: engines would apply the limit to each shard.
    return settings.model_copy(update={"max_symbols": None})


async def _present_run(codebase_name: str, storage: Storage) -> str | None:
    stored = await storage.read(codebase_key(codebase_name))
    return None if stored is None else str(json.loads(stored.body)["run"])


async def _prepared_run(codebase: Codebase, storage: Storage, settings: Settings, environ: Mapping[str, str]) -> Run:
    """Return the run of these symbols, saved; end an interrupted run of other symbols first.

    Everything is written before what refers to it, the manifest last.
    """
    run = _run_of(codebase, settings)
    present = await _present_run(codebase.name, storage)
    if present != run.name:
        previous = await _with_interrupted(present, codebase.previous, storage, settings, environ)
        await storage.write(codebase_previous_key(run.name), as_json(previous))
        await storage.write(codebase_key(codebase.name), as_json({"run": run.name}))
        if present:
            await _remove_run(present, storage)
    carried_usd = (await _read_previous(run.name, storage)).get("total_cost", 0.0)
    if run.max_cost_usd is not None:
        run = replace(run, max_cost_usd=max(0.0, run.max_cost_usd - carried_usd))
    stored = await load_run(storage, run.name)
    if stored is None:
        selected = await _selected(codebase, run, storage, settings)
        await storage.write(codebase_symbols_key(run.name), await asyncio.to_thread(_as_lines, selected))
        await save_new_run(storage, run)
    elif stored != run:
        await save_run(storage, run)
    return run


def _run_of(codebase: Codebase, settings: Settings) -> Run:
    options = {"model": settings.model_name, **{name: getattr(settings, name) for name in _OPTIONS}}
    content_hash = hasher(engine_settings(codebase.engine, settings))
    hashes = sorted((context.symbol_id, content_hash(context)) for context in codebase.symbols)
    basis = [codebase.engine, options, settings.max_symbols, hashes]
    digest = hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{codebase.name}.{digest}"
    return Run(
        name=name,
        engine=codebase.engine,
        sources=(
            Source(0, SOURCE, codebase_symbols_key(name), is_local=False, previous_key=codebase_previous_key(name)),
        ),
        options=options,
        shard_size=SHARD_SIZES[codebase.engine],
        in_flight=IN_FLIGHT[codebase.engine],
        max_cost_usd=settings.max_cost_usd,
    )


async def _selected(codebase: Codebase, run: Run, storage: Storage, settings: Settings) -> list[SymbolContext]:
    """Return the symbols that `max_symbols` leaves, the most central ones; known symbols cost nothing and stay."""
    symbols = sorted(codebase.symbols, key=lambda context: -(context.centrality or 0.0))
    content_hash = hasher(engine_settings(run.engine, settings))
    previous = read_results(as_json(await _read_previous(run.name, storage)))
    known = previous.records if previous else {}

    def is_known(context: SymbolContext) -> bool:
        record = known.get(context.symbol_id)
        return record is not None and record.content_hash == content_hash(context)

    limit = settings.max_symbols
    chosen = symbols if limit is None else [*symbols[:limit], *filter(is_known, symbols[limit:])]
    ids = {context.symbol_id for context in chosen}
    return [context for context in codebase.symbols if context.symbol_id in ids]


def _as_lines(symbols: Iterable[SymbolContext]) -> bytes:
    lines = (
        as_json(
            {
                "symbol_id": context.symbol_id,
                "context": _contexts.dump_python(context, mode="json", exclude={"embedding"}, exclude_defaults=True),
            }
        )
        for context in symbols
    )
    return gzip.compress(b"\n".join(lines), 1, mtime=0)


async def _read_previous(run_name: str, storage: Storage) -> dict[str, Any]:
    stored = await storage.read(codebase_previous_key(run_name))
    return dict(json.loads(stored.body)) if stored else {}


async def _results(run: Run, codebase: Codebase, storage: Storage, settings: Settings) -> CodebaseResults:
    results = await _merged(run.name, storage)
    if results is None:
        raise InputError(f"the run {run.name} has ended without results: start it again")
    carried = await _read_previous(run.name, storage)
    document = results.document
    return CodebaseResults(
        outcomes=tuple(
            _outcome(results.records.get(context.symbol_id), position, context, settings)
            for position, context in enumerate(codebase.symbols)
        ),
        usage=usage_of(document) + usage_of(carried),
        total_cost=round(float(document["total_cost"]) + float(carried.get("total_cost", 0.0)), 6),
        checks=dict(document["checks"]),
        warnings=tuple(document["warnings"]),
    )


def _outcome(record: StoredRecord | None, position: int, context: SymbolContext, settings: Settings) -> Outcome:
    if record is not None:
        return record.outcome(position)
    message = f"left out: max_symbols is {settings.max_symbols} and other symbols are more central"
    return Failed(position, context.symbol_id, context.file_path, NOT_SELECTED, message)


async def _merged(run_name: str, storage: Storage) -> Results | None:
    stored = await storage.read(merged_key(run_name, SOURCE))
    return await asyncio.to_thread(read_results, stored.body) if stored else None


# --- Interrupted runs


async def _with_interrupted(
    run_name: str | None,
    previous: Mapping[str, Any],
    storage: Storage,
    settings: Settings,
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return the earlier results with what an interrupted run has bought, and what that has cost."""
    records = {str(one["symbol_id"]): one for one in previous.get("documented_symbols", ())}
    usage, total_cost = NO_USAGE, 0.0
    run = await load_run(storage, run_name) if run_name else None
    if run is not None:
        await _end(run, storage, settings, environ)
        harvested, usage, total_cost = await _harvest(run, storage, settings)
        records.update({str(one["symbol_id"]): one for one in harvested})
    return {
        "documented_symbols": list(records.values()),
        "failed_symbols": [],
        "usage": asdict(usage),
        "total_cost": total_cost,
    }


async def _end(run: Run, storage: Storage, settings: Settings, environ: Mapping[str, str]) -> None:
    """Cancel what a run has under way."""
    if not isinstance(await load_state(storage, run.name, run.sources[0]), Division):
        return
    if run.engine == "batch":
        from generation.bulk.engines.batch import engine as batch_engine

        await batch_engine.cancel(run, storage, _unlimited(settings), _ignore, waits=batch_engine.DELAYS)
    else:
        from generation.bulk.engines.runpod import engine as runpod_engine
        from generation.bulk.engines.runpod.settings import RunPodSettings

        await runpod_engine.cancel(run, storage, RunPodSettings.from_env(environ))


def _ignore(progress: Progress) -> None:
    """Ignore the progress of a run that is being ended."""


async def _harvest(run: Run, storage: Storage, settings: Settings) -> tuple[list[dict[str, Any]], Usage, float]:
    """Return the summaries that a run has or was given, and what it and the runs before it have cost."""
    before = await _read_previous(run.name, storage)
    records = {str(one["symbol_id"]): one for one in before.get("documented_symbols", ())}
    usage, total_cost = usage_of(before), float(before.get("total_cost", 0.0))
    state = await load_state(storage, run.name, run.sources[0])
    if run.engine == "runpod" and isinstance(state, Division):
        # What the results of an unfinished run contain is in those of its shards too.
        own = NO_USAGE
        for shard in state.shards:
            own += await _harvest_shard(shard, storage, records)
        usage, total_cost = usage + own, total_cost + cost_usd(own, settings.pricing)
    elif (merged := await _merged(run.name, storage)) is not None:
        _keep(merged.records.values(), records)
        usage, total_cost = usage + usage_of(merged.document), total_cost + float(merged.document["total_cost"])
    return list(records.values()), usage, round(total_cost, 6)


async def _harvest_shard(shard: Shard, storage: Storage, records: dict[str, dict[str, Any]]) -> Usage:
    """Add what the job of a shard has saved, and return what that has cost."""
    found = await find_earlier(storage, shard.job_id, None)
    if found.warnings:
        raise StorageError(found.warnings[0])
    saved = [*(found.own.records.values() if found.own else ())]
    for of_run in found.segments.runs.values():
        saved += of_run.values()
    _keep(saved, records)
    return sum((record.usage for record in saved), start=NO_USAGE)


def _keep(found: Iterable[StoredRecord], records: dict[str, dict[str, Any]]) -> None:
    for record in found:
        outcome = record.outcome(0)
        if isinstance(outcome, Documented) and (outcome.source != "offline" or outcome.is_rejected):
            kept = outcome if outcome.is_rejected else replace(outcome, source="model")
            records[outcome.symbol_id] = stored_record(replace(kept, usage=NO_USAGE))


async def _in_batches(run: Run, storage: Storage, settings: Settings) -> AsyncIterator[dict[str, Any]]:
    """Yield a record for each symbol that a batch of the run asks for or has answered."""
    from generation.bulk.engines.batch.store import PartStore

    store = PartStore(storage, run.name)
    bought: dict[int, str] = {}
    for part in await store.parts():
        if part.status == "ended":
            async for _, outcome in store.answers(part):
                if isinstance(outcome, Documented):
                    bought[outcome.position] = outcome.summary
        elif part.status in {"begun", "submitted"}:
            bought |= {position: "under way" for _, position in await store.places(part)}
    state = await load_state(storage, run.name, run.sources[0])
    content_hash = hasher(engine_settings("batch", settings))
    for shard in state.shards if isinstance(state, Division) and bought else ():
        for symbol in await read_shard(storage, shard, contexts_key(run.name, shard.job_id)):
            if symbol.position in bought:
                kept = Documented(
                    0, symbol.symbol_id, bought[symbol.position], content_hash=content_hash(symbol.context)
                )
                yield stored_record(kept)


async def _remove_run(run_name: str, storage: Storage) -> None:
    """Delete everything that is stored of a run, the manifest last."""
    run = await load_run(storage, run_name)
    state = await load_state(storage, run_name, run.sources[0]) if run else None
    for shard in state.shards if isinstance(state, Division) else ():
        await storage.delete([results_key(shard.job_id), *await storage.list_keys(prefix_of(shard.job_id))])
    await storage.delete([merged_key(run_name, SOURCE), codebase_previous_key(run_name)])
    for folder in ("sources", "shards", "submitted", "batch/parts", "batch/rows", "batch/answers", "codebase"):
        await storage.delete(await storage.list_keys(f"bulk/{run_name}/{folder}/"))
    await storage.delete([f"bulk/{run_name}/{name}.json" for name in ("batch/run", "cancelled", "manifest")])
