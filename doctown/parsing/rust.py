"""Records of Rust: definitions, impl blocks, scopes and imports.

What types and expressions say is in `rust_values`, what patterns bind in `rust_patterns`. Left out: items that stand
inside macro calls, enum variants and fields as symbols.
Fields have names of their own beside methods: they are bound as `.name`, those of a variant as `Variant.name`.
A module path inside of inline modules is written `outer::inner>path` (see `graph/modules_rust.py`).
"""

from collections.abc import Callable

from tree_sitter import Node

from doctown.parsing.recorder import Recorder
from doctown.parsing.records import Binding, Decorator, Expr, Import, Inherits, Parameter, Return
from doctown.parsing.rust_patterns import bind_pattern
from doctown.parsing.rust_values import (
    SELF_TYPE,
    block_value,
    expression,
    module_text,
    record_call,
    record_macro,
    type_expression,
)

DOCS, ATTRIBUTES = -1, -2  # keys of Recorder.pending: comments and attributes that wait for their definition
GENERICS = -16  # minus a scope: the type parameters of an impl block or trait


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
        module = f'"{path[1:-1]}"' if path else module_text(rec, f"self::{name}")
        rec.imports.append(Import(rec.scope, name, module, None, node.start_point[0] + 1, node.start_byte))
        return
    index = rec.define(
        node, name, "module", signature=rec.folded(node.start_byte, body.start_byte), docstring=docstring,
        scope_kind="module", decorators=decorators, exported=_exported(node), is_test=_is_test(rec, decorators),
    )  # fmt: skip
    _extend(rec, index, first)
    scope = rec.symbols[index].scope
    rec.scopes[scope] = rec.scopes[scope]._replace(name=name)
    rec.bind(name, ("import", module_text(rec, f"self::{name}")), node.start_byte, scope=rec.scope)
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
        value = block_value(rec, body) if body.type == "block" else expression(rec, body)
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
        record_call(rec, node)


def macro(rec: Recorder, node: Node) -> None:
    """Record a macro call that no expression has recorded before."""
    if rec.known_call(node) is None:
        record_macro(rec, node)


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
            rec.imports.append(Import(rec.scope, "*", module_text(rec, module), "*", part.start_point[0] + 1, at))
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
        rec.imports.append(Import(rec.scope, name, module_text(rec, path), None, line, at))
    elif module or path.startswith("::"):
        rec.imports.append(Import(rec.scope, name, module_text(rec, module or "::"), member, line, at))
    else:
        rec.imports.append(Import(rec.scope, name, module_text(rec, member), None, line, at))


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
