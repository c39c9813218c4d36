"""Repair what a model wrote where its form is wrong and its content is right, so that it need not be asked again. Pure.

`review_summary` checks a summary, repairs what was found and checks what is left. Repairs count only if they leave no
hard finding and no soft one that was not there before; otherwise the summary stays as it was written. They take words
away or put a verb first, and never add a statement. Leaves out: what is done with a summary that is still bad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from generation.checks import check_summary
from generation.checks.content import distinct_sentences
from generation.checks.languages import language_code
from generation.checks.off_topic import check_place, check_task
from generation.checks.plain_text import check_plain_text
from generation.checks.sentences import MAX_SENTENCES, split_sentences
from generation.domain.context import SymbolContext
from generation.domain.finding import Findings
from generation.repairs.openings import rewrite_opening
from generation.repairs.wrapping import capitalized, unwrap, without_backticks, without_lead_in, without_markup


@dataclass(frozen=True, slots=True)
class Review:
    """A summary as it may be published, what its checks found, and the names of the repairs that were made."""

    summary: str
    findings: Findings
    repairs: tuple[str, ...] = ()


def review_summary(
    summary: str,
    context: SymbolContext,
    known: frozenset[str],
    *,
    misplaced: bool | None = None,
    language: str = "English",
) -> Review:
    """Check a summary and repair what is wrong with it; the parameters are those of `check_summary`."""

    def check(text: str) -> Findings:
        return check_summary(text, context, known, misplaced=misplaced, language=language)

    repaired, findings, repairs = _repaired(summary, context, language_code(language), check)
    if repairs:
        written = check(summary)
        if findings.hard or not _names(findings) <= _names(written):
            repaired, findings, repairs = summary, written, ()
    # Last, since names in backticks are checked more strictly.
    bare = without_backticks(repaired)
    if bare != repaired and check_plain_text(bare) is None:
        return Review(bare, findings, (*repairs, "backticks"))
    return Review(repaired, findings, repairs)


def _names(findings: Findings) -> set[str]:
    return {finding.check for finding in findings.findings}


def _repaired(
    text: str, context: SymbolContext, code: str | None, check: Callable[[str], Findings]
) -> tuple[str, Findings, tuple[str, ...]]:
    """Return a text after all repairs but that of backticks, its findings, and the names of the repairs made."""
    made: list[str] = []

    def change(name: str, changed: str) -> bool:
        nonlocal text
        if not changed or changed == text:
            return False
        text = changed
        made.append(name)
        return True

    change("wrapping", unwrap(text))
    change("lead_in", without_lead_in(text))
    findings = check(text)
    while any(change(name, step(text, context, code)) for name, step in _steps(findings, made)):
        findings = check(text)
    return text, findings, tuple(made)


Step = Callable[[str, SymbolContext, "str | None"], str]


def _steps(findings: Findings, made: Sequence[str]) -> Iterator[tuple[str, Step]]:
    """Yield the repairs of what was found that were not made yet, in the order in which they should be made."""
    found = _names(findings)
    for name, checks, step in _STEPS:
        if name not in made and not found.isdisjoint(checks):
            yield name, step


def _without_off_topic(text: str, context: SymbolContext, code: str | None) -> str:
    """Return a text without sentences about callers, files, clusters, centrality or the task.

    The first sentence says what the symbol does. It stays where only its filler opening was off topic.
    """

    def on_topic(sentence: str) -> bool:
        return check_place(sentence, context) is None and check_task(sentence, context) is None

    first, *rest = split_sentences(text, code)
    if not on_topic(first):
        rewritten = _without_filler(first, context, code)
        if on_topic(rewritten):
            text = " ".join([rewritten, *rest])
    return _keep(lambda sentences: list(filter(on_topic, sentences)), text, code)


def _keep(choose: Callable[[list[str]], list[str]], text: str, code: str | None) -> str:
    """Return a text with the chosen ones of its sentences, or as it is if these are all or none."""
    sentences = split_sentences(text, code)
    kept = choose(sentences)
    return capitalized(" ".join(kept)) if 0 < len(kept) < len(sentences) else text


def _without_filler(text: str, context: SymbolContext, code: str | None) -> str:
    """Return a text with a verb for its filler opening, unless it speaks of the task, which that would hide."""
    return rewrite_opening(text) if code == "en" and check_task(text, context) is None else text


_STEPS: tuple[tuple[str, tuple[str, ...], Step], ...] = (
    ("markup", ("plain_text",), lambda text, _context, _code: without_markup(text)),
    ("off_topic", ("place", "task"), _without_off_topic),
    ("repetition", ("repetition",), lambda text, _, code: _keep(distinct_sentences, text, code)),
    ("length", ("sentences",), lambda text, _, code: _keep(lambda all_: all_[:MAX_SENTENCES], text, code)),
    ("opening", ("filler",), _without_filler),
)
