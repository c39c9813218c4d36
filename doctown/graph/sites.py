"""What one call site was found to be: a call of a symbol, a call out of the repository, or not known.

The first rung of the ladder that answers names the origin of a call's edge, and with it its confidence.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from doctown.graph import constants, members
from doctown.graph.evaluate import ASSUMED, Evaluator
from doctown.graph.model import Origin
from doctown.graph.traits import DEFAULT, TRAITS
from doctown.graph.values import Value, Values
from doctown.parsing.records import Call, Expr, FileRecord

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
OUTSIDE = frozenset({"external", "external_instance", "method_of"})  # values that lead out of the repository

Target: TypeAlias = tuple[int, int]  # file, symbol


class Found(NamedTuple):
    """A call of a symbol."""

    target: Target
    origin: Origin
    confidence: float


class External(NamedTuple):
    """A call of something outside of the repository."""

    name: str


class Unresolved(NamedTuple):
    """A call of something that is not known; ambiguous where it can be several symbols."""

    ambiguous: bool


class Conversion(NamedTuple):
    """No call: `Type(x)` of a language in which that converts."""


Outcome: TypeAlias = Found | External | Unresolved | Conversion
UNKNOWN, AMBIGUOUS, CONVERSION = Unresolved(ambiguous=False), Unresolved(ambiguous=True), Conversion()


class Classifier:
    """Classifies call sites; what a name gives is classified once for each file."""

    def __init__(self, ev: Evaluator) -> None:
        self.ev = ev
        self._by_name = _methods_by_name(ev.files)
        self._known: dict[tuple[int, int, int], Outcome] = {}

    def outcome(self, file: int, number: int) -> Outcome:
        """Return what a site was found to be."""
        found = self._outcome(file, number)
        if type(found) is Found or not self.ev.traits[file].separate_types:
            return found
        call = self.ev.files[file].calls[number]
        constant = constants.called(self.ev, file, call.scope, call.callee)
        if constant is None:
            return found
        origin = _origin(self.ev, file, call, constant, ())
        return Found(constant, origin, CONFIDENCE[origin])

    def _outcome(self, file: int, number: int) -> Outcome:
        ev = self.ev
        ev.flags = 0
        values = ev.callees(file, number)
        call = ev.files[file].calls[number]
        if not values:
            return self._guess(file, call)
        callee = call.callee
        if callee is None or callee[0] != "name":
            return self._of_values(file, call, values, assumed=bool(ev.flags & ASSUMED))
        key = (file, id(values), ev.flags)  # the evaluator keeps the values, so that the id stays theirs
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._of_values(file, call, values, assumed=bool(ev.flags & ASSUMED))
        return known

    def _of_values(self, file: int, call: Call, values: Values, *, assumed: bool) -> Outcome:
        traits = self.ev.traits[file]
        if traits.types_convert and all(value[0] == "class" for value in values):
            return CONVERSION
        if any(value[0] == "ambiguous" for value in values):
            return AMBIGUOUS
        targets = _targets(self.ev, values)
        if not targets:
            name = _external_name(self.ev, values)
            return External(_plain(name, traits.method_mark)) if name else UNKNOWN
        if len(targets) > 1 or any(value[0] in OUTSIDE for value in values):
            return AMBIGUOUS
        origin = _origin(self.ev, file, call, targets[0], values)
        confidence = CONFIDENCE[origin]
        return Found(targets[0], origin, min(confidence, ASSUMED_CONFIDENCE) if assumed else confidence)

    def _guess(self, file: int, call: Call) -> Outcome:
        """Return the only method that bears the name of one that is called on an unknown receiver."""
        callee, ev = call.callee, self.ev
        if callee is not None and callee[0] == "name" and ev.traits[file].by_name:
            return self._guess_bare(file, callee[1])
        if callee is None or callee[0] != "attr":
            return UNKNOWN
        name = callee[2]
        if name in ev.traits[file].builtin_methods or name.startswith("__"):
            return UNKNOWN
        if callee[1] is not None and ev.evaluate(file, call.scope, call.at, callee[1]):
            return UNKNOWN  # the receiver is known, and has no such member
        bare = name.removesuffix(ev.traits[file].method_mark)
        return _only(self._by_name.get((ev.files[file].language, bare), ()))

    def _guess_bare(self, file: int, name: str) -> Outcome:
        """Return the only symbol that a bare name can mean where imports do not say so (C)."""
        files = self.ev.files
        candidates = self._by_name.get((files[file].language, name), ())
        return _only([at for at in candidates if at[0] == file or files[at[0]].symbols[at[1]].exported])


def _only(candidates: Sequence[Target]) -> Outcome:
    if len(candidates) == 1:
        return Found(candidates[0], "unique_name", CONFIDENCE["unique_name"])
    return AMBIGUOUS if candidates else UNKNOWN


def _methods_by_name(files: Sequence[FileRecord]) -> dict[tuple[str, str], list[Target]]:
    """Return the functions that are members of something, by language and name; all where values are not followed."""
    found: dict[tuple[str, str], list[Target]] = defaultdict(list)
    for file, record in enumerate(files):
        takes_all = TRAITS.get(record.language, DEFAULT).by_name
        for number, symbol in enumerate(record.symbols):
            is_member = takes_all or symbol.parent >= 0 or symbol.owner is not None
            left_out = "overload" in symbol.flags or "local" in symbol.flags
            if is_member and symbol.kind in ("function", "method", "macro") and not left_out:
                found[record.language, symbol.name].append((file, number))
    return found


def _targets(ev: Evaluator, values: Values) -> tuple[Target, ...]:
    """Return the symbols that values lead to."""
    if len(values) == 1 and values[0][0] == "class":
        return (values[0][1:],)
    targets: dict[Target, None] = {}
    for value in values:
        tag = value[0]
        if tag == "class":
            if ev.files[value[1]].symbols[value[2]].kind != "module":  # a namespace is not called
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


def _merged(ev: Evaluator, targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Return targets with the definitions of one name as one: the last of overloads and conditional definitions."""
    if len(targets) < 2:  # noqa: PLR2004 - nothing to merge
        return targets
    by_name = {}
    for file, number in sorted(targets):
        by_name[file, ev.files[file].symbols[number].qualified_name] = (file, number)
    return tuple(by_name.values())


def _origin(ev: Evaluator, file: int, call: Call, target: Target, values: Values) -> Origin:  # noqa: PLR0911 - one form each
    callee = call.callee
    if callee is None or callee[0] not in ("name", "attr") or (values and values[0][0] == "instance"):
        return "typed"
    if callee[0] == "name":
        if _is_receiver(ev, file, call.scope, callee):  # cls()
            return "self"
        if values and values[0][0] == "bound" and ev.traits[file].bare_members:
            return _own_or_inherited(ev, file, call.scope, target)
        return "lexical" if target[0] == file else "import"
    holder = callee[1]
    tags = {value[0] for value in ev.evaluate(file, call.scope, call.at, holder)}
    if "super" in tags:
        return "inherited"
    if _is_receiver(ev, file, call.scope, holder):
        return _own_or_inherited(ev, file, call.scope, target)
    return "qualified" if tags & {"module", "class"} else "typed"


def _own_or_inherited(ev: Evaluator, file: int, scope: int, target: Target) -> Origin:
    """Tell a member of the class around a place from one of its bases, and from what an attribute holds."""
    symbol = ev.files[target[0]].symbols[target[1]]
    around = ev.class_around(file, scope)
    if ("class", target[0], symbol.parent) in around:
        return "self"
    if symbol.parent >= 0 and any(
        members.is_same_type(ev, value, ("class", target[0], symbol.parent)) for value in around
    ):
        return "self"
    if symbol.owner is not None:
        held = ("function", target[0], symbol.scope)
        own = any(held in ev.owned_members(value).get(symbol.name, ()) for value in around)
        return "self" if own else "inherited"
    inherited = any(("class", target[0], symbol.parent) in members.order_of(ev, value) for value in around)
    return "inherited" if inherited else "typed"


def _is_receiver(ev: Evaluator, file: int, scope: int, holder: Expr) -> bool:
    if holder is None or holder[0] != "name":
        return holder == ("self",)
    entries, _ = ev.entries(file, scope, holder[1])
    return len(entries) == 1 and getattr(entries[0], "kind", "") == "receiver"


def _external_name(ev: Evaluator, values: Values) -> str | None:
    """Return what the first external value is called."""
    for value in values:
        if value[0] in ("external", "external_instance"):
            return str(value[1])
        if value[0] == "method_of":
            return f"{_container_name(ev, value[1])}.{value[2]}"
        if value[0] == "identity":
            return "functools.wraps()"
    return None


def _plain(name: str, mark: str) -> str:
    """Return a name without the marks that tell methods and fields apart."""
    return name.replace("()()", "()").removesuffix(mark) if mark else name.replace("..", ".")


def _container_name(ev: Evaluator, value: Value) -> str:
    """Return the builtin type of a container."""
    expr = ev.containers[value[1]][3] if value[0] == "container" else value
    return str(expr[1]) if expr else ""
