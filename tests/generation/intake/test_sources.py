"""Objects of the results store as inputs: each form, and what is said of bytes that are of none."""

from __future__ import annotations

import gzip
import io
import json
import resource
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InputError, StorageError
from generation.intake import sources
from generation.intake.job_input import parse_job
from generation.intake.sources import decompressed, read_items, read_payload
from generation.intake.symbols import UnreadableLine, read_symbols
from tests.support.contexts import payload

SYMBOLS = payload(3)["symbols"]
LINES = b"\n".join(json.dumps(one).encode() for one in SYMBOLS)

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text().filter(lambda key: key not in {"symbols", "input"}), VALUES, max_size=4)


def read(body: bytes) -> list[Any]:
    with decompressed(io.BytesIO(body), "results/in.json") as plain:
        return list(read_items(plain, "results/in.json"))


def refusal(body: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(body)
    return str(caught.value)


FORMS = {
    "input": json.dumps({"symbols": SYMBOLS}).encode(),
    "input with other keys": json.dumps({"job_id": "j", "symbols": SYMBOLS}, indent=2).encode(),
    "request to RunPod": json.dumps({"id": "r", "input": {"symbols": SYMBOLS}}).encode(),
    "request over lines": json.dumps({"input": {"symbols": SYMBOLS}}, indent=2).encode(),
    "list": json.dumps(SYMBOLS).encode(),
    "input after a byte order mark": b"\xef\xbb\xbf" + json.dumps({"symbols": SYMBOLS}).encode(),
    "list over lines": json.dumps(SYMBOLS, indent=1).encode(),
    "lines": LINES,
    "lines with an end": LINES + b"\n",
    "lines of another system": LINES.replace(b"\n", b"\r\n") + b"\r\n",
    "lines with gaps": b"\n\n" + LINES.replace(b"\n", b"\n \n\t\n"),
    "lines after a byte order mark": b"\xef\xbb\xbf" + LINES,
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_every_form_gives_the_same_symbols(body: bytes, *, packed: bool) -> None:
    """An input, a list and a symbol a line hold the same symbols in the same order, packed or not."""
    sent = gzip.compress(body) if packed else body
    assert read(sent) == SYMBOLS
    with decompressed(io.BytesIO(sent), "the body") as plain:
        assert parse_job(read_payload(plain, "the body"), "job").symbols == SYMBOLS


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"symbols": [\n {"name": "\xc3\xa9", x', "line 2, column 16"),
        (b'{"symbols": "\n\n\xff"}', "line 3, column 1 is where it goes wrong: it is not UTF-8"),
        (b"", "line 1, column 1"),
    ],
    ids=["syntax", "bytes", "nothing"],
)
def test_a_fault_of_json_has_its_line_and_column(body: bytes, place: str) -> None:
    """The place is counted in characters, as an editor shows it."""
    assert place in refusal(body)


def test_a_fault_in_a_line_has_its_column_and_the_line_of_the_file() -> None:
    """A broken line of JSON Lines is named by its number in the file and the column in it."""
    items = read(LINES + b'\n\n{"symbol_id": "a", x}')
    assert items[-1].reason == "(line 5) is not JSON: line 5, column 20 is where it goes wrong"


@given(st.lists(OBJECTS, min_size=2, max_size=5), st.booleans())
def test_no_symbol_is_lost_or_changed_by_its_form(symbols: list[dict[str, Any]], plain: bool) -> None:
    """Whatever objects are written as lines, as a list or as an input, those are read, one for one.

    One object alone is a symbol only if it looks like one: it may as well be an input without its symbols.
    """
    lines = "\n".join(json.dumps(one, ensure_ascii=plain) for one in symbols)
    encoded = [text.encode("utf-8", "surrogatepass") for text in (lines, json.dumps(symbols))]

    assert [read(body) for body in encoded] == [symbols, symbols]
    assert read(json.dumps({"symbols": symbols}).encode()) == symbols


@pytest.mark.parametrize("broken", [b'{"symbol_id": "a', b"not JSON", b'{"a": "\xff"}', b"}{", b"\x00"])
def test_a_line_that_is_no_json_is_one_symbol(broken: bytes) -> None:
    """A broken line stands in its own place, with its number as an editor counts, and the others are read."""
    first, second, third = LINES.split(b"\n")

    items = read(b"\n".join([first, b"", broken, second, third]))

    assert [items[0], *items[2:]] == SYMBOLS
    assert isinstance(items[1], UnreadableLine)
    assert "(line 3)" in items[1].reason


@pytest.mark.parametrize("broken", [b'{"symbol_id": "a', b"not JSON", b"null", b"[]"])
def test_the_first_line_is_no_different(broken: bytes) -> None:
    """A broken line at the beginning costs its own symbol and not the job."""
    items = read(broken + b"\n" + LINES)

    assert items[1:] == SYMBOLS


@pytest.mark.parametrize("form", ["input", "lines"])
def test_an_integer_of_any_length_fails_its_symbol_by_place(form: str) -> None:
    """A number of 5,000 digits, which Python does not convert, is refused by its place alone."""
    digits = "9" * 5_000
    facts = '{"symbol_id": "a", "name": "a", "kind": "f", "language": "p", "file_path": "a.py", "centrality": %s}'
    lines = [f'{{"symbol_id": "a", "context": {facts % number}}}' for number in (digits, "0.5")]
    body = f'{{"symbols": [{", ".join(lines)}]}}' if form == "input" else "\n".join(lines)

    parsed = read_symbols(read(body.encode()))

    assert [one.message for one in parsed.failed] == ["symbols[0].context.centrality must be a finite number"]
    assert [one.centrality for one in parsed.symbols] == [0.5]


def test_a_line_is_read_when_it_is_asked_for() -> None:
    """Lines are read one by one: a long object is not held twice."""
    assert next(iter(read_items(io.BytesIO(LINES), "k"))) == SYMBOLS[0]


BODIES_OF_NO_FORM = [
    pytest.param(b"", "neither JSON nor JSON Lines", id="nothing"),
    pytest.param(b" \n\n ", "neither JSON nor JSON Lines", id="blanks"),
    pytest.param(b"planted", "neither JSON nor JSON Lines", id="text"),
    pytest.param(b'{"symbols": [', "neither JSON nor JSON Lines", id="half an object"),
    pytest.param(b"\xff\xfe\x00planted", "neither JSON nor JSON Lines", id="bytes"),
    pytest.param(b'{"documented_symbols": [{"summary": "planted"}]}', "holds results, not symbols", id="results"),
    pytest.param(b'"planted"', "must hold a list of symbols", id="a text"),
    pytest.param(b"17", "must hold a list of symbols", id="a number"),
    pytest.param(b"null", "must hold a list of symbols", id="null"),
    pytest.param(b'{"symbols": {"a": "planted"}}', "must hold a list of symbols", id="symbols that are no list"),
    pytest.param(b'{"symbols": null}', "must hold a list of symbols", id="no symbols"),
    pytest.param(gzip.compress(LINES)[:-9], "not whole gzip", id="half a gzip"),
    pytest.param(gzip.compress(LINES) + b"planted", "not whole gzip", id="more than a gzip"),
    pytest.param(b"\x1f\x8bplanted", "not whole gzip", id="the beginning of a gzip"),
    pytest.param(gzip.compress(b""), "neither JSON nor JSON Lines", id="an empty gzip"),
]


@pytest.mark.parametrize(("body", "says"), BODIES_OF_NO_FORM)
def test_bytes_of_no_form_are_refused_by_their_key(body: bytes, says: str) -> None:
    """What is of no form is refused in a sentence that names the key and quotes nothing of the bytes."""
    said = refusal(body)

    assert says in said
    assert "results/in.json" in said
    assert "planted" not in said


def test_json_that_is_nested_without_end_is_refused_too() -> None:
    """JSON that is too deep for Python to read is of no form that can be read, and no fault of the worker."""
    assert "neither JSON nor JSON Lines" in refusal(b"[" * 200_000)


def test_a_line_that_is_nested_without_end_is_one_symbol() -> None:
    """... and on a line of its own it costs its own symbol."""
    items = read(LINES + b"\n" + b'{"a":' * 200_000)

    assert items[:3] == SYMBOLS
    assert isinstance(items[3], UnreadableLine)


@pytest.mark.parametrize(("most", "fits"), [(len(LINES), True), (len(LINES) - 1, False)])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_object_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, most: int, *, fits: bool, packed: bool
) -> None:
    """An object of more than the limit, packed or not, is refused before it fills the memory."""
    monkeypatch.setattr(sources, "MAX_SOURCE_BYTES", most)
    body = gzip.compress(LINES) if packed else LINES

    if fits:
        assert read(body) == SYMBOLS
    else:
        assert f"more than {most} bytes" in refusal(body).replace("larger", "more")


def test_a_document_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document on one line, as most programs write JSON, is parsed once."""
    parse, parsed = json.loads, []

    def counted(text: str, **options: Any) -> Any:
        parsed.append(text)
        return parse(text, **options)

    monkeypatch.setattr(json, "loads", counted)
    body = json.dumps({"symbols": SYMBOLS}).encode() + b"\n"

    assert read(body) == SYMBOLS
    assert parsed == [body.decode()]


def test_a_disk_without_room_for_what_is_unpacked_is_not_the_callers_fault() -> None:
    """Where the disk cannot take what a gzip unpacks to, the error is the machine's, and names the key."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    packed = gzip.compress(b"x" * 5_000_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(StorageError, match=r"results/in.json.* disk \(File too large\)"):
            read(packed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
