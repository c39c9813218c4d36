from typing import Generic, Optional, TypeVar, cast

T = TypeVar("T")
N = TypeVar("N", bound="Node")


class Node:
    def link(self: N) -> N:
        return self

    @classmethod
    def make(cls):
        return cls()

    def name(self):
        return ""


class Leaf(Node):
    def bloom(self):
        return 1


class Box(Generic[T]):
    def content(self) -> T:
        return self.held


def same(value: T) -> T:
    return value


def build(kind: type[T], *rest) -> T:
    return kind(*rest)


def use(box: "Box[Leaf]", maybe: "Optional[Leaf]" = None):
    Leaf().link().bloom()
    Leaf.make().bloom()
    same(Leaf()).bloom()
    build(Leaf).bloom()
    cast(Leaf, box).bloom()
    cast("Leaf", box).name()
    maybe.name()
    box.content().bloom()
