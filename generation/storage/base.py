"""The interface of document storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was read. Every write to its key changes `version` (an ETag or the like)."""

    body: bytes
    version: str


class Storage(Protocol):
    """Documents under keys such as `results/job.json`. Every method raises StorageError on failure."""

    bucket: str | None

    async def open(self, key: str) -> BinaryIO:
        """Return a document, which must exist, as an open binary file. The caller closes it."""
        ...

    async def read(self, key: str) -> Stored | None:
        """Return the document, or None where there is none."""
        ...

    async def write(self, key: str, body: bytes) -> None:
        """Write a document, replacing an existing one unconditionally."""
        ...

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        """Write a document only if the present one has this version, or none exists if it is None.

        Return whether it was written: False means that another process has written the key since (optimistic
        concurrency).
        """
        ...

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, which must end in a slash, in ascending order.

        R2 returns keys of all levels. A folder returns one level only, with subfolders among the names and without
        hidden files.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete documents; missing ones are ignored."""
        ...

    def url(self, key: str) -> str | None:
        """Return the URL of a document, or None where it has none."""
        ...
