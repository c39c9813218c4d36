"""Symbols and calls by name, for C, C++, Ruby, PHP, Kotlin, Swift, Scala, Lua and Bash.

One module serves all of them: the query of a language says which node is which kind of definition, and the grammars
agree on most fields (`name`, `body`, `declarator`). Of a call, the callee's name and its receiver's are kept; variables
have no values, so that a call resolves by names of the same file, by `self`, by a class that is named, or as a guess.
Where a scope defines a name twice (overloads, `#if` branches), the name stands for each of them.
"""

from collections.abc import Callable, Mapping

from tree_sitter import Node

from doctown.parsing.recorder import Recorder
from doctown.parsing.records import TYPE_KINDS, Call, Expr, Store, SymbolKind

_NAMES = frozenset({
    "identifier", "simple_identifier", "type_identifier", "field_identifier", "namespace_identifier", "constant",
    "name", "word", "operator_identifier", "package_identifier",
})  # fmt: skip
_RECEIVERS: Mapping[str, Expr] = {
    "this": ("self",),
    "self": ("self",),
    "this_expression": ("self",),
    "self_expression": ("self",),
    "super": ("super",),
    "super_expression": ("super",),
}
_RECEIVER_WORDS: Mapping[str, Expr] = {  # what PHP, Scala and Lua write as a name
    "$this": ("self",),
    "this": ("self",),
    "self": ("self",),
    "static": ("selftype",),
    "parent": ("super",),
    "super": ("super",),
}
_MEMBERS: Mapping[str, tuple[str, str]] = {  # node -> its fields for the holder and the member
    "qualified_identifier": ("scope", "name"),
    "scope_resolution": ("scope", "name"),
    "dot_index_expression": ("table", "field"),
    "method_index_expression": ("table", "method"),
    "call": ("receiver", "method"),
    "member_call_expression": ("object", "name"),
    "nullsafe_member_call_expression": ("object", "name"),
    "scoped_call_expression": ("scope", "name"),
}
_BODIES = frozenset({"class_body", "enum_class_body", "function_body", "block"})  # where the grammar has no field
_TYPE_WORDS = frozenset({
    "user_type", "type_identifier", "constant", "name", "qualified_name", "scope_resolution", "qualified_identifier",
    "template_type", "generic_type", "stable_type_identifier",
})  # fmt: skip
_BASE_CLAUSES = frozenset({
    "base_class_clause", "superclass", "base_clause", "class_interface_clause", "extends_clause",
    "delegation_specifiers", "delegation_specifier", "inheritance_specifier", "use_declaration",
})  # fmt: skip
_CONSTRUCTORS = frozenset({"__construct", "initialize", "init", "constructor"})
_HIDING_WORDS = frozenset({"private", "protected", "fileprivate", "local"})
_MAX_NAME_DEPTH = 12  # of declarators and qualified names


def _definition(kind: SymbolKind) -> Callable[[Recorder, Node], None]:
    """Return the handler of definitions of a kind."""

    def define(rec: Recorder, node: Node) -> None:
        written = _written_name(node)
        if written is None:
            return
        *owners, name = _parts(rec, written)
        if name:
            _define(rec, node, kind, owners, name)

    return define


def _define(  # noqa: PLR0913 - a definition has many sides
    rec: Recorder, node: Node, kind: SymbolKind, owners: list[str], name: str, *, outer: Node | None = None
) -> None:
    """Define a symbol, bind its name, and enter its scope; `owners` are what is written before its name (Foo::)."""
    around = rec.scopes[rec.scope]
    is_type = kind in TYPE_KINDS or kind == "module"
    receiver = _extended_type(rec, node) if kind == "function" else None
    owners = owners or ([receiver] if receiver else [])
    if kind == "function" and (around.kind == "class" or (owners and rec.language != "lua")):
        kind = "method"
    flags = [*(["extension"] if receiver else []), *_flags(rec, node, owners, name)]
    owner, prefix = _belongs_to(rec, owners)
    bases, base_names = _bases(rec, node) if is_type else ((), ())
    signature = _signature(rec, outer or node, _body(node))
    index = rec.define(
        node, name, kind, signature=signature, docstring=_docstring(rec, outer or node), outer=outer,
        scope_kind=None if kind == "type" else "class" if is_type else "function",
        exported=_is_exported(rec, signature, in_class=around.kind == "class"), is_test=rec.is_test_file,
        bases=bases, base_names=base_names, owner=owner, owner_name=prefix, flags=tuple(flags),
    )  # fmt: skip
    if kind == "type":
        return
    value = ("function", rec.symbols[index].scope)
    if owners and rec.language == "lua":
        rec.stores.append(Store(rec.scope, _path(owners), name, value, node.start_byte))
        rec.pending.setdefault(_TABLES, {})[value[1]] = _path(owners)
    elif owner is None:
        for scope in {rec.scope, 0} if around.kind == "namespace" else {rec.scope}:
            _bind(rec, scope, name, value, node.start_byte)
    rec.open_scope(node, "class" if is_type else "function", symbol=index)


def _is_exported(rec: Recorder, signature: str, *, in_class: bool) -> bool:
    """Tell whether a definition has none of the words that hide it; C++'s and Ruby's sections are not followed."""
    words = set(signature.partition("(")[0].split())
    hidden_in_file = rec.language in ("c", "cpp") and not in_class and "static" in words
    return not hidden_in_file and not words & _HIDING_WORDS


def _belongs_to(rec: Recorder, owners: list[str]) -> tuple[Expr, str | None]:
    """Return the type that a member belongs to, if it does not stand within it, and what stands before its name."""
    around = rec.scopes[rec.scope]
    if around.kind == "class" and around.symbol < 0 and around.owner is not None:
        parent = rec.owner_symbol()
        return around.owner, rec.symbols[parent].qualified_name if parent >= 0 else _qualified(rec, around.owner[1])
    if owners and rec.language != "lua":
        # Namespaces are not followed: a type is looked up by its last name.
        known = _qualified(rec, owners[-1])
        return ("name", owners[-1]), known if len(owners) == 1 else ".".join([*_namespaces(rec), *owners])
    prefix = [*_namespaces(rec), *owners]
    return None, ".".join(prefix) if prefix and (owners or rec.owner_symbol() < 0) else None


def _qualified(rec: Recorder, name: str) -> str:
    """Return the qualified name of a type of this file, else its name as written after the namespaces around."""
    known: dict[tuple[int, str], int] = rec.pending.get(_BOUND, {})
    index = known.get((0, name))
    value = rec.bindings[index].value if index is not None else None
    if value is not None and value[0] == "function":
        return rec.symbols[rec.scopes[value[1]].symbol].qualified_name
    return ".".join([*_namespaces(rec), name])


def _signature(rec: Recorder, node: Node, body: Node | None) -> str:
    if node.type == "type_definition":
        inner, name = node.child_by_field_name("type"), node.child_by_field_name("declarator")
        body = inner.child_by_field_name("body") if inner is not None else None
        if body is not None and name is not None:
            return f"{rec.folded(node.start_byte, body.start_byte)} {rec.text(name)}"
    end = body.start_byte if body is not None else node.end_byte
    return rec.folded(node.start_byte, end).rstrip(" {=:;")


def _bind(rec: Recorder, scope: int, name: str, value: Expr, at: int) -> None:
    """Bind a name; a second definition of it makes it stand for both."""
    known: dict[tuple[int, str], int] = rec.pending.setdefault(_BOUND, {})
    index = known.get((scope, name))
    if index is None:
        known[scope, name] = len(rec.bindings)
        rec.bind(name, value, at, scope=scope)
        return
    earlier = rec.bindings[index]
    before = earlier.value[1] if earlier.value and earlier.value[0] == "any" else (earlier.value,)
    rec.bindings[index] = earlier._replace(value=("any", (*before, value)))


_BOUND, _TABLES = -1, -2  # keys of bound names and of Lua's tables by function in Recorder.pending, beside ids of nodes


def _written_name(node: Node) -> Node | None:
    """Return the node of a definition's name: its field, or the innermost declarator of C."""
    name = node.child_by_field_name("name")
    if name is None:
        name = node.child_by_field_name("declarator")
        for _ in range(_MAX_NAME_DEPTH):
            inner = name.child_by_field_name("declarator") if name is not None else None
            if inner is None and name is not None and name.type in ("reference_declarator", "parenthesized_declarator"):
                inner = next(iter(name.named_children), None)
            if inner is None:
                break
            name = inner
    return name if name is not None else node.child_by_field_name("type") if node.type == "type_alias" else None


def _parts(rec: Recorder, name: Node) -> list[str]:
    """Return the parts of a name: Foo::bar and M.f have two; templates' arguments are left out."""
    parts: list[str] = []
    for _ in range(_MAX_NAME_DEPTH):
        fields = _MEMBERS.get(name.type)
        holder, member = (name.child_by_field_name(field) for field in fields) if fields else (None, None)
        if member is None:
            break
        if holder is not None and name.type in ("dot_index_expression", "method_index_expression"):
            return [*_parts(rec, holder), rec.text(member)]
        if holder is not None:
            parts.append(_bare(rec, holder))
        name = member
    return [*parts, _bare(rec, name)]


def _bare(rec: Recorder, node: Node) -> str:
    """Return a name without its type arguments, white space and the marks of strings."""
    inner = node.child_by_field_name("name") if node.type in ("template_type", "template_function") else None
    return "".join(rec.text(inner or node).split()).strip("\"'")[:200]


def _path(parts: list[str]) -> Expr:
    path: Expr = ("name", parts[0])
    for part in parts[1:]:
        path = ("attr", path, part)
    return path


def _namespaces(rec: Recorder) -> list[str]:
    """Return the names of the namespaces around the current scope, the outermost first."""
    names: list[str] = []
    scope = rec.scope
    while scope > 0:
        if rec.scopes[scope].kind == "namespace":
            names.insert(0, rec.scopes[scope].name or "")
        scope = rec.scopes[scope].parent
    return [name for name in names if name]


def _extended_type(rec: Recorder, node: Node) -> str | None:
    """Return the type that a Kotlin function extends: it stands before the function's name."""
    if node.type != "function_declaration" or rec.language != "kotlin":
        return None
    for child in node.children:
        if child.type == "user_type":
            return rec.text(child.named_children[0]) if child.named_children else None
        if child == node.child_by_field_name("name"):
            return None
    return None


def _flags(rec: Recorder, node: Node, owners: list[str], name: str) -> list[str]:
    flags = []
    words = {rec.text(child) for child in node.children if child.end_byte - child.start_byte < 60}  # noqa: PLR2004
    if node.type == "singleton_method" or any("static" in word.split() for word in words):
        flags.append("static")
    parent = rec.owner_symbol()
    around = owners[-1] if owners else rec.symbols[parent].name if parent >= 0 else ""
    if name in _CONSTRUCTORS or (rec.language == "cpp" and name == around):
        flags.append("constructor")
    return flags


def _body(node: Node) -> Node | None:
    return node.child_by_field_name("body") or next((child for child in node.children if child.type in _BODIES), None)


def _bases(rec: Recorder, node: Node) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    """Return what a type inherits from, as expressions and as written."""
    found: list[Node] = []
    body = node.child_by_field_name("body")
    parts = [*node.children, *(body.children if body is not None and rec.language == "php" else ())]
    clauses = [child for child in parts if child.type in _BASE_CLAUSES]
    while clauses:
        clause = clauses.pop(0)
        for child in clause.named_children:
            if child.type in _BASE_CLAUSES:
                clauses.append(child)
            elif child.type == "constructor_invocation" and child.named_children:
                found.append(child.named_children[0])
            elif child.type in _TYPE_WORDS:
                found.append(child)
    return tuple(_value(rec, base) for base in found), tuple(rec.folded(b.start_byte, b.end_byte) for b in found)


def _docstring(rec: Recorder, node: Node) -> str | None:
    """Return the text of the comments that stand directly above a definition."""
    around = node.parent
    if around is not None and around.type in ("template_declaration", "export_statement"):
        node = around
    comments: list[str] = []
    row, before = node.start_point.row, node.prev_sibling
    while before is not None and "comment" in before.type and before.end_point.row >= row - 1:
        text = rec.source[before.start_byte : before.end_byte].decode("utf-8", "replace")
        if text.startswith("#!"):
            break
        comments.insert(0, text)
        row, before = before.start_point.row, before.prev_sibling
    lines = [line.strip().strip("/*#!- \t") for comment in comments for line in comment.splitlines()]
    return "\n".join(lines).strip() or None


def namespace(rec: Recorder, node: Node) -> None:
    """Enter a namespace with a body: names in it have its name before theirs."""
    name = node.child_by_field_name("name")
    if node.child_by_field_name("body") is not None:
        text = rec.text(name).replace("::", ".").replace("\\", ".") if name is not None else None
        rec.open_scope(node, "namespace", name=text)


def package(rec: Recorder, node: Node) -> None:
    """Note the package that a file declares."""
    name = node.child_by_field_name("name") or next(iter(node.named_children), None)
    if name is not None and rec.package is None:
        rec.package = rec.text(name)


def extension(rec: Recorder, node: Node) -> None:
    """Enter an extension of a type that is defined elsewhere: its members belong to that type."""
    name = node.child_by_field_name("name")
    if name is not None:
        rec.open_scope(node, "class", owner=("name", _bare(rec, name)))


def swift_type(rec: Recorder, node: Node) -> None:
    """Define a Swift class, struct, enum or actor, or enter an extension: one node type for all of them."""
    keyword = node.child_by_field_name("declaration_kind")
    word = rec.text(keyword) if keyword is not None else "class"
    if word == "extension":
        extension(rec, node)
    else:
        _definition({"struct": "struct", "enum": "enum"}.get(word, "class"))(rec, node)  # type: ignore[arg-type]


def kotlin_type(rec: Recorder, node: Node) -> None:
    """Define a Kotlin class, interface or enum: one node type for all of them."""
    words = {child.type for child in node.children}
    kind: SymbolKind = "interface" if "interface" in words else "enum" if "enum_class_body" in words else "class"
    _definition(kind)(rec, node)


def singleton(rec: Recorder, node: Node) -> None:
    """Enter Ruby's `class << self` or Kotlin's companion object: members of the class around it."""
    around = rec.owner_symbol()
    rec.open_scope(node, "class", owner=("name", rec.symbols[around].name) if around >= 0 else None)


def scala_object(rec: Recorder, node: Node) -> None:
    """Define a Scala object; where it is the companion of a class above it, its members are the class's."""
    name = node.child_by_field_name("name")
    if name is not None and (rec.scope, rec.text(name)) in rec.pending.get(_BOUND, {}):
        rec.open_scope(node, "class", owner=rec.name(name))
    else:
        _definition("class")(rec, node)


def lua_assigned(rec: Recorder, node: Node) -> None:
    """Define a function that is assigned to a name or a table's field (M.f = function), or bind a table's name."""
    targets = node.named_children[0].named_children if node.named_children else []
    values = node.named_children[-1].named_children
    for target, value in zip(targets, values, strict=False):
        if value.type == "function_definition":
            *owners, name = _parts(rec, target)
            _define(rec, value, "function", owners, name, outer=node)
            return
        if value.type == "table_constructor" and target.type == "identifier":
            rec.bind(rec.text(target), ("dict", "object", ()), node.start_byte, scope=rec.scope)


def call(rec: Recorder, node: Node) -> None:
    """Record a call site with the name that it calls."""
    fields = _MEMBERS.get(node.type)
    name_node = node.child_by_field_name(fields[1]) if fields else node.child_by_field_name("function")
    if fields is None:
        name_node = name_node or node.child_by_field_name("name") or next(iter(node.named_children), None)
        callee = _value(rec, name_node) if name_node is not None else None
    else:
        callee = _member(rec, node, *fields)
    kind = "call"
    if callee is not None and node.type == "call" and callee[0] == "attr" and callee[2] == "new" and callee[1]:
        callee, kind = callee[1], "new"
    _record(rec, node, name_node, callee, kind)


def new(rec: Recorder, node: Node) -> None:
    """Record the construction of an object."""
    name = node.child_by_field_name("type") or next(iter(node.named_children), None)
    made = _value(rec, name) if name is not None else None
    _record(rec, node, name, ("selftype",) if made == ("self",) else made, "new")


def _record(rec: Recorder, node: Node, name: Node | None, callee: Expr, kind: str) -> None:
    line = (name or node).end_point.row + 1
    rec.set_call(rec.reserve_call(node), Call(rec.scope, callee, (), (), 0, line, node.start_byte, kind))


def command(rec: Recorder, node: Node) -> None:
    """Record a command of a shell script that is called by a plain name."""
    name = node.child_by_field_name("name")
    word = name.named_children[0] if name is not None and name.named_children else None
    if word is not None and word.type == "word":
        _record(rec, node, word, rec.name(word), "call")


def _value(rec: Recorder, node: Node) -> Expr:
    """Return a callee, receiver or base as an expression of names; None for anything else."""
    kind = node.type
    text = rec.text(node) if node.end_byte - node.start_byte < 200 else ""  # noqa: PLR2004 - longer ones are no names
    if text in _RECEIVER_WORDS:
        return _table(rec) if rec.language == "lua" else _RECEIVER_WORDS[text]
    if kind in _NAMES:
        return rec.name(node)
    if kind in _RECEIVERS:
        return _RECEIVERS[kind]
    if kind == "qualified_name":  # PHP: the last part is what the name means in this file
        return ("name", text.rpartition("\\")[2])
    if kind == "variable_name":
        return ("name", text)
    return _nested(rec, node, kind)


def _table(rec: Recorder) -> Expr:
    """Return the table that `self` is in the function M:f around the current place."""
    tables: dict[int, Expr] = rec.pending.get(_TABLES, {})
    scope = rec.scope
    while scope > 0 and scope not in tables:
        scope = rec.scopes[scope].parent
    return tables.get(scope, ("name", "self"))


def _nested(rec: Recorder, node: Node, kind: str) -> Expr:
    if rec.depth >= _MAX_NAME_DEPTH:
        return None
    rec.depth += 1
    try:
        if kind in _MEMBERS and kind != "call" and not kind.endswith("call_expression"):
            return _member(rec, node, *_MEMBERS[kind])
        if kind == "field_expression":
            fields = ("argument", "field") if rec.language in ("c", "cpp") else ("value", "field")
            return _member(rec, node, *fields)
        if kind == "navigation_expression":
            return _navigation(rec, node)
        if kind in ("template_function", "generic_function", "template_type", "template_method", "generic_type",
                    "user_type", "constructor_invocation", "stable_type_identifier"):  # fmt: skip
            inner = node.child_by_field_name("name") or node.child_by_field_name("function")
            inner = inner or next(iter(node.named_children), None)
            return _value(rec, inner) if inner is not None else None
        return None
    finally:
        rec.depth -= 1


def _member(rec: Recorder, node: Node, holder_field: str, name_field: str) -> Expr:
    holder, name = node.child_by_field_name(holder_field), node.child_by_field_name(name_field)
    if name is None:
        return None
    if name.type == "qualified_identifier":  # a::b::c: only the last two parts count
        return _value(rec, name)
    if holder is None:
        return ("name", _bare(rec, name)) if node.type in ("call", "qualified_identifier") else None
    return ("attr", _value(rec, holder), _bare(rec, name))


def _navigation(rec: Recorder, node: Node) -> Expr:
    """Return receiver.name of Kotlin and Swift: the last name of the node is the member."""
    parts = node.named_children
    if not parts:
        return None
    last = parts[-1].child_by_field_name("suffix") if parts[-1].type == "navigation_suffix" else parts[-1]
    if last is None or last.type not in _NAMES:
        return None
    return ("attr", _value(rec, parts[0]), rec.text(last))


HANDLERS: Mapping[str, Callable[[Recorder, Node], None]] = {
    "package": package,
    "namespace": namespace,
    "class": _definition("class"),
    "struct": _definition("struct"),
    "enum": _definition("enum"),
    "trait": _definition("trait"),
    "interface": _definition("interface"),
    "module": _definition("module"),
    "swift_type": swift_type,
    "kotlin_type": kotlin_type,
    "singleton": singleton,
    "scala_object": scala_object,
    "extension": extension,
    "function": _definition("function"),
    "macro": _definition("macro"),
    "type": _definition("type"),
    "lua_assigned": lua_assigned,
    "call": call,
    "new": new,
    "command": command,
}
