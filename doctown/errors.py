"""The error tree of a build.

    DoctownError          anything that this package raises on purpose
    ├── ConfigError       a setting is wrong
    ├── SourceError       the source cannot be fetched or read
    ├── ModelError        the embedding model cannot be loaded or is another model
    ├── PackError         a pack cannot be read, written, or searched for what was asked
    ├── OutputError       the output folder cannot be used, or a finished pack cannot be uploaded
    └── DocumentError     the summaries cannot be written, or were not wanted at their price

A message is one sentence that says what to do. It never shows a secret or source code.
"""

from __future__ import annotations


class DoctownError(Exception):
    """Anything that this package raises on purpose; `failure` is its code in the outcome of a job."""

    failure = "job_failed"

    def __init__(self, message: str, failure: str | None = None) -> None:
        super().__init__(message)
        self.failure = failure or type(self).failure


class ConfigError(DoctownError):
    """A setting is wrong; the message names its variable and never shows its value."""

    failure = "bad_setting"


class SourceError(DoctownError):
    """The source cannot be fetched or read."""

    failure = "bad_source"


class ModelError(DoctownError):
    """The embedding model cannot be loaded or is another model; the message names the file and what would be right."""

    failure = "embedding_model"


class PackError(DoctownError):
    """A pack cannot be read, written, or searched for what was asked."""

    failure = "bad_pack"


class OutputError(DoctownError):
    """The output folder cannot be used, or a finished pack cannot be uploaded."""

    failure = "storage"


class DocumentError(DoctownError):
    """The summaries cannot be written, or were not wanted at their price."""
