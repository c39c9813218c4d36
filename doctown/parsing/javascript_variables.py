"""Variables, constants and assignments of JavaScript and TypeScript, and what they define."""

import re

from tree_sitter import Node

from doctown.parsing.javascript_modules import common_js, required
from doctown.parsing.javascript_names import (
    Target,
    bind_pattern,
    declare,
    declaring_scope,
    doc_of,
    is_exported,
    outer_of,
    pattern_names,
    store,
)
from doctown.parsing.javascript_types import (
    doc_before,
    instance,
    parse_doc,
    type_expression,
)
from doctown.parsing.javascript_values import (
    FUNCTIONS,
    PLACED,
    Place,
    expression,
    place,
    place_prototype,
)
from doctown.parsing.recorder import Recorder
from doctown.parsing.records import (
    Expr,
    Inherits,
    Store,
)

_UPPER = re.compile(r"_*[A-Z][A-Z0-9_]*\Z")
MAX_CONSTANT_CHARACTERS = 100  # of a constant that is shown with its value
# Values that may be called, or that hold what may be called: a constant with one is worth a symbol.
_CALLABLE_VALUES = frozenset(
    {"call_expression", "new_expression", "member_expression", "ternary_expression", "object", "identifier",
     "parenthesized_expression", "as_expression", "satisfies_expression", "await_expression", "subscript_expression",
     "binary_expression", "non_null_expression"}
)  # fmt: skip


def variables(rec: Recorder, node: Node) -> None:
    """Bind const, let and var; define the functions, classes and constants among them."""
    outer = outer_of(rec, node)
    scope = rec.names_scope() if node.children[0].type == "var" else rec.scope
    declarators = [child for child in node.children if child.type == "variable_declarator"]
    for declarator in declarators:
        _declarator(rec, declarator, outer, outer if len(declarators) == 1 else declarator, scope)


def _declarator(rec: Recorder, node: Node, outer: Node, span: Node, scope: int) -> None:
    target, value_node = node.child_by_field_name("name"), node.child_by_field_name("value")
    if target is None or (value_node is not None and required(rec, target, value_node, scope)):
        return
    declared = type_expression(rec, node.child_by_field_name("type"))
    if declared is None:
        comment = doc_before(rec, outer.start_byte)
        if comment is not None and "@type" in comment:
            declared = parse_doc(comment).type
    if target.type == "identifier":
        value = _named_value(rec, node, outer, span, declared)
        _bind_declared(rec, scope, target, value, declared, has_value=value_node is not None)
        return
    if outer.type == "export_statement":
        for part in pattern_names(target):
            _constant(rec, node, part, outer, span)
    value = instance(declared) or expression(rec, value_node)
    bind_pattern(rec, target, value, Target(scope, node.start_byte))


def _named_value(rec: Recorder, node: Node, outer: Node, span: Node, declared: Expr) -> Expr:
    """Return the value of a declarator with a name; define the function, class or constant that it is."""
    target, value = node.children[0], node.child_by_field_name("value")
    if value is not None and value.type in PLACED:
        name = rec.text(target)
        where = Place(
            name=name, outer=span, context=instance(declared), scope=rec.scope,
            this=None if value.type in FUNCTIONS else ("name", name), exported=is_exported(rec, name, outer),
            kind="class" if value.type == "class" else "function",
        )  # fmt: skip
        place(rec, value, where)
    if value is None or (value.type not in FUNCTIONS and value.type != "class"):
        _constant(rec, node, target, outer, span)
    return expression(rec, value)


def _bind_declared(  # noqa: PLR0913 - the parts of a binding
    rec: Recorder, scope: int, target: Node, value: Expr, declared: Expr, *, has_value: bool
) -> None:
    name, at = rec.text(target), target.start_byte
    if declared is not None and not (value is not None and value[0] == "function"):
        declare(rec, scope, name, instance(declared), at, "declared")
    if has_value or declared is None:
        declare(rec, scope, name, value, at)


def _constant(rec: Recorder, node: Node, target: Node, outer: Node, span: Node) -> None:
    """Define a constant of the file or of a namespace: exported, in capitals, or with a value that may be called."""
    if rec.scopes[rec.scope].kind not in ("module", "namespace"):
        return
    name, value = rec.text(target), node.child_by_field_name("value")
    exported = is_exported(rec, name, outer)
    if not (exported or _UPPER.match(name) or (value is not None and value.type in _CALLABLE_VALUES)):
        return
    start, end = span.start_byte, span.end_byte
    signature = rec.folded(start, min(end, start + 400)).rstrip("; ")
    if value is not None and (len(signature) > MAX_CONSTANT_CHARACTERS or value.type == "object"):
        shown = "{…}" if rec.source.startswith(b"{", value.start_byte) else "…"
        signature = f"{rec.folded(start, value.start_byte)} {shown}"
    rec.define(
        node, name, "constant", signature=signature, docstring=doc_of(rec, span).description, outer=span,
        exported=exported, is_test=rec.is_test_file,
    )  # fmt: skip


_SETS = ("??=", "||=", "&&=")


def assignment(rec: Recorder, node: Node) -> None:
    """Bind or store what is assigned; define functions, CommonJS exports and members of prototypes."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or (node.type != "assignment_expression" and node.children[1].type not in _SETS):
        return
    at = node.start_byte
    while left.type in ("parenthesized_expression", "as_expression", "non_null_expression"):
        left = next((child for child in left.children if child.is_named), left.children[0])
    if left.type == "identifier":
        name = rec.text(left)
        scope = declaring_scope(rec, name)
        place(rec, right, Place(name=name, outer=node, scope=rec.scope))
        rec.bind(name, expression(rec, right), at, scope=scope)
    elif left.type == "member_expression":
        if not common_js(rec, node, left, right) and not _prototype(rec, node, left, right):
            _assigned_member(rec, node, left, right)
    elif left.type == "subscript_expression":
        place(rec, right, Place(scope=rec.scope))
        store(rec, left, expression(rec, right), at)
    else:
        bind_pattern(rec, left, expression(rec, right), Target(None, at))


def _assigned_member(rec: Recorder, node: Node, left: Node, right: Node) -> None:
    """Store `a.b = value`; a function is a symbol of that name."""
    holder, name = left.children[0], rec.text(left.children[-1])
    prefix = None
    if holder.type == "this":
        prefix = _qualified_class(rec)
    elif holder.type == "identifier":
        prefix = rec.text(holder)
        parent = rec.owner_symbol()
        if parent >= 0:
            prefix = f"{rec.symbols[parent].qualified_name}.{prefix}"
    doc = doc_of(rec, node)
    this = expression(rec, holder) if holder.type in ("this", "identifier") else None
    where = Place(
        name=name, prefix=prefix, outer=node, context=instance(doc.type), this=this, scope=rec.scope,
        kind="method" if holder.type == "this" else "function",
    )  # fmt: skip
    place(rec, right, where)
    value = expression(rec, right)
    if doc.type is not None and right.type not in FUNCTIONS:
        store(rec, left, instance(doc.type), node.start_byte, declared=True)
    store(rec, left, value, node.start_byte)


def _qualified_class(rec: Recorder) -> str | None:
    """Return the qualified name of the class around the current place."""
    scope = rec.scope
    while scope >= 0 and rec.scopes[scope].kind != "class":
        scope = rec.scopes[scope].parent
    symbol = rec.scopes[scope].symbol if scope >= 0 else -1
    return rec.symbols[symbol].qualified_name if symbol >= 0 else None


def _prototype(rec: Recorder, node: Node, left: Node, right: Node) -> bool:
    """Record members of X.prototype; tell whether it was one."""
    holder = left.children[0]
    name = rec.text(left.children[-1])
    if name == "prototype":
        owner = expression(rec, holder)
        if right.type == "object":
            place_prototype(rec, right, owner, rec.text(holder))
            expression(rec, right)
            return True
        base = expression(rec, right)
        if base is not None and base[0] == "call" and rec.calls[base[1]].kind == "new":
            base = ("typed", rec.calls[base[1]].callee)
        if owner is not None and base is not None and base[0] == "typed":
            rec.inherits.append(Inherits(rec.scope, owner, base[1], node.start_point[0] + 1))
        return True
    if holder.type != "member_expression" or rec.text(holder.children[-1]) != "prototype":
        return False
    owner = expression(rec, holder.children[0])
    where = Place(
        name=name, prefix=rec.text(holder.children[0]), outer=node, kind="method", owner=owner,
        this=("typed", owner), scope=rec.scope,
    )  # fmt: skip
    place(rec, right, where)
    value = expression(rec, right)
    if right.type not in FUNCTIONS and value is not None:
        rec.stores.append(Store(rec.scope, ("typed", owner), name, value, node.start_byte))
    return True
