"""Records of Go: definitions, receivers, scopes and values.

Left out: assignments to names that have a type already (Go's variables keep theirs), what operators do, labels.
Pointers are read as what they point to, since selectors go through them. Several results are a tuple.
"""

from collections.abc import Callable, Iterator

from tree_sitter import Node

from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Binding, Call, Expr, Import, Parameter, Return

Convert = Callable[[Recorder, Node], Expr]

STRING: Expr = ("literal", "string")
INT: Expr = ("literal", "int")
BOOL: Expr = ("literal", "bool")
BUILTIN_TYPES = frozenset(
    {
        "bool",
        "byte",
        "complex64",
        "complex128",
        "error",
        "float32",
        "float64",
        "int",
        "int8",
        "int16",
        "int32",
        "int64",
        "rune",
        "string",
        "uint",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "uintptr",
        "any",
        "comparable",
    }
)


# types


def type_expression(rec: Recorder, node: Node | None) -> Expr:
    """Return a type as written as a type expression; None for function types and types without a name."""
    return rec.convert(node, TYPES)


def _type_name(rec: Recorder, node: Node) -> Expr:
    text = rec.text(node)
    return ("literal", text) if text in BUILTIN_TYPES else rec.name(node)


def _qualified_type(rec: Recorder, node: Node) -> Expr:
    package, name = node.child_by_field_name("package"), node.child_by_field_name("name")
    return ("attr", rec.name(package), rec.text(name)) if package is not None and name is not None else None


def _only_type(rec: Recorder, node: Node) -> Expr:
    return next((type_expression(rec, child) for child in node.children if child.is_named), None)


def _list_type(rec: Recorder, node: Node) -> Expr:
    return ("generic", ("literal", "list"), (type_expression(rec, node.child_by_field_name("element")),))


def _map_type(rec: Recorder, node: Node) -> Expr:
    key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
    return ("generic", ("literal", "dict"), (type_expression(rec, key), type_expression(rec, value)))


def _channel_type(rec: Recorder, node: Node) -> Expr:
    return ("generic", ("literal", "list"), (type_expression(rec, node.child_by_field_name("value")),))


def _generic_type(rec: Recorder, node: Node) -> Expr:
    arguments = node.child_by_field_name("type_arguments")
    held = tuple(type_expression(rec, child) for child in arguments.children if child.is_named) if arguments else ()
    return ("generic", type_expression(rec, node.child_by_field_name("type")), held)


TYPES: dict[str, Convert] = {
    "type_identifier": _type_name,
    "identifier": _type_name,
    "qualified_type": _qualified_type,
    "pointer_type": _only_type,
    "parenthesized_type": _only_type,
    "slice_type": _list_type,
    "array_type": _list_type,
    "implicit_length_array_type": _list_type,
    "map_type": _map_type,
    "channel_type": _channel_type,
    "generic_type": _generic_type,
    "type_elem": _only_type,
}


def _named(node: Node) -> list[Node]:
    """Return the names that one declaration has; the commas between them bear the same field."""
    return [name for name in node.children_by_field_name("name") if name.is_named]


def _result(rec: Recorder, node: Node | None) -> Expr:
    """Return the type of what a function returns: a tuple where it returns several values."""
    if node is None or node.type != "parameter_list":
        return type_expression(rec, node)
    found: list[Expr] = []
    for child in node.children:
        if child.type == "parameter_declaration":
            value = type_expression(rec, child.child_by_field_name("type"))
            found += [value] * max(1, len(_named(child)))
    return found[0] if len(found) == 1 else ("generic", ("literal", "tuple"), tuple(found))


# expressions


def expression(rec: Recorder, node: Node | None) -> Expr:
    """Return what an expression may be, recording the calls in it."""
    if node is None or rec.depth >= MAX_EXPRESSION_DEPTH:
        return None
    return rec.name(node) if node.type == "identifier" else rec.convert(node, CONVERT)


def _selector(rec: Recorder, node: Node) -> Expr:
    children = node.children
    held = expression(rec, children[0])
    return None if held is None else ("attr", held, rec.text(children[-1]))


def _call(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    if index is None:
        index = _record_call(rec, node)
    callee = rec.calls[index].callee
    if callee in (("name", "new"), ("name", "make")):
        arguments = node.child_by_field_name("arguments")
        made = next((child for child in arguments.children if child.is_named), None) if arguments else None
        return ("typed", type_expression(rec, made))
    if callee == ("name", "append") and rec.calls[index].args:
        return rec.calls[index].args[0]
    return ("call", index)


def _record_call(rec: Recorder, node: Node) -> int:
    index = rec.reserve_call(node)
    children = node.children
    function, arguments = children[0], children[-1] if children[-1].type == "argument_list" else None
    if function.type == "selector_expression":
        parts = function.children
        callee: Expr = ("attr", expression(rec, parts[0]), rec.text(parts[-1]))
    elif function.type == "index_expression":
        # `generic[T](x)` parses as an element that is called.
        callee = expression(rec, function.children[0])
        callee = callee if function.children[2].type in ("identifier", "type_identifier") else ("item", callee, None)
    else:
        callee = expression(rec, function)
    args: list[Expr] = []
    count = 0
    for child in arguments.children if arguments is not None else ():
        kind = child.type
        if kind == "identifier":
            args.append(rec.name(child))
            count += count >= 0
        elif kind == "variadic_argument":
            args.append(("each", expression(rec, child.children[0])))
            count = -1
        elif child.is_named and kind != "comment":
            args.append(expression(rec, child))
            count += count >= 0
    while args and args[-1] is None:
        args.pop()
    line = function.end_point[0] + 1 if function.type == "selector_expression" else function.start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, tuple(args), (), count, line, node.start_byte))
    return index


def _conversion(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    return ("call", _record_conversion(rec, node) if index is None else index)


def _record_conversion(rec: Recorder, node: Node) -> int:
    """Record `name[A, B](x)`, which is a call of a generic function as often as it is a conversion."""
    index = rec.reserve_call(node)
    held = node.child_by_field_name("type")
    callee: Expr = None
    if held is not None and held.type == "generic_type":
        callee = type_expression(rec, held.child_by_field_name("type"))
    elif held is not None:
        callee = type_expression(rec, held)
    args = (expression(rec, node.child_by_field_name("operand")),)
    line = node.start_point[0] + 1
    rec.set_call(index, Call(rec.scope, callee, args if args[0] else (), (), 1, line, node.start_byte))
    return index


def _index(rec: Recorder, node: Node) -> Expr:
    children = node.children
    held = expression(rec, children[0])
    if held is None:
        return None
    key = children[2] if len(children) > 2 else None  # noqa: PLR2004 - holder, bracket, key
    if key is not None and key.type == "interpreted_string_literal":
        return ("item", held, rec.text(key)[1:-1])
    return ("item", held, None)


def _operand(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[0])


def _unary(rec: Recorder, node: Node) -> Expr:
    operator = node.children[0].type
    held = expression(rec, node.children[-1])
    if operator in ("&", "*"):
        return held
    if operator == "<-":
        return None if held is None else ("each", held)
    return None


def _parenthesized(rec: Recorder, node: Node) -> Expr:
    return next((expression(rec, child) for child in node.children if child.is_named), None)


def _typed(rec: Recorder, node: Node) -> Expr:
    return ("typed", type_expression(rec, node.child_by_field_name("type")))


def _literal_function(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node, "function"))


CONVERT: dict[str, Convert] = {
    "identifier": Recorder.name,
    "selector_expression": _selector,
    "call_expression": _call,
    "type_conversion_expression": _conversion,
    "index_expression": _index,
    "slice_expression": _operand,
    "unary_expression": _unary,
    "parenthesized_expression": _parenthesized,
    "composite_literal": _typed,
    "type_assertion_expression": _typed,
    "func_literal": _literal_function,
    "type_instantiation_expression": _operand,
    "interpreted_string_literal": lambda _rec, _node: STRING,
    "raw_string_literal": lambda _rec, _node: STRING,
    "int_literal": lambda _rec, _node: INT,
    "float_literal": lambda _rec, _node: ("literal", "float64"),
    "true": lambda _rec, _node: BOOL,
    "false": lambda _rec, _node: BOOL,
}


# comments


def doc_before(source: bytes, start: int) -> str | None:
    """Return the comment whose last line stands right above the line of a byte, without its marks."""
    end = source.rfind(b"\n", 0, start)
    if end < 0:
        return None
    if source[max(0, end - 2) : end].rstrip() == b"*/":
        opening = source.rfind(b"/*", 0, end)
        return None if opening < 0 else _block_comment(source[opening + 2 : end].decode("utf-8", "replace"))
    lines: list[str] = []
    while end > 0:
        begin = source.rfind(b"\n", 0, end) + 1
        line = source[begin:end].strip()
        if not line.startswith(b"//"):
            break
        text = line[2:].decode("utf-8", "replace")
        if not text.startswith(("go:", "nolint", " +build")):
            lines.append(text[1:] if text[:1] == " " else text)
        end = begin - 1
    return "\n".join(reversed(lines)).strip() or None


def _block_comment(text: str) -> str | None:
    lines = [line.strip() for line in text.rstrip().removesuffix("*/").split("\n")]
    return "\n".join(line.removeprefix("*").strip() for line in lines).strip() or None


# definitions


def package(rec: Recorder, node: Node) -> None:
    """Take the name and the comment of the package."""
    rec.package = rec.text(node.children[-1])
    rec.docstring = doc_before(rec.source, node.start_byte)


def function(rec: Recorder, node: Node) -> None:
    """Record a function."""
    name_node = node.child_by_field_name("name")
    if name_node is not None:
        _function(rec, node, rec.text(name_node), None)


def method(rec: Recorder, node: Node) -> None:
    """Record a method: it belongs to the type of its receiver."""
    name_node, receiver = node.child_by_field_name("name"), node.child_by_field_name("receiver")
    if name_node is not None and receiver is not None:
        _function(rec, node, rec.text(name_node), receiver)


def _function(rec: Recorder, node: Node, name: str, receiver: Node | None) -> None:
    body = node.child_by_field_name("body")
    result = node.child_by_field_name("result")
    held = (
        next((child for child in receiver.children if child.type == "parameter_declaration"), None)
        if receiver
        else None
    )
    owner = type_expression(rec, held.child_by_field_name("type")) if held is not None else None
    if owner is not None and owner[0] == "generic":
        owner = owner[1]
    index = rec.define(
        node, name, "function" if receiver is None else "method",
        signature=rec.folded(node.start_byte, body.start_byte if body is not None else node.end_byte),
        docstring=doc_before(rec.source, node.start_byte), body=body, scope_kind="function",
        exported=name[:1].isupper(), is_test=rec.is_test_file, returns=_result(rec, result), owner=owner,
        owner_name=owner[-1] if owner is not None else None,
    )  # fmt: skip
    if receiver is None and name not in ("init", "_"):
        rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte)
    scope = rec.open_scope(body or node, "function", symbol=index)
    if body is not None:
        rec.transparent.add(body.id)
    if held is not None:
        named = held.child_by_field_name("name")
        rec.parameters.append(Parameter(scope, rec.text(named) if named else "", owner, None, "receiver"))
    _type_parameters(rec, node, scope)
    _parameters(rec, scope, node.child_by_field_name("parameters"))
    _named_results(rec, scope, result)


def _type_parameters(rec: Recorder, node: Node, scope: int) -> None:
    parameters = node.child_by_field_name("type_parameters")
    for child in parameters.children if parameters is not None else ():
        if child.type != "type_parameter_declaration":
            continue
        constraint = child.child_by_field_name("type")
        held = [part for part in constraint.children if part.is_named] if constraint is not None else []
        bound = type_expression(rec, held[0]) if len(held) == 1 else None
        for name in _named(child):
            rec.bindings.append(Binding(scope, rec.text(name), bound, child.start_byte, scope, "type"))


def _parameters(rec: Recorder, scope: int, parameters: Node | None) -> None:
    for child in parameters.children if parameters is not None else ():
        if child.type in ("parameter_declaration", "variadic_parameter_declaration"):
            declared = type_expression(rec, child.child_by_field_name("type"))
            kind = "" if child.type == "parameter_declaration" else "rest"
            for name in _named(child):
                rec.parameters.append(Parameter(scope, rec.text(name), declared, None, kind))
            if child.child_by_field_name("name") is None:
                rec.parameters.append(Parameter(scope, "", declared, None, kind))


def _named_results(rec: Recorder, scope: int, result: Node | None) -> None:
    for child in result.children if result is not None and result.type == "parameter_list" else ():
        declared = ("typed", type_expression(rec, child.child_by_field_name("type"))) if child.is_named else None
        for name in _named(child):
            rec.bindings.append(Binding(scope, rec.text(name), declared, child.start_byte, scope, "declared"))


def function_literal(rec: Recorder, node: Node) -> None:
    """Record the parameters and the result of a function without a name."""
    scope = rec.open_scope(node, "function")
    body, result = node.child_by_field_name("body"), node.child_by_field_name("result")
    if body is not None:
        rec.transparent.add(body.id)
    _parameters(rec, scope, node.child_by_field_name("parameters"))
    _named_results(rec, scope, result)
    returned = _result(rec, result)
    if returned is not None:
        rec.returns.append(Return(scope, ("typed", returned), node.start_byte))


def type_(rec: Recorder, node: Node) -> None:
    """Record a defined type: a struct with its fields, an interface with its methods, or any other."""
    name_node, held = node.child_by_field_name("name"), node.child_by_field_name("type")
    if name_node is None or held is None:
        return
    name = rec.text(name_node)
    kinds = {"struct_type": "struct", "interface_type": "interface"}
    bases = list(_embedded(rec, held)) if held.type in kinds else []
    if held.type in ("slice_type", "array_type", "map_type"):
        bases = [(type_expression(rec, held), "")]
    signature_end = held.start_byte + len(held.type.removesuffix("_type")) if held.type in kinds else held.end_byte
    index = rec.define(
        node, name, "struct" if held.type == "struct_type" else "interface" if held.type in kinds else "type",
        signature="type " + rec.folded(node.start_byte, signature_end), docstring=_spec_doc(rec, node),
        scope_kind="class", exported=name[:1].isupper(), is_test=rec.is_test_file,
        bases=tuple(base for base, _ in bases), base_names=tuple(written for _, written in bases if written),
    )  # fmt: skip
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(node, "class", symbol=index)
    _type_parameters(rec, node, scope)
    if held.type == "struct_type":
        _fields(rec, held, scope)
    elif held.type == "interface_type":
        _interface_methods(rec, held, scope)


def _spec_doc(rec: Recorder, node: Node) -> str | None:
    """Return the comment above a spec, or above the `type`, `const` or `var` that it stands alone behind."""
    return doc_before(rec.source, node.start_byte)


def _embedded(rec: Recorder, held: Node) -> Iterator[tuple[Expr, str]]:
    """Yield the types that a struct or interface embeds, and how they are written."""
    if held.type == "struct_type":
        for field in _field_nodes(held):
            if field.child_by_field_name("name") is None:
                written = field.child_by_field_name("type")
                if written is not None:
                    yield type_expression(rec, written), rec.text(written)
        return
    for child in held.children:
        parts = [part for part in child.children if part.is_named] if child.type == "type_elem" else []
        if len(parts) == 1 and parts[0].type != "negated_type":
            yield type_expression(rec, parts[0]), rec.text(parts[0])


def _field_nodes(held: Node) -> Iterator[Node]:
    for part in held.children:
        if part.type == "field_declaration_list":
            yield from (field for field in part.children if field.type == "field_declaration")


def _fields(rec: Recorder, held: Node, scope: int) -> None:
    around = rec.scopes[scope].parent
    for field in _field_nodes(held):
        written = field.child_by_field_name("type")
        declared = ("typed", type_expression(rec, written))
        names = [rec.text(name) for name in _named(field)]
        if not names and written is not None:
            # An embedded type is a field by its own name.
            names = [rec.text(written).lstrip("*").partition("[")[0].rpartition(".")[2]]
        for name in names:
            # A field's type is looked up around the type: `Value Value` names no field.
            rec.bindings.append(Binding(scope, name, declared, field.start_byte, around, "declared"))


def _interface_methods(rec: Recorder, held: Node, scope: int) -> None:
    for child in held.children:
        name_node = child.child_by_field_name("name") if child.type == "method_elem" else None
        if name_node is None:
            continue
        name = rec.text(name_node)
        index = rec.define(
            child, name, "method", signature=rec.folded(child.start_byte, child.end_byte),
            docstring=doc_before(rec.source, child.start_byte), scope_kind="function", exported=name[:1].isupper(),
            is_test=rec.is_test_file, returns=_result(rec, child.child_by_field_name("result")), flags=("abstract",),
        )  # fmt: skip
        own = rec.symbols[index].scope
        rec.bind(name, ("function", own), child.start_byte, scope=scope)
        _parameters(rec, own, child.child_by_field_name("parameters"))


def alias(rec: Recorder, node: Node) -> None:
    """Record `type Name = Other`."""
    name_node, held = node.child_by_field_name("name"), node.child_by_field_name("type")
    if name_node is None:
        return
    name = rec.text(name_node)
    rec.define(
        node, name, "type", signature="type " + rec.folded(node.start_byte, node.end_byte),
        docstring=_spec_doc(rec, node), exported=name[:1].isupper(), is_test=rec.is_test_file,
    )  # fmt: skip
    rec.bind(name, type_expression(rec, held), node.start_byte, scope=rec.scope, kind="type")


def constant(rec: Recorder, node: Node) -> None:
    """Record constants."""
    _specification(rec, node, "const")


def variable(rec: Recorder, node: Node) -> None:
    """Record variables: those of the package are symbols."""
    _specification(rec, node, "var")


def _specification(rec: Recorder, node: Node, word: str) -> None:
    names = _named(node)
    declared = type_expression(rec, node.child_by_field_name("type"))
    value_list = node.child_by_field_name("value")
    values = [child for child in value_list.children if child.is_named] if value_list is not None else []
    for position, name_node in enumerate(names):
        name = rec.text(name_node)
        value = values[position] if len(values) == len(names) else None
        if rec.scope == 0 and name != "_":
            _define_variable(rec, node, name, word, value)
        if declared is not None:
            rec.bind(name, ("typed", declared), node.end_byte, scope=rec.scope, kind="declared")
    if declared is None:
        _bind_all(rec, names, values, node.end_byte if rec.scope else node.start_byte)


def _define_variable(rec: Recorder, node: Node, name: str, word: str, value: Node | None) -> None:
    literal = value is not None and value.type == "func_literal"
    body = value.child_by_field_name("body") if literal and value is not None else None
    end = body.start_byte if body is not None else min(node.end_byte, node.start_byte + 200)
    signature = f"{word} {rec.folded(node.start_byte, end)}"
    docstring = _spec_doc(rec, node)
    exported = name[:1].isupper()
    if literal:
        rec.define(
            node, name, "function", signature=signature, docstring=docstring, body=value, scope_kind="function",
            exported=exported, is_test=rec.is_test_file,
        )  # fmt: skip
    else:
        rec.define(
            node, name, "constant", signature=signature.partition("\n")[0], docstring=docstring, exported=exported,
            is_test=rec.is_test_file,
        )  # fmt: skip


def _bind_all(rec: Recorder, names: list[Node], values: list[Node], at: int) -> None:
    """Bind names to values, one each, or all to the parts of one call."""
    comma_ok = len(values) == 1 and len(names) == 2 and values[0].type != "call_expression"  # noqa: PLR2004
    single = expression(rec, values[0]) if len(values) == 1 and len(names) > 1 else None
    for position, name in enumerate(names):
        if name.type not in ("identifier", "blank_identifier"):
            continue
        text = rec.text(name)
        value: Expr = None
        if len(values) == len(names):
            value = expression(rec, values[position])
        elif comma_ok:
            value = BOOL if position else single
        elif single is not None:
            value = ("item", single, position)
        if text != "_":
            rec.bind(text, value, at, scope=rec.scope)


# statements


def short_variable(rec: Recorder, node: Node) -> None:
    """Bind `a, b := …`; the names hold behind the statement."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is not None and right is not None:
        names = [child for child in left.children if child.is_named]
        _bind_all(rec, names, [child for child in right.children if child.is_named], node.end_byte)


def assignment(rec: Recorder, node: Node) -> None:
    """Bind a function without a name that is assigned to a variable: its type alone does not say what it is."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or len(left.children) != 1 or len(right.children) != 1:
        return
    if left.children[0].type == "identifier" and right.children[0].type == "func_literal":
        value = expression(rec, right.children[0])
        rec.bind(rec.text(left.children[0]), value, node.start_byte)


def block(rec: Recorder, node: Node) -> None:
    """Enter a block, or a statement whose header declares names; a function's body has been entered with it."""
    if node.id not in rec.transparent:
        rec.open_scope(node, "block")


def range_(rec: Recorder, node: Node) -> None:
    """Bind the names of `for key, value := range x`."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None:
        return
    value = expression(rec, right)
    names = [child for child in left.children if child.is_named]
    for position, name in enumerate(names[:2]):
        if name.type == "identifier" and rec.text(name) != "_":
            # TRAP: the first name is the index or key; only a channel gives its elements there.
            each: Expr = ("item", value, None) if position == 1 and value is not None else None
            rec.bind(rec.text(name), each, node.end_byte, scope=rec.scope)


def type_switch(rec: Recorder, node: Node) -> None:
    """Tell the cases of `switch x := y.(type)` what they narrow."""
    rec.open_scope(node, "block")
    alias_node = node.child_by_field_name("alias")
    if alias_node is None or not alias_node.children:
        return
    name = rec.text(alias_node.children[0])
    rec.bind(name, expression(rec, node.child_by_field_name("value")), node.start_byte, scope=rec.scope)
    for child in node.children:
        if child.type == "type_case":
            rec.pending[child.id] = name


def case(rec: Recorder, node: Node) -> None:
    """Enter a case of a type switch."""
    scope = rec.open_scope(node, "block")
    name = rec.pending.get(node.id)
    types = node.children_by_field_name("type")
    if name is not None and len(types) == 1:
        value = ("typed", type_expression(rec, types[0]))
        rec.bindings.append(Binding(scope, name, value, node.start_byte, scope, "narrow"))


def communication(rec: Recorder, node: Node) -> None:
    """Enter a case of `select` and bind what it receives."""
    scope = rec.open_scope(node, "block")
    held = node.child_by_field_name("communication")
    left = held.child_by_field_name("left") if held is not None and held.type == "receive_statement" else None
    if held is not None and left is not None and left.children[0].type == "identifier":
        value = expression(rec, held.child_by_field_name("right"))
        rec.bindings.append(Binding(scope, rec.text(left.children[0]), value, held.end_byte, scope))


def call(rec: Recorder, node: Node) -> None:
    """Record a call that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_call(rec, node)


def conversion(rec: Recorder, node: Node) -> None:
    """Record a conversion or generic call that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_conversion(rec, node)


def import_(rec: Recorder, node: Node) -> None:
    """Record an import: by its alias, else by the last part of its path that is no version."""
    path_node, alias_node = node.child_by_field_name("path"), node.child_by_field_name("name")
    if path_node is None:
        return
    path = rec.text(path_node)[1:-1]
    line, at = node.start_point[0] + 1, node.start_byte
    if alias_node is not None and alias_node.type == "dot":
        rec.imports.append(Import(0, "*", path, "*", line, at))
    elif alias_node is not None:
        name = rec.text(alias_node)
        rec.imports.append(Import(0, "" if name == "_" else name, path, None, line, at))
    else:
        rec.imports.append(Import(0, package_name(path), path, None, line, at))


def package_name(path: str) -> str:
    """Return the name that a package most likely has by its import path: `gopkg.in/yaml.v3` is `yaml`."""
    parts = path.split("/")
    last = parts[-1]
    if len(parts) > 1 and last[:1] == "v" and last[1:].isdecimal():
        last = parts[-2]
    stem, _, version = last.rpartition(".")
    if stem and version[:1] == "v" and version[1:].isdecimal():
        last = stem
    return last.removeprefix("go-").removesuffix("-go").removesuffix(".go").replace("-", "_")


HANDLERS: dict[str, Callable[[Recorder, Node], None]] = {
    "package": package,
    "import": import_,
    "function": function,
    "method": method,
    "function_literal": function_literal,
    "type": type_,
    "alias": alias,
    "constant": constant,
    "variable": variable,
    "short_variable": short_variable,
    "assignment": assignment,
    "block": block,
    "range": range_,
    "type_switch": type_switch,
    "case": case,
    "communication": communication,
    "call": call,
    "conversion": conversion,
}
