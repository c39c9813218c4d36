"""Find what a symbol's author says of it: the first sentence of its docstring or doc comment, as plain text.

The documentation is the context's docstring, else what `source_code` has of it: the string that opens a Python body, or
the comment before the declaration in any other language. Doctests, lists of parameters and usages are no summaries.
"""

from __future__ import annotations

import ast
import re
import textwrap

from generation.domain.context import SymbolContext

MAX_SENTENCE_CHARS = 300
_LOOK_CHARS = 20_000

_OPENING_STRING = re.compile(r"[:{]\s*\n\s*[rRuU]?(?:\"\"\"(.*?)(?:\"\"\"|\Z)|'''(.*?)(?:'''|\Z))", re.DOTALL)
_ATTRIBUTES = r"(?:\s*(?:@\w[^\n]*|#\[[^\n]*|\[[A-Z][^\n]*)\n)*"
_COMMENTS = (
    re.compile(rf"\A{_ATTRIBUTES}\s*/\*[*!]?(.*?)\*/", re.DOTALL),
    re.compile(r"\A\s*--\[=*\[(.*?)\]=*\]", re.DOTALL),
    re.compile(rf"\A{_ATTRIBUTES}((?:[ \t]*(?://[/!]?|--+|#(?![!\[]))[^\n]*\n)+)"),
)
_NO_DOCUMENTATION = re.compile(
    r"#\s*(?:include|define|if|endif|pragma|region)\b|copyright|licen[cs]e|eslint|noqa", re.IGNORECASE
)
_MARKER = re.compile(r"^[ \t]*(?://[/!]?|#+|--+|\*+(?!\*))[ \t]?", re.MULTILINE)

# What ends the prose of a comment: tags, fields, section headings, examples.
_END_OF_PROSE = re.compile(
    r"^\s*(?:@\w|:\w[\w ]*:(?!`)|\\(?:param|return|sa|see)|>>>|\$ |```|"
    r"(?:Args|Arguments|Parameters|Params|Returns?|Raises|Throws|Yields|Attributes|Usage|Examples?|Notes?|See also)\b"
    r"[^\n.]*::?\s*$|(?:Parameters|Returns|Raises|Usage|Examples?)\s*$|[-=~]{3,}\s*$)",
    re.IGNORECASE,
)
_PLAIN = (
    (re.compile(r"\{@\w+\s+#?([^}]*)\}"), r"\1"),  # {@link X} of Javadoc
    (re.compile(r":[a-z:]+:`(?:~(?:\w+\.)*)?([^`<]*?)\s*(?:<[^`]*>)?`"), r"\1"),  # :class:`X <y>` of reStructuredText
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),  # [text](address)
    (re.compile(r"<see \w+=\"(?:\w:)?([^\"]*)\"\s*/>|</?[A-Za-z][^>]*>"), lambda found: found[1] or ""),
    (re.compile(r"`+([^`]*)`+_*"), r"\1"),
    (re.compile(r"(?<![\w*])\*{1,3}([^*\s][^*]*)\*{1,3}(?!\w)"), r"\1"),
    (re.compile(r"^\\brief\s+"), ""),
)
_OPENING = re.compile(
    r"^(?:This|The) (?:\w+ )?(?:function|method|class|module|helper|property|routine|object|type|struct|interface) "
    r"(?:is used to |is responsible for |will |can be used to )?(?=[a-z])"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")


def first_sentence(context: SymbolContext) -> str | None:
    """Return the first sentence of a symbol's documentation, or None if it has no sentence of a fit length."""
    paragraph = _first_paragraph(_documentation(context))
    for pattern, plain in _PLAIN:
        paragraph = pattern.sub(plain, paragraph)
    sentence = _SENTENCE_END.split(" ".join(paragraph.split()))[0].strip()
    opened = _OPENING.sub("", sentence)
    if opened != sentence:
        sentence = opened[:1].upper() + opened[1:]
    if not re.search(r"[^\W\d_]", sentence) or len(sentence) > MAX_SENTENCE_CHARS:
        return None
    return sentence if sentence[-1] in ".!?" else f"{sentence.rstrip(':;,')}."


def _documentation(context: SymbolContext) -> str:
    source = (context.source_code or "")[:_LOOK_CHARS]
    if context.docstring and context.docstring.strip():
        return context.docstring
    if context.language.lower() == "python":
        return _python_docstring(source)
    for pattern in _COMMENTS:
        found = pattern.search(source)
        if found and not _NO_DOCUMENTATION.search(found[1]):
            return _MARKER.sub("", found[1])
    return ""


def _python_docstring(source: str) -> str:
    """Return the docstring of the first definition; of a source that is cut off, the string that opens its body."""
    try:
        body = ast.parse(textwrap.dedent(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found = _OPENING_STRING.search(source)
        return textwrap.dedent(found[1] or found[2] or "") if found else ""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return ast.get_docstring(body[0]) or "" if body and isinstance(body[0], definitions) else ""


def _first_paragraph(text: str) -> str:
    """Return the first lines of prose, up to an empty line or to what is no prose."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        if _END_OF_PROSE.match(line) or (lines and not line.strip()):
            break
        if line.strip():
            lines.append(line)
    return "\n".join(lines)
