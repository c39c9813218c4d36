"""From the bytes of one file to its `FileRecord`: parse, query, hand each captured node to the language's handlers.

The tree is dropped with the call. A query names the nodes that matter (`(call) @call`); the capture's name picks
the handler in the language's module. Nodes come in the order of the source, outer before inner, so that a handler
that opens a scope has done so before what stands in it arrives. Of nodes with the same span (a body and its only
statement) the one comes first whose handler stands first in HANDLERS: what opens scopes belongs at its top.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from operator import itemgetter
from typing import Any

from tree_sitter import Language, Node, Parser, Query, QueryCursor

from doctown.parsing.languages import Language as Row
from doctown.parsing.languages import row_for
from doctown.parsing.recorder import Recorder
from doctown.parsing.records import FileRecord

Handler = Callable[[Recorder, Node], None]


def extract(language: str, path: str, source: bytes) -> FileRecord:
    """Return the record of a file; `partial` where it has syntax errors, with all that is whole.

    `path` is relative to the repository, with `/`. Raises KeyError for a language that the table does not have, and
    nothing for what stands in the file.
    """
    row = row_for(language, path)
    parser, query, handlers = _tools(row)
    text = _imported(row.prepare)(source) if row.prepare else source
    tree = parser.parse(text)
    root = tree.root_node
    recorder = Recorder(path, row.name, text, root)
    captured = {} if _is_one_error(root) else _captures(query, root)
    # Sorting is stable: of two nodes with one span, the one goes first whose handler stands first.
    ordered = [
        ((start := node.start_byte) * _BEHIND - node.end_byte, start, node, handler)
        for name, handler in handlers.items()
        for node in captured.get(name, ())
    ]
    ordered.sort(key=itemgetter(0))
    for _, start, node, handler in ordered:
        if start >= recorder.closes_at:
            recorder.close_scopes(start)
        handler(recorder, node)
    return recorder.record(partial=root.has_error)


def _captures(query: Query, root: Node) -> Mapping[str, list[Node]]:
    cursor = QueryCursor(query)
    cursor.set_max_start_depth(MAX_DEPTH)
    return cursor.captures(root)


def _is_one_error(root: Node) -> bool:
    """Return whether the parser made one flat error of the file, as of 100,000 open brackets: it has nothing whole.

    The time of a query grows with the square of such a node's children: 8 s for 100,000, 0.3 s for 20,000.
    """
    return root.type == "ERROR" and root.child_count > MAX_ERROR_CHILDREN


MAX_ERROR_CHILDREN = 20_000
MAX_DEPTH = 2_000  # of the tree, in which nodes are looked for: the time of a query grows with the square of the depth
_BEHIND = 1 << 40  # more bytes than a file has: sorts by start, then the larger node first


@cache
def _tools(row: Row) -> tuple[Parser, Query, Mapping[str, Handler]]:
    grammar = Language(_imported(row.grammar)())
    query = (files("doctown.parsing") / "queries" / f"{row.query}.scm").read_text("utf-8")
    handlers: Mapping[str, Handler] = importlib.import_module(f"doctown.parsing.{row.extractor}").HANDLERS
    return Parser(grammar), Query(grammar, query), handlers


def _imported(name: str) -> Any:  # noqa: ANN401 - whatever the table names
    module, attribute = name.split(":")
    return getattr(importlib.import_module(module), attribute)
