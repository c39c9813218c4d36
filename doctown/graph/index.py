"""The facts of one file by scope and name, as the evaluator asks for them."""

from collections import defaultdict
from typing import NamedTuple, TypeAlias

from doctown.parsing.records import Binding, Export, FileRecord, Import, Parameter, Return, Store

Entry: TypeAlias = Binding | Import | Parameter


class FileIndex(NamedTuple):
    """What a file's scopes hold. Lists are indexed by scope."""

    record: FileRecord
    names: list[dict[str, list[Entry]]]  # in the order of the source, parameters first
    around: list[int]  # the nearest scope around that has names, -1 where there is none
    frames: list[int]  # the scope that runs this one: itself, or what stands around a block
    owners: list[int]  # the symbol around, -1 for the module
    parameters: dict[int, list[Parameter]]  # by function scope
    returns: dict[int, list[Return]]  # by function scope
    stars: dict[int, list[Import]]  # `import *` by scope
    self_stores: dict[int, dict[str, list[Store]]]  # class scope -> attribute -> stores on the receiver
    other_stores: list[Store]  # attribute stores on anything else
    item_stores: list[Store]
    exports: dict[str, Export]
    star_exports: list[Export]


def index_file(record: FileRecord) -> FileIndex:
    """Return the index of a file."""
    scopes = record.scopes
    names: list[dict[str, list[Entry]]] = [{} for _ in scopes]
    frames, owners = _frames(record), _owners(record)
    parameters: dict[int, list[Parameter]] = defaultdict(list)
    for parameter in record.parameters:
        parameters[parameter.scope].append(parameter)
        names[parameter.scope].setdefault(parameter.name, []).append(parameter)
    stars: dict[int, list[Import]] = defaultdict(list)
    for imported in record.imports:
        if imported.member == "*":
            stars[imported.scope].append(imported)
        elif imported.name:
            names[imported.scope].setdefault(imported.name, []).append(imported)
    for binding in record.bindings:
        names[binding.scope].setdefault(binding.name, []).append(binding)
    returns: dict[int, list[Return]] = defaultdict(list)
    for returned in record.returns:
        returns[frames[returned.scope]].append(returned)
    self_stores, other_stores, item_stores = _stores(record, frames, parameters)
    exports = {export.name: export for export in reversed(record.exports) if export.name != "*"}
    star_exports = [export for export in record.exports if export.name == "*"]
    return FileIndex(
        record, names, _around(record, names), frames, owners, parameters, returns, stars, self_stores, other_stores,
        item_stores, exports, star_exports,
    )  # fmt: skip


def _around(record: FileRecord, names: list[dict[str, list[Entry]]]) -> list[int]:
    around: list[int] = []
    for scope in record.scopes:
        parent = scope.parent
        around.append(parent if parent < 0 or names[parent] else around[parent])
    return around


def _frames(record: FileRecord) -> list[int]:
    frames: list[int] = []
    for number, scope in enumerate(record.scopes):
        inner = scope.kind in ("block", "comprehension") and scope.parent >= 0
        frames.append(frames[scope.parent] if inner else number)
    return frames


def _owners(record: FileRecord) -> list[int]:
    owners: list[int] = []
    for scope in record.scopes:
        owners.append(scope.symbol if scope.symbol >= 0 else owners[scope.parent] if scope.parent >= 0 else -1)
    return owners


def _stores(
    record: FileRecord, frames: list[int], parameters: dict[int, list[Parameter]]
) -> tuple[dict[int, dict[str, list[Store]]], list[Store], list[Store]]:
    on_self: dict[int, dict[str, list[Store]]] = {}
    others, items = [], []
    for store in record.stores:
        if store.item:
            items.append(store)
            continue
        scope = _receiver_class(record, frames, parameters, store)
        if scope >= 0:
            on_self.setdefault(scope, {}).setdefault(str(store.attribute), []).append(store)
        else:
            others.append(store)
    return on_self, others, items


def _receiver_class(record: FileRecord, frames: list[int], parameters: dict[int, list[Parameter]], store: Store) -> int:
    """Return the scope of the class on whose receiver a store writes, -1 for anything else."""
    target = store.object
    if target is None or target[0] not in ("name", "self"):
        return -1
    frame = frames[store.scope]
    while frame >= 0 and record.scopes[frame].kind == "function":
        around = record.scopes[frame].parent
        held = parameters.get(frame)
        if target[0] == "self":
            if around >= 0 and record.scopes[around].kind == "class":
                return around
        elif held and any(parameter.name == target[1] for parameter in held):
            receiver = held[0].kind == "receiver" and held[0].name == target[1]
            return around if receiver and record.scopes[around].kind == "class" else -1
        frame = frames[around] if around >= 0 else -1
    return -1
