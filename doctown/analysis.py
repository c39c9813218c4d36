"""The first half of a build: from a checkout to the records of its files and the graph between their symbols.

`analyse` selects the files, parses them in worker processes, and resolves what they refer to. Each file of the checkout
is in the result: parsed, partial (it has syntax errors), or skipped with a reason. Records and graphs that the cache
has are not computed again.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from doctown.errors import SourceError
from doctown.graph import codec as graph_codec
from doctown.graph.model import Graph
from doctown.graph.modules import ProjectConfig
from doctown.graph.resolve import resolve
from doctown.machine import collector_paused
from doctown.parsing import codec
from doctown.parsing.cache import Cache, graph_key, record_key
from doctown.parsing.detect import detect_language, language_of_headers
from doctown.parsing.languages import LANGUAGES
from doctown.parsing.pool import EXTRACTOR, Limits, Parsed, SourceFile, parse_files
from doctown.parsing.records import FileRecord
from doctown.repository import Checkout, Decoded, Selection, decode, select_files
from doctown.repository.selection import SourceFile as ListedFile
from doctown.repository.text import UNREADABLE, open_file

NO_LANGUAGE = "not in a language that is parsed"
_MANIFEST_NAMES = frozenset({"package.json", "go.mod", "Cargo.toml", "pyproject.toml", "jsconfig.json", "pom.xml"})
_MANIFEST_ENDINGS = (".csproj", ".props")
_MAX_REASONS = 3  # that an error names

Progress = Callable[[str, int, int], None]  # step ("parse", "resolve"), files done, files in all


@dataclass(frozen=True)
class AnalysedFile:
    """A file of the repository and what became of it.

    `language`, `encoding` (see `doctown.repository.text`), `lines` and `sha256` (of the bytes on the disk) are None for
    a file that was not read or is not text.
    """

    path: str
    language: str | None
    size_bytes: int
    lines: int | None
    sha256: str | None
    encoding: str | None
    status: Literal["parsed", "partial", "skipped"]
    reason: str | None
    is_test: bool


@dataclass(frozen=True)
class Analysis:
    """All files in the order of their paths, and the graph of those that were parsed (`graph.files`: their records).

    `from_cache` is how many of the records the cache had.
    """

    files: tuple[AnalysedFile, ...]
    graph: Graph
    from_cache: int = field(default=0, compare=False)


def analyse(  # noqa: PLR0913 - what to read, and how, all named
    checkout: Checkout,
    selection: Selection,
    *,
    cache: Cache | None = None,
    progress: Progress = lambda _step, _done, _total: None,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    extractor: str = EXTRACTOR,
) -> Analysis:
    """Return the files, records and graph of a checkout.

    Raises SourceError where there is nothing to parse, and DoctownError where files cannot be parsed at all.
    """
    with collector_paused():
        listed = select_files(checkout, selection)
        reading = _Reading(checkout.root, listed, cache, progress)
        parse_files(reading.files_to_parse(), reading.take, limits=limits, extractor=extractor)
        files = tuple(reading.analysed(file) for file in listed)
        _check_any_parsed(files)
        progress("resolve", len(listed), len(listed))
        graph = _graph(reading, cache)
        if cache is not None:
            cache.prune()
    return Analysis(files, graph, reading.from_cache)


class _Content(NamedTuple):
    """What is known of a file that was read."""

    language: str | None
    lines: int
    sha256: str
    encoding: str


class _Reading:
    """Reads the selected files and collects their records, from the cache or as they are parsed."""

    def __init__(self, root: Path, listed: Sequence[ListedFile], cache: Cache | None, progress: Progress) -> None:
        self._root, self._listed, self._cache, self._progress = root, listed, cache, progress
        self._selected = [file for file in listed if file.status == "selected"]
        self._header_language = language_of_headers(file.path for file in self._selected)
        self._contents: dict[str, _Content] = {}
        self._reasons: dict[str, str] = {}
        self._records: dict[str, FileRecord] = {}
        self.keys: dict[str, str] = {}  # of the records in the cache
        self.from_cache = 0
        self.manifests: dict[str, str] = {}

    def files_to_parse(self) -> Iterator[SourceFile]:
        """Read all selected files, the largest first, and yield those whose records are not in the cache."""
        for file in sorted(self._selected, key=lambda file: (-file.size_bytes, file.path)):
            decoded = self._read(file.path)
            language = self._contents[file.path].language if decoded is not None else None
            if decoded is None or language is None:
                self._reasons.setdefault(file.path, NO_LANGUAGE)
                continue
            self.keys[file.path] = key = record_key(file.path, language, decoded.text)
            entry = self._cache.load(key) if self._cache is not None else None
            if entry is None:
                yield SourceFile(file.path, language, decoded.text)
            else:
                self.from_cache += 1
                self._add(codec.decode(entry))

    def take(self, parsed: Parsed) -> None:
        """Keep what came of a file that was parsed."""
        if parsed.record is None:
            self._reasons[parsed.path] = parsed.reason or ""
            return
        if self._cache is not None:
            self._cache.store(self.keys[parsed.path], parsed.encoded)
        self._add(parsed.record)

    def analysed(self, file: ListedFile) -> AnalysedFile:
        """Return what became of a file."""
        language, lines, sha256, encoding = self._contents.get(file.path, (None, None, None, None))
        record = self._records.get(file.path)
        status: Literal["parsed", "partial", "skipped"] = "skipped"
        if record is not None:
            status = "partial" if record.partial else "parsed"
        reason = file.reason or self._reasons.get(file.path)
        size_bytes, is_test = file.size_bytes, file.is_test
        return AnalysedFile(file.path, language, size_bytes, lines, sha256, encoding, status, reason, is_test)

    def records(self) -> list[FileRecord]:
        """Return all records in the order of their paths."""
        return [self._records[path] for path in sorted(self._records)]

    def _add(self, record: FileRecord) -> None:
        self._records[record.path] = record
        self._progress("parse", len(self._records) + len(self._reasons), len(self._selected))

    def _read(self, path: str) -> Decoded | None:
        """Return a file's text and note what is known of it, or note why there is none."""
        try:
            with open_file(self._root / path) as file:
                data = file.read()
        except OSError:
            self._reasons[path] = UNREADABLE
            return None
        decoded = decode(data)
        if isinstance(decoded, str):
            self._reasons[path] = decoded
            return None
        text = decoded.text
        lines = text.count(b"\n") + (not text.endswith(b"\n")) if text else 0
        language = detect_language(path, text, self._header_language)
        self._contents[path] = _Content(language, lines, hashlib.sha256(data).hexdigest(), decoded.encoding)
        if _is_manifest(path):
            self.manifests[path] = text.decode("utf-8", "replace")
        return decoded


def _graph(reading: _Reading, cache: Cache | None) -> Graph:
    records = reading.records()
    key = graph_key((reading.keys[record.path] for record in records), reading.manifests)
    entry = cache.load(key) if cache is not None else None
    if entry is not None:
        return graph_codec.decode(entry, records)
    graph = resolve(records, ProjectConfig(reading.manifests))
    if cache is not None:
        cache.store(key, graph_codec.encode(graph))
    return graph


def _is_manifest(path: str) -> bool:
    name = PurePosixPath(path).name
    is_typescript = name.startswith("tsconfig") and name.endswith(".json")
    return name in _MANIFEST_NAMES or is_typescript or name.endswith(_MANIFEST_ENDINGS)


def _check_any_parsed(files: Sequence[AnalysedFile]) -> None:
    """Raise SourceError where no file was parsed, and say why."""
    if not files:
        raise SourceError("The source has no files: give one that has")
    if any(file.status != "skipped" for file in files):
        return
    reasons = Counter(file.reason for file in files).most_common(_MAX_REASONS)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons)
    languages = ", ".join(dict.fromkeys(row.name for row in LANGUAGES))
    raise SourceError(f"None of the source's files can be parsed ({why}): give one with files in {languages}")
