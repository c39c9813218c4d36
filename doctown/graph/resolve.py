"""From the records of a repository to its graph: every call site resolved, external, ambiguous or unresolved.

The first rung of the ladder that answers names the edge's origin. What rests on the arguments that known callers pass is
found in later rounds, with a lower confidence; what only its name points to is a guess (`unique_name`).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from doctown.graph import members, returns
from doctown.graph.evaluate import ASSUMED, OPEN, CallerArgument, Evaluator
from doctown.graph.links import structure_edges
from doctown.graph.model import Counts, Edge, Graph, Origin, module_id, symbol_ids
from doctown.graph.modules import ProjectConfig, find_modules
from doctown.graph.values import CONTAINERS, Value, Values
from doctown.parsing.records import Call, FileRecord

CONFIDENCE: dict[Origin, float] = {
    "lexical": 0.98,
    "import": 0.97,
    "self": 0.97,
    "qualified": 0.95,
    "inherited": 0.93,
    "typed": 0.9,
    "unique_name": 0.4,
}
ASSUMED_CONFIDENCE = 0.75  # of an edge that rests on what known callers pass
SEVERAL_CONFIDENCE = 0.8  # of one of several targets of a site
MAX_TARGETS = 4  # of one site: more are ambiguous
ROUNDS = 3  # each passes arguments one level of calls further


class Found(NamedTuple):
    """What one call site was found to call."""

    targets: tuple[tuple[int, int], ...]  # (file, symbol)
    origin: Origin
    confidence: float


def resolve(files: Sequence[FileRecord], config: ProjectConfig | None = None) -> Graph:
    """Return the graph of a repository. Pure: the same records give the same graph."""
    ev = Evaluator(files, find_modules(files, config or ProjectConfig()))
    sites = [(file, number) for file, record in enumerate(files) for number in range(len(record.calls))]
    found: dict[tuple[int, int], Found] = {}
    reached: dict[tuple[int, int], Values] = {}
    open_sites = sites
    for round_number in range(ROUNDS):
        still_open = []
        for file, number in open_sites:
            ev.flags = 0
            values = returns.callees(ev, file, number)
            reached[file, number] = values
            targets = _targets(ev, values)
            if targets and len(targets) <= MAX_TARGETS:
                found[file, number] = _found(ev, file, files[file].calls[number], targets, values)
            if ev.flags & OPEN:
                still_open.append((file, number))
        if not still_open or round_number == ROUNDS - 1:
            break
        open_sites = still_open
        ev.callers = _callers(ev, reached)
        ev.forget_open()
    return _graph(ev, files, sites, found, reached)


def _targets(ev: Evaluator, values: Values) -> tuple[tuple[int, int], ...]:
    """Return the symbols that values lead to."""
    targets: dict[tuple[int, int], None] = {}
    for value in values:
        tag = value[0]
        if tag == "class":
            targets[value[1], value[2]] = None
        elif tag in ("function", "bound"):
            symbol = ev.files[value[1]].scopes[value[2]].symbol
            if symbol >= 0:
                targets[value[1], symbol] = None
        elif tag == "instance":
            for method in members.attribute(ev, value, "__call__"):
                if method[0] == "bound":
                    targets[method[1], ev.files[method[1]].scopes[method[2]].symbol] = None
    return tuple(targets)


def _found(
    ev: Evaluator, file: int, call: Call, targets: tuple[tuple[int, int], ...], values: Values
) -> Found:
    origin = _origin(ev, file, call, targets[0], values)
    confidence = CONFIDENCE[origin]
    if len(targets) > 1:
        confidence = min(confidence, SEVERAL_CONFIDENCE)
    if ev.flags & ASSUMED:
        confidence = min(confidence, ASSUMED_CONFIDENCE)
    return Found(targets, origin, confidence)


def _origin(ev: Evaluator, file: int, call: Call, target: tuple[int, int], values: Values) -> Origin:
    callee = call.callee
    if callee is None or callee[0] not in ("name", "attr"):
        return "typed"
    if callee[0] == "name":
        if any(value[0] == "instance" for value in values):
            return "typed"
        return "lexical" if target[0] == file else "import"
    holder = callee[1]
    if holder == ("super",):
        return "inherited"
    held = ev.evaluate(file, call.scope, call.at, holder)
    tags = {value[0] for value in held}
    if "super" in tags:
        return "inherited"
    if tags & {"module", "class"} and not _is_receiver(ev, file, call.scope, holder):
        return "qualified"
    if _is_receiver(ev, file, call.scope, holder):
        around = ev.class_around(file, call.scope)
        symbol = ev.files[target[0]].symbols[target[1]]
        own = any(value[1] == target[0] and value[2] == symbol.parent for value in around)
        return "self" if own else "inherited"
    return "typed"


def _is_receiver(ev: Evaluator, file: int, scope: int, holder: tuple | None) -> bool:  # type: ignore[type-arg]
    if holder == ("self",):
        return True
    if not holder or holder[0] != "name":
        return False
    entries, _ = ev.entries(file, scope, holder[1])
    return len(entries) == 1 and getattr(entries[0], "kind", "") == "receiver"


def _callers(ev: Evaluator, reached: dict[tuple[int, int], Values]) -> dict[tuple[int, int], list[CallerArgument]]:
    """Return for each function, by file and scope, the sites that call it."""
    callers: dict[tuple[int, int], list[CallerArgument]] = defaultdict(list)
    for (file, number), values in reached.items():
        if ev.files[file].calls[number].kind == "decorator":
            continue
        for value in values:
            tag = value[0]
            if tag == "function":
                callers[value[1], value[2]].append((file, number, 0))
            elif tag == "bound":
                callers[value[1], value[2]].append((file, number, 1))
            elif tag == "class":
                for method in members.attribute(ev, ("instance", value[1], value[2]), "__init__"):
                    if method[0] == "bound":
                        callers[method[1], method[2]].append((file, number, 1))
            elif tag == "instance":
                for method in members.attribute(ev, value, "__call__"):
                    if method[0] == "bound":
                        callers[method[1], method[2]].append((file, number, 1))
    for file, record in enumerate(ev.files):
        for symbol in record.symbols:
            if symbol.decorators and symbol.scope >= 0:
                made = (ev.value_of_scope(file, symbol.scope),)
                for decorator in symbol.decorators:
                    applied = ev.evaluate(file, symbol.within, symbol.start_byte, decorator.value)
                    for value in applied:
                        if value[0] in ("function", "bound"):
                            callers[value[1], value[2]].append((None, made, int(value[0] == "bound")))
    return callers


# the graph


def _graph(
    ev: Evaluator,
    files: Sequence[FileRecord],
    sites: Sequence[tuple[int, int]],
    found: dict[tuple[int, int], Found],
    reached: dict[tuple[int, int], Values],
) -> Graph:
    ids = [symbol_ids(file) for file in files]
    modules = [module_id(file.path) for file in files]
    counts = {node: Counts() for file, names in enumerate(ids) for node in (modules[file], *names)}
    by_name = _unique_names(files)
    lines: dict[tuple[str, str, Origin, float], set[int]] = defaultdict(set)
    for file, number in sites:
        call = files[file].calls[number]
        owner = ev.indexes[file].owners[call.scope]
        caller = ids[file][owner] if owner >= 0 else modules[file]
        count = counts[caller]
        hit = found.get((file, number))
        if hit is None:
            external = _external(reached[file, number])
            if external is not None:
                count.external += 1
                count.external_names.add(external)
                continue
            candidates = _guess(ev, file, call, by_name, reached[file, number])
            if len(candidates) != 1:
                count.unresolved += 1
                count.ambiguous += len(candidates) > 1 or len(_targets(ev, reached[file, number])) > MAX_TARGETS
                continue
            hit = Found((candidates[0],), "unique_name", CONFIDENCE["unique_name"])
        count.resolved += 1
        for target_file, target in hit.targets:
            lines[caller, ids[target_file][target], hit.origin, hit.confidence].add(call.line)
    return Graph(files, ids, counts, _call_edges(lines) + structure_edges(ev, files, ids, modules))


def _call_edges(lines: dict[tuple[str, str, Origin, float], set[int]]) -> list[Edge]:
    """Return one edge for each caller and callee: of the surest origin, with all lines of its sites.

    Lines that only a guess gives stay with an edge of their own.
    """
    merged: dict[tuple[str, str, bool], tuple[Origin, float, set[int]]] = {}
    for (source, target, origin, confidence), at in lines.items():
        key = (source, target, origin == "unique_name")
        known = merged.get(key)
        if known is None:
            merged[key] = (origin, confidence, set(at))
        else:
            best = max((known[1], known[0]), (confidence, origin))
            merged[key] = (best[1], best[0], known[2] | at)
    return [
        Edge(source, target, "calls", tuple(sorted(at)), origin, confidence)
        for (source, target, _), (origin, confidence, at) in sorted(merged.items())
    ]


def _external(values: Values) -> str | None:
    for value in values:
        if value[0] in ("external", "external_instance"):
            return str(value[1])
        if value[0] == "method_of":
            return f"{_container_name(value[1])}.{value[2]}"
        if value[0] == "identity":
            return "functools.wraps()"
    return None


def _container_name(value: Value) -> str:
    return str(value[1]) if value[0] in CONTAINERS and value[0] != "container" else "list"


def _unique_names(files: Sequence[FileRecord]) -> dict[str, list[tuple[int, int]]]:
    by_name: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for file, record in enumerate(files):
        for number, symbol in enumerate(record.symbols):
            if symbol.kind in ("function", "method", "macro") and "overload" not in symbol.flags:
                by_name[symbol.name].append((file, number))
    return by_name


def _guess(
    ev: Evaluator, file: int, call: Call, by_name: dict[str, list[tuple[int, int]]], values: Values
) -> list[tuple[int, int]]:
    """Return the symbols that a site of an unknown receiver could mean by its name alone."""
    callee = call.callee
    if callee is None or callee[0] != "attr" or values:
        return []
    name = callee[2]
    if name in ev.traits[file].builtin_methods or name.startswith("__"):
        return []
    if callee[1] is not None and ev.evaluate(file, call.scope, call.at, callee[1]):
        return []  # the receiver is known, and has no such member
    language = ev.files[file].language
    return [
        candidate
        for candidate in by_name.get(name, ())
        if ev.files[candidate[0]].symbols[candidate[1]].parent >= 0 and ev.files[candidate[0]].language == language
    ]
