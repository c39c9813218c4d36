"""Types and expressions of Rust, and the calls in them.

Macro calls are read token by token: chains of names, paths and calls in their arguments leave records. Left out: what
operators call, what macros expand to. Smart pointers (`Box<T>`, `Arc<T>`, …) are read as what they hold, since a method
call goes through them.
"""

from collections.abc import Callable

from tree_sitter import Node

from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Call, Expr

Convert = Callable[[Recorder, Node], Expr]

SELF: Expr = ("self",)
SELF_TYPE: Expr = ("selftype",)
UNIT: Expr = ("literal", "()")
STRING: Expr = ("literal", "String")
STR: Expr = ("literal", "&str")  # `str` alone is a type of Python
BOOL: Expr = ("literal", "bool")
POINTERS = frozenset(
    {"Box", "Rc", "Arc", "Pin", "Ref", "RefMut", "MutexGuard", "RwLockReadGuard", "RwLockWriteGuard", "Cow"}
)
POINTER_MAKERS = frozenset({"new", "pin", "clone", "from", "new_cyclic"})
WRAPPERS = {"Some": "Option", "Ok": "Result"}
FORMATS = frozenset({"format", "concat", "stringify"})
# Methods of iterators, options and results whose closure takes an element first.
ELEMENT_CLOSURES = frozenset(
    {
        "map",
        "filter",
        "for_each",
        "any",
        "all",
        "find",
        "position",
        "filter_map",
        "flat_map",
        "inspect",
        "and_then",
        "is_some_and",
        "skip_while",
        "take_while",
        "partition",
        "max_by_key",
        "min_by_key",
        "find_map",
        "map_or",
        "map_or_else",
        "retain",
        "sort_by_key",
        "is_ok_and",
        "map_while",
    }
)
NO_EXPRESSION = frozenset(
    {"let_declaration", "expression_statement", "empty_statement", "line_comment", "block_comment", "attribute_item"}
)


# types


def type_expression(rec: Recorder, node: Node | None) -> Expr:
    """Return a type as written as a type expression."""
    return rec.convert(node, TYPES)


def _type_name(rec: Recorder, node: Node) -> Expr:
    name = rec.name(node)
    return SELF_TYPE if name == ("name", "Self") else name


def _literal_type(rec: Recorder, node: Node) -> Expr:
    name = rec.text(node)
    return STR if name == "str" else ("literal", name)


def _path_type(rec: Recorder, node: Node) -> Expr:
    name, path = node.child_by_field_name("name"), node.child_by_field_name("path")
    if name is None:
        return None
    if path is None:
        return ("attr", ("import", ""), rec.text(name))
    return ("attr", _path(rec, path), rec.text(name))


def _generic_type(rec: Recorder, node: Node) -> Expr:
    held, arguments = node.child_by_field_name("type"), node.child_by_field_name("type_arguments")
    base = type_expression(rec, held)
    args = tuple(
        type_expression(rec, child)
        for child in (arguments.children if arguments is not None else ())
        if child.is_named and child.type not in ("lifetime", "type_binding", "block", "line_comment", "block_comment")
    )
    if base is not None and base[-1] in POINTERS and args:
        return args[-1]
    return ("generic", base, args)


def _referenced_type(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node.child_by_field_name("type"))


def _array_type(rec: Recorder, node: Node) -> Expr:
    return ("generic", ("literal", "list"), (type_expression(rec, node.child_by_field_name("element")),))


def _tuple_type(rec: Recorder, node: Node) -> Expr:
    return (
        "generic",
        ("literal", "tuple"),
        tuple(type_expression(rec, child) for child in node.children if child.is_named),
    )


def _trait_type(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node.child_by_field_name("trait"))


def _bounds(rec: Recorder, node: Node) -> Expr:
    found = tuple(
        value
        for value in (type_expression(rec, child) for child in node.children if child.is_named)
        if value is not None
    )
    if not found:
        return None
    return found[0] if len(found) == 1 else ("any", found)


def _qualified_type(rec: Recorder, node: Node) -> Expr:
    """Return the trait of `<Type as Trait>`: what is named is the trait's, not what the type has itself."""
    return type_expression(rec, node.child_by_field_name("alias") or node.child_by_field_name("type"))


def _only_type(rec: Recorder, node: Node) -> Expr:
    return next((type_expression(rec, child) for child in node.children if child.is_named), None)


TYPES: dict[str, Convert] = {
    "type_identifier": _type_name,
    "identifier": _type_name,
    "primitive_type": _literal_type,
    "scoped_type_identifier": _path_type,
    "scoped_identifier": _path_type,
    "generic_type": _generic_type,
    "generic_type_with_turbofish": _generic_type,
    "reference_type": _referenced_type,
    "pointer_type": _referenced_type,
    "array_type": _array_type,
    "tuple_type": _tuple_type,
    "unit_type": lambda _rec, _node: UNIT,
    "abstract_type": _trait_type,
    "dynamic_type": _trait_type,
    "bounded_type": _bounds,
    "trait_bounds": _bounds,
    "higher_ranked_trait_bound": _referenced_type,
    "bracketed_type": _only_type,
    "qualified_type": _qualified_type,
}


# expressions


def expression(rec: Recorder, node: Node | None) -> Expr:
    """Return what an expression may be, recording the calls in it."""
    return rec.convert(node, CONVERT)


def _path(rec: Recorder, node: Node) -> Expr:
    """Return a path's part before `::`: a module, a type, or a name."""
    kind = node.type
    if kind == "identifier":
        return _type_name(rec, node)
    if kind in ("crate", "self", "super", "metavariable"):
        return ("import", module_text(rec, "crate" if kind == "metavariable" else kind))
    if kind == "scoped_identifier":
        path, name = node.child_by_field_name("path"), node.child_by_field_name("name")
        if path is not None and name is not None and name.type == "super":
            return ("import", module_text(rec, "".join(rec.text(node).split())))
        return _path_type(rec, node)
    value = type_expression(rec, node)
    return value[1] if value is not None and value[0] == "generic" else value


def module_text(rec: Recorder, path: str) -> str:
    """Return a module path with the inline modules around the current place before it."""
    around: list[str] = []
    scope = rec.scope
    while scope > 0:
        held = rec.scopes[scope]
        if held.kind == "module" and held.name:
            around.append(held.name)
        scope = held.parent
    return "::".join(reversed(around)) + ">" + path if around else path


def _scoped(rec: Recorder, node: Node) -> Expr:
    path, name = node.child_by_field_name("path"), node.child_by_field_name("name")
    if name is None:
        return None
    return ("attr", _path(rec, path) if path is not None else ("import", ""), rec.text(name))


def _field(rec: Recorder, node: Node) -> Expr:
    name = node.child_by_field_name("field")
    held = expression(rec, node.child_by_field_name("value"))
    if held is None or name is None:
        return None
    return _position(held, rec.text(name)) if name.type == "integer_literal" else ("attr", held, "." + rec.text(name))


def _position(held: Expr, digits: str) -> Expr:
    """Return the field of a tuple or of a tuple struct."""
    return ("any", (("attr", held, "." + digits), ("item", held, int(digits)))) if digits.isdecimal() else None


def _call(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    if index is None:
        index = record_call(rec, node)
    call = rec.calls[index]
    callee = call.callee
    if callee is not None and call.args:
        if callee[0] == "name" and callee[1] in WRAPPERS:
            return ("list", WRAPPERS[callee[1]], call.args[:1])
        if callee[0] == "attr" and callee[2] in POINTER_MAKERS and callee[1] and callee[1][-1] in POINTERS:
            return call.args[0]
    return ("call", index)


def record_call(rec: Recorder, node: Node) -> int:
    """Record a call, with those in its arguments, and return its index."""
    index = rec.reserve_call(node)
    function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if function is not None and function.type == "generic_function":
        function = function.child_by_field_name("function")
    callee: Expr = None
    given: Expr = None
    line = node.start_point[0] + 1
    if function is not None:
        if function.type == "field_expression":
            name = function.child_by_field_name("field")
            callee = ("attr", expression(rec, function.child_by_field_name("value")), rec.text(name) if name else "")
            given = ("each", callee[1]) if callee[1] is not None and callee[2] in ELEMENT_CLOSURES else None
        else:
            callee = expression(rec, function)
        line = function.end_point[0] + 1
    args: list[Expr] = []
    count = 0
    for child in arguments.children if arguments is not None else ():
        if child.is_named and child.type not in ("line_comment", "block_comment", "attribute_item"):
            if given is not None and child.type == "closure_expression":
                rec.pending[child.id] = given
            args.append(expression(rec, child))
            count += 1
    while args and args[-1] is None:
        args.pop()
    rec.set_call(index, Call(rec.scope, callee, tuple(args), (), count, line, node.start_byte))
    return index


def _inner(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[0])
    return None if held is None else ("inner", held)


def _first(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[0])


def _last(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[-1])


def _wrapped(rec: Recorder, node: Node) -> Expr:
    return next((expression(rec, child) for child in node.children if child.is_named), None)


def _unary(rec: Recorder, node: Node) -> Expr:
    """Return what `*x` is: the same type behind a reference; `**x` may be what a type dereferences to."""
    held = node.children[-1]
    return expression(rec, held) if node.children[0].type == "*" and held.type != "unary_expression" else None


def _index(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[0])
    key = node.children[2] if len(node.children) > 2 else None  # noqa: PLR2004 - holder, bracket, key
    if held is None or (key is not None and key.type == "range_expression"):
        return held
    return ("item", held, None)


def _struct(rec: Recorder, node: Node) -> Expr:
    name = node.child_by_field_name("name")
    if name is None:
        return None
    return ("typed", variant_holder(rec, name) or type_expression(rec, name))


def variant_holder(rec: Recorder, name: Node) -> Expr:
    """Return the enum of a path `Enum::Variant`, None where the path names no variant by its look."""
    if name.type not in ("scoped_type_identifier", "scoped_identifier"):
        return None
    path = name.child_by_field_name("path")
    if path is None:
        return None
    last = path if path.type in ("identifier", "type_identifier") else path.child_by_field_name("name") or path
    return _path(rec, path) if rec.text(last)[:1].isupper() else None


def _cast(rec: Recorder, node: Node) -> Expr:
    return ("typed", type_expression(rec, node.child_by_field_name("type")))


def _array(rec: Recorder, node: Node) -> Expr:
    members = tuple(expression(rec, child) for child in node.children[:64] if child.is_named)
    return ("list", "list", members if any(members) else ())


def _tuple(rec: Recorder, node: Node) -> Expr:
    return ("list", "tuple", tuple(expression(rec, child) for child in node.children if child.is_named))


def _closure(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node, "function"))


def _if(rec: Recorder, node: Node) -> Expr:
    condition = node.child_by_field_name("condition")
    binds = condition is not None and condition.type in ("let_condition", "let_chain")
    with rec.inside(rec.reserve(node, "block") if binds else rec.scope):
        found = (block_value(rec, node.child_by_field_name("consequence")), _alternative(rec, node))
    return ("any", found) if any(found) else None


def _alternative(rec: Recorder, node: Node) -> Expr:
    alternative = node.child_by_field_name("alternative")
    return None if alternative is None else block_value(rec, alternative.children[-1])


def block_value(rec: Recorder, block: Node | None) -> Expr:
    """Return the value of a block by its last expression, where that needs no name of the block."""
    if block is None or block.type != "block":
        return expression(rec, block) if block is not None else None
    named = [child for child in block.children if child.is_named]
    if len(named) != 1 or named[0].type in NO_EXPRESSION:
        return None
    with rec.inside(rec.reserve(block, "block")):
        value = expression(rec, named[0])
        return None if value is None else ("in", rec.scope, value)


def _match(rec: Recorder, node: Node) -> Expr:
    body = node.child_by_field_name("body")
    found: list[Expr] = []
    for arm in body.children if body is not None else ():
        if arm.type != "match_arm":
            continue
        value = arm.child_by_field_name("value")
        if value is None or value.type in ("block", "macro_invocation", "return_expression", "continue_expression"):
            continue
        with rec.inside(rec.reserve(arm, "block")):
            held = expression(rec, value)
            if held is not None:
                found.append(("in", rec.scope, held))
    return ("any", tuple(found[:8])) if found else None


def _macro(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    if index is None:
        index = record_macro(rec, node)
    call = rec.calls[index]
    name = call.callee[-1] if call.callee else ""
    if name == "vec!":
        return ("list", "list", call.args)
    if name in ("dbg!", "black_box!") and call.args:
        return call.args[0]
    if name == "try!" and call.args:
        return ("inner", call.args[0])
    return STRING if name[:-1] in FORMATS else ("call", index)


def record_macro(rec: Recorder, node: Node) -> int:
    """Record a macro call, with the calls among its tokens, and return its index."""
    index = rec.reserve_call(node)
    macro = node.child_by_field_name("macro")
    tree = node.children[-1]
    callee: Expr = None
    if macro is not None:
        callee = ("name", rec.text(macro) + "!")
        if macro.type == "scoped_identifier":
            path, name = macro.child_by_field_name("path"), macro.child_by_field_name("name")
            callee = ("attr", _path(rec, path) if path else None, (rec.text(name) if name else "") + "!")
    line = (macro or node).end_point[0] + 1
    args = tuple(_tokens(rec, tree)) if tree.type == "token_tree" else ()
    rec.set_call(index, Call(rec.scope, callee, args, (), -1, line, node.start_byte, "macro"))
    return index


def _tokens(rec: Recorder, tree: Node) -> list[Expr]:  # noqa: C901, PLR0912 - a small parser, one token a branch
    """Return the values between the commas of a token tree, recording the calls in it.

    A value is known where a chain of names, fields and calls is all there is between two commas.
    """
    if rec.depth >= MAX_EXPRESSION_DEPTH:
        return []
    rec.depth += 1
    values: list[Expr] = []
    value: Expr = None
    chain = alone = True  # the next name continues `value`; nothing else stood before it since the last comma
    before = ""
    tokens = tree.children[1:-1]
    position = 0
    while position < len(tokens):
        token = tokens[position]
        kind = token.type
        position += 1
        if kind in (",", ";"):
            values.append(value if alone else None)
            value, alone = None, True
        elif kind in ("identifier", "self", "super", "crate", "primitive_type", "metavariable"):
            if before in (".", "::"):
                mark = "." if before == "." and not _is_called(rec, tokens, position) else ""
                if mark + rec.text(token) != ".await":
                    value = ("attr", value, mark + rec.text(token)) if value is not None or before == "." else None
            else:
                alone = alone and value is None and before != "identifier"
                value = _first_token(rec, token, tokens[position].type if position < len(tokens) else "")
                if before in ("fn", "struct", "let", "|"):
                    value = None
            chain = before != "fn"
            kind = "self" if kind == "self" else "identifier"
        elif kind == "token_tree":
            value = _token_group(rec, token, value, before, tokens[position - 2] if position > 1 else None, chain=chain)
            kind = "group"
        elif kind == "!" and before in ("identifier", "."):
            pass
        elif kind == "::" and position < len(tokens) and tokens[position].type == "<":
            position = _after_generics(tokens, position)
            kind = "identifier"
        elif kind == "?":
            value = ("inner", value) if value is not None else None
        elif kind == "integer_literal" and before == ".":
            value = _position(value, rec.text(token)) if value is not None else None
        elif kind == "string_literal":
            value = STRING
        elif kind not in (".", "::", "&", "*", "mut", "mutable_specifier"):
            value, alone = None, False
        before = kind
    values.append(value if alone else None)
    rec.depth -= 1
    while values and values[-1] is None:
        values.pop()
    return values


def _is_called(rec: Recorder, tokens: list[Node], position: int) -> bool:
    """Tell whether arguments or a turbofish stand at `position`."""
    if position >= len(tokens):
        return False
    token = tokens[position]
    return token.type == "::" or (
        token.type == "token_tree" and rec.source[token.start_byte : token.start_byte + 1] == b"("
    )


def _first_token(rec: Recorder, token: Node, following: str) -> Expr:
    if token.type in ("super", "crate", "metavariable"):
        return ("import", module_text(rec, "crate" if token.type == "metavariable" else token.type))
    if token.type == "self":
        return ("import", module_text(rec, "self")) if following == "::" else SELF
    return _type_name(rec, token)


def _token_group(  # noqa: PLR0913 - the state of a small parser
    rec: Recorder, group: Node, value: Expr, before: str, name: Node | None, *, chain: bool
) -> Expr:
    opener = rec.source[group.start_byte : group.start_byte + 1]
    if before == "!" and value is not None and chain:
        index = rec.reserve_call(group)
        callee = (*value[:-1], f"{value[-1]}!") if value[0] in ("name", "attr") else None
        line = group.start_point[0] + 1
        args = tuple(_tokens(rec, group))
        rec.set_call(index, Call(rec.scope, callee, args, (), -1, line, group.start_byte, "macro"))
        return STRING if callee is not None and callee[-1][:-1] in FORMATS else ("list", "list", args)
    inner = _tokens(rec, group)
    if opener == b"(" and before == "identifier" and chain and value is not None and name is not None:
        index = rec.reserve_call(group)
        count = sum(child.type == "," for child in group.children[:-2]) + (len(group.children) > 2)  # noqa: PLR2004
        line = name.end_point[0] + 1
        rec.set_call(index, Call(rec.scope, value, tuple(inner), (), count, line, name.start_byte))
        return ("call", index)
    if opener == b"[" and before in ("identifier", "group", "self"):
        return ("item", value, None) if value is not None else None
    if opener == b"(" and before not in ("identifier", "group"):
        return inner[0] if len(inner) == 1 else ("list", "tuple", tuple(inner))
    return None


def _after_generics(tokens: list[Node], position: int) -> int:
    """Return the position after a turbofish that begins at `position`."""
    depth = 0
    while position < len(tokens):
        kind = tokens[position].type
        depth += (kind == "<") - (kind == ">") - 2 * (kind == ">>")
        position += 1
        if depth <= 0:
            break
    return position


CONVERT: dict[str, Convert] = {
    "identifier": _type_name,
    "self": lambda _rec, _node: SELF,
    "scoped_identifier": _scoped,
    "field_expression": _field,
    "call_expression": _call,
    "macro_invocation": _macro,
    "generic_function": lambda rec, node: expression(rec, node.child_by_field_name("function")),
    "try_expression": _inner,
    "await_expression": _first,
    "reference_expression": lambda rec, node: expression(rec, node.child_by_field_name("value")),
    "parenthesized_expression": _wrapped,
    "unary_expression": _unary,
    "index_expression": _index,
    "struct_expression": _struct,
    "type_cast_expression": _cast,
    "array_expression": _array,
    "tuple_expression": _tuple,
    "closure_expression": _closure,
    "if_expression": _if,
    "match_expression": _match,
    "block": block_value,
    "unsafe_block": _last,
    "string_literal": lambda _rec, _node: STR,
    "raw_string_literal": lambda _rec, _node: STR,
    "integer_literal": lambda _rec, _node: ("literal", "i32"),
    "float_literal": lambda _rec, _node: ("literal", "f64"),
    "boolean_literal": lambda _rec, _node: BOOL,
    "char_literal": lambda _rec, _node: ("literal", "char"),
    "binary_expression": lambda _rec, _node: None,
    "unit_expression": lambda _rec, _node: UNIT,
}
