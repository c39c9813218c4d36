"""The values that expressions evaluate to: small tagged tuples, in sets of bounded size.

    ("function", file, scope)             a function, method or lambda, by its own scope
    ("bound", file, scope, receiver)      a method with the value that it was taken from
    ("class", file, symbol)               a class or other type
    ("instance", file, symbol)            an instance of one
    ("super", file, symbol, receiver)     the receiver, seen from the bases of the class
    ("module", file, name, places)        a module of the repository, as `file` names it
    ("external", "requests.get")          something of a dependency or of the language itself
    ("external_instance", "str")          what an external class makes, or an external function returns ("f()")
    ("container", number)                 a list or mapping written in the source (number: Evaluator.containers)
    ("sequence", "list", (Values, ...))   a sequence with members of these values, by position where there are several
    ("mapping", "dict", ((key, Values), ...), keys)   with the values of its keys where they are declared
    ("method_of", container, "get")       a method of one of the three above
    ("ambiguous", (Value, ...))           one of these functions: overloads that nothing tells apart
    ("identity",)                         a function that returns its first argument

An empty set means that nothing is known.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

Value: TypeAlias = tuple[Any, ...]
Values: TypeAlias = tuple[Value, ...]

MAX_VALUES = 12  # of one expression: what can be more than these is as good as unknown
NOTHING: Values = ()
CONTAINERS = frozenset({"container", "sequence", "mapping"})


def union(parts: Iterable[Values]) -> Values:
    """Return the values of all parts, each once; nothing where they are too many."""
    found: dict[Value, None] = {}
    for part in parts:
        for value in part:
            found[value] = None
    return tuple(found) if len(found) <= MAX_VALUES else NOTHING
