"""Read parameters, the returned type and raised errors off a declaration, in any language, by its punctuation.

A guess for summaries without a model: what cannot be read is left out. Leaves out: parsing (`doctown.parsing`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from generation.domain.context import SymbolContext

_LOOK_CHARS = 20_000
_MAX_TYPE_CHARS = 60
# Languages in which a parameter's type comes before its name.
_TYPE_FIRST = frozenset({"c", "cpp", "c++", "java", "csharp", "c_sharp", "c#"})
_NOT_NAMED = frozenset({"self", "cls", "this", "void", "mut"})
_NOTHING = frozenset({"None", "void", "()", "Unit", "undefined", "Void", "Self", "NoReturn", "never"})
_OPENING, _CLOSING = "([{<", ")]}>"
_RAISES = re.compile(r"^[^\n#\"'/]*\b(?:raise|throw)\s+(?:new\s+)?([A-Z][\w.]*)", re.MULTILINE)
_THROWS = re.compile(r"\bthrows\s+([A-Z]\w*)")
_BEFORE_NAME = re.compile(r"[\w.]\Z")
_AFTER_NAME = re.compile(r"\s*(?:<[^(>]*>)?\(")


class Declaration(NamedTuple):
    """What a declaration says: names of parameters, the type that is returned if any, names of errors."""

    parameters: list[str]
    returns: str | None
    raises: list[str]


def read_declaration(context: SymbolContext) -> Declaration:
    """Return what the signature of a symbol, or else the beginning of its source, declares."""
    source = (context.source_code or "")[:_LOOK_CHARS]
    is_class = context.kind.lower() in {"class", "struct", "interface", "enum", "trait", "module"}
    text = context.signature or source
    start = None if is_class else _start_of_arguments(text, context.name)
    raises = list(dict.fromkeys(_RAISES.findall(source) + _THROWS.findall(text)))
    if start is None:
        return Declaration([], None, raises)
    parts, end = _arguments(text, start)
    names = (_parameter_name(part, context.language.lower()) for part in parts)
    return Declaration([name for name in names if name and name not in _NOT_NAMED], _returned(text[end:]), raises)


def _start_of_arguments(text: str, name: str) -> int | None:
    """Return the place after the bracket that follows a name, also where types are between them.

    A pattern that has the name in it would be compiled for each symbol, which took a third of an offline job's time.
    """
    place = text.find(name)
    while place >= 0:
        found = _AFTER_NAME.match(text, place + len(name))
        if found and not _BEFORE_NAME.search(text, max(0, place - 1), place):
            return found.end()
        place = text.find(name, place + 1)
    return None


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """Return the comma-separated parts up to the closing bracket, and the place after it; no parts if there is none."""
    parts: list[str] = []
    depth, begin = 0, start
    for place in range(start, min(len(text), start + 5_000)):
        char = text[place]
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING and text[place - 1] not in "-=":
            if depth == 0:
                return [part for part in (*parts, text[begin:place]) if part.strip()], place + 1
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [], len(text)


def _parameter_name(part: str, language: str) -> str | None:
    declared = re.split(r"=(?!>)", part)[0] if language in _TYPE_FIRST else re.split(r"[:=]", part)[0]
    names: list[str] = re.findall(r"[^\W\d]\w*", declared)
    if not names:
        return None
    return names[-1] if language in _TYPE_FIRST or ":" in part else names[0]


def _returned(rest: str) -> str | None:
    """Return the type after the parameters (`-> T`, `: T`), if it is one that says something."""
    found = re.match(r"[ \t]*(?:->|:(?![ \t]*\n))[ \t]*([^\n{;=]+?)[ \t]*(?::[ \t]*(?:\n|$)|[{;=\n]|$)", rest)
    returned: str = str(found[1] if found else "").strip("\"'")
    return returned if returned and returned not in _NOTHING and len(returned) <= _MAX_TYPE_CHARS else None
