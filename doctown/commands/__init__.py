"""The commands of `python -m doctown`: one module each, with the arguments it adds and the function that runs it."""
