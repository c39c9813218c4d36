"""Shapes and their areas."""

import dataclasses
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
MAX_SIDES: int = 12
_CACHE_SIZE = 4
not_a_constant = 5
Pair: TypeAlias = tuple[int, int]
type Size = int


@dataclasses.dataclass(
    frozen=True,
)
class Shape(Generic[T], metaclass=type):
    """A shape.

    With sides.
    """

    sides: int = 0

    class Meta:
        name = "shape"

    def __init__(
        self,
        sides,  # how many
        *more: int,
        label: str = "x(y)",
        **rest,
    ) -> None:
        r"""Take \sides."""
        self.sides = sides

    @property
    def area(self) -> int:
        return 1

    @area.setter
    def area(self, value: int) -> None:
        self.value = value

    async def load(self, url):
        return url

    def _hidden(self):
        "A docstring in one quote"


def _private():
    def inside(): ...

    class Local: ...

    return inside, Local


def test_area(): ...
