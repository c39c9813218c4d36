"""Types of TypeScript and of JSDoc comments as expressions.

Beside the tags of every language: ("callable", (parameter types...), returned type) is a function type, ("typeof", e)
the type of the value e, ("dict", "object", ...) an object type. Wrappers that leave members as they are (`Readonly<T>`,
`Partial<T>`) are left out; so are conditional, mapped and template literal types.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

from tree_sitter import Language, Node, Parser

from doctown.parsing.recorder import Recorder
from doctown.parsing.records import Expr

LIST: Expr = ("literal", "list")
SET: Expr = ("literal", "set")
DICT: Expr = ("literal", "dict")
SELF_TYPE: Expr = ("selftype",)

MAX_SPACE_BYTES = 200  # between a JSDoc comment and what it is about
_EMPTY = frozenset({"null", "undefined", "never", "void"})
_UNKNOWN = frozenset({"any", "unknown", "object"})
_CONTAINERS: dict[str, Expr] = {
    "Array": LIST, "ReadonlyArray": LIST, "Iterable": LIST, "IterableIterator": LIST, "Iterator": LIST,
    "AsyncIterable": LIST, "AsyncIterableIterator": LIST, "Generator": LIST, "AsyncGenerator": LIST, "ArrayLike": LIST,
    "Set": SET, "ReadonlySet": SET, "WeakSet": SET,
    "Map": DICT, "ReadonlyMap": DICT, "WeakMap": DICT, "Record": DICT,
}  # fmt: skip
# The members of Wrapper<T, ...> are those of T.
_WRAPPERS = frozenset(
    {"Readonly", "Partial", "Required", "NonNullable", "Omit", "Pick", "Awaited", "Exclude", "Extract", "Writable"}
)


def type_expression(rec: Recorder, node: Node | None) -> Expr:
    """Return the type that a type node names; None where nothing is known of it."""
    return rec.convert(node, CONVERT)


def instance(type_: Expr) -> Expr:
    """Return the value that a declared type describes."""
    if type_ is None:
        return None
    return type_[1] if type_[0] == "typeof" else ("typed", type_)


def union(members: list[Expr]) -> Expr:
    """Return the union of types without null, undefined and repetitions."""
    kept = list(dict.fromkeys(m for m in members if not (m is not None and m[0] == "literal" and m[1] in _EMPTY)))
    if len(kept) == 1:
        return kept[0]
    return ("any", tuple(kept)) if any(kept) else None


def _predefined(rec: Recorder, node: Node) -> Expr:
    text = rec.text(node)
    return None if text in _UNKNOWN else ("literal", text)


def _literal(_rec: Recorder, node: Node) -> Expr:
    kind = node.children[0].type if node.children else ""
    if kind == "unary_expression":
        kind = "number"
    return ("literal", "boolean" if kind in ("true", "false") else kind)


def _generic(rec: Recorder, node: Node) -> Expr:
    children = node.children
    arguments = [type_expression(rec, child) for child in children[-1].children if child.is_named]
    return generic(type_expression(rec, children[0]), arguments)


def generic(base: Expr, arguments: list[Expr]) -> Expr:
    """Return the type `base<arguments>`."""
    if base is None:
        return None
    if base[0] == "name":
        if base[1] in _WRAPPERS and arguments:
            return arguments[0]
        base = _CONTAINERS.get(base[1], base)
    return ("generic", base, tuple(arguments)) if any(arguments) else base


def _nested(rec: Recorder, node: Node) -> Expr:
    """Return A.B.C, import("./x").C: a chain of names."""
    children = node.children
    return ("attr", type_expression(rec, children[0]), rec.text(children[-1]))


def _import(rec: Recorder, node: Node) -> Expr:
    """Return the module of import("./x")."""
    children = node.children
    if children[0].type != "import":
        return None
    string = next((child for child in children[-1].children if child.type == "string"), None)
    return ("import", string_text(rec, string)) if string is not None else None


def string_text(rec: Recorder, node: Node) -> str:
    """Return the text of a string without its quotes, as written."""
    return rec.source[node.start_byte + 1 : node.end_byte - 1].decode("utf-8", "replace")


def _array(rec: Recorder, node: Node) -> Expr:
    member = type_expression(rec, node.children[0])
    return LIST if member is None else ("generic", LIST, (member,))


def _tuple(rec: Recorder, node: Node) -> Expr:
    members = tuple(type_expression(rec, child) for child in node.children if child.is_named)
    return ("list", "list", members)


def _labeled(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, node.child_by_field_name("type"))


def _union(rec: Recorder, node: Node) -> Expr:
    """Return a union or intersection. They nest to the left: long ones are walked, not recursed into."""
    members: list[Expr] = []
    todo = [child for child in reversed(node.children) if child.is_named]
    while todo and len(members) < 64:  # noqa: PLR2004 - longer unions are data
        child = todo.pop()
        if child.type == node.type:
            todo += [inner for inner in reversed(child.children) if inner.is_named]
        elif child.type != "comment":
            members.append(type_expression(rec, child))
    return union(members)


def _wrapped(rec: Recorder, node: Node) -> Expr:
    return type_expression(rec, next((child for child in node.children if child.is_named), None))


def _lookup(rec: Recorder, node: Node) -> Expr:
    """Return T["key"] and T[number]."""
    named = [child for child in node.children if child.is_named]
    if len(named) != 2:  # noqa: PLR2004 - the type and the key
        return None
    held, key = type_expression(rec, named[0]), named[1]
    if held is None:
        return None
    if key.type == "literal_type" and key.children[0].type == "string":
        return ("typeof", ("attr", instance(held), string_text(rec, key)))
    return ("typeof", ("each", instance(held))) if key.type == "predefined_type" else None


def _query(rec: Recorder, node: Node) -> Expr:
    value = type_expression(rec, node.children[-1])
    return None if value is None else ("typeof", value)


def _function(rec: Recorder, node: Node) -> Expr:
    parameters = node.child_by_field_name("parameters")
    returns = node.child_by_field_name("return_type") or node.child_by_field_name("type")
    types = tuple(
        type_expression(rec, child.child_by_field_name("type"))
        for child in (parameters.children if parameters is not None else ())
        if child.type in ("required_parameter", "optional_parameter") and not _is_this(child)
    )
    made: Expr = ("callable", types, type_expression(rec, returns))
    own = node.child_by_field_name("type_parameters")
    if own is not None:
        # What its own type parameters stand for is not asked for: what they extend is all that is known of them.
        bounds = {
            rec.text(child.children[0]): type_expression(rec, child.child_by_field_name("constraint"))
            for child in own.children
            if child.type == "type_parameter"
        }
        made = _replaced(made, bounds)
    return made


def _replaced(type_: Any, bounds: dict[str, Expr]) -> Any:  # noqa: ANN401 - any part of an expression
    """Return a type with some of its names replaced."""
    if not isinstance(type_, tuple):
        return type_
    if len(type_) == 2 and type_[0] == "name" and type_[1] in bounds:  # noqa: PLR2004 - a name
        return bounds[type_[1]]
    return tuple(_replaced(part, bounds) for part in type_)


def _is_this(parameter: Node) -> bool:
    pattern = parameter.child_by_field_name("pattern")
    return pattern is not None and pattern.type == "this"


def _object(rec: Recorder, node: Node) -> Expr:
    entries: list[tuple[str | None, Expr]] = []
    indexed: Expr = None
    for child in node.children:
        kind = child.type
        if kind == "property_signature":
            type_ = type_expression(rec, child.child_by_field_name("type"))
        elif kind == "method_signature":
            type_ = _function(rec, child)
        elif kind in ("call_signature", "construct_signature"):
            return _function(rec, child)
        elif kind == "index_signature":
            indexed = type_expression(rec, child.child_by_field_name("type"))
            continue
        else:
            continue
        name = child.child_by_field_name("name")
        if type_ is not None and name is not None and len(entries) < 256:  # noqa: PLR2004 - larger ones are data
            entries.append((string_text(rec, name) if name.type == "string" else rec.text(name), type_))
    return ("generic", DICT, (None, indexed)) if indexed and not entries else ("dict", "object", tuple(entries))


CONVERT: dict[str, Callable[[Recorder, Node], Expr]] = {
    "type_identifier": Recorder.name,
    "identifier": Recorder.name,
    "type_annotation": _wrapped,
    "generic_type": _generic,
    "nested_type_identifier": _nested,
    "nested_identifier": _nested,
    "member_expression": _nested,
    "call_expression": _import,
    "predefined_type": _predefined,
    "literal_type": _literal,
    "array_type": _array,
    "tuple_type": _tuple,
    "optional_type": _wrapped,
    "union_type": _union,
    "intersection_type": _union,
    "parenthesized_type": _wrapped,
    "readonly_type": _wrapped,
    "lookup_type": _lookup,
    "type_query": _query,
    "function_type": _function,
    "constructor_type": _function,
    "object_type": _object,
    "this_type": lambda _rec, _node: SELF_TYPE,
    "required_parameter": _labeled,
    "optional_parameter": _labeled,
    "constraint": _wrapped,
    "default_type": _wrapped,
}


# JSDoc


class Doc(NamedTuple):
    """What a JSDoc comment says. Parameters by name, with dots for their properties (`options.name`)."""

    description: str | None
    parameters: dict[str, Expr]
    returns: Expr
    type: Expr
    this: Expr
    is_overload: bool


NO_DOC = Doc(None, {}, None, None, None, is_overload=False)
_STARS = re.compile(r"^[ \t]*\*?[ \t]?", re.MULTILINE)
_TAG = re.compile(r"(?<![\w`{])@(\w+)[ \t]*")
_PARAMETER_NAME = re.compile(r"\s*\[?\s*([\w$]+(?:(?:\[\])?\.[\w$]+)*)")
_IMPORT = re.compile(r"""@import\s+(?P<what>[^'"@]*?)\s*from\s*['"](?P<module>[^'"\n]+)['"]""")
_IMPORTED = re.compile(r"""(?:typeof\s+)?import\((['"])([^'"]+)\1\)""")
_PLACEHOLDER = "_imported_module_"
_NAME = re.compile(r"\s*(?:\{[^}]*\}\s*)?([\w$.]+)")


def doc_before(rec: Recorder, start: int) -> str | None:
    """Return the text of the JSDoc comment that ends right before the byte `start`, with its stars."""
    source = rec.source
    end = start
    before = source[max(0, start - MAX_SPACE_BYTES) : start]
    end -= len(before) - len(before.rstrip(b" \t\r\n("))
    if not source.startswith(b"*/", end - 2) or end < 5:  # noqa: PLR2004 - the shortest comment
        return None
    opening = source.rfind(b"/*", 0, end - 2)
    if opening < 0 or source[opening + 2 : opening + 3] != b"*" or opening + 3 >= end:
        return None
    return source[opening + 3 : end - 2].decode("utf-8", "replace")


@lru_cache(maxsize=4096)
def parse_doc(comment: str) -> Doc:
    """Return what a JSDoc comment says; `comment` is what stands between `/**` and `*/`."""
    text = _STARS.sub("", comment)
    first = _TAG.search(text)
    description = " ".join(text[: first.start()].split()) if first and "\n" not in text[: first.start()].strip() else ""
    description = description or (text[: first.start()] if first else text).strip()
    parameters: dict[str, Expr] = {}
    returns = type_ = this = None
    overload = False
    for match in _TAG.finditer(text):
        tag = match[1]
        if tag == "overload":
            overload = True
        written, end = _braced(text, match.end())
        if written is None:
            continue
        if tag in ("param", "arg", "argument"):
            name = _PARAMETER_NAME.match(text, end)
            if name:
                parameters[name[1].replace("[]", "")] = written_type(written)
        elif tag in ("returns", "return"):
            returns = written_type(written)
        elif tag in ("type", "satisfies"):
            type_ = written_type(written)
        elif tag == "this":
            this = written_type(written)
    return Doc(description or None, parameters, returns, type_, this, overload)


def _braced(text: str, start: int) -> tuple[str | None, int]:
    """Return what stands in the braces that open at `start`, and where they end."""
    if not text.startswith("{", start):
        return None, start
    depth = 0
    for at in range(start, min(len(text), start + 4000)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : at], at + 1
    return None, start


def written_imports(comment: str) -> list[tuple[str, str, str | None]]:
    """Return (name, module, member) of each `@import` of a JSDoc comment; member None is the module itself."""
    found: list[tuple[str, str, str | None]] = []
    for match in _IMPORT.finditer(_STARS.sub("", comment)):
        outside, _, inside = match["what"].partition("{")
        for part in inside.partition("}")[0].split(","):
            words = part.split()
            if words:
                found.append((words[-1], match["module"], words[0]))
        for part in outside.split(","):
            words = part.split()
            if words:
                found.append((words[-1], match["module"], None if words[0] == "*" else "default"))
    return found


def written_aliases(comment: str) -> list[tuple[str, Expr]]:
    """Return the types that a comment names: @typedef, with its properties, and @callback."""
    text = _STARS.sub("", comment)
    found: list[tuple[str, Expr]] = []
    tags = list(_TAG.finditer(text))
    for position, match in enumerate(tags):
        if match[1] not in ("typedef", "callback"):
            continue
        written, end = _braced(text, match.end())
        name = _NAME.match(text, end)
        members, returns = _written_members(text, tags[position + 1 :])
        if name and match[1] == "callback":
            found.append((name[1], ("callable", tuple(type_ for _, type_ in members), returns)))
        elif name and members:
            found.append((name[1], ("dict", "object", tuple(members))))
        elif name and written:
            found.append((name[1], written_type(written)))
    return found


def _written_members(text: str, tags: list[re.Match[str]]) -> tuple[list[tuple[str, Expr]], Expr]:
    """Return the properties or parameters that stand below a @typedef or @callback, and what is returned."""
    members: list[tuple[str, Expr]] = []
    returns: Expr = None
    for tag in tags:
        if tag[1] in ("typedef", "callback"):
            break
        written, end = _braced(text, tag.end())
        name = _PARAMETER_NAME.match(text, end)
        if tag[1] in ("returns", "return"):
            returns = written_type(written or "")
        elif tag[1] in ("property", "prop", "param") and written and name:
            members.append((name[1], written_type(written)))
    return members, returns


@lru_cache(maxsize=16384)
def written_type(text: str) -> Expr:
    """Return the type that a text in JSDoc's braces names."""
    text = text.strip().removeprefix("...").strip("?!= \n").replace(".<", "<")
    if text.isidentifier():
        return None if text in _UNKNOWN else ("name", text)
    if len(text) > 2000 or not text:  # noqa: PLR2004 - no type is longer
        return None
    modules: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        modules.append(match[2])
        return f"{_PLACEHOLDER}{len(modules) - 1}"

    # The grammar knows import("./x").Foo only where no type arguments and no brackets follow.
    source = f"type _ = {_IMPORTED.sub(placeholder, text)};".encode()
    root = _parser().parse(source).root_node
    rec = Recorder("", "typescript", source, root)
    statement = root.children[0] if root.children else None
    value = statement.child_by_field_name("value") if statement is not None else None
    found = type_expression(rec, value)
    placeholders: dict[str, Expr] = {f"{_PLACEHOLDER}{n}": ("import", module) for n, module in enumerate(modules)}
    return _replaced(found, placeholders) if modules else found


@cache
def _parser() -> Parser:
    import tree_sitter_typescript

    return Parser(Language(tree_sitter_typescript.language_typescript()))
