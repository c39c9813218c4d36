"""From the records of a repository to its graph: every call site resolved, external, ambiguous or unresolved.

What rests on the arguments that known callers pass is found in later rounds, once the callers are known.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from doctown.graph import members
from doctown.graph.evaluate import OPEN, Callers, Evaluator
from doctown.graph.links import structure_edges
from doctown.graph.model import Counts, Edge, Graph, Origin, module_id, symbol_ids
from doctown.graph.modules import ProjectConfig, find_modules
from doctown.graph.returns import MAX_CALLERS
from doctown.graph.sites import AMBIGUOUS, CONVERSION, Classifier, External, Found
from doctown.graph.values import Value, Values
from doctown.parsing.records import FileRecord

CALLER_ROUNDS = 2  # each may find callers by what the one before found that arguments are


def resolve(files: Sequence[FileRecord], config: ProjectConfig | None = None) -> Graph:
    """Return the graph of a repository. Pure: the same records give the same graph."""
    ev = Evaluator(files, find_modules(files, config or ProjectConfig()))
    sites: Iterable[tuple[int, int]] = (
        (file, number) for file, record in enumerate(files) for number in range(len(record.calls))
    )
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


def _add_callers(
    ev: Evaluator, file: int, number: int, values: Values, callers: dict[tuple[int, int], Callers]
) -> None:
    """Note a site as a caller of the functions that it calls, where it passes anything."""
    call = ev.files[file].calls[number]
    if not (call.args or call.keywords) or call.kind == "decorator":
        return
    for value in values:
        known = ev.called_through.get(value)
        if known is None:
            known = ev.called_through[value] = tuple(_called_through(ev, value))
        for function, bound in known:
            of_function = callers[function]
            if len(of_function) <= MAX_CALLERS:  # of more, none is looked at
                of_function[file, number] = bound


def _called_through(ev: Evaluator, value: Value) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield the functions that a call of a value runs, by file and scope, with 1 where a receiver is bound."""
    tag = value[0]
    if tag in ("function", "bound"):
        yield (value[1], value[2]), int(tag == "bound")
    elif tag in ("class", "instance"):
        # As of a class, so of an instance: both are called through a method of theirs.
        names = ev.traits[value[1]].constructors if tag == "class" else ("__call__",)
        for name in sorted(names):
            for method in members.attribute(ev, ("instance", value[1], value[2]), name):
                if method[0] == "bound":
                    yield (method[1], method[2]), 1


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
    classifier = Classifier(ev)
    edges = structure_edges(ev, files, ids, modules)
    for file in range(len(files)):
        edges += _calls_of_file(ev, classifier, file, ids, [modules[file], *ids[file]], counts)
    return Graph(files, ids, counts, sorted(edges))


def _calls_of_file(  # noqa: PLR0913, PLR0917 - the tables of a graph
    ev: Evaluator,
    classifier: Classifier,
    file: int,
    ids: Sequence[Sequence[str]],
    callers: Sequence[str],
    counts: dict[str, Counts],
) -> list[Edge]:
    """Count a file's call sites; return its calls: for each caller and callee one edge, and one of guesses.

    An edge has all lines of its sites, and the origin of the surest.
    """
    owners = ev.indexes[file].owners
    of_callers = [counts[caller] for caller in callers]
    found: dict[tuple[int, int, int, bool], tuple[float, Origin, set[int]]] = {}
    for call, outcome in zip(ev.files[file].calls, classifier.outcomes(file), strict=True):
        owner = owners[call.scope] + 1  # 0 is the module
        count = of_callers[owner]
        if type(outcome) is not Found:
            name = outcome.name if type(outcome) is External else "" if outcome is CONVERSION else None
            count.add(name, ambiguous=outcome is AMBIGUOUS)
            continue
        count.resolved += 1
        key = (owner, *outcome.target, outcome.origin == "unique_name")
        known = found.get(key)
        if known is None:
            found[key] = (outcome.confidence, outcome.origin, {call.line})
        else:
            known[2].add(call.line)
            if known[0] < outcome.confidence:
                found[key] = (outcome.confidence, outcome.origin, known[2])
    return [
        Edge(callers[owner], ids[target_file][target], "calls", tuple(sorted(lines)), origin, confidence)
        for (owner, target_file, target, _), (confidence, origin, lines) in found.items()
    ]
