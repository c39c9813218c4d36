"""Which of several functions of one name a call means, in languages whose functions differ by their parameters.

The count of arguments decides first, then types, by the order of Java's phases (JLS 15.12.2: without boxing, with
boxing, variable arity), which C# shares in what is read here. One function is chosen where it takes every argument at
least as well as all others and one better. An argument of an unknown type decides nothing: where the parameters at
its place differ, the call is ambiguous. Its result still counts, since overloads mostly return the same.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from doctown.graph import members, types
from doctown.graph.values import NOTHING, Value, Values
from doctown.parsing.records import Binding, Call, Expr, Parameter

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

MISMATCH, BOXED_OBJECT, BOXED, OBJECT, ARRAY_OF_OBJECTS, SUBTYPE, EXACT = 0, 1, 2, 4, 5, 8, 10
MAX_UNBOUNDED = 1_000  # arguments of a variable arity
WIDER = {
    "byte": ("short", "int", "long", "float", "double", "decimal"),
    "short": ("int", "long", "float", "double", "decimal"),
    "char": ("int", "long", "float", "double", "decimal", "ushort", "uint"),
    "int": ("long", "float", "double", "decimal"),
    "uint": ("long", "ulong", "float", "double", "decimal"),
    "long": ("float", "double", "decimal"),
    "float": ("double",),
    "boolean": (),
    "bool": (),
    "double": (),
}
BOXES = {
    "byte": "Byte", "short": "Short", "char": "Character", "int": "Integer", "long": "Long", "float": "Float",
    "double": "Double", "boolean": "Boolean",
}  # fmt: skip
UNBOXES = {box: name for name, box in BOXES.items()}
ARRAYS = ("list", "tuple")  # an array, the array of a variable parameter
OBJECTS = frozenset({"Object", "object", "dynamic"})
SUPERTYPES = {
    "String": ("CharSequence", "Comparable", "Serializable"),
    "string": ("IEnumerable", "IComparable", "String"),
    **dict.fromkeys(("Integer", "Long", "Short", "Byte", "Float", "Double"), ("Number", "Comparable", "Serializable")),
}


def callees(ev: "Evaluator", file: int, call: Call) -> Values:
    """Return what a call site calls; ("ambiguous", functions) stands for those that nothing tells apart."""
    values = ev.evaluate(file, call.scope, call.at, call.callee)
    functions = [value for value in values if value[0] in ("function", "bound")]
    if not functions:
        return values
    others = tuple(value for value in values if value[0] not in ("function", "bound"))
    candidates = dict.fromkeys(functions)
    if functions[0][0] == "bound" or not any(_takes(ev, value, call) for value in functions):
        candidates.update(dict.fromkeys(_inherited(ev, file, call)))
    fitting = _without_overridden(ev, [value for value in candidates if _takes(ev, value, call)])
    kept = [group[0] if len(group) == 1 else _best(ev, file, call, group) for group in _by_receiver(fitting)]
    return (*others, *kept)


def _takes(ev: "Evaluator", function: Value, call: Call) -> bool:
    """Tell whether a function takes as many arguments as a call gives."""
    symbol = ev.symbol(function)
    if call.count < 0 or symbol is None:
        return True
    held = ev.indexes[function[1]].parameters.get(function[2], [])
    least = sum(parameter.default is None and parameter.kind != "rest" for parameter in held)
    most = MAX_UNBOUNDED if _is_variable(held) else len(held)
    return least - ("extension" in symbol.flags) <= call.count <= most


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
        for value in _searched(ev, holder):
            if value[0] == "class":
                seen_by = holder[3] if holder[0] == "super" else holder
                found.update(dict.fromkeys(members.own_member(ev, value, seen_by, callee[-1]) or ()))
    return tuple(value for value in found if value[0] in ("function", "bound"))


def _searched(ev: "Evaluator", holder: Value) -> list[Value]:
    """Return the classes in which a member of a receiver is looked for."""
    if holder[0] in ("instance", "class"):
        return members.order_of(ev, holder)
    if holder[0] == "super":
        return members.order_of(ev, ("class", holder[1], holder[2]))[1:]
    return []


def _without_overridden(ev: "Evaluator", functions: list[Value]) -> list[Value]:
    """Return functions, nearest class first, without those that a nearer one of the same receiver replaces."""
    seen: set[tuple[object, ...]] = set()
    kept: list[Value] = []
    for value in functions:
        held = ev.indexes[value[1]].parameters.get(value[2], [])
        key = (value[3] if value[0] == "bound" else None, tuple(_name(ev, value, parameter.type) for parameter in held))
        if key not in seen:
            seen.add(key)
            kept.append(value)
    return kept


def _by_receiver(functions: list[Value]) -> list[list[Value]]:
    groups: dict[Value | None, list[Value]] = defaultdict(list)
    for value in functions:
        groups[value[3] if value[0] == "bound" else None].append(value)
    return list(groups.values())


def _best(ev: "Evaluator", file: int, call: Call, functions: list[Value]) -> Value:
    """Return the function that takes the arguments best."""
    given = [_given(ev, file, call, position) for position in range(max(call.count, 0))]
    rated = [(value, _rates(ev, value, call, given)) for value in functions]
    rated = [(value, rates) for value, rates in rated if MISMATCH not in rates]
    fixed = [entry for entry in rated if not _is_variable(ev.indexes[entry[0][1]].parameters.get(entry[0][2], []))]
    if any(None not in rates for _, rates in fixed):
        rated = fixed  # variable arity is tried last
    if len(rated) == 1:
        return rated[0][0]
    for value, rates in rated:
        if all(other == value or _beats(ev, call, (value, rates), (other, held)) for other, held in rated):
            return value
    return ("ambiguous", tuple(value for value, _ in rated) or tuple(functions))


def _beats(
    ev: "Evaluator", call: Call, one: tuple[Value, list[int | None]], other: tuple[Value, list[int | None]]
) -> bool:
    better = False
    for position, (mine, theirs) in enumerate(zip(one[1], other[1], strict=True)):
        if mine is None or theirs is None:
            names = [_name(ev, value, _declared(ev, value, call, position)) for value in (one[0], other[0])]
            if names[0] != names[1]:
                return False
        elif mine < theirs:
            return False
        else:
            better = better or mine > theirs
    return better


def _is_variable(held: list[Parameter]) -> bool:
    return bool(held) and held[-1].kind == "rest"


def _declared(ev: "Evaluator", function: Value, call: Call, position: int) -> Expr:
    """Return the declared type of the parameter that takes an argument."""
    held = ev.indexes[function[1]].parameters.get(function[2], [])
    symbol = ev.symbol(function)
    if symbol is not None and "extension" in symbol.flags and len(held) > call.count:
        position += 1
    if position >= len(held):
        return held[-1].type if _is_variable(held) else None
    return held[position].type


def _given(ev: "Evaluator", file: int, call: Call, position: int) -> Values:
    if position >= len(call.args) or call.args[position] is None:
        return NOTHING
    return ev.evaluate(file, call.scope, call.at, call.args[position])


def _rates(ev: "Evaluator", function: Value, call: Call, given: list[Values]) -> list[int | None]:
    """Return how well a function takes each argument; None where its type is unknown."""
    held = ev.indexes[function[1]].parameters.get(function[2], [])
    found: list[int | None] = []
    for position, values in enumerate(given):
        declared = _declared(ev, function, call, position)
        rates = [_rate(ev, function, declared, value) for value in values]
        if _is_variable(held) and position == len(held) - 1 == len(given) - 1:  # an array may stand for all
            whole = ("generic", ("literal", "list"), (declared,))
            rates = [_better(rate, _rate(ev, function, whole, v)) for rate, v in zip(rates, values, strict=True)]
        known = [rate for rate in rates if rate is not None]
        found.append(max(known) if known and len(known) == len(rates) else None)
    return found


def _better(one: int | None, other: int | None) -> int | None:
    known = max(one or 0, other or 0)
    return known if known > MISMATCH or (one is not None and other is not None) else None


def _rate(ev: "Evaluator", function: Value, declared: Expr, value: Value) -> int | None:
    """Return how well a parameter takes a value."""
    if declared is None:
        return None
    wanted = _name(ev, function, declared)
    tag = value[0]
    if tag == "instance":
        return _rate_instance(ev, function, declared, value)
    if tag in ("sequence", "mapping", "container"):
        return _rate_container(ev, wanted, value)
    if tag in ("function", "bound"):
        return MISMATCH if wanted in BOXES or wanted in ("String", "string") or wanted.startswith("[]") else None
    if tag == "external_instance":
        return _rate_external(ev, function, declared, str(value[1]))
    return None


def _rate_instance(ev: "Evaluator", function: Value, declared: Expr, value: Value) -> int | None:
    classes = types.classes(ev, function[1], function[2], 0, declared)
    order = members.order_of(ev, value)
    places = [order.index(wanted) for wanted in classes if wanted in order]
    if places:
        return EXACT - min(*places, 2)
    name = _name(ev, function, declared)
    if name in OBJECTS:
        return OBJECT
    if classes or name in BOXES or name in UNBOXES or name.startswith("[]") or name in ("String", "string"):
        return MISMATCH
    return None if any(base[0] == "external" for base in order) else MISMATCH


def _rate_container(ev: "Evaluator", wanted: str, value: Value) -> int | None:
    if value[0] != "sequence" or value[1] not in ARRAYS:
        same = value[0] != "container" and str(value[1]) == wanted
        simple = wanted in BOXES or wanted in UNBOXES or wanted in ("String", "string") or wanted.startswith("[]")
        return EXACT if same else OBJECT if wanted in OBJECTS else MISMATCH if simple else None
    if not wanted.startswith("[]"):
        return OBJECT if wanted in OBJECTS or wanted in ("Cloneable", "Serializable") else MISMATCH
    elements = [_value_name(ev, element) for element in value[2][0]] if value[2] else []
    if len(elements) != 1 or not elements[0]:
        return None
    element, name = elements[0], wanted[2:]
    if element == name:
        return EXACT
    if element in WIDER or name in WIDER or name.startswith("[]") != element.startswith("[]"):
        return MISMATCH
    return ARRAY_OF_OBJECTS if name in OBJECTS else None


def _value_name(ev: "Evaluator", value: Value) -> str:
    if value[0] == "instance":
        symbol = ev.symbol(value)
        return symbol.name if symbol else ""
    if value[0] == "external_instance" and not str(value[1]).endswith(")"):
        return str(value[1]).rpartition(".")[2]
    if value[0] == "sequence" and value[1] in ARRAYS and value[2] and len(value[2][0]) == 1:
        return "[]" + _value_name(ev, value[2][0][0])
    return ""


def _rate_external(  # noqa: C901, PLR0911 - one rule a line
    ev: "Evaluator", function: Value, declared: Expr, full_name: str
) -> int | None:
    name, wanted = full_name.rpartition(".")[2], _name(ev, function, declared)
    if full_name.endswith(")") or not wanted:
        return None
    if name in ("null", "default"):
        return MISMATCH if wanted in WIDER else None
    if name == wanted or name.lower() == wanted.lower() == "string":
        return EXACT
    if name in WIDER:
        if wanted in WIDER[name]:
            return SUBTYPE - WIDER[name].index(wanted)
        if wanted == BOXES.get(name):
            return BOXED
        return BOXED_OBJECT if wanted in OBJECTS or wanted in ("Number", "Comparable", "Serializable") else MISMATCH
    if wanted in WIDER:
        return BOXED if UNBOXES.get(name) == wanted else MISMATCH
    if wanted in SUPERTYPES.get(name, ()):
        return SUBTYPE
    if wanted in OBJECTS:
        return OBJECT
    if (
        name in OBJECTS
        or name in SUPERTYPES
        or wanted.startswith("[]")
        or types.classes(ev, function[1], function[2], 0, declared)
    ):
        return MISMATCH
    return None


def _name(ev: "Evaluator", function: Value, declared: Expr) -> str:
    """Return the name of a declared type; `[]` before that of an array's elements; a type variable's is its bound's."""
    if declared is None:
        return ""
    if declared[0] == "generic":
        if declared[1] == ("literal", "list"):
            return "[]" + _name(ev, function, declared[2][0])
        return _name(ev, function, declared[1])
    if declared[0] == "name":
        entries, _ = ev.entries(function[1], function[2], declared[1])
        bound = entries[0] if len(entries) == 1 else None
        if isinstance(bound, Binding) and bound.kind == "type":
            return "Object" if bound.value is None else _name(ev, function, bound.value)
    if declared[0] == "any":
        return _name(ev, function, declared[1][0])
    return str(declared[-1]) if declared[0] in ("name", "literal", "attr") else ""
