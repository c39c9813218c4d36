"""Records of Python: definitions, scopes and values.

Left out: what operators and subscripts call (`__add__`, `__getitem__`), properties (their access is no call site),
`exec`, names made by `globals()` and `setattr`.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable

from tree_sitter import Node

from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Call, Decorator, Expr, Import, Parameter, Return, Store

STR, BYTES, INT, FLOAT, BOOL, NONE = (("literal", name) for name in ("str", "bytes", "int", "float", "bool", "None"))
STRING_STARTS = frozenset(b"\"'rRbBuUfF")
PUNCTUATION = frozenset({",", "(", ")", "comment"})
CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*\Z")
DECORATOR_FLAGS = {
    "staticmethod": "static",
    "classmethod": "classmethod",
    "property": "property",
    "cached_property": "property",
    "abstractmethod": "abstract",
    "abstractproperty": "property",
    "overload": "overload",
    "setter": "setter",
    "deleter": "setter",
}
Convert = Callable[[Recorder, Node], Expr]


# expressions


def expression(rec: Recorder, node: Node | None) -> Expr:
    """Return what an expression may be, recording the calls in it."""
    if node is None:
        return None
    kind = node.type
    if kind == "identifier":  # most of all expressions
        return rec.name(node)
    if rec.depth >= MAX_EXPRESSION_DEPTH:
        return None
    convert = CONVERT.get(kind)
    if convert is None:
        return LITERALS.get(kind)
    rec.depth += 1
    value = convert(rec, node)
    rec.depth -= 1
    return value


def _attribute(rec: Recorder, node: Node) -> Expr:
    children = node.children
    holder, name = children[0], children[-1]
    if name.type != "identifier":  # a syntax error is in between
        return None
    if rec.source.startswith(b"super(", holder.start_byte) and holder.type == "call":
        return ("attr", ("super",), rec.text(name))
    return ("attr", expression(rec, holder), rec.text(name))


def _call(rec: Recorder, node: Node) -> Expr:
    index = rec.call_numbers.get(node.id)
    return ("call", _record_call(rec, node) if index is None else index)


def _record_call(rec: Recorder, node: Node) -> int:
    index = rec.reserve_call(node)
    children = node.children
    function, arguments = children[0], children[-1]
    callee = expression(rec, function)
    if arguments.type == "argument_list":
        args, keywords, count = _arguments(rec, arguments)
        if callee is not None and callee[-1] == "cast" and args:  # its first argument is a type, often in a string
            args = (type_expression(rec, arguments.children[1]), *args[1:])
    else:  # f(x for x in y)
        args, keywords, count = (expression(rec, arguments),), (), 1
    # The line of the called name: an attribute's name is its last token.
    line = (function.end_point if callee is not None and callee[0] == "attr" else function.start_point)[0] + 1
    rec.calls[index] = Call(rec.scope, callee, args, keywords, count, line, node.start_byte)
    return index


def _arguments(rec: Recorder, node: Node) -> tuple[tuple[Expr, ...], tuple[tuple[str, Expr], ...], int]:
    """Return the values by position, those by keyword, and how many are written by position (-1: a spread)."""
    args: list[Expr] = []
    keywords: list[tuple[str, Expr]] = []
    count = 0
    for child in node.children:
        kind = child.type
        if kind in PUNCTUATION:
            continue
        if kind == "identifier":
            args.append(rec.name(child))
            count += count >= 0
        elif kind == "keyword_argument":
            parts = child.children
            value = expression(rec, parts[-1])
            if value is not None:
                keywords.append((rec.text(parts[0]), value))
        elif kind == "dictionary_splat":
            keywords.append(("**", expression(rec, child.children[-1])))
        elif kind == "list_splat":
            args.append(("each", expression(rec, child.children[-1])))
            count = -1
        else:
            args.append(expression(rec, child))
            count += count >= 0
    while args and args[-1] is None:
        args.pop()
    return tuple(args), tuple(keywords), count


def _subscript(rec: Recorder, node: Node) -> Expr:
    children = [child for child in node.children if child.is_named]
    held = expression(rec, children[0])
    if held is None:
        return None
    return ("item", held, _key(rec, children[1]) if len(children) == 2 else None)  # noqa: PLR2004 - holder and key


def _key(rec: Recorder, node: Node) -> str | int | None:
    if node.type == "string":
        return _string_text(rec, node)
    if node.type == "integer":
        digits = rec.text(node)
        return int(digits) if digits.isdecimal() and len(digits) < 10 else None  # noqa: PLR2004 - no index is longer
    if node.type == "unary_operator" and node.children[-1].type == "integer" and node.children[0].type == "-":
        key = _key(rec, node.children[-1])
        return -key if isinstance(key, int) else None
    return None


def _string_text(rec: Recorder, node: Node) -> str | None:
    """Return the text of a plain string as written, None for one with parts that are computed."""
    parts = node.children
    if len(parts) == 2:  # noqa: PLR2004 - the quotes alone
        return ""
    if len(parts) == 3 and parts[1].type == "string_content":  # noqa: PLR2004 - quotes and content
        return rec.text(parts[1])
    return None


def _string(rec: Recorder, node: Node) -> Expr:
    return BYTES if rec.source[node.start_byte] in b"bB" else STR


def _members(rec: Recorder, nodes: Iterable[Node]) -> tuple[Expr, ...]:
    members: list[Expr] = []
    for child in nodes:
        if not child.is_named or child.type == "comment":
            continue
        if len(members) >= 64:  # noqa: PLR2004 - longer literals are data
            break
        members.append(
            ("each", expression(rec, child.children[-1])) if child.type == "list_splat" else expression(rec, child)
        )
    return tuple(members) if any(members) else ()


def _sequence(kind: str) -> Convert:
    def convert(rec: Recorder, node: Node) -> Expr:
        return ("list", kind, _members(rec, node.children))

    return convert


def _dictionary(rec: Recorder, node: Node) -> Expr:
    entries: list[tuple[str | int | None, Expr]] = []
    for child in node.children:
        if child.type == "pair":
            parts = child.children
            value = expression(rec, parts[-1])
            if value is not None and len(entries) < 256:  # noqa: PLR2004 - larger literals are data
                entries.append((_key(rec, parts[0]), value))
        elif child.type == "dictionary_splat":
            entries.append(("...", expression(rec, child.children[-1])))
    return ("dict", "dict", tuple(entries))


def _comprehension(rec: Recorder, node: Node) -> Expr:
    scope = _comprehension_scope(rec, node)
    body = node.children[1] if len(node.children) > 1 else None
    if body is None:
        return None
    with rec.inside(scope):
        if node.type == "dictionary_comprehension":
            value = expression(rec, body.children[-1]) if body.type == "pair" else None
            made: Expr = ("dict", "dict", ((None, value),))
        else:
            kinds = {"list_comprehension": "list", "set_comprehension": "set"}
            made = ("list", kinds.get(node.type, "generator"), (expression(rec, body),))
    return ("in", scope, made)


def _comprehension_scope(rec: Recorder, node: Node) -> int:
    """Return the scope of a comprehension; bind its targets when it is made."""
    before = len(rec.scopes)
    scope = rec.reserve(node, "comprehension")
    if scope == before:
        for clause in node.children:
            if clause.type == "for_in_clause":
                source = clause.child_by_field_name("right")
                left = clause.child_by_field_name("left")
                with rec.inside(scope):
                    value: Expr = ("each", expression(rec, source))
                    if left is not None:
                        _bind_target(rec, left, value, node.start_byte, scope)
            elif clause.type == "if_clause":
                for name, narrowed in _narrowed(rec, clause.children[-1]):
                    rec.bind(name, narrowed, node.start_byte, scope=scope, kind="narrow")
    return scope


def _lambda(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node, "function"))


def _conditional(rec: Recorder, node: Node) -> Expr:
    parts = [child for child in node.children if child.is_named]
    if len(parts) != 3:  # noqa: PLR2004 - value, condition, other value
        return None
    return _any(expression(rec, parts[0]), expression(rec, parts[2]))


def _boolean(rec: Recorder, node: Node) -> Expr:
    parts = node.children
    left, right = expression(rec, parts[0]), expression(rec, parts[-1])
    return right if parts[1].type == "and" else _any(left, right)


def _any(left: Expr, right: Expr) -> Expr:
    if left is None or right is None:
        # One side is unknown: what is known of the other still helps, but it is not all.
        known = left or right
        return None if known is None else ("any", (known, None))
    return ("any", (left, right)) if left != right else left


def _binary(rec: Recorder, node: Node) -> Expr:
    if rec.source[node.start_byte] not in STRING_STARTS:
        return None
    left = node.child(0)
    return STR if left is not None and left.type == "string" else None


def _inner(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[-1])
    return None if held is None else ("inner", held)


def _last(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[-1])


def _parenthesized(rec: Recorder, node: Node) -> Expr:
    return expression(rec, next((c for c in node.children if c.is_named and c.type != "comment"), None))


LITERALS: dict[str, Expr] = {
    "concatenated_string": STR,
    "integer": INT,
    "float": FLOAT,
    "true": BOOL,
    "false": BOOL,
    "none": NONE,
    "comparison_operator": BOOL,
    "not_operator": BOOL,
}
CONVERT: dict[str, Convert] = {
    "identifier": Recorder.name,
    "attribute": _attribute,
    "call": _call,
    "subscript": _subscript,
    "string": _string,
    "list": _sequence("list"),
    "tuple": _sequence("tuple"),
    "expression_list": _sequence("tuple"),
    "set": _sequence("set"),
    "dictionary": _dictionary,
    "list_comprehension": _comprehension,
    "set_comprehension": _comprehension,
    "generator_expression": _comprehension,
    "dictionary_comprehension": _comprehension,
    "lambda": _lambda,
    "conditional_expression": _conditional,
    "boolean_operator": _boolean,
    "binary_operator": _binary,
    "parenthesized_expression": _parenthesized,
    "await": _inner,
    "named_expression": _last,
    "assignment": _last,
}


# types


def type_expression(rec: Recorder, node: Node | None) -> Expr:
    """Return an annotation as a type expression."""
    if node is None or rec.depth >= MAX_EXPRESSION_DEPTH:
        return None
    rec.depth += 1
    value = _type(rec, node)
    rec.depth -= 1
    return value


def _type(rec: Recorder, node: Node) -> Expr:  # noqa: PLR0911 - one form a line
    kind = node.type
    named = [child for child in node.children if child.is_named]
    if kind == "identifier":
        return rec.name(node)
    if kind in ("attribute", "member_type"):
        return expression(rec, node) if kind == "attribute" else _written_type(rec.text(node))
    if kind in ("type", "parenthesized_expression", "constrained_type") and named:
        return type_expression(rec, named[0])
    if kind == "string":
        return _written_type(_string_text(rec, node) or "")
    if kind == "none":
        return NONE
    if kind in ("subscript", "generic_type") and named:
        inner = named[1:]
        if kind == "generic_type" and inner:
            inner = [child for child in inner[0].children if child.is_named]
        return ("generic", type_expression(rec, named[0]), tuple(type_expression(rec, child) for child in inner))
    if kind in ("binary_operator", "union_type") and len(named) > 1:
        return ("any", (type_expression(rec, named[0]), type_expression(rec, named[-1])))
    if kind == "list":
        return ("list", "list", tuple(type_expression(rec, child) for child in named))
    return None


def _written_type(text: str) -> Expr:
    """Return the type of an annotation in a string."""
    if text.isidentifier():
        return ("name", text)
    try:
        return _from_ast(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _from_ast(node: ast.expr) -> Expr:  # noqa: PLR0911 - one form a case
    match node:
        case ast.Name(id=name):
            return ("name", name)
        case ast.Attribute(value=value, attr=name):
            return ("attr", _from_ast(value), name)
        case ast.Subscript(value=value, slice=ast.Tuple(elts=inner)):
            return ("generic", _from_ast(value), tuple(_from_ast(element) for element in inner))
        case ast.Subscript(value=value, slice=inner):
            return ("generic", _from_ast(value), (_from_ast(inner),))
        case ast.BinOp(left=left, right=right):
            return ("any", (_from_ast(left), _from_ast(right)))
        case ast.Constant(value=None):
            return NONE
        case ast.Constant(value=str(text)):
            return _written_type(text)
    return None


# definitions


def module(rec: Recorder, node: Node) -> None:
    """Take the module's docstring and `__all__`, which says what is exported."""
    rec.docstring = _docstring(rec, node)
    if b"__all__" in rec.source:
        names: list[str] = []
        for statement in node.children:
            if statement.type == "expression_statement" and rec.source.startswith(b"__all__", statement.start_byte):
                names += _all_names(rec, statement.children[0])
        rec.all_names = names or None


def _all_names(rec: Recorder, node: Node) -> list[str]:
    """Return the strings of `__all__ = […]`, `__all__ += […]` and sums of such lists."""
    found, todo = [], [node]
    while todo:
        part = todo.pop()
        if part.type == "string":
            text = _string_text(rec, part)
            if text:
                found.append(text)
        elif part.type in ("assignment", "augmented_assignment", "list", "tuple", "binary_operator"):
            todo += part.children
    return found[::-1]


def decorated(rec: Recorder, node: Node) -> None:
    """Keep decorators for the definition below them."""
    decorators = []
    for child in node.children:
        if child.type == "decorator":
            applied = next((c for c in child.children if c.is_named), None)
            if applied is None:
                continue
            text = rec.folded(applied.start_byte, applied.end_byte)
            value = expression(rec, applied)
            decorators.append(Decorator(text, value))
            if applied.type != "call":
                line = applied.end_point[0] + 1
                rec.calls.append(Call(rec.scope, value, (), (), 1, line, applied.start_byte, "decorator"))
    definition = node.child_by_field_name("definition")
    if definition is not None:
        rec.pending[definition.id] = tuple(decorators)


def function(rec: Recorder, node: Node) -> None:
    """Define a function or method, with its parameters."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    decorators = rec.pending.pop(node.id, ())
    name, flags = rec.text(name_node), _flags(decorators)
    in_class = rec.scopes[rec.names_scope()].kind == "class"
    if rec.source.startswith(b"async", node.start_byte):
        flags.append("async")
    if in_class and name == "__init__":
        flags.append("constructor")
    property_like = in_class and ("property" in flags or "setter" in flags)
    index = rec.define(
        node, name, "property" if property_like else "method" if in_class else "function",
        signature=_signature(rec, node, body),
        docstring=_docstring(rec, body), body=body, scope_kind="function", decorators=decorators,
        exported=_exported(rec, name), is_test=_is_test(rec, name),
        returns=type_expression(rec, node.child_by_field_name("return_type")), flags=tuple(flags),
    )  # fmt: skip
    scope = rec.symbols[index].scope
    rec.bind(name, ("function", scope), node.start_byte)
    receiver = in_class and "static" not in flags
    _parameters(rec, scope, node.child_by_field_name("parameters"), receiver=receiver)


def _signature(rec: Recorder, node: Node, body: Node) -> str:
    """Return a definition's head without its comments."""
    start, comments = node.start_byte, []
    if b"#" in rec.source[start : body.start_byte]:
        todo = [child for child in node.children if child.id != body.id]
        while todo:
            part = todo.pop()
            todo += part.children
            if part.type == "comment":
                comments.append(part)
    pieces = []
    for comment in sorted(comments, key=lambda node: node.start_byte):
        pieces.append(rec.folded(start, comment.start_byte))
        start = comment.end_byte
    pieces.append(rec.folded(start, body.start_byte))
    return " ".join(pieces).rstrip(": ")


def _flags(decorators: tuple[Decorator, ...]) -> list[str]:
    flags = []
    for decorator in decorators:
        last = decorator.text.partition("(")[0].rpartition(".")[2]
        flag = DECORATOR_FLAGS.get(last) or ("property" if last.endswith("property") else None)
        if flag:
            flags.append(flag)
    return flags


def _parameters(rec: Recorder, scope: int, node: Node | None, *, receiver: bool = False) -> None:
    kind = "receiver" if receiver else ""
    for child in node.children if node is not None else ():
        if not child.is_named:
            continue
        name, declared, default, this_kind = _parameter(rec, child, kind)
        if name is not None:
            rec.parameters.append(Parameter(scope, name, declared, default, this_kind))
            kind = "keyword" if this_kind == "rest" else "" if kind == "receiver" else kind
        elif child.type == "keyword_separator":
            kind = "keyword"


def _parameter(rec: Recorder, node: Node, kind: str) -> tuple[str | None, Expr, Expr, str]:
    """Return name, declared type, default and kind."""
    if node.type == "identifier":
        return rec.text(node), None, None, kind
    if node.type in ("list_splat_pattern", "dictionary_splat_pattern"):
        kind = "rest" if node.type == "list_splat_pattern" else "rest_keyword"
        return rec.text(node.children[-1]), None, None, kind
    declared = type_expression(rec, node.child_by_field_name("type"))
    if node.type == "typed_parameter":
        name, _, _, kind = _parameter(rec, node.children[0], kind)
        return name, declared, None, kind
    if node.type in ("default_parameter", "typed_default_parameter"):
        name_node = node.child_by_field_name("name")
        default = expression(rec, node.child_by_field_name("value"))
        return rec.text(name_node) if name_node is not None else None, declared, default, kind
    return None, None, None, kind


def class_(rec: Recorder, node: Node) -> None:
    """Define a class with its bases."""
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    decorators = rec.pending.pop(node.id, ())
    name = rec.text(name_node)
    arguments = node.child_by_field_name("superclasses")
    written = [
        child
        for child in (arguments.children if arguments is not None else ())
        if child.is_named and child.type not in ("keyword_argument", "comment", "list_splat", "dictionary_splat")
    ]
    index = rec.define(
        node, name, "class",
        signature=_signature(rec, node, body),
        docstring=_docstring(rec, body), body=body, scope_kind="class", decorators=decorators,
        exported=_exported(rec, name), is_test=_is_test(rec, name),
        bases=tuple(_base(rec, child) for child in written), base_names=tuple(rec.text(child) for child in written),
    )  # fmt: skip
    rec.bind(name, ("function", rec.symbols[index].scope), node.start_byte)


def _base(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node) if node.type == "subscript" else expression(rec, node)


def _exported(rec: Recorder, name: str) -> bool:
    parent = rec.owner_symbol()
    if parent >= 0:
        around = rec.symbols[parent]
        return around.kind == "class" and around.exported and (name[:1] != "_" or name.endswith("__"))
    return name in rec.all_names if rec.all_names is not None else name[:1] != "_"


def _is_test(rec: Recorder, name: str) -> bool:
    return rec.is_test_file or name.startswith("test_")


def _docstring(rec: Recorder, body: Node) -> str | None:
    first = body.child(0) if body.child_count else None  # without a list of all children, which can be many
    if first is not None and first.type != "expression_statement":
        first = next((child for child in body.children if child.is_named and child.type != "comment"), None)
    if first is None or first.type != "expression_statement" or not first.children:
        return None
    string = first.children[0]
    if string.type != "string" or rec.source[string.start_byte : string.start_byte + 1] in b"bBfF":
        return None
    opening, closing = string.children[0], string.children[-1]
    text = rec.source[opening.end_byte : closing.start_byte].decode("utf-8", "replace")
    return inspect.cleandoc(text) or None


def lambda_(rec: Recorder, node: Node) -> None:
    """Record a lambda's parameters and what it returns."""
    scope = rec.open_scope(node, "function")
    body = node.child_by_field_name("body")
    _parameters(rec, scope, node.child_by_field_name("parameters"))
    if body is not None:
        rec.returns.append(Return(scope, expression(rec, body), node.start_byte))


# scopes


def block(rec: Recorder, node: Node) -> None:
    """Enter the body of a definition or of a branch."""
    if node.id in rec.transparent:
        return
    narrowed = rec.pending.pop(node.id, ())
    scope = rec.open_scope(node, "block")
    for name, value in narrowed:
        rec.bind(name, value, node.start_byte, scope=scope, kind="narrow")


def comprehension(rec: Recorder, node: Node) -> None:
    """Enter a comprehension."""
    _comprehension_scope(rec, node)
    rec.open_scope(node, "comprehension")


def if_(rec: Recorder, node: Node) -> None:
    """Narrow names by isinstance in the branch where it holds."""
    narrowed = _narrowed(rec, node.child_by_field_name("condition"))
    body = node.child_by_field_name("consequence") if narrowed else None
    if body is not None:
        rec.pending[body.id] = narrowed


def assert_(rec: Recorder, node: Node) -> None:
    """Narrow names by isinstance from here on."""
    for name, value in _narrowed(rec, node.child(1) if node.child_count > 1 else None):
        rec.bind(name, value, node.start_byte)


def _narrowed(rec: Recorder, condition: Node | None) -> list[tuple[str, Expr]]:
    found: list[tuple[str, Expr]] = []
    if condition is None or rec.source.find(b"isinstance(", condition.start_byte, condition.end_byte) < 0:
        return found
    todo = [condition]
    while todo:
        node = todo.pop()
        if node.type == "boolean_operator" and node.children[1].type == "and":
            todo += (node.children[0], node.children[2])
        elif node.type == "parenthesized_expression":
            todo += [child for child in node.children if child.is_named]
        elif node.type == "call" and rec.source.startswith(b"isinstance(", node.start_byte):
            arguments = [child for child in node.children[-1].children if child.is_named]
            if len(arguments) == 2 and arguments[0].type == "identifier":  # noqa: PLR2004 - value and type
                found.append((rec.text(arguments[0]), ("typed", _checked_type(rec, arguments[1]))))
    return found


def _checked_type(rec: Recorder, node: Node) -> Expr:
    if node.type == "tuple":
        return ("any", tuple(type_expression(rec, child) for child in node.children if child.is_named))
    return type_expression(rec, node)


def case(rec: Recorder, node: Node) -> None:
    """Narrow what `case Class() as name` binds; other captures of a pattern are unknown values."""
    body = node.child_by_field_name("consequence")
    todo = [child for child in node.children if child.type == "case_pattern"]
    while todo:
        pattern = todo.pop()
        if pattern.type == "as_pattern" and pattern.children[-1].type == "identifier":
            matched = pattern.children[0].children[0] if pattern.children[0].children else pattern.children[0]
            value = ("typed", _written_type(rec.text(matched.children[0]))) if matched.type == "class_pattern" else None
            if body is not None:
                rec.pending.setdefault(body.id, []).append((rec.text(pattern.children[-1]), value))
        else:
            todo += [child for child in pattern.children if child.is_named]


# statements


def call(rec: Recorder, node: Node) -> None:
    """Record a call that no expression has recorded before."""
    if node.id not in rec.call_numbers:
        _record_call(rec, node)


def assignment(rec: Recorder, node: Node) -> None:
    """Bind the targets of an assignment; define constants and functions that are assigned to a name."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    declared = type_expression(rec, node.child_by_field_name("type"))
    if left is None:
        return
    if left.type == "identifier" and rec.scope == 0 and right is not None:
        _define_assigned(rec, node, left, right)
    if declared is not None:
        _bind_target(rec, left, ("typed", declared), node.start_byte, None, "declared")
    if right is not None:
        _bind_target(rec, left, expression(rec, right), node.start_byte, None)


def _define_assigned(rec: Recorder, node: Node, left: Node, right: Node) -> None:
    name = rec.text(left)
    if right.type == "lambda":
        body = right.child_by_field_name("body") or right
        rec.define(
            node, name, "function", signature=_signature(rec, node, body), body=right,
            scope_kind="function", exported=_exported(rec, name), is_test=_is_test(rec, name),
        )  # fmt: skip
    elif CONSTANT.match(name) or name in (rec.all_names or ()):
        rec.define(
            node, name, "constant", signature=rec.folded(node.start_byte, min(node.end_byte, node.start_byte + 400)),
            exported=_exported(rec, name), is_test=_is_test(rec, name),
        )  # fmt: skip


def _bind_target(  # noqa: PLR0913, PLR0917 - what binds what, and where
    rec: Recorder, target: Node, value: Expr, at: int, scope: int | None, kind: str = "value"
) -> None:
    form = target.type
    if form == "identifier":
        name = rec.text(target)
        if scope is None:
            scope = rec.elsewhere.get((rec.names_scope(), name))
        rec.bind(name, value, at, scope=scope, kind=kind)
    elif form == "attribute":
        holder = expression(rec, target.child_by_field_name("object"))
        name_node = target.child_by_field_name("attribute")
        if holder is not None and name_node is not None:
            rec.stores.append(Store(rec.scope, holder, rec.text(name_node), value, at, declared=kind == "declared"))
    elif form == "subscript":
        named = [child for child in target.children if child.is_named]
        holder = expression(rec, named[0])
        if holder is not None and value is not None and len(named) > 1:
            rec.stores.append(Store(rec.scope, holder, _key(rec, named[1]), value, at, item=True))
    elif form in ("pattern_list", "tuple_pattern", "list_pattern", "tuple", "list", "parenthesized_expression"):
        _bind_pattern(rec, [child for child in target.children if child.is_named], value, at, scope)


def _bind_pattern(rec: Recorder, targets: list[Node], value: Expr, at: int, scope: int | None) -> None:
    members = value[2] if value and value[0] == "list" else None
    splat = next((n for n, target in enumerate(targets) if target.type == "list_splat_pattern"), len(targets))
    for position, target in enumerate(targets):
        from_end = position - len(targets)  # behind a starred target, positions count from the end
        part: Expr = None
        if target.type == "list_splat_pattern":
            target = target.children[-1]  # noqa: PLW2901 - the name that it stars
            part = ("list", "list", members[splat : len(members) + from_end + 1] if members else ())
        elif members is not None and len(members) >= len(targets) - (splat < len(targets)):
            part = members[position if position < splat else from_end]
        elif value is not None:
            part = ("item", value, position if position < splat else from_end)
        _bind_target(rec, target, part, at, scope)


def walrus(rec: Recorder, node: Node) -> None:
    """Bind `name := value`."""
    children = node.children
    if children[0].type == "identifier":
        rec.bind(rec.text(children[0]), expression(rec, children[-1]), node.start_byte)


def for_(rec: Recorder, node: Node) -> None:
    """Bind a loop's target to the elements of what it runs over."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is not None:
        value = expression(rec, right)
        _bind_target(rec, left, None if value is None else ("each", value), node.start_byte, None)


def with_(rec: Recorder, node: Node) -> None:
    """Bind what context managers give; the body runs always and is no branch."""
    body = node.child_by_field_name("body")
    if body is not None:
        rec.transparent.add(body.id)
    mark = ("async",) if node.children[0].type == "async" else ()
    for clause in node.children:
        for item in clause.children if clause.type == "with_clause" else ():
            held = item.children[0] if item.type == "with_item" and item.children else None
            if held is None or held.type != "as_pattern":
                continue
            value, alias = held.children[0], held.children[-1]
            if alias.type == "as_pattern_target" and alias.children:
                manager = expression(rec, value)
                made: Expr = None if manager is None else ("enter", manager, *mark)
                _bind_target(rec, alias.children[0], made, node.start_byte, None)


def except_(rec: Recorder, node: Node) -> None:
    """Bind the exception of `except Class as name`."""
    held = next((child for child in node.children if child.type == "as_pattern"), None)
    if held is not None and held.children[-1].type == "as_pattern_target" and held.children[-1].children:
        caught = ("typed", _checked_type(rec, held.children[0]))
        _bind_target(rec, held.children[-1].children[0], caught, node.start_byte, None)


def return_(rec: Recorder, node: Node) -> None:
    """Record what a function returns."""
    if len(node.children) > 1:
        rec.returns.append(Return(rec.scope, expression(rec, node.children[1]), node.start_byte))


def yield_(rec: Recorder, node: Node) -> None:
    """Record what a generator yields."""
    value = expression(rec, node.children[-1]) if len(node.children) > 1 else None
    if value is not None and len(node.children) > 2 and node.children[1].type == "from":  # noqa: PLR2004
        value = ("each", value)
    rec.returns.append(Return(rec.scope, value, node.start_byte, is_yield=True))


def outer_names(rec: Recorder, node: Node) -> None:
    """Note names that a function takes from outside: `global`, `nonlocal`."""
    scope = rec.names_scope()
    around = 0
    if node.type == "nonlocal_statement":
        around = rec.scopes[scope].parent
        while around > 0 and rec.scopes[around].kind != "function":
            around = rec.scopes[around].parent
    for child in node.children:
        if child.type == "identifier":
            rec.elsewhere[scope, rec.text(child)] = around


def type_alias(rec: Recorder, node: Node) -> None:
    """Bind `type Name = …`."""
    named = [child for child in node.children if child.is_named]
    if len(named) == 2:  # noqa: PLR2004 - name and type
        name = rec.text(named[0]).partition("[")[0]
        rec.define(
            node, name, "type", signature=rec.folded(node.start_byte, node.end_byte), exported=_exported(rec, name)
        )
        rec.bind(name, type_expression(rec, named[1]), node.start_byte, kind="type")


# names from other modules


def import_(rec: Recorder, node: Node) -> None:
    """Record `import a.b` and `import a.b as c`."""
    scope, line, at = rec.names_scope(), node.start_point[0] + 1, node.start_byte
    for child in node.children:
        if child.type == "dotted_name":
            module = rec.text(child)
            first = module.partition(".")[0]
            rec.imports.append(Import(scope, first, first, None, line, at))
            if first != module:
                rec.imports.append(Import(scope, "", module, None, line, at))
        elif child.type == "aliased_import":
            name, alias = child.children[0], child.children[-1]
            rec.imports.append(Import(scope, rec.text(alias), rec.text(name), None, line, at))


def import_from(rec: Recorder, node: Node) -> None:
    """Record what a `from` statement brings, `*` among it."""
    scope, line, at = rec.names_scope(), node.start_point[0] + 1, node.start_byte
    module_node = node.child_by_field_name("module_name")
    if module_node is None:
        return
    module_text = "".join(rec.text(module_node).split())
    for child in node.children:
        if child.id == module_node.id:
            continue
        if child.type == "dotted_name":
            rec.imports.append(Import(scope, rec.text(child), module_text, rec.text(child), line, at))
        elif child.type == "aliased_import":
            name, alias = child.children[0], child.children[-1]
            rec.imports.append(Import(scope, rec.text(alias), module_text, rec.text(name), line, at))
        elif child.type == "wildcard_import":
            rec.imports.append(Import(scope, "*", module_text, "*", line, at))


HANDLERS: dict[str, Callable[[Recorder, Node], None]] = {
    "module": module,
    "block": block,
    "decorated": decorated,
    "function": function,
    "class": class_,
    "lambda": lambda_,
    "comprehension": comprehension,
    "call": call,
    "assignment": assignment,
    "walrus": walrus,
    "for": for_,
    "with": with_,
    "except": except_,
    "if": if_,
    "assert": assert_,
    "case": case,
    "return": return_,
    "yield": yield_,
    "outer_names": outer_names,
    "import": import_,
    "import_from": import_from,
    "type_alias": type_alias,
}
