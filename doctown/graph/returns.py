"""What a call gives, and what a parameter is: from declarations, from bodies, from known callers."""

from typing import TYPE_CHECKING, NamedTuple

from doctown.graph import containers, library, members, signatures, types
from doctown.graph.values import CONTAINERS, NOTHING, Value, Values, union
from doctown.parsing.records import Expr, Parameter, Symbol

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

ASSUMED, OPEN = 1, 2
MAX_CALLERS = 24  # of a function whose parameter has no declared type
MAX_PASSED = 4  # different values that they pass: more say nothing precise
CLASS_RECEIVERS = frozenset({"classmethod", "__new__", "__init_subclass__", "__class_getitem__"})


class Site(NamedTuple):
    """A call site: its file and number."""

    file: int
    call: int


def call_result(ev: "Evaluator", file: int, number: int) -> Values:
    """Return what a call site gives."""
    site = Site(file, number)
    callees = ev.callees(file, number)
    if len(callees) == 1:
        return result_of(ev, callees[0], site)
    return union(result_of(ev, callee, site) for callee in callees) if callees else _same_type(ev, site)


def _same_type(ev: "Evaluator", site: Site) -> Values:
    """Return the receiver of a method like Rust's derived `clone`."""
    call = ev.files[site.file].calls[site.call]
    callee = call.callee
    if callee is None or callee[0] != "attr" or callee[2] not in ev.traits[site.file].same_type:
        return NOTHING
    held = ev.evaluate(site.file, call.scope, call.at, callee[1])
    return tuple(value for value in held if value[0] == "instance")


def result_of(ev: "Evaluator", callee: Value, site: Site | None) -> Values:  # noqa: PLR0911 - one form each
    """Return what calling a value gives; `site` has the arguments where they are known."""
    tag = callee[0]
    if tag == "class":
        return (("instance", callee[1], callee[2]),)
    if tag in ("function", "bound"):
        result = _function_result(ev, callee, site)
        return result or (signatures.constructed(ev, callee, site) if site is not None else NOTHING)
    if tag == "instance" and ev.traits[callee[1]].separate_types:
        return signatures.called_instance(ev, callee, site)
    if tag == "instance":
        return union(result_of(ev, method, site) for method in members.attribute(ev, callee, "__call__"))
    if tag == "external":
        return library.result(ev, callee[1], site)
    if tag == "method_of":
        return containers.method_result(ev, callee[1], callee[2], site)
    if tag == "callable":
        return signatures.result(ev, callee)
    if tag == "identity":
        return argument(ev, site, 0) if site else NOTHING
    if tag == "ambiguous":
        return union(_function_result(ev, value, site) for value in callee[1])
    return NOTHING


def argument(ev: "Evaluator", site: Site, position: int, keyword: str = "") -> Values:
    """Return the values of an argument of a call site."""
    call = ev.files[site.file].calls[site.call]
    expr: Expr = None
    if 0 <= position < len(call.args):
        expr = call.args[position]
    elif keyword:
        expr = next((value for name, value in call.keywords if name == keyword), None)
    for before, earlier in enumerate(call.args[: position + 1]):
        if earlier and earlier[0] == "each":  # f(*values): later positions come from the spread one
            held = ev.evaluate(site.file, call.scope, call.at, earlier[1])
            return union(containers.item(ev, value, position - before) for value in held)
    return ev.evaluate(site.file, call.scope, call.at, expr)


# results


def _function_result(ev: "Evaluator", callee: Value, site: Site | None) -> Values:
    file, scope = callee[1], callee[2]
    symbol = ev.symbol(callee)
    if symbol is not None and symbol.returns is not None:
        declared = _declared_result(ev, callee, symbol, site)
        if declared:
            return declared
    if symbol is not None and "property" in symbol.flags and callee[0] == "function":
        return NOTHING
    return _returned(ev, callee, file, scope, site)


def _declared_result(ev: "Evaluator", callee: Value, symbol: Symbol, site: Site | None) -> Values:
    """Return the declared type's values; a type variable is what the arguments give it."""
    file, declared = callee[1], symbol.returns
    if declared is not None and declared[0] == "name":
        variable = ev.lookup(file, symbol.within, ev.files[file].size_bytes, declared[1])
        if any(v[0] == "external_instance" and v[1].endswith("TypeVar") for v in variable):
            return _of_variable(ev, callee, declared, site)
        if any(v[0] == "external" and v[1].rpartition(".")[2] == "Self" for v in variable):
            return _receiver(callee) or types.instances(ev, file, symbol.scope, 0, declared)
    if declared == ("selftype",):
        return _receiver(callee) or types.instances(ev, file, symbol.scope, 0, declared)
    return ev.remember(("returns", file, symbol.scope), types.instances, ev, file, symbol.scope, 0, declared)


def _receiver(callee: Value) -> Values:
    """Return the receiver of a bound method as an instance."""
    if callee[0] != "bound" or callee[3] is None or callee[3][0] not in ("instance", "class"):
        return NOTHING
    return (("instance", callee[3][1], callee[3][2]),)


def _of_variable(ev: "Evaluator", callee: Value, variable: Expr, site: Site | None) -> Values:
    held = ev.indexes[callee[1]].parameters.get(callee[2], [])
    found = []
    for position, parameter in enumerate(held):
        declared = parameter.type
        if declared is None or not _mentions(declared, variable):
            continue
        if parameter.kind == "receiver":
            found.append(_receiver(callee))
        elif site is not None:
            values = argument(ev, site, position - _offset(callee, held), parameter.name)
            if declared != variable and declared[0] == "generic":
                values = union(
                    (("instance", v[1], v[2]),) if v[0] == "class" else containers.each(ev, v) for v in values
                )
            found.append(values)
    return union(found)


def _mentions(declared: Expr, variable: Expr) -> bool:
    todo = [declared]
    while todo:
        part = todo.pop()
        if part == variable:
            return True
        if part and part[0] in ("generic", "any"):
            todo += part[-1]
    return False


def _offset(callee: Value, held: list[Parameter]) -> int:
    """Return how many parameters no argument is written for: a receiver that is bound."""
    return 1 if callee[0] in ("bound", "class") and held and held[0].kind == "receiver" else 0


def _returned(ev: "Evaluator", callee: Value, file: int, scope: int, site: Site | None) -> Values:
    """Return what the body returns; arguments and the receiver that it hands back are those of this call."""
    index = ev.indexes[file]
    held = {parameter.name: (n, parameter) for n, parameter in enumerate(index.parameters.get(scope, ()))}
    parts: list[Values] = []
    yields: list[Values] = []
    for returned in index.returns.get(scope, ()):
        value = returned.value
        if value is None:
            continue
        passed = held.get(value[1]) if value[0] == "name" else None
        if passed is not None and len(index.names[scope][value[1]]) == 1:
            found = _handed_back(ev, callee, passed, list(index.parameters[scope]), site)
        elif value[0] == "self" and callee[0] == "bound":
            found = (callee[3],)
        elif value[0] == "call" and _constructs_receiver(ev, file, scope, value[1]) and _receiver(callee):
            found = _receiver(callee)
        else:
            key = ("return", id(returned))
            found = ev.remember(key, ev.evaluate, file, returned.scope, returned.at, value)
        (yields if returned.is_yield else parts).append(found)
    if yields:
        return (("sequence", "generator", (union(yields),)),)
    return union(parts)


def _constructs_receiver(ev: "Evaluator", file: int, scope: int, number: int) -> bool:
    """Tell whether a call is `cls()` in a class method."""
    target = ev.files[file].calls[number].callee
    held = ev.indexes[file].parameters.get(scope)
    if target is None or target[0] != "name" or not held or held[0].kind != "receiver" or held[0].name != target[1]:
        return False
    return any(value[0] == "class" for value in ev.of_entry(file, held[0]))


def _handed_back(
    ev: "Evaluator", callee: Value, passed: tuple[int, Parameter], held: list[Parameter], site: Site | None
) -> Values:
    position, parameter = passed
    if parameter.kind == "receiver":
        if callee[0] == "bound" and callee[3] is not None:
            return (callee[3],)
        return ev.of_entry(callee[1], parameter)
    if parameter.kind == "" and site is not None and site.call >= 0:
        found = argument(ev, site, position - _offset(callee, held), parameter.name)
        if found:
            return found
    return ev.of_entry(callee[1], parameter)


# parameters


def parameter(ev: "Evaluator", file: int, held: Parameter) -> Values:
    """Return what a parameter can be."""
    if held.kind == "receiver":
        return _receiver_parameter(ev, file, held)
    if held.type is not None:
        declared = types.instances(ev, file, held.scope, 0, held.type)
        if declared:
            if held.kind == "rest":
                return (("sequence", "tuple", (declared,)),)
            return (("mapping", "dict", ((None, declared),)),) if held.kind == "rest_keyword" else declared
    passed = _passed(ev, file, held)
    if held.type is not None and ev.traits[file].typed:
        # The type says all but which function it is.
        passed = tuple(value for value in passed if value[0] in ("function", "bound"))
    if passed or held.default is None:
        return passed
    scope = ev.files[file].scopes[held.scope].parent
    default = ev.evaluate(file, scope, ev.files[file].size_bytes, held.default)
    return tuple(value for value in default if value != ("external_instance", "None"))


def _receiver_parameter(ev: "Evaluator", file: int, held: Parameter) -> Values:
    if held.type is not None:
        declared = types.instances(ev, file, held.scope, 0, held.type)
        if declared:
            return declared
    around = ev.class_around(file, ev.files[file].scopes[held.scope].parent)
    symbol = ev.symbol(("function", file, held.scope))
    is_class = symbol is not None and ("classmethod" in symbol.flags or symbol.name in CLASS_RECEIVERS)
    return around if is_class else tuple(("instance", value[1], value[2]) for value in around)


def _passed(ev: "Evaluator", file: int, held: Parameter) -> Values:
    """Return what the known callers of a function pass for a parameter."""
    callers = ev.callers.get((file, held.scope))
    if callers is None:
        ev.flags |= OPEN
        return NOTHING
    if len(callers) > MAX_CALLERS:
        return NOTHING
    parameters = ev.indexes[file].parameters[held.scope]
    position = parameters.index(held)
    parts = []
    for (caller, call), bound in callers.items():
        if isinstance(bound, tuple):
            parts.append(bound[0] if position == bound[1] else NOTHING)
            continue
        site = Site(caller, call)
        offset = bound if parameters[0].kind == "receiver" else 0
        if held.kind == "rest":
            parts.append(_rest(ev, site, position - offset))
        elif held.kind == "rest_keyword":
            parts.append(_rest_keywords(ev, site, {p.name for p in parameters}))
        else:
            keyword_only = held.kind == "keyword"
            parts.append(argument(ev, site, -1 if keyword_only else position - offset, held.name))
    found = union(tuple(v for v in part if v != ("external_instance", "None")) for part in parts)
    if len([v for v in found if v[0] not in CONTAINERS]) > MAX_PASSED:
        return NOTHING
    ev.flags |= ASSUMED
    return found


def _rest(ev: "Evaluator", site: Site, position: int) -> Values:
    call = ev.files[site.file].calls[site.call]
    found = tuple(argument(ev, site, at) for at in range(position, len(call.args)))
    return (("sequence", "tuple", found),) if any(found) else NOTHING


def _rest_keywords(ev: "Evaluator", site: Site, named: set[str]) -> Values:
    call = ev.files[site.file].calls[site.call]
    found = tuple(
        (name, ev.evaluate(site.file, call.scope, call.at, value))
        for name, value in call.keywords
        if name not in named and name != "**"
    )
    return (("mapping", "dict", found),) if found else NOTHING
