"""Rows of a batch: what is asked of a symbol, what its answer says, and whether it is asked again. Pure.

A symbol's row is the live worker's request for it alone, without its callees' summaries: a batch has no order. The
answers to a symbol so far are its `SymbolState`, and `next_state` decides what follows from them. Leaves out: files
and batches (`api`), and where answers are stored (`store`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from generation.bulk.engines.batch.api import ENDPOINT
from generation.bulk.engines.outcomes import CAP_REACHED, FATAL
from generation.config import Settings
from generation.domain.catalogue import Pricing, shutdown_advice
from generation.domain.finding import Findings
from generation.domain.outcome import Documented, Failed, Outcome, Symbol
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import DoctownError, JobError, Refusal, RequestError, SlowDown, Transient, meaning_of
from generation.model.codec import (
    Summary,
    first_completion_cap,
    larger_cap,
    read_answer,
    request_body,
    request_parameters,
    shorter_share,
)
from generation.model.documenter import better
from generation.prompts.builder import PromptBuilder
from generation.prompts.formats import ONE_SUMMARY
from generation.prompts.tokens import TokenCounter

# These pass, and cost an attempt.
TRANSIENT = frozenset({"bad_answer", "timeout", "connection", "server_error"})
_HASH_CHARS = 12


class Row(NamedTuple):
    """A question: the symbol's source and its position there, and how many times it was asked before."""

    source: int
    position: int
    turn: int

    def custom_id(self, run_name: str, content_hash: str) -> str:
        """The row's id: an answer that comes after the symbol has changed is none to it.

        >>> Row(0, 17, 1).custom_id("all-of-it", "1f0e9e0c6a4d5b7f8c3d2e1a0b9c8d7e")
        'all-of-it/0/17/1/1f0e9e0c6a4d'
        """
        return f"{run_name}/{self.source}/{self.position}/{self.turn}/{content_hash[:_HASH_CHARS]}"


def batch_settings(settings: Settings) -> Settings:
    """The settings under which a batch asks: of a symbol alone, and of nothing that other symbols must be there for."""
    return settings.model_copy(update={"batch_mode": False, "callees_first": False, "include_semantic_context": False})


def batch_pricing(pricing: Pricing) -> Pricing:
    """What the Batch API takes for tokens of these prices: half."""
    return Pricing(pricing.input_per_1m / 2, pricing.cached_input_per_1m / 2, pricing.output_per_1m / 2)


@dataclass(frozen=True, slots=True)
class SymbolState:
    """What has come of a symbol so far; with an `outcome` it is not asked any more. `usage` is all it has cost.

    `reason` says why its next answer must be another than its `fallback`.
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


def next_state(standing: SymbolState, answer: Outcome, max_retries: int) -> SymbolState:
    """How a symbol stands after one more answer, whose `usage` is its own: the live worker's remedies, a row each.

    A fault of the account is no answer: the symbol stands as before, but for what was paid.
    """
    now = replace(standing, asked=standing.asked + 1, usage=standing.usage + answer.usage)
    return (
        _next_after_summary(now, answer)
        if isinstance(answer, Documented)
        else _next_after_failure(now, answer, max_retries)
    )


def _next_after_summary(now: SymbolState, answer: Documented) -> SymbolState:
    if now.fallback is not None:
        return _ended(now, better(answer, now.fallback))
    if hard := answer.checks.hard if answer.checks else ():
        return replace(now, reason=" ".join(finding.reason for finding in hard), fallback=answer)
    return _ended(now, answer)


def _next_after_failure(now: SymbolState, answer: Failed, max_retries: int) -> SymbolState:
    if answer.failure == "answer_cut_off" and not now.was_cut_off:
        return replace(now, was_cut_off=True)
    if answer.failure == "context_too_long" and not now.was_too_long:
        return replace(now, was_too_long=True)
    if answer.failure in TRANSIENT and now.failed_attempts < max_retries:
        return replace(now, failed_attempts=now.failed_attempts + 1)
    return now if answer.failure in FATAL else _ended(now, now.fallback or answer)


def next_after_direct(standing: SymbolState, answer: Outcome) -> SymbolState:
    """How a symbol stands after the live worker has tried all that it can."""
    now = replace(standing, asked=standing.asked + 1, usage=standing.usage + answer.usage)
    is_none = isinstance(answer, Failed) and answer.failure in FATAL | {CAP_REACHED}
    return now if is_none else _ended(now, answer)


def _ended(standing: SymbolState, outcome: Outcome) -> SymbolState:
    """Only the outcome is looked at from now on: what it took is let go of."""
    return SymbolState(asked=standing.asked, usage=standing.usage, outcome=replace(outcome, usage=standing.usage))


class RowWriter:
    """Writes the rows of one run."""

    def __init__(self, run_name: str, settings: Settings, counter: TokenCounter) -> None:
        self._run_name = run_name
        self._settings = settings
        self._prompts = PromptBuilder(counter, settings.max_prompt_tokens, settings.output_language)
        self._parameters = request_parameters(settings)

    def line(self, row: Row, symbol: Symbol, standing: SymbolState, content_hash: str) -> tuple[bytes, Usage]:
        """The line of a row, and what its answer may cost at most."""
        prompt = self._prompts.single(self._prompts.part(symbol.context), standing.reason)
        if standing.was_too_long:
            share = shorter_share(prompt, self._settings)
            prompt = self._prompts.single(self._prompts.part(symbol.context, share=share), standing.reason)
        cap = first_completion_cap(prompt, 1, self._settings)
        if standing.was_cut_off:
            cap = larger_cap(cap, self._settings)
        asked = {
            "custom_id": row.custom_id(self._run_name, content_hash),
            "method": "POST",
            "url": ENDPOINT,
            "body": request_body(prompt, cap, ONE_SUMMARY, self._parameters),
        }
        # In ASCII: a line separator of Unicode inside of a text is no end of a line to any reader.
        return json.dumps(asked).encode() + b"\n", Usage(input_tokens=prompt.tokens, output_tokens=cap)


class _Response(BaseModel):
    status_code: int
    body: Any = None


class _Fault(BaseModel):
    code: str | None = None


class Line(BaseModel):
    """A line of a batch's output or error file."""

    model_config = ConfigDict(hide_input_in_errors=True)

    custom_id: str
    response: _Response | None = None
    error: _Fault | None = None


def read_lines(lines: Iterable[bytes]) -> Iterable[Line]:
    """The lines that are whole; whose is broken has no answer."""
    for line in lines:
        try:
            yield Line.model_validate_json(line)
        except ValidationError:
            continue


Check = Callable[[str, Symbol], Findings]


def judge(line: Line, turn: int, symbol: Symbol, check: Check, settings: Settings) -> Outcome:
    """What a line says of its symbol, with the usage of this row alone."""
    asked = Usage(requests=1, retries=1 if turn else 0)
    try:
        summary, usage = _answer(line, settings)
    except DoctownError as error:
        usage = error.usage if isinstance(error, RequestError) else NO_USAGE
        return failed(symbol, *_failure(error), usage + asked)
    return Documented(symbol.position, symbol.symbol_id, summary, usage + asked, checks=check(summary, symbol))


def _answer(line: Line, settings: Settings) -> tuple[str, Usage]:
    """The summary in a line. Raises what the live worker raises of the same answer."""
    if line.response is None:
        raise Transient("the batch ended before the request was executed", failure="timeout")
    status, body = line.response.status_code, line.response.body
    if status == 200:  # noqa: PLR2004 - HTTP
        answer, usage = read_answer(json.dumps(body).encode(), Summary)
        return answer.summary, usage
    fault = body.get("error") if isinstance(body, Mapping) else None
    code, message, param = (
        (value if isinstance(value := fault.get(name), str) else None for name in ("code", "message", "param"))
        if isinstance(fault, Mapping)
        else (None, None, None)
    )
    advice = shutdown_advice(settings.model)
    raise meaning_of(Refusal(status, code, message or "", param, None, settings.model_name, advice))


def _failure(error: DoctownError) -> tuple[str, str]:
    """Code and sentence. That the server asked for a slower pace is nothing that a caller could act by."""
    failure = "server_error" if isinstance(error, SlowDown) else getattr(error, "failure", "server_error")
    return str(failure), str(error)


def failed(symbol: Symbol, failure: str, message: str, usage: Usage = NO_USAGE) -> Failed:
    """The symbol without a summary."""
    return Failed(symbol.position, symbol.symbol_id, symbol.context.file_path, failure, message, usage)


def fault_of(answer: Outcome) -> JobError | None:
    """The fault of the account or the model that an answer tells of: whatever is asked next would end the same way."""
    if isinstance(answer, Failed) and answer.failure in FATAL:
        return JobError(answer.message, answer.failure)
    return None
