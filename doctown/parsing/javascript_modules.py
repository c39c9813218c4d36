"""Imports and exports of JavaScript and TypeScript, ES modules and CommonJS."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from doctown.parsing.javascript_names import (
    EXPORTS,
    Target,
    bind_member,
    declare,
    member_name,
    pattern_names,
)
from doctown.parsing.javascript_types import (
    string_text,
    type_expression,
)
from doctown.parsing.javascript_values import (
    FUNCTIONS,
    Place,
    constant_key,
    expression,
    place,
    required_module,
)
from doctown.parsing.recorder import Recorder
from doctown.parsing.records import (
    Export,
    Import,
    SymbolKind,
)

_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


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
    rec.pending[EXPORTS] = names


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


def import_(rec: Recorder, node: Node) -> None:
    """Record the names of an import statement."""
    source = node.child_by_field_name("source")
    clause = next((child for child in node.children if child.type in ("import_clause", "import_require_clause")), None)
    if source is None and clause is not None:
        source = clause.child_by_field_name("source")
    if source is None:
        return
    line, at, module_text = node.start_point[0] + 1, node.start_byte, string_text(rec, source)
    if clause is None:
        rec.imports.append(Import(0, "", module_text, None, line, at))
        return
    is_type = node.children[1].type == "type"
    for name, member, type_only in _imported_names(rec, clause):
        rec.imports.append(Import(rec.scope, name, module_text, member, line, at, is_type or type_only))
        rec.elsewhere[rec.scope, name] = rec.scope


def _imported_names(rec: Recorder, clause: Node) -> Iterator[tuple[str, str | None, bool]]:
    """Yield (name, member, whether it is a type) of an import clause; member None is the module itself."""
    for child in clause.children:
        if child.type == "identifier":
            yield rec.text(child), None if clause.type == "import_require_clause" else "default", False
        elif child.type == "namespace_import":
            yield rec.text(child.children[-1]), None, False
        for specifier in child.children if child.type == "named_imports" else ():
            name = specifier.child_by_field_name("name") if specifier.type == "import_specifier" else None
            if name is not None:
                alias = specifier.child_by_field_name("alias")
                yield rec.text(alias or name), member_name(rec, name), specifier.children[0].type == "type"


def import_alias(rec: Recorder, node: Node) -> None:
    """Bind `import A = B.C`."""
    named = [child for child in node.children if child.is_named]
    if len(named) == 2:  # noqa: PLR2004 - name and value
        declare(rec, rec.scope, rec.text(named[0]), type_expression(rec, named[1]), node.start_byte)


def required(rec: Recorder, target: Node, value: Node, scope: int) -> bool:
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
            bind_member(rec, child, ("import", module_text), Target(scope, at))
            continue
        rec.imports.append(Import(scope, name, module_text, key, line, at))
        rec.elsewhere[scope, name] = scope
    return True


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
                outside = "default" if "default" in words else name
                rec.exports.append(Export(outside, ("name", name), None, None, line))
    elif "default" in words or "=" in words:
        _export_value(rec, node, "default" if "default" in words else "=", line)
    elif rec.scope == 0:
        module_text = string_text(rec, source) if source is not None else None
        for name, outside in _export_specifiers(rec, node):
            value = ("name", name) if module_text is None else None
            rec.exports.append(Export(outside, value, module_text, None if module_text is None else name, line))
        for child in node.children if module_text is not None else ():
            if child.type == "namespace_export":
                rec.exports.append(Export(member_name(rec, child.children[-1]), None, module_text, None, line))
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
    kind: SymbolKind = "class" if value_node.type == "class" else "function"
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
                found += [rec.text(name) for name in pattern_names(target)]
        return found
    name = node.child_by_field_name("name") or (node.children[1] if node.type == "import_alias" else None)
    return [rec.text(name).partition(".")[0]] if name is not None else []


def common_js(rec: Recorder, node: Node, left: Node, right: Node) -> bool:
    """Record `module.exports = ...`, `exports.x = ...`; tell whether it was one."""
    if not rec.source.startswith((b"module.exports", b"exports."), left.start_byte):
        return False
    text, name, own = rec.text(left), rec.text(left.children[-1]), None
    is_whole = text == "module.exports"
    if not is_whole and text not in (f"exports.{name}", f"module.exports.{name}"):
        return False
    kind: SymbolKind = "class" if right.type == "class" else "function"
    if is_whole:
        own = right.child_by_field_name("name") if right.type in FUNCTIONS or right.type == "class" else None
        name = "" if right.type == "object" else rec.text(own) if own is not None else "exports"
    place(rec, right, Place(name=name, outer=node, kind=kind, exported=True, scope=rec.scope))
    value, line = expression(rec, right), node.start_point[0] + 1
    rec.exports.append(Export("=" if is_whole else name, value, None, None, line))
    for key, held in value[2] if is_whole and value is not None and value[0] == "dict" else ():
        if key == "..." and held is not None and held[0] == "import":
            rec.exports.append(Export("*", None, held[1], "*", line))
        elif key != "..." and isinstance(key, str):
            rec.exports.append(Export(key, held, None, None, line))
    return True
