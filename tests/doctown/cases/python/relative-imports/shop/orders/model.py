class Order:
    def __init__(self, name):
        self.name = name


def check(order):
    return order
