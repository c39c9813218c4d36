"""The check that a summary has one or two sentences."""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import re

from generation.checks.words import DOTTED_ABBREVIATION, WORD, is_code, word_set

MAX_CHARS = 1_000
_MAX_SENTENCES = 2
_SENTENCE_END = re.compile(r"[.!?]['\"”’»)\]`*]*\s+(?=\S)|[。！？](?=.*\w)|\n\s*\n")
_OPENING_MARKS = "'\"“‘«‹(["
_ABBREVIATIONS = word_set(
    """vs cf approx resp incl excl fig no nr st dr mr mrs ms prof inc ltd eq sec ca al ex viz
    bzw ggf evtl inkl exkl vgl z d u o sog p pág núm ej sr sra es ecc bijv enz т п др см e"""
)


def check_sentences(summary: str, code: str | None) -> str | None:
    """Return why the summary is not one or two sentences, or None."""
    text = summary.strip()
    if not WORD.search(text):
        return "The summary has no words; write one or two sentences."
    if len(text) > MAX_CHARS:
        return f"The summary has {len(text)} characters; write one or two short sentences."
    ends = sum(_ends_sentence(text, end, code) for end in _SENTENCE_END.finditer(text))
    if ends < _MAX_SENTENCES:
        return None
    return f"The summary has {ends + 1} sentences; write one or two."


def _ends_sentence(text: str, end: re.Match[str], code: str | None) -> bool:
    """Tell the end of a sentence from the full stop of an abbreviation, an ellipsis or a German ordinal."""
    if end[0][0] in "。！？\n":
        return True
    if not _begins_sentence(text[end.end() : end.end() + 80]):
        return False
    if end[0][0] != ".":
        return True
    before = text[max(0, end.start() - 40) : end.start()].split()
    word = before[-1].lstrip(_OPENING_MARKS) if before else ""
    if word.endswith(".") or DOTTED_ABBREVIATION.fullmatch(word) or word.lower() in _ABBREVIATIONS:
        return False
    if code == "de" and word.isdigit():
        return False
    return not (len(word) == 1 and word.isalpha() and word.isupper())


def _begins_sentence(rest: str) -> bool:
    first = rest.split(maxsplit=1)[0].lstrip(_OPENING_MARKS)
    return bool(first) and (not first[0].islower() or is_code(first.rstrip(".,;:)")))
