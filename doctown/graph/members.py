"""Attributes of values: members of modules, classes and instances, through their bases."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from doctown.graph import library, returns, signatures, types
from doctown.graph.classes import resolution_order
from doctown.graph.index import Entry, FileIndex
from doctown.graph.values import CONTAINERS, NOTHING, Value, Values, union
from doctown.parsing.records import TYPE_KINDS, Binding, Store

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

MAX_STORES = 24  # of one attribute name on other objects than the receiver
ENUM_BASES = frozenset({"enum.Enum", "enum.IntEnum", "enum.Flag", "enum.IntFlag", "enum.StrEnum"})
StoresByAttribute = dict[str, list[tuple[int, Store]]]


def stores_by_attribute(indexes: Sequence[FileIndex]) -> StoresByAttribute:
    """Return the attribute stores on other objects than the receiver, with their file."""
    found: StoresByAttribute = defaultdict(list)
    for file, index in enumerate(indexes):
        for store in index.other_stores:
            found[str(store.attribute)].append((file, store))
    return found


def attribute(ev: "Evaluator", holder: Value, name: str) -> Values:  # noqa: PLR0911 - one form of a value each
    """Return holder.name."""
    tag = holder[0]
    if tag in ("instance", "class"):
        return ev.remember(("attribute", holder, name), _of_class, ev, holder, name)
    if tag == "module":
        found = ev.module_member(holder[1], holder[2], name) if holder[3] or name else NOTHING
        return found or _stored(ev, holder, name)
    if tag == "external":
        return (("external", f"{holder[1]}.{name}"),)
    if tag == "external_instance":
        return (("external", f"{holder[1]}.{name}"),) if library.may_have(holder[1], name) else NOTHING
    if tag in CONTAINERS:
        return _of_container(ev, holder, name)
    if tag == "super":
        return _of_super(ev, holder, name)
    if tag in ("function", "bound"):
        return _stored(ev, holder, name)
    if tag == "object_type":
        return ev.remember(("attribute", holder, name), signatures.member, ev, holder, name)
    return NOTHING


def _of_container(ev: "Evaluator", holder: Value, name: str) -> Values:
    if holder[0] == "container":
        expr = ev.containers[holder[1]][3]
        if expr and expr[0] == "dict" and expr[1] == "object":
            return ev.remember(("key", holder, name), _object_member, ev, holder, name)
    return (("method_of", holder, name),)


def _object_member(ev: "Evaluator", holder: Value, name: str) -> Values:
    from doctown.graph import containers

    expr = ev.containers[holder[1]][3]
    stored = _stored(ev, holder, name)
    if stored and expr is not None and not any(key == name for key, _ in expr[2]):
        return stored  # surer than what is stored under keys that are computed
    return containers.item(ev, holder, name) or stored


def bases(ev: "Evaluator", value: Value) -> list[Value]:
    """Return the base classes of a class: those of the repository, and external ones."""
    _, file, number = value
    return list(ev.remember(("bases", file, number), _bases, ev, file, number))


def _bases(ev: "Evaluator", file: int, number: int) -> Values:
    symbol = ev.files[file].symbols[number]
    found: dict[Value, None] = {}
    for base in symbol.bases:
        for value in types.resolved(ev, ev.evaluate(file, symbol.within, symbol.start_byte, base)):
            if value[0] in ("class", "external"):
                found[value] = None
    for value in ev.inherited_elsewhere(("class", file, number)):
        found[value] = None
    found.pop(("class", file, number), None)
    return tuple(found)


def is_same_type(ev: "Evaluator", one: Value, other: Value) -> bool:
    """Tell whether two classes are parts of one type (C#'s partial classes, merged interfaces)."""
    first, second = (ev.files[value[1]].symbols[value[2]] for value in (one, other))
    return "partial" in first.flags and "partial" in second.flags and first.qualified_name == second.qualified_name


def order_of(ev: "Evaluator", value: Value) -> list[Value]:
    """Return the classes in which a member is searched: the class and its bases; external ones among them."""
    key = ("class", value[1], value[2])
    known = ev.orders.get(key)
    if known is None:
        known = ev.orders[key] = resolution_order(
            key, lambda current: bases(ev, current) if current[0] == "class" else []
        )
    return known


def _of_class(ev: "Evaluator", holder: Value, name: str) -> Values:
    return _search(ev, order_of(ev, holder), holder, name)


def _of_super(ev: "Evaluator", holder: Value, name: str) -> Values:
    order = order_of(ev, holder[3]) if holder[3][0] in ("class", "instance") else []
    start = ("class", holder[1], holder[2])
    after = order[order.index(start) + 1 :] if start in order else order_of(ev, start)[1:]
    return _search(ev, after, holder[3], name)


def _search(ev: "Evaluator", order: Sequence[Value], holder: Value, name: str) -> Values:
    """Return the member of the first class that has it."""
    external = ""
    for value in order:
        if value[0] == "external":
            external = external or value[1]
            continue
        found = own_member(ev, value, holder, name)
        if found is not None:
            return found
    patched = [method for value in order for method in ev.owned_members(value).get(name, ())]
    stored = _owned(ev, patched, holder) if patched else _stored(ev, holder, name)
    if stored:
        return stored
    dynamic = external and not external.endswith((".Generic", ".Protocol", ".ABC", "object"))
    return (("external", f"{external}.{name}"),) if dynamic else NOTHING


def bare(ev: "Evaluator", holder: Value, name: str) -> tuple[Values | None, Values]:
    """Return the member that a bare name in a class means, None where there is none, and what an external base has."""
    external = NOTHING
    for value in order_of(ev, holder):
        if value[0] == "external":
            external = external or (("external", f"{value[1]}.{name}"),)
            continue
        found = own_member(ev, value, holder, name)
        if found is not None:
            return found, NOTHING
    return None, external


def own_member(ev: "Evaluator", value: Value, holder: Value, name: str) -> Values | None:
    """Return a member that a class has itself, as `holder` sees it; None where it has none of that name."""
    _, file, number = value
    index = ev.indexes[file]
    scope = index.record.symbols[number].scope
    entries = index.names[scope].get(name) if scope >= 0 else None
    if entries and index.record.scopes[scope].kind != "function":
        return _class_entries(ev, file, scope, entries, holder)
    owned = ev.owned_members(value).get(name)
    if owned and ev.traits[file].separate_types:
        # What other files patch in comes after all that is declared.
        owned = [method for method in owned if method[1] == file]
    if owned:
        return _owned(ev, owned, holder)
    stores = index.self_stores.get(scope, {}).get(name)
    if stores:
        return ev.remember(("stores", file, scope, name), _of_stores, ev, file, stores)
    return None


def _owned(ev: "Evaluator", owned: list[Value], holder: Value) -> Values:
    """Return the members of one name that a type has from elsewhere: its own before those of its traits."""
    if len(owned) > 1:
        symbols = [ev.symbol(method) for method in owned]
        own = [
            method for method, symbol in zip(owned, symbols, strict=True) if symbol and "implements" not in symbol.flags
        ]
        if not own:
            return (("ambiguous", tuple(owned)),)
        owned = own
    return tuple(dict.fromkeys(member for method in owned for member in _method(ev, method, holder)))


def _class_entries(ev: "Evaluator", file: int, scope: int, entries: list[Entry], holder: Value) -> Values:
    getter = _getter(ev, file, entries)
    if getter is not None:
        receiver = holder if holder[0] == "instance" else None
        return returns.result_of(ev, ("bound", file, getter, receiver), None) if receiver else NOTHING
    values = ev.of_entries(file, scope, entries, scope, ev.files[file].size_bytes + 1)
    index = ev.indexes[file]
    symbol = index.record.scopes[scope].symbol
    if not values and type(entries[0]) is Binding:
        attribute_stores = index.self_stores.get(scope, {}).get(entries[0].name)
        if attribute_stores:
            return _of_stores(ev, file, attribute_stores)
    if symbol >= 0 and any(v[0] == "external" and v[1] in ENUM_BASES for v in order_of(ev, ("class", file, symbol))):
        values = tuple(("instance", file, symbol) if v[0] not in ("function", "class") else v for v in values)
    return tuple(dict.fromkeys(member for value in values for member in _method(ev, value, holder)))


def _getter(ev: "Evaluator", file: int, entries: list[Entry]) -> int | None:
    """Return the scope of the getter where the entries are a property."""
    record = ev.files[file]
    for entry in entries:
        if type(entry) is Binding and entry.value is not None and entry.value[0] == "function":
            number = record.scopes[entry.value[1]].symbol
            flags = record.symbols[number].flags if number >= 0 else ()
            if "property" in flags and "setter" not in flags:
                return int(entry.value[1])
    return None


def _method(ev: "Evaluator", value: Value, holder: Value) -> Values:
    """Return a member as it is reached through its holder: bound to it, or as it is."""
    if value[0] != "function":
        return (value,)
    symbol = ev.symbol(value)
    flags = symbol.flags if symbol else ()
    if "static" in flags or symbol is None:
        return (value,)
    if "classmethod" in flags and holder[0] == "instance":
        holder = ("class", holder[1], holder[2])
    if holder[0] == "instance" or "classmethod" in flags:
        return (("bound", value[1], value[2], holder),)
    return (value,)


def _of_stores(ev: "Evaluator", file: int, stores: Sequence[Store]) -> Values:
    declared = [store for store in stores if store.declared]
    return union(ev.evaluate(file, store.scope, store.at, store.value) for store in (declared or stores))


def _stored(ev: "Evaluator", holder: Value, name: str) -> Values:
    """Return what is stored under an attribute from outside: holder.name = value."""
    stores = ev.stores_by_attribute.get(name, ())
    if not stores or len(stores) > MAX_STORES:
        return NOTHING
    return ev.remember(("stored", holder, name), _of_outer_stores, ev, holder, stores)


def _of_outer_stores(ev: "Evaluator", holder: Value, stores: Sequence[tuple[int, Store]]) -> Values:
    wanted = {holder, ("class", *holder[1:3])} if holder[0] == "instance" else {holder}
    parts = []
    for file, store in stores:
        target = ev.remember(("target", id(store)), ev.evaluate, file, store.scope, store.at, store.object)
        if wanted.intersection(target):
            parts.append(ev.evaluate(file, store.scope, store.at, store.value))
    return union(parts)


def owned_elsewhere(ev: "Evaluator") -> dict[Value, dict[str, list[Value]]]:
    """Return the members that belong to a type by their `owner`: impl blocks, Go receivers, extensions, prototypes."""
    found: dict[Value, dict[str, list[Value]]] = defaultdict(lambda: defaultdict(list))
    for file, record in enumerate(ev.files):
        for symbol in record.symbols:
            if symbol.owner is not None and symbol.scope >= 0:
                for value in types.classes(ev, file, symbol.within, symbol.start_byte, symbol.owner):
                    found[value][symbol.name].append(("function", file, symbol.scope))
    return found


def parts_of_types(ev: "Evaluator") -> dict[Value, list[Value]]:
    """Return the bases that types have from elsewhere, and their other parts (partial classes, merged interfaces)."""
    found: dict[Value, list[Value]] = defaultdict(list)
    parts: dict[tuple[str, str], list[Value]] = defaultdict(list)
    for file, record in enumerate(ev.files):
        for link in record.inherits:
            for value in types.classes(ev, file, link.scope, 0, link.type):
                found[value] += [b for b in types.classes(ev, file, link.scope, 0, link.base) if b not in found[value]]
        for number, symbol in enumerate(record.symbols):
            if "partial" in symbol.flags and symbol.kind in TYPE_KINDS:
                home = record.path if record.language in ("typescript", "javascript") else record.package or ""
                parts[home, symbol.qualified_name].append(("class", file, number))
    for same in parts.values():
        for value in same:
            found[value] += [other for other in same if other != value]
    return found
