"""Records of JavaScript and TypeScript: classes, types and statements here, all else in the modules beside this one.

Left out: what property access and operators call (getters are no call sites), `with`, `eval`, names that are computed.
"""

import re
from collections.abc import Callable, Iterator

from tree_sitter import Node

from doctown.parsing.javascript_functions import (
    function,
    function_value,
    method,
    returned,
    type_parameters,
)
from doctown.parsing.javascript_modules import export, import_, import_alias, module
from doctown.parsing.javascript_names import (
    Target,
    bind_pattern,
    declare,
    declaring_scope,
    doc_of,
    is_exported,
    member_name,
    outer_of,
    signature_of,
)
from doctown.parsing.javascript_types import (
    generic,
    instance,
    string_text,
    type_expression,
    written_aliases,
    written_imports,
)
from doctown.parsing.javascript_values import (
    STATIC,
    Place,
    expression,
    place,
    record_call,
)
from doctown.parsing.javascript_variables import assignment, variables
from doctown.parsing.recorder import Recorder
from doctown.parsing.records import (
    Call,
    Decorator,
    Export,
    Expr,
    Import,
    Return,
    SymbolKind,
)

_NOT_SPACE = re.compile(rb"[^\r\n]")
# A tag to its end: Vue's and Svelte's `generic="T extends Record<string, U>"` has a `>` of its own.
_SCRIPT_TAG = re.compile(rb"""<script(?:"[^"]*"|'[^']*'|[^>"'])*+>""")
MAX_TAG_BYTES = 2_000
MAX_TYPE_BYTES = 400  # of a type alias that are shown
_NO_PLACE = Place()


def script_parts(source: bytes) -> bytes:
    """Return a Vue or Svelte component with all but its scripts blanked: lines and bytes stay where they are."""
    lower, parts, end = source.lower(), [], 0
    while (tag := lower.find(b"<script", end)) >= 0:
        whole = _SCRIPT_TAG.match(lower, tag, tag + MAX_TAG_BYTES)
        start = whole.end() if whole else lower.find(b">", tag) + 1
        close = lower.find(b"</script", start)
        if start == 0 or close < 0:
            break  # not closed: no script, here and below
        parts += [_NOT_SPACE.sub(b" ", source[end:start]), source[start:close]]
        end = close
    return b"".join([*parts, _NOT_SPACE.sub(b" ", source[end:])])


def class_(rec: Recorder, node: Node) -> None:
    """Define a class with its bases; enter its body."""
    where = rec.pending.pop(node.id, _NO_PLACE)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if body is None:
        return
    declared = node.type != "class"
    name = rec.text(name_node) if name_node is not None and (declared or not where.name) else where.name
    outer = where.outer or node
    bases, base_names = _bases(rec, node)
    decorators = _decorators(rec, [*(outer.children if outer.id != node.id else ()), *node.children])
    around, symbol = rec.scope, -1
    if name:
        symbol = rec.define(
            node, name, "class", signature=signature_of(rec, outer, body),
            docstring=doc_of(rec, outer, node).description, outer=outer,
            body=body, scope_kind="class", decorators=decorators, exported=is_exported(rec, name, outer),
            is_test=rec.is_test_file, bases=bases, base_names=base_names, owner_name=where.prefix,
            flags=("abstract",) if node.type == "abstract_class_declaration" else (),
        )  # fmt: skip
    scope = rec.open_scope(body, "class", symbol=symbol)
    if name and declared:
        with rec.inside(around):
            declare(rec, around, name, ("function", scope), node.start_byte)
    type_parameters(rec, node, scope)
    _decorated_members(rec, body)


def _bases(rec: Recorder, node: Node) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    bases: list[Expr] = []
    names: list[str] = []
    heritage = next((child for child in node.children if child.type == "class_heritage"), None)
    for clause in heritage.children if heritage is not None else ():
        if clause.type == "extends_clause":
            value = clause.child_by_field_name("value")
            arguments = clause.child_by_field_name("type_arguments")
            base = expression(rec, value)
            if arguments is not None:
                base = generic(base, [type_expression(rec, child) for child in arguments.children if child.is_named])
            bases.append(base)
            names.append(rec.text(value) if value is not None else "")
        elif clause.type == "implements_clause":
            for child in clause.children:
                if child.is_named and child.type != "comment":
                    bases.append(type_expression(rec, child))
                    names.append(rec.text(child.child_by_field_name("name") or child))
        elif clause.is_named and clause.type != "comment":
            bases.append(expression(rec, clause))  # JavaScript's grammar has no clause around it
            names.append(rec.folded(clause.start_byte, clause.end_byte))
    return tuple(bases), tuple(names)


def _decorators(rec: Recorder, nodes: list[Node]) -> tuple[Decorator, ...]:
    found = []
    for child in nodes:
        applied = next((part for part in child.children if part.is_named), None) if child.type == "decorator" else None
        if applied is not None:
            value = expression(rec, applied)
            found.append(Decorator(rec.folded(applied.start_byte, applied.end_byte), value))
            if applied.type != "call_expression":
                line = applied.end_point[0] + 1
                rec.calls.append(Call(rec.scope, value, (), (), 1, line, applied.start_byte, "decorator"))
    return tuple(found)


def _decorated_members(rec: Recorder, body: Node) -> None:
    """Keep the decorators that stand before a method."""
    waiting: list[Node] = []
    for child in body.children:
        if child.type == "decorator":
            waiting.append(child)
        elif waiting:
            rec.pending[child.id] = _decorators(rec, waiting)
            waiting = []


def field(rec: Recorder, node: Node) -> None:
    """Bind a field of a class or a property of an interface; define the function that it holds."""
    rec.pending.pop(node.id, None)
    name_node = node.child_by_field_name("name") or node.child_by_field_name("property")
    if name_node is None:
        return
    name = member_name(rec, name_node)
    value_node, type_node = node.child_by_field_name("value"), node.child_by_field_name("type")
    declared = type_expression(rec, type_node)
    if type_node is None:
        declared = doc_of(rec, node).type
    if value_node is not None:
        kind: SymbolKind = "class" if value_node.type == "class" else "method"
        where = Place(name=name, outer=node, context=instance(declared), scope=rec.scope, kind=kind)
        place(rec, value_node, where)
    value = expression(rec, value_node)
    if declared is not None and not (value is not None and value[0] == "function"):
        rec.bind(name, instance(declared), node.start_byte, scope=rec.scope, kind="declared")
    if value_node is not None or declared is None:
        rec.bind(name, value, node.start_byte, scope=rec.scope)


def static_block(rec: Recorder, node: Node) -> None:
    """Enter a class's static block; `this` in it is the class."""
    body = node.child_by_field_name("body")
    if body is not None:
        rec.transparent.add(body.id)
    scope = rec.open_scope(node, "function")
    rec.elsewhere[scope, "this"] = STATIC


def interface(rec: Recorder, node: Node) -> None:
    """Define an interface; its parts may stand in several places."""
    outer = outer_of(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    name, around = rec.text(name_node), rec.scope
    clause = next((child for child in node.children if child.type == "extends_type_clause"), None)
    bases = [child for child in (clause.children if clause is not None else ()) if child.is_named]
    symbol = rec.define(
        node, name, "interface", signature=signature_of(rec, outer, body), docstring=doc_of(rec, outer).description,
        outer=outer, body=body, scope_kind="class", exported=is_exported(rec, name, outer), is_test=rec.is_test_file,
        bases=tuple(type_expression(rec, base) for base in bases),
        base_names=tuple(rec.text(base.child_by_field_name("name") or base) for base in bases), flags=("partial",),
    )  # fmt: skip
    scope = rec.open_scope(body, "class", symbol=symbol)
    with rec.inside(around):
        declare(rec, around, name, ("function", scope), node.start_byte, "type")
    type_parameters(rec, node, scope)


def signature(rec: Recorder, node: Node) -> None:
    """Bind what calling an instance of an interface gives ("()"), and what `new` gives ("new()")."""
    returns = node.child_by_field_name("return_type") or node.child_by_field_name("type")
    parameters = node.child_by_field_name("parameters")
    types = tuple(
        type_expression(rec, child.child_by_field_name("type"))
        for child in (parameters.children if parameters is not None else ())
        if child.type in ("required_parameter", "optional_parameter")
    )
    name = "new()" if node.type == "construct_signature" else "()"
    made = ("callable", types, type_expression(rec, returns))
    rec.bind(name, ("typed", made), node.start_byte, scope=rec.scope, kind="declared")


def enum(rec: Recorder, node: Node) -> None:
    """Define an enum; its members are instances of it."""
    outer = outer_of(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    name, around = rec.text(name_node), rec.scope
    symbol = rec.define(
        node, name, "enum", signature=signature_of(rec, outer, body), docstring=doc_of(rec, outer).description,
        outer=outer, body=body, scope_kind="class", exported=is_exported(rec, name, outer), is_test=rec.is_test_file,
    )  # fmt: skip
    scope = rec.open_scope(body, "class", symbol=symbol)
    with rec.inside(around):
        declare(rec, around, name, ("function", scope), node.start_byte)
    for child in body.children:
        member = child.child_by_field_name("name") if child.type == "enum_assignment" else child
        if member is not None and member.is_named and member.type != "comment":
            rec.bind(member_name(rec, member), ("typed", ("name", name)), member.start_byte, scope=scope)


def type_alias(rec: Recorder, node: Node) -> None:
    """Define and bind a type alias."""
    outer = outer_of(rec, node)
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return
    name = rec.text(name_node)
    value = type_expression(rec, node.child_by_field_name("value"))
    end = min(outer.end_byte, outer.start_byte + MAX_TYPE_BYTES)
    rec.define(
        node, name, "type", signature=rec.folded(outer.start_byte, end).rstrip("; "),
        docstring=doc_of(rec, outer).description, outer=outer, exported=is_exported(rec, name, outer),
        is_test=rec.is_test_file,
    )  # fmt: skip
    declare(rec, rec.scope, name, value, node.start_byte, "type")


def namespace(rec: Recorder, node: Node) -> None:
    """Define a namespace and enter it; `declare module "x"` describes another module and is none of ours."""
    outer = outer_of(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    rec.transparent.add(body.id)
    if name_node.type == "string":
        rec.open_scope(body, "namespace", name=string_text(rec, name_node))
        return
    name, around = rec.text(name_node), rec.scope
    symbol = rec.define(
        node, name, "module", signature=signature_of(rec, outer, body), docstring=doc_of(rec, outer).description,
        outer=outer, body=body, scope_kind="namespace", exported=is_exported(rec, name, outer),
        is_test=rec.is_test_file, flags=("partial",),
    )  # fmt: skip
    scope = rec.open_scope(body, "namespace", symbol=symbol, name=name)
    if "." not in name:
        with rec.inside(around):
            declare(rec, around, name, ("function", scope), node.start_byte, "type")


def ambient(rec: Recorder, node: Node) -> None:
    """Let a declaration after `declare` begin there; what stands in `declare global` belongs to the file."""
    where = rec.pending.pop(node.id, Place(outer=node))
    for child in node.children:
        if child.type == "statement_block":
            rec.transparent.add(child.id)
        elif child.is_named:
            rec.pending[child.id] = where


def call(rec: Recorder, node: Node) -> None:
    """Record a call that no expression has recorded before."""
    if rec.known_call(node) is None:
        record_call(rec, node)


def element(rec: Recorder, node: Node) -> None:
    """Record `<Component />` as a call of the component; lower-case elements are builtin."""
    name = node.child_by_field_name("name")
    if name is None or not (name.type == "member_expression" or rec.text(name)[:1].isupper()):
        return
    line = name.end_point[0] + 1
    rec.calls.append(Call(rec.scope, expression(rec, name), (), (), 1, line, node.start_byte, "jsx"))


def return_(rec: Recorder, node: Node) -> None:
    """Record what a function returns."""
    value = next((child for child in node.children if child.is_named and child.type != "comment"), None)
    if value is not None:
        returned(rec, value, node.start_byte)


def yield_(rec: Recorder, node: Node) -> None:
    """Record what a generator yields."""
    value = expression(rec, node.children[-1]) if len(node.children) > 1 else None
    if value is not None and node.children[1].type == "*":
        value = ("each", value)
    rec.returns.append(Return(rec.scope, value, node.start_byte, is_yield=True))


def block(rec: Recorder, node: Node) -> None:
    """Enter the body of a branch."""
    if node.id in rec.transparent:
        return
    narrowed = rec.pending.pop(node.id, ())
    scope = rec.open_scope(node, "block")
    for name, value in narrowed:
        rec.bind(name, value, node.start_byte, scope=scope, kind="narrow")


def loop(rec: Recorder, node: Node) -> None:
    """Enter a loop; bind the elements that `for (const x of xs)` runs over."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    value: Expr = None
    if right is not None:
        held = expression(rec, right)
        operator = node.child_by_field_name("operator")
        if held is not None and operator is not None and operator.type == "of":
            value = ("each", held)
    scope = rec.open_scope(node, "block")
    if left is not None:
        kind = node.child_by_field_name("kind")
        names = None if kind is None else rec.names_scope() if kind.type == "var" else scope
        bind_pattern(rec, left, value, Target(names, node.start_byte))


def catch(rec: Recorder, node: Node) -> None:
    """Enter a catch clause; what is caught is unknown."""
    scope = rec.open_scope(node, "block")
    parameter = node.child_by_field_name("parameter")
    if parameter is not None:
        bind_pattern(rec, parameter, None, Target(scope, node.start_byte))


def if_(rec: Recorder, node: Node) -> None:
    """Narrow names by instanceof in the branch where it holds, or below a branch that leaves where it does not."""
    condition, body = node.child_by_field_name("condition"), node.child_by_field_name("consequence")
    if condition is None or body is None or b"instanceof" not in rec.source[condition.start_byte : condition.end_byte]:
        return
    narrowed = list(_narrowed(rec, condition, holds=True))
    if narrowed and body.type == "statement_block":
        rec.pending[body.id] = narrowed
    if _leaves(body):
        for name, value in _narrowed(rec, condition, holds=False):
            rec.bind(name, value, node.end_byte, scope=declaring_scope(rec, name), kind="narrow")


def _narrowed(rec: Recorder, condition: Node, *, holds: bool) -> Iterator[tuple[str, Expr]]:
    """Yield (name, value) of each instanceof that must be true where the condition is (or is not)."""
    todo = [(condition, holds)]
    while todo:
        node, wanted = todo.pop()
        if node.type == "parenthesized_expression":
            todo += [(child, wanted) for child in node.children if child.is_named]
        elif node.type == "unary_expression" and node.children[0].type == "!":
            todo.append((node.children[-1], not wanted))
        elif node.type == "binary_expression":
            left, operator, right = node.children[0], node.children[1].type, node.children[-1]
            if operator == ("&&" if wanted else "||"):
                todo += [(left, wanted), (right, wanted)]
            elif operator == "instanceof" and wanted and left.type == "identifier":
                yield rec.text(left), ("typed", expression(rec, right))


def _leaves(node: Node) -> bool:
    last = node
    if node.type == "statement_block":
        named = [child for child in node.children if child.is_named and child.type != "comment"]
        if not named:
            return False
        last = named[-1]
    return last.type in ("return_statement", "throw_statement", "continue_statement", "break_statement")


def comment(rec: Recorder, node: Node) -> None:
    """Take the imports and type aliases that JSDoc declares."""
    source = rec.source
    if not source.startswith(b"/**", node.start_byte):
        return
    raw = source[node.start_byte : node.end_byte]
    if b"@import" not in raw and b"@typedef" not in raw and b"@callback" not in raw:
        return
    text = raw[3:-2].decode("utf-8", "replace")
    line, at = node.start_point[0] + 1, node.start_byte
    for name, module_text, member in written_imports(text):
        rec.imports.append(Import(0, name, module_text, member, line, at, type_only=True))
        rec.elsewhere[0, name] = 0
    for name, value in written_aliases(text):
        declare(rec, 0, name, value, at, "type")
        rec.exports.append(Export(name, ("name", name), None, None, line))


# Nodes of one span come in this order: what opens a scope before what stands in it.
HANDLERS: dict[str, Callable[[Recorder, Node], None]] = {
    "module": module,
    "export": export,
    "ambient": ambient,
    "block": block,
    "loop": loop,
    "catch": catch,
    "static_block": static_block,
    "namespace": namespace,
    "class": class_,
    "interface": interface,
    "enum": enum,
    "function": function,
    "function_value": function_value,
    "method": method,
    "field": field,
    "signature": signature,
    "type_alias": type_alias,
    "variables": variables,
    "assignment": assignment,
    "import": import_,
    "import_alias": import_alias,
    "if": if_,
    "return": return_,
    "yield": yield_,
    "call": call,
    "element": element,
    "comment": comment,
}
