"""What a prompt says of a symbol beyond its own context: its callees' summaries, its neighbours, its file. Pure.

It grows while a job runs, as callees are documented. Leaves out: the wording (`prompts.builder`), and the order in
which symbols are documented (`schedule`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generation.domain.context import RelatedSymbol, SymbolContext
from generation.domain.outcome import Documented, Outcome, Symbol
from generation.planning.neighbours import nearest_neighbours
from generation.prompts.builder import Notes, Related

# A prompt is about one symbol: the few most central callees add the most.
MAX_CALLEES = 8
MAX_SAME_FILE = 10
_NOTE_CHARS = 200


@dataclass(frozen=True, slots=True)
class SemanticContext:
    """The related symbols of each position, and the names of the symbols of each file, most central first."""

    related: Mapping[int, tuple[Related, ...]]
    by_file: Mapping[str, tuple[str, ...]]


class PromptContext:
    """The summaries written so far in one job, and its call graph and semantic context."""

    def __init__(
        self, symbols: Sequence[Symbol], callees: Mapping[int, tuple[int, ...]], semantic: SemanticContext | None = None
    ) -> None:
        self._names = {symbol.position: symbol.context.name for symbol in symbols}
        self._callees = callees
        self._semantic = semantic
        self._summaries: dict[int, str] = {}

    def add_summary(self, outcome: Outcome) -> None:
        """Keep a summary for the prompts of the symbols that call this one, unless it stands for a rejected one."""
        if isinstance(outcome, Documented) and not outcome.is_rejected:
            self._summaries[outcome.position] = outcome.summary

    def notes(self, symbol: Symbol) -> Notes:
        """Return what is known of a symbol now, beyond its own context."""
        called = (position for position in self._callees.get(symbol.position, ()) if position in self._summaries)
        callees = tuple((self._names[position], self._summaries[position]) for position in called)[:MAX_CALLEES]
        if self._semantic is None:
            return Notes(callees)
        context = symbol.context
        same_file = tuple(name for name in self._semantic.by_file[context.file_path] if name != context.name)
        return Notes(
            callees,
            self._semantic.related.get(symbol.position, ()),
            same_file[:MAX_SAME_FILE],
            tuple(context.imports),
        )


def semantic_context(symbols: Sequence[Symbol]) -> SemanticContext:
    """Return related symbols as the contexts list them, else the nearest by embedding; and the symbols of each file."""
    contexts = {symbol.position: symbol.context for symbol in symbols}
    given = {position: _given(context) for position, context in contexts.items()}
    without_related = [symbol for symbol in symbols if not given[symbol.position]]
    nearest = nearest_neighbours(symbols) if any(one.context.embedding is not None for one in without_related) else {}
    related = {
        position: own
        or tuple(
            Related(contexts[other].name, similarity, _known_of(contexts[other]))
            for other, similarity in nearest.get(position, ())
        )
        for position, own in given.items()
    }
    by_file: defaultdict[str, list[Symbol]] = defaultdict(list)
    for symbol in sorted(symbols, key=lambda symbol: (-symbol.centrality, symbol.position)):
        by_file[symbol.context.file_path].append(symbol)
    return SemanticContext(
        related,
        {path: tuple(one.context.name for one in members[: MAX_SAME_FILE + 1]) for path, members in by_file.items()},
    )


def _given(context: SymbolContext) -> tuple[Related, ...]:
    return tuple(
        Related(one.name, one.similarity, one.note) for one in context.related_symbols if isinstance(one, RelatedSymbol)
    )


def _known_of(context: SymbolContext) -> str:
    """Return the first paragraph of a symbol's docstring, or its kind, file and signature."""
    paragraph = " ".join((context.docstring or "").strip().split("\n\n")[0].split())
    return (paragraph or f"{context.kind} in {context.file_path}, {context.signature or context.name}")[:_NOTE_CHARS]
