"""The checks that a summary is one or two sentences, of prose: no code, JSON, date, hash or lone word."""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import re
from collections.abc import Sequence

from generation.checks.words import DOTTED_ABBREVIATION, VERBS, WORD, is_code, word_set
from generation.domain.context import SymbolContext

# Twice the length of the longest human docstring of one or two sentences (503).
MAX_CHARS = 1_000
MAX_SENTENCES = 2
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
    sentences = len(split_sentences(text, code))
    if sentences <= MAX_SENTENCES:
        return None
    return f"The summary has {sentences} sentences; write one or two."


def split_sentences(text: str, code: str | None) -> list[str]:
    """Return the sentences of a text in a language, each with the mark that ends it."""
    text = text.strip()
    sentences, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        if _ends_sentence(text, end, code):
            sentences.append(text[start : end.end()].strip())
            start = end.end()
    return [*sentences, text[start:]] if text[start:] else sentences


def _ends_sentence(text: str, end: re.Match[str], code: str | None) -> bool:
    """Return whether a match ends a sentence, and is not an abbreviation, an ellipsis or a German ordinal."""
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


# --- Prose -----------------------------------------------------------------------------------------------------------

_TEMPLATE_TOKEN = re.compile(
    r"""<[|｜][^<>|｜]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|\[(?:CLS|SEP|MASK|PAD|UNK)\]
    |</?(?:s|unk|pad|bos|eos|think|thinking|answer|summary|output|response|result|assistant|user|system
        |start_of_turn|end_of_turn|begin_of_text|end_of_text|fim_prefix|fim_suffix|fim_middle|tool_call)>
    |(?:^|\s)\#{2,}\s*(?:instruction|response|input|output|answer|summary|assistant|user|system)\b
    |\A\W*(?:assistant|user|system)\s*:""",
    re.VERBOSE | re.IGNORECASE,
)
_MAY_BE_TOKEN = re.compile(r"[<\[#:]")
_DIGIT = re.compile(r"\d")
_JSON = re.compile(r"""\A\s*(?:```\w*\s*)?(?:\{\s*(?:['"]|\}|\Z)|\[\s*(?:[{'"]|\]\s*\Z))|["']\w+["']\s*:\s*["'\[{]""")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"""\b\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?:[T ]\d{{1,2}}:\d{{2}}[\d:.]*(?:Z|[+-]\d{{2}}:?\d{{2}})?)?
    |\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{4}}\b
    |\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+(?:\d{{1,2}}:\d{{2}}:\d{{2}}\s+)?\d{{4}}\b
    |\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH},?\s+\d{{4}}\b""",
    re.VERBOSE | re.IGNORECASE,
)
_HASH = re.compile(
    r"\b(?=[0-9a-f]{0,63}\d)(?=[0-9a-f]{0,63}[a-f])[0-9a-f]{12,}\b|\b\d{16,}\b"
    r"|\b(?:commit|sha1?|sha-?256|md5)\W{1,2}[0-9a-f]{7,}\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
    re.IGNORECASE,
)
# What only code has, whatever words stand beside it: a statement or a definition at the start, or a statement's end.
_STATEMENT = re.compile(
    r"""\A\s*(?:>>>\s|\$\s|@\w[\w.]*(?:\(.*\))?\s*\Z|\#include\b|\#!/
        |(?:async\s+)?def\s+\w+\s*\(|(?:pub\s+|export\s+|async\s+|static\s+)*(?:func|fn|function)\s*\w*\s*[(<]
        |func\s*\([^)]*\)\s*\w+\s*\(|class\s+\w+\s*(?:\([\w., =]*\))?\s*[:{]|class\s+\w+\s+extends\s
        |(?:pub\s+)?(?:struct|enum|trait|impl|mod|interface|type)\s+[\w:<>]+(?:\s+for\s+\w+)?\s*[{=;(<]
        |from\s+[\w.]+\s+import\s|import\s+[\w.*{}, ]+\s+(?:from|as)\s|import\s+[\w.]+(?:,\s*[\w.]+)*;?\s*\Z
        |import\s*[{("']|use\s+\w+::|package\s+\w+;?\s*\Z|(?:const|let|var)\s+(?:mut\s+)?[\w{},: \[\]]+\s*:?=
        |[\w.\[\]]+\s*(?:=|:=|\+=|-=)\s*[^=>\s]|(?:if|for|while|switch|elif|catch)\s*\([^)]*\)\s*[{:]
        |(?:if|for|while|with|elif)\s[^,.]*:\s*\Z|for\s+\w+(?:,\s*\w+)*\s+in\s+[^:]+:|(?:else|try|finally)\s*[:{]|except\s+[\w.]+.*:
        |return\s+(?:await\s+)?[\w.]+\(|(?:await\s+|yield\s+|raise\s+|throw\s+(?:new\s+)?)[\w.]+\(|(?:self|this)\.\w
        |(?:public|private|protected|static|final)\s+(?:[\w<>\[\]]+\s+)*\w+\s*\(|[\w.]+\([^()]*\)\s*;?\s*\Z
        |print(?:ln!?|f)?\(|console\.log|SELECT\s+.*\sFROM\s|\w+\s*->\s*\w+\s*\Z)""",
    re.VERBOSE,
)
_STATEMENT_ENDS = (";", "{", "}", "};", "});")
_BLOCKS = ("else {", "=> {", ") {")
_CODE_SIGN = re.compile(r"[=;{}\[\]<>]|\w\(|\)\.|\w\.[a-z_]\w|::|->|__\w")
_KEYWORD = re.compile(
    r"\s*(?:import|from|return|def|class|func|fn|let|const|var|use|package|raise|throw|yield|await|async|pass|break"
    r"|continue|export|public|private|static|self|this|null|None|nil|true|false|True|False|undefined|if|else|not|in)\b"
)
# Words of English that no code has, outside of comments and literals.
_WORDS_OF_PROSE = word_set(
    """the a an of to on at by that which its it be are was were been their they whose when whether into than then so
    any each every both only such can may must should will would has have had does do about after before between
    during without within using given used there these those no or and is""".replace("\n", " ")
)
_PREPOSITIONS = word_set(
    """of to on at by for from with without that which as in into over under between when whether if than who whose
    per via about after before and or not like during"""
)
_AUXILIARIES = word_set(
    """is are was were be been has have had does do did can cannot may might must should will would could shall"""
)
_OBJECT = re.compile(r"\b(?!an?\b|the\b)[a-z]{3,}\s+(?:an?|the|its?|this|these|all|any|each|whether|if|one)\b")
_OTHER_VERB = re.compile(r"n't\Z|\w{4}(?:ed|ing)\Z")
_MIN_WORDS = 2
# A longer noun phrase says what a thing is ("A case-insensitive dictionary of headers"), "HTTP request" does not.
_MIN_WORDS_WITHOUT_VERB = 4
_MIN_WORDS_BESIDE_DATE = 4
_RECORD = re.compile(
    r"\b(?:updated?|created|modified|written|added|copyright|date|author|released?|version)\b", re.IGNORECASE
)
_MIN_LETTERS_UNSPACED = 4
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3]")
_NO_PROSE = "The summary is no sentence; say in one or two sentences what the symbol is for."


def check_prose(summary: str, context: SymbolContext, code: str | None) -> str | None:
    """Return why the summary is no prose, or None: a lone word, no verb, code, JSON, a template token, a date, a hash.

    A token or a hash that stands in the symbol's source or docstring may be named.
    """
    if _MAY_BE_TOKEN.search(summary) and _is_foreign(_TEMPLATE_TOKEN.search(summary), context):
        return "The summary has a token of a chat template; write plain text."
    if _JSON.search(summary) or _is_statement(summary):
        return "The summary is code or JSON; say in plain words what the symbol is for."
    return _check_words(summary, context, code)


def _check_words(summary: str, context: SymbolContext, code: str | None) -> str | None:
    has_digits = _DIGIT.search(summary) is not None
    if has_digits and _is_foreign(_HASH.search(summary), context):
        return "The summary has a hash that the facts do not have; leave it out."
    if len(_UNSPACED.findall(summary)) >= _MIN_LETTERS_UNSPACED:
        return None
    text = _DATE.sub(" ", summary) if has_digits else summary
    words = _HYPHENATED.findall(text)
    if text != summary and (len(words) < _MIN_WORDS_BESIDE_DATE or _RECORD.search(text)):
        return "The summary is a date or has one that the facts do not have; say what the symbol is for."
    if len(words) < _MIN_WORDS or (code == "en" and not _may_be_sentence(words, text)):
        return _NO_PROSE
    return None


_HYPHENATED = re.compile(r"[^\W\d_][\w'’-]*")


def _is_foreign(found: re.Match[str] | None, context: SymbolContext) -> bool:
    """Return whether something was found that stands neither in the symbol's source nor in its docstring."""
    if found is None:
        return False
    return not any(found[0].strip() in text for text in (context.source_code, context.docstring) if text)


def _is_statement(summary: str) -> bool:
    text = summary.strip().strip("`").strip()
    if _STATEMENT.match(text) or text.endswith(_STATEMENT_ENDS) or any(block in text for block in _BLOCKS):
        return True
    words = text.split()
    if any(word.strip(".,;:()").lower() in _WORDS_OF_PROSE for word in words):
        return False
    return _CODE_SIGN.search(text) is not None and (_KEYWORD.match(text) is not None or len(words) < _MIN_WORDS)


def _may_be_sentence(words: Sequence[str], text: str) -> bool:
    """Return whether English words have a verb, or are a noun phrase that says something: "Base class for prices"."""
    plain = [word.lower() for word in words]
    if len(plain) >= _MIN_WORDS_WITHOUT_VERB and text.rstrip().endswith("."):
        return True
    if any(word in _PREPOSITIONS or word in _AUXILIARIES or _OTHER_VERB.search(word) for word in plain):
        return True
    # "Request handler" may ask for one, in "HTTP request" the noun is meant.
    if any(base_verb(part) not in {None, word} for word in plain for part in word.split("-")) or base_verb(plain[0]):
        return True
    return _OBJECT.search(text.lower()) is not None


def base_verb(word: str) -> str | None:
    """Return the base form of a verb in any of its regular forms, if it is one of VERBS, else None.

    >>> base_verb("tries"), base_verb("stopped"), base_verb("parsing"), base_verb("colour")
    ('try', 'stop', 'parse', None)
    """
    for ending, replacements in _ENDINGS:
        if word.endswith(ending):
            stem = word[: len(word) - len(ending)] if ending else word
            for replacement in replacements:
                if stem + replacement in VERBS:
                    return stem + replacement
            if ending in {"ed", "ing"} and stem[-1:] == stem[-2:-1] and stem[:-1] in VERBS:
                return stem[:-1]
    return None


_ENDINGS = (
    ("", ("",)),
    ("ies", ("y",)),
    ("es", ("", "e")),
    ("s", ("",)),
    ("ied", ("y",)),
    ("ed", ("", "e")),
    ("ing", ("", "e")),
)
