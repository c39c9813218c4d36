"""What a summary must satisfy: eight checks without a model, and without I/O.

`check_summary` looks at one summary and its symbol; `find_misplaced` looks at all answers of a request and finds those
that stand under another symbol's key. A hard finding is worth asking again, with its reason; a soft one is reported.
Reasons repeat identifiers that the summary itself names and nothing of the source.

Leaves out: whether a summary is true, and what is done about a finding. Figures in comments were measured on
docstrings that people wrote, 203 of psf/requests and 1,617 of Python's; `tests/test_checks.py` prints them anew.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from generation.checks.content import check_not_docstring, check_says_more_than_name
from generation.checks.filler import check_filler
from generation.checks.identifiers import check_identifiers
from generation.checks.language import check_language
from generation.checks.languages import language_code
from generation.checks.plain_text import check_plain_text
from generation.checks.sentences import MAX_CHARS, check_sentences
from generation.checks.words import IDENTIFIER
from generation.domain.context import SymbolContext
from generation.domain.finding import Finding, Findings

# Worth asking again: 0 to 4 % of human docstrings fail any one of these, and 2 to 11 % the other two.
HARD = frozenset({"sentences", "filler", "not_docstring", "language", "plain_text", "own_symbol"})


def known_names(contexts: Iterable[SymbolContext]) -> frozenset[str]:
    """The names in a job's names, paths, signatures, calls and imports: what any of its summaries may mention."""
    texts: set[str] = set()
    for context in contexts:
        texts.update((context.name, context.file_path, context.signature or ""), context.calls, context.imports)
    return frozenset(name for text in texts for name in IDENTIFIER.findall(text))


def check_summary(
    summary: str,
    context: SymbolContext,
    known: frozenset[str],
    *,
    misplaced: bool | None = None,
    language: str = "English",
) -> Findings:
    """Check one summary of a symbol.

    `known` is the job's `known_names`; `misplaced` is what `find_misplaced` says of a summary that was one of several
    in a request, and None where it was asked for alone; `language` is the one that was asked for, by its English name,
    its own name or its code, and is not checked where it is none of the eleven that are known here.
    """
    code = language_code(language)
    whole, summary = summary, summary[:MAX_CHARS]
    reasons = {
        "sentences": check_sentences(whole, code),
        "filler": check_filler(summary, code),
        "says_more_than_name": check_says_more_than_name(summary, context.name),
        "not_docstring": check_not_docstring(summary, context),
        "identifiers": check_identifiers(summary, context, known),
        "plain_text": check_plain_text(summary),
    }
    if code is not None:
        reasons["language"] = check_language(summary, code, language)
    if misplaced is not None:
        reasons["own_symbol"] = _MISPLACED if misplaced else None
    passed = tuple(check for check, reason in reasons.items() if reason is None)
    if len(passed) == len(reasons):
        return _all_passed(passed)
    return Findings(passed, tuple(Finding(check, check in HARD, reason) for check, reason in reasons.items() if reason))


@functools.cache
def _all_passed(passed: tuple[str, ...]) -> Findings:
    """One for all good summaries, which in a large job are tens of thousands."""
    return Findings(passed, ())


# Twice the longest human docstring of one or two sentences (503).
"""The words of a symbol and their weights, which add up to 1."""
_MISPLACED = "The summary seems to describe another symbol; describe this one."
