"""What resolution must know of a language beside its modules: builtin names, and how bare names find members."""

import builtins
from collections.abc import Mapping
from typing import NamedTuple


class Traits(NamedTuple):
    """One language."""

    builtins: frozenset[str] = frozenset()  # names that are there without an import
    builtin_methods: frozenset[str] = frozenset()  # of builtin types: they resolve by a known receiver only
    bare_members: bool = False  # a bare name in a method can be a member of its class (Java, C#)
    separate_types: bool = False  # types are no values, and can bear the name of one (TypeScript)
    constructors: frozenset[str] = frozenset()  # names of methods that run when the class is called
    typed: bool = False  # parameters have declared types: what callers pass says no more
    overloads: bool = False  # functions of one name differ by their parameters (Java, C#)
    types_convert: bool = False  # `Type(x)` is a conversion and no call (Go)
    same_type: frozenset[str] = frozenset()  # methods that give their receiver's type where it has none of that name
    method_mark: str = ""  # what the extractor puts behind the names of methods, which fields do not share (Java)
    by_name: bool = False  # values are not followed: a name that is bound nowhere in its file can be another file's


def _words(text: str, mark: str = "") -> frozenset[str]:
    return frozenset(word + mark for word in text.split())


def _methods(*types: type) -> frozenset[str]:
    return frozenset(name for kind in types for name in dir(kind) if not name.startswith("__"))


PYTHON = Traits(
    frozenset(dir(builtins)) | _words("__file__ __builtins__ reveal_type unicode basestring xrange raw_input"),
    _methods(str, bytes, list, dict, set, frozenset, tuple, int, float, complex, bytearray, memoryview, BaseException)
    | {"read", "write", "close", "readline", "readlines", "writelines", "seek", "tell", "flush", "fileno"}  # files
    | {"acquire", "release", "send", "throw", "cancel", "result", "put", "group", "groups", "match", "search", "sub"}
    | {"popleft", "appendleft", "debug", "info", "warning", "error", "exception", "critical", "connect", "execute"},
    constructors=frozenset({"__init__"}),
)  # fmt: skip

RUST = Traits(
    _words(
        "std core alloc Vec Box String Option Some None Ok Err Result Rc Arc drop Default Iterator Into From "
        "Clone ToString ToOwned println! print! eprintln! eprint! format! write! writeln! vec! panic! assert! "
        "assert_eq! assert_ne! debug_assert! debug_assert_eq! debug_assert_ne! unreachable! unimplemented! todo! "
        "matches! concat! stringify! include_str! include_bytes! include! env! option_env! line! file! cfg! "
        "thread_local! compile_error! dbg! try! str char bool u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize "
        "f32 f64"
    ),
    _words(
        "new len iter iter_mut into_iter push pop get get_mut insert remove map filter collect unwrap clone into "
        "from as_ref as_mut to_string to_owned as_str as_bytes next fmt eq ne cmp partial_cmp hash default drop "
        "write read flush lock send recv join contains extend is_empty clear split trim parse push_str "
        "with_capacity capacity take replace swap expect ok err and_then or_else unwrap_or unwrap_or_else "
        "unwrap_or_default ok_or ok_or_else is_some is_none is_ok is_err min max abs poll wake fold any all find "
        "position enumerate zip chain rev last first nth count sum product cloned copied flat_map for_each peek "
        "skip chars bytes lines starts_with ends_with to_vec sort sort_by sort_by_key dedup retain drain split_at "
        "entry or_insert or_insert_with keys values borrow borrow_mut deref deref_mut index try_from try_into "
        "as_slice as_ptr load store fetch_add wait notify spawn set type_id source description display path "
        "map_err unwrap_err write_all read_to_string read_exact seek close finish append reserve resize truncate "
        "concat find_map add sub mul div rem neg not bitand bitor bitxor shl shr offset as_mut_ptr as_mut_slice "
        "set_len extend_from_slice leading_zeros trailing_zeros count_ones pow copy_from_slice split_first "
        "split_last chunks windows checked_add wrapping_add saturating_sub as_any downcast_ref is_null cast "
        "into_boxed_slice into_string into_bytes to_lowercase to_uppercase trim_start trim_end rsplit splitn "
        "replace_range char_indices is_char_boundary fill swap_remove filter_map step_by scan cycle by_ref "
        "size_hint is_some_and contains_key get_or_insert_with elapsed as_path exists"
    ),
    typed=True,
    same_type=frozenset(
        {"clone", "to_owned", "borrow", "borrow_mut", "as_ref", "as_mut", "by_ref", "deref", "deref_mut"}
    ),
)
GO = Traits(
    _words(
        "append cap close complex copy delete imag len make new panic print println real recover min max clear "
        "bool byte complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8 "
        "uint16 uint32 uint64 uintptr any"
    ),
    _words(
        "Error String Read Write Close Len Less Swap Lock Unlock RLock RUnlock Add Done Wait Get Set Put Next "
        "Scan Text Bytes Printf Println Print Fatal Fatalf Errorf Error Log Logf Run Parse Format Seek Flush "
        "Reset Name Context Value Err Deadline Helper Skip FailNow Fail Store Load Do Key Index Kind Type Field "
        "NumField Interface IsNil Elem"
    ),
    types_convert=True,
    typed=True,
)
JAVA = Traits(
    _words(
        "String Object Integer Long Double Float Boolean Character Byte Short Number Math System Thread Runnable "
        "Iterable Exception RuntimeException IllegalArgumentException IllegalStateException NullPointerException "
        "Error Throwable UnsupportedOperationException IndexOutOfBoundsException StringBuilder StringBuffer "
        "CharSequence Comparable Class Enum Record Void Process ProcessBuilder Runtime StackTraceElement "
        "AssertionError InterruptedException ClassCastException ArithmeticException NumberFormatException "
        "CloneNotSupportedException ClassNotFoundException Override Deprecated FunctionalInterface "
        "SuppressWarnings SafeVarargs AutoCloseable Appendable Cloneable ThreadLocal ClassLoader Package "
        "StrictMath Iterable NoSuchMethodException NoSuchFieldException SecurityException "
        "ReflectiveOperationException OutOfMemoryError StackOverflowError NegativeArraySizeException Readable"
    ),
    _words(
        "toString equals hashCode getClass notify notifyAll wait clone finalize compareTo compare iterator "
        "get set put add remove size isEmpty contains containsKey containsValue stream map filter forEach "
        "collect of values keySet entrySet getKey getValue clear addAll removeAll length charAt substring "
        "append insert split trim close read write flush next hasNext run call accept apply test name ordinal "
        "valueOf format getName getMessage getCause start join execute submit await lock unlock orElse "
        "orElseThrow isPresent ifPresent indexOf matches find group build create println print printf toArray "
        "sort reverse copy",
        mark="()",
    ),
    bare_members=True,
    overloads=True,
    typed=True,
    method_mark="()",
)
CSHARP = Traits(
    _words(
        "string int bool object char byte long short double float decimal uint ulong ushort sbyte nint nuint "
        "nameof String Console Math Exception ArgumentException ArgumentNullException InvalidOperationException "
        "NotSupportedException NotImplementedException Task Convert DateTime TimeSpan Guid Type Enum Array "
        "Environment GC Activator Attribute EventArgs Func Action Lazy Tuple Uri Version Random StringBuilder "
        "Encoding File Path Directory Stream List Dictionary HashSet Queue Stack IEnumerable IList IDictionary "
        "Enumerable Regex Thread Monitor Interlocked CancellationToken CancellationTokenSource Assert Debug Trace "
        "Stopwatch"
    ),
    _words(
        "ToString Equals GetHashCode GetType CompareTo Dispose Add Remove Contains ContainsKey Clear Count Any "
        "All First FirstOrDefault Single Last Select Where OrderBy ToList ToArray ToDictionary Insert IndexOf "
        "Join Split Trim Substring Replace StartsWith EndsWith Append AppendLine Write WriteLine Read ReadLine "
        "Close Flush Invoke Wait Result ConfigureAwait GetAwaiter TryGetValue Get Set Format Parse TryParse "
        "Create Copy Concat Max Min Sum Reverse ForEach Find Exists AddRange GetEnumerator MoveNext Reset Run "
        "Start Stop Execute Send Open Load Save"
    ),
    bare_members=True,
    overloads=True,
    typed=True,
)

# What the collections and strings of languages whose values are not followed are asked for.
_COMMON_METHODS = frozenset(
    """add all any append apply at back begin clear close collect contains count each empty end equals erase filter find
    first flatMap flush fold forEach format front get getOrElse groupBy index init insert invoke isEmpty iterator join
    keys last length let load lock map match max merge min new next open pop pop_back print println push push_back put
    puts read reduce release remove replace reset resize reverse run save select send set size slice sort sortBy split
    start stop str string sub sum swap take test then toList toString to_a to_s trim unlock update value values with
    write zip""".split()  # noqa: SIM905 - a list would have a line for each
)
_BY_NAME = Traits(builtin_methods=_COMMON_METHODS, by_name=True)
_BY_NAME_IN_CLASSES = _BY_NAME._replace(bare_members=True)
_GLOBALS = """
    AbortController AbortSignal AggregateError Array ArrayBuffer Atomics BigInt BigInt64Array BigUint64Array
    Blob Boolean BroadcastChannel Buffer CustomEvent DOMParser DataView Date Error EvalError Event EventTarget
    File FileReader FinalizationRegistry Float32Array Float64Array FormData Function Headers Image Infinity
    Int16Array Int32Array Int8Array Intl IntersectionObserver JSON Map Math MessageChannel MutationObserver NaN
    Node Number Object Promise Proxy RangeError ReadableStream ReferenceError Reflect RegExp Request
    ResizeObserver Response Set SharedArrayBuffer String Symbol SyntaxError TextDecoder TextEncoder
    TransformStream TypeError URIError URL URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray
    WeakMap WeakRef WeakSet WebAssembly WebSocket Worker WritableStream XMLHttpRequest addEventListener afterAll
    afterEach alert atob beforeAll beforeEach btoa cancelAnimationFrame cancelIdleCallback clearImmediate
    clearInterval clearTimeout confirm console crypto customElements decodeURI decodeURIComponent describe
    document encodeURI encodeURIComponent escape eval exports expect fetch getComputedStyle global globalThis
    history isFinite isNaN it jest localStorage location matchMedia module navigator parseFloat parseInt
    performance process prompt queueMicrotask reportError requestAnimationFrame requestIdleCallback require self
    sessionStorage setImmediate setInterval setTimeout structuredClone suite test undefined unescape vi window
"""
_METHODS = """
    add addEventListener all allSettled any append appendChild apply at bind call catch charAt charCodeAt clear
    clone close codePointAt concat contains copyWithin createElement delete dispatchEvent emit end endsWith
    entries every exec fill filter finally find findIndex findLast findLastIndex flat flatMap focus forEach from
    get getAttribute getElementById getTime has hasOwnProperty includes indexOf insertBefore isArray join json
    keys lastIndexOf localeCompare log map match matchAll next normalize now of off on once open padEnd padStart
    parse pipe pop postMessage preventDefault push querySelector querySelectorAll race read reduce reduceRight
    reject remove removeChild removeEventListener repeat replace replaceAll resolve return reverse search send
    set setAttribute shift slice some sort splice split start startsWith stop stopPropagation stringify substr
    substring test text then throw toFixed toISOString toJSON toLocaleString toLowerCase toString toUpperCase
    trim trimEnd trimStart unshift update valueOf values write error warn info debug trace
"""
JAVASCRIPT = Traits(
    frozenset(_GLOBALS.split()),
    frozenset(_METHODS.split()),
    separate_types=True,
    constructors=frozenset({"constructor"}),
)

TRAITS: Mapping[str, Traits] = {
    "python": PYTHON,
    "rust": RUST,
    "go": GO,
    "java": JAVA,
    "csharp": CSHARP,
    "c": _BY_NAME,
    "cpp": _BY_NAME_IN_CLASSES,
    "ruby": _BY_NAME_IN_CLASSES,
    "php": _BY_NAME,
    "kotlin": _BY_NAME_IN_CLASSES,
    "swift": _BY_NAME_IN_CLASSES,
    "scala": _BY_NAME_IN_CLASSES,
    "lua": _BY_NAME,
    "bash": _BY_NAME,
    "typescript": JAVASCRIPT,
    "javascript": JAVASCRIPT,
    "svelte": JAVASCRIPT,
    "vue": JAVASCRIPT,
}
DEFAULT = Traits()
