"""From the bytes of a file to plain records of its symbols, scopes and calls."""
