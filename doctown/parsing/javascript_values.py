"""Values of JavaScript and TypeScript as expressions, and the calls in them.

Beside the tags of every language: ("argument", 12, i) is what parameter i of the function of call 12 takes by its
declaration, ("parameter", f, k) what a function that is declared as f gets as its parameter k. They give a type to the
parameters of functions that are passed on. Two keywords of a call speak of types: ":" is the declared type of what the
call's result becomes, "<>" the list of the type arguments as written. What builtin functions return (`Object.freeze`,
`Array.from`, `bind`) is told here, so that the resolver needs to know none of it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tree_sitter import Node

from doctown.parsing.javascript_types import (
    doc_before,
    instance,
    parse_doc,
    string_text,
    type_expression,
)
from doctown.parsing.recorder import MAX_EXPRESSION_DEPTH, Recorder
from doctown.parsing.records import Call, Expr, SymbolKind

STRING: Expr = ("literal", "string")
NUMBER: Expr = ("literal", "number")
BOOLEAN: Expr = ("literal", "boolean")
FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function"})
UNKNOWN, STATIC = -1, -2  # what `this` is in a function, in Recorder.elsewhere: unknown, the class itself
MAX_MEMBERS = 64  # of a list that are kept; longer literals are data
MAX_ENTRIES = 512  # of an object literal

# Methods of arrays that call their first argument with an element, and the parameter that gets it.
_ELEMENT_CALLBACKS = dict.fromkeys(
    ("map", "forEach", "filter", "find", "findLast", "some", "every", "flatMap", "findIndex", "findLastIndex"), (0,)
) | {"reduce": (1,), "reduceRight": (1,), "sort": (0, 1), "toSorted": (0, 1)}
_DECLARED_BUILTINS = {"Array": "list", "Set": "set", "Map": "dict", "WeakMap": "dict", "WeakSet": "set"}


class Place(NamedTuple):
    """What stands around a function, class or object literal: what the handler of its node wants to know.

    Without a name, a function is a callback and no symbol. "" names the members of an object literal that has no name
    of its own (`module.exports = {...}`, `return {...}`).
    """

    name: str | None = None
    prefix: str | None = None  # qualified name of what it belongs to, None for the symbol around it
    kind: SymbolKind = "function"
    outer: Node | None = None  # the node of the whole definition
    context: Expr = None  # the function or object that is expected here by declaration
    first: tuple[tuple[int, Expr], ...] = ()  # what builtin methods pass: (parameter, value)
    owner: Expr = None  # the type that it belongs to: X.prototype.m = ..., Object.assign(X.prototype, {...})
    this: Expr = None  # its receiver
    exported: bool = False  # by what holds it, or by what it is assigned to
    scope: int = 0  # from which scope the names of these expressions are looked up


def expression(rec: Recorder, node: Node | None) -> Expr:
    """Return what an expression may be, recording the calls in it."""
    return rec.convert(node, CONVERT)


def _member(rec: Recorder, node: Node) -> Expr:
    children = node.children
    return ("attr", expression(rec, children[0]), rec.text(children[-1]))


def _subscript(rec: Recorder, node: Node) -> Expr:
    held, index = expression(rec, node.children[0]), node.child_by_field_name("index")
    if held is None or index is None:
        return None
    key = constant_key(rec, index)
    if key is None:
        expression(rec, index)
    elif isinstance(key, str):
        return ("attr", held, key)
    return ("item", held, key)


def constant_key(rec: Recorder, node: Node) -> str | int | None:
    """Return the key that a node writes down, None where it is computed."""
    kind = node.type
    if kind in ("property_identifier", "private_property_identifier", "shorthand_property_identifier", "identifier"):
        return None if kind == "identifier" else rec.text(node)
    if kind == "string":
        return string_text(rec, node)
    if kind == "number":
        digits = rec.text(node)
        return int(digits) if digits.isdecimal() and len(digits) < 10 else digits  # noqa: PLR2004 - no index is longer
    if kind == "computed_property_name" and len(node.children) > 1:
        inner = node.children[1]
        return string_text(rec, inner) if inner.type == "string" else None
    return None


# calls


def _call(rec: Recorder, node: Node) -> Expr:
    index = rec.known_call(node)
    if index is None:
        index = record_call(rec, node)
    return _result(rec, node, index) if index >= 0 else _imported(rec, node)


def _imported(rec: Recorder, node: Node) -> Expr:
    """Return the module of import("./x") or require("./x")."""
    module = required_module(rec, node)
    return None if module is None else ("import", module)


def required_module(rec: Recorder, node: Node | None) -> str | None:
    """Return the module that a call of require() or import() names, None for other nodes."""
    if node is None or node.type != "call_expression":
        return None
    function, arguments = node.children[0], node.children[-1]
    if function.type != "import" and not (function.type == "identifier" and rec.text(function) == "require"):
        return None
    string = next((child for child in arguments.children if child.is_named), None)
    return string_text(rec, string) if string is not None and string.type == "string" else None


def _result(rec: Recorder, node: Node, index: int) -> Expr:
    """Return what a call gives; builtin functions that pass something on give just that."""
    call = rec.calls[index]
    callee = call.callee
    if callee is None:
        return ("call", index)
    if callee[0] == "attr":
        holder, name = callee[1], callee[2]
        if name == "bind" and holder is not None:
            bound: Expr = holder
            return bound
        if holder is not None and holder[0] == "name":
            made = _BUILTIN_RESULTS.get((holder[1], name))
            known = made(call.args) if made is not None and call.args and call.args[0] is not None else None
            if known is not None:
                return known
    elif callee == ("name", "require"):
        return _imported(rec, node) or ("call", index)
    elif call.kind == "new" and callee[0] == "name" and callee[1] in _DECLARED_BUILTINS:
        types = node.child_by_field_name("type_arguments")
        if types is not None:
            members = tuple(type_expression(rec, child) for child in types.children if child.is_named)
            return ("typed", ("generic", ("literal", _DECLARED_BUILTINS[callee[1]]), members))
    return ("call", index)


def _created(args: Sequence[Expr]) -> Expr:
    """Return what Object.create(X.prototype) makes: an instance of X."""
    prototype = args[0]
    if prototype is not None and prototype[0] == "attr" and prototype[2] == "prototype":
        return ("typed", prototype[1])
    return prototype


def _merged(args: Sequence[Expr]) -> Expr:
    return ("any", tuple(arg for arg in args if arg is not None)) if len(args) > 1 else args[0]


def _first_argument(args: Sequence[Expr]) -> Expr:
    return args[0]


def record_call(rec: Recorder, node: Node) -> int:
    """Record a call site; return its index, -1 for import(), which calls nothing."""
    children = node.children
    is_new = node.type == "new_expression"
    function, written = children[1 if is_new else 0], children[-1]
    kind = function.type
    if kind == "import":
        return -1
    keywords = _type_keywords(rec, node, children)
    index = rec.reserve_call(node)
    callee = _SUPER_CONSTRUCTOR if kind == "super" else expression(rec, function)
    args: list[Expr] = []
    count = 0
    if written.type == "arguments":
        method = callee[2] if callee is not None and callee[0] == "attr" else None
        for child in written.named_children:
            kind = child.type
            if kind == "comment":
                continue
            if kind in _PLACED_ARGUMENTS:
                _place_argument(rec, child, index, len(args), callee, method)
            if kind == "spread_element":
                args.append(("each", expression(rec, child.children[-1])))
                count = -1
            else:
                args.append(expression(rec, child))
                count += count >= 0
        while args and args[-1] is None:
            args.pop()
        if method == "assign":
            _assigned(rec, callee, written)
    elif not is_new:
        expression(rec, written)
    at = node.start_byte
    rec.set_call(
        index,
        Call(rec.scope, callee, tuple(args), keywords, count, _line(function), at, "new" if is_new else "call"),
    )
    return index


def _type_keywords(rec: Recorder, node: Node, children: list[Node]) -> tuple[tuple[str, Expr], ...]:
    """Return what is declared of a call's result (":") and its type arguments ("<>")."""
    keywords: tuple[tuple[str, Expr], ...] = ()
    expected = rec.pending.get(node.id)
    if expected is not None and expected.context[0] == "typed":
        keywords = ((":", expected.context),)
    if len(children) > 2 and children[-2].type == "type_arguments":  # noqa: PLR2004 - callee, types, arguments
        types = tuple(type_expression(rec, child) for child in children[-2].named_children)
        keywords = (*keywords, ("<>", ("list", "list", types)))
    return keywords


def _line(function: Node) -> int:
    """Return the line of the called name: of `b` in `a.b`."""
    # A property's name is the last token of the expression, and stands on one line.
    point = function.end_point if function.type == "member_expression" else function.start_point
    return int(point[0]) + 1


def _place_argument(  # noqa: PLR0913, PLR0917 - one argument and its call
    rec: Recorder, node: Node, call: int, position: int, callee: Expr, method: str | None
) -> None:
    first: tuple[tuple[int, Expr], ...] = ()
    if callee is not None and callee[0] == "attr" and callee[1] is not None and position == 0:
        if method in _ELEMENT_CALLBACKS:
            first = tuple((parameter, ("each", callee[1])) for parameter in _ELEMENT_CALLBACKS[method])
        elif method == "then":
            first = ((0, ("inner", callee[1])),)
    place(rec, node, Place(context=("argument", call, position), first=first, scope=rec.scope))


def _assigned(rec: Recorder, callee: Expr, arguments: Node) -> None:
    """Let the members of an object belong to X in Object.assign(X.prototype, {...})."""
    named = [child for child in arguments.children if child.is_named]
    target = expression(rec, named[0]) if named else None
    if callee == ("attr", ("name", "Object"), "assign") and target and target[0] == "attr" and target[2] == "prototype":
        for member in named[1:]:
            if member.type == "object":
                place_prototype(rec, member, target[1], rec.text(named[0].children[0]))


def place(rec: Recorder, node: Node, where: Place) -> None:
    """Say where a function or an object literal stands, before its handler comes to it."""
    if rec.depth >= MAX_EXPRESSION_DEPTH:
        return
    while node.type in _WRAPPERS:
        inner = next((child for child in node.children if child.is_named and child.type != "comment"), None)
        if inner is None:
            return
        node = inner
    if node.type in FUNCTIONS or node.type == "class":
        rec.pending[node.id] = where
    elif node.type == "object" and node.id not in rec.transparent:
        rec.depth += 1
        _place_members(rec, node, where)
        rec.depth -= 1
    elif node.type == "call_expression":
        if where.context is not None:
            rec.pending.setdefault(node.id, where)
        if where.name is not None:
            _place_arguments(rec, node, where._replace(context=None))


def _place_arguments(rec: Recorder, node: Node, where: Place) -> None:
    """Let the members of Object.freeze({...}), defineConfig({...}) belong to what is made of them."""
    for child in node.children[-1].children:
        if child.type == "object":
            place(rec, child, where)


def _place_members(rec: Recorder, node: Node, where: Place) -> None:
    rec.transparent.add(node.id)
    prefix = where.prefix
    if where.name:
        parent = rec.owner_symbol()
        around = prefix or (rec.symbols[parent].qualified_name if parent >= 0 and prefix is None else "")
        prefix = f"{around}.{where.name}" if around else where.name
    for child in node.children:
        kind = child.type
        if kind == "pair":
            value = child.children[-1]
            if value.type not in PLACED:
                continue
            key = constant_key(rec, child.children[0])
        elif kind == "method_definition":
            value, name = child, child.child_by_field_name("name")
            key = constant_key(rec, name) if name is not None else None
        else:
            continue
        known = where.name is not None and key is not None
        inner = Place(
            name=str(key) if known else None, prefix=prefix, kind="method", outer=child, owner=where.owner,
            context=("attr", where.context, str(key)) if where.context is not None and key is not None else None,
            this=where.this, exported=where.exported, scope=where.scope,
        )  # fmt: skip
        if kind == "method_definition":
            rec.pending[child.id] = inner
        else:
            place(rec, value, inner)


def place_prototype(rec: Recorder, node: Node, owner: Expr, name: str) -> None:
    """Let the members of an object literal belong to a type."""
    rec.transparent.discard(node.id)
    where = Place(name="", prefix=name, owner=owner, this=("typed", owner), scope=rec.scope)
    _place_members(rec, node, where)


# literals and wrappers


def _list(rec: Recorder, node: Node) -> Expr:
    members: list[Expr] = []
    for child in node.children:
        if not child.is_named or child.type == "comment":
            continue
        if len(members) >= MAX_MEMBERS:
            break
        if child.type == "spread_element":
            members.append(("each", expression(rec, child.children[-1])))
        else:
            members.append(expression(rec, child))
    return ("list", "list", tuple(members) if any(members) else ())


def _object(rec: Recorder, node: Node) -> Expr:
    entries: list[tuple[str | int | None, Expr]] = []
    for child in node.children:
        kind = child.type
        if kind == "pair":
            value, key = expression(rec, child.children[-1]), constant_key(rec, child.children[0])
        elif kind == "shorthand_property_identifier":
            value, key = rec.name(child), rec.text(child)
        elif kind == "method_definition":
            name = child.child_by_field_name("name")
            key = constant_key(rec, name) if name is not None else None
            value = ("function", rec.reserve(child, "function"))
            if child.children[0].type == "set":
                continue
            if child.children[0].type == "get":
                value = None  # what it returns, not the function
        elif kind == "spread_element":
            value, key = expression(rec, child.children[-1]), "..."
        else:
            continue
        if value is not None and len(entries) < MAX_ENTRIES:
            entries.append((key, value))
    return ("dict", "object", tuple(entries))


def _function(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node, "function"))


def _class(rec: Recorder, node: Node) -> Expr:
    return ("function", rec.reserve(node.child_by_field_name("body") or node, "class"))


def _parenthesized(rec: Recorder, node: Node) -> Expr:
    """Return what stands in parentheses, as what a JSDoc comment before them says it is."""
    inner = next((child for child in node.children if child.is_named and child.type != "comment"), None)
    value = expression(rec, inner)
    start = node.start_byte
    if rec.source[start - 1 : start] in (b"/", b" ", b"\n", b"\t"):
        comment = doc_before(rec, start)
        if comment is not None and "@type" in comment:
            return instance(parse_doc(comment).type) or value
    return value


def _cast(rec: Recorder, node: Node) -> Expr:
    """Return `x as T`, `x satisfies T`: an instance of T, x itself where T says nothing."""
    value = expression(rec, node.children[0])
    if node.children[1].type == "satisfies":
        return value
    return instance(type_expression(rec, node.children[-1])) or value


def _assertion(rec: Recorder, node: Node) -> Expr:
    value, types = expression(rec, node.children[-1]), node.children[0]
    named = next((child for child in types.children if child.is_named), None)
    return instance(type_expression(rec, named)) or value


def _first(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[0])


def _last(rec: Recorder, node: Node) -> Expr:
    return expression(rec, node.children[-1])


def _await(rec: Recorder, node: Node) -> Expr:
    held = expression(rec, node.children[-1])
    return None if held is None else ("inner", held)


def _binary(rec: Recorder, node: Node) -> Expr:
    # A chain of operators nests to the left: deep ones are walked, their operands are no value.
    operator = node.children[1].type
    if operator in ("||", "??"):
        return either(expression(rec, node.children[0]), expression(rec, node.children[-1]))
    if operator == "&&":
        expression(rec, node.children[0])
        return expression(rec, node.children[-1])
    return _BINARY.get(operator)


def either(left: Expr, right: Expr) -> Expr:
    """Return the value that is one of two; an unknown one stays among them."""
    if left == right:
        return left
    return ("any", (left, right))


def _ternary(rec: Recorder, node: Node) -> Expr:
    yes, no = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
    return either(expression(rec, yes), expression(rec, no))


def _this(rec: Recorder, _node: Node) -> Expr:
    """Return the receiver; in a function that is no member and no arrow function it is unknown."""
    scope = rec.scope
    while scope >= 0:
        if (scope, "this") in rec.elsewhere:
            known = rec.elsewhere[scope, "this"]
            return ("name", "this") if known >= 0 else ("selftype",) if known == STATIC else None
        if rec.scopes[scope].kind == "class":
            break
        scope = rec.scopes[scope].parent
    return ("self",)


def _constant(value: Expr) -> Callable[[Recorder, Node], Expr]:
    return lambda _rec, _node: value


# What functions of the language return of the values that they get.
_BUILTIN_RESULTS: dict[tuple[str, str], Callable[[Sequence[Expr]], Expr]] = {
    ("Object", "create"): _created,
    ("Object", "assign"): _merged,
    ("Object", "freeze"): _first_argument,
    ("Object", "seal"): _first_argument,
    ("Object", "preventExtensions"): _first_argument,
    ("Object", "defineProperty"): _first_argument,
    ("Object", "defineProperties"): _first_argument,
    ("Object", "values"): lambda args: ("list", "list", (("item", args[0], None),)),
    ("Object", "entries"): lambda args: ("list", "list", (("list", "list", (STRING, ("item", args[0], None))),)),
    ("Array", "from"): lambda args: ("list", "list", (("each", args[0]),)) if len(args) == 1 else None,
    ("Promise", "resolve"): _first_argument,
}
_BINARY: dict[str, Expr] = {
    **dict.fromkeys(("===", "!==", "==", "!=", "<", ">", "<=", ">=", "instanceof", "in"), BOOLEAN),
    **dict.fromkeys(("-", "*", "/", "%", "**", "|", "&", "^", "<<", ">>", ">>>"), NUMBER),
}
_SUPER_CONSTRUCTOR: Expr = ("attr", ("super",), "constructor")
_WRAPPERS = frozenset({"parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression"})
PLACED = FUNCTIONS | _WRAPPERS | {"object", "class", "call_expression"}  # what `place` has something to do with
_PLACED_ARGUMENTS = PLACED - {"call_expression"}

CONVERT: dict[str, Callable[[Recorder, Node], Expr]] = {
    "identifier": Recorder.name,
    "member_expression": _member,
    "subscript_expression": _subscript,
    "call_expression": _call,
    "new_expression": _call,
    "this": _this,
    "super": _constant(("super",)),
    "string": _constant(STRING),
    "template_string": _constant(STRING),
    "number": _constant(NUMBER),
    "true": _constant(BOOLEAN),
    "false": _constant(BOOLEAN),
    "null": _constant(("literal", "null")),
    "undefined": _constant(("literal", "undefined")),
    "regex": _constant(("literal", "RegExp")),
    "unary_expression": _constant(None),
    "array": _list,
    "object": _object,
    "arrow_function": _function,
    "function_expression": _function,
    "generator_function": _function,
    "class": _class,
    "parenthesized_expression": _parenthesized,
    "as_expression": _cast,
    "satisfies_expression": _cast,
    "type_assertion": _assertion,
    "non_null_expression": _first,
    "instantiation_expression": _first,
    "await_expression": _await,
    "binary_expression": _binary,
    "ternary_expression": _ternary,
    "assignment_expression": _last,
    "augmented_assignment_expression": _last,
    "sequence_expression": _last,
    "shorthand_property_identifier": Recorder.name,
}
