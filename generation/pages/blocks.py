"""What a page shows: figures, bars, lines, tables and notes, as plain records.

Numbers come with the text by which people read them, so that a page formats nothing. Leaves out how they look (`html`)
and what is counted: callers aggregate, and name at most MAX_ROWS of anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# More rows than this are of no use to a reader; the rest is counted.
MAX_ROWS = 50
# More points than a chart has pixels show nothing more.
MAX_POINTS = 400


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar for each row: its label, its value and the value as text. `total_rows` counts those left out too."""

    title: str
    rows: Sequence[tuple[str, float, str]]
    total_rows: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points (x, y), both from 0 on; the two functions write an x and a y as text."""

    title: str
    points: Sequence[tuple[float, float]]
    x_text: Callable[[float], str]
    y_text: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under the names of their columns. `total_rows` counts those left out too."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    total_rows: int = 0


class Note(NamedTuple):
    """A sentence, for example of what is not recorded."""

    text: str


Block = Bars | Line | Table | Note


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: a list of blocks for each subject, which are shown side by side on the same scales."""

    title: str
    sides: Sequence[Sequence[Block]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page about one subject or two. `figures` are rows of a name and a value for each subject."""

    title: str
    subjects: Sequence[str]
    figures: Sequence[Sequence[str]]
    sections: Sequence[Section]
    notes: Sequence[str] = ()


def thinned(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most so many of the points, evenly spaced in their order, the first and the last among them.

    >>> thinned([(float(x), 0.0) for x in range(9)], 3)
    [(0.0, 0.0), (4.0, 0.0), (8.0, 0.0)]
    """
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]
