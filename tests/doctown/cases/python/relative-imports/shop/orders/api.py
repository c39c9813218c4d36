from . import model
from ..stock import reserve
from .model import Order


def place(name):
    reserve(name)
    order = model.Order(name)
    model.check(order)
    return Order(name)
