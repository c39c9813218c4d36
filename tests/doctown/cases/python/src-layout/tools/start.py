import helper
from engine import build

build().turn()
helper.run()
