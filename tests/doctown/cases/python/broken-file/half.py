def whole():
    return helper()


def helper():
    return 1


def broken(:
    return whole(


class Late:
    def run(self):
        return helper()
