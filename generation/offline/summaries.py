"""Write a summary without a model, from the facts of the context alone: no key, no network, no cost.

For environments without a model, symbols below `min_centrality`, a first run, and symbols of which the model's summary
fails the hard checks. Such summaries have the source `offline`. The text is the first sentence of the documentation if
there is one, else a sentence about the symbol's kind and place, and then facts: parameters, what is returned and
raised, bases, calls and callers. Of several such texts the first is taken that satisfies the checks of summaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from generation.checks import check_summary
from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Outcome, Request, Symbol
from generation.offline.declarations import Declaration, read_declaration
from generation.offline.doc_comments import first_sentence

_MAX_NAME_CHARS = 120
_MAX_FACTS = 4
_WORDS_IN_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# A summary is in the language of the documentation, whatever language was asked for.
_NOT_HELD = {"language"}


def document_offline(symbol: Symbol) -> Documented:
    """Document one symbol from its facts."""
    return Documented(symbol.position, symbol.symbol_id, summarize_facts(symbol.context), source="offline")


def reject(documented: Documented, symbol: Symbol) -> Documented:
    """Return a symbol's offline summary in place of the model's, with the usage and the findings of that."""
    return replace(documented, summary=summarize_facts(symbol.context), source="offline", repairs=())


async def document_request_offline(request: Request) -> list[Outcome | Request]:
    """Document the symbols of a request, with the signature of a `Documenter`."""
    return [document_offline(symbol) for symbol in request.symbols]


def summarize_facts(context: SymbolContext) -> str:
    """Return one or two sentences: the symbol's purpose by its documentation or name, and facts about it.

    >>> from generation.domain.context import SymbolContext
    >>> summarize_facts(SymbolContext("a", "read_lines", "function", "python", "io.py", calls=["open"]))
    'Read lines: a python function in io.py. It calls open.'
    """
    texts = list(_texts(context))
    return next((text for text in texts if _passes(text, context)), texts[-1])


def _texts(context: SymbolContext) -> Iterator[str]:
    """Yield summaries, the best one first; the last one says the least."""
    declaration = read_declaration(context)
    own, others = list(_own_facts(context, declaration)), list(_connections(context))
    name, place = _spoken(context.name), _place(context)
    if purpose := first_sentence(context):
        yield f"{purpose} {_sentence(others or own)}".strip()
        yield f"{purpose} {_sentence([*own, *others])}".strip()
        yield f"{purpose} It is {place}{_clause(own)}."
    yield f"{name}: {place}{_clause(own)}. {_sentence(others)}".strip()
    yield f"{name}: {place}. {_sentence(others)}".strip()


def _passes(text: str, context: SymbolContext) -> bool:
    findings = check_summary(text, context, frozenset()).hard
    return all(finding.check in _NOT_HELD for finding in findings)


def _place(context: SymbolContext) -> str:
    parent = f" of {_shortened(context.parent)}" if context.parent else ""
    return f"{_article(context.kind, context.language)}{parent} in {_shortened(context.file_path)}"


def _own_facts(context: SymbolContext, declaration: Declaration) -> Iterator[str]:
    """Yield what a symbol does by its declaration, as verbs with their objects."""
    for verb, names in (
        ("extends", context.bases),
        ("takes", declaration.parameters),
        ("returns", [declaration.returns] if declaration.returns else []),
        ("raises", declaration.raises),
    ):
        if names:
            yield f"{verb} {_some(names)}"


def _connections(context: SymbolContext) -> Iterator[str]:
    for verb, names in (("calls", context.calls), ("is called by", context.called_by)):
        if names:
            yield f"{verb} {_some(names)}"


def _sentence(facts: Sequence[str]) -> str:
    return f"It {_listed(facts[:_MAX_FACTS])}." if facts else ""


def _clause(facts: Sequence[str]) -> str:
    return f" that {_listed(facts)}" if facts else ""


def _spoken(name: str) -> str:
    words = _WORDS_IN_NAME.findall(name)
    spoken = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return _shortened(spoken[:1].upper() + spoken[1:] if spoken else name)


def _article(kind: str, language: str) -> str:
    thing = _shortened(f"{language} {kind}")
    return f"{'an' if thing[:1].lower() in 'aeiou' else 'a'} {thing}"


def _some(names: Sequence[str], shown: int = 3) -> str:
    listed = [_shortened(" ".join(name.split())) for name in names[:shown]]
    if (rest := len(names) - len(listed)) > 0:
        listed.append(f"{rest} more")
    return _listed(listed)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_NAME_CHARS else f"{text[: _MAX_NAME_CHARS - 3]}..."
