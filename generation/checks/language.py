"""The check that a summary is in the language that was asked for."""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import re
from collections import Counter

from generation.checks.content import LETTERS_OF_UNSPACED_WORD
from generation.checks.languages import TELLING_WORDS
from generation.checks.words import QUOTED_CODE, WHOLE_WORD

_CYRILLIC_WORD = re.compile(r"[\u0400-\u04ff]+")
_HANGUL_WORD = re.compile(r"[\uac00-\ud7a3]+")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_OTHER_SCRIPT_WORD = re.compile(r"[\u0370-\u03ff\u0530-\u06ff\u0900-\u0fff]+")
# Kana make up half of Japanese text; a Chinese one may quote some.
_KANA_OF_JAPANESE = 0.25
# Function words, or words of the script, that another language must have, and have more than the one asked for.
_MIN_EVIDENCE = 3
_MIN_LEAD = 2
# Of human docstrings none has 12 words and not one function word; names alone stand in any script, four at most.
_WORDS_WITHOUT_EVIDENCE = 12
_WORDS_WITHOUT_OWN_SCRIPT = 4
_OWN_SCRIPT = frozenset({"ru", "zh", "ja", "ko"})


def check_language(summary: str, code: str, language: str) -> str | None:
    """Whether another language has more evidence than the one asked for: words of its script, or its function words."""
    text = QUOTED_CODE.sub(" ", summary)
    evidence = _evidence(text)
    own = evidence.pop(code, 0)
    other = max(evidence.values(), default=0)
    if (other >= _MIN_EVIDENCE and other - own >= _MIN_LEAD) or (not own and _is_long_without(code, text)):
        return f"The summary is not in the language asked for; write it in {language[:40]}."
    return None


def _is_long_without(code: str, text: str) -> bool:
    """Whether a text without any evidence of a language is too long for that to be by chance."""
    enough = _WORDS_WITHOUT_OWN_SCRIPT if code in _OWN_SCRIPT else _WORDS_WITHOUT_EVIDENCE
    return len(set(WHOLE_WORD.findall(text.lower()))) >= enough


def _evidence(text: str) -> Counter[str]:
    words = set(WHOLE_WORD.findall(text.lower().replace("’", "'")))
    evidence = Counter(code for word in words for code in TELLING_WORDS.get(word, ()))
    if not text.isascii():
        evidence.update(_evidence_of_script(text))
    return evidence


def _evidence_of_script(text: str) -> dict[str, int]:
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    east_asian = "ja" if kana > han * _KANA_OF_JAPANESE else "zh"
    return {
        "ru": len(_CYRILLIC_WORD.findall(text)),
        "ko": len(_HANGUL_WORD.findall(text)),
        east_asian: (han + kana) // LETTERS_OF_UNSPACED_WORD,
        "other": len(_OTHER_SCRIPT_WORD.findall(text)),
    }
