"""Text of every encoding as UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctown.repository import Decoded, decode, read_text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Decoded(b"", "utf-8")),
        (b"a\r\nb\rc\n", Decoded(b"a\r\nb\rc\n", "utf-8")),
        ("é日".encode(), Decoded("é日".encode(), "utf-8")),
        ("\ufeffé".encode(), Decoded("é".encode(), "utf-8-sig")),
        ("é\r\n😀".encode("utf-16"), Decoded("é\r\n😀".encode(), "utf-16")),
        (b"\xfe\xff\x00a\x00\n", Decoded(b"a\n", "utf-16")),
        (b"caf\xe9\n", Decoded("café\n".encode(), "latin-1")),
        (b"\x93caf\xe9\x94", Decoded("“café”".encode(), "cp1252")),
        (b"\x81\xe9", Decoded("\x81é".encode(), "latin-1")),
        (b"\xef\xbb\xbfcaf\xe9", Decoded("ï»¿café".encode(), "latin-1")),
        (b"a\0b", "binary"),
        ("a\0b".encode("utf-16"), "binary"),
        (b"\xff\xfea", "binary"),
        (b"\xff\xfe\x00\xd8a\x00", "binary"),
        (b"\xe9\x01", "binary"),
        ("a".encode("utf-32"), "binary"),
    ],
    ids=[
        *("empty", "ends", "utf8", "mark", "utf16", "utf16be", "latin1", "cp1252", "undefined", "false-mark"),
        *("nul", "nul16", "odd", "surrogate", "control", "utf32"),
    ],
)
def test_text_is_decoded_by_its_mark_or_its_bytes(data: bytes, expected: Decoded | str) -> None:
    assert decode(data) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_valid_utf8_or_binary(data: bytes) -> None:
    decoded = decode(data)
    assert decoded == "binary" or (isinstance(decoded, Decoded) and "\0" not in decoded.text.decode("utf-8"))


def test_file_is_read_or_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"caf\xe9")
    (tmp_path / "link.py").symlink_to("a.py")
    os.mkfifo(tmp_path / "pipe.py")
    assert read_text(tmp_path / "a.py") == Decoded("café".encode(), "latin-1")
    assert read_text(tmp_path / "a.py", max_bytes=3) == "over 3 bytes"
    assert read_text(tmp_path / "link.py") == "symbolic link"
    assert read_text(tmp_path / "pipe.py") == "not a regular file"
    assert read_text(tmp_path) == "not a regular file"
    assert read_text(tmp_path / "nowhere.py") == "not in the work tree"
