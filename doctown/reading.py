"""Reads the files of a checkout a second time, for what the analysis does not keep: sources, hashes, places in bytes.

The only part of a build after the analysis that touches the source. Leaves out what is made of it (`assembly`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from doctown.analysis import AnalysedFile, Analysis, analyse
from doctown.assembly.description import description_of
from doctown.assembly.records import Content, licence_of, spans
from doctown.assembly.source_text import Nesting, prompt_source
from doctown.docpack import is_file_path, source_hash
from doctown.docpack.compare import CurrentFile
from doctown.docpack.schema import Span
from doctown.embedding import embedding_text
from doctown.errors import SourceError
from doctown.parsing.cache import Cache
from doctown.repository import Checkout, Selection, decode, read_text
from doctown.repository.text import open_file

COPY_BYTES = 1 << 20
NO_BYTES = Content(0, 0, hashlib.sha256(b"").hexdigest())


@dataclass(frozen=True)
class Sources:
    """By symbol id: what prompts show, the texts that are embedded, hashes of sources, and places; by path: contents.

    `contents` are those of the files that were skipped before they were read.
    """

    prompt: dict[str, str] = field(default_factory=dict)
    embedded: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    contents: Mapping[str, Content] = field(default_factory=dict)


def read_sources(
    checkout: Checkout, analysis: Analysis, documented: Collection[str], embedded: Collection[str]
) -> Sources:
    """Read all files once more; `documented` and `embedded` are ids. Raise SourceError where one has changed."""
    written = {file.path: file for file in analysis.files}
    packed = [file.path for file in analysis.files if is_file_path(file.path)]
    places = {path: place for place, path in enumerate(packed)}
    found = Sources(contents=_contents_of_skipped(checkout.root, analysis.files))
    for file, ids in zip(analysis.graph.files, analysis.graph.symbol_ids, strict=True):
        text = _text(checkout.root, written[file.path])
        nesting = Nesting(file)
        for symbol_id, symbol in zip(ids, file.symbols, strict=True):
            if symbol_id not in documented and symbol_id not in embedded:
                continue
            source = text[symbol.start_byte : symbol.end_byte]
            found.hashes[symbol_id] = source_hash(source)
            if symbol_id in documented:
                found.prompt[symbol_id] = prompt_source(text, symbol, nesting, file.language)
            if symbol_id in embedded:
                body = source.decode("utf-8", "replace")
                found.embedded[symbol_id] = embedding_text(
                    symbol.qualified_name, symbol.signature, symbol.docstring, body
                )
        if file.path in places:
            found.spans.update(spans(file, ids, places[file.path], text, written[file.path]))
    return found


def read_current(checkout: Checkout, selection: Selection, cache: Cache | None) -> list[CurrentFile]:
    """Return the files of a source as it is, with the hashes of their symbols, to compare a pack with."""
    analysis = analyse(checkout, selection, cache=cache)
    records = dict(zip((file.path for file in analysis.graph.files), analysis.graph.symbol_ids, strict=True))
    every = frozenset(symbol_id for ids in records.values() for symbol_id in ids)
    sources = read_sources(checkout, analysis, every, frozenset())
    current = []
    for file in analysis.files:
        content = sources.contents.get(file.path)
        ids = records.get(file.path)
        sha256 = file.sha256 or (content.sha256 if content is not None else "")
        symbols = None if ids is None else {symbol_id: sources.hashes[symbol_id] for symbol_id in ids}
        current.append(CurrentFile(file.path, sha256, symbols))
    return current


def read_licence(checkout: Checkout) -> str | None:
    """Return the SPDX identifier of the repository's licence, where it is known."""
    if checkout.licence_file is None:
        return None
    decoded = read_text(checkout.root / checkout.licence_file)
    return None if isinstance(decoded, str) else licence_of(decoded.text.decode("utf-8", "replace"))


def read_description(checkout: Checkout) -> str | None:
    """Return what the repository says of itself in its README, if it has one."""
    if checkout.readme_file is None:
        return None
    decoded = read_text(checkout.root / checkout.readme_file)
    if isinstance(decoded, str):
        return None
    return description_of(checkout.readme_file, decoded.text.decode("utf-8", "replace"))


def _text(root: Path, file: AnalysedFile) -> bytes:
    """Return a file's text as UTF-8, as it was parsed."""
    changed = f"The file {file.path!a} has changed while the source was read: build again when nothing writes to it"
    try:
        with open_file(root / file.path) as opened:
            data = opened.read()
    except OSError:
        raise SourceError(changed) from None
    decoded = decode(data)
    if isinstance(decoded, str) or hashlib.sha256(data).hexdigest() != file.sha256:
        raise SourceError(changed)
    return decoded.text


def _contents_of_skipped(root: Path, files: Sequence[AnalysedFile]) -> dict[str, Content]:
    return {file.path: _content(root / file.path) for file in files if file.sha256 is None and is_file_path(file.path)}


def _content(path: Path) -> Content:
    """Return what is known of a file without reading it as text; nothing of what is no regular file."""
    digest, size_bytes, lines, last = hashlib.sha256(), 0, 0, b"\n"
    try:
        with open_file(path) as opened:
            while block := opened.read(COPY_BYTES):
                digest.update(block)
                size_bytes += len(block)
                lines += block.count(b"\n")
                last = block[-1:]
    except OSError:
        return NO_BYTES
    return Content(size_bytes, lines + (last != b"\n"), digest.hexdigest())
