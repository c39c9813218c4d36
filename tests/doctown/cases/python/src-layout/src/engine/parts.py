class Wheel:
    def turn(self):
        return self
