"""Records of Rust: definitions, impl blocks, scopes and values.

Macro calls are read token by token: chains of names, paths and calls in their arguments leave records. Left out: what
operators call, what macros expand to, items that stand inside macro calls, enum variants and fields as symbols.
Smart pointers (`Box<T>`, `Arc<T>`, …) are read as what they hold, since a method call goes through them.
Fields have names of their own beside methods: they are bound as `.name`, those of a variant as `Variant.name`.
A module path inside of inline modules is written `outer::inner>path` (see `graph/modules_rust.py`).
"""

from collections.abc import Callable

from tree_sitter import Node

from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Binding, Call, Decorator, Expr, Import, Inherits, Parameter, Return

Convert = Callable[[Recorder, Node], Expr]

DOCS, ATTRIBUTES = -1, -2  # keys of Recorder.pending: comments and attributes that wait for their definition
GENERICS = -16  # minus a scope: the type parameters of an impl block or trait

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
        return ("import", _module_text(rec, "crate" if kind == "metavariable" else kind))
    if kind == "scoped_identifier":
        path, name = node.child_by_field_name("path"), node.child_by_field_name("name")
        if path is not None and name is not None and name.type == "super":
            return ("import", _module_text(rec, "".join(rec.text(node).split())))
        return _path_type(rec, node)
    value = type_expression(rec, node)
    return value[1] if value is not None and value[0] == "generic" else value


def _module_text(rec: Recorder, path: str) -> str:
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
        index = _record_call(rec, node)
    call = rec.calls[index]
    callee = call.callee
    if callee is not None and call.args:
        if callee[0] == "name" and callee[1] in WRAPPERS:
            return ("list", WRAPPERS[callee[1]], call.args[:1])
        if callee[0] == "attr" and callee[2] in POINTER_MAKERS and callee[1] and callee[1][-1] in POINTERS:
            return call.args[0]
    return ("call", index)


def _record_call(rec: Recorder, node: Node) -> int:
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
    return ("typed", _variant_holder(rec, name) or type_expression(rec, name))


def _variant_holder(rec: Recorder, name: Node) -> Expr:
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
        found = (_tail(rec, node.child_by_field_name("consequence")), _alternative(rec, node))
    return ("any", found) if any(found) else None


def _alternative(rec: Recorder, node: Node) -> Expr:
    alternative = node.child_by_field_name("alternative")
    return None if alternative is None else _tail(rec, alternative.children[-1])


def _tail(rec: Recorder, block: Node | None) -> Expr:
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
        index = _record_macro(rec, node)
    call = rec.calls[index]
    name = call.callee[-1] if call.callee else ""
    if name == "vec!":
        return ("list", "list", call.args)
    if name in ("dbg!", "black_box!") and call.args:
        return call.args[0]
    if name == "try!" and call.args:
        return ("inner", call.args[0])
    return STRING if name[:-1] in FORMATS else ("call", index)


def _record_macro(rec: Recorder, node: Node) -> int:
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
        return ("import", _module_text(rec, "crate" if token.type == "metavariable" else token.type))
    if token.type == "self":
        return ("import", _module_text(rec, "self")) if following == "::" else SELF
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
    "block": _tail,
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


# patterns


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
        enum = _variant_holder(rec, head)
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
    enum = _variant_holder(rec, head)
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


# comments and attributes


def doc(rec: Recorder, node: Node) -> None:
    """Keep a doc comment for the definition after it; an inner one is the module's."""
    if any(child.type == "inner_doc_comment_marker" for child in node.children):
        owner = rec.owner_symbol()
        text = _doc_line(rec, node)
        if owner < 0:
            rec.docstring = text if rec.docstring is None else f"{rec.docstring}\n{text}"
        else:
            around = rec.symbols[owner]
            rec.symbols[owner] = around._replace(
                docstring=text if around.docstring is None else f"{around.docstring}\n{text}"
            )
    else:
        rec.pending.setdefault(DOCS, []).append(node)


def attribute(rec: Recorder, node: Node) -> None:
    """Keep an attribute for the definition after it."""
    if node.type == "attribute_item":
        rec.pending.setdefault(ATTRIBUTES, []).append(node)


def _doc_line(rec: Recorder, node: Node) -> str:
    text = rec.text(node).rstrip("\n")
    if node.type == "line_comment":
        return text[4:] if text[3:4] == " " else text[3:]
    lines = [line.strip() for line in text[3:].removesuffix("*/").split("\n")]
    return "\n".join(line[1:].strip() if line.startswith("*") else line for line in lines).strip("\n")


def _before(rec: Recorder, node: Node) -> tuple[str | None, tuple[Decorator, ...], Node | None]:
    """Return the doc comment and the attributes that stand before a definition, and the first node of them."""
    docs: list[Node] = rec.pending.pop(DOCS, [])
    attributes: list[Node] = rec.pending.pop(ATTRIBUTES, [])
    if not docs and not attributes:
        return None, (), None
    near: list[Node] = []
    start = node.start_byte
    for part in sorted(docs + attributes, key=lambda held: -held.start_byte):
        gap = rec.source[part.end_byte : start]
        if gap.strip() and not gap.lstrip().startswith((b"//", b"/*")):
            break
        near.append(part)
        start = part.start_byte
    near.reverse()
    lines = [_doc_line(rec, part) for part in near if part.type != "attribute_item"]
    decorators = tuple(
        Decorator(rec.folded(part.start_byte, part.end_byte)[2:-1].strip(), None)
        for part in near
        if part.type == "attribute_item"
    )
    first = next((part for part in near if part.type == "attribute_item"), None)
    return "\n".join(lines).strip() or None, decorators, first


def _is_test(rec: Recorder, decorators: tuple[Decorator, ...]) -> bool:
    parent = rec.owner_symbol()
    if rec.is_test_file or (parent >= 0 and rec.symbols[parent].is_test):
        return True
    return any(
        held.text.partition("(")[0].rpartition("::")[2].strip() in ("test", "bench") or held.text.startswith("cfg(test")
        for held in decorators
    )


def _exported(node: Node) -> bool:
    first = node.children[0] if node.children else None
    return first is not None and first.type == "visibility_modifier" and first.end_byte - first.start_byte == len("pub")


# definitions


def function(rec: Recorder, node: Node) -> None:
    """Record a function, an associated function or a method."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    holder = rec.scopes[rec.scope]
    member = holder.kind == "class"
    parameters = node.child_by_field_name("parameters")
    flags: list[str] = []
    if member and not _has_receiver(parameters):
        flags.append("static")
    if member and body is None:
        flags.append("abstract")
    if any(child.type == "function_modifiers" and "async" in rec.text(child) for child in node.children[:3]):
        flags.append("async")
    implements = member and holder.symbol < 0 and rec.pending.get(GENERICS - rec.scope, (False,))[0]
    if implements:
        flags.append("implements")
    trait_like = member and (holder.symbol >= 0 or rec.pending.get(GENERICS - rec.scope, (False,))[0])
    index = rec.define(
        node, name, "method" if member else "function",
        signature=rec.folded(node.start_byte, body.start_byte if body is not None else node.end_byte).rstrip("; "),
        docstring=docstring, body=body, scope_kind="function", decorators=decorators,
        exported=_member_exported(rec, holder.symbol) if trait_like else _exported(node),
        is_test=_is_test(rec, decorators), returns=type_expression(rec, node.child_by_field_name("return_type")),
        owner=holder.owner if member else None, owner_name=_owner_name(rec, holder.name) if member else None,
        flags=tuple(flags),
    )  # fmt: skip
    _extend(rec, index, first)
    outside = rec.scope
    if not member or holder.symbol >= 0:
        rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=outside)
    scope = rec.open_scope(body or node, "function", symbol=index)
    if body is not None:
        rec.transparent.add(body.id)
    if member:
        for type_name, bound in rec.pending.get(GENERICS - outside, (False,))[1:]:
            rec.bindings.append(Binding(scope, type_name, bound, node.start_byte, scope, "type"))
    _bind_generics(rec, node, scope)
    _parameters(rec, scope, parameters)


def _extend(rec: Recorder, index: int, first: Node | None) -> None:
    """Let a symbol begin at its first attribute."""
    if first is not None:
        held = rec.symbols[index]
        rec.symbols[index] = held._replace(start_byte=first.start_byte, start_line=first.start_point[0] + 1)


def _has_receiver(parameters: Node | None) -> bool:
    for child in parameters.children if parameters is not None else ():
        if child.type == "self_parameter":
            return True
        if child.type == "parameter":
            pattern = child.child_by_field_name("pattern")
            return pattern is not None and pattern.type == "self"
    return False


def _member_exported(rec: Recorder, symbol: int) -> bool:
    return symbol < 0 or rec.symbols[symbol].exported


def _owner_name(rec: Recorder, name: str | None) -> str | None:
    parent = rec.owner_symbol()
    if name is None:
        return None
    return f"{rec.symbols[parent].qualified_name}.{name}" if parent >= 0 else name


def _parameters(rec: Recorder, scope: int, parameters: Node | None, given: Expr = None) -> None:
    """Record the parameters of a function or closure; `given` is what a closure's first one gets from its caller."""
    for position, child in enumerate(
        held
        for held in (parameters.children if parameters is not None else ())
        if held.is_named and held.type not in ("attribute_item", "line_comment", "block_comment", "self_parameter")
    ):
        pattern, declared = child, None
        if child.type == "parameter":
            pattern = child.child_by_field_name("pattern") or child
            declared = type_expression(rec, child.child_by_field_name("type"))
        while pattern.type in ("mut_pattern", "ref_pattern", "reference_pattern") and pattern.children:
            pattern = pattern.children[-1]
        if pattern.type == "self":
            continue
        value = given if position == 0 else None
        if pattern.type == "identifier":
            rec.parameters.append(Parameter(scope, rec.text(pattern), declared, value))
        else:
            stand_in = f"#{position}"
            rec.parameters.append(Parameter(scope, stand_in, declared, value))
            bind_pattern(rec, pattern, ("name", stand_in), child.start_byte, scope)


def _type_parameters(rec: Recorder, node: Node) -> list[tuple[str, Expr]]:
    """Return the type parameters of an item, each with the traits that bound it."""
    parameters = node.child_by_field_name("type_parameters")
    if parameters is None:
        return []
    bounds: dict[str, list[Expr]] = {}
    for child in parameters.children:
        if child.type in ("type_parameter", "constrained_type_parameter", "optional_type_parameter"):
            name = child.child_by_field_name("name") or child.children[0]
            bounds.setdefault(rec.text(name), []).append(type_expression(rec, child.child_by_field_name("bounds")))
    for clause in node.children:
        for predicate in clause.children if clause.type == "where_clause" else ():
            left = predicate.child_by_field_name("left")
            if left is not None and rec.text(left) in bounds:
                bounds[rec.text(left)].append(type_expression(rec, predicate.child_by_field_name("bounds")))
    return [(name, _one_of([held for held in found if held is not None])) for name, found in bounds.items()]


def _one_of(found: list[Expr]) -> Expr:
    if len(found) < 2:  # noqa: PLR2004 - one or none
        return found[0] if found else None
    return ("any", tuple(found))


def _bind_generics(rec: Recorder, node: Node, scope: int) -> list[tuple[str, Expr]]:
    found = _type_parameters(rec, node)
    for name, bound in found:
        rec.bindings.append(Binding(scope, name, bound, node.start_byte, scope, "type"))
    return found


def struct(rec: Recorder, node: Node) -> None:
    """Record a struct or union with its fields."""
    _type_definition(rec, node, "struct")


def enum(rec: Recorder, node: Node) -> None:
    """Record an enum; its variants make values of it, their fields are named `Variant.field`."""
    scope = _type_definition(rec, node, "enum")
    if scope is None:
        return
    body = node.child_by_field_name("body")
    for variant in body.children if body is not None else ():
        name_node = variant.child_by_field_name("name")
        if variant.type != "enum_variant" or name_node is None:
            continue
        name = rec.text(name_node)
        rec.bind(name, SELF_TYPE, variant.start_byte, scope=scope, kind="type")
        # TRAP: a variant often bears the name of the type that it holds, so that is looked up around the enum.
        with rec.inside(rec.scopes[scope].parent):
            _fields(rec, variant.child_by_field_name("body"), scope, name + ".")


def _type_definition(rec: Recorder, node: Node, kind: str) -> int | None:
    """Define a struct, enum or union and enter its scope."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return None
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    signature_end = body.start_byte if body is not None and kind == "enum" else node.end_byte
    if body is not None and body.type == "field_declaration_list":
        signature_end = body.start_byte
    index = rec.define(
        node, name, "enum" if kind == "enum" else "struct",
        signature=rec.folded(node.start_byte, signature_end).rstrip("; "), docstring=docstring, scope_kind="class",
        decorators=decorators, exported=_exported(node), is_test=_is_test(rec, decorators),
    )  # fmt: skip
    _extend(rec, index, first)
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(node, "class", symbol=index)
    _bind_generics(rec, node, scope)
    if kind != "enum":
        _fields(rec, body, scope, ".")
    return scope


def _fields(rec: Recorder, body: Node | None, scope: int, prefix: str) -> None:
    position = 0
    for child in body.children if body is not None else ():
        if child.type == "field_declaration":
            name = child.child_by_field_name("name")
            if name is not None:
                declared = ("typed", type_expression(rec, child.child_by_field_name("type")))
                rec.bind(prefix + rec.text(name), declared, child.start_byte, scope=scope, kind="declared")
        elif (
            body is not None
            and body.type == "ordered_field_declaration_list"
            and child.is_named
            and child.type not in ("visibility_modifier", "attribute_item", "line_comment", "block_comment")
        ):
            declared = ("typed", type_expression(rec, child))
            rec.bind(f"{prefix}{position}", declared, child.start_byte, scope=scope, kind="declared")
            position += 1


def trait(rec: Recorder, node: Node) -> None:
    """Record a trait with its supertraits."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    bounds = node.child_by_field_name("bounds")
    written = [child for child in bounds.children if child.is_named and child.type != "lifetime"] if bounds else []
    index = rec.define(
        node, name, "trait", signature=rec.folded(node.start_byte, body.start_byte if body else node.end_byte),
        docstring=docstring, scope_kind="class", decorators=decorators, exported=_exported(node),
        is_test=_is_test(rec, decorators), bases=tuple(type_expression(rec, child) for child in written),
        base_names=tuple(rec.text(child) for child in written),
    )  # fmt: skip
    _extend(rec, index, first)
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope)
    scope = rec.open_scope(node, "class", symbol=index)
    rec.pending[GENERICS - scope] = (True, *_bind_generics(rec, node, scope))


def impl(rec: Recorder, node: Node) -> None:
    """Enter an impl block: its functions belong to the type, which inherits from the trait."""
    _before(rec, node)
    type_node, trait_node = node.child_by_field_name("type"), node.child_by_field_name("trait")
    generics = _type_parameters(rec, node)
    owner = type_expression(rec, type_node)
    if owner is not None and owner[0] == "generic":
        owner = owner[1]
    name = _last_name(rec, type_node)
    if owner is not None and owner[0] == "name" and any(owner[1] == generic for generic, _ in generics):
        owner = None  # a blanket implementation belongs to no type
    scope = rec.open_scope(node, "class", name=name, owner=owner)
    for generic, bound in generics:
        rec.bindings.append(Binding(scope, generic, bound, node.start_byte, scope, "type"))
    rec.pending[GENERICS - scope] = (trait_node is not None, *generics)
    base = type_expression(rec, trait_node)
    if base is not None and owner is not None:
        rec.inherits.append(Inherits(rec.scope, owner, base, node.start_point[0] + 1))


def _last_name(rec: Recorder, node: Node | None) -> str:
    """Return the name of a type without its path, arguments and references."""
    while node is not None:
        if node.type in ("type_identifier", "primitive_type", "identifier"):
            return rec.text(node)
        if node.type in ("scoped_type_identifier", "scoped_identifier"):
            node = node.child_by_field_name("name")
        elif node.type == "array_type":
            node = node.child_by_field_name("element")
        else:
            below = node.child_by_field_name("type") or node.child_by_field_name("trait")
            node = below or next((child for child in node.children if child.is_named), None)
    return "impl"


def mod(rec: Recorder, node: Node) -> None:
    """Enter an inline module; record `mod name;` as an import of the module's file."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    if body is None:
        path = next((held.text.partition("=")[2].strip() for held in decorators if held.text.startswith("path")), "")
        module = f'"{path[1:-1]}"' if path else _module_text(rec, f"self::{name}")
        rec.imports.append(Import(rec.scope, name, module, None, node.start_point[0] + 1, node.start_byte))
        return
    index = rec.define(
        node, name, "module", signature=rec.folded(node.start_byte, body.start_byte), docstring=docstring,
        scope_kind="module", decorators=decorators, exported=_exported(node), is_test=_is_test(rec, decorators),
    )  # fmt: skip
    _extend(rec, index, first)
    scope = rec.symbols[index].scope
    rec.scopes[scope] = rec.scopes[scope]._replace(name=name)
    rec.bind(name, ("import", _module_text(rec, f"self::{name}")), node.start_byte, scope=rec.scope)
    rec.open_scope(node, "module", symbol=index, name=name)


def macro_definition(rec: Recorder, node: Node) -> None:
    """Record `macro_rules!`; the name is bound with its `!`, since macros have names of their own."""
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    index = rec.define(
        node, name, "macro", signature=f"macro_rules! {name}", docstring=docstring, scope_kind="function",
        decorators=decorators, exported=any(held.text.startswith("macro_export") for held in decorators),
        is_test=_is_test(rec, decorators),
    )  # fmt: skip
    _extend(rec, index, first)
    # A macro is seen after its module too: it is bound in the file unless it stands in a function.
    inside = rec.scopes[rec.scope].kind in ("function", "block")
    rec.bind(name + "!", ("function", rec.symbols[index].scope), node.start_byte, scope=rec.scope if inside else 0)
    rec.open_scope(node, "function", symbol=index)


def type_(rec: Recorder, node: Node) -> None:
    """Record a type alias or an associated type."""
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    target = node.child_by_field_name("type") or node.child_by_field_name("bounds")
    holder = rec.scopes[rec.scope]
    member = holder.kind == "class" and holder.symbol < 0
    index = rec.define(
        node, name, "type", signature=rec.folded(node.start_byte, node.end_byte).rstrip(";"), docstring=docstring,
        decorators=decorators, exported=_exported(node) or member, is_test=_is_test(rec, decorators),
        owner=holder.owner if member else None, owner_name=_owner_name(rec, holder.name) if member else None,
    )  # fmt: skip
    _extend(rec, index, first)
    value = type_expression(rec, target)
    if value is not None and value[0] == "generic" and node.child_by_field_name("type_parameters") is not None:
        # `type Result<T> = std::result::Result<T, Error>`: the arguments are those of its uses.
        value = value[1] if value[1] != ("name", name) else None
    rec.bind(name, value, node.start_byte, scope=rec.scope, kind="type")


def constant(rec: Recorder, node: Node) -> None:
    """Record a constant or static."""
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return
    docstring, decorators, first = _before(rec, node)
    name = rec.text(name_node)
    declared = type_expression(rec, node.child_by_field_name("type"))
    value = node.child_by_field_name("value")
    holder = rec.scopes[rec.scope]
    member = holder.kind == "class"
    if name != "_":
        index = rec.define(
            node, name, "constant", docstring=docstring, decorators=decorators, is_test=_is_test(rec, decorators),
            signature=rec.folded(node.start_byte, min(value.start_byte if value else node.end_byte, node.end_byte))
            .rstrip("=; "),
            exported=_exported(node) or member, owner=holder.owner if member else None,
            owner_name=_owner_name(rec, holder.name) if member else None,
        )  # fmt: skip
        _extend(rec, index, first)
    rec.bind(name, ("typed", declared), node.start_byte, scope=rec.scope, kind="declared")
    expression(rec, value)


# statements


def closure(rec: Recorder, node: Node) -> None:
    """Record a closure's parameters and what it returns."""
    scope = rec.open_scope(node, "function")
    body = node.child_by_field_name("body")
    _parameters(rec, scope, node.child_by_field_name("parameters"), rec.pending.get(node.id))
    if body is not None:
        value = _tail(rec, body) if body.type == "block" else expression(rec, body)
        rec.returns.append(Return(scope, value, node.start_byte))


def block(rec: Recorder, node: Node) -> None:
    """Enter a block; the body of a function has been entered with it."""
    if node.id not in rec.transparent:
        rec.open_scope(node, "block")


def match_arm(rec: Recorder, node: Node) -> None:
    """Bind what an arm's pattern matches within the arm."""
    scope = rec.open_scope(node, "block")
    pattern = node.child_by_field_name("pattern")
    matched = rec.pending.get(node.id)
    bind_pattern(rec, pattern, matched, pattern.end_byte if pattern else node.start_byte, scope)


def match(rec: Recorder, node: Node) -> None:
    """Tell the arms of a match what they match."""
    value = node.child_by_field_name("value")
    body = node.child_by_field_name("body")
    matched = expression(rec, value)
    for child in body.children if body is not None and matched is not None else ():
        if child.type == "match_arm":
            rec.pending[child.id] = matched


def condition(rec: Recorder, node: Node) -> None:
    """Bind what `if let` and `while let` match, in a scope around the whole statement."""
    held = node.child_by_field_name("condition")
    if held is None or held.type not in ("let_condition", "let_chain"):
        return
    scope = rec.open_scope(node, "block")
    for part in (held,) if held.type == "let_condition" else held.children:
        if part.type == "let_condition":
            value = expression(rec, part.child_by_field_name("value"))
            bind_pattern(rec, part.child_by_field_name("pattern"), value, part.end_byte, scope)


def for_(rec: Recorder, node: Node) -> None:
    """Bind a loop's pattern to the elements of what it runs over."""
    value, body = expression(rec, node.child_by_field_name("value")), node.child_by_field_name("body")
    scope = rec.open_scope(node, "block")
    at = body.start_byte if body is not None else node.start_byte
    bind_pattern(rec, node.child_by_field_name("pattern"), None if value is None else ("each", value), at, scope)


def let(rec: Recorder, node: Node) -> None:
    """Bind the pattern of `let`; the name holds behind the statement."""
    pattern = node.child_by_field_name("pattern")
    declared = type_expression(rec, node.child_by_field_name("type"))
    value = expression(rec, node.child_by_field_name("value"))
    if declared is not None and not _has_placeholder(declared):
        value = ("typed", declared)
    bind_pattern(rec, pattern, value, node.end_byte, rec.scope)


def _has_placeholder(declared: Expr) -> bool:
    return declared is not None and declared[0] == "generic" and (None in declared[2] or ("name", "_") in declared[2])


def call(rec: Recorder, node: Node) -> None:
    """Record a call that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_call(rec, node)


def macro(rec: Recorder, node: Node) -> None:
    """Record a macro call that no expression has recorded before."""
    if rec.known_call(node) is None:
        _record_macro(rec, node)


# paths


def use(rec: Recorder, node: Node) -> None:
    """Record the names of a `use` tree."""
    _before(rec, node)
    argument = node.child_by_field_name("argument")
    todo: list[tuple[Node, str]] = [(argument, "")] if argument is not None else []
    at, line = node.start_byte, node.start_point[0] + 1
    while todo:
        part, prefix = todo.pop()
        kind = part.type
        if kind == "scoped_use_list":
            path, held = part.child_by_field_name("path"), part.child_by_field_name("list")
            if held is not None:
                todo.append((held, _joined(prefix, rec.text(path) if path is not None else "::")))
        elif kind == "use_list":
            todo += [(child, prefix) for child in part.children if child.is_named]
        elif kind == "use_wildcard":
            path = next((child for child in part.children if child.is_named), None)
            module = _joined(prefix, rec.text(path)) if path is not None else prefix
            rec.imports.append(Import(rec.scope, "*", _module_text(rec, module), "*", part.start_point[0] + 1, at))
        elif kind in ("use_as_clause", "identifier", "scoped_identifier", "self", "crate"):
            _use_name(rec, part, prefix, at, line)


def _use_name(rec: Recorder, part: Node, prefix: str, at: int, line: int) -> None:
    alias = part.child_by_field_name("alias") if part.type == "use_as_clause" else None
    written = part.child_by_field_name("path") if part.type == "use_as_clause" else part
    path = _joined(prefix, "".join(rec.text(written).split())) if written is not None else prefix
    path = path.removesuffix("::self")
    module, _, member = path.rpartition("::")
    name = rec.text(alias) if alias is not None else member
    if not member or name == "_":
        return
    line = part.start_point[0] + 1 if prefix else line
    if member in ("crate", "self", "super"):
        rec.imports.append(Import(rec.scope, name, _module_text(rec, path), None, line, at))
    elif module or path.startswith("::"):
        rec.imports.append(Import(rec.scope, name, _module_text(rec, module or "::"), member, line, at))
    else:
        rec.imports.append(Import(rec.scope, name, _module_text(rec, member), None, line, at))


def _joined(prefix: str, path: str) -> str:
    path = "".join(path.split())
    return path if not prefix else f"{prefix.removesuffix('::')}::{path}"


def extern_crate(rec: Recorder, node: Node) -> None:
    """Record `extern crate name as alias`."""
    _before(rec, node)
    name, alias = node.child_by_field_name("name"), node.child_by_field_name("alias")
    if name is not None and rec.text(name) != "self":
        module = "::" + rec.text(name)
        line = node.start_point[0] + 1
        rec.imports.append(Import(rec.scope, rec.text(alias or name), module, None, line, node.start_byte))


HANDLERS: dict[str, Callable[[Recorder, Node], None]] = {
    "doc": doc,
    "attribute": attribute,
    "function": function,
    "struct": struct,
    "enum": enum,
    "trait": trait,
    "impl": impl,
    "mod": mod,
    "macro_definition": macro_definition,
    "type": type_,
    "constant": constant,
    "closure": closure,
    "block": block,
    "match": match,
    "match_arm": match_arm,
    "condition": condition,
    "for": for_,
    "let": let,
    "call": call,
    "macro": macro,
    "use": use,
    "extern_crate": extern_crate,
}
