"""Which of several functions of one name a call means, in languages whose functions differ by their parameters.

The count of arguments decides, then types where both sides are known. What is still not decided is ambiguous: no edge, but
its result counts, since overloads mostly return the same.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from doctown.graph import members, types
from doctown.graph.values import NOTHING, Value, Values
from doctown.parsing.records import Call, Expr

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

# Literal types that a parameter of another literal type can take.
NUMBERS = frozenset({"int", "long", "short", "byte", "char", "float", "double", "uint", "ulong", "decimal"})


def callees(ev: "Evaluator", file: int, call: Call) -> Values:
    """Return what a call site calls."""
    return chosen(ev, file, call, ev.evaluate(file, call.scope, call.at, call.callee))


def chosen(ev: "Evaluator", file: int, call: Call, values: Values) -> Values:
    """Return the values that a call can mean; ("ambiguous", functions) stands for those that nothing tells apart."""
    functions = [value for value in values if value[0] in ("function", "bound")]
    if not functions:
        return values
    others = tuple(value for value in values if value[0] not in ("function", "bound"))
    fitting = [value for value in functions if fits(ev, value, call)]
    if not fitting:
        fitting = [value for value in _inherited(ev, file, call) if fits(ev, value, call)]
    kept: list[Value] = []
    for group in _by_class(ev, fitting):
        left = group if len(group) == 1 else [value for value in group if _types_fit(ev, file, call, value)]
        kept += left if len(left) == 1 else [("ambiguous", tuple(left or group))]
    return (*others, *kept)


def fits(ev: "Evaluator", function: Value, call: Call) -> bool:
    """Tell whether a function takes as many arguments as a call gives."""
    if call.count < 0:
        return True
    symbol = ev.symbol(function)
    if symbol is None:
        return True
    held = ev.indexes[function[1]].parameters.get(function[2], [])
    least = sum(parameter.default is None and parameter.kind != "rest" for parameter in held)
    most = 1_000 if any(parameter.kind == "rest" for parameter in held) else len(held)
    extension = "extension" in symbol.flags
    return least - extension <= call.count <= most


def _inherited(ev: "Evaluator", file: int, call: Call) -> Values:
    """Return the functions of the called name in all bases of the receiver."""
    callee = call.callee
    if callee is None or callee[0] not in ("attr", "name"):
        return NOTHING
    if callee[0] == "attr":
        holders = ev.evaluate(file, call.scope, call.at, callee[1])
    else:
        holders = tuple(("instance", value[1], value[2]) for value in ev.class_around(file, call.scope))
    found: dict[Value, None] = {}
    for holder in holders:
        if holder[0] not in ("instance", "class"):
            continue
        for value in members.order_of(ev, holder):
            if value[0] == "class":
                found.update(dict.fromkeys(members.own_member(ev, value, holder, callee[-1]) or ()))
    return tuple(value for value in found if value[0] in ("function", "bound"))


def _by_class(ev: "Evaluator", functions: list[Value]) -> list[list[Value]]:
    groups: dict[tuple[int, int], list[Value]] = defaultdict(list)
    for value in functions:
        symbol = ev.symbol(value)
        groups[value[1], symbol.parent if symbol else -1].append(value)
    return list(groups.values())


def _types_fit(ev: "Evaluator", file: int, call: Call, function: Value) -> bool:
    """Tell whether no argument is of a type that the parameter at its place cannot take."""
    symbol = ev.symbol(function)
    held = ev.indexes[function[1]].parameters.get(function[2], [])
    offset = int(symbol is not None and "extension" in symbol.flags and len(held) > call.count)
    for position, argument in enumerate(call.args):
        if argument is None or position + offset >= len(held):
            continue
        parameter = held[position + offset]
        given = ev.evaluate(file, call.scope, call.at, argument)
        if parameter.kind != "rest" and given and not any(
            _accepts(ev, function, parameter.type, value) for value in given
        ):
            return False
    return True


def _accepts(ev: "Evaluator", function: Value, declared: Expr, given: Value) -> bool:
    if declared is None:
        return True
    file, scope = function[1], function[2]
    if given[0] == "instance":
        wanted = types.classes(ev, file, scope, 0, declared)
        if wanted:
            return any(value in members.order_of(ev, given) for value in wanted)
        return declared[0] != "literal" and declared not in (("name", "String"), ("name", "Class"))
    if given[0] == "external_instance":
        name = str(given[1]).rpartition(".")[2]
        wanted_name = str(declared[-1]) if declared[0] in ("literal", "name", "attr") else ""
        if name in NUMBERS and declared[0] == "literal":
            return wanted_name in NUMBERS
        if name in ("String", "string", "boolean", "bool"):
            return wanted_name.lower() in (name.lower(), "object", "charsequence", "", "t") or len(wanted_name) == 1
        return not (name in NUMBERS and types.classes(ev, file, scope, 0, declared))
    if given[0] in ("function",):
        return declared[0] != "literal" and declared != ("name", "String")
    return True
