"""One request to the model becomes summaries and their usage. The only importer of `openai`.

Adds to the SDK: one client and one limiter a process for each account and model; a strict JSON schema with one
validation; one retry layer (tenacity) in which "slow down" spends no attempt; and usage that counts failed attempts.
Leaves out: pace, which is the limiter's, and the text of prompts.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import random
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import aiohttp
import httpx2
import openai
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from generation.budget import Budget
from generation.checks import Findings, find_misplaced, fingerprint
from generation.errors import (
    AccountError,
    ContextTooLong,
    CutOff,
    DoctownError,
    JobError,
    Refusal,
    Rejected,
    RequestError,
    SlowDown,
    Transient,
    meaning_of,
)
from generation.limiter import Lane, Limiter, Slot
from generation.models import shutdown_advice
from generation.outcomes import Documented, Outcome, Request, Symbol, given_up
from generation.planner import OUTPUT_TOKENS_AT_MOST
from generation.prompt_builder import (
    LEAST_BUDGET_TOKENS,
    ONE_SUMMARY,
    SEVERAL_SUMMARIES,
    Notes,
    Prompt,
    PromptBuilder,
    rules,
)
from generation.token_counter import NO_USAGE, TokenCounter, Usage, shared_out

if TYPE_CHECKING:
    from generation.config import Settings

CONNECT_TIMEOUT_S = 5.0
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 20.0
REACH_TIMEOUT_S = 5.0
SHORTENED_TO = 0.75

# OpenAI admits a request by the larger of its completion cap and its characters / 4: up to that the cap is free, and
# a summary with little reasoning needs less than this.
COUNTED_CHARS_PER_TOKEN = 4
LEAST_COMPLETION_TOKENS = 256
LITTLE_REASONING = frozenset({"none", "minimal"})


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Summary(_Strict):
    """The model's answer for one symbol, in the form of ONE_SUMMARY."""

    summary: str


class KeyedSummary(_Strict):
    """One of the model's answers for several symbols."""

    key: str
    summary: str


class Summaries(_Strict):
    """The model's answer for several symbols, in the form of SEVERAL_SUMMARIES."""

    summaries: list[KeyedSummary]


Answer = TypeVar("Answer", Summary, Summaries)


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _CompletionDetails(BaseModel):
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: Literal["stop", "length", "content_filter"] | str | None = None  # noqa: PYI051 - the three that matter


class _Completion(BaseModel):
    """As much of a chat completion as is read here: the SDK's own parsing of the rest costs more than all else."""

    choices: list[_Choice]
    usage: _Usage | None = None


@dataclass(slots=True)
class _Account:
    client: openai.AsyncOpenAI
    limiters: dict[str, Limiter]


_accounts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str | None, str], _Account]]
_accounts = weakref.WeakKeyDictionary()


def shared_client_and_limiter(settings: Settings) -> tuple[openai.AsyncOpenAI, Limiter]:
    """The running loop's one client for this server and key, and its one limiter for this model.

    Clients belong to the loop they were made in, and the RunPod SDK runs two in a row. A task that lives as long as the
    loop closes the client when `asyncio.run` cancels what is left.
    """
    accounts = _accounts.setdefault(asyncio.get_running_loop(), {})
    key = (settings.openai_base_url, settings.openai_api_key.get_secret_value() if settings.openai_api_key else "")
    if key not in accounts:
        client = openai.AsyncOpenAI(
            api_key=key[1],
            base_url=key[0],
            max_retries=0,
            timeout=openai.Timeout(settings.request_timeout_s, connect=CONNECT_TIMEOUT_S),
            http_client=openai.DefaultAioHttpClient(),
        )
        accounts[key] = _Account(client, {})
        keeper = asyncio.create_task(_close_with_the_loop(client), name="keeper of the OpenAI client")
        _keepers.add(keeper)
        keeper.add_done_callback(_keepers.discard)
    account = accounts[key]
    if settings.model_name not in account.limiters:
        account.limiters[settings.model_name] = Limiter(settings.max_concurrent_requests, settings.request_timeout_s)
    return account.client, account.limiters[settings.model_name]


# The loop holds its tasks weakly.
_keepers: set[asyncio.Task[None]] = set()


async def _close_with_the_loop(client: openai.AsyncOpenAI) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await client.close()


async def reach(settings: Settings) -> str | None:
    """Why the model cannot be asked now, or None. It asks for the model's entry in the server's list, which is free."""
    client, _ = shared_client_and_limiter(settings)
    try:
        await client.models.retrieve(settings.model_name, timeout=REACH_TIMEOUT_S)
    except openai.OpenAIError as error:
        translated = translate(error, settings)
        return None if _says_little(error, settings) or isinstance(translated, SlowDown) else str(translated)
    return None


def _says_little(error: openai.OpenAIError, settings: Settings) -> bool:
    """Whether a refusal of the list says nothing of completions.

    Not every server with OpenAI's API has such entries, and a restricted key may use a model and not read the list.
    """
    if isinstance(error, openai.NotFoundError):
        return not settings.model.listed
    return isinstance(error, openai.APIStatusError) and "Missing scopes" in _refusal(error, settings).message


@dataclass(slots=True)
class _Spent:
    """What one asking has cost so far; `again` where its symbols were asked for before."""

    again: bool
    usage: Usage = NO_USAGE
    requests: int = 0
    failed_attempts: int = 0

    def total(self) -> Usage:
        retries = self.requests if self.again else max(0, self.requests - 1)
        return self.usage + Usage(requests=self.requests, retries=retries)


Check = Callable[[str, Symbol, bool | None], Findings]


class OpenAIDocumenter:
    """Documents the requests of one job.

    `notes` says what is known of a symbol beyond its context; `check` what is wrong with a summary, given whether it
    seems to belong to another symbol of its request; `budget` what may be spent.
    """

    def __init__(
        self,
        settings: Settings,
        counter: TokenCounter,
        notes: Callable[[Symbol], Notes],
        check: Check,
        budget: Budget | None = None,
    ) -> None:
        self._settings = settings
        self._prompts = PromptBuilder(counter, settings.max_prompt_tokens, settings.output_language)
        self._notes = notes
        self._check = check
        self._budget = budget or Budget(None, settings.pricing)
        self._client, self._limiter = shared_client_and_limiter(settings)
        self._lane: Lane = self._limiter.lane(settings.max_concurrent_requests)
        self._parameters = request_parameters(settings)

    async def __call__(self, request: Request) -> list[Outcome | Request]:
        """Document a request's symbols, or say which must be asked for again.

        Raises JobError where no symbol could be documented, or after `stop`.
        """
        if len(request.symbols) == 1:
            return [await self._document_one(request, request.symbols[0])]
        return await self._document_several(request)

    def stop(self, fault: JobError) -> None:
        """Begin no request any more: whoever waits to, now and later, gets this fault."""
        self._limiter.stop(self._lane, fault)

    def hang_up(self) -> None:
        """Cancel what is in flight, after `stop`. What a server bills for it is not known."""
        self._limiter.hang_up(self._lane)

    async def _document_one(self, request: Request, symbol: Symbol) -> Outcome | Request:
        spent = _Spent(again=symbol.position in request.spent)
        fallback = request.fallback.get(symbol.position)
        try:
            summary = await self._summarize(symbol, request.reasons.get(symbol.position, ""), spent)
        except RequestError as error:
            [outcome] = given_up(_charged(request, spent, [1]), error.failure, str(error))
            return outcome
        except JobError as error:
            raise _with_struck(error, _charged(request, spent, [1])) from None
        usage = _charged(request, spent, [1]).spent[symbol.position]
        documented = self._documented(symbol, summary, usage, None)
        if fallback is not None:
            return better(documented, fallback)
        return (None if symbol.position in request.reasons else _again(documented, symbol)) or documented

    async def _summarize(self, symbol: Symbol, reason: str, spent: _Spent) -> str:
        share, cap = 1.0, 0
        remedies = {ContextTooLong, CutOff}
        while True:
            part = self._prompts.part(symbol.context, self._notes(symbol), share)
            prompt = self._prompts.single(part, reason)
            cap = cap or first_completion_cap(prompt, 1, self._settings)
            try:
                return (await self._ask(prompt, cap, ONE_SUMMARY, Summary, spent)).summary
            except (ContextTooLong, CutOff) as error:
                if type(error) not in remedies:
                    raise
                remedies.remove(type(error))
                if isinstance(error, CutOff):
                    cap = larger_cap(cap, self._settings)
                else:
                    share = shorter_share(prompt, self._settings)
                    if int(share * self._settings.max_prompt_tokens) < LEAST_BUDGET_TOKENS:
                        raise

    async def _document_several(self, request: Request) -> list[Outcome | Request]:
        keyed = {f"s{number}": symbol for number, symbol in enumerate(request.symbols, start=1)}
        parts = {key: self._prompts.part(one.context, self._notes(one)) for key, one in keyed.items()}
        weights = [part.tokens for part in parts.values()]
        prompt = self._prompts.several(parts)
        if prompt.tokens > self._settings.max_batch_tokens:
            return list(_halves(request))
        spent = _Spent(again=bool(request.spent))
        cap = first_completion_cap(prompt, len(keyed), self._settings)
        try:
            answer = await self._ask(prompt, cap, SEVERAL_SUMMARIES, Summaries, spent)
        except RequestError:
            return list(_halves(_charged(request, spent, weights)))
        except JobError as error:
            raise _with_struck(error, _charged(request, spent, weights)) from None
        charged = _charged(request, spent, weights)
        answered = {key: texts[0] for key in keyed if len(texts := summaries_of(answer, key)) == 1}
        misplaced = find_misplaced([(fingerprint(keyed[key].context), text) for key, text in answered.items()])
        results: list[Outcome | Request] = [
            charged.part((symbol,)) for key, symbol in keyed.items() if key not in answered
        ]
        for (key, text), is_misplaced in zip(answered.items(), misplaced, strict=True):
            symbol = keyed[key]
            documented = self._documented(symbol, text, charged.spent[symbol.position], is_misplaced)
            results.append(_again(documented, symbol) or documented)
        return results

    def _documented(self, symbol: Symbol, summary: str, usage: Usage, is_misplaced: bool | None) -> Documented:  # noqa: FBT001
        findings = self._check(summary, symbol, is_misplaced)
        return Documented(symbol.position, symbol.symbol_id, summary, usage, checks=findings)

    async def _ask(
        self, prompt: Prompt, cap: int, form: dict[str, Any], answer_type: type[Answer], spent: _Spent
    ) -> Answer:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((SlowDown, Transient)),
            stop=lambda _: spent.failed_attempts > self._settings.max_retries,
            wait=lambda state: _backoff_s(state, spent.failed_attempts),
            sleep=functools.partial(self._limiter.rest, self._lane),
            reraise=True,
        )
        body = request_body(prompt, cap, form, self._parameters)
        at_most = Usage(input_tokens=prompt.tokens, output_tokens=cap)
        answer: Answer = await retrying(self._attempt, body, answer_type, counted_tokens(prompt, cap), at_most, spent)
        return answer

    async def _attempt(
        self, body: dict[str, Any], answer_type: type[Answer], tokens: int, at_most: Usage, spent: _Spent
    ) -> Answer:
        slot = await self._limiter.admit(self._lane, tokens)
        try:
            with self._budget.reserved(at_most):
                spent.requests += 1
                reply = await self._send(slot, body, 2.0**spent.failed_attempts)
            answer, usage = read_answer(reply, answer_type)
        except RequestError as error:
            self._charge(error.usage, spent)
            spent.failed_attempts += isinstance(error, Transient)
            raise
        finally:
            slot.release()
        self._charge(usage, spent)
        return answer

    def _charge(self, usage: Usage, spent: _Spent) -> None:
        spent.usage += usage
        self._budget.spend(usage)

    async def _send(self, slot: Slot, body: dict[str, Any], patience: float) -> bytes:
        """Send one request; the limiter hears how it went. Raises the translation of whatever goes wrong.

        The SDK's `post` is what its `create` ends in. `create` first walks the whole body for names to translate, none
        of which chat completions have, and then builds the answer as objects: 0.6 of 1.5 ms a symbol (`make bench`).
        """
        try:
            with self._limiter.patience(slot, patience) as scope:
                reply = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
            if scope.cancelled_caught:
                if self._lane.fault is not None:
                    raise self._lane.fault
                slot.timed_out()
                raise Transient("no answer came in time", failure="timeout")
        except openai.OpenAIError as error:
            translated = translate(error, self._settings)
            _tell(slot, translated, error)
            raise self._final_where_waiting_is_vain(translated, slot) from None
        slot.answered(reply.headers)
        return reply.content

    def _final_where_waiting_is_vain(self, error: DoctownError, slot: Slot) -> DoctownError:
        limit = self._limiter.pace.tokens.limit
        if isinstance(error, SlowDown) and limit is not None and slot.tokens > limit:
            return Rejected(
                f"the request counts as {slot.tokens:.0f} tokens and the account's limit is {limit:.0f} a minute: "
                "lower MAX_PROMPT_TOKENS",
                failure="request_too_large",
            )
        return error


def _again(documented: Documented, symbol: Symbol) -> Request | None:
    """A question for the same symbol alone, where its summary must not stay as it is."""
    checks = documented.checks
    if checks is None or not checks.hard:
        return None
    position = symbol.position
    # A summary of another symbol is no fallback: better none than a wrong one.
    is_own = all(finding.check != "own_symbol" for finding in checks.hard)
    return Request(
        (symbol,),
        reasons={position: " ".join(finding.reason for finding in checks.hard)} if is_own else {},
        spent={position: documented.usage},
        fallback={position: documented} if is_own else {},
    )


def better(second: Documented, first: Documented) -> Documented:
    """The summary with fewer hard findings, the second where they are even; the usage of both is in the second."""

    def hard(one: Documented) -> int:
        return len(one.checks.hard) if one.checks else 0

    return second if hard(second) <= hard(first) else replace(first, usage=second.usage)


def _with_struck(fault: JobError, request: Request) -> JobError:
    """A fault of the whole job with what becomes of the request's symbols, where any was billed."""
    own = type(fault)(str(fault), fault.failure)
    if any(usage.total_tokens for usage in request.spent.values()):
        own.struck = tuple(given_up(request, fault.failure, str(fault)))
    return own


def _halves(request: Request) -> tuple[Request, Request]:
    middle = len(request.symbols) // 2
    return request.part(request.symbols[:middle]), request.part(request.symbols[middle:])


def _charged(request: Request, spent: _Spent, weights: Sequence[int]) -> Request:
    """The request with what each of its symbols has now cost, this asking shared out by their weights."""
    costs = {
        symbol.position: request.spent.get(symbol.position, NO_USAGE) + usage
        for symbol, usage in zip(request.symbols, shared_out(spent.total(), weights), strict=True)
    }
    return replace(request, spent=costs)


def summaries_of(answer: Summaries, key: str) -> list[str]:
    """The summaries under a key; a good answer has exactly one that is not empty."""
    return [text for one in answer.summaries if one.key == key and (text := _one_line(one.summary))]


def _tell(slot: Slot, error: DoctownError, cause: openai.OpenAIError) -> None:
    headers: Mapping[str, str] = cause.response.headers if isinstance(cause, openai.APIStatusError) else {}
    if isinstance(error, SlowDown):
        if error.overloaded:
            slot.overloaded(error.retry_after_s)
        else:
            slot.refused(headers, error.retry_after_s)
    elif isinstance(error, AccountError):
        slot.account_fault(error)
    elif isinstance(cause, openai.APITimeoutError):
        slot.timed_out()


def _backoff_s(state: RetryCallState, failed_attempts: int) -> float:
    """Seconds before the next attempt: none after "slow down", which is waited out at the gate, nor after a time-out.

    Else the server's own word, or exponential back-off with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, SlowDown) or (isinstance(error, Transient) and error.failure == "timeout"):
        return 0.0
    if isinstance(error, Transient) and error.retry_after_s:
        return min(MAX_BACKOFF_S, error.retry_after_s)
    return random.uniform(0, min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (failed_attempts - 1)))  # noqa: S311 - no secret


def request_parameters(settings: Settings) -> dict[str, Any]:
    """What every request of a job carries besides its messages: only what the model is known to take."""
    model = settings.model
    parameters: dict[str, Any] = {"model": settings.model_name}
    if settings.effort:
        parameters["reasoning_effort"] = settings.effort
    if model.takes_temperature:
        parameters["temperature"] = 0
    if model.listed:
        prefix = rules(settings.output_language, several=settings.batch_mode)
        parameters["prompt_cache_key"] = f"doctown-{hashlib.sha256(prefix.encode()).hexdigest()[:16]}"
    return parameters


def request_body(prompt: Prompt, cap: int, form: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a chat completion; `parameters` are those of `request_parameters`."""
    return {"messages": prompt.messages, "max_completion_tokens": cap, "response_format": form, **parameters}


def first_completion_cap(prompt: Prompt, symbols: int, settings: Settings) -> int:
    """The completion cap of a first attempt, in tokens: no larger than what the server counts for the prompt anyway.

    With reasoning the setting itself, since reasoning tokens count as completion.
    """
    if not settings.model.listed or (settings.effort is not None and settings.effort not in LITTLE_REASONING):
        return settings.max_completion_tokens
    wanted = max(LEAST_COMPLETION_TOKENS, OUTPUT_TOKENS_AT_MOST * symbols, _counted_chars(prompt))
    return min(settings.max_completion_tokens, wanted)


def larger_cap(cap: int, settings: Settings) -> int:
    """The completion cap after an answer that was cut off at `cap`."""
    larger = max(2 * cap, settings.max_completion_tokens)
    return min(larger, settings.model.max_output_tokens) if settings.model.listed else larger


def shorter_share(prompt: Prompt, settings: Settings) -> float:
    """The share of the budget for a prompt in the place of one that was too long for the model."""
    return SHORTENED_TO * min(1.0, prompt.tokens / settings.max_prompt_tokens)


def counted_tokens(prompt: Prompt, cap: int) -> int:
    """What the server will count a request as: the larger of its cap and its characters / 4."""
    return max(cap, _counted_chars(prompt))


def _counted_chars(prompt: Prompt) -> int:
    return -(-sum(len(message["content"]) for message in prompt.messages) // COUNTED_CHARS_PER_TOKEN)


def read_answer(body: bytes, answer_type: type[Answer]) -> tuple[Answer, Usage]:
    """The answer in a completion's body, and its usage.

    Raises CutOff, Rejected or Transient, each with the usage that was billed all the same.
    """
    try:
        completion = _Completion.model_validate_json(body)
        choice = completion.choices[0]
    except (ValidationError, IndexError):
        raise Transient("the server's reply is not a completion", failure="bad_answer") from None
    usage = _usage(completion.usage)
    if choice.message.refusal:
        raise Rejected("the model refused to answer", failure="refused", usage=usage)
    if choice.finish_reason == "content_filter":
        raise Rejected("the content filter stopped the answer", failure="content_filter", usage=usage)
    if choice.finish_reason == "length":
        raise CutOff("the answer was cut off by the token limit: raise MAX_COMPLETION_TOKENS", usage=usage)
    try:
        answer = answer_type.model_validate_json(choice.message.content or "")
    except ValidationError:
        raise Transient("the answer is not in the form that was asked for", failure="bad_answer", usage=usage) from None
    if isinstance(answer, Summary):
        answer.summary = _one_line(answer.summary)
        if not answer.summary:
            raise Transient("the answer is empty", failure="bad_answer", usage=usage)
    return answer, usage


def _one_line(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _usage(reported: _Usage | None) -> Usage:
    if reported is None:
        return NO_USAGE
    prompt, completion = (reported.prompt_tokens_details, reported.completion_tokens_details)
    return Usage(
        input_tokens=reported.prompt_tokens,
        cached_input_tokens=(prompt.cached_tokens or 0) if prompt else 0,
        output_tokens=reported.completion_tokens,
        reasoning_tokens=(completion.reasoning_tokens or 0) if completion else 0,
    )


def _connection_broke(error: BaseException) -> bool:
    """Whether a time-out is none: the SDK's aiohttp transport calls every broken connection a time-out to connect."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, aiohttp.ClientConnectionError):
        return not isinstance(cause, asyncio.TimeoutError)
    return cause is not None and _connection_broke(cause)


def _refusal(error: openai.APIStatusError, settings: Settings) -> Refusal:
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return Refusal(
        error.status_code,
        error.code,
        said if isinstance(said, str) else "",
        error.param,
        _retry_after_s(error.response.headers),
        settings.model_name,
        shutdown_advice(settings.model),
    )


def translate(error: openai.OpenAIError, settings: Settings) -> DoctownError:  # noqa: PLR0911 - one line a class
    """What an exception of the SDK means here; its own text is left behind."""
    if isinstance(error, openai.LengthFinishReasonError):
        return CutOff("the answer was cut off by the token limit: raise MAX_COMPLETION_TOKENS")
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return Rejected("the content filter stopped the answer", failure="content_filter")
    if isinstance(error, openai.APITimeoutError) and not _connection_broke(error):
        return Transient("no answer came in time", failure="timeout")
    if isinstance(error, openai.APIStatusError):
        return meaning_of(_refusal(error, settings))
    if isinstance(error, openai.APIConnectionError):
        return Transient("the connection to the server failed", failure="connection")
    if isinstance(error, openai.APIError):
        return Transient("the server's reply is not a completion", failure="bad_answer")
    return AccountError(f"the OpenAI client cannot be used ({type(error).__name__}): check OPENAI_API_KEY")


@contextlib.contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Calls of the client in here raise this project's errors, also while a reply is read piece by piece."""
    try:
        yield
    except openai.OpenAIError as error:
        raise translate(error, settings) from None
    except httpx2.HTTPError:
        raise Transient("the connection to the server failed", failure="connection") from None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after`; None where they are absent or make no sense."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit_s
            if 0 <= seconds < float("inf"):
                return seconds
    return None
