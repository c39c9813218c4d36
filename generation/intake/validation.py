"""Find every fault of a payload without running it, as `doctown validate` does.

Checks what a job checks before its first request. Leaves out: what needs the settings or the store (a model without a
key, the object that `symbols_key` names).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Failed
from generation.errors import InputError
from generation.intake.job_input import find_job_faults, unwrapped
from generation.intake.sources import decompressed, read_payload
from generation.intake.symbols import ignored_fields_warning, parse_symbols, replaced_warning


@dataclass(frozen=True)
class Validation:
    """What was found: the number of symbols, a sentence for each fault, and warnings, which are no faults."""

    symbols: int = 0
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def validate_payload(file: BinaryIO, name: str) -> Validation:
    """Return every fault of the payload in a file, of any form that a job accepts; sentences begin with `name`."""
    try:
        with decompressed(file, name) as plain:
            payload = read_payload(plain, name)
    except InputError as error:
        return Validation(faults=[str(error)])
    _, faults = find_job_faults(payload, "job")
    payload = unwrapped(payload)
    symbols = payload.get("symbols") if isinstance(payload, dict) else payload
    if not isinstance(symbols, list):
        unread = ["the symbols are read from symbols_key when the job runs: they were not checked"]
        return Validation(faults=faults, warnings=[] if faults else unread)
    if not symbols:
        return Validation(faults=[*faults, "symbols is empty: there is nothing to document"])
    ignored_fields: set[str] = set()
    replaced: list[str] = []
    parsed = parse_symbols(symbols, ignored_fields, max_faults=sys.maxsize, replaced=replaced)
    faults += [fault for one in parsed if isinstance(one, Failed) for fault in one.message.split("; ")]
    warnings = [*ignored_fields_warning(ignored_fields), *replaced_warning(replaced), *_too_many(len(symbols))]
    return Validation(len(symbols), faults, warnings)


def _too_many(count: int) -> Iterator[str]:
    if count > MAX_JOB_SYMBOLS:
        advice = "handler.py and doctown-bulk divide such a file into several jobs"
        yield f"{count:,} symbols are more than one job takes ({MAX_JOB_SYMBOLS:,}): {advice}"
