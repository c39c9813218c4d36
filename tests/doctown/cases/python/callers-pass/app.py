class Engine:
    def start(self):
        return 1


class Brake:
    def hold(self):
        return 1

    def start(self):
        return 2


class Car:
    def __init__(self, engine, brake=None):
        self.engine = engine
        self.brake = brake

    def drive(self):
        self.engine.start()
        self.brake.hold()


def apply(function, value):
    return function(value)


def first(value):
    return value.start()


def both(part):
    return part.start()


def run(*actions, **named):
    for action in actions:
        action()
    named["late"]()


def tick(): ...
def tock(): ...


def use():
    Car(Engine(), brake=Brake()).drive()
    apply(first, Engine())
    both(Engine())
    both(Brake())
    run(tick, late=tock)
