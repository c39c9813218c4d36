from abc import ABC
from threading import Thread


class Animal(ABC):
    def speak(self):
        return self.sound()

    def sound(self):
        return ""


class Loud:
    def sound(self):
        return "!"


class Dog(Loud, Animal):
    def __init__(self):
        super().__init__()
        self.speak()
        self.sound()

    def wag(self):
        super().sound()
        Animal.sound(self)


class Puppy(Dog):
    def sound(self):
        return super().sound()

    def sleep(self):
        self.wag()


class Worker(Thread):
    def run(self):
        self.start()


Puppy().speak()
Worker().join()
