"""The data of a run through the Batch API: the state of its batches in the store, contexts and records on local disk.

bulk/{run}/batch/run.json                    a token unique to this run, and whether the run is cancelled
bulk/{run}/batch/parts/{number}.json         a `Part`: a batch, from its planning to its end
    bulk/{run}/batch/rows/{number}.json          the symbols that it requests
    bulk/{run}/batch/answers/{number}-{n}.jsonl  its answers: stored records, each with its source and position

The state of a part is written ahead of each step (write-ahead log), so that a restart knows which step may have been
executed. Answers are valid once their part has ended. The steps themselves are in `engine`.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import tempfile
from array import array
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from generation.domain.bookkeeping import as_list, as_object, parse_json
from generation.domain.context import SymbolContext
from generation.domain.outcome import Outcome, Symbol
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import StorageError, Taken, kept_on_disk
from generation.results.records import read_records, stored_record
from generation.results.report import as_json
from generation.storage.base import Storage

log = logging.getLogger(__name__)

Status = Literal["planned", "uploaded", "begun", "submitted", "ended"]
SymbolRef = tuple[int, int]  # source and position


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are submitted together, as one batch.

    planned -> uploaded (`file_id`) -> begun (since `begun_at_s` a batch may exist) -> submitted (`batch_id`) -> ended.
    `at_most` is the maximum usage of its answers, `attempt` counts the batches created from it, and `answers` the
    objects that hold its answers. A part with `is_direct` was requested from the normal API, at full price.
    """

    number: int
    rows: int
    at_most: Usage = NO_USAGE
    status: Status = "planned"
    file_id: str | None = None
    batch_id: str | None = None
    attempt: int = 1
    begun_at_s: float = 0.0
    answers: int = 0
    is_direct: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    token: str
    is_cancelled: bool = False


_parts = TypeAdapter(Part)
_marks = TypeAdapter(_Mark)
_rows: TypeAdapter[dict[int, list[int]]] = TypeAdapter(dict[int, list[int]])


class PartStore:
    """The parts of one run. Conditional writes detect a second process that works on the same run."""

    def __init__(self, storage: Storage, run_name: str) -> None:
        self._storage = storage
        self._run_name = run_name
        self._prefix = f"bulk/{run_name}/batch/"
        self._versions: dict[str, str] = {}
        self.token = ""

    async def open(self) -> None:
        """Read the run's token, or create it at the first start.

        The token distinguishes runs of the same name that use the same account from different stores. Raises
        StorageError.
        """
        key = f"{self._prefix}run.json"
        if (stored := await self._storage.read(key)) is None:
            await self._storage.put_if_match(key, _marks.dump_json(_Mark(os.urandom(8).hex())), None)
            stored = await self._storage.read(key)
        if stored is None:
            raise StorageError(f"{key} is removed as soon as it is written")
        self.token = _known(_marks, stored.body, key).token

    async def mark_cancelled(self, is_cancelled: bool) -> None:  # noqa: FBT001 - sets or clears the flag
        """Set or clear the flag that makes other processes stop working on the run."""
        await self._storage.write(f"{self._prefix}run.json", _marks.dump_json(_Mark(self.token, is_cancelled)))

    async def is_cancelled(self) -> bool:
        """Return whether the run was cancelled, by this or another process."""
        key = f"{self._prefix}run.json"
        stored = await self._storage.read(key)
        return stored is not None and bool(_known(_marks, stored.body, key).is_cancelled)

    async def parts(self) -> list[Part]:
        """Return all parts, by number."""
        found = []
        for key in await self._storage.list_keys(f"{self._prefix}parts/"):
            if stored := await self._storage.read(key):
                self._versions[key] = stored.version
                found.append(_known(_parts, stored.body, key))
        return sorted(found, key=lambda part: part.number)

    async def add(self, part: Part, places: Iterable[SymbolRef]) -> None:
        """Save a new part and its rows."""
        rows: dict[int, list[int]] = {}
        for source, position in places:
            rows.setdefault(source, []).append(position)
        await self._storage.write(self._rows_key(part), _rows.dump_json(rows))
        await self.save(part)

    async def save(self, part: Part) -> None:
        """Save a part's state. Raises Taken where another process has saved it since it was read."""
        key = f"{self._prefix}parts/{part.number:06}.json"
        if not await self._storage.put_if_match(key, _parts.dump_json(part), self._versions.get(key)):
            raise Taken(f"another process works on the run {self._run_name}: let it end first")
        if stored := await self._storage.read(key):
            self._versions[key] = stored.version

    async def places(self, part: Part) -> list[SymbolRef]:
        """Return the symbols of a part. Raises StorageError where they are missing."""
        key = self._rows_key(part)
        if (stored := await self._storage.read(key)) is None:
            raise StorageError(f"{key} is not there: without it the run cannot go on")
        return [(source, place) for source, rows in _known(_rows, stored.body, key).items() for place in rows]

    async def write_answers(self, part: Part, number: int, answers: Iterable[tuple[int, Outcome]]) -> None:
        """Save some answers to a part: outcomes with the numbers of their sources."""
        lines = (
            as_json({"place": [source, outcome.position], "record": stored_record(outcome)})
            for source, outcome in answers
        )
        await self._storage.write(self._answers_key(part, number), b"\n".join(lines))

    async def answers(self, part: Part) -> AsyncIterator[tuple[int, Outcome]]:
        """Yield all answers to a part that has ended; one that cannot be read is as if it had not come.

        Raises StorageError where some are missing.
        """
        for number in range(part.answers):
            key = self._answers_key(part, number)
            if (stored := await self._storage.read(key)) is None:
                raise StorageError(f"{key} is not there: without it the run cannot go on")
            for line in stored.body.splitlines():
                if (place := _answer_in(line)) is None:
                    log.warning("an answer in %s cannot be read: its symbol is requested again", key)
                    continue
                source, position, record = place
                for kept in read_records([record]):
                    yield source, kept.outcome(position)

    async def remove(self) -> None:
        """Delete all parts, once the run is finished."""
        for folder in ("answers", "rows", "parts"):
            await self._storage.delete(await self._storage.list_keys(f"{self._prefix}{folder}/"))

    def _rows_key(self, part: Part) -> str:
        return f"{self._prefix}rows/{part.number:06}.json"

    def _answers_key(self, part: Part, number: int) -> str:
        return f"{self._prefix}answers/{part.number:06}-{number:06}.jsonl"


def _answer_in(line: bytes) -> tuple[int, int, object] | None:
    """Return the source, the position and the record of a saved answer, None for a damaged line."""
    try:
        answer = as_object(parse_json(line))
    except ValueError:
        return None
    place = as_list(answer.get("place"))
    if len(place) != 2 or not all(type(number) is int for number in place):  # noqa: PLR2004 - source and position
        return None
    return place[0], place[1], answer.get("record")


def _known(form: TypeAdapter[Any], body: bytes, key: str) -> Any:  # noqa: ANN401 - the adapter's type
    try:
        return form.validate_json(body)
    except ValidationError:
        raise StorageError(f"{key} is not of this version: use another --run") from None


class _Spool:
    """Byte strings in an anonymous temporary file, each identified by its offset.

    A record is its length (32 bits, little-endian) followed by its bytes.
    """

    _SIZE = struct.Struct("<I")

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as this lives
        self._end = 0

    def close(self) -> None:
        self._file.close()

    def add(self, text: bytes) -> int:
        """Append a record and return its offset. Raises StorageError where the disk has no room for it."""
        start = self._end
        record = memoryview(self._SIZE.pack(len(text)) + text)
        written = 0
        with kept_on_disk("a symbol of the run"):
            # A write may be shorter than asked for; where the disk is full, the next one fails.
            while written < len(record):
                written += os.pwrite(self._file.fileno(), record[written:], start + written)
        self._end += written
        return start

    def read(self, start: int) -> bytes:
        [size] = self._SIZE.unpack(os.pread(self._file.fileno(), self._SIZE.size, start))
        return os.pread(self._file.fileno(), size, start + self._SIZE.size)


_NOWHERE = -1
_contexts = TypeAdapter(SymbolContext)


class Symbols:
    """The symbols of a run by number: contexts and final records on disk, the rest in compact arrays."""

    def __init__(self) -> None:
        self._spool = _Spool()
        self._contexts = array("q")
        self._records = array("q")
        self._sources = array("I")
        self._first: dict[int, int] = {}
        self.hashes: list[str] = []
        self.centralities = array("d")
        self.left: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def close(self) -> None:
        """Close the temporary file."""
        self._spool.close()

    def begin(self, source: int, count: int) -> range:
        """Allocate the numbers of a source's symbols and return them, in the order of their positions."""
        self._first[source] = first = len(self)
        self.left[source] = count
        self._contexts.extend([_NOWHERE] * count)
        self._records.extend([_NOWHERE] * count)
        self._sources.extend([source] * count)
        self.centralities.extend([0.0] * count)
        self.hashes += [""] * count
        return range(first, first + count)

    def put(self, number: int, symbol: Symbol, content_hash: str) -> None:
        """Store a symbol's context, without the embedding, which is only needed to find neighbours."""
        text = _contexts.dump_json(symbol.context, exclude={"embedding"}, exclude_defaults=True)
        self._contexts[number] = self._spool.add(text)
        self.centralities[number] = symbol.centrality
        self.hashes[number] = content_hash

    def symbol(self, number: int) -> Symbol:
        """Return a stored symbol, with its position in its source."""
        context = _contexts.validate_json(self._spool.read(self._contexts[number]))
        return Symbol(self.place(number)[1], context)

    def place(self, number: int) -> SymbolRef:
        """Return a symbol's source and its position there."""
        source = self._sources[number]
        return source, number - self._first[source]

    def number(self, place: SymbolRef) -> int | None:
        """Return the number of the symbol at a place, or None where its source has no such symbol here."""
        source, position = place
        first = self._first.get(source)
        number = None if first is None else first + position
        return number if number is not None and number < len(self) and self._sources[number] == source else None

    def end(self, number: int, record: Mapping[str, Any]) -> None:
        """Store a symbol's final record, which finishes it."""
        if not self.has_ended(number):
            self.left[self._sources[number]] -= 1
        self._records[number] = self._spool.add(as_json(record))

    def has_ended(self, number: int) -> bool:
        """Return whether a symbol has its final record."""
        return self._records[number] != _NOWHERE

    def of(self, source: int) -> range:
        """Return the numbers of a source's symbols."""
        first = self._first[source]
        end = first
        while end < len(self) and self._sources[end] == source:
            end += 1
        return range(first, end)

    def records(self, numbers: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the positions and final records of those symbols that have one."""
        for number in numbers:
            if self.has_ended(number):
                yield self.place(number)[1], json.loads(self._spool.read(self._records[number]))
