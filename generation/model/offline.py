"""Write a summary without a model, from the facts of the context alone: no key, no network, no cost.

For environments without a model, symbols below `min_centrality`, a first run, and symbols of which the model's summary
fails the hard checks. Such summaries have the source `offline`. The text is the docstring's first sentence if there
is one, else a sentence of the symbol's facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Outcome, Request, Symbol

_MAX_DOCSTRING_CHARS = 300
_MAX_NAME_CHARS = 120
_WORDS_IN_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


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
    """Return one or two sentences: the symbol's purpose by its docstring or name, and its calls and callers.

    >>> from generation.domain.context import SymbolContext
    >>> summarize_facts(SymbolContext("a", "read_lines", "function", "python", "io.py", calls=["open"]))
    'Read lines: a python function in io.py. It calls open.'
    """
    purpose = _first_sentence(context.docstring) or (
        f"{_spoken(context.name)}: {_article(context.kind, context.language)} in {_shortened(context.file_path)}."
    )
    return f"{purpose} {_connections(context)}".strip()


def _first_sentence(docstring: str | None) -> str | None:
    paragraph = (docstring or "").strip().split("\n\n")[0]
    sentence = _SENTENCE_END.split(" ".join(paragraph.split()))[0].strip()
    if not sentence or len(sentence) > _MAX_DOCSTRING_CHARS:
        return None
    return sentence if sentence[-1] in ".!?" else f"{sentence.rstrip(':;,')}."


def _spoken(name: str) -> str:
    words = _WORDS_IN_NAME.findall(name)
    spoken = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return _shortened(spoken[:1].upper() + spoken[1:] if spoken else name)


def _article(kind: str, language: str) -> str:
    thing = _shortened(f"{language} {kind}")
    return f"{'an' if thing[:1].lower() in 'aeiou' else 'a'} {thing}"


def _connections(context: SymbolContext) -> str:
    facts = [
        f"{verb} {_some(names)}"
        for verb, names in (("calls", context.calls), ("is called by", context.called_by))
        if names
    ]
    return f"It {' and '.join(facts)}." if facts else ""


def _some(names: Sequence[str], shown: int = 3) -> str:
    listed = [_shortened(" ".join(name.split())) for name in names[:shown]]
    if (rest := len(names) - len(listed)) > 0:
        listed.append(f"{rest} more")
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_NAME_CHARS else f"{text[: _MAX_NAME_CHARS - 3]}..."
