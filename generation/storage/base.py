"""What a store of documents can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was read; `version` tells it from what others write there later."""

    body: bytes
    version: str


class Storage(Protocol):
    """A place for documents under keys such as `results/job.json`. Every method raises StorageError where it fails."""

    bucket: str | None

    async def open(self, key: str) -> BinaryIO:
        """An open file with the bytes under a key, which must be there."""
        ...

    async def read(self, key: str) -> Stored | None:
        """The document under a key; None where there is none."""
        ...

    async def write(self, key: str, body: bytes) -> None:
        """Put a document under a key, whatever is there."""
        ...

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        """Put a document where `version` still is, or where nothing is (None); False where another came before."""
        ...

    async def list_keys(self, prefix: str) -> list[str]:
        """The keys that begin with a prefix, which ends in a slash, in their order."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove documents; those that are not there are no error."""
        ...

    def url(self, key: str) -> str | None:
        """The address of a document, where it has a public one."""
        ...
