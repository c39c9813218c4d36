"""A symbol becomes the messages of a request, within a budget of tokens."""
