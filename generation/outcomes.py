"""What flows through the worker: a symbol on the way in, and on the way out its outcome, `Documented` or `Failed`.

Everything after the generator consumes outcomes and knows nothing of OpenAI. `position` is the place in the job's
input: results are listed in that order, and two symbols with one id are still two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generation.token_counter import NO_USAGE, Usage

if TYPE_CHECKING:
    from generation.schemas import SymbolContext


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
    """A symbol with its summary; `usage` is all that was billed for it, failed attempts included."""

    position: int
    symbol_id: str
    summary: str
    usage: Usage = NO_USAGE
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A symbol without a summary: `failure` is a code of the contract, `message` a sentence, `usage` what it cost."""

    position: int
    symbol_id: str
    file_path: str | None
    failure: str
    message: str
    usage: Usage = NO_USAGE


Outcome = Documented | Failed
