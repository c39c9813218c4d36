"""A row of the table: what was measured, and the limit that it must meet.

Rows contain ratios, since absolute times differ between machines; the absolute numbers are kept next to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A rounded `value` compared with its limit `bar`, if it has one; a fault (a lost symbol) always misses it."""

    what: str
    value: float
    bar: float | None
    remark: str
    unit: str = ""
    faults: tuple[str, ...] = ()
    numbers: Mapping[str, object] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return not self.faults and (self.bar is None or self.value <= self.bar)

    @property
    def verdict(self) -> str:
        if not self.met:
            return "missed"
        return "met" if self.bar is not None else "reported"

    @property
    def measured(self) -> str:
        return self._with_unit(self.value, digits=3)

    @property
    def limit(self) -> str:
        return "" if self.bar is None else f"≤ {self._with_unit(self.bar, digits=2)}"

    def _with_unit(self, value: float, digits: int) -> str:
        return f"{value:.0f} {self.unit}" if self.unit else f"{value:.{digits}f}"
