"""The algorithm of openai-cookbook's `examples/api_request_parallel_processor.py`, told the limits.

Written anew after the original, step for step: one loop that looks every millisecond; two capacities that start full
and are refilled by the clock; a request leaves when both hold enough, retries before new ones; five attempts; a file
that is appended to. Faithful in two places where one would rather not be: a request's tokens are its prompt's plus
`max_tokens`, or 15 where that is not given; and the pause of 15 seconds follows an error whose code is "429", which
OpenAI's 429s do not carry, so it never comes. Left out: logging, and other end points than chat completions.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import tiktoken

from benchmarks.clients.stage import API_KEY, Run, Task, perform

POLL_INTERVAL_S = 0.001
PAUSE_AFTER_429_S = 15
MAX_ATTEMPTS = 5
DEFAULT_MAX_TOKENS = 15
NO_LIMIT_PER_MIN = 1e9
HEADERS = {"Authorization": f"Bearer {API_KEY}"}


class Capacity:
    """Units that may still be used; full at the start and refilled by the clock."""

    def __init__(self, per_min: float | None) -> None:
        self._per_min = per_min or NO_LIMIT_PER_MIN
        self.left = self._per_min
        self._at_s = time.time()

    def refill(self) -> None:
        now_s = time.time()
        self.left = min(self.left + self._per_min * (now_s - self._at_s) / 60, self._per_min)
        self._at_s = now_s


@dataclass
class Request:
    body: dict[str, Any]
    tokens: int
    attempts_left: int = MAX_ATTEMPTS


class Processor:
    """One pass over a list of requests."""

    def __init__(self, task: Task, session: aiohttp.ClientSession, encoding: tiktoken.Encoding, results: Path) -> None:
        self._url = f"{task.base_url}/chat/completions"
        self._requests = Capacity(task.requests_per_min)
        self._tokens = Capacity(task.tokens_per_min)
        self._session = session
        self._encoding = encoding
        self._results = results
        self._retries: asyncio.Queue[Request] = asyncio.Queue()
        self._calls: set[asyncio.Task[None]] = set()
        self._in_progress = 0
        self._last_429_s = 0.0
        self.succeeded = 0

    async def process(self, bodies: list[dict[str, Any]]) -> None:
        todo = iter(bodies)
        waiting: Request | None = None
        while True:
            waiting = waiting or self._next(todo)
            self._requests.refill()
            self._tokens.refill()
            if waiting and self._requests.left >= 1 and self._tokens.left >= waiting.tokens:
                self._call(waiting)
                waiting = None
            if self._in_progress == 0:
                return
            await asyncio.sleep(POLL_INTERVAL_S)
            pause_s = self._last_429_s + PAUSE_AFTER_429_S - time.time()
            if pause_s > 0:
                await asyncio.sleep(pause_s)

    def _next(self, todo: Iterator[dict[str, Any]]) -> Request | None:
        if not self._retries.empty():
            return self._retries.get_nowait()
        body = next(todo, None)
        if body is None:
            return None
        self._in_progress += 1
        return Request(body, self._count(body))

    def _count(self, body: dict[str, Any]) -> int:
        tokens = 2 + int(body.get("max_tokens", DEFAULT_MAX_TOKENS))
        for message in body["messages"]:
            tokens += 4 + sum(len(self._encoding.encode(value)) for value in message.values())
        return tokens

    def _call(self, request: Request) -> None:
        self._requests.left -= 1
        self._tokens.left -= request.tokens
        request.attempts_left -= 1
        call = asyncio.create_task(self._ask(request))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _ask(self, request: Request) -> None:
        try:
            async with self._session.post(self._url, headers=HEADERS, json=request.body) as response:
                answer = await response.json()
        except (aiohttp.ClientError, ValueError) as error:
            answer = {"error": {"code": type(error).__name__}}
        if "error" not in answer:
            self.succeeded += 1
        elif answer["error"]["code"] == "429":
            self._last_429_s = time.time()
        if "error" in answer and request.attempts_left:
            self._retries.put_nowait(request)
            return
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps([request.body, answer]) + "\n")
        self._in_progress -= 1


async def prepare(task: Task) -> Run:
    bodies = task.bodies()
    encoding = tiktoken.get_encoding("o200k_base")

    async def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            async with aiohttp.ClientSession() as session:
                processor = Processor(task, session, encoding, Path(folder) / "results.jsonl")
                await processor.process(bodies)
        return processor.succeeded

    return run


if __name__ == "__main__":
    perform(prepare)
