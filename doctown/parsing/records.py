"""What parsing leaves of a file: plain records from which the graph is resolved without the source.

A `FileRecord` is language-neutral. It holds the file's symbols, its scopes, and facts about how values move between
names: bindings, parameters, returns, attribute and item stores, imports, exports, calls. Expressions are small tagged
tuples (see `Expr`). All of it pickles; strings that repeat are interned by the extractor. Left out: everything that no
rung of the resolver reads (arithmetic, literals' values, control flow beyond blocks).
"""

from typing import Any, Literal, NamedTuple, TypeAlias

# An expression is a tuple whose first element is its tag, or None where nothing is known of the value:
#
#   ("name", "x")                    a name, looked up from the scope of the fact that holds the expression
#   ("attr", object, "y")            an attribute, member, field or path segment: object.y, object::y, object->y
#   ("call", 12)                     the result of call 12 of this file (index in FileRecord.calls)
#   ("item", object, key)            object[key]; key is a str or int where it is a constant, else None
#   ("each", object)                 an element of what is iterated over: for x in object
#   ("enter", object)                what a context manager gives: with object as x; ("enter", object, "async")
#   ("inner", object)                the value inside a wrapper: await, Rust's `?`, a dereference that changes the type
#   ("literal", "str")               a value of a builtin type, by the language's name for it
#   ("list", "tuple", (e, ...))      a sequence or set of these members; the second element is the builtin type
#   ("dict", "dict", ((key, e), ...)) a mapping or object literal ("object"); key is a str or int, None where unknown,
#                                    "..." for a spread of e
#   ("function", 7)                  the function, lambda or class whose own scope is scope 7 of this file
#   ("in", 9, e)                     e, with its names looked up from scope 9 (comprehensions)
#   ("any", (e, ...))                one of these: conditional expressions, `or`, unions of types
#   ("typed", type)                  an instance of the type that the expression names
#   ("self",)                        the receiver where the language has a word for it: this, self
#   ("super",)                       the receiver, with members looked up in the bases only
#   ("selftype",)                    the type around this place: Rust's Self, PHP's static
#   ("generic", base, (e, ...))      a type with arguments: list[int], Promise<Foo>
#   ("import", "./module")           the module itself, where an expression names it: require(), import()
#
# Types are written with the same tags: ("name", ...), ("attr", ...), ("generic", ...), ("any", ...), ("literal", ...).
Expr: TypeAlias = tuple[Any, ...] | None

SymbolKind: TypeAlias = Literal[
    "function",
    "method",
    "class",
    "struct",
    "enum",
    "trait",
    "interface",
    "type",
    "constant",
    "module",
    "macro",
    "property",
]
TYPE_KINDS = frozenset({"class", "struct", "enum", "trait", "interface"})
CALLABLE_KINDS = frozenset({"function", "method", "macro", "property"})


class Decorator(NamedTuple):
    """A decorator, annotation or attribute: its text without the mark, white space folded, and what is applied."""

    text: str
    value: Expr


class Symbol(NamedTuple):
    """A definition. Its id is `path::` and its qualified name (with `#2` for the second of that name in the file)."""

    name: str
    qualified_name: str
    kind: SymbolKind
    parent: int  # index in FileRecord.symbols, -1 at the top of the file
    signature: str  # whole, without the body, white space folded
    docstring: str | None
    start_byte: int  # of the definition itself, below its decorators; bytes are half-open, lines 1-based and inclusive
    end_byte: int
    start_line: int
    end_line: int
    decorators: tuple[Decorator, ...]
    exported: bool
    is_test: bool
    scope: int  # index of its own scope in FileRecord.scopes; -1 for a symbol without a body (constant, type alias)
    within: int  # index of the scope it is defined in
    bases: tuple[Expr, ...]  # classes: what it inherits from, in order, with embedded structs and supertraits
    base_names: tuple[str, ...]  # the same as written
    returns: Expr  # functions: the declared type of what is returned
    owner: Expr  # "this member belongs to the type that this names": impl blocks, Go receivers, extensions, prototypes
    # async, generator, static, classmethod, property (runs on access), abstract, overload (a signature without its
    # body), partial (one of several parts of one type), extension, constructor, local (not a member of its parent),
    # implements (a method of Rust's `impl Trait for Type`)
    flags: tuple[str, ...]


class Scope(NamedTuple):
    """Where names live. Scope 0 is the file's module scope.

    kind: "module" (the file, Rust's inline mod), "namespace" (C#, TypeScript, PHP), "class" (also impl blocks),
    "function" (also lambdas), "block" (a branch or loop body; also where let and const live), "comprehension".
    """

    kind: str
    parent: int  # -1 for scope 0
    symbol: int  # the symbol whose own scope this is, -1 for blocks, impl blocks, lambdas without a name
    name: str | None = None  # namespaces and inline modules: the name as written, with its dots
    owner: Expr = None  # class scopes without a symbol: the type that they belong to (impl Foo)


class Binding(NamedTuple):
    """`name` gets `value`.

    kind: "value" (an assignment), "declared" (a declared type; value is ("typed", type)), "type" (an alias; value is a
    type), "narrow" (holds inside the block that is its scope only: isinstance, instanceof, match arms).
    """

    scope: int  # the scope whose name it is (`let`: the block; Python: the function, class or module)
    name: str
    value: Expr
    at: int  # start byte
    block: int  # the innermost scope in which the assignment stands; equal to scope outside of branches
    kind: str = "value"


class Parameter(NamedTuple):
    """A parameter of the function whose own scope is `scope`, in order; the receiver is among them where it is written.

    kind: "" (by position or name), "positional", "keyword", "rest" (*args), "rest_keyword" (**kwargs), "receiver".
    """

    scope: int
    name: str
    type: Expr
    default: Expr
    kind: str = ""


class Store(NamedTuple):
    """`object.attribute = value` (attribute a str), or `object[key] = value` (item True; key None where unknown)."""

    scope: int
    object: Expr
    attribute: str | int | None
    value: Expr
    at: int
    item: bool = False
    declared: bool = False  # value is ("typed", type)


class Return(NamedTuple):
    """A function returns or yields this; `scope` is the innermost scope in which it stands."""

    scope: int
    value: Expr
    at: int
    is_yield: bool = False


class Import(NamedTuple):
    """`name` is bound to a module, or to a member of one.

    module: as the language writes it (".a.b", "./x.js", "crate::a", "a.b.C"); the language's module finder reads it.
    member: None for the module itself, "*" for all of its names (name is then "*"), "default" in JavaScript.
    """

    scope: int
    name: str
    module: str
    member: str | None
    line: int
    at: int
    type_only: bool = False


class Export(NamedTuple):
    """What others see under `name` ("*": all of `module`; "=": CommonJS's module.exports; "default").

    A local one has a value; a re-export has a module and, as an import, a member (None: the module as a namespace).
    Languages that export by visibility (Python, Rust, Go, Java, C#) write none; `Symbol.exported` says it there.
    """

    name: str
    value: Expr
    module: str | None
    member: str | None
    line: int


class Inherits(NamedTuple):
    """A base that is not written at the type's own definition: Rust's `impl Trait for Type`, Foo.prototype = …."""

    scope: int
    type: Expr
    base: Expr
    line: int


class Call(NamedTuple):
    """A call site. `line` is that of the called name (of `b` in `a.b()`), `scope` the innermost one around it."""

    scope: int
    callee: Expr
    args: tuple[Expr, ...]  # by position, trailing unknown ones left out; ("each", e) for *e at its place
    keywords: tuple[tuple[str, Expr], ...]  # known values only
    count: int  # type: ignore[assignment]  # hides tuple.count: how many arguments are written by position; -1 with a spread
    line: int
    at: int
    kind: str = "call"  # "call", "new", "decorator" (@x, applied without a call of its own), "macro", "jsx"


class FileRecord(NamedTuple):
    """All that is kept of one file."""

    path: str
    language: str
    size_bytes: int
    lines: int
    partial: bool  # the tree has errors; what is whole was taken
    docstring: str | None  # the module's
    package: str | None  # the declared package (Go, Java, Scala, Kotlin), None where there is none
    symbols: tuple[Symbol, ...]  # in the order of the source
    scopes: tuple[Scope, ...]
    parameters: tuple[Parameter, ...]
    bindings: tuple[Binding, ...]
    stores: tuple[Store, ...]
    returns: tuple[Return, ...]
    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    inherits: tuple[Inherits, ...]
    calls: tuple[Call, ...]
    all_names: tuple[str, ...] | None = None  # Python's __all__
