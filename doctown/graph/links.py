"""Edges that are no calls: containment, inheritance, overrides, imports."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from doctown.graph import members, types
from doctown.graph.model import Edge
from doctown.graph.values import Values
from doctown.parsing.records import TYPE_KINDS, FileRecord, Symbol

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

Ids = Sequence[Sequence[str]]


def structure_edges(ev: "Evaluator", files: Sequence[FileRecord], ids: Ids, modules: Sequence[str]) -> list[Edge]:
    """Return all edges but calls."""
    return [
        *_contains(files, ids, modules),
        *_imports(ev, files, modules),
        *_inherits(ev, files, ids),
        *_overrides(ev, files, ids),
    ]


def _contains(files: Sequence[FileRecord], ids: Ids, modules: Sequence[str]) -> list[Edge]:
    edges = []
    for file, record in enumerate(files):
        for number, symbol in enumerate(record.symbols):
            parent = ids[file][symbol.parent] if symbol.parent >= 0 else modules[file]
            edges.append(Edge(parent, ids[file][number], "contains", (), "lexical", 1.0))
    return list(edges)


def _imports(ev: "Evaluator", files: Sequence[FileRecord], modules: Sequence[str]) -> list[Edge]:
    lines: dict[tuple[str, str], set[int]] = defaultdict(set)
    for file, record in enumerate(files):
        named = [(i.module, i.member, i.line) for i in record.imports]
        named += [(e.module, e.member, e.line) for e in record.exports if e.module is not None]
        for module, member, line in named:
            find, separator = ev.modules[file].find, ev.modules[file].separator
            places = find(file, module) or ()
            if member not in (None, "*"):
                inner = f"{module}{member}" if module.endswith(separator) else f"{module}{separator}{member}"
                # `from package import module` is an import of the module.
                places = find(file, inner) or places
            for place in places:
                if place.file != file:
                    lines[modules[file], modules[place.file]].add(line)
    return [Edge(s, t, "imports", tuple(sorted(at)), "import", 1.0) for (s, t), at in lines.items()]


def _inherits(ev: "Evaluator", files: Sequence[FileRecord], ids: Ids) -> list[Edge]:
    edges = []
    for file, record in enumerate(files):
        for number, symbol in enumerate(record.symbols):
            if symbol.kind not in TYPE_KINDS:
                continue
            for base in members.bases(ev, ("class", file, number)):
                if base[0] != "class" or ids[base[1]][base[2]] == ids[file][number]:
                    continue
                if members.is_same_type(ev, ("class", file, number), base):
                    continue
                origin = "lexical" if base[1] == file else "import"
                edges.append(
                    Edge(ids[file][number], ids[base[1]][base[2]], "inherits", (symbol.start_line,), origin, 0.97)  # type: ignore[arg-type]
                )
    return list(dict.fromkeys(edges))


def _overrides(ev: "Evaluator", files: Sequence[FileRecord], ids: Ids) -> list[Edge]:
    edges: dict[Edge, None] = {}
    for file, record in enumerate(files):
        for number, symbol in enumerate(record.symbols):
            if symbol.kind not in ("method", "property") or "constructor" in symbol.flags:
                continue
            name = symbol.name + (ev.traits[file].method_mark if symbol.kind == "method" else "")
            for holder in _holders(ev, file, symbol):
                target = _overridden(ev, holder, name)
                if target is not None:
                    source, base = ids[file][number], ids[target[0]][target[1]]
                    edges[Edge(source, base, "overrides", (symbol.start_line,), "inherited", 0.93)] = None
    return list(edges)


def _holders(ev: "Evaluator", file: int, symbol: Symbol) -> Values:
    """Return the types that a symbol is a member of: by where it stands, or by its owner."""
    if symbol.owner is not None and "extension" not in symbol.flags:
        return types.classes(ev, file, symbol.within, symbol.start_byte, symbol.owner)
    if symbol.parent >= 0 and ev.files[file].symbols[symbol.parent].kind in TYPE_KINDS:
        return (("class", file, symbol.parent),)
    return ()


def _overridden(ev: "Evaluator", value: tuple, name: str) -> tuple[int, int] | None:  # type: ignore[type-arg]
    """Return the method of the nearest base that has one of this name."""
    for base in members.order_of(ev, value)[1:]:
        if base[0] != "class":
            continue
        index = ev.indexes[base[1]]
        scope = index.record.symbols[base[2]].scope
        for entry in index.names[scope].get(name, ()) if scope >= 0 else ():
            held = getattr(entry, "value", None)
            if held and held[0] == "function" and index.record.scopes[held[1]].symbol >= 0:
                return base[1], index.record.scopes[held[1]].symbol
        owned = ev.owned_members(base).get(name)
        if owned:
            return owned[0][1], ev.files[owned[0][1]].scopes[owned[0][2]].symbol
    return None
