"""Text as UTF-8 bytes for the parser, whatever encoding a file has.

UTF-8 (its byte order mark removed), UTF-16 with a byte order mark, and else Latin-1, if the file looks like text.
Line ends stay as they are. Byte offsets in `Decoded.text` are offsets in the file only where `encoding` is "utf-8"; for
"utf-8-sig" they are three less, and for the others they hold in the decoded text alone. Lines are the same in each.
"""

from __future__ import annotations

import codecs
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

MAX_FILE_BYTES = 1_000_000

BINARY: Final = "binary"
UNREADABLE: Final = "unreadable"
SYMBOLIC_LINK: Final = "symbolic link"
NOT_A_FILE: Final = "not a regular file"
MISSING: Final = "not in the work tree"

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Controls that text has: backspace to carriage return, the end-of-file mark of DOS, and escape.
_CONTROLS = bytes(code for code in (*range(8), *range(14, 32), 127) if code not in {0x1A, 0x1B})
_C1_CONTROLS = bytes(range(0x80, 0xA0))


@dataclass(frozen=True)
class Decoded:
    """A file's text as UTF-8, and the encoding it had: utf-8, utf-8-sig, utf-16, latin-1 or cp1252."""

    text: bytes
    encoding: str


def too_large(max_bytes: int) -> str:
    """Return the reason for which a file over `max_bytes` is skipped."""
    return f"over {max_bytes // 1_000_000} MB" if max_bytes % 1_000_000 == 0 else f"over {max_bytes:,} bytes"


def read_text(path: Path, max_bytes: int = MAX_FILE_BYTES) -> Decoded | str:
    """Return a file's text, or the reason why there is none. A symbolic link is not followed."""
    try:
        with open_file(path) as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        return MISSING
    except IsADirectoryError:
        return NOT_A_FILE
    except OSError:
        return SYMBOLIC_LINK if path.is_symlink() else UNREADABLE
    return too_large(max_bytes) if len(data) > max_bytes else decode(data)


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file for reading, never through a link at its end. Raises OSError."""
    # O_NONBLOCK: opening a named pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError
    return os.fdopen(descriptor, "rb")


def decode(data: bytes) -> Decoded | str:
    """Return a text as UTF-8, or the reason why the bytes are none."""
    if data.startswith(_UTF16_MARKS):
        return _decode_utf16(data)
    if b"\0" in data:
        return BINARY
    marked = data.startswith(codecs.BOM_UTF8)
    text = data[len(codecs.BOM_UTF8) :] if marked else data
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_latin1(data)
    return Decoded(text, "utf-8-sig" if marked else "utf-8")


def decode_head(head: bytes) -> Decoded | str:
    """Return the text of a file's first bytes, whose last character may be cut, or the reason why they are none."""
    if head.startswith(_UTF16_MARKS):
        head = head[: len(head) // 2 * 2]
        # A high surrogate at the end has lost its other half.
        code = int.from_bytes(head[-2:], "little" if head.startswith(codecs.BOM_UTF16_LE) else "big")
        return _decode_utf16(head[:-2] if 0xD800 <= code < 0xDC00 else head)  # noqa: PLR2004 - Unicode's ranges
    for cut in range(4):
        decoded = decode(head[: len(head) - cut])
        if isinstance(decoded, str) or decoded.encoding.startswith("utf-8"):
            return decoded
    return decode(head)


def _decode_utf16(data: bytes) -> Decoded | str:
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError:
        return BINARY
    return BINARY if "\0" in text else Decoded(text.encode(), "utf-16")


def _decode_latin1(data: bytes) -> Decoded | str:
    if len(data.translate(None, _CONTROLS)) != len(data):
        return BINARY
    if len(data.translate(None, _C1_CONTROLS)) != len(data):
        # Latin-1 has controls here that no text uses, Windows has quotation marks.
        try:
            return Decoded(data.decode("cp1252").encode(), "cp1252")
        except UnicodeDecodeError:
            pass
    return Decoded(data.decode("latin-1").encode(), "latin-1")
