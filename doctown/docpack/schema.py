"""The types of everything in a pack, with the limits of its readers: the one source of the published JSON Schemas.

The types say which keys there are, in the order in which they are written, and what a value may be. Leaves out how the
documents refer to each other (`rules`) and the archive around them (`reader`, `writer`).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

FORMAT = "docpack"
FORMAT_VERSION: Final = 1
PACK_SUFFIX = ".docpack"
EMBEDDINGS_SUFFIX = ".embeddings.bin"

MANIFEST = "manifest.json"
README = "README.md"
LLMS = "llms.txt"
NODES = "nodes.json"
GRAPH = "graph.json"
CLUSTERS = "clusters.json"
SOURCE_MAP = "source_map.json"
# The members that every pack has, in the order in which they stand in the archive. Pages follow.
NAMED_MEMBERS = (MANIFEST, README, LLMS, NODES, GRAPH, CLUSTERS, SOURCE_MAP)
FILE_PAGES = "docs/files/"
CLUSTER_PAGES = "docs/clusters/"

# What a reader takes: some ten times the size of a pack of 100,000 symbols, and little enough to be refused in time.
MAX_MEMBERS = 500_000
MAX_MEMBER_BYTES = 512 << 20
MAX_UNPACKED_BYTES = 2 << 30
# The headers in front of one member. Only a path of more than 100 bytes needs more than one block of 512.
MAX_HEADER_BYTES = 64 << 10

MAX_DESCRIPTION_CHARACTERS = 500

# The qualified name of the node that stands for a whole file.
MODULE_NAME = "<module>"
# An edge below this confidence is a guess, and is shown as one.
MIN_SURE_CONFIDENCE = 0.7
# Keys of a hostile document can be of any length; a sentence about them is not.
MAX_PLACE_CHARACTERS = 200

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

# Larger integers change when JavaScript reads them.
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
LineNumber = Annotated[int, Field(ge=1, le=2**53 - 1, description="1-based.")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256, in lower-case hexadecimal digits.")]
SourceHash = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{32}$",
        description="The hash of the source text of the symbol that the summary describes; see `docs/docpack.md`.",
    ),
]
NodeId = Annotated[
    str,
    Field(
        min_length=1,
        description="`path::qualified.name`, with `#2`, `#3`... after it where a file has the name several times.",
    ),
]
FilePath = Annotated[
    str,
    Field(
        pattern=r"^[^/\\\x00-\x1f\x7f][^\\\x00-\x1f\x7f]*$",
        description="From the root of the repository, with `/` between its parts, none of which is `.`, `..` or empty.",
    ),
]
Name = Annotated[str, Field(min_length=1)]
LanguageName = Annotated[str, Field(min_length=1, description="The language, in lower case.", examples=["python"])]

Kind = Literal[
    "function",
    "method",
    "class",
    "struct",
    "enum",
    "trait",
    "interface",
    "type",
    "constant",
    "module",
    "macro",
    "property",
]
EdgeKind = Literal["calls", "inherits", "imports", "contains", "overrides"]
Origin = Literal["lexical", "import", "self", "inherited", "qualified", "typed", "unique_name"]
Level = Literal["full", "symbols", "files"]
Status = Literal["parsed", "partial", "skipped"]
SummarySource = Literal["model", "offline", "previous"]


# --- manifest.json


@with_config(STRICT)
class GeneratorInfo(TypedDict):
    """The program that wrote the pack."""

    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]


@with_config(STRICT)
class Repository(TypedDict):
    """What was documented."""

    name: Annotated[str, Field(min_length=1)]
    url: Annotated[str | None, Field(description="Where it can be cloned from, without credentials.")]
    commit: Annotated[str | None, Field(pattern="^[0-9a-f]{40}([0-9a-f]{24})?$", description="null: not under Git.")]
    ref: Annotated[str | None, Field(description="The branch or tag that was asked for.")]
    dirty: Annotated[bool, Field(description="Whether files differed from the commit.")]
    licence: Annotated[str | None, Field(description="The SPDX identifier, where it is known.")]
    description: NotRequired[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=MAX_DESCRIPTION_CHARACTERS,
                description="The first paragraph of the repository's README, as plain text.",
            ),
        ]
    ]


@with_config(STRICT)
class Counts(TypedDict):
    """The size of the pack."""

    files: Annotated[Count, Field(description="All files of the source map.")]
    files_parsed: Annotated[Count, Field(description="Those that were parsed, partly parsed ones included.")]
    files_skipped: Count
    symbols: Annotated[Count, Field(description="All nodes, without those that stand for a whole file.")]
    documented: Annotated[Count, Field(description="Nodes with a summary.")]
    failed: Annotated[Count, Field(description="Nodes with a failure.")]
    edges: Count
    call_sites: Annotated[Count, Field(description="Resolved, external and unresolved ones.")]
    call_sites_resolved: Annotated[Count, Field(description="Each has at least one edge.")]
    call_sites_external: Annotated[Count, Field(description="They lead out of the repository.")]
    call_sites_unresolved: Annotated[Count, Field(description="Ambiguous ones included.")]
    clusters: Count


@with_config(STRICT)
class LanguageInfo(TypedDict):
    """What was looked at in the files of one language."""

    files: Annotated[Count, Field(description="Files of the source map in this language, skipped ones included.")]
    symbols: Annotated[Count, Field(description="Nodes in this language, without those that stand for a whole file.")]
    level: Annotated[
        Level,
        Field(description="`full`: symbols and calls; `symbols`: no calls; `files`: only that the files are there."),
    ]


@with_config(STRICT)
class TokenUsage(TypedDict):
    """What the model's API reported, failed attempts included."""

    input_tokens: Count
    cached_input_tokens: Annotated[Count, Field(description="A part of the input tokens.")]
    output_tokens: Count
    reasoning_tokens: Annotated[Count, Field(description="A part of the output tokens.")]
    requests: Count
    retries: Count


@with_config(STRICT)
class CheckCounts(TypedDict):
    """How the summaries of a model fared in their checks."""

    checked: Count
    passed_all: Count
    findings: Annotated[dict[str, Count], Field(description="How many summaries each check found fault with.")]


@with_config(STRICT)
class BuildDocumentation(TypedDict):
    """How the summaries were written, and what they cost."""

    model: Annotated[str, Field(min_length=1, description="The model, or `offline`.")]
    language: Annotated[str, Field(min_length=1, description="The natural language of the summaries.")]
    usage: TokenUsage
    total_cost: Annotated[float, Field(ge=0, description="US dollars.")]
    checks: CheckCounts


@with_config(STRICT)
class EmbeddingsInfo(TypedDict):
    """The file of vectors beside the pack."""

    file: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f\x7f]+\.embeddings\.bin$", description="Its name.")]
    sha256: Sha256
    model: Annotated[str, Field(min_length=1)]
    model_sha256: Annotated[Sha256 | None, Field(description="Of the model's weights.")]
    dimensions: Annotated[int, Field(ge=1, le=65_536)]
    dtype: Literal["float32"]
    rows: Annotated[Count, Field(description="One for each node, in the order of `nodes.json`.")]
    metric: Literal["cosine"]


@with_config(STRICT)
class MemberInfo(TypedDict):
    """How a member is known to be whole."""

    bytes: Count
    sha256: Sha256


@with_config(STRICT)
class Manifest(TypedDict):
    """`manifest.json`: what the pack is and where it comes from."""

    format: Literal["docpack"]
    format_version: Literal[1]
    generator: GeneratorInfo
    repository: Repository
    created_at: Annotated[
        str,
        Field(
            pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$",
            description="The time of the commit, in UTC, so that building it again gives the same bytes.",
        ),
    ]
    counts: Counts
    languages: Annotated[dict[LanguageName, LanguageInfo], Field(description="Sorted by name.")]
    documentation: BuildDocumentation
    embeddings: Annotated[EmbeddingsInfo | None, Field(description="null: nobody asked for vectors.")]
    members: Annotated[dict[str, MemberInfo], Field(description="All members but this one.")]
    warnings: Annotated[list[str], Field(description="What is worth knowing and stopped nothing; a sentence each.")]


# --- nodes.json


@with_config(STRICT)
class Finding(TypedDict):
    """What a check found fault with."""

    check: Annotated[str, Field(min_length=1)]
    hard: Annotated[bool, Field(description="Whether it was worth asking the model again.")]
    reason: str


@with_config(STRICT)
class SummaryChecks(TypedDict):
    """The checks of one summary; one that does not apply is in neither list."""

    passed: list[str]
    findings: list[Finding]
    source_hash: NotRequired[SourceHash]


@with_config(STRICT)
class Documentation(TypedDict):
    """A symbol's summary and where it comes from."""

    summary: Annotated[str, Field(min_length=1)]
    source: Annotated[SummarySource, Field(description="A model, no model at all, or an earlier build.")]
    content_hash: Annotated[
        str, Field(pattern="^[0-9a-f]{32}$", description="Changes with whatever the summary rests on.")
    ]
    checks: SummaryChecks


@with_config(STRICT)
class Failure(TypedDict):
    """Why a symbol that was to be documented has no summary."""

    failure: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", examples=["timeout"])]
    message: Annotated[str, Field(min_length=1, description="A sentence for people.")]


@with_config(STRICT)
class Near(TypedDict):
    """A symbol of which the embedded text is like another's."""

    id: NodeId
    similarity: Annotated[float, Field(ge=-1, le=1, description="The cosine of their vectors.")]


@with_config(STRICT)
class Node(TypedDict):
    """A symbol, or the node of kind `module` that stands for a whole file."""

    id: NodeId
    name: Name
    qualified_name: Annotated[Name, Field(description="With `.` between its parts; `<module>` for a whole file.")]
    kind: Kind
    language: LanguageName
    file: FilePath
    signature: str | None
    parent: Annotated[NodeId | None, Field(description="A node of the same file.")]
    exported: bool
    is_test: bool
    documentation: Annotated[Documentation | None, Field(description="null where `failure` is not.")]
    failure: Failure | None
    docstring: Annotated[str | None, Field(description="The first paragraph of the comment in the source.")]
    centrality: Annotated[Fraction, Field(description="PageRank in the graph of sure calls; the highest is 1.")]
    cluster: Annotated[Count | None, Field(description="The cluster's id.")]
    external_calls: Annotated[list[str], Field(description="What it calls outside of the repository; sorted.")]
    unresolved_calls: Annotated[Count, Field(description="Call sites of which nobody knows where they lead.")]
    ambiguous_calls: Annotated[Count, Field(description="Call sites that could be several symbols.")]
    nearest: NotRequired[
        Annotated[list[Near], Field(description="The nearest symbols by their vectors, the nearest first.")]
    ]


@with_config(STRICT)
class NodesDocument(TypedDict):
    """`nodes.json`: the symbols with their documentation, by file and then by place in it."""

    nodes: list[Node]


# --- graph.json

# `from` is no name that a class body could have.
_EdgeStart = TypedDict("_EdgeStart", {"from": NodeId})


@with_config(STRICT)
class Edge(_EdgeStart):
    """How one node leads to another."""

    to: NodeId
    kind: EdgeKind
    lines: Annotated[list[LineNumber], Field(description="Of the calls, in the file of `from`; sorted, each once.")]
    origin: Annotated[Origin, Field(description="How it was found. `unique_name` is a guess.")]
    confidence: Annotated[float, Field(gt=0, le=1, description="Below 0.7: a guess, which a reader can leave out.")]


@with_config(STRICT)
class GraphDocument(TypedDict):
    """`graph.json`: the edges, sorted by `from`, `to`, `kind` and `origin`."""

    edges: list[Edge]


# --- clusters.json


@with_config(STRICT)
class Cluster(TypedDict):
    """Symbols that belong together."""

    id: Annotated[Count, Field(description="Its place in the list, from 0.")]
    label: Annotated[str, Field(min_length=1)]
    terms: list[str]
    size: Count
    members: Annotated[list[NodeId], Field(description="Sorted.")]


@with_config(STRICT)
class ClustersDocument(TypedDict):
    """`clusters.json`: the clusters and how they were found."""

    algorithm: Annotated[str, Field(min_length=1, examples=["k-means"])]
    k: Annotated[Count, Field(description="The number of clusters.")]
    seed: int
    basis: Annotated[Literal["embeddings", "words"], Field(description="What the symbols were compared by.")]
    clusters: list[Cluster]


# --- source_map.json


@with_config(STRICT)
class SourceFile(TypedDict):
    """A file that was selected."""

    path: FilePath
    language: LanguageName | None
    bytes: Count
    lines: Count
    sha256: Sha256
    status: Status
    reason: Annotated[str | None, Field(description="Why it was skipped, or parsed in part only.")]


@with_config(STRICT)
class Span(TypedDict):
    """Where a symbol stands."""

    file: Annotated[Count, Field(description="The file's place in `files`, from 0.")]
    start_line: LineNumber
    end_line: Annotated[LineNumber, Field(description="1-based; the last line of the symbol.")]
    start_byte: Annotated[Count, Field(description="0-based.")]
    end_byte: Annotated[Count, Field(description="0-based; the byte after the symbol.")]


@with_config(STRICT)
class SourceMapDocument(TypedDict):
    """`source_map.json`: the files, and where in them each symbol stands."""

    url_template: Annotated[
        str | None,
        Field(
            pattern=r"""^https?://[^\s<>()"'`\\]+$""",
            description="With `{path}`, `{start_line}` and `{end_line}`; it names the commit. null: no links.",
            examples=["https://github.com/o/r/blob/COMMIT/{path}#L{start_line}-L{end_line}"],
        ),
    ]
    files: Annotated[list[SourceFile], Field(description="Sorted by path.")]
    symbols: Annotated[dict[NodeId, Span], Field(description="Every node, by its id.")]


# The documents of a pack by the names of their schemas.
DOCUMENTS: dict[str, TypeAdapter[Any]] = {
    "manifest": TypeAdapter(Manifest),
    "nodes": TypeAdapter(NodesDocument),
    "graph": TypeAdapter(GraphDocument),
    "clusters": TypeAdapter(ClustersDocument),
    "source_map": TypeAdapter(SourceMapDocument),
}


def json_schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the document `NAME.json`."""
    schema = DOCUMENTS[name].json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def first_problem(error: ValidationError) -> str:
    """Return where a value has the wrong type and what would be right, for a sentence; nothing of the value itself."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    return f"{place[:MAX_PLACE_CHARACTERS]}: {first['msg']}" if place else first["msg"]


def is_file_path(path: str) -> bool:
    r"""Return whether `path` can stand in a pack: relative, UTF-8, without `.`, `..`, empty parts, `\` or controls."""
    if "\\" in path or any(ord(character) < ord(" ") or character == "\x7f" for character in path):
        return False
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return not {"", ".", ".."} & set(path.split("/"))


def is_module(node: Node) -> bool:
    """Return whether the node stands for a whole file, and is not counted as a symbol."""
    return node["qualified_name"] == MODULE_NAME


def is_guess(edge: Edge) -> bool:
    """Return whether an edge is only guessed."""
    return edge["confidence"] < MIN_SURE_CONFIDENCE


def source_hash(source: bytes) -> str:
    r"""Return the hash of a symbol's source text: half of the SHA-256 of its bytes, with `\r\n` read as `\n`."""
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()[:32]
