"""The error tree of `doctown`: each message is one sentence that says what is wrong and where."""

from __future__ import annotations


class DoctownError(Exception):
    """Anything that this project raises on purpose."""


class PackError(DoctownError):
    """A pack cannot be read, written, or searched for what was asked."""
