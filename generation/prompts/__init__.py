"""Build the messages of a request from symbols, within a budget of tokens."""
