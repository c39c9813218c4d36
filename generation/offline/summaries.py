"""Write a summary without a model, from the facts of the context alone: no key, no network, no cost.

For environments without a model, symbols below `min_centrality`, a first run, and symbols of which the model's summary
fails the hard checks. Such summaries have the source `offline`. The text is the first sentence of the documentation if
there is one, else a sentence about the symbol's name and kind, and then facts: parameters, what is returned and
raised, bases, calls and callers. Of several such texts the first is taken that satisfies the checks of summaries.
"""

from __future__ import annotations

import re
import sys
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
# A summary is in the language of the documentation, whatever language was asked for; and the names that a job knows are
# not known here.
_NOT_HELD = {"language", "identifiers"}


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
    'Read lines: a python function. It calls open.'
    """
    documented, described = _texts(context)
    hard, _, text = _best(documented, context)
    return text if text and not hard else _best(described, context)[2]


def _best(texts: Sequence[str], context: SymbolContext) -> tuple[int, int, str]:
    """Return the first text with the fewest findings, hard ones first, and their numbers."""
    best = (sys.maxsize, 0, "")
    for text in texts:
        hard, soft = _count_findings(text, context)
        if (hard, soft) < best[:2]:
            best = (hard, soft, text)
        if not hard and not soft:
            break
    return best


def _texts(context: SymbolContext) -> tuple[list[str], list[str]]:
    """Return summaries that begin with the documentation, if there is any, and others; the ones that say most first."""
    own, name = list(_own_facts(context, read_declaration(context))), _spoken(context.name)
    calls = [f"calls {_some(context.calls)}"] if context.calls else []
    thing, purpose = _article(context.kind, context.language), first_sentence(context)
    facts = (_sentence(calls or own), _sentence([*own, *calls]), "", f"It is {thing}{_clause(own)}.")
    documented = [f"{purpose} {fact}".strip() for fact in facts] if purpose else []
    described = [
        f"{name}: {thing}{_clause(own)}{_served(context, [*own, *calls])}. {_sentence(calls)}".strip(),
        f"{name}: {thing}{_clause(own)}.",
        f"{name}: {thing}.",
    ]
    return documented, described


def _count_findings(text: str, context: SymbolContext) -> tuple[int, int]:
    """Return how many hard and how many soft findings a summary has, of the checks that hold for these summaries."""
    findings = [one for one in check_summary(text, context, frozenset()).findings if one.check not in _NOT_HELD]
    hard = sum(one.hard for one in findings)
    return hard, len(findings) - hard


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


def _served(context: SymbolContext, facts: Sequence[str]) -> str:
    """Return which callers a symbol serves, if nothing else is known of it."""
    return f" for {_some(context.called_by)}" if context.called_by and not facts else ""


def _sentence(facts: Sequence[str]) -> str:
    return f"It {_listed(facts[:_MAX_FACTS])}." if facts else ""


def _clause(facts: Sequence[str]) -> str:
    return f" that {_listed(facts)}" if facts else ""


def _spoken(name: str) -> str:
    words = _WORDS_IN_NAME.findall(name)
    spoken = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return _shortened(spoken[:1].upper() + spoken[1:] if spoken else name)


def _article(kind: str, language: str) -> str:
    """Return what a symbol is, with its article.

    >>> _article("function", "ada")
    'an ada function'
    """
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
