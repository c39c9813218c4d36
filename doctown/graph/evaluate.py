"""What an expression can be: demand-driven, memoised evaluation over the records of all files.

Flow-insensitive between functions, and ordered within one: a name is what its last assignment before the use gave it.
Not context-sensitive, but for functions that return an argument or their receiver. A parameter without a declared
type is what known callers pass (`callers`, filled by resolve.py between rounds). All is bounded: sets, depth, callers.
"""

from collections.abc import Callable, Hashable, Sequence

from doctown.graph import expressions, members, overloads, returns, types
from doctown.graph.index import Entry, FileIndex, index_file
from doctown.graph.modules import Modules, Place
from doctown.graph.traits import DEFAULT, TRAITS, Traits
from doctown.graph.values import NOTHING, Value, Values, union
from doctown.parsing.records import Binding, Expr, FileRecord, Import, Parameter, Symbol

MAX_DEPTH = 60  # of evaluation
MAX_STAR_DEPTH = 12
ASSUMED, OPEN = 1, 2  # flags: rests on what callers pass; would need to know what callers pass

# Who calls a function: (file, call) -> 1 where a receiver is bound, else 0. What it decorates: (-1 - file, scope) ->
# the decorated function, and the position at which that is passed.
Callers = dict[tuple[int, int], int | tuple[Values, int]]


class Evaluator:
    """The records of a repository, and what was found out about them so far."""

    def __init__(self, files: Sequence[FileRecord], modules: Sequence[Modules]) -> None:
        self.files, self.modules = files, modules
        self.indexes: list[FileIndex] = [index_file(file) for file in files]
        self.traits: list[Traits] = [TRAITS.get(file.language, DEFAULT) for file in files]
        self.callers: dict[tuple[int, int], Callers] = {}  # by function: file and scope
        self.containers: list[tuple[int, int, int, Expr]] = []  # file, scope, at, expression
        self.flags = 0
        self.depth = 0
        self.constants = {
            (file, symbol.within, symbol.name): (file, number)
            for file, record in enumerate(files)
            for number, symbol in enumerate(record.symbols)
            if symbol.kind == "constant"
        }
        self.stores_by_attribute = members.stores_by_attribute(self.indexes)
        self.called_through: dict[Value, tuple[tuple[int, int], ...]] = {}  # class or instance -> functions that run
        self.orders: dict[Value, list[Value]] = {}  # class -> where its members are searched
        # Members and bases that types have from elsewhere: none while these tables themselves are made.
        self._owned: dict[Value, dict[str, list[Value]]] = {}
        self._parts: dict[Value, list[Value]] = {}
        # By file and call site: what it calls, what it gives, and the flags of both; None where it was not asked.
        self._callees: list[list[Values | None]] = [[None] * len(file.calls) for file in files]
        self._results: list[list[Values | None]] = [[None] * len(file.calls) for file in files]
        self._callee_flags = [bytearray(len(file.calls)) for file in files]
        self._result_flags = [bytearray(len(file.calls)) for file in files]
        self._container_numbers: dict[tuple[int, int, int], int] = {}
        self._memo: dict[Hashable, tuple[Values, int]] = {}
        self._parts = members.parts_of_types(self)
        self._owned = members.owned_elsewhere(self)
        self.orders.clear()
        self._memo.clear()

    def owned_members(self, value: Value) -> dict[str, list[Value]]:
        """Return the members of a type that are written outside of it."""
        return self._owned.get(value, {})

    def inherited_elsewhere(self, value: Value) -> list[Value]:
        """Return the bases and further parts of a type that are written outside of it."""
        return self._parts.get(value, [])

    # memory

    def remember(self, key: Hashable, compute: Callable[..., Values], *arguments: object) -> Values:
        """Return what `compute` gives for a key, computed once; nothing while it is being computed."""
        known = self._memo.get(key)
        if known is not None:
            self.flags |= known[1]
            return known[0]
        if self.depth >= MAX_DEPTH:
            return NOTHING
        self._memo[key] = (NOTHING, 0)
        around, self.flags = self.flags, 0
        self.depth += 1
        values = compute(*arguments)
        self.depth -= 1
        self._memo[key] = (values, self.flags)
        self.flags |= around
        return values

    def forget_open(self) -> None:
        """Forget what rested on parameters whose callers were not known yet."""
        for key in [key for key, (_, flags) in self._memo.items() if flags & OPEN]:
            del self._memo[key]
        for held, flags in ((self._callees, self._callee_flags), (self._results, self._result_flags)):
            for values, of_file in zip(held, flags, strict=True):
                for number, flag in enumerate(of_file):
                    if flag & OPEN:
                        values[number] = None

    def callees(self, file: int, number: int) -> Values:
        """Return what a call site calls."""
        known = self._callees[file][number]
        if known is not None:
            self.flags |= self._callee_flags[file][number]
            return known
        call = self.files[file].calls[number]
        if self.traits[file].overloads:
            return self._keep(self._callees, self._callee_flags, file, number, overloads.callees, (self, file, call))
        callee = call.callee
        if callee is not None and callee[0] == "name":  # most of all sites: what names give is remembered by itself
            around, self.flags = self.flags, 0
            values = self._callees[file][number] = self.lookup(file, call.scope, call.at, callee[1])
            self._callee_flags[file][number] = self.flags
            self.flags |= around
            return values
        return self._keep(
            self._callees, self._callee_flags, file, number, self.evaluate, (file, call.scope, call.at, call.callee)
        )

    def known_callees(self, file: int) -> list[Values | None]:
        """Return what the sites of a file call, by number; None where it was not asked."""
        return self._callees[file]

    def result(self, file: int, number: int) -> Values:
        """Return what a call site gives."""
        known = self._results[file][number]
        if known is not None:
            self.flags |= self._result_flags[file][number]
            return known
        return self._keep(self._results, self._result_flags, file, number, returns.call_result, (self, file, number))

    def _keep(  # noqa: PLR0913, PLR0917 - as `remember`, for what is kept by number
        self,
        held: list[list[Values | None]],
        flags: list[bytearray],
        file: int,
        number: int,
        compute: Callable[..., Values],
        arguments: tuple[object, ...],
    ) -> Values:
        if self.depth >= MAX_DEPTH:
            return NOTHING
        held[file][number] = NOTHING
        around, self.flags = self.flags, 0
        self.depth += 1
        values = held[file][number] = compute(*arguments)
        self.depth -= 1
        flags[file][number] = self.flags
        self.flags |= around
        return values

    # expressions

    def evaluate(self, file: int, scope: int, at: int, expr: Expr) -> Values:
        """Return the values of an expression that stands in `scope` at the byte `at`."""
        if expr is None:
            return NOTHING
        return expressions.EVALUATE[expr[0]](self, file, scope, at, expr)

    def container(self, file: int, scope: int, at: int, expr: Expr) -> Value:
        """Return the container that a literal makes: the same one each time."""
        key = (file, scope, id(expr))
        number = self._container_numbers.get(key)
        if number is None:
            number = self._container_numbers[key] = len(self.containers)
            self.containers.append((file, scope, at, expr))
        return ("container", number)

    # scopes

    def symbol(self, value: Value) -> Symbol | None:
        """Return the symbol of a function, class or instance; None for a lambda without a name."""
        record = self.files[value[1]]
        if value[0] in ("function", "bound"):
            number = record.scopes[value[2]].symbol
            return record.symbols[number] if number >= 0 else None
        return record.symbols[value[2]]

    def value_of_scope(self, file: int, scope: int) -> Value:
        """Return the function or class whose own scope this is."""
        held = self.files[file].scopes[scope]
        if held.kind != "function" and held.symbol >= 0:
            return ("class", file, held.symbol)
        return ("function", file, scope)

    def class_around(self, file: int, scope: int) -> Values:
        """Return the class or other type in whose body a scope stands."""
        scopes = self.files[file].scopes
        while scope >= 0:
            held = scopes[scope]
            if held.kind == "class":
                if held.symbol >= 0:
                    return (("class", file, held.symbol),)
                return types.classes(self, file, held.parent, 0, held.owner)
            if held.kind == "function" and held.symbol >= 0:
                owner = self.files[file].symbols[held.symbol].owner
                if owner is not None:
                    return types.classes(self, file, held.parent, 0, owner)
            scope = held.parent
        return NOTHING

    def encloses(self, file: int, outer: int, inner: int) -> bool:
        """Tell whether the scope `outer` is `inner` or stands around it."""
        scopes = self.files[file].scopes
        while inner > outer:  # a scope's number is larger than its parent's
            inner = scopes[inner].parent
        return inner == outer

    # names

    def lookup(self, file: int, scope: int, at: int, name: str) -> Values:
        """Return the values of a name used in `scope` at the byte `at`."""
        if self.traits[file].bare_members:
            return self._lookup_with_members(file, scope, at, name)
        entries, found_in = self.entries(file, scope, name)
        if len(entries) == 1:
            return self.of_entry(file, entries[0])
        if entries:
            return self.of_entries(file, found_in, entries, scope, at)
        return self.remember(("global", file, name), self._beyond, file, name)

    def _lookup_with_members(self, file: int, scope: int, at: int, name: str) -> Values:
        """Return the values of a name that can also be a member of a class around the place, or of its bases."""
        index = self.indexes[file]
        external = NOTHING
        current = scope
        while current >= 0:
            held = index.record.scopes[current]
            if held.kind == "class" and held.symbol >= 0:
                found, beyond = members.bare(self, ("instance", file, held.symbol), name)
                if found is not None:
                    return found
                external = external or beyond
            else:
                entries = index.names[current].get(name)
                if entries:
                    return self.of_entries(file, current, entries, scope, at)
            current = held.parent
        return self.remember(("global", file, name), self._beyond, file, name) or external

    def entries(self, file: int, scope: int, name: str) -> tuple[list[Entry], int]:
        """Return what binds a name in the innermost scope that has it, and that scope."""
        index = self.indexes[file]
        names, scopes, start = index.names, index.record.scopes, scope
        while scope >= 0:
            held = scopes[scope]
            if name in names[scope] and (
                held.kind != "class" or scope == index.frames[start] or self.traits[file].bare_members
            ):
                return names[scope][name], scope
            scope = held.parent
        return [], -1

    def of_entries(self, file: int, found_in: int, entries: list[Entry], scope: int, at: int) -> Values:
        """Return the values of a name that `entries` bind, used in `scope` at `at`."""
        if len(entries) == 1:
            return self.of_entry(file, entries[0])
        if self.traits[file].overloads and all(_defines(entry) for entry in entries):
            return tuple(self.of_entry(file, entry)[0] for entry in entries)
        named_types = [entry for entry in entries if type(entry) is Binding and entry.kind == "type"]
        if named_types and self.traits[file].separate_types:
            # A type and a value of the same name stand beside each other; a type can have several parts.
            values = [entry for entry in entries if type(entry) is not Binding or entry.kind != "type"]
            found = self.of_entries(file, found_in, values, scope, at) if values else NOTHING
            return union([*(self.of_entry(file, entry) for entry in named_types), found])
        frames = self.indexes[file].frames
        if frames[found_in] == frames[scope]:
            reaching = self._reaching(file, [e for e in entries if _at(e) < at] or entries, scope)
        else:
            reaching = self._reaching(file, entries, found_in)
        found = union(self.of_entry(file, entry) for entry in reaching)
        # A definition that is wrapped and bound anew by what is not known (`f = decorate(f)`) stays what it was.
        return found or union(self.of_entry(file, entry) for entry in entries if _defines(entry))

    def _reaching(self, file: int, entries: Sequence[Entry], scope: int) -> list[Entry]:
        """Return the entries that may hold at the end of a list of them, for a use in `scope`."""
        declared: list[Entry] = [entry for entry in entries if type(entry) is Binding and entry.kind == "declared"]
        if declared:
            return declared[-1:]
        found: list[Entry] = []
        for entry in reversed(sorted(entries, key=_at)):  # noqa: C413 - of one place, the later comes first
            found.append(entry)
            if self.encloses(file, entry.block if type(entry) is Binding else entry.scope, scope):
                break
        return found

    def of_entry(self, file: int, entry: Entry) -> Values:
        """Return the values that one binding, import or parameter gives its name."""
        kind = type(entry)
        if kind is Binding:
            value = entry.value  # type: ignore[union-attr]
            if value is None:
                return NOTHING
            if value[0] == "function":
                return (self.value_of_scope(file, value[1]),)
            return self.remember(id(entry), self._of_binding, file, entry)
        compute = self._of_import if kind is Import else self._of_parameter
        return self.remember(id(entry), compute, file, entry)

    def _of_binding(self, file: int, binding: Binding) -> Values:
        if binding.kind == "type" and self.traits[file].separate_types:
            return (("type", file, binding.block, binding.value),)
        return self.evaluate(file, binding.block, binding.at, binding.value)

    def _of_import(self, file: int, imported: Import) -> Values:
        if imported.member is None:
            return self.module(file, imported.module)
        return self.module_member(file, imported.module, imported.member)

    def _of_parameter(self, file: int, parameter: Parameter) -> Values:
        return returns.parameter(self, file, parameter)

    def _beyond(self, file: int, name: str) -> Values:
        """Return the values of a name that no scope of the file binds."""
        for imported in (star for stars in self.indexes[file].stars.values() for star in reversed(stars)):
            found = self.star_member(file, imported, name, 0)
            if found:
                return found
        modules = self.modules[file]
        for place in modules.siblings(file):
            found = self.place_member(place, name, 0)
            if found:
                return found
        seen = union(self.place_member(place, name, 0) for place in modules.visible(file, name))
        if seen:
            return seen
        if modules.is_root(file, name):
            return self.module(file, name)
        return (("external", name),) if name in self.traits[file].builtins else NOTHING

    # modules

    def module(self, file: int, name: str) -> Values:
        """Return a module as `file` names it: of the repository, or an external one."""
        places = self.modules[file].find(file, name)
        if places is None:
            return (("external", name.lstrip(".") or name),)
        for place in places:
            whole = self.indexes[place.file].exports.get("=")
            if whole is not None:  # CommonJS: the module is what it assigns to module.exports
                return self.remember(("member", place, "="), self._exported, place.file, "=", 0)
        return self._module_value(file, name, places)

    def _module_value(self, file: int, name: str, places: tuple[Place, ...]) -> Values:
        """Return the module that places make up; a class where they are the bodies of one."""
        found = []
        for place in places:
            held = self.files[place.file].scopes[place.scope]
            if held.kind == "class" and held.symbol >= 0:
                found.append(("class", place.file, held.symbol))
        return tuple(found) or (("module", file, name, places),)

    def module_member(self, file: int, module: str, name: str, depth: int = 0) -> Values:
        """Return a member of a module, which can be a module itself."""
        modules = self.modules[file]
        places = modules.find(file, module)
        if places is None:
            return (("external", f"{module.lstrip('.')}.{name}"),)
        found = union(self.place_member(place, name, depth) for place in places)
        if found:
            return found
        inner = f"{module}{name}" if module.endswith(modules.separator) else f"{module}{modules.separator}{name}"
        inner_places = modules.find(file, inner)
        return self._module_value(file, inner, inner_places) if inner_places is not None else NOTHING

    def place_member(self, place: Place, name: str, depth: int) -> Values:
        """Return a name of a module, as others see it."""
        if depth > MAX_STAR_DEPTH:
            return NOTHING
        return self.remember(("member", place, name), self._place_member, place, name, depth)

    def _place_member(self, place: Place, name: str, depth: int) -> Values:
        index = self.indexes[place.file]
        if index.exports or index.star_exports:
            return self._exported(place.file, name, depth)
        entries = index.names[place.scope].get(name)
        if entries:
            return self.of_entries(place.file, place.scope, entries, place.scope, index.record.size_bytes + 1)
        for imported in index.stars.get(place.scope, ()):
            found = self.star_member(place.file, imported, name, depth + 1)
            if found:
                return found
        return NOTHING

    def star_member(self, file: int, imported: Import, name: str, depth: int) -> Values:
        """Return a name that `import *` brings."""
        places = self.modules[file].find(file, imported.module)
        for place in places or ():
            public = self.files[place.file].all_names
            if name in public if public is not None else name[:1] != "_":
                found = self.place_member(place, name, depth + 1)
                if found:
                    return found
        return NOTHING

    def _exported(self, file: int, name: str, depth: int) -> Values:  # noqa: PLR0911 - one form each
        index = self.indexes[file]
        export = index.exports.get(name)
        if export is not None:
            if export.module is None:
                return self.evaluate(file, 0, index.record.size_bytes + 1, export.value)
            if export.member is None:
                return self.module(file, export.module)
            return self.module_member(file, export.module, export.member, depth + 1)
        for star in index.star_exports if name != "default" else ():
            for place in self.modules[file].find(file, star.module or "") or ():
                found = self.place_member(place, name, depth + 1)
                if found:
                    return found
        whole = index.exports.get("=")
        if whole is not None:
            held = self.evaluate(file, 0, index.record.size_bytes + 1, whole.value)
            return held if name == "default" else union(members.attribute(self, value, name) for value in held)
        if name == "default" and self.traits[file].separate_types:
            # CommonJS that sets members only: the default import is the module.
            return (("module", file, f"./{self.files[file].path.rpartition('/')[2]}", (Place(file),)),)
        return NOTHING


def _defines(entry: Entry) -> bool:
    return type(entry) is Binding and entry.value is not None and entry.value[0] == "function"


def _at(entry: Entry) -> int:
    return -1 if type(entry) is Parameter else entry.at  # type: ignore[union-attr]
