class Circle:
    def area(self):
        return 1

    def close(self):
        return 1


class Square:
    def area(self):
        return 2

    def close(self):
        return 2


def measure(shape: Circle | Square, other, items):
    shape.area()
    if isinstance(shape, Circle):
        shape.area()
    elif isinstance(shape, Square):
        shape.area()
    assert isinstance(other, Square)
    other.area()
    [item.close() for item in items if isinstance(item, Circle)]
    thing = Circle()
    thing.area()
    thing = Square()
    thing.area()
    if items:
        thing = Circle()
    thing.close()
