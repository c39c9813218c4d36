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


def _methods(*types: type) -> frozenset[str]:
    return frozenset(name for kind in types for name in dir(kind) if not name.startswith("__"))


PYTHON = Traits(
    frozenset(dir(builtins)) | {"__file__", "__builtins__", "reveal_type", "unicode", "basestring", "xrange", "raw_input"},
    _methods(str, bytes, list, dict, set, frozenset, tuple, int, float, complex, bytearray, memoryview, BaseException)
    | {"read", "write", "close", "readline", "readlines", "writelines", "seek", "tell", "flush", "fileno"}  # files
    | {"acquire", "release", "send", "throw", "cancel", "result", "put", "group", "groups", "match", "search", "sub"}
    | {"popleft", "appendleft", "debug", "info", "warning", "error", "exception", "critical", "connect", "execute"},
    constructors=frozenset({"__init__", "__new__"}),
)  # fmt: skip

TRAITS: Mapping[str, Traits] = {"python": PYTHON}
DEFAULT = Traits()
