from engine.parts import Wheel


def build():
    return Wheel()
