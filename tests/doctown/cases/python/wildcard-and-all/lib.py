__all__ = ["visible", "LIMIT"]
__all__ += ["late"]
LIMIT = 3
_hidden_limit = 4


def visible():
    return 1


def unlisted():
    return 2


def late():
    return 3
