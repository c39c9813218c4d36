"""Records of JavaScript and TypeScript: definitions, scopes, modules and values.

Left out: what property access and operators call (getters are no call sites), `with`, `eval`, names that are computed.
Types are in javascript_types.py, expressions in javascript_values.py.
"""

import re
from collections.abc import Callable, Iterator

from tree_sitter import Node

from doctown.parsing.javascript_types import (
    NO_DOC,
    Doc,
    doc_before,
    generic,
    instance,
    parse_doc,
    string_text,
    type_expression,
    written_aliases,
    written_imports,
)
from doctown.parsing.javascript_values import (
    FUNCTIONS,
    STATIC,
    UNKNOWN,
    Place,
    constant_key,
    either,
    expression,
    place,
    place_prototype,
    record_call,
    required_module,
)
from doctown.parsing.recorder import Recorder
from doctown.parsing.records import Call, Decorator, Export, Expr, Import, Inherits, Parameter, Return, Store

_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_UPPER = re.compile(r"_*[A-Z][A-Z0-9_]*\Z")
_SCRIPT = re.compile(rb"<script\b[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_NOT_SPACE = re.compile(rb"[^\r\n]")
_EXPORTS = -1  # key in Recorder.pending of the names that a file exports by a list of its own
MAX_CONSTANT_CHARACTERS = 100  # of a constant that is shown with its value
_PLACED_VALUES = FUNCTIONS | {"object", "class"}
# Values that may be called, or that hold what may be called: a constant with one is worth a symbol.
_CALLABLE_VALUES = frozenset(
    {"call_expression", "new_expression", "member_expression", "ternary_expression", "object", "identifier",
     "parenthesized_expression", "as_expression", "satisfies_expression", "await_expression", "subscript_expression",
     "binary_expression", "non_null_expression"}
)  # fmt: skip
_NO_PLACE = Place()


def script_parts(source: bytes) -> bytes:
    """Return a Vue or Svelte component with all but its scripts blanked: lines and bytes stay where they are."""
    parts, end = [], 0
    for match in _SCRIPT.finditer(source):
        parts += [_NOT_SPACE.sub(b" ", source[end : match.start(1)]), match[1]]
        end = match.end(1)
    return b"".join([*parts, _NOT_SPACE.sub(b" ", source[end:])])


# names


def _declare(rec: Recorder, scope: int, name: str, value: Expr, at: int, kind: str = "value") -> None:
    """Bind a name in the scope that declares it."""
    rec.elsewhere[scope, name] = scope
    rec.bind(name, value, at, scope=scope, kind=kind)


def _declaring_scope(rec: Recorder, name: str) -> int:
    """Return the scope whose name an assignment sets; the file's where none around has declared it so far."""
    scope = rec.scope
    while scope > 0 and (scope, name) not in rec.elsewhere:
        scope = rec.scopes[scope].parent
    return max(scope, 0)


def _qualified_class(rec: Recorder) -> str | None:
    """Return the qualified name of the class around the current place."""
    scope = rec.scope
    while scope >= 0 and rec.scopes[scope].kind != "class":
        scope = rec.scopes[scope].parent
    symbol = rec.scopes[scope].symbol if scope >= 0 else -1
    return rec.symbols[symbol].qualified_name if symbol >= 0 else None


def _exported(rec: Recorder, name: str, outer: Node) -> bool:
    parent = rec.owner_symbol()
    if parent < 0:
        return outer.type == "export_statement" or name in rec.pending.get(_EXPORTS, ())
    around = rec.symbols[parent]
    if not around.exported:
        return False
    return around.kind in ("class", "interface") or (around.kind == "module" and outer.type == "export_statement")


def _doc(rec: Recorder, outer: Node, inner: Node | None = None) -> Doc:
    comment = doc_before(rec, outer.start_byte)
    if comment is None and inner is not None:
        comment = doc_before(rec, inner.start_byte)
    return NO_DOC if comment is None else parse_doc(comment)


def _outer(rec: Recorder, node: Node) -> Node:
    """Return the node of a declaration with its `export` and `declare`."""
    where = rec.pending.pop(node.id, None)
    return where.outer if isinstance(where, Place) and where.outer is not None else node


def module(rec: Recorder, node: Node) -> None:
    """Note what the file exports by lists, which may stand below the definitions."""
    names: set[str] = set()
    for statement in node.children:
        kind = statement.type
        if kind == "comment":
            text = rec.text(statement) if rec.docstring is None else ""
            if "@file" in text or "@module" in text or "@packageDocumentation" in text:
                rec.docstring = _file_doc(text)
        elif kind == "export_statement":
            if statement.child_by_field_name("source") is None:
                names.update(local for local, _ in _export_specifiers(rec, statement))
                value = statement.child_by_field_name("value") or statement.children[-1]
                if value.type == "identifier":
                    names.add(rec.text(value))
        elif kind == "expression_statement":
            names.update(_common_js_names(rec, statement.children[0]))
    rec.pending[_EXPORTS] = names


def _file_doc(text: str) -> str | None:
    comment = re.sub(r"^[ \t]*\*?[ \t]?", "", text[2:-2].lstrip("*"), flags=re.MULTILINE)
    return re.sub(r"@(file\w*|module|packageDocumentation)\b[ \t]*", "", comment).strip() or None


def _common_js_names(rec: Recorder, node: Node) -> Iterator[str]:
    """Yield the names in `module.exports = {a, b}` and `exports.x = x`."""
    while node.type == "assignment_expression":
        left, right = node.children[0], node.children[-1]
        if not rec.source.startswith((b"module.exports", b"exports"), left.start_byte):
            return
        if right.type == "identifier":
            yield rec.text(right)
        elif right.type == "object":
            for child in right.children:
                value = child.children[-1] if child.type == "pair" else child
                if value.type in ("identifier", "shorthand_property_identifier"):
                    yield rec.text(value)
        node = right


# functions


def function(rec: Recorder, node: Node) -> None:
    """Define a function that is declared by its name."""
    outer = _outer(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = rec.text(name_node)
    around = rec.scope
    scope = _define_function(rec, node, body, Place(name=name, outer=outer, scope=around))
    with rec.inside(around):
        # Declarations are hoisted: known from the start of the block on. The implementation comes before its overloads.
        rec.bind(name, ("function", scope), 0 if body is not None else -1, scope=around)
    rec.elsewhere[around, name] = around


def function_value(rec: Recorder, node: Node) -> None:
    """Define a function that is a value, by the name that it is given; enter it."""
    where = rec.pending.pop(node.id, _NO_PLACE)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    own_name = rec.text(name_node) if name_node is not None else None
    scope = _define_function(rec, node, body, where)
    if own_name is not None:
        _declare(rec, scope, own_name, ("function", scope), node.start_byte)
    if body is not None and body.type != "statement_block":
        _returned(rec, body, node.start_byte)


def method(rec: Recorder, node: Node) -> None:
    """Define a method of a class, an interface or an object literal."""
    where = rec.pending.pop(node.id, None)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None:
        return
    name = _member_name(rec, name_node)
    decorators: tuple[Decorator, ...] = ()
    if isinstance(where, tuple) and not isinstance(where, Place):
        decorators, where = where, None
    if where is None:
        where = Place(name=name, kind="method", outer=node, scope=rec.scope)
        in_class = rec.scopes[rec.scope].kind == "class"
    else:
        where = where._replace(name=name, outer=node)
        in_class = False
    around = rec.scope
    flags = _method_flags(node, name if in_class else "", body)
    is_property = "property" in flags or "setter" in flags
    scope = _define_function(
        rec, node, body, where._replace(kind="property" if is_property else "method"), flags=flags,
        decorators=decorators, is_member=in_class,
    )  # fmt: skip
    if in_class and "setter" not in flags:
        with rec.inside(around):
            rec.bind(name, ("function", scope), node.start_byte, scope=around)


def _method_flags(node: Node, name: str, body: Node | None) -> list[str]:
    flags = [
        _FLAGS[child.type]
        for child in node.children
        if child.type in _FLAGS and (child.type != "*" or node.type != "class")
    ]
    if name == "constructor" and "static" not in flags:
        flags.append("constructor")
    if body is None:
        flags.append("overload" if node.type == "method_signature" and "abstract" not in flags else "abstract")
    return list(dict.fromkeys(flags))


_FLAGS = {
    "static": "static",
    "async": "async",
    "*": "generator",
    "get": "property",
    "set": "setter",
    "abstract": "abstract",
}


def _member_name(rec: Recorder, node: Node) -> str:
    return string_text(rec, node) if node.type == "string" else rec.text(node)


def _define_function(
    rec: Recorder,
    node: Node,
    body: Node | None,
    where: Place,
    *,
    flags: list[str] | None = None,
    decorators: tuple[Decorator, ...] = (),
    is_member: bool = False,
) -> int:
    """Define a function if it has a name, enter its scope, record its parameters; return the scope."""
    outer = where.outer or node
    doc = _doc(rec, outer, node)
    if where.context is None and doc.type is not None:
        where = where._replace(context=instance(doc.type), scope=rec.scope)
    if flags is None:
        flags = [_FLAGS[child.type] for child in node.children[:3] if child.type in ("async", "*")]
        if node.type == "function_signature":
            flags.append("overload")
    symbol = -1
    if where.name:
        returns = node.child_by_field_name("return_type")
        is_field = where.kind == "method" and where.prefix is None and rec.scopes[rec.scope].kind == "class"
        parent = rec.owner_symbol()
        in_module = parent < 0 or rec.symbols[parent].kind == "module"
        is_local = not (is_member or is_field or where.owner or in_module)
        parent_is_private = where.name.startswith("#") or any(
            child.type == "accessibility_modifier" and rec.text(child) != "public" for child in node.children[:2]
        )
        symbol = rec.define(
            node, where.name, where.kind,
            signature=_signature(rec, outer, body),
            docstring=doc.description, outer=outer, scope_kind="function", decorators=decorators,
            exported=not parent_is_private and (where.exported or _exported(rec, where.name, outer)), is_test=rec.is_test_file,
            returns=type_expression(rec, returns) if returns is not None else doc.returns,
            owner=where.owner, owner_name=where.prefix,
            flags=(*flags, *(("local",) if is_local else ())),
        )  # fmt: skip
    scope = rec.open_scope(node, "function", symbol=symbol)
    if body is not None:
        rec.transparent.add(body.id)
    if is_member and "static" in flags:
        rec.elsewhere[scope, "this"] = STATIC
    if node.type != "arrow_function" and not is_member:
        _receiver(rec, scope, where, doc)
    _type_parameters(rec, node, scope)
    _parameters(rec, node, scope, doc, where, has_properties=is_member and where.name == "constructor")
    return scope


def _signature(rec: Recorder, outer: Node, body: Node | None) -> str:
    text = rec.folded(_start_below_decorators(outer), body.start_byte if body is not None else outer.end_byte)
    return text.rstrip("({ ;,").removesuffix("=>").rstrip()


def _start_below_decorators(node: Node) -> int:
    start = node.start_byte
    for child in node.children:
        if child.type != "decorator":
            return child.start_byte
        start = child.end_byte
    return start


def _receiver(rec: Recorder, scope: int, where: Place, doc: Doc) -> None:
    """Bind `this` of a function that is no arrow function and no member of a class."""
    this = instance(doc.this) or where.this
    if this is None and where.name and where.name[:1].isupper() and where.kind == "function":
        this = ("typed", ("name", where.name))  # a constructor of before there were classes
    rec.elsewhere[scope, "this"] = UNKNOWN if this is None else scope
    if this is not None:
        value = this if doc.this is not None else ("in", where.scope, this)
        rec.bind("this", value, 0, scope=scope)


def _type_parameters(rec: Recorder, node: Node, scope: int) -> None:
    """Bind type parameters: ("typevar", position, what they extend, what they are where nothing says it)."""
    written = node.child_by_field_name("type_parameters")
    position = 0
    for child in written.children if written is not None else ():
        if child.type == "type_parameter":
            name = child.child_by_field_name("name") or child.children[0]
            bound = type_expression(rec, child.child_by_field_name("constraint"))
            default = type_expression(rec, child.child_by_field_name("value"))
            value = ("typevar", position, bound, default)
            rec.bind(rec.text(name), value, child.start_byte, scope=scope, kind="type")
            position += 1


# parameters


def _parameters(rec: Recorder, node: Node, scope: int, doc: Doc, where: Place, *, has_properties: bool) -> None:
    written = node.child_by_field_name("parameters")
    single = node.child_by_field_name("parameter")
    children = [single] if single is not None else written.children if written is not None else []
    documented = [name for name in doc.parameters if "." not in name]
    position = 0
    for child in children:
        if child.is_named and child.type not in ("comment", "decorator", "ERROR"):
            position += _parameter(rec, child, scope, position, doc, documented, where, has_properties=has_properties)


def _parameter(  # noqa: PLR0913 - what is around a parameter
    rec: Recorder,
    node: Node,
    scope: int,
    position: int,
    doc: Doc,
    documented: list[str],
    where: Place,
    *,
    has_properties: bool,
) -> int:
    """Record one parameter; return 1, 0 for `this`."""
    pattern, declared, default_node, kind = node, None, None, ""
    if node.type in ("required_parameter", "optional_parameter"):
        pattern = node.child_by_field_name("pattern") or node.children[0]
        declared = type_expression(rec, node.child_by_field_name("type"))
        default_node = node.child_by_field_name("value")
    elif node.type == "assignment_pattern":
        pattern, default_node = node.children[0], node.children[-1]
    if pattern.type == "rest_pattern":
        pattern, kind = pattern.children[-1], "rest"
    if pattern.type == "this":
        rec.elsewhere[scope, "this"] = scope if declared is not None else UNKNOWN
        if declared is not None:
            rec.bind("this", instance(declared), 0, scope=scope)
        return 0
    named = pattern.type == "identifier"
    name = rec.text(pattern) if named else f"#{position}"
    if declared is None:
        written = name if named else documented[position] if position < len(documented) else ""
        declared = _documented_type(doc, written)
    default = expression(rec, default_node)
    if declared is None:
        default = _passed(where, position, kind, default)
    if kind == "rest" and declared is not None and declared[0] == "generic" and len(declared[2]) == 1:
        declared = declared[2][0]  # the type of each one
    rec.elsewhere[scope, name] = scope
    rec.parameters.append(Parameter(scope, name, declared, default, kind))
    if not named:
        _bind_pattern(rec, pattern, ("name", name), scope, node.start_byte)
    elif has_properties and any(child.type in ("accessibility_modifier", "readonly") for child in node.children[:2]):
        value = instance(declared) if declared is not None else ("in", scope, ("name", name))
        rec.bind(name, value, node.start_byte, scope=rec.scopes[scope].parent, kind="declared")
    return 1


def _documented_type(doc: Doc, name: str) -> Expr:
    """Return the type that JSDoc gives to a parameter, with its properties where these have types of their own."""
    prefix = f"{name}."
    members = tuple(
        (key.removeprefix(prefix), type_) for key, type_ in doc.parameters.items() if key.startswith(prefix)
    )
    return ("dict", "object", members) if members else doc.parameters.get(name)


def _passed(where: Place, position: int, kind: str, default: Expr) -> Expr:
    """Return what is known of a parameter without a type: what is passed by declaration or by a builtin method."""
    values = [value for parameter, value in where.first if parameter == position]
    if where.context is not None and kind == "":
        values.append(("parameter", where.context, position))
    if not values:
        return default
    found = tuple(("in", where.scope, value) for value in values) + (() if default is None else (default,))
    return found[0] if len(found) == 1 else ("any", found)


def _bind_pattern(rec: Recorder, node: Node, value: Expr, scope: int | None, at: int, kind: str = "value") -> None:
    """Bind the names of a pattern to the parts of a value; `scope` None: wherever each name is declared."""
    form = node.type
    if form in ("identifier", "shorthand_property_identifier_pattern"):
        name = rec.text(node)
        if scope is None:
            rec.bind(name, value, at, scope=_declaring_scope(rec, name), kind=kind)
        else:
            _declare(rec, scope, name, value, at, kind)
    elif form == "object_pattern":
        for child in node.children:
            _bind_member(rec, child, value, scope, at)
    elif form == "array_pattern":
        _bind_items(rec, node, value, scope, at)
    elif form in ("assignment_pattern", "object_assignment_pattern"):
        _bind_pattern(rec, node.children[0], either(value, expression(rec, node.children[-1])), scope, at)
    elif form in ("member_expression", "subscript_expression"):
        _store(rec, node, value, at)
    elif form == "rest_pattern":
        _bind_pattern(rec, node.children[-1], value, scope, at)


def _bind_member(rec: Recorder, node: Node, value: Expr, scope: int | None, at: int) -> None:
    """Bind one entry of an object pattern."""
    kind = node.type
    if kind == "pair_pattern":
        key, target = constant_key(rec, node.children[0]), node.children[-1]
    elif kind == "shorthand_property_identifier_pattern":
        key, target = rec.text(node), node
    elif kind == "object_assignment_pattern":
        left = node.children[0]
        part = None if value is None else ("attr", value, rec.text(left))
        _bind_pattern(rec, left, either(part, expression(rec, node.children[-1])), scope, at)
        return
    elif kind == "rest_pattern":
        _bind_pattern(rec, node.children[-1], value, scope, at)
        return
    else:
        return
    _bind_pattern(rec, target, None if value is None or key is None else ("attr", value, str(key)), scope, at)


def _bind_items(rec: Recorder, node: Node, value: Expr, scope: int | None, at: int) -> None:
    position = 0
    for child in node.children:
        if child.type == ",":
            position += 1
        elif child.type == "rest_pattern":
            part = None if value is None else ("list", "list", (("each", value),))
            _bind_pattern(rec, child.children[-1], part, scope, at)
        elif child.is_named and child.type != "comment":
            _bind_pattern(rec, child, None if value is None else ("item", value, position), scope, at)


# variables


def variables(rec: Recorder, node: Node) -> None:
    """Bind const, let and var; define the functions, classes and constants among them."""
    outer = _outer(rec, node)
    scope = rec.names_scope() if node.children[0].type == "var" else rec.scope
    declarators = [child for child in node.children if child.type == "variable_declarator"]
    for declarator in declarators:
        _declarator(rec, declarator, outer, outer if len(declarators) == 1 else declarator, scope)


def _declarator(rec: Recorder, node: Node, outer: Node, span: Node, scope: int) -> None:
    target, value_node = node.child_by_field_name("name"), node.child_by_field_name("value")
    if target is None:
        return
    declared = type_expression(rec, node.child_by_field_name("type"))
    at = node.start_byte
    if declared is None:
        comment = doc_before(rec, outer.start_byte)
        if comment is not None and "@type" in comment:
            declared = parse_doc(comment).type
    if value_node is not None and _required(rec, target, value_node, scope):
        return
    if target.type != "identifier":
        if outer.type == "export_statement":
            for name in _pattern_names(target):
                _constant(rec, node, rec.text(name), outer, span, value_node)
        value = instance(declared) or expression(rec, value_node)
        _bind_pattern(rec, target, value, scope, at)
        return
    name = rec.text(target)
    if value_node is not None:
        where = Place(
            name=name, outer=span, context=instance(declared), scope=rec.scope, this=("name", name),
            exported=_exported(rec, name, outer), kind="class" if value_node.type == "class" else "function",
        )  # fmt: skip
        place(rec, value_node, where if value_node.type not in FUNCTIONS else where._replace(this=None))
    if value_node is None or value_node.type not in _PLACED_VALUES or value_node.type == "object":
        _constant(rec, node, name, outer, span, value_node)
    value = expression(rec, value_node)
    if declared is not None and not (value is not None and value[0] == "function"):
        _declare(rec, scope, name, instance(declared), at, "declared")
    if value_node is not None or declared is None:
        _declare(rec, scope, name, value, at)


def _required(rec: Recorder, target: Node, value: Node, scope: int) -> bool:
    """Record `const x = require("./x")` as an import; tell whether it was one."""
    member, called = None, value
    if value.type == "member_expression":
        called, member = value.children[0], rec.text(value.children[-1])
    if called.type != "call_expression" or called.children[0].type != "identifier":
        return False
    module_text = required_module(rec, called)
    if module_text is None:
        return False
    expression(rec, called)
    line, at = value.start_point[0] + 1, value.start_byte
    if target.type == "identifier":
        name = rec.text(target)
        rec.imports.append(Import(scope, name, module_text, member, line, at))
        rec.elsewhere[scope, name] = scope
        return True
    if member is not None:
        return False
    for child in target.children if target.type == "object_pattern" else ():
        if child.type == "shorthand_property_identifier_pattern":
            key = name = rec.text(child)
        elif child.type == "pair_pattern" and child.children[-1].type == "identifier":
            key, name = str(constant_key(rec, child.children[0])), rec.text(child.children[-1])
        else:
            _bind_member(rec, child, ("import", module_text), scope, at)
            continue
        rec.imports.append(Import(scope, name, module_text, key, line, at))
        rec.elsewhere[scope, name] = scope
    return True


def _pattern_names(node: Node) -> Iterator[Node]:
    todo = [node]
    while todo:
        part = todo.pop()
        if part.type in ("identifier", "shorthand_property_identifier_pattern"):
            yield part
        elif part.type in ("object_pattern", "array_pattern", "pair_pattern", "rest_pattern"):
            todo += reversed(part.children)
        elif part.type in ("assignment_pattern", "object_assignment_pattern"):
            todo.append(part.children[0])


def _constant(rec: Recorder, node: Node, name: str, outer: Node, span: Node, value: Node | None) -> None:
    """Define a constant of the file or of a namespace: exported, in capitals, or with a value that may be called."""
    if rec.scopes[rec.scope].kind not in ("module", "namespace"):
        return
    exported = _exported(rec, name, outer)
    if not (exported or _UPPER.match(name) or (value is not None and value.type in _CALLABLE_VALUES)):
        return
    start, end = span.start_byte, span.end_byte
    signature = rec.folded(start, min(end, start + 400)).rstrip("; ")
    if value is not None and (len(signature) > MAX_CONSTANT_CHARACTERS or value.type == "object"):
        shown = "{…}" if rec.source.startswith(b"{", value.start_byte) else "…"
        signature = f"{rec.folded(start, value.start_byte)} {shown}"
    rec.define(
        node, name, "constant", signature=signature, docstring=_doc(rec, span).description, outer=span,
        exported=exported, is_test=rec.is_test_file,
    )  # fmt: skip


def assignment(rec: Recorder, node: Node) -> None:
    """Bind or store what is assigned; define functions, CommonJS exports and members of prototypes."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or (node.type != "assignment_expression" and node.children[1].type not in _SETS):
        return
    at = node.start_byte
    while left.type in ("parenthesized_expression", "as_expression", "non_null_expression"):
        left = next((child for child in left.children if child.is_named), left.children[0])
    if left.type == "identifier":
        name = rec.text(left)
        scope = _declaring_scope(rec, name)
        place(rec, right, Place(name=name, outer=node, scope=rec.scope))
        rec.bind(name, expression(rec, right), at, scope=scope)
    elif left.type == "member_expression":
        if not _common_js(rec, node, left, right) and not _prototype(rec, node, left, right):
            _assigned_member(rec, node, left, right)
    elif left.type == "subscript_expression":
        place(rec, right, Place(scope=rec.scope))
        _store(rec, left, expression(rec, right), at)
    else:
        _bind_pattern(rec, left, expression(rec, right), None, at)


_SETS = ("??=", "||=", "&&=")


def _store(rec: Recorder, target: Node, value: Expr, at: int, *, declared: bool = False) -> None:
    held = expression(rec, target.children[0])
    if target.type == "member_expression":
        if held is not None:
            rec.stores.append(Store(rec.scope, held, rec.text(target.children[-1]), value, at, declared=declared))
        return
    index = target.child_by_field_name("index")
    key = constant_key(rec, index) if index is not None else None
    if held is not None and value is not None:
        rec.stores.append(Store(rec.scope, held, key, value, at, item=not isinstance(key, str)))


def _assigned_member(rec: Recorder, node: Node, left: Node, right: Node) -> None:
    """Store `a.b = value`; a function is a symbol of that name."""
    holder, name = left.children[0], rec.text(left.children[-1])
    prefix = None
    if holder.type == "this":
        prefix = _qualified_class(rec)
    elif holder.type == "identifier":
        prefix = rec.text(holder)
        parent = rec.owner_symbol()
        if parent >= 0:
            prefix = f"{rec.symbols[parent].qualified_name}.{prefix}"
    doc = _doc(rec, node)
    this = expression(rec, holder) if holder.type in ("this", "identifier") else None
    where = Place(
        name=name, prefix=prefix, outer=node, context=instance(doc.type), this=this, scope=rec.scope,
        kind="method" if holder.type == "this" else "function",
    )  # fmt: skip
    place(rec, right, where)
    value = expression(rec, right)
    if doc.type is not None and right.type not in FUNCTIONS:
        _store(rec, left, instance(doc.type), node.start_byte, declared=True)
    _store(rec, left, value, node.start_byte)


def _common_js(rec: Recorder, node: Node, left: Node, right: Node) -> bool:
    """Record `module.exports = ...`, `exports.x = ...`; tell whether it was one."""
    if not rec.source.startswith((b"module.exports", b"exports."), left.start_byte):
        return False
    text = rec.text(left)
    line = node.start_point[0] + 1
    if text == "module.exports":
        own = right.child_by_field_name("name") if right.type in FUNCTIONS or right.type == "class" else None
        name = "" if right.type == "object" else rec.text(own) if own is not None else "exports"
        kind = "class" if right.type == "class" else "function"
        place(rec, right, Place(name=name, outer=node, kind=kind, exported=True, scope=rec.scope))
        value = expression(rec, right)
        rec.exports.append(Export("=", value, None, None, line))
        for key, held in value[2] if value is not None and value[0] == "dict" else ():
            if key != "..." and isinstance(key, str):
                rec.exports.append(Export(key, held, None, None, line))
            elif key == "..." and held is not None and held[0] == "import":
                rec.exports.append(Export("*", None, held[1], "*", line))
        return True
    name = rec.text(left.children[-1])
    if text not in (f"exports.{name}", f"module.exports.{name}"):
        return False
    kind = "class" if right.type == "class" else "function"
    place(rec, right, Place(name=name, outer=node, kind=kind, exported=True, scope=rec.scope))
    rec.exports.append(Export(name, expression(rec, right), None, None, line))
    return True


def _prototype(rec: Recorder, node: Node, left: Node, right: Node) -> bool:
    """Record members of X.prototype; tell whether it was one."""
    holder = left.children[0]
    name = rec.text(left.children[-1])
    if name == "prototype":
        owner = expression(rec, holder)
        if right.type == "object":
            place_prototype(rec, right, owner, rec.text(holder))
            expression(rec, right)
            return True
        base = expression(rec, right)
        if base is not None and base[0] == "call" and rec.calls[base[1]].kind == "new":
            base = ("typed", rec.calls[base[1]].callee)
        if owner is not None and base is not None and base[0] == "typed":
            rec.inherits.append(Inherits(rec.scope, owner, base[1], node.start_point[0] + 1))
        return True
    if holder.type != "member_expression" or rec.text(holder.children[-1]) != "prototype":
        return False
    owner = expression(rec, holder.children[0])
    where = Place(
        name=name, prefix=rec.text(holder.children[0]), outer=node, kind="method", owner=owner,
        this=("typed", owner), scope=rec.scope,
    )  # fmt: skip
    place(rec, right, where)
    value = expression(rec, right)
    if right.type not in FUNCTIONS and value is not None:
        rec.stores.append(Store(rec.scope, ("typed", owner), name, value, node.start_byte))
    return True


# classes and types


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
            node, name, "class", signature=_signature(rec, outer, body), docstring=_doc(rec, outer, node).description,
            outer=outer, body=body, scope_kind="class", decorators=decorators, exported=_exported(rec, name, outer),
            is_test=rec.is_test_file, bases=bases, base_names=base_names, owner_name=where.prefix,
            flags=("abstract",) if node.type == "abstract_class_declaration" else (),
        )  # fmt: skip
    scope = rec.open_scope(body, "class", symbol=symbol)
    if name and declared:
        with rec.inside(around):
            _declare(rec, around, name, ("function", scope), node.start_byte)
    _type_parameters(rec, node, scope)
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
    name = _member_name(rec, name_node)
    value_node, type_node = node.child_by_field_name("value"), node.child_by_field_name("type")
    declared = type_expression(rec, type_node)
    if type_node is None:
        declared = _doc(rec, node).type
    if value_node is not None:
        kind = "class" if value_node.type == "class" else "method"
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
    outer = _outer(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    name, around = rec.text(name_node), rec.scope
    clause = next((child for child in node.children if child.type == "extends_type_clause"), None)
    bases = [child for child in (clause.children if clause is not None else ()) if child.is_named]
    symbol = rec.define(
        node, name, "interface", signature=_signature(rec, outer, body), docstring=_doc(rec, outer).description,
        outer=outer, body=body, scope_kind="class", exported=_exported(rec, name, outer), is_test=rec.is_test_file,
        bases=tuple(type_expression(rec, base) for base in bases),
        base_names=tuple(rec.text(base.child_by_field_name("name") or base) for base in bases), flags=("partial",),
    )  # fmt: skip
    scope = rec.open_scope(body, "class", symbol=symbol)
    with rec.inside(around):
        _declare(rec, around, name, ("function", scope), node.start_byte, "type")
    _type_parameters(rec, node, scope)


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
    outer = _outer(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    name, around = rec.text(name_node), rec.scope
    symbol = rec.define(
        node, name, "enum", signature=_signature(rec, outer, body), docstring=_doc(rec, outer).description,
        outer=outer, body=body, scope_kind="class", exported=_exported(rec, name, outer), is_test=rec.is_test_file,
    )  # fmt: skip
    scope = rec.open_scope(body, "class", symbol=symbol)
    with rec.inside(around):
        _declare(rec, around, name, ("function", scope), node.start_byte)
    for child in body.children:
        member = child.child_by_field_name("name") if child.type == "enum_assignment" else child
        if member is not None and member.is_named and member.type != "comment":
            rec.bind(_member_name(rec, member), ("typed", ("name", name)), member.start_byte, scope=scope)


def type_alias(rec: Recorder, node: Node) -> None:
    """Define and bind a type alias."""
    outer = _outer(rec, node)
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return
    name = rec.text(name_node)
    value = type_expression(rec, node.child_by_field_name("value"))
    rec.define(
        node, name, "type", signature=rec.folded(outer.start_byte, min(outer.end_byte, outer.start_byte + 400)).rstrip("; "),
        docstring=_doc(rec, outer).description, outer=outer, exported=_exported(rec, name, outer),
        is_test=rec.is_test_file,
    )  # fmt: skip
    _declare(rec, rec.scope, name, value, node.start_byte, "type")


def namespace(rec: Recorder, node: Node) -> None:
    """Define a namespace and enter it; `declare module "x"` describes another module and is none of ours."""
    outer = _outer(rec, node)
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or body is None:
        return
    rec.transparent.add(body.id)
    if name_node.type == "string":
        rec.open_scope(body, "namespace", name=string_text(rec, name_node))
        return
    name, around = rec.text(name_node), rec.scope
    symbol = rec.define(
        node, name, "module", signature=_signature(rec, outer, body), docstring=_doc(rec, outer).description,
        outer=outer, body=body, scope_kind="namespace", exported=_exported(rec, name, outer),
        is_test=rec.is_test_file, flags=("partial",),
    )  # fmt: skip
    scope = rec.open_scope(body, "namespace", symbol=symbol, name=name)
    if "." not in name:
        with rec.inside(around):
            _declare(rec, around, name, ("function", scope), node.start_byte, "type")


def ambient(rec: Recorder, node: Node) -> None:
    """Let a declaration after `declare` begin there; what stands in `declare global` belongs to the file."""
    where = rec.pending.pop(node.id, Place(outer=node))
    for child in node.children:
        if child.type == "statement_block":
            rec.transparent.add(child.id)
        elif child.is_named:
            rec.pending[child.id] = where


# modules


def import_(rec: Recorder, node: Node) -> None:
    """Record the names of an import statement."""
    source = node.child_by_field_name("source")
    line, at = node.start_point[0] + 1, node.start_byte
    clause = next((child for child in node.children if child.type in ("import_clause", "import_require_clause")), None)
    if clause is None:
        if source is not None:
            rec.imports.append(Import(0, "", string_text(rec, source), None, line, at))
        return
    source = source or clause.child_by_field_name("source")
    if source is None:
        return
    module_text, is_type = string_text(rec, source), node.children[1].type == "type"

    def add(name: str, member: str | None, *, type_only: bool = is_type) -> None:
        rec.imports.append(Import(rec.scope, name, module_text, member, line, at, type_only))
        rec.elsewhere[rec.scope, name] = rec.scope

    for child in clause.children:
        if child.type == "identifier":
            add(rec.text(child), None if clause.type == "import_require_clause" else "default")
        elif child.type == "namespace_import":
            add(rec.text(child.children[-1]), None)
        elif child.type == "named_imports":
            for specifier in child.children:
                if specifier.type == "import_specifier":
                    name, alias = specifier.child_by_field_name("name"), specifier.child_by_field_name("alias")
                    if name is not None:
                        only = is_type or specifier.children[0].type == "type"
                        add(rec.text(alias or name), _member_name(rec, name), type_only=only)


def import_alias(rec: Recorder, node: Node) -> None:
    """Bind `import A = B.C`."""
    named = [child for child in node.children if child.is_named]
    if len(named) == 2:  # noqa: PLR2004 - name and value
        _declare(rec, rec.scope, rec.text(named[0]), type_expression(rec, named[1]), node.start_byte)


def _export_specifiers(rec: Recorder, node: Node) -> Iterator[tuple[str, str]]:
    """Yield (name, name outside) of `export {a as b}`; read from the text, as the grammar knows no `a as if`."""
    for clause in node.children:
        if clause.type != "export_clause":
            continue
        for part in _COMMENTS.sub("", rec.text(clause)).strip("{} \n\t").split(","):
            words = part.split()
            if len(words) > 1 and words[0] == "type" and words[1] != "as":
                words = words[1:]
            if words:
                yield words[0].strip("\"'"), words[-1].strip("\"'")


def export(rec: Recorder, node: Node) -> None:
    """Record what a file exports; a declaration in the statement begins with it."""
    declaration, source = node.child_by_field_name("declaration"), node.child_by_field_name("source")
    line = node.start_point[0] + 1
    words = {child.type for child in node.children[:3]}
    if declaration is not None:
        rec.pending[declaration.id] = Place(outer=node)
        if rec.scope == 0:
            for name in _declared_names(rec, declaration):
                value = ("name", name)
                rec.exports.append(Export("default" if "default" in words else name, value, None, None, line))
    elif "default" in words or "=" in words:
        _export_value(rec, node, "default" if "default" in words else "=", line)
    elif rec.scope == 0:
        module_text = string_text(rec, source) if source is not None else None
        for name, outside in _export_specifiers(rec, node):
            value = ("name", name) if module_text is None else None
            rec.exports.append(Export(outside, value, module_text, None if module_text is None else name, line))
        for child in node.children if module_text is not None else ():
            if child.type == "namespace_export":
                rec.exports.append(Export(_member_name(rec, child.children[-1]), None, module_text, None, line))
            elif child.type == "*":
                rec.exports.append(Export("*", None, module_text, "*", line))


def _export_value(rec: Recorder, node: Node, name: str, line: int) -> None:
    """Record `export default value` and `export = value`."""
    value_node = node.child_by_field_name("value")
    if value_node is None:
        named = [child for child in node.children if child.is_named and child.type != "comment"]
        value_node = named[-1] if named else None
    if value_node is None:
        return
    is_object = value_node.type in ("object", "satisfies_expression", "as_expression", "call_expression")
    own = value_node.child_by_field_name("name") if value_node.type in FUNCTIONS or value_node.type == "class" else None
    own_name = rec.text(own) if own is not None else "default" if name == "default" else "exports"
    kind = "class" if value_node.type == "class" else "function"
    name_there = "" if is_object else own_name
    place(rec, value_node, Place(name=name_there, outer=node, kind=kind, exported=True, scope=rec.scope))
    value = expression(rec, value_node)
    if rec.scope == 0:
        rec.exports.append(Export(name, value, None, None, line))


def _declared_names(rec: Recorder, node: Node) -> list[str]:
    if node.type == "ambient_declaration":
        node = next((child for child in node.children if child.is_named), node)
    if node.type in ("lexical_declaration", "variable_declaration"):
        found = []
        for child in node.children:
            target = child.child_by_field_name("name") if child.type == "variable_declarator" else None
            if target is not None:
                found += [rec.text(name) for name in _pattern_names(target)]
        return found
    name = node.child_by_field_name("name") or (node.children[1] if node.type == "import_alias" else None)
    return [rec.text(name).partition(".")[0]] if name is not None else []


# statements


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


def _returned(rec: Recorder, node: Node, at: int) -> None:
    place(rec, node, Place(name="" if node.type not in FUNCTIONS else None, scope=rec.scope))
    rec.returns.append(Return(rec.scope, expression(rec, node), at))


def return_(rec: Recorder, node: Node) -> None:
    """Record what a function returns."""
    value = next((child for child in node.children if child.is_named and child.type != "comment"), None)
    if value is not None:
        _returned(rec, value, node.start_byte)


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
        _bind_pattern(rec, left, value, names, node.start_byte)


def catch(rec: Recorder, node: Node) -> None:
    """Enter a catch clause; what is caught is unknown."""
    scope = rec.open_scope(node, "block")
    parameter = node.child_by_field_name("parameter")
    if parameter is not None:
        _bind_pattern(rec, parameter, None, scope, node.start_byte)


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
            rec.bind(name, value, node.end_byte, scope=_declaring_scope(rec, name), kind="narrow")


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
        _declare(rec, 0, name, value, at, "type")
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
