"""Check summaries: thirteen checks without a model and without I/O.

`check_summary` examines one summary and its symbol; `find_misplaced` compares all answers of a request and finds those
under another symbol's key. A hard finding is worth another request, with its reason; a soft one is only reported.
Reasons repeat identifiers that the summary itself names, and no source code.

Leaves out: whether a summary is true, and what is done about a finding. Figures in comments were measured on
docstrings that people wrote, 203 of psf/requests and 1,617 of Python's; `tests/test_checks.py` recomputes them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from generation.checks.content import check_not_docstring, check_repetition, check_says_more_than_name
from generation.checks.filler import check_filler
from generation.checks.identifiers import check_identifiers
from generation.checks.language import check_language
from generation.checks.languages import language_code
from generation.checks.off_topic import check_place, check_refusal, check_task
from generation.checks.plain_text import check_plain_text
from generation.checks.sentences import MAX_CHARS, check_prose, check_sentences, split_sentences
from generation.checks.words import IDENTIFIER
from generation.domain.context import SymbolContext
from generation.domain.finding import Finding, Findings

# Checks of what must not be published as a model's. The other three are only reported: a copied docstring is no
# untruth, and those of names and of content words find fault with 2 to 11 % of human docstrings.
HARD = frozenset(
    """sentences prose filler language plain_text refusal task place repetition own_symbol""".split()  # noqa: SIM905
)


def known_names(contexts: Iterable[SymbolContext]) -> frozenset[str]:
    """Return the names in a job's names, paths, signatures, calls and imports, which any summary may mention."""
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

    `known` is the job's `known_names`. `misplaced` is the result of `find_misplaced` for a summary that was one of
    several in a request, or None for a request of one symbol. `language` is the requested language by its English name,
    its own name or its code; only the eleven supported ones are checked.
    """
    code = language_code(language)
    whole, summary = summary, summary[:MAX_CHARS]
    reasons = {
        "sentences": check_sentences(whole, code),
        "prose": check_prose(summary, context, code),
        "refusal": check_refusal(summary),
        "task": check_task(summary, context),
        "place": check_place(summary, context),
        "repetition": check_repetition(summary, split_sentences(summary, code)),
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
    """Return one shared object for all good summaries, of which a large job has tens of thousands."""
    return Findings(passed, ())


_MISPLACED = "The summary seems to describe another symbol; describe this one."
