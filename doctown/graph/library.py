"""What calls of Python's builtins and standard library give, where a value passes through them."""

from typing import TYPE_CHECKING

from doctown.graph import containers, returns, types
from doctown.graph.values import NOTHING, Values, union

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator
    from doctown.graph.returns import Site

FIRST_ARGUMENT = frozenset(
    {"copy.copy", "copy.deepcopy", "functools.partial", "staticmethod", "classmethod", "functools.lru_cache",
     "functools.cache", "contextlib.contextmanager", "contextlib.closing", "asyncio.ensure_future",
     "asyncio.create_task", "asyncio.run", "weakref.ref", "weakref.proxy", "inspect.unwrap", "asyncio.wait_for",
     "asyncio.shield", "functools.singledispatch", "types.coroutine", "atexit.register"}
)  # fmt: skip
SAME_ELEMENTS = frozenset(
    {"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter", "collections.deque", "itertools.cycle"}
)
WRAPPERS = frozenset({"functools.wraps"})
ONE_ELEMENT = frozenset({"next", "anext", "min", "max", "random.choice"})


def result(ev: "Evaluator", name: str, site: "Site | None") -> Values:
    """Return what calling an external name gives."""
    if site is not None:
        if name in FIRST_ARGUMENT:
            return returns.argument(ev, site, 0)
        if name in ONE_ELEMENT:
            found = returns.argument(ev, site, 0)
            return union(containers.each(ev, v) or _next(ev, v) for v in found)
        if name in SAME_ELEMENTS:
            held = returns.argument(ev, site, 0)
            return (("sequence", name, (union(containers.each(ev, value) for value in held),)),)
        if name in WRAPPERS:
            return (("identity",),)
        special = _SPECIAL.get(name)
        if special is not None:
            return special(ev, site)
    last = name.rpartition(".")[2]
    is_type = (
        name in BUILTIN_TYPES if _names_functions_as_types(ev, site) else last[:1].isupper() or name in BUILTIN_TYPES
    )
    return (("external_instance", name if is_type else f"{name}()"),)


def may_have(type_name: str, attribute: str) -> bool:
    """Tell whether an instance of an external type may have an attribute: known for builtin types alone."""
    known = _MEMBERS.get(type_name)
    return known is None or attribute in known


_MEMBERS = {
    kind.__name__: frozenset(dir(kind))
    for kind in (str, bytes, int, float, bool, list, dict, set, tuple, frozenset, bytearray, complex, range)
} | {"None": frozenset()}


def _names_functions_as_types(ev: "Evaluator", site: "Site | None") -> bool:
    """Tell whether a site is a plain call of a language that writes functions and types alike, in capitals."""
    if site is None or ev.files[site.file].language not in ("csharp", "go"):
        return False
    return ev.files[site.file].calls[site.call].kind != "new"


BUILTIN_TYPES = frozenset({"str", "bytes", "int", "float", "bool", "dict", "bytearray", "complex", "object", "range"})


def _next(ev: "Evaluator", value: tuple) -> Values:  # type: ignore[type-arg]
    from doctown.graph import members

    steps = members.attribute(ev, value, "__next__") if value[0] == "instance" else ()
    return union(returns.result_of(ev, step, None) for step in steps)


def _type(ev: "Evaluator", site: "Site") -> Values:
    held = returns.argument(ev, site, 0)
    return tuple(("class", value[1], value[2]) for value in held if value[0] == "instance")


def _super(ev: "Evaluator", site: "Site") -> Values:
    call = ev.files[site.file].calls[site.call]
    return ev.evaluate(site.file, call.scope, call.at, ("super",))


def _cast(ev: "Evaluator", site: "Site") -> Values:
    call = ev.files[site.file].calls[site.call]
    return types.instances(ev, site.file, call.scope, call.at, call.args[0] if call.args else None)


def _enumerate(ev: "Evaluator", site: "Site") -> Values:
    elements = union(containers.each(ev, value) for value in returns.argument(ev, site, 0))
    pair = ("sequence", "tuple", ((("external_instance", "int"),), elements))
    return (("sequence", "generator", ((pair,),)),)


def _zip(ev: "Evaluator", site: "Site") -> Values:
    call = ev.files[site.file].calls[site.call]
    parts = tuple(
        union(containers.each(ev, value) for value in returns.argument(ev, site, position))
        for position in range(len(call.args))
    )
    return (("sequence", "generator", ((("sequence", "tuple", parts),),)),)


def _map(ev: "Evaluator", site: "Site") -> Values:
    made = union(returns.result_of(ev, f, None) for f in returns.argument(ev, site, 0))
    return (("sequence", "generator", (made,)),)


def _filter(ev: "Evaluator", site: "Site") -> Values:
    elements = union(containers.each(ev, value) for value in returns.argument(ev, site, 1))
    return (("sequence", "generator", (elements,)),)


def _dict(ev: "Evaluator", site: "Site") -> Values:
    call = ev.files[site.file].calls[site.call]
    entries = tuple((n, ev.evaluate(site.file, call.scope, call.at, v)) for n, v in call.keywords if n != "**")
    return (("mapping", "dict", entries),) if any(v for _, v in entries) else (("external_instance", "dict"),)


def _defaultdict(ev: "Evaluator", site: "Site") -> Values:
    made = union(returns.result_of(ev, f, None) for f in returns.argument(ev, site, 0))
    return (("mapping", "defaultdict", ((None, made),)),) if made else (("external_instance", "dict"),)


def _property(_ev: "Evaluator", _site: "Site") -> Values:
    return NOTHING


_SPECIAL = {
    "type": _type,
    "super": _super,
    "typing.cast": _cast,
    "enumerate": _enumerate,
    "zip": _zip,
    "map": _map,
    "filter": _filter,
    "dict": _dict,
    "collections.defaultdict": _defaultdict,
    "property": _property,
}
