"""From the records of a repository to its graph: every call site resolved, external, ambiguous or unresolved.

The first rung of the ladder that answers names the edge's origin. What rests on the arguments that known callers pass is
found in later rounds, with a lower confidence; what only its name points to is a guess (`unique_name`).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from doctown.graph import members
from doctown.graph.evaluate import ASSUMED, OPEN, Callers, Evaluator
from doctown.graph.links import structure_edges
from doctown.graph.model import Counts, Edge, Graph, Origin, module_id, symbol_ids
from doctown.graph.modules import ProjectConfig, find_modules
from doctown.graph.values import Value, Values
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
CALLER_ROUNDS = 2  # each may find callers by what the one before found that arguments are
OUTSIDE = frozenset({"external", "external_instance", "method_of"})  # values that lead out of the repository


class Found(NamedTuple):
    """What one call site was found to call."""

    target: tuple[int, int]  # file, symbol
    origin: Origin
    confidence: float


def resolve(files: Sequence[FileRecord], config: ProjectConfig | None = None) -> Graph:
    """Return the graph of a repository. Pure: the same records give the same graph."""
    ev = Evaluator(files, find_modules(files, config or ProjectConfig()))
    sites = [(file, number) for file, record in enumerate(files) for number in range(len(record.calls))]
    callers: dict[tuple[int, int], Callers] = defaultdict(dict)
    for _ in range(CALLER_ROUNDS):
        still_open = []
        for file, number in sites:
            ev.flags = 0
            values = ev.callees(file, number)
            if ev.flags & OPEN:
                still_open.append((file, number))
            if values:
                _add_callers(ev, file, number, values, callers)
        _apply_decorators(ev, callers)
        if not still_open:
            break
        sites = still_open
        ev.callers = callers
        ev.forget_open()
    return _graph(ev)


def _targets(ev: Evaluator, values: Values) -> tuple[tuple[int, int], ...]:
    """Return the symbols that values lead to."""
    if len(values) == 1 and values[0][0] == "class":
        return (values[0][1:],)
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
    return _merged(ev, tuple(targets))


def _merged(ev: Evaluator, targets: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return targets with the definitions of one name as one: the last of overloads and conditional definitions."""
    if len(targets) < 2:  # noqa: PLR2004 - nothing to merge
        return targets
    by_name = {}
    for file, number in sorted(targets):
        by_name[file, ev.files[file].symbols[number].qualified_name] = (file, number)
    return tuple(by_name.values())


def _found(  # noqa: PLR0913 - one site
    ev: Evaluator, file: int, call: Call, target: tuple[int, int], values: Values, *, assumed: bool
) -> Found:
    origin = _origin(ev, file, call, target, values)
    confidence = CONFIDENCE[origin]
    return Found(target, origin, min(confidence, ASSUMED_CONFIDENCE) if assumed else confidence)


def _origin(ev: Evaluator, file: int, call: Call, target: tuple[int, int], values: Values) -> Origin:
    callee = call.callee
    if callee is None or callee[0] not in ("name", "attr") or values[0][0] == "instance":
        return "typed"
    if callee[0] == "name":
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


def _add_callers(
    ev: Evaluator, file: int, number: int, values: Values, callers: dict[tuple[int, int], Callers]
) -> None:
    """Note a site as a caller of the functions that it calls."""
    if ev.files[file].calls[number].kind == "decorator":
        return
    for value in values:
        tag = value[0]
        if tag in ("function", "bound"):
            callers[value[1], value[2]][file, number] = int(tag == "bound")
        elif tag in ("class", "instance"):
            name = "__init__" if tag == "class" else "__call__"
            for method in members.attribute(ev, ("instance", value[1], value[2]), name):
                if method[0] == "bound":
                    callers[method[1], method[2]][file, number] = 1


def _apply_decorators(ev: Evaluator, callers: dict[tuple[int, int], Callers]) -> None:
    """Note what decorators are applied to as what is passed to them."""
    for file, record in enumerate(ev.files):
        for symbol in record.symbols:
            for decorator in symbol.decorators if symbol.scope >= 0 else ():
                made = (ev.value_of_scope(file, symbol.scope),)
                for value in ev.evaluate(file, symbol.within, symbol.start_byte, decorator.value):
                    if value[0] in ("function", "bound"):
                        position = int(value[0] == "bound")
                        callers[value[1], value[2]][-1 - file, symbol.scope] = (made, position)


# the graph


def _graph(ev: Evaluator) -> Graph:
    files = ev.files
    ids = [symbol_ids(file) for file in files]
    modules = [module_id(file.path) for file in files]
    counts = {node: Counts() for file, names in enumerate(ids) for node in (modules[file], *names)}
    by_name = _unique_names(files)
    edges: dict[tuple[str, str, bool], tuple[float, Origin, set[int]]] = {}
    for file, record in enumerate(files):
        owners = ev.indexes[file].owners
        for number, call in enumerate(record.calls):
            owner = owners[call.scope]
            caller = ids[file][owner] if owner >= 0 else modules[file]
            found = _classify(ev, file, number, by_name, counts[caller])
            if found is None:
                continue
            target_file, target = found.target
            key = (caller, ids[target_file][target], found.origin == "unique_name")
            known = edges.get(key)
            if known is None:
                edges[key] = (found.confidence, found.origin, {call.line})
                continue
            known[2].add(call.line)
            if known[0] < found.confidence:
                edges[key] = (found.confidence, found.origin, known[2])
    calls = [
        Edge(source, target, "calls", tuple(sorted(lines)), origin, confidence)
        for (source, target, _), (confidence, origin, lines) in edges.items()
    ]
    return Graph(files, ids, counts, sorted(calls + structure_edges(ev, files, ids, modules)))


def _classify(
    ev: Evaluator, file: int, number: int, by_name: dict[str, list[tuple[int, int]]], count: Counts
) -> Found | None:
    """Count a call site; return what it calls where that is known or guessed."""
    ev.flags = 0
    values = ev.callees(file, number)
    flags = ev.flags
    call = ev.files[file].calls[number]
    targets = _targets(ev, values) if values else ()
    mixed = len(targets) > 0 and any(value[0] in OUTSIDE for value in values)
    if len(targets) == 1 and not mixed:
        count.resolved += 1
        return _found(ev, file, call, targets[0], values, assumed=bool(flags & ASSUMED))
    external = _external(ev, values) if values and not targets else None
    if external is not None:
        count.external += 1
        count.external_names.add(external)
        return None
    candidates = _guess(ev, file, call, by_name) if not values else []
    if len(candidates) == 1:
        count.resolved += 1
        return Found(candidates[0], "unique_name", CONFIDENCE["unique_name"])
    count.unresolved += 1
    count.ambiguous += len(candidates) > 1 or len(targets) > 1 or mixed
    return None


def _external(ev: Evaluator, values: Values) -> str | None:
    for value in values:
        if value[0] in ("external", "external_instance"):
            return str(value[1])
        if value[0] == "method_of":
            return f"{_container_name(ev, value[1])}.{value[2]}"
        if value[0] == "identity":
            return "functools.wraps()"
    return None


def _container_name(ev: Evaluator, value: Value) -> str:
    """Return the builtin type of a container."""
    expr = ev.containers[value[1]][3] if value[0] == "container" else value
    return str(expr[1]) if expr else ""


def _unique_names(files: Sequence[FileRecord]) -> dict[str, list[tuple[int, int]]]:
    by_name: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for file, record in enumerate(files):
        for number, symbol in enumerate(record.symbols):
            if symbol.kind in ("function", "method", "macro") and "overload" not in symbol.flags:
                by_name[symbol.name].append((file, number))
    return by_name


def _guess(ev: Evaluator, file: int, call: Call, by_name: dict[str, list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Return the symbols that a site of an unknown receiver could mean by its name alone."""
    callee = call.callee
    if callee is not None and callee[0] == "name" and ev.traits[file].by_name:
        return _guess_bare(ev, file, callee[1], by_name)
    if callee is None or callee[0] != "attr":
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
        if ev.files[candidate[0]].language == language
        and (ev.files[candidate[0]].symbols[candidate[1]].parent >= 0 or ev.traits[file].by_name)
    ]


def _guess_bare(
    ev: Evaluator, file: int, name: str, by_name: dict[str, list[tuple[int, int]]]
) -> list[tuple[int, int]]:
    """Return the symbols of other files that a bare name can mean where no import says so (C)."""
    language = ev.files[file].language
    return [
        (other, number)
        for other, number in by_name.get(name, ())
        if ev.files[other].language == language and (other == file or ev.files[other].symbols[number].exported)
    ]
