"""What the service computes at once, for callers who have their own symbols: vectors, and graphs with contexts. Pure.

`assemble` does with given symbols, edges and vectors what a build does with parsed ones: centrality by PageRank,
clusters with labels, nearest neighbours, and the context of each symbol as `POST /generate` takes it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from doctown.assembly.contexts import Facts, make_context
from doctown.assembly.groups import group_symbols, neighbours_of, no_groups
from doctown.assembly.neighbours import nearest_neighbours
from doctown.assembly.symbols import ProgramSymbol, sure_calls
from doctown.docpack.schema import ClustersDocument
from doctown.embedding import Embeddings, EmbeddingSettings
from doctown.embedding.model import DIMENSIONS, MODEL_FILE, MODEL_NAME, EmbeddingModel, load_model
from doctown.errors import ModelError
from doctown.graph.model import Edge, Graph
from doctown.graph.pagerank import centrality
from doctown.parsing.records import FileRecord, Symbol, SymbolKind
from generation import InputError, describe_fault
from generation.domain.context import SymbolContext

MAX_TEXTS = 2_048
MAX_TEXT_CHARS = 100_000
MAX_SYMBOLS = 20_000
MAX_EDGES = 200_000
# What the caller may know of a symbol and is not worked out here.
_GIVEN = frozenset({"kind", "imports", "decorators", "parent", "exported", "cluster_label"})
_STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Vector = Annotated[list[float], Field(min_length=1, max_length=4_096)]
SymbolId = Annotated[str, Field(min_length=1, max_length=1_024)]


class EmbedInput(BaseModel):
    """Texts to embed."""

    model_config = _STRICT

    texts: Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)] = Field(
        description="The texts; of each, the first 128 tokens count."
    )


class EmbedOutput(BaseModel):
    """A unit vector for each text, in their order."""

    model: Annotated[str, Field(description="The embedding model.")]
    dimensions: Literal[384]
    embeddings: list[Annotated[list[float], Field(min_length=384, max_length=384)]]


class GivenEdge(BaseModel):
    """That one symbol calls another."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    source: SymbolId = Field(alias="from", description="The symbol that calls.")
    target: SymbolId = Field(alias="to", description="The symbol that is called.")
    confidence: float = Field(
        1.0, ge=0, le=1, allow_inf_nan=False, description="How sure it is; what is below 0.7 counts for nothing."
    )


class AssembleInput(BaseModel):
    """Symbols, who calls whom, and a vector for each symbol."""

    model_config = _STRICT

    symbols: Annotated[list[SymbolContext], Field(min_length=1, max_length=MAX_SYMBOLS)] = Field(
        description="The symbols; calls, callers, centrality and neighbours are worked out."
    )
    edges: Annotated[list[GivenEdge], Field(max_length=MAX_EDGES)] = Field(
        default=[], description="Calls between symbols that are given."
    )
    embeddings: dict[SymbolId, Vector] = Field(
        default={}, description="Vectors by symbol ID, all of one length, for all symbols or for none."
    )
    clusters: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        None, description="The number of clusters; default: a good one."
    )


class GraphNode(BaseModel):
    """A symbol in the graph."""

    symbol_id: str
    centrality: Annotated[float, Field(ge=0, le=1, description="PageRank, on a logarithmic scale.")]
    cluster: Annotated[int | None, Field(description="The cluster's id; null without vectors.")]


class AssembledGraph(BaseModel):
    """Symbols and calls between them."""

    nodes: list[GraphNode]
    edges: list[GivenEdge]


class AssembleOutput(BaseModel):
    """The graph, its clusters, and the context of each symbol as `POST /generate` takes it."""

    graph: AssembledGraph
    clusters: ClustersDocument
    contexts: list[dict[str, Any]]


def parse(model: type[BaseModel], body: object) -> Any:  # noqa: ANN401 - what the model says
    """Return a body as a model. Raise InputError, which names the first wrong places."""
    try:
        # As JSON: strict models then take a list for a tuple.
        return model.model_validate_json(json.dumps(body))
    except ValidationError as error:
        known = list(model.model_fields)
        raise InputError("; ".join(describe_fault("body", fault, known) for fault in error.errors()[:3])) from None


def embed(given: EmbedInput, settings: EmbeddingSettings) -> dict[str, Any]:
    """Return the vectors of texts. Raise ModelError where there is no model."""
    if not (settings.model_path / MODEL_FILE).exists():
        raise ModelError(f"There is no {MODEL_FILE} in EMBEDDING_MODEL_PATH: run `make setup`, or set the path")
    vectors = _loaded(settings).embed(given.texts).astype(np.float64)
    return {"model": MODEL_NAME, "dimensions": DIMENSIONS, "embeddings": np.round(vectors, 6).tolist()}


@functools.cache
def _loaded(settings: EmbeddingSettings) -> EmbeddingModel:
    """Return the model, which takes a third of a second to load, once for all requests."""
    return load_model(settings.model_path, provider=settings.provider)


def assemble(given: AssembleInput) -> dict[str, Any]:
    """Return the graph, clusters and contexts of symbols. Raise InputError where they do not fit together."""
    by_id = {one.symbol_id: one for one in given.symbols}
    _check_together(given, by_id)
    files = _files(given)
    symbol_ids = list(_ids_by_file(given).values())
    file_of = {one: file for file, ids in zip(files, symbol_ids, strict=True) for one in ids}
    symbols = [ProgramSymbol(one.symbol_id, file_of[one.symbol_id], _symbol(one), None, False) for one in given.symbols]  # noqa: FBT003
    graph = Graph(
        files=files,
        symbol_ids=symbol_ids,
        counts={},
        edges=[
            Edge(one.source, one.target, "calls", (), "qualified", one.confidence)
            for one in given.edges
            if one.source != one.target
        ],
    )
    groups, neighbours = no_groups(), {}
    if given.embeddings:
        embeddings = _embeddings(given)
        groups = group_symbols(symbols, embeddings, given.clusters, "")
        neighbours = neighbours_of(symbols, nearest_neighbours(embeddings.vectors))
    central = centrality(graph)
    names = {one.symbol_id: one.name for one in given.symbols}
    facts = Facts(names, sure_calls(graph), central, {one.symbol_id: one.calls for one in given.symbols})
    contexts = [
        _context(make_context(symbol, by_id[symbol.id].source_code or "", facts, neighbours.get(symbol.id, ())), one)
        for symbol, one in zip(symbols, given.symbols, strict=True)
    ]
    nodes = [{"symbol_id": one, "centrality": central[one], "cluster": groups.cluster_of.get(one)} for one in by_id]
    edges = [{"from": one.source, "to": one.target, "confidence": one.confidence} for one in given.edges]
    return {"graph": {"nodes": nodes, "edges": edges}, "clusters": groups.document, "contexts": contexts}


def _check_together(given: AssembleInput, by_id: Mapping[str, SymbolContext]) -> None:
    if len(by_id) < len(given.symbols):
        raise InputError("body.symbols has a symbol_id twice: each symbol has its own")
    for place, edge in enumerate(given.edges):
        if edge.source not in by_id or edge.target not in by_id:
            raise InputError(f"body.edges[{place}] names a symbol that is not in body.symbols")
    if given.embeddings and given.embeddings.keys() != by_id.keys():
        raise InputError("body.embeddings must have a vector for each symbol_id of body.symbols and no other, or none")
    if len({len(vector) for vector in given.embeddings.values()}) > 1:
        raise InputError("body.embeddings has vectors of different lengths")


def _embeddings(given: AssembleInput) -> Embeddings:
    vectors = np.array([given.embeddings[one.symbol_id] for one in given.symbols], dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise InputError("body.embeddings has numbers that are not finite")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return Embeddings(unit, "embeddings", None, None)


def _files(given: AssembleInput) -> list[FileRecord]:
    """Return the records of the symbols' files, of which no more is known than who is in them."""
    by_id = {one.symbol_id: one for one in given.symbols}
    return [
        FileRecord(
            path=path,
            language=language,
            size_bytes=0,
            lines=0,
            partial=False,
            docstring=None,
            package=None,
            symbols=tuple(_symbol(by_id[one]) for one in ids),
            scopes=(),
            parameters=(),
            bindings=(),
            stores=(),
            returns=(),
            imports=(),
            exports=(),
            inherits=(),
            calls=(),
        )
        for (path, language), ids in _ids_by_file(given).items()
    ]


def _ids_by_file(given: AssembleInput) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for one in given.symbols:
        found.setdefault((one.file_path, one.language), []).append(one.symbol_id)
    return found


def _symbol(given: SymbolContext) -> Symbol:
    kind = given.kind if given.kind in get_args(SymbolKind) else "function"
    return Symbol(
        name=given.name,
        qualified_name=given.name,
        kind=cast("SymbolKind", kind),
        parent=-1,
        signature=given.signature or "",
        docstring=given.docstring,
        start_byte=0,
        end_byte=0,
        start_line=1,
        end_line=1,
        decorators=(),
        exported=given.exported is not False,
        is_test=False,
        scope=-1,
        within=0,
        bases=(),
        base_names=given.bases,
        returns=None,
        owner=None,
        flags=(),
    )


def _context(made: SymbolContext, given: SymbolContext) -> dict[str, Any]:
    """Return a context as JSON: what was worked out, and what the caller knows better than a record that is empty."""
    return {**_filled(made), **{key: value for key, value in _filled(given).items() if key in _GIVEN}}


def _filled(context: SymbolContext) -> dict[str, Any]:
    """Return what a context has, as JSON; without its vector, which is the caller's own."""
    found = {one.name: getattr(context, one.name) for one in dataclasses.fields(context) if one.name != "embedding"}
    found["related_symbols"] = [
        one if isinstance(one, str) else dataclasses.asdict(one) for one in context.related_symbols
    ]
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in found.items()
        if value is not None and value not in ((), [], "")
    }
