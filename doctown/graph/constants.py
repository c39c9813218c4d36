"""The constant that a call names, where what it holds is unknown: `const now = cond ? a : b; now()`."""

from typing import TYPE_CHECKING

from doctown.parsing.records import Binding, Expr, Import

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator
    from doctown.graph.modules import Place

MAX_REEXPORTS = 12
Target = tuple[int, int]  # file, symbol


def called(ev: "Evaluator", file: int, scope: int, callee: Expr) -> Target | None:
    """Return the constant of the repository that a name, or a name of a module, stands for."""
    if callee is None or not ev.traits[file].separate_types:
        return None
    if callee[0] == "name":
        return _named(ev, file, scope, callee[1], 0)
    if callee[0] != "attr" or callee[1] is None:
        return None
    for holder in ev.evaluate(file, scope, ev.files[file].size_bytes, callee[1]):
        if holder[0] == "module":
            return _first(ev, holder[3], callee[2], 0)
        if holder[0] == "class":  # a namespace
            symbol = ev.symbol(holder)
            if symbol is not None and symbol.kind == "module":
                return ev.constants.get((holder[1], symbol.scope, callee[2]))
    return None


def _named(ev: "Evaluator", file: int, scope: int, name: str, depth: int) -> Target | None:
    entries, found_in = ev.entries(file, scope, name)
    for entry in entries:
        if type(entry) is Import and entry.member is not None and not entry.type_only:
            return _first(ev, ev.modules[file].find(file, entry.module) or (), entry.member, depth + 1)
        if type(entry) is Binding and entry.kind != "type":
            return ev.constants.get((file, found_in, name))
    return None


def _first(ev: "Evaluator", places: "tuple[Place, ...]", name: str, depth: int) -> Target | None:
    """Return the constant that the first of some modules exports under a name."""
    if depth > MAX_REEXPORTS:
        return None
    for place in places:
        index = ev.indexes[place.file]
        export = index.exports.get(name)
        found = None
        if export is None:
            for star in index.star_exports:
                found = found or _first(ev, _places(ev, place.file, star.module), name, depth + 1)
        elif export.module is not None and export.member is not None:
            found = _first(ev, _places(ev, place.file, export.module), export.member, depth + 1)
        elif export.value is not None and export.value[0] == "name":
            found = _named(ev, place.file, 0, export.value[1], depth + 1)
        if found is not None:
            return found
    return None


def _places(ev: "Evaluator", file: int, module: str | None) -> "tuple[Place, ...]":
    return ev.modules[file].find(file, module or "") or ()
