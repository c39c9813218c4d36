"""Patterns of Rust: the names that they bind.

Names are bound to the values that stand for them. Fields of structs and variants are bound elsewhere (`rust`), as
`.name` and `Variant.name`.
"""

from tree_sitter import Node

from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Binding, Expr
from doctown.parsing.rust_values import WRAPPERS, type_expression, variant_holder


def bind_pattern(rec: Recorder, pattern: Node | None, value: Expr, at: int, scope: int) -> None:  # noqa: C901 - one form a branch
    """Bind the names of a pattern to the parts of `value` that they match."""
    if pattern is None or rec.depth >= MAX_EXPRESSION_DEPTH:
        return
    rec.depth += 1
    kind = pattern.type
    if kind == "identifier":
        name = rec.text(pattern)
        if not name[:1].isupper():
            rec.bindings.append(Binding(scope, name, value, at, scope))
    elif kind == "tuple_pattern":
        _bind_positions(rec, pattern, value, at, scope)
    elif kind == "tuple_struct_pattern":
        _bind_tuple_struct(rec, pattern, value, at, scope)
    elif kind == "struct_pattern":
        _bind_struct(rec, pattern, at, scope)
    elif kind == "slice_pattern":
        for child in pattern.children:
            bind_pattern(rec, child, None if value is None else ("each", value), at, scope)
    elif kind == "captured_pattern":
        bind_pattern(rec, pattern.children[0], value, at, scope)
        bind_pattern(rec, pattern.children[-1], value, at, scope)
    elif kind in ("mut_pattern", "ref_pattern", "reference_pattern", "or_pattern", "match_pattern"):
        condition = pattern.child_by_field_name("condition")
        for child in pattern.children:
            if child.is_named and (condition is None or child.id != condition.id):
                bind_pattern(rec, child, value, at, scope)
    rec.depth -= 1


def _bind_positions(rec: Recorder, pattern: Node, value: Expr, at: int, scope: int) -> None:
    known = value is not None
    position = 0
    for child in pattern.children:
        if child.type == "remaining_field_pattern":
            known = False
        elif child.type in ("_", ","):
            position += child.type == ","
        elif child.is_named:
            bind_pattern(rec, child, ("item", value, position) if known else None, at, scope)


def _bind_tuple_struct(rec: Recorder, pattern: Node, value: Expr, at: int, scope: int) -> None:
    head = pattern.child_by_field_name("type")
    name = "" if head is None else rec.text(head)
    position = 0
    past_rest = False
    holder = prefix = None
    if head is not None and name not in WRAPPERS and name != "Err":
        enum = variant_holder(rec, head)
        if enum is not None:
            last = head.child_by_field_name("name")
            holder, prefix = enum, "." if last is None else rec.text(last) + "."
        else:
            holder, prefix = type_expression(rec, head), "."
    for child in pattern.children:
        if head is not None and child.id == head.id:
            continue
        if child.type == ",":
            position += 1
        elif child.type == "remaining_field_pattern":
            past_rest = True
        elif child.is_named:
            part: Expr = None
            if name in WRAPPERS:
                part = None if value is None else ("inner", value)
            elif holder is not None and not past_rest:
                part = ("attr", ("typed", holder), f"{prefix}{position}")
            bind_pattern(rec, child, part, at, scope)


def _bind_struct(rec: Recorder, pattern: Node, at: int, scope: int) -> None:
    head = pattern.child_by_field_name("type")
    if head is None:
        return
    enum = variant_holder(rec, head)
    holder, prefix = type_expression(rec, head), "."
    if enum is not None:
        last = head.child_by_field_name("name")
        holder, prefix = enum, "." if last is None else rec.text(last) + "."
    for field in pattern.children:
        if field.type != "field_pattern":
            continue
        name = field.child_by_field_name("name")
        if name is None:
            continue
        text = rec.text(name)
        part: Expr = None if holder is None else ("attr", ("typed", holder), prefix + text)
        inner = field.child_by_field_name("pattern")
        if inner is None:
            rec.bindings.append(Binding(scope, text, part, at, scope))
        else:
            bind_pattern(rec, inner, part, at, scope)
