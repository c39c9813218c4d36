"""What flows through the worker: symbols in requests on the way in, `Documented` or `Failed` on the way out.

Everything after the generator consumes outcomes and does not depend on OpenAI. `position` is the index in the job's
input: results are listed in that order, and two symbols with the same id remain two symbols.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from generation.domain.context import SymbolContext
from generation.domain.finding import Findings
from generation.domain.usage import NO_USAGE, Usage

Source = Literal["model", "offline", "previous"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A valid symbol of the job; `position` is its index in the input."""

    position: int
    context: SymbolContext

    @property
    def symbol_id(self) -> str:
        """Return the symbol's id, as the input gives it and the results repeat it."""
        return self.context.symbol_id

    @property
    def centrality(self) -> float:
        """Return the centrality, 0 to 1; 0 if the context has none."""
        return self.context.centrality or 0.0


class Origin(NamedTuple):
    """What a summary was written by: the version of the prompt, the model, and the language and effort asked for."""

    prompt_version: int
    model: str
    language: str
    effort: str | None


@dataclass(frozen=True, slots=True)
class Documented:
    """A symbol with its summary; `usage` is everything that was billed for it, failed attempts included.

    `content_hash` identifies the question that the summary answers. `origin` is None for a summary written offline, and
    for one that was stored before origins were. `repairs` names what was changed in what the model wrote.
    `latency_ms` is how long the request was in flight whose answer this is; None where nobody measured it.
    """

    position: int
    symbol_id: str
    summary: str
    usage: Usage = NO_USAGE
    source: Source = "model"
    checks: Findings | None = None
    content_hash: str = ""
    origin: Origin | None = None
    repairs: tuple[str, ...] = ()
    latency_ms: int | None = field(default=None, compare=False)

    @property
    def is_rejected(self) -> bool:
        """Whether a model was asked and what it wrote failed a hard check: the summary is an offline one."""
        return self.source == "offline" and self.checks is not None and bool(self.checks.hard)


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

# Shared by all first requests, of which a large job has tens of thousands.
_NONE: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Request:
    """Symbols that one request asks the model to document.

    `reasons` says, by position, why a symbol is requested again; `spent` is what it has cost before; `fallback` is the
    offline summary to use if the new request brings no answer; `unusable` counts the answers that were paid for and
    not used.
    """

    symbols: tuple[Symbol, ...]
    reasons: Mapping[int, str] = field(default_factory=lambda: _NONE)
    spent: Mapping[int, Usage] = field(default_factory=lambda: _NONE)
    fallback: Mapping[int, Documented] = field(default_factory=lambda: _NONE)
    unusable: int = 0

    @property
    def centrality(self) -> float:
        """Return the centrality of the most central symbol, 0 to 1."""
        return max(symbol.centrality for symbol in self.symbols)

    def part(self, symbols: tuple[Symbol, ...]) -> Request:
        """Return the same request for some of its symbols."""
        return Request(symbols, self.reasons, self.spent, self.fallback, self.unusable)


def given_up(request: Request, failure: str, message: str) -> list[Outcome]:
    """Return the outcomes of a request's symbols that are not requested any more.

    A symbol with a fallback is documented with it, any other fails; both keep the usage that was billed so far.
    """
    outcomes: list[Outcome] = []
    for symbol in request.symbols:
        position, usage = symbol.position, request.spent.get(symbol.position, NO_USAGE)
        if fallback := request.fallback.get(position):
            outcomes.append(replace(fallback, usage=usage))
        else:
            outcomes.append(Failed(position, symbol.symbol_id, symbol.context.file_path, failure, message, usage))
    return outcomes


# The results of a request: outcomes, and further requests for those of its symbols that must be requested again.
Results = Sequence[Outcome | Request]
Documenter = Callable[[Request], Awaitable[Results]]
