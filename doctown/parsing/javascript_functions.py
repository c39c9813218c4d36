"""Functions and methods of JavaScript and TypeScript, with their parameters."""

from typing import NamedTuple

from tree_sitter import Node

from doctown.parsing.javascript_names import (
    Target,
    bind_pattern,
    declare,
    doc_of,
    is_exported,
    member_name,
    outer_of,
    signature_of,
)
from doctown.parsing.javascript_types import Doc, instance, type_expression
from doctown.parsing.javascript_values import FUNCTIONS, PLACED, STATIC, UNKNOWN, Place, expression, place
from doctown.parsing.recorder import Recorder
from doctown.parsing.records import Decorator, Expr, Parameter, Return

MEMBER = "member"  # among flags while a function is defined: it is a member of the class around it
_NO_PLACE = Place()


_FLAGS = {
    "static": "static",
    "async": "async",
    "*": "generator",
    "get": "property",
    "set": "setter",
    "abstract": "abstract",
}


class Signature(NamedTuple):
    """What is around the parameters of a function."""

    scope: int
    doc: Doc
    documented: tuple[str, ...]  # names in JSDoc, in order
    where: Place
    has_properties: bool  # of a constructor: parameters can be fields


def function(rec: Recorder, node: Node) -> None:
    """Define a function that is declared by its name."""
    outer = outer_of(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = rec.text(name_node)
    around = rec.scope
    scope = _define_function(rec, node, Place(name=name, outer=outer, scope=around), _function_flags(node))
    with rec.inside(around):
        # Declarations are hoisted: known from the start of the block on. The implementation comes before its overloads.
        rec.bind(name, ("function", scope), 0 if body is not None else -1, scope=around)
    rec.elsewhere[around, name] = around


def function_value(rec: Recorder, node: Node) -> None:
    """Define a function that is a value, by the name that it is given; enter it."""
    where = rec.pending.pop(node.id, _NO_PLACE)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    own_name = rec.text(name_node) if name_node is not None else None
    scope = _define_function(rec, node, where, _function_flags(node))
    if own_name is not None:
        declare(rec, scope, own_name, ("function", scope), node.start_byte)
    if body is not None and body.type != "statement_block":
        returned(rec, body, node.start_byte)


def _function_flags(node: Node) -> list[str]:
    flags = [_FLAGS[child.type] for child in node.children[:3] if child.type in ("async", "*")]
    return [*flags, "overload"] if node.type == "function_signature" else flags


def method(rec: Recorder, node: Node) -> None:
    """Define a method of a class, an interface or an object literal."""
    where = rec.pending.pop(node.id, None)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = member_name(rec, name_node)
    decorators: tuple[Decorator, ...] = ()
    if isinstance(where, tuple) and not isinstance(where, Place):
        decorators, where = where, None
    if where is None:
        where = Place(name=name, kind="method", outer=node, scope=rec.scope)
        in_class = rec.scopes[rec.scope].kind == "class"
    else:
        where = where._replace(name=name, outer=node)
        in_class = False
    around = rec.scope
    flags = _method_flags(node, name if in_class else "", body)
    is_property = "property" in flags or "setter" in flags
    where = where._replace(kind="property" if is_property else "method")
    scope = _define_function(rec, node, where, [*flags, MEMBER] if in_class else flags, decorators)
    if in_class and "setter" not in flags:
        with rec.inside(around):
            rec.bind(name, ("function", scope), node.start_byte, scope=around)


def _method_flags(node: Node, name: str, body: Node | None) -> list[str]:
    flags = [
        _FLAGS[child.type]
        for child in node.children
        if child.type in _FLAGS and (child.type != "*" or node.type != "class")
    ]
    if name == "constructor" and "static" not in flags:
        flags.append("constructor")
    if body is None:
        flags.append("overload" if node.type == "method_signature" and "abstract" not in flags else "abstract")
    return list(dict.fromkeys(flags))


def _define_function(
    rec: Recorder, node: Node, where: Place, flags: list[str], decorators: tuple[Decorator, ...] = ()
) -> int:
    """Define a function if it has a name, enter its scope, record its parameters; return the scope."""
    is_member = MEMBER in flags
    outer, body = where.outer or node, node.child_by_field_name("body")
    doc = doc_of(rec, outer, node)
    if where.context is None and doc.type is not None:
        where = where._replace(context=instance(doc.type), scope=rec.scope)
    symbol = _define_symbol(rec, node, where, doc, flags, decorators) if where.name else -1
    scope = rec.open_scope(node, "function", symbol=symbol)
    if body is not None:
        rec.transparent.add(body.id)
    if is_member and "static" in flags:
        rec.elsewhere[scope, "this"] = STATIC
    if node.type != "arrow_function" and not is_member:
        _receiver(rec, scope, where, doc)
    type_parameters(rec, node, scope)
    documented = tuple(name for name in doc.parameters if "." not in name)
    has_properties = is_member and where.name == "constructor"
    _parameters(rec, node, Signature(scope, doc, documented, where, has_properties))
    return scope


def _define_symbol(  # noqa: PLR0913, PLR0917 - the parts of a definition
    rec: Recorder, node: Node, where: Place, doc: Doc, flags: list[str], decorators: tuple[Decorator, ...]
) -> int:
    name, outer, returns = where.name or "", where.outer or node, node.child_by_field_name("return_type")
    is_field = where.kind == "method" and where.prefix is None and rec.scopes[rec.scope].kind == "class"
    parent = rec.owner_symbol()
    in_module = parent < 0 or rec.symbols[parent].kind == "module"
    is_private = name.startswith("#") or any(
        child.type == "accessibility_modifier" and rec.text(child) != "public" for child in node.children[:2]
    )
    kept = [flag for flag in flags if flag != MEMBER]
    if not (MEMBER in flags or is_field or where.owner or in_module):
        kept.append("local")
    return rec.define(
        node, name, where.kind, signature=signature_of(rec, outer, node.child_by_field_name("body")),
        docstring=doc.description, outer=outer, scope_kind="function", decorators=decorators,
        exported=not is_private and (where.exported or is_exported(rec, name, outer)), is_test=rec.is_test_file,
        returns=type_expression(rec, returns) if returns is not None else doc.returns,
        owner=where.owner, owner_name=where.prefix, flags=tuple(kept),
    )  # fmt: skip


def _receiver(rec: Recorder, scope: int, where: Place, doc: Doc) -> None:
    """Bind `this` of a function that is no arrow function and no member of a class."""
    this = instance(doc.this) or where.this
    if this is None and where.name and where.name[:1].isupper() and where.kind == "function":
        this = ("typed", ("name", where.name))  # a constructor of before there were classes
    rec.elsewhere[scope, "this"] = UNKNOWN if this is None else scope
    if this is not None:
        value = this if doc.this is not None else ("in", where.scope, this)
        rec.bind("this", value, 0, scope=scope)


def type_parameters(rec: Recorder, node: Node, scope: int) -> None:
    """Bind type parameters: ("typevar", position, what they extend, what they are where nothing says it)."""
    written = node.child_by_field_name("type_parameters")
    position = 0
    for child in written.children if written is not None else ():
        if child.type == "type_parameter":
            name = child.child_by_field_name("name") or child.children[0]
            bound = type_expression(rec, child.child_by_field_name("constraint"))
            default = type_expression(rec, child.child_by_field_name("value"))
            value = ("typevar", position, bound, default)
            rec.bind(rec.text(name), value, child.start_byte, scope=scope, kind="type")
            position += 1


def _parameters(rec: Recorder, node: Node, around: Signature) -> None:
    written = node.child_by_field_name("parameters")
    single = node.child_by_field_name("parameter")
    children = [single] if single is not None else written.children if written is not None else []
    position = 0
    for child in children:
        if child.is_named and child.type not in ("comment", "decorator", "ERROR"):
            position += _parameter(rec, child, position, around)


def _parameter(rec: Recorder, node: Node, position: int, around: Signature) -> int:
    """Record one parameter; return 1, 0 for `this`."""
    scope = around.scope
    pattern, type_, default_node, kind = _parts_of_parameter(node)
    declared = type_expression(rec, type_)
    if pattern.type == "this":
        rec.elsewhere[scope, "this"] = scope if declared is not None else UNKNOWN
        if declared is not None:
            rec.bind("this", instance(declared), 0, scope=scope)
        return 0
    named = pattern.type == "identifier"
    name = rec.text(pattern) if named else f"#{position}"
    default = expression(rec, default_node)
    if declared is None:
        documented = around.documented
        declared = _documented_type(
            around.doc, name if named else documented[position] if position < len(documented) else ""
        )
    if declared is None:
        default = _passed(around.where, position, kind, default)
    elif kind == "rest" and declared[0] == "generic" and len(declared[2]) == 1:
        declared = declared[2][0]  # the type of each one
    rec.elsewhere[scope, name] = scope
    rec.parameters.append(Parameter(scope, name, declared, default, kind))
    if not named:
        bind_pattern(rec, pattern, ("name", name), Target(scope, node.start_byte))
    elif around.has_properties and any(c.type in ("accessibility_modifier", "readonly") for c in node.children[:2]):
        value = instance(declared) if declared is not None else ("in", scope, ("name", name))
        rec.bind(name, value, node.start_byte, scope=rec.scopes[scope].parent, kind="declared")
    return 1


def _parts_of_parameter(node: Node) -> tuple[Node, Node | None, Node | None, str]:
    """Return the pattern, type, default and kind of a parameter."""
    pattern, type_, default, kind = node, None, None, ""
    if node.type in ("required_parameter", "optional_parameter"):
        pattern = node.child_by_field_name("pattern") or node.children[0]
        type_ = node.child_by_field_name("type")
        default = node.child_by_field_name("value")
    elif node.type == "assignment_pattern":
        pattern, default = node.children[0], node.children[-1]
    if pattern.type == "rest_pattern":
        pattern, kind = pattern.children[-1], "rest"
    return pattern, type_, default, kind


def _documented_type(doc: Doc, name: str) -> Expr:
    """Return the type that JSDoc gives to a parameter, with its properties where these have types of their own."""
    prefix = f"{name}."
    members = tuple(
        (key.removeprefix(prefix), type_) for key, type_ in doc.parameters.items() if key.startswith(prefix)
    )
    return ("dict", "object", members) if members else doc.parameters.get(name)


def _passed(where: Place, position: int, kind: str, default: Expr) -> Expr:
    """Return what is known of a parameter without a type: what is passed by declaration or by a builtin method."""
    values = [value for parameter, value in where.first if parameter == position]
    if where.context is not None and kind == "":
        values.append(("parameter", where.context, position))
    if not values:
        return default
    found = tuple(("in", where.scope, value) for value in values) + (() if default is None else (default,))
    return found[0] if len(found) == 1 else ("any", found)


def returned(rec: Recorder, node: Node, at: int) -> None:
    """Record that a function returns the value of a node."""
    if node.type in PLACED:
        place(rec, node, Place(name="" if node.type not in FUNCTIONS else None, scope=rec.scope))
    rec.returns.append(Return(rec.scope, expression(rec, node), at))
