"""What flows through the worker: symbols in requests on the way in, and on the way out `Documented` or `Failed`.

Everything after the generator consumes outcomes and knows nothing of OpenAI. `position` is the place in the job's
input: results are listed in that order, and two symbols with one id are still two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from generation.domain.context import SymbolContext
from generation.domain.finding import Findings
from generation.domain.usage import NO_USAGE, Usage

Source = Literal["model", "offline", "previous"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol that can be documented."""

    position: int
    context: SymbolContext

    @property
    def symbol_id(self) -> str:
        """The id under which the symbol came and goes."""
        return self.context.symbol_id

    @property
    def centrality(self) -> float:
        """0 to 1; 0 where the context does not say."""
        return self.context.centrality or 0.0


@dataclass(frozen=True, slots=True)
class Documented:
    """A symbol with its summary; `usage` is all that was billed for it, failed attempts included.

    `content_hash` tells what the summary was written from.
    """

    position: int
    symbol_id: str
    summary: str
    usage: Usage = NO_USAGE
    source: Source = "model"
    checks: Findings | None = None
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A symbol without a summary: `failure` is a code of the contract, `message` a sentence, `usage` what it cost."""

    position: int
    symbol_id: str
    file_path: str | None
    failure: str
    message: str
    usage: Usage = NO_USAGE
    content_hash: str = ""


Outcome = Documented | Failed

# One for all requests that were never asked before, which in a large job are tens of thousands.
_NONE: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Request:
    """Symbols that are asked for together.

    `reasons` says, by position, why a symbol is asked for again; `spent` what it has cost before; `fallback` the
    summary that it has if no better one comes.
    """

    symbols: tuple[Symbol, ...]
    reasons: Mapping[int, str] = field(default_factory=lambda: _NONE)
    spent: Mapping[int, Usage] = field(default_factory=lambda: _NONE)
    fallback: Mapping[int, Documented] = field(default_factory=lambda: _NONE)

    @property
    def centrality(self) -> float:
        """That of its most central symbol."""
        return max(symbol.centrality for symbol in self.symbols)

    def part(self, symbols: tuple[Symbol, ...]) -> Request:
        """The same request for some of its symbols."""
        return Request(symbols, self.reasons, self.spent, self.fallback)


def given_up(request: Request, failure: str, message: str) -> list[Outcome]:
    """What becomes of a request's symbols when they are not asked for any more: what they have cost is counted."""
    outcomes: list[Outcome] = []
    for symbol in request.symbols:
        position, usage = symbol.position, request.spent.get(symbol.position, NO_USAGE)
        if fallback := request.fallback.get(position):
            outcomes.append(replace(fallback, usage=usage))
        else:
            outcomes.append(Failed(position, symbol.symbol_id, symbol.context.file_path, failure, message, usage))
    return outcomes


# What came of a request: outcomes, and requests for those of its symbols that must be asked for again.
Results = Sequence[Outcome | Request]
Documenter = Callable[[Request], Awaitable[Results]]
