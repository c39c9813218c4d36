"""Names, patterns and texts of JavaScript and TypeScript that all their definitions share."""

from collections.abc import Iterator
from typing import NamedTuple

from tree_sitter import Node

from doctown.parsing.javascript_types import NO_DOC, Doc, doc_before, parse_doc, string_text
from doctown.parsing.javascript_values import Place, constant_key, either, expression
from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Expr, Store

EXPORTS = -1  # key in Recorder.pending of the names that a file exports by a list of its own


def declare(  # noqa: PLR0913, PLR0917 - the parts of a binding
    rec: Recorder, scope: int, name: str, value: Expr, at: int, kind: str = "value"
) -> None:
    """Bind a name in the scope that declares it."""
    rec.elsewhere[scope, name] = scope
    rec.bind(name, value, at, scope=scope, kind=kind)


def declaring_scope(rec: Recorder, name: str) -> int:
    """Return the scope whose name an assignment sets; the file's where none around has declared it so far."""
    scope = rec.scope
    while scope > 0 and (scope, name) not in rec.elsewhere:
        scope = rec.scopes[scope].parent
    return max(scope, 0)


def is_exported(rec: Recorder, name: str, outer: Node) -> bool:
    """Tell whether a definition of this name, at this place, can be seen from outside of the file."""
    parent = rec.owner_symbol()
    if parent < 0:
        return outer.type == "export_statement" or name in rec.pending.get(EXPORTS, ())
    around = rec.symbols[parent]
    if not around.exported:
        return False
    return around.kind in ("class", "interface") or (around.kind == "module" and outer.type == "export_statement")


def doc_of(rec: Recorder, outer: Node, inner: Node | None = None) -> Doc:
    """Return the JSDoc comment of a definition: before all of it, else before `inner`."""
    comment = doc_before(rec, outer.start_byte)
    if comment is None and inner is not None:
        comment = doc_before(rec, inner.start_byte)
    return NO_DOC if comment is None else parse_doc(comment)


def outer_of(rec: Recorder, node: Node) -> Node:
    """Return the node of a declaration with its `export` and `declare`."""
    where = rec.pending.pop(node.id, None)
    return where.outer if isinstance(where, Place) and where.outer is not None else node


def member_name(rec: Recorder, node: Node) -> str:
    """Return the name of a member, without quotes."""
    return string_text(rec, node) if node.type == "string" else rec.text(node)


def signature_of(rec: Recorder, outer: Node, body: Node | None) -> str:
    """Return the text of a definition without decorators and body."""
    text = rec.folded(_start_below_decorators(outer), body.start_byte if body is not None else outer.end_byte)
    return text.rstrip("({ ;,").removesuffix("=>").rstrip()


def _start_below_decorators(node: Node) -> int:
    start = node.start_byte
    for child in node.children:
        if child.type != "decorator":
            return child.start_byte
        start = child.end_byte
    return start


class Target(NamedTuple):
    """Where the names of a pattern are bound: in this scope, or each where it is declared (None); and the place."""

    scope: int | None
    at: int


def bind_pattern(rec: Recorder, node: Node, value: Expr, to: Target) -> None:
    """Bind the names of a pattern to the parts of a value; the target says where."""
    if rec.depth >= MAX_EXPRESSION_DEPTH:
        return
    rec.depth += 1
    _bind_parts(rec, node, value, to)
    rec.depth -= 1


def _bind_parts(rec: Recorder, node: Node, value: Expr, to: Target) -> None:
    form = node.type
    if form in ("identifier", "shorthand_property_identifier_pattern"):
        name = rec.text(node)
        if to.scope is None:
            rec.bind(name, value, to.at, scope=declaring_scope(rec, name))
        else:
            declare(rec, to.scope, name, value, to.at)
    elif form == "object_pattern":
        for child in node.children:
            bind_member(rec, child, value, to)
    elif form == "array_pattern":
        _bind_items(rec, node, value, to)
    elif form in ("assignment_pattern", "object_assignment_pattern"):
        bind_pattern(rec, node.children[0], either(value, expression(rec, node.children[-1])), to)
    elif form in ("member_expression", "subscript_expression"):
        store(rec, node, value, to.at)
    elif form == "rest_pattern":
        bind_pattern(rec, node.children[-1], value, to)


def bind_member(rec: Recorder, node: Node, value: Expr, to: Target) -> None:
    """Bind one entry of an object pattern."""
    kind = node.type
    if kind == "pair_pattern":
        key, target = constant_key(rec, node.children[0]), node.children[-1]
    elif kind == "shorthand_property_identifier_pattern":
        key, target = rec.text(node), node
    elif kind == "object_assignment_pattern":
        left = node.children[0]
        part = None if value is None else ("attr", value, rec.text(left))
        bind_pattern(rec, left, either(part, expression(rec, node.children[-1])), to)
        return
    elif kind == "rest_pattern":
        bind_pattern(rec, node.children[-1], value, to)
        return
    else:
        return
    bind_pattern(rec, target, None if value is None or key is None else ("attr", value, str(key)), to)


def _bind_items(rec: Recorder, node: Node, value: Expr, to: Target) -> None:
    position = 0
    for child in node.children:
        if child.type == ",":
            position += 1
        elif child.type == "rest_pattern":
            part = None if value is None else ("list", "list", (("each", value),))
            bind_pattern(rec, child.children[-1], part, to)
        elif child.is_named and child.type != "comment":
            bind_pattern(rec, child, None if value is None else ("item", value, position), to)


def pattern_names(node: Node) -> Iterator[Node]:
    """Yield the nodes of the names that a pattern binds."""
    todo = [node]
    while todo:
        part = todo.pop()
        if part.type in ("identifier", "shorthand_property_identifier_pattern"):
            yield part
        elif part.type in ("object_pattern", "array_pattern", "pair_pattern", "rest_pattern"):
            todo += reversed(part.children)
        elif part.type in ("assignment_pattern", "object_assignment_pattern"):
            todo.append(part.children[0])


def store(rec: Recorder, target: Node, value: Expr, at: int, *, declared: bool = False) -> None:
    """Record that a member or an element of something is set."""
    held = expression(rec, target.children[0])
    if target.type == "member_expression":
        if held is not None:
            rec.stores.append(Store(rec.scope, held, rec.text(target.children[-1]), value, at, declared=declared))
        return
    index = target.child_by_field_name("index")
    key = constant_key(rec, index) if index is not None else None
    if held is not None and value is not None:
        rec.stores.append(Store(rec.scope, held, key, value, at, item=not isinstance(key, str)))
