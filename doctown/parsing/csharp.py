"""Records of C#: definitions, namespaces, scopes and values.

A property is a symbol, and its name is bound with its type: reading it is no call. `global using N` is an import of the
module `global N`. Left out: what operators, indexers and events call, query expressions, what `dynamic` does.
"""

import re
from collections.abc import Callable

from tree_sitter import Node

from doctown.parsing.recorder import Recorder
from doctown.parsing.records import Call, Decorator, Expr, Import, Parameter, Return

Convert = Callable[[Recorder, Node], Expr]

HELD = -1  # key of Recorder.pending: what stands before `?.` around the expression that is being converted
SELF: Expr = ("self",)
SUPER: Expr = ("super",)
SELF_TYPE: Expr = ("selftype",)
STRING: Expr = ("literal", "string")
BOOL: Expr = ("literal", "bool")
UNKNOWN_DEFAULT: Expr = ("literal", "default")
KINDS = {
    "class_declaration": "class",
    "struct_declaration": "struct",
    "interface_declaration": "interface",
    "record_declaration": "class",
    "enum_declaration": "enum",
}
TESTS = frozenset({"Fact", "Theory", "Test", "TestCase", "TestMethod", "DataTestMethod", "TestCaseSource", "Benchmark"})
FLAGS = ("static", "abstract", "partial", "async")
# Methods of sequences whose lambda takes an element first.
ELEMENT_LAMBDAS = frozenset(
    {"Select", "Where", "Any", "All", "First", "FirstOrDefault", "Single", "SingleOrDefault", "Last", "LastOrDefault",
     "OrderBy", "OrderByDescending", "ThenBy", "GroupBy", "ToDictionary", "ToLookup", "ForEach", "Count", "Sum", "Max",
     "Min", "SelectMany", "TakeWhile", "SkipWhile", "Find", "FindAll", "Exists", "RemoveAll", "FindIndex", "DistinctBy"}
)  # fmt: skip
_TAG = re.compile(r"<(?:see|paramref|typeparamref|seealso)\s+\w+=\"(?:[A-Z]:)?([^\"]*)\"\s*/>")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>")


# types


def type_expression(rec: Recorder, node: Node | None) -> Expr:
    """Return a type as written as a type expression; None for `var`."""
    return rec.convert(node, TYPES)


def _literal_type(rec: Recorder, node: Node) -> Expr:
    return ("literal", rec.text(node))


def _generic_name(rec: Recorder, node: Node) -> Expr:
    arguments = node.children[-1]
    args = tuple(type_expression(rec, child) for child in arguments.children if child.is_named)
    return ("generic", rec.name(node.children[0]), args)


def _qualified_name(rec: Recorder, node: Node) -> Expr:
    qualifier, name = node.child_by_field_name("qualifier"), node.child_by_field_name("name")
    held = type_expression(rec, qualifier)
    if name is None:
        return None
    if name.type == "generic_name":
        generic = _generic_name(rec, name)
        return ("generic", ("attr", held, rec.text(name.children[0])), generic[2] if generic else ())
    return ("attr", held, rec.text(name))


def _alias_name(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node.child_by_field_name("name"))


def _type_field(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node.child_by_field_name("type") or node.children[0])


def _array_type(rec: Recorder, node: Node) -> Expr:
    return ("generic", ("literal", "list"), (_type_field(rec, node),))


def _tuple_type(rec: Recorder, node: Node) -> Expr:
    held = tuple(_type_field(rec, child) for child in node.children if child.type == "tuple_element")
    return ("generic", ("literal", "tuple"), held)


TYPES: dict[str, Convert] = {
    "identifier": Recorder.name,
    "predefined_type": _literal_type,
    "generic_name": _generic_name,
    "qualified_name": _qualified_name,
    "alias_qualified_name": _alias_name,
    "nullable_type": _type_field,
    "ref_type": _type_field,
    "scoped_type": _type_field,
    "pointer_type": _type_field,
    "array_type": _array_type,
    "tuple_type": _tuple_type,
    "primary_constructor_base_type": _type_field,
}


# expressions


def expression(rec: Recorder, node: Node | None) -> Expr:
    """Return what an expression may be, recording the calls in it."""
    return rec.convert(node, CONVERT)


def _simple_name(rec: Recorder, node: Node | None) -> str:
    """Return a member's name without its type arguments."""
    if node is None:
        return ""
    return rec.text(node.children[0] if node.type == "generic_name" else node)


def _member(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.child_by_field_name("expression"))
    if held is None:
        return None
    return ("attr", held, _simple_name(rec, node.child_by_field_name("name")))


def _member_binding(rec: Recorder, node: Node) -> Expr:
    held = rec.pending.get(HELD)
    return None if held is None else ("attr", held, _simple_name(rec, node.child_by_field_name("name")))


def _element_binding(rec: Recorder, _node: Node) -> Expr:
    held = rec.pending.get(HELD)
    return None if held is None else ("item", held, None)


def _conditional_access(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.child_by_field_name("condition") or node.children[0])
    around = rec.pending.get(HELD)
    rec.pending[HELD] = held
    value = expression(rec, node.children[-1])
    rec.pending[HELD] = around
    return value


def _call(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    return ("call", _record_call(rec, node) if index is None else index)


def _record_call(rec: Recorder, node: Node) -> int:
    index = rec.reserve_call(node)
    function = node.child_by_field_name("function")
    callee: Expr = None
    given: Expr = None
    line = node.start_point[0] + 1
    if function is not None:
        name = function
        if function.type == "member_access_expression":
            name = function.child_by_field_name("name") or function
            held = expression(rec, function.child_by_field_name("expression"))
            called = _simple_name(rec, name)
            callee = ("attr", held, called)
            given = ("each", held) if held is not None and called in ELEMENT_LAMBDAS else None
        elif function.type == "generic_name":
            callee = rec.name(function.children[0])
        else:
            callee = expression(rec, function)
            name = (
                function if function.type == "identifier" else function.children[-1] if function.children else function
            )
        line = name.start_point[0] + 1
    args, keywords, count = _arguments(rec, node.child_by_field_name("arguments"), given)
    rec.set_call(index, Call(rec.scope, callee, args, keywords, count, line, node.start_byte))
    return index


def _arguments(
    rec: Recorder, arguments: Node | None, given: Expr = None
) -> tuple[tuple[Expr, ...], tuple[tuple[str, Expr], ...], int]:
    args: list[Expr] = []
    keywords: list[tuple[str, Expr]] = []
    count = 0
    for child in arguments.children if arguments is not None else ():
        if child.type != "argument":
            continue
        value = next((part for part in reversed(child.children) if part.is_named), None)
        if value is not None and given is not None and value.type == "lambda_expression":
            rec.pending[value.id] = given
        held = expression(rec, value)
        name = child.child_by_field_name("name")
        count += 1
        if name is not None and held is not None:
            keywords.append((rec.text(name), held))
        elif name is None:
            args.append(held)
    while args and args[-1] is None:
        args.pop()
    return tuple(args), tuple(keywords), count


def _new(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    if index is None:
        index = _record_new(rec, node)
    made = _made_type(rec, node)
    return ("typed", made) if made is not None and made[0] == "generic" else ("call", index)


def _made_type(rec: Recorder, node: Node) -> Expr:
    if node.type == "implicit_object_creation_expression":
        held: Expr = rec.pending.get(node.id)
        return held
    return type_expression(rec, node.child_by_field_name("type"))


def _record_new(rec: Recorder, node: Node) -> int:
    index = rec.reserve_call(node)
    made = _made_type(rec, node)
    callee = made[1] if made is not None and made[0] == "generic" else made
    arguments = node.child_by_field_name("arguments") or next(
        (child for child in node.children if child.type == "argument_list"), None
    )
    args, keywords, count = _arguments(rec, arguments)
    line = (node.child_by_field_name("type") or node).start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args, keywords, count, line, node.start_byte, "new"))
    return index


def _await(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[-1])
    return None if held is None else ("inner", held)


def _first(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[0])


def _wrapped(rec: Recorder, node: Node) -> Expr:
    return next((expression(rec, child) for child in node.children if child.is_named), None)


def _element(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.child_by_field_name("expression"))
    return None if held is None else ("item", held, None)


def _cast(rec: Recorder, node: Node) -> Expr:
    return ("typed", type_expression(rec, node.child_by_field_name("type")))


def _as(rec: Recorder, node: Node) -> Expr:
    return ("typed", type_expression(rec, node.child_by_field_name("right")))


def _conditional(rec: Recorder, node: Node) -> Expr:
    found = (
        expression(rec, node.child_by_field_name("consequence")),
        expression(rec, node.child_by_field_name("alternative")),
    )
    return ("any", found) if any(found) else None


def _binary(rec: Recorder, node: Node) -> Expr:
    operator = node.child_by_field_name("operator")
    if operator is None or operator.type != "??":
        return None
    found = (expression(rec, node.child_by_field_name("left")), expression(rec, node.child_by_field_name("right")))
    return ("any", found) if any(found) else None


def _assigned(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.child_by_field_name("right"))


def _lambda(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node, "function"))


def _tuple(rec: Recorder, node: Node) -> Expr:
    return ("list", "tuple", tuple(_wrapped(rec, child) for child in node.children if child.type == "argument"))


def _alias_qualified(rec: Recorder, node: Node) -> Expr:
    return ("import", _simple_name(rec, node.child_by_field_name("name")))


CONVERT: dict[str, Convert] = {
    "identifier": Recorder.name,
    "member_access_expression": _member,
    "member_binding_expression": _member_binding,
    "element_binding_expression": _element_binding,
    "conditional_access_expression": _conditional_access,
    "invocation_expression": _call,
    "object_creation_expression": _new,
    "implicit_object_creation_expression": _new,
    "this": lambda _rec, _node: SELF,
    "base": lambda _rec, _node: SUPER,
    "this_expression": lambda _rec, _node: SELF,
    "base_expression": lambda _rec, _node: SUPER,
    "await_expression": _await,
    "parenthesized_expression": _wrapped,
    "postfix_unary_expression": _first,
    "element_access_expression": _element,
    "cast_expression": _cast,
    "as_expression": _as,
    "conditional_expression": _conditional,
    "binary_expression": _binary,
    "assignment_expression": _assigned,
    "lambda_expression": _lambda,
    "anonymous_method_expression": _lambda,
    "with_expression": _first,
    "checked_expression": _wrapped,
    "ref_expression": _wrapped,
    "tuple_expression": _tuple,
    "array_creation_expression": _cast,
    "alias_qualified_name": _alias_qualified,
    "generic_name": lambda rec, node: rec.name(node.children[0]),
    "qualified_name": _qualified_name,
    "predefined_type": lambda rec, node: ("literal", rec.text(node)),
    "string_literal": lambda _rec, _node: STRING,
    "interpolated_string_expression": lambda _rec, _node: STRING,
    "verbatim_string_literal": lambda _rec, _node: STRING,
    "raw_string_literal": lambda _rec, _node: STRING,
    "is_pattern_expression": lambda _rec, _node: BOOL,
    "boolean_literal": lambda _rec, _node: BOOL,
    "integer_literal": lambda _rec, _node: ("literal", "int"),
}


# comments, modifiers


def doc_before(source: bytes, start: int) -> str | None:
    """Return the `///` lines right above the line of a byte, without their XML tags."""
    end = source.rfind(b"\n", 0, start)
    lines: list[str] = []
    while end > 0:
        begin = source.rfind(b"\n", 0, end) + 1
        line = source[begin:end].strip()
        if not line.startswith(b"///"):
            break
        lines.append(line[3:].decode("utf-8", "replace").strip())
        end = begin - 1
    text = _MARKUP.sub("", _TAG.sub(r"\1", "\n".join(reversed(lines))))
    return "\n".join(line.strip() for line in text.split("\n") if line.strip()) or None


class _Modifiers:
    """What stands before a declaration: its words, its attributes, and where the signature begins."""

    def __init__(self, rec: Recorder, node: Node) -> None:
        self.words: set[str] = set()
        self.start = node.start_byte
        found: list[Decorator] = []
        for child in node.children:
            if child.type == "attribute_list":
                found += [
                    Decorator(rec.folded(part.start_byte, part.end_byte), None)
                    for part in child.children
                    if part.type == "attribute"
                ]
                continue
            if child.type != "modifier":
                self.start = child.start_byte if not self.words else self.start
                break
            if not self.words:
                self.start = child.start_byte
            self.words.add(rec.text(child))
        self.decorators = tuple(found)

    def is_test(self) -> bool:
        return any(
            held.text.partition("(")[0].rpartition(".")[2].removesuffix("Attribute") in TESTS
            for held in self.decorators
        )

    def flags(self) -> tuple[str, ...]:
        return tuple(word for word in FLAGS if word in self.words)


def _is_exported(rec: Recorder, words: set[str]) -> bool:
    parent = rec.owner_symbol()
    if parent >= 0 and rec.symbols[parent].kind == "interface":
        return "private" not in words and rec.symbols[parent].exported
    return "public" in words


# definitions


def namespace(rec: Recorder, node: Node) -> None:
    """Enter a namespace; a file-scoped one holds until the end of the file."""
    name_node = node.child_by_field_name("name")
    name = "".join(rec.text(name_node).split()) if name_node is not None else ""
    around = rec.scopes[rec.scope]
    if around.kind == "namespace" and around.name:
        name = f"{around.name}.{name}"
    if rec.package is None:
        rec.package = name
    held = rec.root if node.type == "file_scoped_namespace_declaration" else node
    rec.open_scope(held, "namespace", name=name)


def type_(rec: Recorder, node: Node) -> None:
    """Record a class, struct, interface, record or enum."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = rec.text(name_node)
    modifiers = _Modifiers(rec, node)
    base_list = next((child for child in node.children if child.type == "base_list"), None)
    written = (
        [c for c in base_list.children if c.is_named and c.type != "argument_list"] if base_list is not None else []
    )
    bases = () if node.type == "enum_declaration" else tuple(type_expression(rec, base) for base in written)
    kind = KINDS[node.type]
    if node.type == "record_declaration" and any(child.type == "struct" for child in node.children):
        kind = "struct"
    index = rec.define(
        node, name, kind,  # type: ignore[arg-type]
        signature=rec.folded(modifiers.start, body.start_byte if body is not None else node.end_byte).rstrip("; "),
        docstring=doc_before(rec.source, node.start_byte), scope_kind="class", decorators=modifiers.decorators,
        exported=_is_exported(rec, modifiers.words), is_test=rec.is_test_file, bases=bases,
        base_names=tuple(rec.text(base).partition("(")[0] for base in written), flags=modifiers.flags(),
    )  # fmt: skip
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(node, "class", symbol=index)
    arguments = (
        next((c for c in base_list.children if c.type == "argument_list"), None) if base_list is not None else None
    )
    if arguments is not None and bases:
        _record_base_call(rec, arguments, written[0], arguments)
    _type_parameters(rec, node, scope)
    parameters = next((child for child in node.children if child.type == "parameter_list"), None)
    for child in parameters.children if parameters is not None else ():
        named = child.child_by_field_name("name") if child.type == "parameter" else None
        if named is not None:
            declared = ("typed", type_expression(rec, child.child_by_field_name("type")))
            rec.bind(rec.text(named), declared, child.start_byte, scope=scope, kind="declared")


def _type_parameters(rec: Recorder, node: Node, scope: int) -> None:
    bounds: dict[str, list[Expr]] = {}
    for child in node.children:
        if child.type == "type_parameter_list":
            for part in child.children:
                if part.type == "type_parameter":
                    bounds[rec.text(part.child_by_field_name("name") or part)] = []
        elif child.type == "type_parameter_constraints_clause":
            named = [part for part in child.children if part.is_named]
            held = bounds.get(rec.text(named[0])) if named else None
            for part in named[1:] if held is not None else ():
                value = type_expression(rec, part.child_by_field_name("type"))
                if held is not None and value is not None:
                    held.append(value)
    for name, found in bounds.items():
        value = None if not found else found[0] if len(found) == 1 else ("any", tuple(found))
        rec.bind(name, value, node.start_byte, scope=scope, kind="type")


def delegate(rec: Recorder, node: Node) -> None:
    """Record a delegate type."""
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return
    modifiers = _Modifiers(rec, node)
    rec.define(
        node, rec.text(name_node), "type", signature=rec.folded(modifiers.start, node.end_byte).rstrip("; "),
        docstring=doc_before(rec.source, node.start_byte), decorators=modifiers.decorators,
        exported=_is_exported(rec, modifiers.words), is_test=rec.is_test_file,
    )  # fmt: skip
    rec.bind(rec.text(name_node), None, node.start_byte, scope=rec.scope, kind="type")


def method(rec: Recorder, node: Node) -> None:
    """Record a method, constructor, destructor or operator."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    name = rec.text(name_node) if name_node is not None else ""
    modifiers = _Modifiers(rec, node)
    flags = modifiers.flags()
    if node.type == "constructor_declaration":
        flags += ("constructor",)
    elif node.type == "destructor_declaration":
        name = f"~{name}"
    elif node.type == "operator_declaration":
        operator = node.child_by_field_name("operator")
        name = f"operator {rec.text(operator) if operator is not None else ''}".strip()
    elif node.type == "conversion_operator_declaration":
        target = node.child_by_field_name("type")
        name = f"operator {rec.text(target) if target is not None else ''}".strip()
    elif body is None and "extern" not in modifiers.words and "abstract" not in flags:
        flags += ("abstract",)
    parameters = node.child_by_field_name("parameters")
    owner = _extended_type(rec, parameters)
    if owner is not None:
        flags = (*(flag for flag in flags if flag != "static"), "extension")
    index = rec.define(
        node, name, "method", signature=_signature(rec, node, modifiers, body),
        docstring=doc_before(rec.source, node.start_byte), body=body, scope_kind="function",
        decorators=modifiers.decorators, exported=_is_exported(rec, modifiers.words),
        is_test=rec.is_test_file or modifiers.is_test(),
        returns=type_expression(rec, node.child_by_field_name("returns") or node.child_by_field_name("type")),
        owner=owner, flags=flags,
    )  # fmt: skip
    if node.type == "method_declaration":
        rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(body or node, "function", symbol=index)
    if body is not None:
        rec.transparent.add(body.id)
    _type_parameters(rec, node, scope)
    _parameters(rec, scope, parameters)


def _signature(rec: Recorder, node: Node, modifiers: _Modifiers, body: Node | None) -> str:
    end = body.start_byte if body is not None else node.end_byte
    return rec.folded(modifiers.start, end).rstrip("; ")


def _extended_type(rec: Recorder, parameters: Node | None) -> Expr:
    """Return the type that an extension method extends."""
    first = next((child for child in parameters.children if child.type == "parameter"), None) if parameters else None
    if first is None or not any(child.type == "modifier" and rec.text(child) == "this" for child in first.children):
        return None
    declared = type_expression(rec, first.child_by_field_name("type"))
    return declared[1] if declared is not None and declared[0] == "generic" else declared


def _parameters(rec: Recorder, scope: int, parameters: Node | None) -> None:
    children = parameters.children if parameters is not None else []
    for child in children:
        if child.type != "parameter":
            continue
        name = child.child_by_field_name("name")
        declared = type_expression(rec, child.child_by_field_name("type"))
        default = UNKNOWN_DEFAULT if any(part.type == "=" for part in child.children) else None
        rest = any(part.type == "modifier" and rec.text(part) == "params" for part in child.children)
        rec.parameters.append(
            Parameter(scope, rec.text(name) if name is not None else "", declared, default, "rest" if rest else "")
        )
    # `params int[] values` stands in the list without a node of its own.
    loose = parameters.child_by_field_name("name") if parameters is not None else None
    if loose is not None and parameters is not None:
        declared = type_expression(rec, parameters.child_by_field_name("type"))
        if declared is not None and declared[0] == "generic":
            declared = declared[2][0]
        rec.parameters.append(Parameter(scope, rec.text(loose), declared, None, "rest"))


def local_function(rec: Recorder, node: Node) -> None:
    """Record a function within a method."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = rec.text(name_node)
    modifiers = _Modifiers(rec, node)
    index = rec.define(
        node, name, "function", signature=_signature(rec, node, modifiers, body), body=body, scope_kind="function",
        docstring=doc_before(rec.source, node.start_byte), decorators=modifiers.decorators, is_test=rec.is_test_file,
        returns=type_expression(rec, node.child_by_field_name("type")), flags=(*modifiers.flags(), "local"),
    )  # fmt: skip
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(body or node, "function", symbol=index)
    if body is not None:
        rec.transparent.add(body.id)
    _type_parameters(rec, node, scope)
    _parameters(rec, scope, node.child_by_field_name("parameters"))


def property_(rec: Recorder, node: Node) -> None:
    """Record a property or indexer and bind its name with its type."""
    name_node = node.child_by_field_name("name")
    name = rec.text(name_node) if name_node is not None else "this"
    modifiers = _Modifiers(rec, node)
    declared = type_expression(rec, node.child_by_field_name("type"))
    value = node.child_by_field_name("value")
    if value is not None and value.type == "implicit_object_creation_expression":
        rec.pending[value.id] = declared
    body = node.child_by_field_name("accessors") or value
    index = rec.define(
        node, name, "property", signature=_signature(rec, node, modifiers, body),
        docstring=doc_before(rec.source, node.start_byte), scope_kind="function", decorators=modifiers.decorators,
        exported=_is_exported(rec, modifiers.words), is_test=rec.is_test_file, returns=declared,
        flags=modifiers.flags(),
    )  # fmt: skip
    if name_node is not None:
        rec.bind(name, ("typed", declared), node.start_byte, scope=rec.scope, kind="declared")
    scope = rec.open_scope(node, "function", symbol=index)
    _parameters(rec, scope, node.child_by_field_name("parameters"))
    rec.parameters.append(Parameter(scope, "value", declared, None))


def field(rec: Recorder, node: Node) -> None:
    """Bind fields with their types; constants are symbols."""
    modifiers = _Modifiers(rec, node)
    declaration = next((child for child in node.children if child.type == "variable_declaration"), None)
    if declaration is None:
        return
    declared = type_expression(rec, declaration.child_by_field_name("type"))
    constant = "const" in modifiers.words or {"static", "readonly"} <= modifiers.words
    for child in declaration.children:
        if child.type != "variable_declarator":
            continue
        name_node = child.child_by_field_name("name") or child.children[0]
        name = rec.text(name_node)
        event = node.type == "event_field_declaration"
        if constant or event:
            rec.define(
                node, name, "property" if event else "constant",
                signature=rec.folded(modifiers.start, min(child.end_byte, child.start_byte + 200)),
                docstring=doc_before(rec.source, node.start_byte), decorators=modifiers.decorators,
                exported=_is_exported(rec, modifiers.words), is_test=rec.is_test_file, flags=("static",),
            )  # fmt: skip
        rec.bind(name, ("typed", declared), child.start_byte, scope=rec.scope, kind="declared")
        _declared_value(rec, child, declared)


def _declared_value(rec: Recorder, declarator: Node, declared: Expr) -> Expr:
    """Return what a declarator is set to; `new()` makes what is declared."""
    value = declarator.children[-1] if len(declarator.children) > 1 else None
    if value is None or not value.is_named or value.type == "bracketed_argument_list":
        return None
    if value.type == "implicit_object_creation_expression":
        rec.pending[value.id] = declared
    return expression(rec, value)


def enum_member(rec: Recorder, node: Node) -> None:
    """Bind a member of an enum."""
    name = node.child_by_field_name("name")
    if name is not None:
        rec.bind(rec.text(name), ("typed", SELF_TYPE), node.start_byte, scope=rec.scope)


# statements


def block(rec: Recorder, node: Node) -> None:
    """Enter a block; the body of a function has been entered with it."""
    if node.id not in rec.transparent:
        rec.open_scope(node, "block")


def local(rec: Recorder, node: Node) -> None:
    """Bind local variables: by their types, or by their values behind `var`."""
    if node.type != "local_declaration_statement":
        rec.open_scope(node, "block")
    for declaration in node.children:
        if declaration.type != "variable_declaration":
            continue
        declared = type_expression(rec, declaration.child_by_field_name("type"))
        for child in declaration.children:
            if child.type == "variable_declarator":
                _local_variable(rec, child, declared)


def _local_variable(rec: Recorder, declarator: Node, declared: Expr) -> None:
    name = declarator.child_by_field_name("name") or declarator.children[0]
    value = _declared_value(rec, declarator, declared)
    if name.type == "tuple_pattern":
        names = [part for part in name.children if part.type == "identifier"]
        for position, part in enumerate(names):
            held: Expr = ("item", value, position) if value is not None else None
            rec.bind(rec.text(part), held, declarator.start_byte, scope=rec.scope)
    elif declared is not None:
        rec.bind(rec.text(name), ("typed", declared), declarator.start_byte, scope=rec.scope, kind="declared")
    else:
        rec.bind(rec.text(name), value, declarator.start_byte, scope=rec.scope)


def for_each(rec: Recorder, node: Node) -> None:
    """Bind the variables of a foreach statement."""
    declared = type_expression(rec, node.child_by_field_name("type"))
    left = node.child_by_field_name("left")
    held = expression(rec, node.child_by_field_name("right"))
    scope = rec.open_scope(node, "block")
    if left is None:
        return
    value: Expr = ("each", held) if held is not None else None
    if left.type == "identifier":
        rec.bind(rec.text(left), ("typed", declared) if declared is not None else value, left.start_byte, scope=scope)
    elif left.type == "tuple_pattern":
        for position, part in enumerate(child for child in left.children if child.type == "identifier"):
            item: Expr = ("item", value, position) if value is not None else None
            rec.bind(rec.text(part), item, left.start_byte, scope=scope)


def catch(rec: Recorder, node: Node) -> None:
    """Bind the exception of a catch clause."""
    scope = rec.open_scope(node, "block")
    held = next((child for child in node.children if child.type == "catch_declaration"), None)
    name = held.child_by_field_name("name") if held is not None else None
    if held is not None and name is not None:
        declared = type_expression(rec, held.child_by_field_name("type"))
        rec.bind(rec.text(name), ("typed", declared), name.start_byte, scope=scope)


def pattern(rec: Recorder, node: Node) -> None:
    """Bind the name of `x is Type name`, `case Type name` and `out Type name`."""
    name = node.child_by_field_name("name")
    if name is not None and name.type == "identifier":
        declared = type_expression(rec, node.child_by_field_name("type"))
        value: Expr = ("typed", declared) if declared is not None else None
        rec.bind(rec.text(name), value, name.start_byte, scope=rec.scope)


def lambda_(rec: Recorder, node: Node) -> None:
    """Record a lambda's parameters and what it returns."""
    scope = rec.open_scope(node, "function")
    given = rec.pending.get(node.id)
    parameters, body = node.child_by_field_name("parameters"), node.child_by_field_name("body")
    if parameters is not None and parameters.type in ("implicit_parameter", "identifier"):
        rec.parameters.append(Parameter(scope, rec.text(parameters), None, given))
    elif parameters is not None:
        for position, child in enumerate(part for part in parameters.children if part.type == "parameter"):
            name = child.child_by_field_name("name")
            declared = type_expression(rec, child.child_by_field_name("type"))
            value = given if position == 0 else None
            rec.parameters.append(Parameter(scope, rec.text(name) if name is not None else "", declared, value))
    if body is not None and body.type == "block":
        rec.transparent.add(body.id)
    elif body is not None:
        rec.returns.append(Return(scope, expression(rec, body), node.start_byte))


def return_(rec: Recorder, node: Node) -> None:
    """Record what a lambda with a block returns; methods declare it."""
    frame = rec.names_scope()
    if rec.scopes[frame].symbol < 0 and len(node.children) > 1:
        rec.returns.append(Return(rec.scope, expression(rec, node.children[1]), node.start_byte))


def conditional(rec: Recorder, node: Node) -> None:
    """Record the calls behind `?.`, which need what stands before it."""
    if rec.pending.get(node.id) is None:
        expression(rec, node)


def call(rec: Recorder, node: Node) -> None:
    """Record a call that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_call(rec, node)


def new(rec: Recorder, node: Node) -> None:
    """Record an object creation that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_new(rec, node)


def constructor_call(rec: Recorder, node: Node) -> None:
    """Record `: this(…)` and `: base(…)` of a constructor."""
    if rec.known_call(node) is not None:
        return
    index = rec.reserve_call(node)
    callee: Expr = SELF_TYPE
    if any(child.type == "base" for child in node.children):
        symbol = rec.owner_symbol()
        around = rec.symbols[symbol].parent if symbol >= 0 and rec.symbols[symbol].kind == "method" else symbol
        bases = rec.symbols[around].bases if around >= 0 else ()
        callee = bases[0] if bases else None
        callee = callee[1] if callee is not None and callee[0] == "generic" else callee
    arguments = next((child for child in node.children if child.type == "argument_list"), None)
    args, keywords, count = _arguments(rec, arguments)
    line = node.start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args, keywords, count, line, node.start_byte, "new"))


def base_call(rec: Recorder, node: Node) -> None:
    """Record the base constructor's call of a primary constructor."""
    arguments = next((child for child in node.children if child.type == "argument_list"), None)
    _record_base_call(rec, node, node.child_by_field_name("type"), arguments)


def _record_base_call(rec: Recorder, site: Node, written: Node | None, arguments: Node | None) -> None:
    index = rec.reserve_call(site)
    made = type_expression(rec, written)
    callee = made[1] if made is not None and made[0] == "generic" else made
    args, keywords, count = _arguments(rec, arguments)
    line = (written or site).start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args, keywords, count, line, site.start_byte, "new"))


def using(rec: Recorder, node: Node) -> None:
    """Record a using directive: of a namespace, of static members, or an alias."""
    words = {child.type for child in node.children if not child.is_named}
    alias = node.child_by_field_name("name")
    named = [child for child in node.children if child.is_named and (alias is None or child.id != alias.id)]
    if not named:
        return
    target = named[-1]
    text = "".join(rec.text(target).split()).partition("<")[0].removeprefix("global::")
    line, at = node.start_point[0] + 1, node.start_byte
    everywhere = "global " if "global" in words else ""
    if alias is not None:
        module, _, member = text.rpartition(".")
        rec.imports.append(Import(0, rec.text(alias), everywhere + module, member, line, at))
    else:
        rec.imports.append(Import(0, "*", everywhere + text, "*", line, at))


HANDLERS: dict[str, Callable[[Recorder, Node], None]] = {
    "using": using,
    "namespace": namespace,
    "type": type_,
    "delegate": delegate,
    "method": method,
    "local_function": local_function,
    "property": property_,
    "field": field,
    "enum_member": enum_member,
    "local": local,
    "for_each": for_each,
    "catch": catch,
    "block": block,
    "pattern": pattern,
    "lambda": lambda_,
    "return": return_,
    "conditional": conditional,
    "call": call,
    "new": new,
    "constructor_call": constructor_call,
    "base_call": base_call,
}
