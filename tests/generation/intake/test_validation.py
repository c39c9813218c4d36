"""Every fault of a payload is named, and nothing is run."""

from __future__ import annotations

import io
import json
from typing import Any

from generation.domain import limits
from generation.intake.validation import Validation, validate_payload
from tests.support.contexts import item, payload


def validate(value: Any) -> Validation:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return validate_payload(io.BytesIO(body), "in.json")


def test_a_good_payload_has_no_fault() -> None:
    assert validate(payload(3)) == Validation(3)


def test_every_fault_is_named_of_the_input_and_of_each_symbol() -> None:
    """All faults come at once, also those that a job would not name, since it names three a symbol."""
    wrong = item("wrong", name=1, kind=2, language=3, file_path=4)
    faults = validate({"input": {"symbols": [wrong, None], "options": {"max_symbol": 1}, "more": 1}}).faults

    assert faults == [
        "input.options.max_symbol is not a key that is known here: did you mean max_symbols?",
        "input.more is not a key that is known here",
        *(f"symbols[0].context.{name} must be a text" for name in ("name", "kind", "language", "file_path")),
        "symbols[1] must be an object with symbol_id and context",
    ]


def test_what_is_no_payload_is_one_fault() -> None:
    """What cannot be read, or holds nothing, is a fault and no error."""
    assert validate(b'{"symbols": [').faults == [
        "in.json is neither JSON nor JSON Lines: line 1, column 14 is where it goes wrong"
    ]
    assert validate(3).faults == ["input must be an object with symbols or symbols_key, or a list of symbols"]
    assert validate([]).faults == ["symbols is empty: there is nothing to document"]


def test_warnings_are_no_faults() -> None:
    """Fields that are not known, and symbols that are elsewhere, are warned of."""
    extra = item("extra", more=1)
    assert validate([extra]) == Validation(1, [], ["context fields that are not known here were ignored: more"])
    assert validate({"symbols_key": "in.json"}).warnings[0].startswith("the symbols are read from symbols_key")
    many = validate([None] * (limits.MAX_JOB_SYMBOLS + 1))
    assert many.warnings[-1].startswith("50,001 symbols are more than one job takes (50,000)")
