"""Records of Java: definitions, scopes and values.

Methods have names of their own beside fields and variables, so they are bound, imported and called as `name()`.
An anonymous class is a symbol that bears the name of the type that it extends. Left out: what string concatenation and
boxing call, record accessors, module-info.
"""

import re
from collections.abc import Callable

from tree_sitter import Node

from doctown.parsing.recorder import Recorder
from doctown.parsing.records import Call, Decorator, Expr, Import, Parameter, Return

Convert = Callable[[Recorder, Node], Expr]

SELF: Expr = ("self",)
SUPER: Expr = ("super",)
SELF_TYPE: Expr = ("selftype",)
STRING: Expr = ("literal", "String")
BOOLEAN: Expr = ("literal", "boolean")
INT: Expr = ("literal", "int")
KINDS = {
    "class_declaration": "class",
    "interface_declaration": "interface",
    "enum_declaration": "enum",
    "record_declaration": "class",
    "annotation_type_declaration": "interface",
}
TESTS = frozenset({"Test", "ParameterizedTest", "RepeatedTest", "TestFactory", "TestTemplate", "Theory"})
# Methods of collections, streams and Optional whose lambda takes an element first.
ELEMENT_LAMBDAS = frozenset(
    {"forEach", "map", "filter", "anyMatch", "allMatch", "noneMatch", "flatMap", "peek", "removeIf", "ifPresent",
     "mapToInt", "mapToLong", "mapToDouble", "mapToObj", "takeWhile", "dropWhile", "ifPresentOrElse", "forEachOrdered"}
)  # fmt: skip
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_INLINE = re.compile(r"\{@\w+\s+([^{}]*)\}")


# types


def type_expression(rec: Recorder, node: Node | None) -> Expr:
    """Return a type as written as a type expression; None for `var`."""
    return rec.convert(node, TYPES)


def _type_name(rec: Recorder, node: Node) -> Expr:
    name = rec.name(node)
    return None if name == ("name", "var") else name


def _scoped_type(rec: Recorder, node: Node) -> Expr:
    named = [child for child in node.children if child.is_named and "annotation" not in child.type]
    return ("attr", type_expression(rec, named[0]), rec.text(named[-1])) if len(named) > 1 else None


def _generic_type(rec: Recorder, node: Node) -> Expr:
    base = type_expression(rec, node.children[0])
    arguments = node.children[-1]
    args = tuple(type_expression(rec, child) for child in arguments.children if child.is_named)
    return ("generic", base, args) if args else base


def _wildcard(rec: Recorder, node: Node) -> Expr:
    return next((value for child in node.children if (value := type_expression(rec, child)) is not None), None)


def _array_type(rec: Recorder, node: Node) -> Expr:
    return ("generic", ("literal", "list"), (type_expression(rec, node.child_by_field_name("element")),))


def _literal_type(rec: Recorder, node: Node) -> Expr:
    return ("literal", rec.text(node))


def _annotated(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node.children[-1])


TYPES: dict[str, Convert] = {
    "type_identifier": _type_name,
    "identifier": _type_name,
    "scoped_type_identifier": _scoped_type,
    "generic_type": _generic_type,
    "wildcard": _wildcard,
    "array_type": _array_type,
    "annotated_type": _annotated,
    "integral_type": _literal_type,
    "floating_point_type": _literal_type,
    "boolean_type": _literal_type,
    "void_type": _literal_type,
}


# expressions


def expression(rec: Recorder, node: Node | None) -> Expr:
    """Return what an expression may be, recording the calls in it."""
    return rec.convert(node, CONVERT)


def _field_access(rec: Recorder, node: Node) -> Expr:
    held, field = node.child_by_field_name("object"), node.child_by_field_name("field")
    if held is None or field is None:
        return None
    if rec.text(field) == "length":
        return INT
    if field.type == "this":  # Outer.this
        return ("typed", rec.name(held)) if held.type == "identifier" else None
    value = expression(rec, held)
    return ("attr", value, rec.text(field)) if value is not None else None


def _call(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    return ("call", _record_call(rec, node) if index is None else index)


def _record_call(rec: Recorder, node: Node) -> int:
    index = rec.reserve_call(node)
    held, name_node = node.child_by_field_name("object"), node.child_by_field_name("name")
    name = rec.text(name_node) if name_node is not None else ""
    given: Expr = None
    if held is None:
        callee: Expr = ("name", f"{name}()")
    else:
        receiver = expression(rec, held)
        if any(child.type == "super" for child in node.children[1:3]):  # Interface.super.method()
            receiver = ("typed", receiver)
        callee = ("attr", receiver, f"{name}()")
        given = ("each", receiver) if receiver is not None and name in ELEMENT_LAMBDAS else None
    args, count = _arguments(rec, node.child_by_field_name("arguments"), given)
    line = (name_node or node).start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args, (), count, line, node.start_byte))
    return index


def _arguments(rec: Recorder, arguments: Node | None, given: Expr = None) -> tuple[tuple[Expr, ...], int]:
    args: list[Expr] = []
    count = 0
    for child in arguments.children if arguments is not None else ():
        if child.is_named and child.type not in ("line_comment", "block_comment"):
            if child.type == "lambda_expression" and given is not None:
                rec.pending[child.id] = given
            args.append(expression(rec, child))
            count += 1
    while args and args[-1] is None:
        args.pop()
    return tuple(args), count


def _new(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    if index is None:
        index = _record_new(rec, node)
    body = node.children[-1]
    if body.type == "class_body":
        return ("typed", ("function", rec.reserve(body, "class")))
    made = type_expression(rec, node.child_by_field_name("type"))
    return ("typed", made) if made is not None and made[0] == "generic" else ("call", index)


def _record_new(rec: Recorder, node: Node) -> int:
    index = rec.reserve_call(node)
    written = node.child_by_field_name("type")
    made = type_expression(rec, written)
    callee = made[1] if made is not None and made[0] == "generic" else made
    first = node.children[0]
    if first.type != "new" and callee is not None and callee[0] == "name":  # outer.new Inner()
        callee = ("attr", expression(rec, first), callee[1])
    args, count = _arguments(rec, node.child_by_field_name("arguments"))
    line = (written or node).start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args, (), count, line, node.start_byte, "new"))
    return index


def _array_item(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[0])
    return None if held is None else ("item", held, None)


def _cast(rec: Recorder, node: Node) -> Expr:
    return ("typed", type_expression(rec, node.child_by_field_name("type")))


def _array_creation(rec: Recorder, node: Node) -> Expr:
    element = type_expression(rec, node.child_by_field_name("type"))
    return ("typed", ("generic", ("literal", "list"), (element,)))


def _parenthesized(rec: Recorder, node: Node) -> Expr:
    return next((expression(rec, child) for child in node.children if child.is_named), None)


def _ternary(rec: Recorder, node: Node) -> Expr:
    found = (
        expression(rec, node.child_by_field_name("consequence")),
        expression(rec, node.child_by_field_name("alternative")),
    )
    return ("any", found) if any(found) else None


def _assigned(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.child_by_field_name("right"))


def _lambda(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node, "function"))


def _method_reference(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[0]) or type_expression(rec, node.children[0])
    last = node.children[-1]
    if held is None or last.type == "new":
        return held
    return ("attr", held, f"{rec.text(last)}()")


def _binary(rec: Recorder, node: Node) -> Expr:
    """Return the type of an operation on literals and strings, where that is plain."""
    operator = node.child_by_field_name("operator")
    kind = operator.type if operator is not None else ""
    if kind in ("==", "!=", "<", ">", "<=", ">=", "&&", "||"):
        return BOOLEAN
    left, right = expression(rec, node.child_by_field_name("left")), expression(rec, node.child_by_field_name("right"))
    if kind == "+" and STRING in (left, right):
        return STRING
    return left if left == right and left in (INT, BOOLEAN) else None


def _unary(rec: Recorder, node: Node) -> Expr:
    return BOOLEAN if node.children[0].type == "!" else expression(rec, node.children[-1])


CONVERT: dict[str, Convert] = {
    "identifier": Recorder.name,
    "binary_expression": _binary,
    "unary_expression": _unary,
    "character_literal": lambda _rec, _node: ("literal", "char"),
    "decimal_floating_point_literal": lambda rec, node: (
        "literal",
        "float" if rec.text(node)[-1] in "fF" else "double",
    ),
    "null_literal": lambda _rec, _node: ("literal", "null"),
    "class_literal": lambda _rec, _node: ("literal", "Class"),
    "field_access": _field_access,
    "method_invocation": _call,
    "this": lambda _rec, _node: SELF,
    "super": lambda _rec, _node: SUPER,
    "object_creation_expression": _new,
    "array_access": _array_item,
    "cast_expression": _cast,
    "array_creation_expression": _array_creation,
    "parenthesized_expression": _parenthesized,
    "ternary_expression": _ternary,
    "assignment_expression": _assigned,
    "lambda_expression": _lambda,
    "method_reference": _method_reference,
    "string_literal": lambda _rec, _node: STRING,
    "instanceof_expression": lambda _rec, _node: BOOLEAN,
    "true": lambda _rec, _node: BOOLEAN,
    "false": lambda _rec, _node: BOOLEAN,
    "decimal_integer_literal": lambda rec, node: ("literal", "long") if rec.text(node)[-1] in "lL" else INT,
    "hex_integer_literal": lambda rec, node: ("literal", "long") if rec.text(node)[-1] in "lL" else INT,
}


# comments, modifiers


def doc_before(source: bytes, start: int) -> str | None:
    """Return the `/** … */` that ends right before a byte, without marks and tags."""
    before = source[max(0, start - 400) : start].rstrip()
    if not before.endswith(b"*/"):
        return None
    end = start - (min(start, 400) - len(before))
    opening = source.rfind(b"/*", 0, end)
    if opening < 0 or source[opening : opening + 3] != b"/**":
        return None
    return clean_javadoc(source[opening + 3 : end - 2].decode("utf-8", "replace"))


def clean_javadoc(text: str) -> str | None:
    """Return the words of a Javadoc comment: no stars, no inline tags, no HTML."""
    lines = [line.strip().lstrip("*").strip() for line in text.split("\n")]
    plain = _TAG.sub("", _INLINE.sub(r"\1", "\n".join(lines)))
    return plain.strip() or None


class _Modifiers:
    """What stands before a declaration: its words, its annotations, and where the signature begins."""

    def __init__(self, rec: Recorder, node: Node) -> None:
        self.words: set[str] = set()
        self.decorators: tuple[Decorator, ...] = ()
        self.start = node.start_byte
        first = node.children[0] if node.children else None
        if first is None or first.type != "modifiers":
            return
        found: list[Decorator] = []
        start: int | None = None
        for child in first.children:
            if child.type in ("annotation", "marker_annotation"):
                found.append(Decorator(rec.folded(child.start_byte + 1, child.end_byte), None))
            elif child.is_named is False or child.type in ("default", "static"):
                self.words.add(child.type)
                start = child.start_byte if start is None else start
        self.decorators = tuple(found)
        following = node.children[1] if len(node.children) > 1 else node
        self.start = start if start is not None else following.start_byte

    def is_test(self) -> bool:
        return any(held.text.partition("(")[0].rpartition(".")[2] in TESTS for held in self.decorators)


def _is_exported(rec: Recorder, words: set[str]) -> bool:
    parent = rec.owner_symbol()
    if parent >= 0 and rec.symbols[parent].kind == "interface":
        return "private" not in words and rec.symbols[parent].exported
    return "public" in words


# definitions


def package(rec: Recorder, node: Node) -> None:
    """Take the name of the package."""
    named = [child for child in node.children if child.type in ("scoped_identifier", "identifier")]
    if named:
        rec.package = "".join(rec.text(named[-1]).split())
        rec.docstring = doc_before(rec.source, node.start_byte)


def type_(rec: Recorder, node: Node) -> None:
    """Record a class, interface, enum, record or annotation."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = rec.text(name_node)
    modifiers = _Modifiers(rec, node)
    written = _bases(node)
    index = rec.define(
        node, name, KINDS[node.type],  # type: ignore[arg-type]
        signature=rec.folded(modifiers.start, body.start_byte if body is not None else node.end_byte),
        docstring=doc_before(rec.source, node.start_byte), scope_kind="class", decorators=modifiers.decorators,
        exported=_is_exported(rec, modifiers.words), is_test=rec.is_test_file,
        bases=tuple(type_expression(rec, base) for base in written),
        base_names=tuple(rec.text(base) for base in written),
        flags=_flags(modifiers.words, "static", "abstract") + _local_flag(rec),
    )  # fmt: skip
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(node, "class", symbol=index)
    _type_parameters(rec, node, scope)
    if node.type == "record_declaration":
        _record_components(rec, node, scope)


def _local_flag(rec: Recorder) -> tuple[str, ...]:
    return ("local",) if rec.scopes[rec.scope].kind in ("block", "function") else ()


def _bases(node: Node) -> list[Node]:
    found: list[Node] = []
    for child in node.children:
        if child.type == "superclass":
            found += [part for part in child.children if part.is_named]
        elif child.type in ("super_interfaces", "extends_interfaces"):
            for part in child.children:
                found += [held for held in part.children if held.is_named] if part.type == "type_list" else []
    return found


def _flags(words: set[str], *wanted: str) -> tuple[str, ...]:
    return tuple(word for word in wanted if word in words)


def _type_parameters(rec: Recorder, node: Node, scope: int) -> None:
    parameters = node.child_by_field_name("type_parameters")
    for child in parameters.children if parameters is not None else ():
        if child.type != "type_parameter":
            continue
        named = [part for part in child.children if part.is_named and "annotation" not in part.type]
        bounds = (
            tuple(type_expression(rec, part) for part in named[1].children if part.is_named) if len(named) > 1 else ()
        )
        bound: Expr = None
        if bounds:
            bound = bounds[0] if len(bounds) == 1 else ("any", bounds)
        rec.bind(rec.text(named[0]), bound, child.start_byte, scope=scope, kind="type")


def _record_components(rec: Recorder, node: Node, scope: int) -> None:
    parameters = node.child_by_field_name("parameters")
    for child in parameters.children if parameters is not None else ():
        name = child.child_by_field_name("name") if child.type == "formal_parameter" else None
        if name is not None:
            declared = ("typed", type_expression(rec, child.child_by_field_name("type")))
            rec.bind(rec.text(name), declared, child.start_byte, scope=scope, kind="declared")


def enum_constant(rec: Recorder, node: Node) -> None:
    """Bind a constant of an enum; one with a body is a class of its own. Its arguments are a constructor's."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    arguments = node.child_by_field_name("arguments")
    if arguments is not None:
        index = rec.reserve_call(node)
        args, count = _arguments(rec, arguments)
        line = name_node.start_point[0] + 1
        rec.set_call(index, Call(rec.scope, SELF_TYPE, args, (), count, line, node.start_byte, "new"))
    name = rec.text(name_node)
    if body is None:
        rec.bind(name, ("typed", SELF_TYPE), node.start_byte, scope=rec.scope)
        return
    index = rec.define(
        node, name, "class", signature=rec.folded(node.start_byte, body.start_byte),
        docstring=doc_before(rec.source, node.start_byte), body=body, scope_kind="class", exported=True,
        is_test=rec.is_test_file, bases=(SELF_TYPE,),
    )  # fmt: skip
    scope = rec.symbols[index].scope
    rec.bind(name, ("typed", ("function", scope)), node.start_byte, scope=rec.scope)
    rec.open_scope(body, "class", symbol=index)


def anonymous(rec: Recorder, node: Node) -> None:
    """Record the class of `new Base() { … }`."""
    made = node.parent
    written = made.child_by_field_name("type") if made is not None else None
    if made is None or written is None:
        return
    name = rec.text(written).partition("<")[0].rpartition(".")[2].strip()
    index = rec.define(
        made, name, "class", signature=rec.folded(made.start_byte, node.start_byte), body=node, scope_kind="class",
        is_test=rec.is_test_file, bases=(type_expression(rec, written),), base_names=(rec.text(written),),
        flags=("local",),
    )  # fmt: skip
    rec.open_scope(node, "class", symbol=index)


def method(rec: Recorder, node: Node) -> None:
    """Record a method or constructor."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = rec.text(name_node)
    modifiers = _Modifiers(rec, node)
    constructor = node.type in ("constructor_declaration", "compact_constructor_declaration")
    flags = _flags(modifiers.words, "static")
    if constructor:
        flags += ("constructor",)
    elif body is None and "native" not in modifiers.words:
        flags += ("abstract",)
    index = rec.define(
        node, name, "method",
        signature=rec.folded(modifiers.start, body.start_byte if body is not None else node.end_byte).rstrip("; "),
        docstring=doc_before(rec.source, node.start_byte), body=body, scope_kind="function",
        decorators=modifiers.decorators, exported=_is_exported(rec, modifiers.words),
        is_test=rec.is_test_file or modifiers.is_test(),
        returns=type_expression(rec, node.child_by_field_name("type")), flags=flags,
    )  # fmt: skip
    if not constructor:
        rec.bind(f"{name}()", ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(body or node, "function", symbol=index)
    if body is not None:
        rec.transparent.add(body.id)
    _type_parameters(rec, node, scope)
    _parameters(rec, scope, node.child_by_field_name("parameters"))


def _parameters(rec: Recorder, scope: int, parameters: Node | None) -> None:
    for child in parameters.children if parameters is not None else ():
        if child.type == "formal_parameter":
            name = child.child_by_field_name("name")
            declared = type_expression(rec, child.child_by_field_name("type"))
            if name is not None and child.child_by_field_name("dimensions") is not None:
                declared = ("generic", ("literal", "list"), (declared,))
            rec.parameters.append(Parameter(scope, rec.text(name) if name is not None else "", declared, None))
        elif child.type == "spread_parameter":
            named = [part for part in child.children if part.is_named and part.type != "modifiers"]
            if len(named) > 1:
                name = named[-1].child_by_field_name("name") or named[-1]
                declared = type_expression(rec, named[0])
                rec.parameters.append(Parameter(scope, rec.text(name), declared, None, "rest"))


def field(rec: Recorder, node: Node) -> None:
    """Bind fields with their types; those that are static and final are constants."""
    modifiers = _Modifiers(rec, node)
    declared = type_expression(rec, node.child_by_field_name("type"))
    constant = {"static", "final"} <= modifiers.words or node.type == "constant_declaration"
    for child in node.children_by_field_name("declarator"):
        name_node, value = child.child_by_field_name("name"), child.child_by_field_name("value")
        if name_node is None:
            continue
        name = rec.text(name_node)
        if constant:
            end = name_node.end_byte if value is None else min(value.end_byte, value.start_byte + 100)
            rec.define(
                node, name, "constant", signature=rec.folded(modifiers.start, end),
                docstring=doc_before(rec.source, node.start_byte), decorators=modifiers.decorators,
                exported=_is_exported(rec, modifiers.words), is_test=rec.is_test_file, flags=("static",),
            )  # fmt: skip
        held = declared
        if child.child_by_field_name("dimensions") is not None:
            held = ("generic", ("literal", "list"), (declared,))
        rec.bind(name, ("typed", held), child.start_byte, scope=rec.scope, kind="declared")
        expression(rec, value)


# statements


def block(rec: Recorder, node: Node) -> None:
    """Enter a block; the body of a method has been entered with it."""
    if node.id not in rec.transparent:
        rec.open_scope(node, "block")


def local(rec: Recorder, node: Node) -> None:
    """Bind local variables: by their types, or by their values behind `var`."""
    declared = type_expression(rec, node.child_by_field_name("type"))
    for child in node.children_by_field_name("declarator"):
        name = child.child_by_field_name("name")
        if name is None:
            continue
        if declared is None:
            value, kind = expression(rec, child.child_by_field_name("value")), "value"
        else:
            value, kind = ("typed", declared), "declared"
            if child.child_by_field_name("dimensions") is not None:
                value = ("typed", ("generic", ("literal", "list"), (declared,)))
            expression(rec, child.child_by_field_name("value"))
        rec.bind(rec.text(name), value, node.start_byte, scope=rec.scope, kind=kind)


def for_each(rec: Recorder, node: Node) -> None:
    """Bind the variable of `for (Type x : values)`."""
    declared = type_expression(rec, node.child_by_field_name("type"))
    name = node.child_by_field_name("name")
    held = expression(rec, node.child_by_field_name("value"))
    scope = rec.open_scope(node, "block")
    if name is not None:
        value: Expr = ("typed", declared) if declared is not None else ("each", held) if held is not None else None
        rec.bind(rec.text(name), value, name.start_byte, scope=scope)


def catch(rec: Recorder, node: Node) -> None:
    """Bind the exception of a catch clause."""
    scope = rec.open_scope(node, "block")
    for child in node.children:
        name = child.child_by_field_name("name") if child.type == "catch_formal_parameter" else None
        if name is None:
            continue
        types = next((part for part in child.children if part.type == "catch_type"), None)
        held = tuple(type_expression(rec, part) for part in types.children if part.is_named) if types else ()
        rec.bind(rec.text(name), ("typed", ("any", held)), name.start_byte, scope=scope)


def try_(rec: Recorder, node: Node) -> None:
    """Bind the resources of a try statement."""
    scope = rec.open_scope(node, "block")
    resources = node.child_by_field_name("resources")
    for child in resources.children if resources is not None else ():
        name = child.child_by_field_name("name") if child.type == "resource" else None
        if name is not None:
            declared = type_expression(rec, child.child_by_field_name("type"))
            value = expression(rec, child.child_by_field_name("value"))
            rec.bind(rec.text(name), ("typed", declared) if declared else value, name.start_byte, scope=scope)


def pattern(rec: Recorder, node: Node) -> None:
    """Bind the name of `x instanceof Type name`, `case Type name` and of record patterns."""
    if node.type == "instanceof_expression":
        name, declared = node.child_by_field_name("name"), node.child_by_field_name("right")
    else:
        named = [child for child in node.children if child.is_named and child.type != "modifiers"]
        if len(named) != 2 or named[1].type != "identifier":  # noqa: PLR2004 - type and name
            return
        declared, name = named
    if name is not None:
        rec.bind(rec.text(name), ("typed", type_expression(rec, declared)), name.start_byte, scope=rec.scope)


def lambda_(rec: Recorder, node: Node) -> None:
    """Record a lambda's parameters and what it returns."""
    scope = rec.open_scope(node, "function")
    given = rec.pending.get(node.id)
    parameters, body = node.child_by_field_name("parameters"), node.child_by_field_name("body")
    if parameters is not None and parameters.type == "formal_parameters":
        _parameters(rec, scope, parameters)
    elif parameters is not None:
        names = [parameters] if parameters.type == "identifier" else [c for c in parameters.children if c.is_named]
        for position, name in enumerate(names):
            value = given if position == 0 and len(names) == 1 else None
            rec.parameters.append(Parameter(scope, rec.text(name), None, value))
    if body is not None and body.type == "block":
        rec.transparent.add(body.id)
    elif body is not None:
        rec.returns.append(Return(scope, expression(rec, body), node.start_byte))


def return_(rec: Recorder, node: Node) -> None:
    """Record what a lambda with a block returns; methods declare it."""
    frame = rec.names_scope()
    if rec.scopes[frame].symbol < 0 and len(node.children) > 1:
        rec.returns.append(Return(rec.scope, expression(rec, node.children[1]), node.start_byte))


def call(rec: Recorder, node: Node) -> None:
    """Record a call that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_call(rec, node)


def new(rec: Recorder, node: Node) -> None:
    """Record `new Type()` that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_new(rec, node)


def constructor_call(rec: Recorder, node: Node) -> None:
    """Record `this(…)` and `super(…)` of a constructor."""
    word = node.child_by_field_name("constructor")
    if word is None or rec.known_call(node) is not None:
        return
    index = rec.reserve_call(node)
    callee: Expr = SELF_TYPE
    if word.type == "super":
        parent = rec.scopes[rec.names_scope()].parent
        symbol = rec.scopes[parent].symbol if parent >= 0 else -1
        bases = rec.symbols[symbol].bases if symbol >= 0 else ()
        callee = bases[0] if bases else None
        callee = callee[1] if callee is not None and callee[0] == "generic" else callee
    args, count = _arguments(rec, node.child_by_field_name("arguments"))
    line = word.start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args, (), count, line, node.start_byte, "new"))


def import_(rec: Recorder, node: Node) -> None:
    """Record an import: of a type, of all types of a package, of static members."""
    path = next((child for child in node.children if child.type in ("scoped_identifier", "identifier")), None)
    if path is None:
        return
    text = "".join(rec.text(path).split())
    line, at = node.start_point[0] + 1, node.start_byte
    module, _, name = text.rpartition(".")
    if node.children[-2].type == "asterisk" or any(child.type == "asterisk" for child in node.children):
        rec.imports.append(Import(0, "*", text, "*", line, at))
        return
    rec.imports.append(Import(0, name, module, name, line, at))
    if any(child.type == "static" for child in node.children):
        rec.imports.append(Import(0, f"{name}()", module, f"{name}()", line, at))


HANDLERS: dict[str, Callable[[Recorder, Node], None]] = {
    "package": package,
    "import": import_,
    "type": type_,
    "enum_constant": enum_constant,
    "anonymous": anonymous,
    "method": method,
    "field": field,
    "block": block,
    "for_each": for_each,
    "catch": catch,
    "try": try_,
    "local": local,
    "pattern": pattern,
    "lambda": lambda_,
    "return": return_,
    "call": call,
    "new": new,
    "constructor_call": constructor_call,
}
