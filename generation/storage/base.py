"""The interface of document storage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from generation.errors import StorageError
from generation.fan_out import fan_out
from generation.storage.threads import MAX_THREADS


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

    async def exists(self, key: str) -> bool:
        """Return whether there is a document, without reading it."""
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
        """Return the keys of all levels that begin with `prefix`, which must end in a slash, in ascending order."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete documents; missing ones are ignored. A failure does not stop the deletion of the others.

        The StorageError is that of the first failure and says how many documents remain.
        """
        ...

    def url(self, key: str) -> str | None:
        """Return the URL of a document, or None where it has none."""
        ...


async def delete_each(
    delete: Callable[[str], Awaitable[None]], keys: Iterable[str], limit_s: float | None = None
) -> None:
    """Delete every key by a call of its own, for at most `limit_s` seconds. Raises as `Storage.delete`."""
    wanted = list(keys)
    done = 0

    async def counted(key: str) -> None:
        nonlocal done
        await delete(key)
        done += 1

    try:
        async with asyncio.timeout(limit_s):
            errors = await fan_out(counted, wanted, MAX_THREADS)
    except TimeoutError:
        sentence = f"{len(wanted) - done} of {len(wanted)} documents cannot be removed within {limit_s:g} s"
        raise StorageError(sentence, retryable=True) from None
    if errors:
        first = errors[0]
        sentence = f"{first}; {len(errors)} of {len(wanted)} documents remain" if len(wanted) > 1 else str(first)
        raise StorageError(sentence, retryable=isinstance(first, StorageError) and first.retryable)
