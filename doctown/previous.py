"""Summaries of an earlier pack, as earlier results for the worker to take over. Pure.

The worker takes over a summary whose content hash is the symbol's. The hash says also what prompts show, which differs
by engine: batches have no order, so a prompt there has no summaries of callees. A summary that another engine has
bought counts as unchanged all the same: it gets the hash that the symbol has with the present engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from doctown.docpack import Pack
from generation import Settings, SymbolContext, engine_settings, hasher
from generation.domain.catalogue import OFFLINE, find_model

ContentHash = Callable[[SymbolContext], str]


def previous_results(pack: Pack, contexts: Sequence[SymbolContext], settings: Settings, engine: str) -> dict[str, Any]:
    """Return the summaries of a pack in the form of a job's results, for a build with these settings and engine."""
    model = pack.manifest["documentation"]["model"]
    hashes = [] if settings.model_name == OFFLINE else list(_hashes(settings, model, engine))
    by_id = {context.symbol_id: context for context in contexts}
    records = []
    for record in _records(pack):
        if (context := by_id.get(record["symbol_id"])) is not None:
            record["content_hash"] = _present_hash(context, record["content_hash"], hashes)
        records.append(record)
    return {"model": model, "documented_symbols": records, "failed_symbols": []}


def _hashes(settings: Settings, pack_model: str, engine: str) -> Iterator[tuple[ContentHash, list[ContentHash]]]:
    """Yield the hash with the present engine, and those with each engine, for the present model and for the pack's."""
    for model in dict.fromkeys([settings.model_name, pack_model]):
        is_accepted = settings.reasoning_effort in find_model(model).reasoning_efforts
        effort = settings.reasoning_effort if is_accepted or model == settings.model_name else None
        asked = settings.model_copy(update={"model_name": model, "reasoning_effort": effort})
        yield (
            hasher(engine_settings(engine, asked)),
            [hasher(engine_settings(one, asked)) for one in ("local", "batch")],
        )


def _present_hash(
    context: SymbolContext, content_hash: str, hashes: Sequence[tuple[ContentHash, list[ContentHash]]]
) -> str:
    for present, every in hashes:
        if any(one(context) == content_hash for one in every):
            return present(context)
    return content_hash


def _records(pack: Pack) -> Iterator[dict[str, Any]]:
    for node in pack.nodes:
        documentation = node["documentation"]
        if documentation is not None:
            checks = documentation["checks"]
            yield {
                "symbol_id": node["id"],
                "summary": documentation["summary"],
                "source": documentation["source"],
                "content_hash": documentation["content_hash"],
                "checks": {"passed": checks["passed"], "findings": checks["findings"]},
            }
