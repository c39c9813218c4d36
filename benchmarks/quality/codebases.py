"""Documented functions of four codebases in two languages, with their docstrings taken out of what a model is told.

The sources come from the package registries at pinned versions. A docstring's first paragraph is what a summary is
compared with. The sample of each codebase is drawn with a fixed seed and, so that callees are among it, grows along the
call graph.
"""

from __future__ import annotations

import ast
import os
import random
import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.graph.sources import lay
from doctown.analysis import analyse
from doctown.assembly.contexts import Facts, make_context
from doctown.assembly.symbols import ProgramSymbol, program_symbols, sure_calls
from doctown.graph.pagerank import centrality
from doctown.reading import read_sources
from doctown.repository import Limits, Selection, open_source
from generation import SymbolContext

CODEBASES = ("requests", "flask", "rxjs", "zod")
SEED = 20_261_121
MIN_DOCSTRING_WORDS = 4
MIN_SOURCE_LINES = 3
MAX_SOURCE_CHARS = 4_000

_FIRST_BLOCK = re.compile(r"(:[ \t]*\n)\s*[rR]?\"\"\".*?\"\"\"[ \t]*\n", re.DOTALL)
_ROLE = re.compile(r":[a-z:]+:`~?!?(?:([^`<]+?)\s*<[^`>]*>|([^`]+))`")
_LINK = re.compile(r"\{@link(?:code)?\s+([^}|\s]+)[^}]*\}|!?\[([^\]]*)\]\([^)]*\)|</?[a-z]+[^>]*>")


class Codebase(NamedTuple):
    """A codebase's sample of symbols and the first paragraphs of all its docstrings, by symbol id."""

    name: str
    sample: list[SymbolContext]
    docstrings: dict[str, str]


def read_codebase(name: str, size: int, cache: Path) -> Codebase:
    """Return up to `size` documented functions of a codebase. Raises Unmeasured where its sources cannot be had."""
    with open_source(str(lay(name, cache)), limits=Limits.from_env(os.environ), environ=os.environ) as checkout:
        analysis = analyse(checkout, Selection())
        symbols = program_symbols(analysis)
        functions = [one for one in symbols if one.symbol.kind in {"function", "method"} and not one.is_test]
        ids = frozenset(one.id for one in functions)
        sources = read_sources(checkout, analysis, ids, frozenset())
    facts = Facts(
        names={one.id: one.symbol.qualified_name for one in symbols},
        calls=sure_calls(analysis.graph),
        centrality=centrality(analysis.graph),
        external_calls={},
    )
    contexts = {one.id: _bare(make_context(one, sources.prompt[one.id], facts)) for one in functions}
    docstrings = {
        one.id: paragraph
        for one in functions
        if len((paragraph := first_paragraph(one.symbol.docstring or "")).split()) >= MIN_DOCSTRING_WORDS
        and _has_a_body(contexts[one.id])
    }
    return Codebase(name, [contexts[one] for one in _sample(functions, docstrings, facts, size)], docstrings)


def first_paragraph(docstring: str) -> str:
    """Return a docstring's first paragraph as one line of plain text.

    >>> first_paragraph("Sends a :class:`Request`.\\n\\nMore.")
    'Sends a Request.'
    """
    plain = _ROLE.sub(lambda role: role[1] or role[2], docstring.strip())
    plain = _LINK.sub(lambda link: link[1] or link[2] or "", plain)
    return " ".join(plain.split("\n\n")[0].replace("`", "").split())


def _has_a_body(context: SymbolContext) -> bool:
    source = context.source_code or ""
    return source.strip().count("\n") + 1 >= MIN_SOURCE_LINES and len(source) <= MAX_SOURCE_CHARS


def _sample(functions: Sequence[ProgramSymbol], docstrings: dict[str, str], facts: Facts, size: int) -> list[str]:
    """Return the ids of a sample: functions by chance, and after each the documented ones that it calls."""
    order = [one.id for one in functions if one.id in docstrings]
    random.Random(SEED).shuffle(order)
    chosen: dict[str, None] = {}
    for one in order:
        for other in (one, *facts.calls.callees.get(one, ())):
            if other in docstrings and len(chosen) < size:
                chosen[other] = None
    return sorted(chosen)


def _bare(context: SymbolContext) -> SymbolContext:
    """Return a context without its docstring, in its source too."""
    source = context.source_code or ""
    return replace(context, docstring=None, source_code=without_docstring(source) if source else None)


def without_docstring(source: str) -> str:
    """Return the source of a Python function without the string that opens its body; another source as it is.

    >>> without_docstring('def f():\\n    "Do it."\\n    return 1')
    'def f():\\n    return 1'
    """
    # The first line of a member has lost its indentation, which shows if a decorator stands there.
    rest = [line for line in source.splitlines()[1:] if line.strip()]
    indentation = min((len(line) - len(line.lstrip()) for line in rest), default=0)
    for text in (source, textwrap.dedent(" " * indentation + source)):
        try:
            return _without_docstrings(text, ast.parse(text))
        except SyntaxError:
            continue
    # Definitions inside of it may be outlines, which are no Python.
    return _FIRST_BLOCK.sub(r"\1", source, count=1)


def _without_docstrings(source: str, tree: ast.Module) -> str:
    lines = source.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node) is not None and len(node.body) > 1:
            string = node.body[0]
            for number in range(string.lineno - 1, string.end_lineno or string.lineno):
                lines[number] = "\0"
    return "\n".join(line for line in lines if line != "\0")
