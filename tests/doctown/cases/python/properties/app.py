import enum
from functools import partial, cached_property


class Wheel:
    def spin(self):
        return 1


class Color(enum.Enum):
    RED = 1

    def paint(self):
        return self.value


class Cart:
    wheel_class = Wheel
    spare: Wheel

    @property
    def wheel(self):
        return self.wheel_class()

    @wheel.setter
    def wheel(self, value):
        self.kept = value

    @cached_property
    def parts(self) -> list[Wheel]:
        return []

    def __call__(self):
        return self.wheel


def use(cart: Cart):
    cart.wheel.spin()
    cart.parts[0].spin()
    cart.spare.spin()
    cart().spin()
    Color.RED.paint()
    Color("x").paint()
    go = partial(cart.wheel.spin, 1)
    go()
    type(cart)().wheel.spin()
    cart.size = Wheel()
    cart.size.spin()
