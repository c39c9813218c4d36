import functools
from contextlib import contextmanager


def plain(function):
    return function


def wrapping(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)

    return inner


def with_options(name):
    def decorate(function):
        return function

    return decorate


@plain
def one():
    return 1


@wrapping
def two():
    return one()


@with_options("x")
class Three:
    @property
    def size(self):
        return two()

    @staticmethod
    def fixed():
        return 1

    @functools.cached_property
    def parts(self):
        return Three()


@contextmanager
def opened():
    yield Three()


def use():
    with opened() as three:
        three.fixed()
        three.parts.fixed()
    two()
