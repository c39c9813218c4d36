from lib import *
from bare import *


def use():
    visible()
    late()
    unlisted()
    plain()
    _private()
