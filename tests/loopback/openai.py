"""A loopback server that behaves as OpenAI's Chat Completions API does: its checks, limits, usage, faults and bill.

Three ways to run it: `with running(Behaviour(...)) as server:` in a thread, `with running_process(...)` in a process of
its own, and `python -m tests.loopback.openai --port 8005 --behaviour JSON`, which prints its base URL first, serves
`GET /_bill`, `GET /_batch_bill`, `GET /_requests`, `POST /_behaviour` and `POST /_reset`, and stops on SIGTERM.
Whatever chance decides (faults, latencies) depends on the seed, the user message and how many times that message had
come before, never on the order in which requests arrive. Counting tokens needs the vocabulary (`make vocabulary`),
`count_by="characters"` not.

Files and batches are `tests.loopback.batch`'s; their rows are answered here, as any request, on a bill of their own.

Left out: streaming, several choices, tools, images, the tokens of the schema in the prompt's count, limits for each
model apart, the age of cached prefixes, and every end point but chat completions, models, files and batches.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import tiktoken
from aiohttp import web

from tests.loopback import by_hand
from tests.loopback.batch import LOST_ROWS, BatchApi, BatchBehaviour, RowAnswer, Used
from tests.loopback.faults import Strikes, chance, check_script
from tests.loopback.limits import (
    CATALOGUE,
    INVALID,
    OTHER_MODEL,
    UNREADABLE,
    ApiError,
    Json,
    Limits,
    Refusal,
    Turnstile,
    check_model,
    check_parameters,
    check_schema,
    ideal_makespan_s,
    invalid,
    rate_limit_error,
    read_messages,
    unsupported_parameter,
)
from tests.support.waiting import wait_until

__all__ = [
    "BatchBehaviour",
    "Behaviour",
    "Limits",
    "RunningServer",
    "ideal_makespan_s",
    "running",
    "running_process",
    "write_by_schema",
]

WriteAnswer = Callable[[Json, str], str]
# Gets a path and the JSON of the reply to it, and returns the JSON that is sent in its place.
Rewrite = Callable[[str, Any], Any]

# --- Faults

BAD_KEY = (401, INVALID, "invalid_api_key", "Incorrect API key provided: sk-***back.")
OVERLOADED = "Our servers are currently overloaded. Please try again later."
NO_QUOTA = "You exceeded your current quota, please check your plan and billing details."
FORBIDDEN = (403, "request_forbidden", "unsupported_country_region_territory")
# Answered at once and before the limits: nothing is taken and nothing generated.
REFUSALS: dict[str, Callable[[], ApiError]] = {
    "slow_down": partial(ApiError, 429, "requests", "slow_down", "Slow down. Reduce your request rate."),
    "overloaded": partial(ApiError, 503, "service_unavailable_error", "server_is_overloaded", OVERLOADED),
    "too_many": partial(ApiError, 429, "requests", "rate_limit_exceeded", "Too many concurrent requests"),
    "loading": partial(ApiError, 503, "unavailable_error", None, "Loading model"),
    "quota": partial(ApiError, 429, "insufficient_quota", "insufficient_quota", NO_QUOTA),
    "bad_key": partial(ApiError, *BAD_KEY),
    "forbidden": partial(ApiError, *FORBIDDEN, "Country, region, or territory not supported"),
    "unsupported_parameter": partial(unsupported_parameter, "response_format"),
}
# The same, in the numbers of the request itself.
LIMIT_REFUSALS: dict[str, Callable[[int, float], Refusal]] = {
    "rate_limited": lambda charge, wait_s: Refusal("tokens", 200_000, 200_000 - charge // 2, charge, wait_s),
    "too_large": lambda charge, _: Refusal("tokens", charge - 1, 0, charge, None),
}
# These take their time and their share of the limits first, as what fails late does.
LATE_FAULTS = ("server_error", "bad_gateway", "hang", "disconnect")
SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"


def half(text: str) -> str:
    return text[: len(text) // 2]


def each_summary_begins(escape: str) -> Callable[[str], str]:
    return lambda text: re.sub(r'"summary"\s*:\s*"', lambda found: found[0] + escape, text)


# What is wrong with the content of an answer that is otherwise in order. The escapes are JSON's: the answer itself is
# valid UTF-8 and turns bad when its content is read.
SPOILED_CONTENT: dict[str, Callable[[str], str]] = {
    "truncated_json": half,
    "length": half,
    "content_filter": half,
    "wrong_schema": lambda _: '{"result": {"text": "valid JSON of another form"}, "confidence": 0.9}',
    "surrogate": each_summary_begins(r"\ud800 "),
    "control": each_summary_begins(r"\u0000\u0007\u001b[31m "),
}
SPOILED_REPLIES = ("half_answer", "empty_content", "refusal", "not_json_body", "no_usage", "bad_headers")
FAULTS = frozenset((*REFUSALS, *LIMIT_REFUSALS, *LATE_FAULTS, *SPOILED_CONTENT, *SPOILED_REPLIES))
# What may go wrong with a row of a batch.
ROW_FAULTS = frozenset(
    (*LOST_ROWS, *REFUSALS, "server_error", *SPOILED_CONTENT, "empty_content", "refusal", "no_usage")
)
REFUSAL_TEXT = "I'm sorry, but I can't assist with that request."
NO_JSON = b'upstream connect error {"id": "chatcmpl-'
LIMIT_HEADERS = [
    f"x-ratelimit-{what}-{kind}" for kind in ("requests", "tokens") for what in ("limit", "remaining", "reset")
]
ABSURD_VALUES = ("", "-1", "87600h", "abc")


@dataclass(frozen=True)
class Behaviour:
    """What the server is like. JSON-able: `asdict` there, `behaviour_from` back."""

    api_key: str | None = None  # None: any key will do
    models: Sequence[str] = tuple(CATALOGUE)  # one that the catalogue does not hold takes any parameter
    retired_models: Sequence[str] = ()
    context_tokens: int | None = None  # None: the model's own
    seed: int = 0
    latency_mean_s: float = 0.0
    latency_sigma: float = 0.0
    limits: Limits = field(default_factory=Limits)
    send_limit_headers: bool = True
    limit_headers_at: str = "admission"  # or "answer": whether they tell of the moment before or after the latency
    max_in_flight: int | None = None
    overload_fault: str = "overloaded"  # or "slow_down", "too_many": the answer above max_in_flight
    fault_rates: Mapping[str, float] = field(default_factory=dict)
    fault_script: Sequence[Mapping[str, Any]] = ()  # {"fault", "contains": in the user message, "times": None: always}
    fault_retry_after_s: float | None = 0.02  # for "rate_limited" and "too_many"; None: they do not tell
    hold_after: int | None = None  # from so many answers on, requests are held until the behaviour changes
    length_needs_tokens: int | None = None  # the fault "length" strikes only caps below this; None: always
    count_by: str = "tokens"  # or "characters": four to a token, for benchmarks
    marker: str = r"(?m)^symbol_id: (.+)$"  # the first group names a symbol in the user message
    item_marker: str = ""  # finds the keys of the items that an answer must make; see write_by_schema
    item_key: str = ""  # the property that takes such a key
    keep_requests: bool = False
    batch: BatchBehaviour = field(default_factory=BatchBehaviour)

    def __post_init__(self) -> None:
        unknown = {*self.fault_rates, *(step["fault"] for step in self.fault_script), self.overload_fault} - FAULTS
        if unknown:
            raise ValueError(f"unknown faults: {sorted(unknown)}")
        if sum(self.fault_rates.values()) > 1 + 1e-9:
            raise ValueError("fault_rates add up to more than 1")
        if self.count_by not in ("tokens", "characters"):
            raise ValueError("count_by is tokens or characters")
        check_script(self.batch.row_script, ROW_FAULTS)


def behaviour_from(data: Mapping[str, Any]) -> Behaviour:
    parts = {"limits": Limits(**data.get("limits", {})), "batch": BatchBehaviour(**data.get("batch", {}))}
    return Behaviour(**{**data, **parts})


# --- Reading a request


class Ask(NamedTuple):
    """One request and what the server needs to know of it; `charge` is what admission counts, in tokens."""

    body: Json
    model: str
    messages: list[tuple[str, str]]
    prompt: str
    key: bytes
    cap: int | None
    charge: int


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


DECODER = json.JSONDecoder(parse_constant=refuse_constant)


def read_ask(raw: bytes, behaviour: Behaviour) -> Ask:
    try:
        body = DECODER.decode(raw.decode())
    except ValueError:
        raise invalid(UNREADABLE) from None
    if not isinstance(body, dict):
        raise invalid(UNREADABLE)
    return check_ask(body, behaviour)


def check_ask(body: Json, behaviour: Behaviour) -> Ask:
    model = check_model(body, behaviour.models, behaviour.retired_models)
    messages = read_messages(body)
    if model in CATALOGUE:
        check_parameters(body, CATALOGUE[model])
    check_schema(body)
    prompt = "\n".join(text for role, text in messages if role == "user")
    cap = body.get("max_completion_tokens") or body.get("max_tokens")
    charge = max(cap or 0, math.ceil(sum(len(text) for _, text in messages) / 4))
    return Ask(body, model, messages, prompt, hashlib.sha256(prompt.encode()).digest(), cap, charge)


def check_key(request: web.BaseRequest, behaviour: Behaviour) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not key:
        raise ApiError(401, INVALID, None, "You didn't provide an API key.")
    if behaviour.api_key not in (None, key):
        raise ApiError(*BAD_KEY)


def check_context(ask: Ask, body_bytes: int, behaviour: Behaviour) -> None:
    most = behaviour.context_tokens or CATALOGUE.get(ask.model, OTHER_MODEL).context_tokens
    # No token is shorter than a byte: most requests need no count.
    tokens = 0 if body_bytes <= most else count_prompt(ask, behaviour.count_by)[0]
    if tokens > most:
        counted = f"our messages resulted in {tokens} tokens. Please reduce the length of the messages."
        new = f"Input tokens exceed the configured limit of {most} tokens. Y{counted}"
        old = f"This model's maximum context length is {most} tokens. However, y{counted}"
        message = new if CATALOGUE.get(ask.model, OTHER_MODEL).efforts else old
        raise invalid(message, "messages", "context_length_exceeded")


# --- Counting

ROOT = Path(__file__).resolve().parents[2]
O200K_FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"
REASONING_TOKENS = {"none": 0, "minimal": 0, "low": 64, "medium": 256, "high": 1024}


def reasoning_tokens(ask: Ask) -> int:
    reasons = CATALOGUE.get(ask.model, OTHER_MODEL).efforts
    return REASONING_TOKENS[ask.body.get("reasoning_effort") or "medium"] if reasons else 0


@lru_cache(maxsize=1)
def encoding() -> tiktoken.Encoding:
    folder = Path(os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(ROOT / "vocabulary")))
    # tiktoken would fetch what is missing from the network.
    if not (folder / O200K_FILE).is_file():
        raise RuntimeError(f"the vocabulary is not in TIKTOKEN_CACHE_DIR ({folder}): run `make vocabulary`")
    return tiktoken.get_encoding("o200k_base")


@lru_cache(maxsize=64)
def token_ids(text: str) -> list[int]:
    # Cached for the system message, which is the same in every request.
    return encoding().encode_ordinary(text)


def count(text: str, count_by: str) -> int:
    return len(encoding().encode_ordinary(text)) if count_by == "tokens" else math.ceil(len(text) / 4)


def cut(text: str, tokens: int, count_by: str) -> str:
    return encoding().decode(encoding().encode_ordinary(text)[:tokens]) if count_by == "tokens" else text[: 4 * tokens]


def count_prompt(ask: Ask, count_by: str) -> tuple[int, bytes]:
    """The tokens of the prompt, and the prompt as bytes, four to a token, in which equal prefixes are found."""
    overhead = 3 * len(ask.messages) + 3
    if count_by == "tokens":
        ids = array("I", [token for message in ask.messages for text in message for token in token_ids(text)])
        return overhead + len(ids), ids.tobytes()
    text = "".join(role + content for role, content in ask.messages)
    return overhead + math.ceil(len(text) / 4), text.encode()


def prefix_marks(prompt: bytes, namespace: str) -> list[bytes]:
    """A mark for each prefix that can be cached: 1024 tokens, and every 128 more."""
    if len(prompt) < 4096:
        return []
    digest = hashlib.blake2b(namespace.encode() + prompt[:4096], digest_size=16)
    marks = [digest.digest()]
    for start in range(4096, len(prompt) - 511, 512):
        digest.update(prompt[start : start + 512])
        marks.append(digest.digest())
    return marks


# --- Answers


class Answer(NamedTuple):
    content: str | None
    refusal: str | None
    finish_reason: str
    output_tokens: int
    reasoning_tokens: int


def make_answer(text: str, fault: str | None, ask: Ask, count_by: str) -> Answer:
    """What the model says, spoiled as the fault wants it, within the cap: reasoning comes first and counts."""
    reasoning = reasoning_tokens(ask)
    if fault == "refusal":
        return Answer(None, REFUSAL_TEXT, "stop", reasoning + count(REFUSAL_TEXT, count_by), reasoning)
    if fault == "empty_content":
        reasoning = ask.cap or REASONING_TOKENS["high"]
        return Answer("", None, "length", reasoning, reasoning)
    content = SPOILED_CONTENT[fault](text) if fault in SPOILED_CONTENT else text
    output = reasoning + count(content, count_by)
    if ask.cap is not None and output > ask.cap:
        content = cut(content, max(0, ask.cap - reasoning), count_by)
        return Answer(content, None, "length", ask.cap, min(reasoning, ask.cap))
    if fault == "length":
        return Answer(content, None, "length", ask.cap or output, reasoning)
    return Answer(content, None, "content_filter" if fault == "content_filter" else "stop", output, reasoning)


class Topic(NamedTuple):
    """What an answer is about; `item` is the key of the item that is being filled."""

    prompt: str
    definitions: Json
    item_key: str
    items: Mapping[str, str]
    item: str = ""


NO_ITEMS: Mapping[str, str] = {}


def write_by_schema(body: Json, prompt: str, item_key: str = "", items: Mapping[str, str] = NO_ITEMS) -> str:
    """JSON that satisfies the schema of the request; without one, `{"summary": ...}`.

    An array whose objects have the property `item_key` gets one object for each of `items` (key: its part of the
    prompt), in their order: whoever asks for several symbols in one request says by `Behaviour.item_marker` and
    `.item_key` how they are found and returned.
    """
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if not schema:
        return json.dumps({"summary": sentence(prompt)})
    return json.dumps(fill(schema, Topic(prompt, schema.get("$defs", {}), item_key, items)))


def parts_of(prompt: str, marker: str) -> dict[str, str]:
    """Each key that the marker finds, and the prompt from there to the next."""
    found = list(re.finditer(marker, prompt))
    ends = [*(match.start() for match in found[1:]), len(prompt)]
    return {match[1]: prompt[match.start() : end] for match, end in zip(found, ends, strict=False)}


def fill(schema: Json, topic: Topic, name: str = "") -> Any:
    schema = resolve(schema, topic)
    kind = schema.get("type")
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if kind == "object":
        return {key: fill(part, topic, key) for key, part in schema.get("properties", {}).items()}
    if kind == "array":
        return fill_array(resolve(schema["items"], topic), topic)
    if kind == "string":
        return (
            topic.item
            if topic.item and name == topic.item_key
            else sentence(topic.items.get(topic.item, topic.prompt), topic.item)
        )
    return {"integer": 1, "number": 0.5, "boolean": True}.get(str(kind))


def resolve(schema: Json, topic: Topic) -> Json:
    """Past references, and with the first of several possibilities."""
    while "$ref" in schema or "anyOf" in schema:
        reference = schema.get("$ref")
        schema = topic.definitions[reference.rsplit("/", 1)[-1]] if reference else schema["anyOf"][0]
    return schema


def fill_array(items: Json, topic: Topic) -> list[Any]:
    keyed = topic.item_key in items.get("properties", {})
    return [fill(items, topic._replace(item=key)) for key in topic.items] if keyed else [fill(items, topic)]


WORD = re.compile(r"[A-Za-z_]\w{2,}")
SPARE_WORDS = (
    "data values input result amount state record setting request answer order bounds error check limit text field"
    " cache index queue layer event source target filter"
)


# Words of a prompt that a summary may not have: whoever checks answers would reject some of them.
UNWRITTEN_WORDS = frozenset(
    [
        "callee",
        "callees",
        "caller",
        "callers",
        "called",
        "central",
        "centrality",
        "cluster",
        "clusters",
        "docstring",
        "file",
        "files",
        "invoked",
        "module",
        "needed",
        "path",
        "prompt",
        "question",
        "relied",
        "required",
        "rules",
        "shared",
        "summary",
        "symbol",
        "symbols",
        "task",
        "used",
        "user",
    ]
)


def sentence(prompt: str, salt: str = "") -> str:
    """12 to 25 different words, most of them from the prompt; the same prompt and salt give the same sentence."""
    number = zlib.crc32(f"{salt}\0{prompt}".encode())
    # A stretch of the prompt will do: the whole of a long one would cost more than everything else here.
    start = number % max(1, len(prompt) - 600)
    found = (*WORD.findall(prompt[start : start + 600]), *SPARE_WORDS.split())
    words = list(dict.fromkeys(word for word in found if word.lower() not in UNWRITTEN_WORDS))
    shuffled = words[number % 2 :: 2] + words[1 - number % 2 :: 2]
    return f"Handles {' '.join(shuffled[: 11 + number // 2 % 14])}."


# --- The server


@dataclass
class Bill:
    """What was asked and what was sold. `output_tokens` include the reasoning ones, as OpenAI's bill does."""

    requests: Counter[str] = field(default_factory=Counter)  # by HTTP status
    faults: Counter[str] = field(default_factory=Counter)
    abandoned: int = 0  # the client left before the answer was made: not billed
    disconnected: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    bought: Counter[str] = field(default_factory=Counter)  # by the symbols that `marker` finds
    prompts: Counter[str] = field(default_factory=Counter)  # by the hash of the user message
    charges: list[int] = field(default_factory=list)  # of every 200, for ideal_makespan_s
    highest_in_flight: int = 0
    arrived_at_s: list[float] = field(default_factory=list)  # since the first request
    last_answer_at_s: float = 0.0


class Usage(NamedTuple):
    input_tokens: int
    cached_tokens: int
    marks: list[bytes]


class Draw(NamedTuple):
    """What chance, or line `step` of the script, has in store for a request."""

    fault: str | None
    step: int | None
    latency_s: float


class Loopback:
    """The state of one server and what it answers; everything runs in its event loop."""

    def __init__(
        self,
        behaviour: Behaviour,
        write_answer: WriteAnswer | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        rewrite: Rewrite | None = None,
    ) -> None:
        self._write_answer = write_answer
        self._rewrite = rewrite
        self._clock_s = clock_s
        self._changed: set[asyncio.Future[None]] = set()
        self.behaviour = behaviour
        self._batches = BatchApi(self._answer_row)
        self.reset()

    def reset(self) -> None:
        """As at the start: bills, clock, limits, scripts, attempts, caches, and no files or batches."""
        self.bill = Bill()
        self.batch_bill = Bill()
        self._batches.close()
        self._batches = BatchApi(self._answer_row)
        self._row_attempts: Counter[bytes] = Counter()
        self.requests: list[Json] = []
        self._started_at: float | None = None
        self._in_flight = 0
        self._let_through = 0
        self._attempts: Counter[bytes] = Counter()
        self._cached: set[bytes] = set()
        self._turnstile = Turnstile(self.behaviour.limits)
        self.follow(self.behaviour)

    def follow(self, behaviour: Behaviour) -> None:
        """From now on like this. What was used up of a limit stays used up; the script begins anew."""
        if behaviour.count_by == "tokens":
            encoding()
        turnstile = Turnstile(behaviour.limits)
        turnstile.keep_levels_of(self._turnstile, self._now_s())
        self.behaviour = behaviour
        self._turnstile = turnstile
        self._times_left = [math.inf if step.get("times") is None else step["times"] for step in behaviour.fault_script]
        self._row_strikes = Strikes(behaviour.batch.row_script, behaviour.seed)
        served = [name for name in behaviour.models if name not in behaviour.retired_models]
        self._batches.follow(behaviour.batch, behaviour.seed, served)
        while self._changed:
            change = self._changed.pop()
            if not change.done():
                change.set_result(None)

    def _now_s(self) -> float:
        return 0.0 if self._started_at is None else self._clock_s() - self._started_at

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._answer(request)
        if self._rewrite and not request.path.startswith("/_"):
            body = response.body if isinstance(response, web.Response) else None
            if isinstance(response, web.Response) and isinstance(body, bytes) and body:
                response.body = rewritten(request.path, body, self._rewrite)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path == "/v1/chat/completions" and request.method == "POST":
                return await self._complete(request)
            if request.path.startswith("/_"):
                return web.json_response(self._control(request.path, await request.read()))
            check_key(request, self.behaviour)
            if request.path.startswith(("/v1/files", "/v1/batches")):
                return await self._batches.handle(request)
            return web.json_response(self._models(request.method, request.path))
        except ApiError as error:
            self.bill.requests[str(error.status)] += 1
            headers = {**self._headers(), **error.headers}
            return web.json_response(error.body(), status=error.status, headers=headers)

    def _control(self, path: str, raw: bytes) -> Any:
        if path == "/_behaviour":
            self.follow(behaviour_from(json.loads(raw)))
        elif path == "/_reset":
            self.reset()
        if path == "/_batch_bill":
            return {**vars(self.batch_bill), "batches": self._batches.statuses(), "calls": self._batches.calls.answered}
        return self.requests if path == "/_requests" else self._told_bill()

    def _told_bill(self) -> Json:
        return {**vars(self.bill), "in_flight": self._in_flight, "cpu_s": time.thread_time()}

    def _models(self, method: str, path: str) -> Json:
        names = [name for name in self.behaviour.models if name not in self.behaviour.retired_models]
        if method == "GET" and path == "/v1/models":
            return {"object": "list", "data": [model_object(name) for name in names]}
        if method != "GET" or not path.startswith("/v1/models/"):
            raise ApiError(404, INVALID, None, f"Invalid URL ({method} {path})")
        name = path.rsplit("/", 1)[-1]
        if name not in names:
            raise ApiError(404, INVALID, "model_not_found", f"The model '{name}' does not exist", "model")
        return model_object(name)

    async def _complete(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._started_at is None:
            self._started_at = self._clock_s()
        self.bill.arrived_at_s.append(self._now_s())
        raw = await request.read()
        check_key(request, self.behaviour)
        ask = read_ask(raw, self.behaviour)
        if self.behaviour.keep_requests:
            self.requests.append(ask.body)
        check_context(ask, len(raw), self.behaviour)
        draw = self._admit(ask)
        at_admission = self._headers()
        usage = self._count(ask)
        await self._hold(draw)
        if draw.fault in LATE_FAULTS:
            return self._fail(request, draw.fault)
        # Nothing waits between here and the sending: who leaves now has bought the answer.
        answer = self._sell(ask, draw.fault, usage, self.bill)
        headers = at_admission if self.behaviour.limit_headers_at == "admission" else self._headers()
        completion = completion_object(ask.model, answer, usage)
        return await self._send(request, ask, completion, draw.fault, headers)

    def _admit(self, ask: Ask) -> Draw:
        """Past the refusals and the limits, or an ApiError. Only what goes past them, or is refused by a fault, is an
        attempt: how often the limits sent a request away must not change what chance has in store for it."""
        draw = self._draw(ask)
        if draw.fault in REFUSALS or draw.fault in LIMIT_REFUSALS:
            self._begin(ask, draw)
            raise self._refusal(draw.fault, ask)
        if self.behaviour.max_in_flight is not None and self._in_flight >= self.behaviour.max_in_flight:
            raise self._refusal(self.behaviour.overload_fault, ask)
        refusal = self._turnstile.admit(self._now_s(), ask.charge)
        if refusal:
            raise rate_limit_error(ask.model, refusal)
        self._begin(ask, draw)
        return draw

    def _refusal(self, fault: str, ask: Ask) -> ApiError:
        wait_s = self.behaviour.fault_retry_after_s
        if fault in LIMIT_REFUSALS:
            return rate_limit_error(ask.model, LIMIT_REFUSALS[fault](ask.charge, wait_s or 0.0))
        error = REFUSALS[fault]()
        if fault == "too_many" and wait_s is not None:
            error.headers = {"retry-after": f"{wait_s:g}"}
        return error

    def _draw(self, ask: Ask) -> Draw:
        behaviour = self.behaviour
        digest = hashlib.sha256(b"%d %d " % (behaviour.seed, self._attempts[ask.key]) + ask.key).digest()
        step = next((step for step in range(len(self._times_left)) if self._strikes(step, ask)), None)
        if step is None:
            fault = pick(behaviour.fault_rates, chance(digest[:8]))
        else:
            fault = behaviour.fault_script[step]["fault"]
        if fault == "length" and not self._may_cut(ask):
            fault = None
        return Draw(fault, step, lognormal(behaviour.latency_mean_s, behaviour.latency_sigma, chance(digest[8:16])))

    def _strikes(self, step: int, ask: Ask) -> bool:
        scripted = self.behaviour.fault_script[step]
        fits = self._times_left[step] != 0 and scripted.get("contains", "") in ask.prompt
        return fits and (scripted["fault"] != "length" or self._may_cut(ask))

    def _may_cut(self, ask: Ask) -> bool:
        needed = self.behaviour.length_needs_tokens
        return needed is None or (ask.cap is not None and ask.cap < needed)

    def _begin(self, ask: Ask, draw: Draw) -> None:
        self._attempts[ask.key] += 1
        if draw.fault:
            self.bill.faults[draw.fault] += 1
        if draw.step is not None:
            self._times_left[draw.step] -= 1

    def _count(self, ask: Ask) -> Usage:
        tokens, prompt = count_prompt(ask, self.behaviour.count_by)
        marks = prefix_marks(prompt, f"{ask.model} {ask.body.get('prompt_cache_key')} ")
        known = next((index for index, mark in enumerate(marks) if mark not in self._cached), len(marks))
        return Usage(tokens, 1024 + 128 * (known - 1) if known else 0, marks)

    async def _hold(self, draw: Draw) -> None:
        self._in_flight += 1
        self.bill.highest_in_flight = max(self.bill.highest_in_flight, self._in_flight)
        try:
            await self._wait_for_leave()
            await self._work(draw)
        except asyncio.CancelledError:
            self.bill.abandoned += 1
            raise
        finally:
            self._in_flight -= 1

    async def _wait_for_leave(self) -> None:
        """Let `hold_after` requests through, and the others when the behaviour has become another."""
        while self.behaviour.hold_after is not None and self._let_through >= self.behaviour.hold_after:
            change = asyncio.get_running_loop().create_future()
            self._changed.add(change)
            try:
                await change
            finally:
                self._changed.discard(change)

    async def _work(self, draw: Draw) -> None:
        self._let_through += 1
        try:
            await asyncio.sleep(draw.latency_s)
            if draw.fault == "hang":
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self._let_through -= 1
            raise

    def _fail(self, request: web.BaseRequest, fault: str) -> web.StreamResponse:
        if fault == "server_error":
            raise ApiError(500, "server_error", None, SERVER_ERROR)
        if fault == "bad_gateway":
            self.bill.requests["502"] += 1
            return web.Response(status=502, body=BAD_GATEWAY, content_type="text/html")
        self.bill.disconnected += 1
        cancel_in_flight(request)
        return web.Response()

    def _answer_row(self, custom_id: str, body: Json, body_bytes: int) -> RowAnswer:
        try:
            ask = check_ask(body, self.behaviour)
            check_context(ask, body_bytes, self.behaviour)
            return self._execute_row(custom_id, ask)
        except ApiError as error:
            self.batch_bill.requests[str(error.status)] += 1
            return RowAnswer(error.status, error.body())

    def _execute_row(self, custom_id: str, ask: Ask) -> RowAnswer:
        fault = self._row_strikes.on(custom_id, ask.prompt, b"%d " % self._row_attempts[ask.key] + ask.key)
        self._row_attempts[ask.key] += 1
        if fault:
            self.batch_bill.faults[fault] += 1
        if fault == "expired":
            return RowAnswer(0, {}, lost=fault)
        if fault == "server_error":
            raise ApiError(500, "server_error", None, SERVER_ERROR)
        if fault in REFUSALS:
            raise self._refusal(fault, ask)
        usage = self._count(ask)
        answer = self._sell(ask, fault, usage, self.batch_bill)
        completion = completion_object(ask.model, answer, usage)
        if fault == "no_usage":
            del completion["usage"]
        used = Used(usage.input_tokens, usage.cached_tokens, answer.output_tokens, answer.reasoning_tokens)
        return RowAnswer(200, completion, used, fault if fault in LOST_ROWS else None)

    def _sell(self, ask: Ask, fault: str | None, usage: Usage, bill: Bill) -> Answer:
        behaviour = self.behaviour
        if self._write_answer:
            text = self._write_answer(ask.body, ask.prompt)
        else:
            items = parts_of(ask.prompt, behaviour.item_marker) if behaviour.item_marker else NO_ITEMS
            text = write_by_schema(ask.body, ask.prompt, behaviour.item_key, items)
        answer = make_answer(text, fault, ask, behaviour.count_by)
        self._cached.update(usage.marks)
        bill.requests["200"] += 1
        bill.input_tokens += usage.input_tokens
        bill.cached_input_tokens += usage.cached_tokens
        bill.output_tokens += answer.output_tokens
        bill.reasoning_tokens += answer.reasoning_tokens
        bill.bought.update(re.findall(behaviour.marker, ask.prompt))
        bill.prompts[ask.key.hex()[:16]] += 1
        bill.charges.append(ask.charge)
        bill.last_answer_at_s = self._now_s()
        return answer

    async def _send(
        self, request: web.BaseRequest, ask: Ask, completion: Json, fault: str | None, headers: dict[str, str]
    ) -> web.StreamResponse:
        if fault == "no_usage":
            del completion["usage"]
        body = NO_JSON if fault == "not_json_body" else json.dumps(completion).encode()
        if fault == "bad_headers":
            headers.update((name, ABSURD_VALUES[(ask.key[0] + index) % 4]) for index, name in enumerate(LIMIT_HEADERS))
        if fault == "half_answer":
            return await send_half(request, body)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _headers(self) -> dict[str, str]:
        headers = {"x-request-id": f"req_{len(self.bill.arrived_at_s):08x}", "openai-organization": "org-loopback"}
        if self.behaviour.send_limit_headers:
            headers.update(self._turnstile.headers(self._now_s()))
        return headers


def rewritten(path: str, body: bytes, rewrite: Rewrite) -> bytes:
    """A reply that is one JSON value, or one a line."""
    lines = body.splitlines() if path.endswith("/content") else [body]
    return b"\n".join(json.dumps(rewrite(path, json.loads(line))).encode() for line in lines)


def pick(rates: Mapping[str, float], chance_of_it: float) -> str | None:
    for name, rate in rates.items():
        if chance_of_it < rate:
            return name
        chance_of_it -= rate
    return None


def lognormal(mean: float, sigma: float, quantile: float) -> float:
    """The lognormal distribution that has this mean, not this median."""
    return mean * math.exp(sigma * NormalDist().inv_cdf(quantile) - sigma * sigma / 2) if sigma else mean


def model_object(name: str) -> Json:
    shutdown_date = CATALOGUE.get(name, OTHER_MODEL).shutdown_date
    identity = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"}
    return {**identity, "shutdown_date": shutdown_date}


def completion_object(model: str, answer: Answer, usage: Usage) -> Json:
    message: Json = {"role": "assistant", "content": answer.content, "refusal": answer.refusal, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": usage.input_tokens + answer.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }


def cancel_in_flight(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


async def send_half(request: web.BaseRequest, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    cancel_in_flight(request)
    return response


# --- Running it


async def serve(loopback: Loopback, announce: Callable[[str, asyncio.Event], None], port: int = 0) -> None:
    """Until the event that `announce` gets, with the base URL, is set."""
    large = partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=512 * 2**20)
    server = web.Server(loopback.handle, request_factory=large, handler_cancellation=True, access_log=None)
    # Requests that hang are cut off at once: nobody waits for them any more.
    runner = web.ServerRunner(server, shutdown_timeout=0.02)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        stop = asyncio.Event()
        announce(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", stop)
        await stop.wait()
    finally:
        await runner.cleanup()


class RunningServer:
    """A handle on a running server, in whatever thread or process; after its end it still tells the last bill."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._kept: dict[str, Any] | None = None

    def bill(self) -> Json:
        """The Bill, how many requests are in flight now, and the CPU time of the server's thread."""
        bill: Json = self._call("GET", "/_bill")
        return bill

    def batch_bill(self) -> Json:
        """What rows of batches cost, before halving it, as a Bill; the batches by status, and the calls by name."""
        bill: Json = self._call("GET", "/_batch_bill")
        return bill

    @property
    def requests(self) -> list[Json]:
        requests: list[Json] = self._call("GET", "/_requests")
        return requests

    def set_behaviour(self, behaviour: Behaviour) -> None:
        self._call("POST", "/_behaviour", json.dumps(asdict(behaviour)))

    def reset(self) -> None:
        self._call("POST", "/_reset")

    def wait_until_idle(self) -> None:
        """Return when nothing is in flight: who has just died may still have requests that are held for him."""
        wait_until(lambda: self.bill()["in_flight"] == 0, "the server to notice that its clients are gone")

    def keep(self) -> None:
        with suppress(OSError):
            self._kept = {path: self._call("GET", path) for path in ("/_bill", "/_batch_bill", "/_requests")}

    def _call(self, method: str, path: str, body: str | None = None) -> Any:
        if self._kept is not None:
            return self._kept[path]
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=60)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"{path}: {content.decode()}")
        return json.loads(content)


PLAIN = Behaviour()


@contextmanager
def running(
    behaviour: Behaviour = PLAIN,
    write_answer: WriteAnswer | None = None,
    clock_s: Callable[[], float] = time.monotonic,
    rewrite: Rewrite | None = None,
    port: int = 0,
) -> Iterator[RunningServer]:
    """The server in a thread of this process; `write_answer(request, user message)` gives an answer's content.

    `clock_s` is the time by which the limits are refilled. `rewrite` changes the JSON of every reply. It listens at
    `port`, 0 for any.
    """
    loopback = Loopback(behaviour, write_answer, clock_s, rewrite)
    ready: Future[tuple[str, Callable[[], object]]] = Future()

    def announce(base_url: str, stop: asyncio.Event) -> None:
        ready.set_result((base_url, partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)))

    thread = threading.Thread(target=lambda: asyncio.run(serve(loopback, announce, port)), name="loopback-openai")
    thread.start()
    base_url, stop = ready.result(timeout=30)
    server = RunningServer(base_url)
    try:
        yield server
    finally:
        server.keep()
        stop()
        thread.join()


@contextmanager
def running_process(behaviour: Behaviour = PLAIN) -> Iterator[RunningServer]:
    """The server in a process of its own, so that its CPU time is not its client's."""
    command = [sys.executable, "-m", "tests.loopback.openai", "--behaviour", json.dumps(asdict(behaviour))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            base_url = process.stdout.readline().strip() if process.stdout else ""
            if not base_url:
                raise RuntimeError("the loopback server did not start")
            server = RunningServer(base_url)
            yield server
            server.keep()
        finally:
            process.terminate()


def announce_on_output(base_url: str, stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "any"}
    by_hand.show(base_url, ("Clients of OpenAI", settings))


def main() -> None:
    parser = by_hand.arguments_of(__doc__)
    parser.add_argument("--behaviour", default="{}", help="a Behaviour as JSON")
    arguments = parser.parse_args()
    loopback = Loopback(behaviour_from(json.loads(arguments.behaviour)))
    asyncio.run(serve(loopback, announce_on_output, arguments.port))


if __name__ == "__main__":
    main()
