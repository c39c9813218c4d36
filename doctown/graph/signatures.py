"""Function types and object types: what a value that is declared so gives, takes and has.

("callable", file, scope, type, site)   what is declared to be a function; `site` (file, call) is the call for whose
                                        argument it is declared: it tells what type parameters stand for
("object_type", file, scope, type)      what is declared to be an object of these members
("type", file, scope, type)             a type by a name of its own: no value, and only types.py looks into it
"""

from typing import TYPE_CHECKING, Any

from doctown.graph import members, returns, types
from doctown.graph.values import NOTHING, Value, Values, union
from doctown.parsing.records import Binding

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator
    from doctown.graph.returns import Site
    from doctown.parsing.records import Expr

Expression = tuple[Any, ...]


def nothing(_ev: "Evaluator", _file: int, _scope: int, _at: int, _expr: Expression) -> Values:
    """Return nothing: an expression that is no value."""
    return NOTHING


def typeof(ev: "Evaluator", file: int, scope: int, at: int, expr: Expression) -> Values:
    """Return the value whose type `typeof x` is."""
    return ev.evaluate(file, scope, at, expr[1])


def function_type(_ev: "Evaluator", file: int, scope: int, _at: int, expr: Expression) -> Values:
    """Return a function type as a type."""
    return (("type", file, scope, expr),)


def member(ev: "Evaluator", holder: Value, name: str) -> Values:
    """Return a member of an object type."""
    _, file, scope, type_ = holder
    held = next((entry for key, entry in type_[2] if key == name), None)
    return types.instances(ev, file, scope, 0, held)


def result(ev: "Evaluator", callee: Value) -> Values:
    """Return what calling a function type gives."""
    _, file, scope, type_, _ = callee
    return types.instances(ev, file, scope, 0, type_[2])


def class_of(ev: "Evaluator", value: Value) -> Value | None:
    """Return the class that a value is; a function that is used as one counts too (of before there were classes)."""
    if value[0] == "class":
        return value
    if value[0] != "function" or not ev.traits[value[1]].separate_types:
        return None
    number = ev.files[value[1]].scopes[value[2]].symbol
    return ("class", value[1], number) if number >= 0 else None


def constructed(ev: "Evaluator", callee: Value, site: "Site") -> Values:
    """Return what `new` makes of a function that is used as a class."""
    if site.call < 0 or ev.files[site.file].calls[site.call].kind != "new":
        return NOTHING
    made = class_of(ev, callee)
    return NOTHING if made is None else (("instance", made[1], made[2]),)


def called_instance(ev: "Evaluator", callee: Value, site: "Site | None") -> Values:
    """Return what calling an instance gives, or `new` of it: by the signatures of its interface."""
    is_new = site is not None and site.call >= 0 and ev.files[site.file].calls[site.call].kind == "new"
    found = members.attribute(ev, callee, "new()" if is_new else "()")
    return union(returns.result_of(ev, method, site) for method in found)


def argument(ev: "Evaluator", file: int, _scope: int, _at: int, expr: Expression) -> Values:
    """Return what the function of a call takes as an argument, by its declaration."""
    _, number, position = expr
    return ev.remember(("argument", file, number, position), _argument, ev, file, number, position)


def _argument(ev: "Evaluator", file: int, number: int, position: int) -> Values:
    found: list[Value] = []
    for callee in ev.callees(file, number):
        found += [
            (*made[:4], (file, number)) if made[0] == "callable" and made[4] is None else made
            for made in _taken(ev, callee, position)
        ]
    return union((value,) for value in found)


def parameter(ev: "Evaluator", file: int, scope: int, at: int, expr: Expression) -> Values:
    """Return what a function of a declared type gets as its parameter."""
    return union(_taken(ev, value, expr[2]) for value in ev.evaluate(file, scope, at, expr[1]))


def _taken(ev: "Evaluator", callee: Value, position: int) -> Values:
    """Return what a callable value takes at a position, by its declaration."""
    tag = callee[0]
    if tag == "callable":
        _, file, scope, type_, site = callee
        if position >= len(type_[1]):
            return NOTHING
        wanted = type_[1][position]
        inferred = type_argument(ev, file, scope, wanted, site) if site is not None else NOTHING
        return inferred or types.instances(ev, file, scope, 0, wanted)
    if tag in ("function", "bound"):
        held = ev.indexes[callee[1]].parameters.get(callee[2], [])
        if position < len(held) and held[position].type is not None:
            return types.instances(ev, callee[1], callee[2], 0, held[position].type)
    if tag == "class":
        made = members.attribute(ev, ("instance", callee[1], callee[2]), "constructor")
        return union(_taken(ev, method, position) for method in made if method[0] == "bound")
    if tag == "instance":
        return union(_taken(ev, method, position) for method in members.attribute(ev, callee, "()"))
    return NOTHING


def type_argument(ev: "Evaluator", file: int, scope: int, type_: "Expr", site: "Site") -> Values:
    """Return what a type parameter of the function with this scope stands for at a call site.

    In this order: the type arguments as written, the declared type of what the result becomes, the arguments. Nothing
    where `type_` is no type parameter of the function.
    """
    if type_ is None or type_[0] != "name":
        return NOTHING
    entries = ev.indexes[file].names[scope].get(type_[1], ())
    variable = next((e.value for e in entries if type(e) is Binding and e.value and e.value[0] == "typevar"), None)
    if variable is None:
        return NOTHING
    number = variable[1]
    call = ev.files[site[0]].calls[site[1]]
    keywords = dict(call.keywords)
    written, expected = keywords.get("<>"), keywords.get(":")
    if written is not None and number < len(written[2]):
        return types.instances(ev, site[0], call.scope, call.at, written[2][number])
    symbol = ev.symbol(("function", file, scope))
    if expected is not None and symbol is not None:
        matched = _matched(symbol.returns, expected[1], type_)
        if matched is not None:
            return types.instances(ev, site[0], call.scope, call.at, matched)
    found = []
    for position, parameter in enumerate(ev.indexes[file].parameters.get(scope, ())):
        if parameter.type == type_:
            found.append(returns.argument(ev, returns.Site(*site), position))
    passed = union(found)
    return passed if passed or variable[3] is None else _default(ev, file, scope, ("typed", variable[3]), site)


def _default(ev: "Evaluator", file: int, scope: int, expr: "Expr", site: "Site") -> Values:
    """Return the values of a type parameter's default, in which others can be named: `D = T["def"]`."""
    if expr is None:
        return NOTHING
    if expr[0] == "attr":
        return union(members.attribute(ev, value, expr[2]) for value in _default(ev, file, scope, expr[1], site))
    if expr[0] == "typed" and expr[1] and expr[1][0] == "typeof":
        return _default(ev, file, scope, expr[1][1], site)
    if expr[0] == "typed":
        inferred = type_argument(ev, file, scope, expr[1], site)
        return inferred or types.instances(ev, file, scope, 0, expr[1])
    return ev.evaluate(file, scope, 0, expr)


def _matched(pattern: "Expr", type_: "Expr", variable: "Expr") -> "Expr":
    """Return what a variable in a type stands for where the type is known to be another one."""
    if pattern == variable:
        return type_
    if pattern and type_ and pattern[0] == type_[0] == "generic":
        for part, other in zip(pattern[2], type_[2], strict=False):
            if part == variable:
                return other  # type: ignore[no-any-return]
    return None
