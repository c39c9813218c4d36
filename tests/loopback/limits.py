"""What the loopback server admits: the rate-limit arithmetic, and the checks that OpenAI makes of a request.

Pure: the caller brings the clock, in seconds since the first request. A minute's limit is a bucket, full at the start
and refilled by the clock, which may change in mid-run and be shared with another worker; or it is enforced second by
second.
Left out: several models or organisations with limits of their own, and limits by the day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]

# --- The rate limits

# What has waited exactly as long as it was told must fit, whatever the rounding says.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Limits:
    """One account's limits; None: no such limit. `changes`: (from this second on, factor of the configured limit)."""

    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    enforced_per_second: bool = False
    changes: Sequence[tuple[float, float]] = ()
    other_worker_share: float = 0.0
    other_worker_from_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.other_worker_share < 1:
            raise ValueError("other_worker_share must be at least 0 and below 1")
        if any(factor <= 0 for _, factor in self.changes):
            raise ValueError("every factor of changes must be above 0")


class Stretch(NamedTuple):
    """A time in which nothing about a limit changes."""

    start_s: float
    end_s: float
    capacity: float
    per_s: float


def stretches(per_min: float, limits: Limits) -> list[Stretch]:
    """The limit over time, what the other worker takes already taken off what comes back."""
    starts_s = sorted({0.0, limits.other_worker_from_s, *(at_s for at_s, _ in limits.changes)})
    result = []
    for start_s, end_s in zip(starts_s, [*starts_s[1:], math.inf], strict=True):
        factor = next((factor for at_s, factor in sorted(limits.changes, reverse=True) if at_s <= start_s), 1.0)
        ours = 1.0 - limits.other_worker_share if start_s >= limits.other_worker_from_s else 1.0
        result.append(Stretch(start_s, end_s, per_min * factor, per_min * factor / 60 * ours))
    return result


class Bucket:
    """A minute's limit, refilled continuously."""

    def __init__(self, over_time: Sequence[Stretch]) -> None:
        self._ahead = list(over_time)
        self._at_s = 0.0
        self.level = self.capacity

    @property
    def capacity(self) -> float:
        return self._ahead[0].capacity

    def advance(self, now_s: float) -> None:
        while self._ahead[0].end_s <= now_s:
            self._refill(self._ahead[0].end_s)
            self._ahead.pop(0)
        self._refill(now_s)

    def _refill(self, until_s: float) -> None:
        """Up to `until_s`, by the stretch that holds there: a limit that was lowered also cuts what was saved up."""
        stretch = self._ahead[0]
        self.level = min(stretch.capacity, self.level + max(0.0, until_s - self._at_s) * stretch.per_s)
        self._at_s = max(self._at_s, until_s)

    def wait_s(self, amount: float) -> float:
        """How long until `amount` would fit if nobody else took anything; infinite if it never will."""
        level = self.level
        at_s = self._at_s
        for stretch in self._ahead:
            level = min(level, stretch.capacity)
            needed_s = max(0.0, amount - ROUNDING - level) / stretch.per_s
            if amount <= stretch.capacity and at_s + needed_s < stretch.end_s:
                return at_s + needed_s - self._at_s
            level += (stretch.end_s - at_s) * stretch.per_s
            at_s = stretch.end_s
        return math.inf

    def full_in_s(self) -> float:
        return max(0.0, self.capacity - self.level) / self._ahead[0].per_s


class Window:
    """A limit enforced second by second: each second admits a sixtieth of the minute and saves nothing up.

    What is larger than one second's part is admitted by an untouched second and paid off by those that follow.
    """

    def __init__(self, over_time: Sequence[Stretch]) -> None:
        self._over_time = over_time
        self._second = 0
        self._now_s = 0.0
        self.level = self._part(0)

    def _part(self, second: int) -> float:
        return next(stretch.per_s for stretch in self._over_time if stretch.end_s > second)

    def _later(self) -> Iterator[tuple[int, float, float]]:
        """Each later second, its part, and the level it would start at."""
        second, level = self._second, self.level
        while True:
            second += 1
            part = self._part(second)
            level = min(part, level + part)
            yield second, part, level

    def advance(self, now_s: float) -> None:
        self._now_s = max(self._now_s, now_s)
        for second, _, level in self._later():
            if second > now_s:
                return
            self._second, self.level = second, level

    def wait_s(self, amount: float) -> float:
        if self.level + ROUNDING >= min(amount, self._part(self._second)):
            return 0.0
        fits = (second for second, part, level in self._later() if level + ROUNDING >= min(amount, part))
        return next(fits) - self._now_s


class Refusal(NamedTuple):
    """Why a request was not admitted; no `wait_s`: it is larger than the whole limit."""

    kind: str
    limit: int
    used: int
    requested: int
    wait_s: float | None


class _Limit(NamedTuple):
    kind: str
    minute: Bucket
    second: Window | None


class Turnstile:
    """Admits requests under all limits at once; a refused request takes nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = []
        for kind, per_min in (("requests", limits.requests_per_min), ("tokens", limits.tokens_per_min)):
            if per_min:
                over_time = stretches(per_min, limits)
                window = Window(over_time) if limits.enforced_per_second else None
                self._limits.append(_Limit(kind, Bucket(over_time), window))

    def admit(self, now_s: float, tokens: int) -> Refusal | None:
        """Takes the request from every limit, or says which one it would have to wait for longest."""
        refusals = []
        for limit in self._advanced(now_s):
            amount = tokens if limit.kind == "tokens" else 1
            fits_at_all = amount <= limit.minute.capacity
            wait_s = (limit.second or limit.minute).wait_s(amount) if fits_at_all else None
            if wait_s != 0:
                size = int(limit.minute.capacity)
                refusals.append(Refusal(limit.kind, size, size - int(limit.minute.level), amount, wait_s))
        if refusals:
            return max(refusals, key=lambda refusal: math.inf if refusal.wait_s is None else refusal.wait_s)
        self._take(tokens)
        return None

    def headers(self, now_s: float) -> dict[str, str]:
        """What every reply tells. Always the minute's book: OpenAI does not show the windows within it."""
        result = {}
        for kind, minute, _ in self._advanced(now_s):
            result[f"x-ratelimit-limit-{kind}"] = str(int(minute.capacity))
            result[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(minute.level)))
            result[f"x-ratelimit-reset-{kind}"] = duration_text(minute.full_in_s())
        return result

    def _advanced(self, now_s: float) -> list[_Limit]:
        for _, minute, second in self._limits:
            minute.advance(now_s)
            if second:
                second.advance(now_s)
        return self._limits

    def _take(self, tokens: int) -> None:
        for kind, minute, second in self._limits:
            amount = tokens if kind == "tokens" else 1
            minute.level -= amount
            if second:
                second.level -= amount

    def keep_levels_of(self, earlier: Turnstile, now_s: float) -> None:
        """New limits in mid-run are no new start: what was used up stays used up."""
        for before in earlier._advanced(now_s):
            for limit in self._advanced(now_s):
                if limit.kind == before.kind:
                    limit.minute.level = min(limit.minute.capacity, before.minute.level)


def duration_text(seconds: float) -> str:
    """A duration in OpenAI's (Go's) form: `0s`, `12ms`, `1s`, `1m12.5s`, `6m0s`, `1h0m0s`."""
    milliseconds = math.ceil(seconds * 1000 - ROUNDING)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest_ms = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def ideal_makespan_s(charges: Sequence[int], limits: Limits, latency_mean_s: float = 0.0) -> float:
    """When the last of these requests could be answered at the earliest: no client can know more than the server.

    `charges` are the tokens that admission counted for each request that succeeded, `limits` what they ran under. From
    full buckets at second 0 each is admitted, in this order, as soon as it fits; two mean latencies are added for the
    tail. Without limits that is two latencies: how many requests fly at once is not known here.
    """
    demands = ((limits.requests_per_min, [1] * len(charges)), (limits.tokens_per_min, charges))
    waits_s = [last_admitted_s(stretches(per_min, limits), amounts, limits) for per_min, amounts in demands if per_min]
    return max(waits_s, default=0.0) + 2 * latency_mean_s


def last_admitted_s(over_time: Sequence[Stretch], amounts: Sequence[int], limits: Limits) -> float:
    book = Window(over_time) if limits.enforced_per_second else Bucket(over_time)
    now_s = 0.0
    for amount in amounts:
        wait_s = book.wait_s(amount)
        if wait_s == math.inf:
            return math.inf
        if wait_s:
            now_s += wait_s
            book.advance(now_s)
        book.level -= amount
    return now_s


# --- What is no answer


@dataclass(eq=False)
class ApiError(Exception):
    """An answer that is not a 200, in OpenAI's form."""

    status: int
    kind: str
    code: str | None
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> Json:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


INVALID = "invalid_request_error"


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, INVALID, code, message, param)


def unsupported_parameter(name: str, advice: str = "") -> ApiError:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{advice}"
    return invalid(message, name, "unsupported_parameter")


def unsupported_value(name: str, value: object, accepted: str) -> ApiError:
    message = f"Unsupported value: '{name}' does not support '{value}' with this model. {accepted}"
    return invalid(message, name, "unsupported_value")


def rate_limit_error(model: str, refusal: Refusal) -> ApiError:
    unit = "requests per min (RPM)" if refusal.kind == "requests" else "tokens per min (TPM)"
    which = f"for {model} in organization org-loopback on {unit}: Limit {refusal.limit}"
    if refusal.wait_s is None:
        advice = "The input or output tokens must be reduced in order to run successfully."
        message = f"Request too large {which}, Requested {refusal.requested}. {advice}"
        return ApiError(429, refusal.kind, "rate_limit_exceeded", message)
    wait_ms = math.ceil(refusal.wait_s * 1000)
    used = f"Used {refusal.used}, Requested {refusal.requested}"
    message = f"Rate limit reached {which}, {used}. Please try again in {duration_text(wait_ms / 1000)}."
    headers = {"retry-after-ms": str(wait_ms), "retry-after": str(math.ceil(wait_ms / 1000))}
    return ApiError(429, refusal.kind, "rate_limit_exceeded", message, headers=headers)


# --- What a request must look like


class Model(NamedTuple):
    """What the real model accepts. No `efforts`: it does not reason."""

    context_tokens: int
    max_output_tokens: int
    efforts: tuple[str, ...] = ()
    shutdown_date: str | None = None


FROM_MINIMAL = ("minimal", "low", "medium", "high")
FROM_NONE = ("none", "low", "medium", "high")
CATALOGUE = {
    "gpt-5-nano": Model(272_000, 128_000, FROM_MINIMAL, "2026-12-11"),
    "gpt-5-mini": Model(272_000, 128_000, FROM_MINIMAL, "2026-12-11"),
    "gpt-5.4-nano": Model(272_000, 128_000, FROM_NONE, "2027-04-01"),
    "gpt-5.6-luna": Model(922_000, 128_000, FROM_NONE),
    "gpt-6-luna": Model(922_000, 128_000, FROM_NONE),
    "gpt-4o": Model(128_000, 16_384, (), "2027-01-14"),
    "gpt-4o-mini": Model(128_000, 16_384, (), "2027-01-14"),
}
# What another server than OpenAI's may serve: it takes any parameter, and no checks but the general ones are made.
OTHER_MODEL = Model(128_000, 128_000)
UNREADABLE = "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload."
ROLES = ("system", "developer", "user", "assistant")
PARAMETERS = (
    "model messages max_completion_tokens max_tokens temperature top_p n seed stop stream response_format"
    " reasoning_effort verbosity prompt_cache_key prompt_cache_retention safety_identifier user metadata store"
    " service_tier presence_penalty frequency_penalty"
)


def check_model(body: Json, served: Sequence[str], retired: Sequence[str]) -> str:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise invalid("you must provide a model parameter")
    if name in retired:
        more = "learn more here: https://platform.openai.com/docs/deprecations"
        raise ApiError(404, INVALID, "model_not_found", f"The model `{name}` has been deprecated, {more}")
    if name not in served:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise ApiError(404, INVALID, "model_not_found", message)
    return name


def read_messages(body: Json) -> list[tuple[str, str]]:
    """The role and the text of each message."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("Invalid 'messages': expected a non-empty array of objects.", "messages")
    result = []
    for index, message in enumerate(messages):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            content = "".join(str(part.get("text")) for part in content)
        if role not in ROLES or not isinstance(content, str):
            raise invalid(f"Invalid value for 'messages[{index}]'.", f"messages[{index}]", "invalid_value")
        if not content.isascii():
            check_characters(content)
        result.append((role, content))
    return result


def check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(UNREADABLE) from None


def check_parameters(body: Json, model: Model) -> None:
    given = {key: value for key, value in body.items() if value is not None}
    for key in given.keys() - PARAMETERS.split():
        raise invalid(f"Unknown parameter: '{key}'.", key, "unknown_parameter")
    if given.get("stream") or given.get("n", 1) != 1:
        raise invalid("This server neither streams nor gives several choices.", "stream", "unsupported_value")
    if model.efforts:
        check_reasoning_parameters(given, model)
    elif "reasoning_effort" in given:
        raise unsupported_parameter("reasoning_effort")
    for key in ("max_completion_tokens", "max_tokens"):
        cap = given.get(key, 1)
        if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
            raise invalid(f"Invalid '{key}': integer below minimum value. Expected a value >= 1.", key)
        if cap > model.max_output_tokens:
            most = f"This model supports at most {model.max_output_tokens} completion tokens"
            raise invalid(f"{key} is too large: {cap}. {most}, whereas you provided {cap}.", key, "invalid_value")


def check_reasoning_parameters(given: Json, model: Model) -> None:
    if "max_tokens" in given:
        raise unsupported_parameter("max_tokens", " Use 'max_completion_tokens' instead.")
    for key in ("temperature", "top_p"):
        if given.get(key, 1) != 1:
            raise unsupported_value(key, given[key], "Only the default (1) value is supported.")
    effort = given.get("reasoning_effort", "medium")
    if effort not in model.efforts:
        accepted = ", ".join(f"'{name}'" for name in model.efforts)
        raise unsupported_value("reasoning_effort", effort, f"Supported values are: {accepted}.")


def check_schema(body: Json) -> None:
    """As strict mode checks it; a schema that is not strict is taken as it is."""
    form = body.get("response_format")
    given = form.get("json_schema") if isinstance(form, dict) and form.get("type") == "json_schema" else {}
    if not isinstance(given, dict) or (given and not re.fullmatch(r"[\w-]{1,64}", str(given.get("name")), re.ASCII)):
        raise invalid("Invalid 'response_format.json_schema.name'.", "response_format.json_schema.name")
    if not given.get("strict"):
        return
    schema = given.get("schema")
    fault = schema_fault(schema, ())
    if isinstance(schema, dict) and schema.get("type") != "object":
        fault = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    if fault:
        raise invalid(f"Invalid schema for response_format '{given['name']}': {fault}", "response_format")


NOT_PERMITTED = ("default", "allOf", "oneOf", "not", "if", "then", "else", "minLength", "maxLength")


def schema_fault(schema: Any, path: tuple[str, ...]) -> str | None:
    """What strict mode has against this schema, in OpenAI's words."""
    place = f"In context={path}"
    if not isinstance(schema, dict):
        return f"{place}, a schema must be an object."
    for key in NOT_PERMITTED:
        if key in schema:
            return f"{place}, '{key}' is not permitted."
    if "properties" in schema or schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return f"{place}, 'additionalProperties' is required to be supplied and to be false."
        missing = sorted(set(schema.get("properties", {})) - set(schema.get("required", ())))
        if missing:
            every = "is required to be supplied and to be an array including every key in properties"
            return f"{place}, 'required' {every}. Missing '{missing[0]}'."
    return next((fault for key, part in subschemas(schema) if (fault := schema_fault(part, (*path, *key)))), None)


def subschemas(schema: Json) -> Iterator[tuple[tuple[str, ...], Any]]:
    for group in ("properties", "$defs"):
        yield from (((group, name), part) for name, part in schema.get(group, {}).items())
    yield from ((("anyOf", str(index)), part) for index, part in enumerate(schema.get("anyOf", ())))
    if "items" in schema:
        yield ("items",), schema["items"]
