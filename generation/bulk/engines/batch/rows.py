"""The rows of a batch: how a symbol's request is written, how its answer is read, and whether it is repeated. Pure.

A row is the request that a normal job would make for the symbol alone, without summaries of its callees, since the rows
of a batch are processed in no particular order. The answers so far make up a symbol's `SymbolState`, and `next_state`
is the transition function. Files and batches are handled in `api`, and answers are stored in `store`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from generation.bulk.engines.batch.api import ENDPOINT
from generation.bulk.engines.outcomes import CAP_REACHED, FATAL
from generation.config import Settings
from generation.domain.bookkeeping import as_object, count_in, parse_json
from generation.domain.catalogue import Pricing
from generation.domain.outcome import Documented, Failed, Outcome, Symbol
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import DoctownError, JobError, RequestError, SlowDown, Transient, meaning_of
from generation.model.codec import (
    OK,
    Summary,
    first_completion_cap,
    is_error_of_api,
    larger_cap,
    read_answer,
    read_refusal,
    request_body,
    request_parameters,
    shorter_share,
)
from generation.model.window import default_window
from generation.offline.summaries import reject
from generation.prompts.builder import PromptBuilder
from generation.prompts.formats import ONE_SUMMARY
from generation.prompts.tokens import TokenCounter
from generation.repairs import Review

# Transient failures: the row is repeated, up to max_retries times.
TRANSIENT = frozenset({"bad_answer", "timeout", "connection", "server_error"})
_HASH_CHARS = 12


class Row(NamedTuple):
    """A request: the symbol's source, its position there, and the number of requests for it before this one."""

    source: int
    position: int
    turn: int

    def custom_id(self, run_name: str, content_hash: str) -> str:
        """Return the row's id, with a prefix of the content hash: answers to an earlier version do not match it.

        >>> Row(0, 17, 1).custom_id("all-of-it", "1f0e9e0c6a4d5b7f8c3d2e1a0b9c8d7e")
        'all-of-it/0/17/1/1f0e9e0c6a4d'
        """
        return f"{run_name}/{self.source}/{self.position}/{self.turn}/{content_hash[:_HASH_CHARS]}"


def batch_settings(settings: Settings) -> Settings:
    """Return the settings for a batch: one symbol per request, and nothing that depends on other symbols."""
    return settings.model_copy(update={"batch_mode": False, "callees_first": False, "include_semantic_context": False})


def batch_pricing(pricing: Pricing) -> Pricing:
    """Return the Batch API's prices: half of these."""
    return Pricing(pricing.input_per_1m / 2, pricing.cached_input_per_1m / 2, pricing.output_per_1m / 2)


@dataclass(frozen=True, slots=True)
class SymbolState:
    """The answers to a symbol so far. A symbol with an `outcome` is finished.

    `asked` counts its requests and `usage` adds up their cost. `fallback` is the offline summary of a symbol whose
    first answer failed a hard check, and `reason` says what the next answer must do differently.
    """

    asked: int = 0
    failed_attempts: int = 0
    usage: Usage = NO_USAGE
    reason: str = ""
    fallback: Documented | None = None
    was_cut_off: bool = False
    was_too_long: bool = False
    outcome: Outcome | None = None


NEW = SymbolState()


def next_state(state: SymbolState, answer: Outcome, symbol: Symbol, max_retries: int) -> SymbolState:
    """Return a symbol's state after another answer, with the same remedies as a normal job, one row for each.

    The answer's `usage` is that of its row alone. A fault of the account or the model leaves the state as it was,
    except for `asked` and `usage`.
    """
    now = replace(state, asked=state.asked + 1, usage=state.usage + answer.usage)
    return (
        _next_after_summary(now, answer, symbol)
        if isinstance(answer, Documented)
        else _next_after_failure(now, answer, max_retries)
    )


def _next_after_summary(now: SymbolState, answer: Documented, symbol: Symbol) -> SymbolState:
    hard = answer.checks.hard if answer.checks else ()
    if not hard:
        return _ended(now, answer)
    rejected = reject(answer, symbol)
    if now.fallback is not None:
        return _ended(now, rejected)
    return replace(now, reason=" ".join(finding.reason for finding in hard), fallback=rejected)


def _next_after_failure(now: SymbolState, answer: Failed, max_retries: int) -> SymbolState:
    if answer.failure == "answer_cut_off" and not now.was_cut_off:
        return replace(now, was_cut_off=True)
    if answer.failure == "context_too_long" and not now.was_too_long:
        return replace(now, was_too_long=True)
    if answer.failure in TRANSIENT and now.failed_attempts < max_retries:
        return replace(now, failed_attempts=now.failed_attempts + 1)
    return now if answer.failure in FATAL else _ended(now, now.fallback or answer)


def next_after_direct(state: SymbolState, answer: Outcome) -> SymbolState:
    """Return a symbol's state after a direct request, which has already tried every remedy."""
    now = replace(state, asked=state.asked + 1, usage=state.usage + answer.usage)
    is_none = isinstance(answer, Failed) and answer.failure in FATAL | {CAP_REACHED}
    return now if is_none else _ended(now, answer)


def _ended(state: SymbolState, outcome: Outcome) -> SymbolState:
    """Return a finished state, without the fields that are only needed to ask again."""
    return SymbolState(asked=state.asked, usage=state.usage, outcome=replace(outcome, usage=state.usage))


class RowWriter:
    """Serialises the rows of one run."""

    def __init__(self, run_name: str, settings: Settings, counter: TokenCounter) -> None:
        self._run_name = run_name
        self._settings = settings
        self._prompts = PromptBuilder(counter, settings.max_prompt_tokens, settings.output_language)
        self._parameters = request_parameters(settings)
        self._window = default_window(settings)

    def line(self, row: Row, symbol: Symbol, state: SymbolState, content_hash: str) -> tuple[bytes, Usage]:
        """Return the line of a row, and the maximum usage of its answer."""
        prompt = self._prompts.single(self._prompts.part(symbol.context), state.reason)
        if state.was_too_long:
            share = shorter_share(prompt, self._settings)
            prompt = self._prompts.single(self._prompts.part(symbol.context, share=share), state.reason)
        cap = first_completion_cap(prompt, 1, self._settings, self._window)
        if state.was_cut_off:
            cap = larger_cap(prompt, cap, self._settings, self._window)
        asked = {
            "custom_id": row.custom_id(self._run_name, content_hash),
            "method": "POST",
            "url": ENDPOINT,
            "body": request_body(prompt, cap, ONE_SUMMARY, self._parameters),
        }
        # ASCII only: some readers would take a Unicode line separator within a string for the end of the line.
        return json.dumps(asked).encode() + b"\n", Usage(input_tokens=prompt.tokens, output_tokens=cap)


class Line(NamedTuple):
    """One line of a batch's output file or error file; `status` is None where the row was not executed."""

    custom_id: str
    status: int | None
    body: object = None


def read_lines(lines: Iterable[bytes]) -> Iterable[Line]:
    """Yield the lines that have a custom_id; a malformed line counts as unanswered."""
    for line in lines:
        with contextlib.suppress(ValueError):
            fields = as_object(parse_json(line))
            response = fields.get("response")
            if isinstance(custom_id := fields.get("custom_id"), str) and isinstance(response, dict | None):
                yield Line(custom_id, _status(response) if response else None, as_object(response).get("body"))


def _status(response: Mapping[str, Any]) -> int:
    """Return the status of a row's response; without a sensible one, its body says what has happened."""
    status = count_in(response, "status_code")
    return status if status is not None and 100 <= status < 600 else OK  # noqa: PLR2004 - HTTP's statuses


Reviewer = Callable[[str, Symbol], Review]


def judge(line: Line, turn: int, symbol: Symbol, review: Reviewer, settings: Settings) -> Outcome:
    """Return the outcome that a line holds, with the usage of this row alone."""
    asked = Usage(requests=1, retries=1 if turn else 0)
    try:
        summary, usage = _answer(line, settings)
    except DoctownError as error:
        usage = error.usage if isinstance(error, RequestError) else NO_USAGE
        return failed(symbol, *_failure(error), usage + asked)
    found = review(summary, symbol)
    return Documented(
        symbol.position,
        symbol.symbol_id,
        found.summary,
        usage + asked,
        checks=found.findings,
        repairs=found.repairs,
    )


def _answer(line: Line, settings: Settings) -> tuple[str, Usage]:
    """Return the summary in a line and its usage. Raises what a normal request raises for the same answer."""
    if line.status is None:
        raise Transient("the batch ended before the request was executed", failure="timeout")
    if line.status == OK:
        answer, usage = read_answer(line.body, Summary, settings)
        return answer.summary, usage
    raise meaning_of(read_refusal(line.body, line.status, settings, from_api=is_error_of_api(line.body)))


def _failure(error: DoctownError) -> tuple[str, str]:
    """Return the failure code and message. A rate limit becomes a server error, since a user cannot act on it."""
    failure = "server_error" if isinstance(error, SlowDown) else getattr(error, "failure", "server_error")
    return str(failure), str(error)


def failed(symbol: Symbol, failure: str, message: str, usage: Usage = NO_USAGE) -> Failed:
    """Return the outcome of a symbol that has failed."""
    return Failed(symbol.position, symbol.symbol_id, symbol.context.file_path, failure, message, usage)


def fault_of(answer: Outcome) -> JobError | None:
    """Return the fault of the account or the model in an answer, which every request would meet, or None."""
    if isinstance(answer, Failed) and answer.failure in FATAL:
        return JobError(answer.message, answer.failure)
    return None
