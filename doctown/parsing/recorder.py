"""What the extractors of all languages share: the scope around the node at hand, and the lists that become a record."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tree_sitter import Node

from doctown.parsing.records import (
    Binding,
    Call,
    Decorator,
    Export,
    Expr,
    FileRecord,
    Import,
    Inherits,
    Parameter,
    Return,
    Scope,
    Store,
    Symbol,
    SymbolKind,
)

MAX_EXPRESSION_DEPTH = 40  # deeper expressions are unknown: calls in them are captured on their own
MAX_SIGNATURE_CHARACTERS = 2_000

_TEST_PATH = re.compile(
    r"(^|/)(tests?|__tests__|specs?|testing)/|(^|/)(test_[^/]*|conftest)\.\w+$|[._-](test|tests|spec)\.\w+$"
    r"|[a-z0-9](Test|Tests|Spec)\.\w+$"
)


def is_test_path(path: str) -> bool:
    """Tell whether a file holds tests, by the names that test runners look for."""
    return _TEST_PATH.search(path) is not None


_RESERVED = Call(0, None, (), (), 0, 0, 0)
_NEVER = 1 << 60  # a byte that no file has


class Recorder:
    """Collects the facts of one file. Handlers get it with each node, in the order of the source."""

    def __init__(self, path: str, language: str, source: bytes, root: Node) -> None:
        self.path, self.language, self.source, self.root = path, language, source, root
        self.docstring: str | None = None
        self.package: str | None = None
        self.all_names: list[str] | None = None
        self.symbols: list[Symbol] = []
        self.scopes: list[Scope] = [Scope("module", -1, -1)]
        self.parameters: list[Parameter] = []
        self.bindings: list[Binding] = []
        self.stores: list[Store] = []
        self.returns: list[Return] = []
        self.imports: list[Import] = []
        self.exports: list[Export] = []
        self.inherits: list[Inherits] = []
        self.calls: list[Call] = []
        self.scope = 0  # the innermost open scope
        self.closes_at = _NEVER  # where the innermost open scope ends
        self.depth = 0  # of the expression that is being converted
        self.pending: dict[int, Any] = {}  # node id -> what its own handler will want (decorators, narrowed names)
        self.transparent: set[int] = set()  # ids of blocks that always run: no branch
        self.elsewhere: dict[
            tuple[int, str], int
        ] = {}  # (scope, name) -> the scope that really has it: global, nonlocal
        self.is_test_file = is_test_path(path)
        self._open: list[tuple[int, int]] = []  # (end byte, scope around it)
        self._reserved: dict[int, int] = {}  # node id -> scope
        self.call_numbers: dict[int, int] = {}  # node id -> call
        self._texts: dict[bytes, str] = {}
        self._names: dict[bytes, Expr] = {}

    # text

    def text(self, node: Node) -> str:
        """Return the source of a node (one string for equal texts)."""
        raw = self.source[node.start_byte : node.end_byte]
        known = self._texts.get(raw)
        if known is None:
            known = self._texts[raw] = raw.decode("utf-8", "replace")
        return known

    def name(self, node: Node) -> Expr:
        """Return ("name", text of the node), one tuple for equal texts."""
        raw = self.source[node.start_byte : node.end_byte]
        known = self._names.get(raw)
        if known is None:
            known = self._names[raw] = ("name", self.text(node))
        return known

    def convert(self, node: Node | None, table: "Mapping[str, Callable[[Recorder, Node], Expr]]") -> Expr:
        """Return what the table's function for the node's type makes of it; None for no node, no row, or too deep."""
        if node is None or self.depth >= MAX_EXPRESSION_DEPTH:
            return None
        convert = table.get(node.type)
        if convert is None:
            return None
        self.depth += 1
        value = convert(self, node)
        self.depth -= 1
        return value

    def folded(self, start: int, end: int) -> str:
        """Return the source between two bytes on one line, white space folded, cut at MAX_SIGNATURE_CHARACTERS."""
        line = " ".join(self.source[start:end].decode("utf-8", "replace").split())
        return line if len(line) <= MAX_SIGNATURE_CHARACTERS else line[: MAX_SIGNATURE_CHARACTERS - 1] + "…"

    # scopes

    def close_scopes(self, start: int) -> None:
        """Leave the scopes that end before the byte `start`."""
        while self._open and self._open[-1][0] <= start:
            self.scope = self._open.pop()[1]
        self.closes_at = self._open[-1][0] if self._open else _NEVER

    def reserve(self, node: Node, kind: str, *, symbol: int = -1, name: str | None = None, owner: Expr = None) -> int:
        """Return the scope of a node, made now under the current one if the node has none yet.

        An expression that holds a lambda names its scope before the lambda itself arrives.
        """
        scope = self._reserved.get(node.id)
        if scope is None:
            scope = self._reserved[node.id] = len(self.scopes)
            self.scopes.append(Scope(kind, self.scope, symbol, name, owner))
        return scope

    def open_scope(
        self, node: Node, kind: str, *, symbol: int = -1, name: str | None = None, owner: Expr = None
    ) -> int:
        """Enter the scope of a node until the node ends; return it. A reserved one gets its symbol now."""
        scope = self.reserve(node, kind, symbol=symbol, name=name, owner=owner)
        if symbol >= 0:
            self.scopes[scope] = self.scopes[scope]._replace(symbol=symbol)
        self.closes_at = node.end_byte
        self._open.append((self.closes_at, self.scope))
        self.scope = scope
        return scope

    @contextmanager
    def inside(self, scope: int) -> Iterator[None]:
        """Record what is converted meanwhile as standing in `scope`."""
        around, self.scope = self.scope, scope
        try:
            yield
        finally:
            self.scope = around

    def names_scope(self) -> int:
        """Return the innermost scope that is no block and no comprehension: where Python's assignments bind."""
        scope = self.scope
        while self.scopes[scope].kind in ("block", "comprehension"):
            scope = self.scopes[scope].parent
        return scope

    def owner_symbol(self) -> int:
        """Return the symbol around the current place, -1 at the top of the file."""
        scope = self.scope
        while scope >= 0 and self.scopes[scope].symbol < 0:
            scope = self.scopes[scope].parent
        return self.scopes[scope].symbol if scope >= 0 else -1

    # facts

    def define(  # noqa: PLR0913 - a symbol has many sides, all named
        self,
        node: Node,
        name: str,
        kind: SymbolKind,
        *,
        signature: str,
        docstring: str | None = None,
        outer: Node | None = None,
        body: Node | None = None,
        scope_kind: str | None = None,
        decorators: tuple[Decorator, ...] = (),
        exported: bool = False,
        is_test: bool = False,
        bases: tuple[Expr, ...] = (),
        base_names: tuple[str, ...] = (),
        returns: Expr = None,
        owner: Expr = None,
        owner_name: str | None = None,
        flags: tuple[str, ...] = (),
    ) -> int:
        """Add a symbol; return its index.

        `outer` is the node of its span where that is larger (`export`; decorators are left out); `owner_name` stands
        before its name where it belongs to a type that does not stand around it. With `scope_kind`, its own scope is
        made for `body` (default: `node`) and entered when that node is opened with `open_scope`.
        """
        parent = self.owner_symbol()
        span = outer or node
        prefix = owner_name or (self.symbols[parent].qualified_name if parent >= 0 else None)
        index, scope = len(self.symbols), -1
        if scope_kind is not None:
            scope = self.reserve(body or node, scope_kind, symbol=index)
            self.scopes[scope] = self.scopes[scope]._replace(symbol=index)
        self.symbols.append(
            Symbol(
                name, f"{prefix}.{name}" if prefix else name, kind, parent, signature, docstring,
                span.start_byte, span.end_byte, span.start_point.row + 1, _last_line(span),
                decorators, exported, is_test, scope, self.scope, bases, base_names, returns, owner, flags,
            )
        )  # fmt: skip
        return index

    def bind(self, name: str, value: Expr, at: int, *, scope: int | None = None, kind: str = "value") -> None:
        """Add a binding in `scope` (default: the one around the place that Python would take)."""
        self.bindings.append(Binding(self.names_scope() if scope is None else scope, name, value, at, self.scope, kind))

    def known_call(self, node: Node) -> int | None:
        """Return the index of a call site that is recorded already."""
        return self.call_numbers.get(node.id)

    def reserve_call(self, node: Node) -> int:
        """Return a new index for the call site of a node; `set_call` fills it once its arguments are converted."""
        index = self.call_numbers[node.id] = len(self.calls)
        self.calls.append(_RESERVED)
        return index

    def set_call(self, index: int, call: Call) -> None:
        """Fill a reserved call site."""
        self.calls[index] = call

    def record(self, *, partial: bool) -> FileRecord:
        """Return all that was collected."""
        return FileRecord(
            self.path, self.language, len(self.source), self.source.count(b"\n") + (not self.source.endswith(b"\n")),
            partial, self.docstring, self.package, tuple(self.symbols), tuple(self.scopes), tuple(self.parameters),
            tuple(self.bindings), tuple(self.stores), tuple(self.returns), tuple(self.imports), tuple(self.exports),
            tuple(self.inherits), tuple(self.calls), None if self.all_names is None else tuple(self.all_names),
        )  # fmt: skip


def _last_line(node: Node) -> int:
    """Return the last line that a node has a byte on, 1-based."""
    end = node.end_point
    return end.row + (end.column > 0 or end.row == node.start_point.row)
