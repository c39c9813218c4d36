"""Document the symbols of a request with the model, including retries, and sum up the usage. Imports `openai`.

Adds to the SDK: one client and one limiter per process for each account and model; a strict JSON schema with one
validation; one retry layer (tenacity) in which "slow down" does not count as an attempt; and usage that includes failed
attempts. Leaves out: pacing (`limiter`), and the text of prompts.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from generation.backoff import backoff_s
from generation.checks.attribution import find_misplaced, fingerprint
from generation.config import Settings
from generation.domain.limits import MIN_PROMPT_TOKENS
from generation.domain.outcome import Documented, Outcome, Request, Symbol, given_up
from generation.domain.usage import NO_USAGE, Usage, apportion
from generation.errors import (
    AccountError,
    ContextTooLong,
    CutOff,
    DoctownError,
    JobError,
    Rejected,
    RequestError,
    SlowDown,
    Transient,
    Unavailable,
    meaning_of,
    request_outcome,
)
from generation.figures.job import JobFigures
from generation.model.budget import Budget
from generation.model.client import (
    CONNECT_TIMEOUT_S,
    is_server_down,
    retry_after_s,
    server_address,
    shared_client_and_limiter,
    translate,
)
from generation.model.codec import (
    Answer,
    Summaries,
    Summary,
    cap_within,
    counted_tokens,
    error_inside,
    first_completion_cap,
    larger_cap,
    read_answer,
    read_reply,
    request_body,
    request_parameters,
    shorter_share,
    summaries_of,
)
from generation.model.limiter import JobQueue, Permit
from generation.model.pacing import MAX_TIMEOUT_S
from generation.model.window import ContextWindow, default_window
from generation.offline.summaries import reject
from generation.prompts.builder import Notes, Prompt, PromptBuilder
from generation.prompts.content_hash import origin_of
from generation.prompts.formats import ONE_SUMMARY, SEVERAL_SUMMARIES
from generation.prompts.tokens import TokenCounter
from generation.repairs import Review

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 20.0

# The limiter's timeout grows with each attempt and with the server's latency; the transport's must not come first.
_TRANSPORT_TIMEOUT = openai.Timeout(MAX_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)


@dataclass(slots=True)
class _Spent:
    """The cost of one question to the model so far; `again` if its symbols were requested before.

    `unusable` counts the answers that were paid for and not used, those of earlier questions too. `latency_ms` is how
    long the newest reply took.
    """

    again: bool
    unusable: int
    usage: Usage = NO_USAGE
    requests: int = 0
    failed_attempts: int = 0
    timeouts: int = 0
    overloads: int = 0
    latency_ms: int | None = None

    def total(self) -> Usage:
        retries = self.requests if self.again else max(0, self.requests - 1)
        return self.usage + Usage(requests=self.requests, retries=retries, timeouts=self.timeouts)


Reviewer = Callable[[str, Symbol, bool | None], Review]


class OpenAIDocumenter:
    """Documents the requests of one job.

    `notes` returns what is known of a symbol beyond its context. `review` checks and repairs a summary; its third
    argument is whether the summary seems to belong to another symbol of the request. `budget` limits the cost, `window`
    is the model's context, `figures` count requests and tokens.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that the outside decides
        self,
        settings: Settings,
        counter: TokenCounter,
        notes: Callable[[Symbol], Notes],
        review: Reviewer,
        budget: Budget | None = None,
        *,
        window: ContextWindow | None = None,
        figures: JobFigures | None = None,
    ) -> None:
        self._settings = settings
        self._figures = figures or JobFigures()
        self._prompts = PromptBuilder(counter, settings.max_prompt_tokens, settings.output_language)
        self._origin = origin_of(settings)
        self._notes = notes
        self._review = review
        self._window = window or default_window(settings)
        self._budget = budget or Budget(None, settings.pricing)
        self._client, self._limiter = shared_client_and_limiter(settings)
        self._queue: JobQueue = self._limiter.queue(
            settings.max_concurrent_requests, settings.outage_s, _outage_fault(settings)
        )
        self._parameters = request_parameters(settings)

    async def __call__(self, request: Request) -> list[Outcome | Request]:
        """Return the outcomes of a request's symbols, and requests for symbols to be requested again.

        Raise JobError if no symbol could be documented, or after `stop`.
        """
        if len(request.symbols) == 1:
            return [await self._document_one(request, request.symbols[0])]
        return await self._document_several(request)

    def stop(self, fault: JobError) -> None:
        """Start no further requests: every current and later waiter gets this fault."""
        self._limiter.stop(self._queue, fault)

    def cancel_in_flight(self) -> None:
        """Cancel the requests in flight, after `stop`. What the server bills for them is unknown."""
        self._limiter.cancel_in_flight(self._queue)

    async def _document_one(self, request: Request, symbol: Symbol) -> Outcome | Request:
        spent = _Spent(symbol.position in request.spent, request.unusable)
        try:
            summary = await self._summarize(symbol, request.reasons.get(symbol.position, ""), spent)
        except RequestError as error:
            [outcome] = given_up(_charged(request, spent, [1]), error.failure, str(error))
            return outcome
        except JobError as error:
            raise _with_partial_outcomes(error, _charged(request, spent, [1])) from None
        usage = _charged(request, spent, [1]).spent[symbol.position]
        documented = self._documented(symbol, summary, usage, None, spent.latency_ms)
        return self._judged(documented, symbol, spent.unusable, was_asked_again=symbol.position in request.reasons)

    async def _summarize(self, symbol: Symbol, reason: str, spent: _Spent) -> str:
        share, cap = self._window.prompt_share(self._settings.max_prompt_tokens), 0
        remedies = {"smaller cap", "shorter prompt", "larger cap"}
        while True:
            part = self._prompts.part(symbol.context, self._notes(symbol), share)
            prompt = self._prompts.single(part, reason)
            cap = cap or first_completion_cap(prompt, 1, self._settings, self._window)
            try:
                return (await self._ask(prompt, cap, ONE_SUMMARY, Summary, spent)).summary
            except CutOff:
                larger = larger_cap(prompt, cap, self._settings, self._window)
                if "larger cap" in remedies and larger <= cap:
                    advice = "lower MAX_PROMPT_TOKENS, or use a model with a larger context"
                    raise CutOff(f"the answer was cut off by the end of the model's context: {advice}") from None
                if "larger cap" not in remedies:
                    raise
                remedies.remove("larger cap")
                cap = larger
            except ContextTooLong as error:
                self._window.learn(error.context_tokens)
                smaller = cap_within(error, prompt, cap, self._window)
                if smaller and "smaller cap" in remedies:
                    remedies.remove("smaller cap")
                    cap = smaller
                    continue
                if "shorter prompt" not in remedies or prompt.tokens <= MIN_PROMPT_TOKENS:
                    raise
                share = shorter_share(prompt, self._settings, error)
                remedies.remove("shorter prompt")
                cap = 0

    async def _document_several(self, request: Request) -> list[Outcome | Request]:
        keyed = {f"s{number}": symbol for number, symbol in enumerate(request.symbols, start=1)}
        parts = {key: self._prompts.part(one.context, self._notes(one)) for key, one in keyed.items()}
        weights = [part.tokens for part in parts.values()]
        prompt = self._prompts.several(parts)
        if prompt.tokens > self._settings.max_batch_tokens or not self._window.takes(prompt.tokens, len(keyed)):
            return list(_halves(request))
        spent = _Spent(bool(request.spent), request.unusable)
        cap = first_completion_cap(prompt, len(keyed), self._settings, self._window)
        try:
            answer = await self._ask(prompt, cap, SEVERAL_SUMMARIES, Summaries, spent)
        except RequestError as error:
            if isinstance(error, ContextTooLong):
                self._window.learn(error.context_tokens)
            return self._split(_charged(replace(request, unusable=spent.unusable), spent, weights))
        except JobError as error:
            raise _with_partial_outcomes(error, _charged(request, spent, weights)) from None
        charged = _charged(replace(request, unusable=spent.unusable + 1), spent, weights)
        answered = {key: texts[0] for key in keyed if len(texts := summaries_of(answer, key)) == 1}
        misplaced = find_misplaced([(fingerprint(keyed[key].context), text) for key, text in answered.items()])
        results: list[Outcome | Request] = [
            charged.part((symbol,)) for key, symbol in keyed.items() if key not in answered
        ]
        for (key, text), is_misplaced in zip(answered.items(), misplaced, strict=True):
            symbol = keyed[key]
            usage = charged.spent[symbol.position]
            documented = self._documented(symbol, text, usage, is_misplaced, spent.latency_ms)
            results.append(self._judged(documented, symbol, spent.unusable, was_asked_again=False))
        return results

    def _judged(
        self, documented: Documented, symbol: Symbol, unusable: int, *, was_asked_again: bool
    ) -> Outcome | Request:
        """Return a symbol's summary, or what follows from its hard findings.

        That is a new request for the symbol, or its rejection where it was asked again before or no answer is left to
        buy.
        """
        again = _again(documented, symbol)
        if again is None:
            return documented
        if was_asked_again or unusable >= self._settings.max_retries > 0:
            return reject(documented, symbol)
        return replace(again, unusable=unusable + 1)

    def _split(self, request: Request) -> list[Outcome | Request]:
        """Return requests for the halves of a request, or for each symbol alone where one answer is left to buy."""
        if request.unusable >= self._settings.max_retries:
            return [request.part((symbol,)) for symbol in request.symbols]
        return list(_halves(request))

    def _documented(
        self,
        symbol: Symbol,
        summary: str,
        usage: Usage,
        is_misplaced: bool | None,  # noqa: FBT001
        latency_ms: int | None,
    ) -> Documented:
        review = self._review(summary, symbol, is_misplaced)
        return Documented(
            symbol.position,
            symbol.symbol_id,
            review.summary,
            usage,
            checks=review.findings,
            origin=self._origin,
            repairs=review.repairs,
            latency_ms=latency_ms,
        )

    async def _ask(
        self, prompt: Prompt, cap: int, form: dict[str, Any], answer_type: type[Answer], spent: _Spent
    ) -> Answer:
        unusable_before = spent.unusable
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((SlowDown, Transient)),
            # What spoils the answer for several symbols may be one of them: they are split instead.
            stop=lambda state: (
                max(spent.failed_attempts, spent.unusable) > self._settings.max_retries
                or (form is SEVERAL_SUMMARIES and (spent.unusable > unusable_before or _is_timeout(_error_of(state))))
            ),
            wait=lambda state: self._wait_s(state, spent),
            sleep=functools.partial(self._limiter.sleep_unless_stopped, self._queue),
            reraise=True,
        )
        body = request_body(prompt, cap, form, self._parameters)
        at_most = Usage(input_tokens=prompt.tokens, output_tokens=cap)
        answer: Answer = await retrying(self._attempt, body, answer_type, counted_tokens(prompt, cap), at_most, spent)
        return answer

    def _wait_s(self, state: RetryCallState, spent: _Spent) -> float:
        """Return the seconds before the next attempt.

        0 after a rate limit or during an outage, for which the limiter waits, and after a timeout; otherwise the
        server's own `Retry-After`, or exponential backoff with full jitter. A prompt that is answered with 503 again
        and again while others are answered backs off too, since each 503 slows the others down.
        """
        error = _error_of(state)
        if isinstance(error, SlowDown):
            waits_here = error.overloaded and not self._limiter.pace.breaker.is_open and spent.overloads > 1
            return backoff_s(spent.overloads - 2, FIRST_BACKOFF_S, MAX_BACKOFF_S) if waits_here else 0.0
        if _is_timeout(error):
            return 0.0
        if isinstance(error, Transient) and error.retry_after_s:
            return min(MAX_BACKOFF_S, error.retry_after_s)
        return backoff_s(spent.failed_attempts - 1, FIRST_BACKOFF_S, MAX_BACKOFF_S)

    async def _attempt(
        self, body: dict[str, Any], answer_type: type[Answer], tokens: int, at_most: Usage, spent: _Spent
    ) -> Answer:
        # Before the limiter: a request that waits for money holds no place and no rate.
        async with self._budget.reserved(at_most):
            permit = await self._limiter.admit(self._queue, tokens)
            try:
                spent.requests += 1
                with self._counted():
                    reply = await self._send(permit, body, 2.0**spent.failed_attempts)
                    spent.latency_ms = round(1_000 * self._limiter.elapsed_s(permit))
                    answer, usage = read_answer(reply, answer_type, self._settings)
            except RequestError as error:
                self._charge(error.usage, spent)
                spent.failed_attempts += isinstance(error, Transient)
                spent.unusable += bool(error.usage.total_tokens) or error.failure == "bad_answer"
                spent.timeouts += _is_timeout(error)
                spent.overloads += isinstance(error, SlowDown) and error.overloaded
                raise
            finally:
                permit.release()
            self._charge(usage, spent)
            return answer

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a request in flight while the block runs, and how it ended."""
        figures, outcome = self._figures, "cancelled"
        figures.in_flight += 1
        try:
            yield
            outcome = "answered"
        except DoctownError as error:
            outcome = request_outcome(error)
            raise
        finally:
            figures.in_flight -= 1
            figures.requests[outcome] += 1

    def _charge(self, usage: Usage, spent: _Spent) -> None:
        spent.usage += usage
        self._figures.usage += usage
        self._budget.spend(usage)

    async def _send(self, permit: Permit, body: dict[str, Any], adaptive_timeout: float) -> object:
        """Send one request, report its result to the limiter, and return the JSON of the reply.

        Whatever the exchange raises is raised as its translation; so is the error inside a reply with the status 200.
        The SDK's `create` ends in `post`. Before that it searches the whole body for names to translate, which chat
        completions do not have, and afterwards it builds objects of the answer: 0.6 of 1.5 ms a symbol (`make bench`).
        """
        try:
            with self._limiter.adaptive_timeout(permit, adaptive_timeout) as scope:
                reply = await self._client.post(
                    "/chat/completions", cast_to=httpx2.Response, body=body, options={"timeout": _TRANSPORT_TIMEOUT}
                )
        except Exception as error:  # noqa: BLE001 - the SDK does not translate all that its transport raises
            headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
            meaning = await self._with_outage(self._meaning(error), permit)
            raise self._reported(permit, meaning, headers) from None
        if scope.cancelled_caught:
            if self._queue.fault is not None:
                raise self._queue.fault
            permit.timed_out()
            raise Transient("no answer came in time", failure="timeout")
        content = read_reply(reply.content)
        if refusal := error_inside(content, self._settings):
            refusal = refusal._replace(retry_after_s=retry_after_s(reply.headers))
            meaning = await self._with_outage(meaning_of(refusal), permit)
            raise self._reported(permit, meaning, reply.headers)
        permit.answered(reply.headers)
        return content

    def _meaning(self, error: Exception) -> DoctownError:
        """Return what an exception of an exchange means; a server that has answered before has a good certificate."""
        meaning = translate(error, self._settings)
        if isinstance(meaning, AccountError) and meaning.failure == "bad_setting" and self._limiter.pace.latencies:
            return Transient("the connection to the server failed", failure="connection")
        return meaning

    def _reported(self, permit: Permit, error: DoctownError, headers: Mapping[str, str]) -> DoctownError:
        """Report a failed exchange to the limiter and return the error to raise."""
        if isinstance(error, Unavailable):
            if error.overloaded:
                permit.not_ready(error.retry_after_s)
            else:
                permit.unavailable()
        elif isinstance(error, SlowDown):
            if error.overloaded:
                permit.overloaded(error.retry_after_s)
            else:
                permit.refused(headers, error.retry_after_s)
        elif isinstance(error, AccountError):
            permit.account_fault(error)
        elif _is_timeout(error):
            permit.timed_out()
        else:
            permit.failed()
        return self._reject_if_over_token_limit(error, permit)

    async def _with_outage(self, error: DoctownError, permit: Permit) -> DoctownError:
        """Return Unavailable for an error that may be an outage and is one, else the error itself."""
        if not isinstance(error, Transient) or not error.may_be_outage:
            return error
        if await self._limiter.is_server_down(permit, functools.partial(is_server_down, self._client)):
            return Unavailable(f"the server at {server_address(self._settings)} is away")
        return error

    def _reject_if_over_token_limit(self, error: DoctownError, permit: Permit) -> DoctownError:
        limit = self._limiter.pace.tokens.limit
        is_rate_limit = isinstance(error, SlowDown) and not isinstance(error, Unavailable)
        if is_rate_limit and limit is not None and permit.tokens > limit:
            return Rejected(
                f"the request counts as {permit.tokens:.0f} tokens and the account's limit is {limit:.0f} a minute: "
                "lower MAX_PROMPT_TOKENS",
                failure="request_too_large",
            )
        return error


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _is_timeout(error: BaseException | None) -> bool:
    return isinstance(error, Transient) and error.failure == "timeout"


def _outage_fault(settings: Settings) -> AccountError:
    away = f"the server at {server_address(settings)} was away for {settings.outage_s:g} s (OUTAGE_S)"
    return AccountError(f"{away}: start it or correct OPENAI_BASE_URL, then send the job again", "server_unavailable")


def _again(documented: Documented, symbol: Symbol) -> Request | None:
    """Return a new request for the symbol alone if its summary has hard findings, else None.

    A symbol that has another's summary has no answer of its own yet: it gets no reason and no fallback.
    """
    if documented.checks is None or not (hard := documented.checks.hard):
        return None
    position = symbol.position
    is_own = all(finding.check != "own_symbol" for finding in hard)
    return Request(
        (symbol,),
        reasons={position: " ".join(finding.reason for finding in hard) if is_own else ""},
        spent={position: documented.usage},
        fallback={position: reject(documented, symbol)} if is_own else {},
    )


def _with_partial_outcomes(fault: JobError, request: Request) -> JobError:
    """Return a copy of the fault with the outcomes of the request's symbols, if any of them was billed."""
    own = type(fault)(str(fault), fault.failure)
    if any(usage.total_tokens for usage in request.spent.values()):
        own.partial_outcomes = tuple(given_up(request, fault.failure, str(fault)))
    return own


def _halves(request: Request) -> tuple[Request, Request]:
    middle = len(request.symbols) // 2
    return request.part(request.symbols[:middle]), request.part(request.symbols[middle:])


def _charged(request: Request, spent: _Spent, weights: Sequence[int]) -> Request:
    """Return the request with the cost of this attempt divided among its symbols by weight, added to `spent`."""
    costs = {
        symbol.position: request.spent.get(symbol.position, NO_USAGE) + usage
        for symbol, usage in zip(request.symbols, apportion(spent.total(), weights), strict=True)
    }
    return replace(request, spent=costs)
