counter = None


class Counter:
    def up(self):
        return 1

    def make(self):
        def step():
            return self.up()

        return step


def start():
    global counter
    counter = Counter()


def outer(flag):
    def helper():
        return shared()

    def shared():
        return 1

    twice = lambda: helper()
    helper()
    if flag:
        return helper
    return shared


def use():
    counter.up()
    Counter().make()()
    [shout(word) for word in ("a", "b")]
    name = shout
    name("x")


shout = lambda text: text.upper()
