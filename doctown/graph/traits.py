"""What resolution must know of a language beside its modules: builtin names, and how bare names find members."""

import builtins
from collections.abc import Mapping
from typing import NamedTuple


class Traits(NamedTuple):
    """One language."""

    builtins: frozenset[str] = frozenset()  # names that are there without an import
    builtin_methods: frozenset[str] = frozenset()  # of builtin types: they resolve by a known receiver only
    bare_members: bool = False  # a bare name in a method can be a member of its class (Java, C#)
    constructors: frozenset[str] = frozenset()  # names of methods that run when the class is called
    by_name: bool = False  # values are not followed: a name that is bound nowhere in its file can be another file's


def _methods(*types: type) -> frozenset[str]:
    return frozenset(name for kind in types for name in dir(kind) if not name.startswith("__"))


PYTHON = Traits(
    frozenset(dir(builtins)) | {"__file__", "__builtins__", "reveal_type", "unicode", "basestring", "xrange", "raw_input"},
    _methods(str, bytes, list, dict, set, frozenset, tuple, int, float, complex, bytearray, memoryview, BaseException)
    | {"read", "write", "close", "readline", "readlines", "writelines", "seek", "tell", "flush", "fileno"}  # files
    | {"acquire", "release", "send", "throw", "cancel", "result", "put", "group", "groups", "match", "search", "sub"}
    | {"popleft", "appendleft", "debug", "info", "warning", "error", "exception", "critical", "connect", "execute"},
    constructors=frozenset({"__init__"}),
)  # fmt: skip

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

TRAITS: Mapping[str, Traits] = {
    "python": PYTHON,
    "c": _BY_NAME,
    "cpp": _BY_NAME_IN_CLASSES,
    "ruby": _BY_NAME_IN_CLASSES,
    "php": _BY_NAME,
    "kotlin": _BY_NAME_IN_CLASSES,
    "swift": _BY_NAME_IN_CLASSES,
    "scala": _BY_NAME_IN_CLASSES,
    "lua": _BY_NAME,
    "bash": _BY_NAME,
}
DEFAULT = Traits()
