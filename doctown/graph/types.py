"""What a declared type says of a value."""

from typing import TYPE_CHECKING

from doctown.graph import signatures
from doctown.graph.values import NOTHING, Value, Values, union
from doctown.parsing.records import Expr

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

# By the last part of the name, of all languages together: Python's typing, Promise, Vec, List…
TRANSPARENT = frozenset({"Optional", "Union", "Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})
TRANSPARENT_FIRST = frozenset({"Annotated"})
CLASS_OF = frozenset({"type", "Type"})
MAPPINGS = frozenset(
    {"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict", "Map", "HashMap",
     "Record", "Dictionary", "IDictionary", "BTreeMap", "WeakMap", "LinkedHashMap", "TreeMap", "ConcurrentHashMap",
     "SortedMap", "ConcurrentMap", "NavigableMap", "EnumMap", "IReadOnlyDictionary", "ConcurrentDictionary",
     "SortedDictionary", "Entry", "ImmutableMap", "IndexMap"}
)  # fmt: skip
SEQUENCES = frozenset(
    {"list", "List", "set", "Set", "frozenset", "FrozenSet", "tuple", "Tuple", "Sequence", "MutableSequence",
     "Iterable", "Iterator", "Collection", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator", "deque",
     "Deque", "Awaitable", "Coroutine", "ContextManager", "AsyncContextManager", "AbstractContextManager",
     "AbstractSet", "AbstractAsyncContextManager", "Promise", "Array", "ReadonlyArray", "Vec", "Task", "ValueTask",
     "IEnumerable", "ArrayList", "Stream", "Box", "Rc", "Arc", "Option", "Result", "RefCell", "Mutex", "RwLock",
     "LinkedList", "HashSet", "LinkedHashSet", "TreeSet", "Queue", "PriorityQueue", "Stack", "Vector", "SortedSet",
     "Supplier", "CompletableFuture", "Future", "AtomicReference", "ThreadLocal", "WeakReference",
     "CopyOnWriteArrayList", "ConcurrentLinkedQueue", "BlockingQueue", "ArrayDeque", "ImmutableList", "ImmutableSet",
     "Provider", "IList", "ICollection", "IReadOnlyList", "IReadOnlyCollection", "IQueryable", "ISet",
     "IAsyncEnumerable", "Lazy", "Nullable", "ImmutableArray", "ConcurrentQueue", "ConcurrentBag", "Span",
     "ReadOnlySpan", "Memory", "VecDeque", "BTreeSet", "BinaryHeap", "Cell", "OnceCell", "OnceLock", "Weak",
     "IntoIterator"}
)  # fmt: skip
NO_TYPES = frozenset({"instance", "external_instance", "function", "bound", "ambiguous"})
LAST_ARGUMENT = frozenset({"Coroutine", "Awaitable"})
FIRST_ARGUMENT = frozenset({"Generator", "AsyncGenerator", "Result"})


def instances(ev: "Evaluator", file: int, scope: int, at: int, declared: Expr) -> Values:  # noqa: PLR0911 - one form each
    """Return the values that a declared type allows."""
    if declared is None:
        return NOTHING
    tag = declared[0]
    if tag == "any":
        return union(instances(ev, file, scope, at, part) for part in declared[1] if part != ("literal", "None"))
    if tag == "generic":
        return _generic(ev, file, scope, at, declared)
    if tag == "literal":
        return (("external_instance", declared[1]),)
    if tag == "typed":
        return instances(ev, file, scope, at, declared[1])
    if tag == "typevar":
        return instances(ev, file, scope, at, declared[2] or declared[3])
    if tag == "callable":
        return (("callable", file, scope, declared, None),)
    if tag == "dict":
        return (("object_type", file, scope, declared),)
    if tag == "list":
        return (("sequence", "tuple", tuple(instances(ev, file, scope, at, part) for part in declared[2])),)
    return union(_instance(ev, file, scope, value) for value in _named(ev, file, scope, at, declared))


def classes(ev: "Evaluator", file: int, scope: int, at: int, declared: Expr) -> Values:
    """Return the classes of the repository that a type expression names."""
    if declared is None:
        return NOTHING
    if declared[0] == "generic":
        return classes(ev, file, scope, at, declared[1])
    found = resolved(ev, _named(ev, file, scope, at, declared))
    return tuple(made for value in found if (made := signatures.class_of(ev, value)) is not None)


def resolved(ev: "Evaluator", values: Values) -> Values:
    """Return values with type aliases replaced by the classes that they name."""
    if not any(value[0] == "type" for value in values):
        return values
    found = []
    for value in values:
        if value[0] == "type":
            found.append(ev.remember(("classes", value), classes, ev, value[1], value[2], 0, value[3]))
        else:
            found.append((value,))
    return union(found)


def _named(ev: "Evaluator", file: int, scope: int, at: int, declared: tuple) -> Values:  # type: ignore[type-arg]
    # Annotations may name what is defined later: they are read from the end of the scope.
    at = max(at, ev.files[file].size_bytes)
    found = ev.evaluate(file, scope, at, declared)
    # `Color Color`: a member that bears the name of its type does not hide it.
    while declared[0] == "name" and ev.traits[file].bare_members and all(v[0] in NO_TYPES for v in found):
        scope = ev.files[file].scopes[scope].parent
        if scope < 0:
            break
        found = ev.evaluate(file, scope, at, declared)
    return found


def _instance(ev: "Evaluator", file: int, scope: int, value: Value) -> Values:  # noqa: PLR0911 - one form each
    if value[0] == "class":
        return (("instance", value[1], value[2]),)
    constructed = signatures.class_of(ev, value) if value[0] == "function" else None
    if constructed is not None:
        return (("instance", constructed[1], constructed[2]),)
    if value[0] == "type":
        return ev.remember(("instances", value), instances, ev, value[1], value[2], 0, value[3])
    if value[0] == "external":
        if value[1].rpartition(".")[2] == "Self":
            return tuple(("instance", c[1], c[2]) for c in ev.class_around(file, scope))
        return () if value[1].rpartition(".")[2] in ("Any", "object") else (("external_instance", value[1]),)
    if value[0] in ("sequence", "mapping", "alias"):
        return (value,)
    if value[0] == "external_instance" and value[1].endswith("TypeVar"):
        return NOTHING
    return NOTHING


def _generic(ev: "Evaluator", file: int, scope: int, at: int, declared: tuple) -> Values:  # type: ignore[type-arg]  # noqa: PLR0911 - one form each
    _, base, arguments = declared
    name = base[-1] if base and base[0] in ("name", "attr", "literal") else ""
    named = _named(ev, file, scope, at, base) if base else NOTHING
    if any(value[0] == "class" for value in named):
        return union(_instance(ev, file, scope, value) for value in named)
    parts = arguments[:1] if name in TRANSPARENT_FIRST else arguments
    if name == "Optional" and ev.files[file].language != "python":
        return (("sequence", name, tuple(instances(ev, file, scope, at, part) for part in parts)),)
    if name in TRANSPARENT:
        return instances(ev, file, scope, at, ("any", parts))
    if name in CLASS_OF:
        return union(classes(ev, file, scope, at, part) for part in parts)
    if name in MAPPINGS and parts:
        keys = instances(ev, file, scope, at, parts[0]) if len(parts) > 1 else NOTHING
        return (("mapping", name, ((None, instances(ev, file, scope, at, parts[-1])),), keys),)
    if name in SEQUENCES and parts:
        kept = parts[-1:] if name in LAST_ARGUMENT else parts[:1] if name in FIRST_ARGUMENT else parts
        return (("sequence", name, tuple(instances(ev, file, scope, at, part) for part in kept if part)),)
    return union(_instance(ev, file, scope, value) for value in named)
