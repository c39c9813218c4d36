"""Elements of sequences and mappings, and what `with`, `await` and iteration make of a value."""

from typing import TYPE_CHECKING

from doctown.graph import members, returns
from doctown.graph.collections import METHODS, PAIRED, Methods
from doctown.graph.values import CONTAINERS, NOTHING, Value, Values, union

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator
    from doctown.graph.returns import Site
    from doctown.parsing.records import Store

Key = str | int | None
ELEMENT_METHODS = frozenset({"get", "pop", "setdefault", "popleft", "at", "shift", "first", "last", "unwrap", "find"})
SAME_METHODS = frozenset({"copy", "filter", "slice", "reverse", "iter", "into_iter", "clone", "to_vec"})


def item(ev: "Evaluator", value: Value, key: Key) -> Values:
    """Return value[key]; all elements where the key is not known."""
    tag = value[0]
    if tag == "container":
        return ev.remember(("item", value[1], key), _container_item, ev, value, key)
    if tag == "sequence":
        held = value[2]
        if isinstance(key, int) and -len(held) <= key < len(held) and len(held) > 1:
            return held[key]  # type: ignore[no-any-return]
        return union(held)
    if tag == "mapping":
        exact = union(values for known, values in value[2] if known == key and key is not None)
        return exact or union(values for known, values in value[2] if known is None or key is None)
    if tag == "instance":
        return union(returns.result_of(ev, method, None) for method in members.attribute(ev, value, "__getitem__"))
    return NOTHING


def _container_item(ev: "Evaluator", value: Value, key: Key) -> Values:
    file, scope, at, expr = ev.containers[value[1]]
    assert expr is not None  # noqa: S101 - containers are never unknown
    stored = [s for s in stores_into(ev, value) if s.attribute == key or s.attribute is None or key is None]
    parts = [ev.evaluate(file, store.scope, store.at, store.value) for store in stored]
    if expr[0] == "list":
        held = expr[2]
        if isinstance(key, int) and -len(held) <= key < len(held) and not any(e and e[0] == "each" for e in held):
            parts.append(ev.evaluate(file, scope, at, held[key]))
        elif not isinstance(key, str):
            parts += [ev.evaluate(file, scope, at, element) for element in held]
        return union(parts)
    entries = expr[2]
    if any(store.attribute == key and key is not None and store.scope == scope for store in stored):
        return union(parts)  # written over, and not in a branch
    exact = [entry for name, entry in entries if name == key and key is not None]
    loose = [entry for name, entry in entries if (name is None or key is None) and name != "..."]
    for entry in exact[-1:] or loose:
        parts.append(ev.evaluate(file, scope, at, entry))
    for spread in () if exact else [entry for name, entry in entries if name == "..."]:
        for inner in ev.evaluate(file, scope, at, spread):
            is_member = expr[1] == "object" and isinstance(key, str)
            parts.append(members.attribute(ev, inner, key) if is_member else item(ev, inner, key))  # type: ignore[arg-type]
    return union(parts)


def stores_into(ev: "Evaluator", value: Value) -> "list[Store]":
    """Return the item stores of a container's own file that write into it."""
    file = ev.containers[value[1]][0]
    found = []
    for store in ev.indexes[file].item_stores:
        held = ev.remember(("stored", id(store)), ev.evaluate, file, store.scope, store.at, store.object)
        if value in held:
            found.append(store)
    return found


def each(ev: "Evaluator", value: Value) -> Values:  # noqa: PLR0911 - one form each
    """Return what iterating over a value gives."""
    tag = value[0]
    if tag == "container":
        expr = ev.containers[value[1]][3]
        if expr and expr[0] == "dict":
            return (("external_instance", "str"),)
        return item(ev, value, None)
    if tag == "sequence":
        return union(value[2])
    if tag == "mapping":
        return _keys(value)
    if tag == "instance":
        found = []
        for method in members.attribute(ev, value, "__iter__"):
            for made in returns.result_of(ev, method, None):
                nexts = members.attribute(ev, made, "__next__") if made[0] == "instance" else ()
                found += [returns.result_of(ev, step, None) for step in nexts] or (
                    [each(ev, made)] if made[0] in CONTAINERS else []
                )
        return union(found)
    if tag == "external_instance" and value[1] in ("str", "bytes"):
        return (value,)
    if tag == "mapping" and value[1] in PAIRED:
        return _pairs(ev, value)
    return NOTHING


def _keys(container: Value) -> Values:
    """Return the keys of a mapping where they are declared."""
    return container[3] if container[0] == "mapping" and len(container) > 3 else NOTHING  # noqa: PLR2004 - the keys


def enter(ev: "Evaluator", value: Value, *, is_async: bool) -> Values:
    """Return what `with value as name` binds."""
    if value[0] == "sequence":
        return union(value[2])  # a generator under contextlib.contextmanager
    if value[0] != "instance":
        return (value,)
    methods = members.attribute(ev, value, "__aenter__" if is_async else "__enter__")
    return union(returns.result_of(ev, method, None) for method in methods)


def inner(value: Value) -> Values:
    """Return what is in a wrapper: awaited, unwrapped."""
    if value[0] == "sequence":
        return union(value[2][:1])
    return (value,)


def method_result(ev: "Evaluator", container: Value, name: str, site: "Site | None" = None) -> Values:  # noqa: PLR0911 - one form each
    """Return what a method of a builtin container gives."""
    methods = METHODS.get(ev.files[site.file].language) if site is not None else None
    if methods is not None and site is not None:
        return _typed_result(ev, container, name, methods, site)
    if name in ELEMENT_METHODS:
        return item(ev, container, None)
    if name == "values":
        return (("sequence", "list", (item(ev, container, None),)),)
    if name == "items":
        pair = ("sequence", "tuple", (_keys(container), item(ev, container, None)))
        return (("sequence", "list", ((pair,),)),)
    if name == "keys":
        return (("sequence", "list", (_keys(container),)),)
    if name in SAME_METHODS:
        return (container,)
    return NOTHING


def _typed_result(ev: "Evaluator", container: Value, name: str, methods: Methods, site: "Site") -> Values:  # noqa: PLR0911 - one form each
    if container[0] == "mapping" and name in methods.pairs:
        return (("sequence", "list", (_pairs(ev, container),)),)
    if name in methods.element:
        return item(ev, container, None)
    if name in methods.wrapped:
        return (("sequence", "Option", (item(ev, container, None),)),)
    if name in methods.same:
        return (container,)
    if name in methods.mapped:
        made = union(returns.result_of(ev, function, None) for function in returns.argument(ev, site, 0))
        return (("sequence", "list", (made,)),)
    if name in methods.flattened:
        return union(returns.result_of(ev, function, None) for function in returns.argument(ev, site, 0))
    return NOTHING


def _pairs(ev: "Evaluator", mapping: Value) -> Values:
    """Return a pair of a mapping: a tuple in Rust, an entry with getValue() in Java."""
    if mapping[1] in PAIRED:
        return (("sequence", "tuple", (NOTHING, item(ev, mapping, None))),)
    return (("mapping", "Entry", mapping[2]),)
