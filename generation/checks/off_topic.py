"""The checks that a summary speaks of its symbol: no refusal, nothing of the task, of callers, files or clusters."""

# ruff: noqa: E501, RUF001 - one alternative a line; letters and marks of other languages are meant where they stand

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from generation.checks.words import CODE, word_set
from generation.domain.context import SymbolContext


def _one_of(lines: str) -> Callable[[], re.Pattern[str]]:
    """Return what gives a pattern that matches where one of the lines does; a space stands for any white space.

    The pattern is compiled when it is first needed: a worker that starts does not wait for it.
    """

    @functools.cache
    def compiled() -> re.Pattern[str]:
        alternatives = [line.strip().replace(" ", r"\s+") for line in lines.strip().splitlines()]
        return re.compile("|".join(alternatives), re.IGNORECASE)

    return compiled


_REFUSAL = _one_of(
    r"""
    \A\W*i(?:'|’)m
    \A\W*i (?:am|can|cannot|can't|could|couldn't|do|don't|did|will|won't|would|need|have|was)\b
    \bapologi[sz]e|\bapologies\b|\A\W*sorry\b|\b(?:i'm|i am|we're|we are|i’m) (?:sorry|afraid|unable|not able|an? ai)\b
    (?:\A\W*|[.!] )(?:unfortunately|regrettably)\b
    \bas an? (?:\w+ )?(?:ai|language model|llm|assistant)\b
    \bi (?:can(?:no|')t|cannot|could\s*n[o']t|do\s*n[o']t have|would need|need more)\b
    \b(?:unable|not able|(?:im|not )possible) to (?:\w+ )?(?:summari[sz]e|document|infer|help|assist|comply|say|tell)\b
    \b(?:unable|not able|(?:im|not )possible) to (?:\w+ )?(?:generate|provide|determine|describe|answer|write|give)\b__ABOUT__
    \b(?:cannot|can't|could not) be (?:summari[sz]ed|documented)\b
    \b(?:cannot|can't) be (?:determined|inferred|described|known)\b.{0,60}\b(?:source|code|facts?|information|name)\b
    \b(?:not enough|insufficient|no) (?:further |additional |other )?(?:information|context|details?|facts)__MISSING__
    \b(?:not enough|insufficient|no) source(?: code)?__MISSING__
    \bno (?:summary|description|documentation|docstring) (?:is |was )?(?:available|provided|given|possible)\W*\Z
    \b(?:please|could you|can you|kindly) (?:provide|share|give|send|let me|paste|clarify|specify)\b|\blet me know\b
    \bi hope (?:this|that|it)\b|\bfeel free\b|\bhappy to (?:help|assist)\b
    \bagainst (?:my|our|the) (?:policy|policies|guidelines)\b
    es tut mir leid|leider kann ich|ich kann (?:dies|das|nicht|keine)
    je suis désolée?|je ne peux pas|lo siento|no puedo |desculpe|sinto muito|não posso|mi dispiace|non posso
    het spijt me|ik kan (?:geen|niet)|извините|к сожалению|я не могу
    抱歉|对不起|對不起|我无法|我不能|申し訳|すみません|죄송
    """.replace(
        "__ABOUT__",
        r".{0,60}\b(?:summar\w+|description|documentation|purpose|symbol|source code|facts|information|what (?:it|the|this))\b",
    ).replace("__MISSING__", r" (?:(?:is|are|was|were|has|have)\b|to\b|about\b|provided\b|given\b|available\b)")
)
# What a model says to its user. "This symbol" is a filler of its own.
_TASK = _one_of(
    r"""
    \A\W*(?:sure|certainly|of course|okay|ok|absolutely|great|got it|understood|yes|alright|below is)\b\W
    \A\W*(?:yes|no|ok|okay|sure|done|none|n/a|null|todo|tbd|unknown|summary|answer)\W*\Z
    \bhere(?:'s|’s| is| are) (?:the|a|an|your|my|one|what)\b|\A\W*the following (?:is|are)\b
    \b(?:the|this|that|my|your|above|following) (?:\w+ )?summar(?:y|ies) (?:is|are|was|of|for|should|must|will|has)\b
    \b(?:the|this|that|my|your|above|following) (?:\w+ )?summar(?:y|ies) (?:says|describes|above|below|follows)\b
    \b(?:you|(?:the|this|that|a) user)(?: have| has| had|'ve)? (?:asked|requested|provided|gave|given|wanted|supplied|pasted)\b
    \b(?:asked|requested) (?:for )?by (?:you|the user)\b
    \b(?:this|that|it) is (?:the|a|your) (?:user(?:'s|’s|s)? )?(?:request|question|query|prompt|task|answer|response)\W*\Z
    \b(?:the|this|your) user(?:'s|’s|s)? (?:request|question|query|prompt|instructions?) (?:is|was|asks)\b
    \b(?:as|like) (?:you )?(?:requested|instructed|asked|you (?:asked|wanted|can see))\W*(?:\Z|,|\bby you|\babove|\bhere)
    \b(?:based on|according to|judging (?:by|from)) (?:the|these|those|its|your) (?:\w+ ){0,2}(?:facts|code|snippet|docstring)\b
    \b(?:based on|according to|judging (?:by|from)) (?:the|these|those|its|your) (?:\w+ ){0,2}(?:prompt|static analysis|context)\b
    \b(?:the|this) (?:provided|given|supplied|above) (?:(?:source|python|typescript|rust|go|java) )?(?:code|snippet|facts?)\b
    \b(?:code|snippet|facts|information) (?:that (?:is|was|were) |you )?(?:provided|supplied|given|gave)(?: above| below|\W*\Z)
    \b(?:code|snippet|facts|information) (?:provided|supplied|given) (?:here|does|shows|appears|seems)\b
    \bin (?:one or two|1-2|1 or 2|one|two) (?:\w+ )?sentences\b
    \b(?:these|the) (?:rules|instructions) (?:above|below|of the (?:prompt|task)|say|require|ask)\b
    \b(?:write|provide|generate|give|produce|create)\w* (?:me )?(?:a|an|the|one) (?:\w+ ){0,3}(?:summary|docstring) (?:of|for)\b
    \bis this (?:the|a|an|what|correct|right|ok)\b.*\?|\b(?:next|previous|other) (?:question|task)\b
    \bnote that (?:the|this) (?:summary|answer)\b|\b(?:this|the|my) answer (?:is|was|above|below|should|will)\b
    \A\W*(?:question|prompt|task|instructions?|rules?|key|user|assistant|system)\s*:
    \bplease (?:note|find|see|write|answer|respond)\b
    """
)
_SYMBOL = _one_of(
    r"""
    \b(?:the|this|that|your|given|following|above|each) (?:\w+ )?symbols?(?:'s|’s)? (?:that |which )?(?:you|i|is|was|are|were)\b
    \b(?:the|this|that|your|given|following|above|each) (?:\w+ )?symbols?(?:'s|’s)? (?:given|provided|above|below|has|does)\b
    \b(?:the|this|that|your|given|following|above|each) (?:\w+ )?symbols?(?:'s|’s)? (?:described|documented|in question)\b
    \b(?:the|this|that|your|given|following|above|each) (?:\w+ )?symbols?(?:'s|’s)? (?:itself|here|key|name|kind|summary)\b
    \bsymbols? to (?:be )?(?:document|summari|describ)|\bsymbol s\d+\b
    """
)
_QUESTION_OF_YES_OR_NO = re.compile(
    r"\W*(?:is|are|was|were|has|have|had|do|does|did|can|may|should|will)\b", re.IGNORECASE
)
_CALLERS = _one_of(
    r"""
    (?<!\bbe\s)\b(?:called|invoked) (?:\w+ly )?(?:by|from|in|inside|within|throughout|across)\s
    \bused (?:\w+ly )?(?:by|in|throughout|across|within|from) (?:the )?__SEVERAL__ (?:\w+ ){0,2}__PARTS__\b
    \bused (?:\w+ly )?(?:throughout|across|within|in) (?:the|this|its) (?:\w+ )?(?:codebase|code base|project|repo\w*|library)\b
    \b(?:its|the|their) (?:only |main |direct )?callers? (?:is|are|include)\b|\bcallers?\s*:\s
    \bhas (?:no|\w+) (?:known )?callers?\b|\bis a (?:caller|callee)\b
    \b(?:called|used|invoked) (?:by|in) (?:no|nothing|nobody|none)\b|\bnot (?:called|used|invoked) (?:by|anywhere)\b
    """.replace(
        "__SEVERAL__",
        r"(?:several|multiple|many|various|numerous|a number of|different|other|all|most|some|two|three|four|five|\d+)",
    ).replace(
        "__PARTS__",
        r"(?:functions?|methods?|classes|symbols?|modules?|parts?|places?|components?|callers?|routines?|scripts?|tests?|code)",
    )
)
_USED_BY = re.compile(
    r"\b(?:used|needed|required|relied\s+on|shared)\s+(?:\w+ly\s+)?(?:by|in|within|inside)\s+(?:the\s+)?"
    r"((?:`?[\w$.]+`?(?:\(\))?(?:,\s+(?:and\s+)?|\s+and\s+|\s+or\s+)?){1,6})",
    re.IGNORECASE,
)
_SOURCE_FILE = (
    r"""[`'"]?[\w./-]+\.(?:pyi?|[cm]?[jt]sx?|go|rs|java|kt|swift|cs|cpp|cc|hpp|c|h|rb|php|svelte|vue|dart|sh)\b"""
)
_FILE = _one_of(
    rf"""
    (?:[\w.-]+[/\\])+{_SOURCE_FILE}
    \b(?:file|module|script|source) {_SOURCE_FILE}|{_SOURCE_FILE}[`'"]? (?:file|module|script|source)\b
    \b(?:defined|located|found|declared|implemented|resides?|lives?|stored|placed|contained) (?:in|at|inside|within|under) __FILE__
    \b(?:part of|belongs to|comes from|housed in|situated in) __FILE__
    \b(?:defined|located|declared|resides?|lives?|situated|housed) (?:in|at|inside|within|under) (?:the |this |a |its )?__PLACE__
    \bfile path (?:is|of (?:this|the symbol))\b|\bin the same (?:source )?(?:file|module)\b
    """.replace("__FILE__", rf"(?:the )?(?:file |module |path )?{_SOURCE_FILE}").replace(
        "__PLACE__", r"(?:(?:`[^`]+`|'[^']+'|[\w./-]*[/.][\w./-]*) )?(?:file|module|directory|folder|path|package)\b"
    )
)
_CLUSTER = _one_of(
    r"""
    \b(?:part|member|element|component|symbol|piece) of (?:the |a |its |this )?[^.]{0,50}?\bcluster
    \b(?:belongs?|belonging|assigned) (?:to|in) (?:the |a )?[^.]{0,50}?\bcluster
    \b(?:in|within|of|from|inside) (?:the |its |this )(?:[`'"\w./-]+ ){0,3}cluster\b
    \bcluster(?:ed)?\s*(?:label|:|is\b|with\b)
    """
)
_CENTRAL = _one_of(
    r"""
    \bcentrality\b|\bcentral(?:ly)? (?:important|located|placed)\b
    \bcentral (?:to|in|within|part|role|symbol|function|method|class|component|piece|element|point|figure|place|node|hub)\b
    \b(?:not|very|most|highly|least|less|more|quite|fairly|is|are|plays a) central\b
    \b(?:core|key|crucial|important|essential|vital|integral|fundamental|critical) __PART__ (?:of|in|within) (?:the|this) __CODE__\b
    """.replace("__PART__", r"(?:part|component|piece|element|function|method|class|role|symbol)").replace(
        "__CODE__", r"(?:\w+ ){0,2}(?:codebase|code base|project|repository|call graph)"
    )
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\.[\w$]+)*")

# One of these words is in each text that a pattern above matches: most summaries have none and skip the patterns, which
# take ten times as long.
_WORDS = re.compile(r"[^\W\d_]+")
_WORDS_OF_REFUSALS = word_set(
    """i apologize apologise apologizes apologies sorry we unfortunately regrettably as unable able possible impossible
    summarized summarised documented determined inferred described known not insufficient no please could can kindly let
    feel happy against leid kann désolé désolée peux siento puedo desculpe sinto posso dispiace spijt kan"""
)
_WORDS_OF_TASKS = word_set(
    """sure certainly course okay ok absolutely great got understood yes no alright below done none n null todo tbd
    unknown summary summaries answer here following you user users asked requested instructed based according judging
    provided given supplied above sentences rules instructions docstring this next previous other question prompt task
    instruction rule key assistant system please"""
)
_WORDS_OF_RANK = ("central", "code", "project", "repository", "graph")
_WORDS_OF_CALLERS = word_set("called invoked used caller callers callee needed required relied shared")
_WORDS_OF_FILES = word_set(
    """file module script source defined located found declared implemented resides reside lives live stored placed
    contained part belongs comes housed situated"""
)


def check_refusal(summary: str) -> str | None:
    """Return why the summary is a refusal, an apology or a plea, or None."""
    if (_has_word(summary, _WORDS_OF_REFUSALS) or not summary.isascii()) and _REFUSAL().search(summary):
        return "The summary is a refusal or an apology; describe what the facts and the source show."
    return None


def check_task(summary: str, context: SymbolContext) -> str | None:
    """Return why the summary speaks of the task or to its reader, or None."""
    found = _TASK().search(summary) if _has_word(summary, _WORDS_OF_TASKS) else None
    if found is None or _has(context, found[0].strip()):
        found = _SYMBOL().search(summary) if "symbol" in summary.lower() and not _has(context, "symbol") else None
    asks = summary.rstrip(" \"'`").endswith(("?", "？")) and not _QUESTION_OF_YES_OR_NO.match(summary)
    if found is None and not asks:
        return None
    return "The summary speaks of the task or to its reader; describe the symbol alone."


def check_place(summary: str, context: SymbolContext) -> str | None:
    """Return why the summary speaks of callers, files, clusters or centrality, or None.

    A symbol that is about clusters, centrality or paths itself may say so.
    """
    if _has_word(summary, _WORDS_OF_CALLERS) and (_CALLERS().search(summary) or _names_callers(summary, context)):
        return "The summary says who calls the symbol; say what it is for instead."
    if _names_file(summary, context):
        return "The summary names the file or the module; leave paths out."
    lower = summary.lower()
    if "cluster" in lower and (_CLUSTER().search(summary) or not _has(context, "cluster")):
        return "The summary speaks of a cluster of the codebase; leave it out."
    if any(word in lower for word in _WORDS_OF_RANK) and _CENTRAL().search(summary) and not _has(context, "central"):
        return "The summary says how central the symbol is; leave it out."
    return None


def _has_word(summary: str, words: frozenset[str]) -> bool:
    return not words.isdisjoint(_WORDS.findall(summary.lower()))


def _names_callers(summary: str, context: SymbolContext) -> bool:
    for found in _USED_BY.finditer(summary):
        names = _NAME.findall(found[1])
        if any(name in context.called_by or CODE.fullmatch(name) or f"`{name}" in found[1] for name in names):
            return True
    return False


def _names_file(summary: str, context: SymbolContext) -> bool:
    path = context.file_path
    if "." in path and (path in summary or path.rpartition("/")[2] in summary):
        return True
    if "/" not in summary and "\\" not in summary and not _has_word(summary, _WORDS_OF_FILES):
        return False
    found = _FILE().search(summary)
    return found is not None and not _has(context, found[0].strip())


def _has(context: SymbolContext, text: str) -> bool:
    """Return whether a symbol itself has a text: its name, signature, docstring or source, without its place."""
    lower = text.lower()
    texts = (context.name, context.signature, context.docstring, context.source_code)
    return any(lower in one.lower() for one in texts if one)
