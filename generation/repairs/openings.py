"""Turn an English filler opening into the verb: "This method is used to send" becomes "Sends". Pure.

Where the verb would need a form that cannot be told with certainty, nothing is changed.
"""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import functools
import re

from generation.checks.sentences import base_verb
from generation.checks.words import VERBS
from generation.repairs.wrapping import capitalized

_NAME = r"(?:`[^`]+`|'[^'\s]+'|\"[^\"\s]+\"|[\w$.:#<>-]+(?:\(\))?)"
_KINDS = (
    "dunder|magic|class|static|instance|helper|utility|private|public|internal|async|asynchronous|generator|special"
    r"|property|context\s+manager|lambda|arrow|factory|member|getter|setter|wrapper|decorator|callback|abstract"
)
_THINGS = (
    "function|method|class|constructor|module|procedure|routine|subroutine|coroutine|symbol|snippet|code|helper|utility"
    "|property|attribute|variable|constant|interface|struct|structure|enum|trait|macro|decorator|type|object|generator"
    "|getter|setter|exception|hook|component|instance|field|initializer"
)
_THING = rf"(?:(?:{_KINDS})\s+)*(?:{_THINGS})"
_IN = r"(?:of|in|from|on|within|inside)"
_PLACE = rf"(?:\s+{_IN}\s+(?:the\s+)?{_NAME}(?:\s+(?:{_THINGS}|file|library|package))?){{0,2}}"
_SUBJECT = rf"""(?:
    (?:this|the\s+(?:following|given|above|provided))\s+(?:{_NAME}\s+)?{_THING}{_PLACE}(?:\s*,?\s+{_NAME}\s*,)?
    |the\s+(?:{_NAME}\s+)?{_THING}(?:\s+`[^`]+`)?{_PLACE}
    |(?:the\s+)?{_NAME}(?=\s+is\s+(?:an?\b|used\b|responsible\b|designed\b))
    |(?:this|it)(?=\s)
)(?:\s+(?:also|then|simply|basically|essentially|primarily|mainly|just))?"""
_IS = r"(?:is|was|'s|’s)"
_A_THING = rf"(?:an?|the)\s+(?:[\w-]+\s+){{0,3}}?{_THING}"
_VAGUE = rf"(?:an?\s+)?(?:(?:simple|small|basic|generic|custom|convenience|dedicated|async)\s+)*{_THING}"
_MEANT = r"(?:used|designed|intended|meant|responsible|useful|able)"
_TO = rf"""\A\W{{0,3}}(?:
        (?:the\s+)?(?:purpose|goal|role|job|responsibility|aim)\s+of\s+{_SUBJECT}\s+is\s+to
        |in\s+(?:this|the)\s+{_THING},?\s+we
        |{_SUBJECT}\s+(?:{_IS}|can\s+be|are|may\s+be)\s+(?:\w+ly\s+)?(?:{_MEANT}|called|there|supposed)\s+to
        |{_SUBJECT}\s+(?:can|will|should|would|must|may)
        |{_SUBJECT}\s+(?:aims|serves|helps|attempts|is(?:\s+going)?)\s+to
        |{_SUBJECT}\s+{_IS}\s+{_A_THING}\s+(?:{_MEANT}{_PLACE}\s+)?to
        |{_VAGUE}\s+(?:{_MEANT}\s+)?to
        )\s+(?!be\b)"""
_FOR = rf"""\A\W{{0,3}}(?:
        {_SUBJECT}\s+(?:{_IS}|can\s+be|are)\s+(?:\w+ly\s+)?{_MEANT}\s+(?:for|in|when)
        |{_SUBJECT}\s+{_IS}\s+{_A_THING}\s+(?:that\s+is\s+)?(?:{_MEANT}\s+)?for
        |{_VAGUE}\s+(?:that\s+is\s+)?(?:{_MEANT}\s+)?for
        )\s+(?=[a-z]+ing\b)"""
_THAT = rf"""\A\W{{0,3}}(?:{_SUBJECT}\s+{_IS}\s+{_A_THING}{_PLACE},?|{_VAGUE})\s+(?:that|which)
        \s+(?!is\b|are\b|can\b(?!\s+be\b)|will\b|has\s+been\b|was\b)"""
_CAN_BE = rf"\A\W{{0,3}}{_SUBJECT}\s+(?=(?:can|may|should|must)\s+be\s)"
_IS_WHAT = rf"\A\W{{0,3}}{_SUBJECT}\s+{_IS}\s+(?:simply\s+|just\s+)?(?=(?:an?|the|like)\s|\w+ed\b)"
_DOES = rf"\A\W{{0,3}}{_SUBJECT}\s+(?=(?P<verb>[a-z]+)\b)"
_THIRD_PERSON = frozenset({"has", "does"})
_OTHER_VERB = re.compile(r"(?:,|,?\s(?:and|or|then))\s+(?:then\s+|also\s+)?([a-z]+)\b")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # When it is first needed: together they take 0.15 s, a tenth of what a worker takes to start.
    return re.compile(pattern, re.VERBOSE | re.IGNORECASE)


def _match(pattern: str, text: str) -> re.Match[str] | None:
    return _compiled(pattern).match(text)


def rewrite_opening(text: str) -> str:
    """Return a text whose filler opening is replaced by the verb, or the text."""
    if found := _match(_TO, text):
        return _of_infinitive(text[found.end() :]) or text
    if found := _match(_FOR, text):
        return _of_gerund(text[found.end() :]) or text
    if found := _match(_THAT, text) or _match(_CAN_BE, text) or _match(_IS_WHAT, text):
        return capitalized(text[found.end() :])
    found = _match(_DOES, text)
    if found and _is_third_person(found["verb"].lower()):
        return capitalized(text[found.end() :])
    return text


def _is_third_person(word: str) -> bool:
    base = base_verb(word)
    return word in _THIRD_PERSON or (base is not None and word == third_person(base))


def _of_infinitive(rest: str) -> str | None:
    """Return what follows "to" as a sentence: in the third person, or as it is where another verb would have to follow.

    >>> _of_infinitive("send a request."), _of_infinitive("send a request and return it.")
    ('Sends a request.', 'Send a request and return it.')
    """
    verb, _, after = rest.partition(" ")
    if verb.lower() not in VERBS or not after:
        return None
    if any(word in VERBS for word in _OTHER_VERB.findall(after)):
        return capitalized(rest)
    return f"{third_person(verb.lower()).capitalize()} {after}"


def _of_gerund(rest: str) -> str | None:
    """Return what follows "for" as a sentence in the third person, or None where a verb's base form is not known.

    >>> _of_gerund("sending a request and returning it.")
    'Sends a request and returns it.'
    """
    verb, _, after = rest.partition(" ")
    base = base_verb(verb.lower())
    if base is None or not after:
        return None

    def finite(found: re.Match[str]) -> str:
        other = base_verb(found[1])
        return found[0].replace(found[1], third_person(other)) if other and found[1].endswith("ing") else found[0]

    return f"{third_person(base).capitalize()} {_OTHER_VERB.sub(finite, after)}"


def third_person(verb: str) -> str:
    """Return the third person of a verb's base form.

    >>> third_person("try"), third_person("pass"), third_person("display"), third_person("do")
    ('tries', 'passes', 'displays', 'does')
    """
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"
