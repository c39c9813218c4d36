"""How much a source may hold and how long its fetching may take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from doctown.errors import ConfigError, SourceError


@dataclass(frozen=True)
class Limits:
    """Limits of one fetch.

    `max_bytes` holds for what comes over the network and, by itself, for the files it unpacks to. `max_files` counts
    files, not folders. `timeout_s` holds for the whole fetch.
    """

    max_bytes: int = 500_000_000
    max_files: int = 50_000
    timeout_s: float = 300.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Limits:
        """Read FETCH_MAX_BYTES, FETCH_MAX_FILES and FETCH_TIMEOUT_S from a mapping; an empty value counts as not set.

        Raises ConfigError.
        """
        return cls(
            max_bytes=_whole_number(environ, "FETCH_MAX_BYTES", cls.max_bytes),
            max_files=_whole_number(environ, "FETCH_MAX_FILES", cls.max_files),
            timeout_s=_seconds(environ, "FETCH_TIMEOUT_S", cls.timeout_s),
        )


class Deadline:
    """The moment at which a fetch has taken too long, on the monotonic clock."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s

    def check(self) -> None:
        """Raise SourceError once the time is up."""
        if time.monotonic() >= self._end_s:
            raise SourceError(
                f"Fetching took longer than {self._timeout_s:g} seconds: try again, or set FETCH_TIMEOUT_S higher"
            )


def too_many_bytes(limits: Limits) -> SourceError:
    """Return the error of a source with more than `limits.max_bytes`."""
    return SourceError(
        f"The source has more than {limits.max_bytes:,} bytes: give a smaller one, or set FETCH_MAX_BYTES higher"
    )


def too_many_files(limits: Limits) -> SourceError:
    """Return the error of a source with more than `limits.max_files`."""
    return SourceError(
        f"The source has more than {limits.max_files:,} files: give a smaller one, or set FETCH_MAX_FILES higher"
    )


def _whole_number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 18 and int(text) > 0):  # noqa: PLR2004 - below 2^63
        raise ConfigError(f"{name} must be a whole number above 0")
    return int(text)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise ConfigError(f"{name} must be a number of seconds above 0")
    return seconds
