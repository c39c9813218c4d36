import sys
from typing import overload

try:
    from fast import parse
except ImportError:

    def parse(text):
        return text


if sys.version_info > (3, 12):

    def clean(text):
        return text

else:

    def clean(text):
        return parse(text)


if sys.platform == "win32":
    from windows import home
else:

    def home():
        return clean("~")


@overload
def load(source: str) -> str: ...
@overload
def load(source: bytes) -> bytes: ...
def load(source):
    return source


def use():
    clean("a")
    load("b")
    home()
    parse("c")
