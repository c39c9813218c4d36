"""OpenAI's Files and Batch API, which the loopback server answers beside its chat completions: late and out of order.

`tests.loopback.openai` serves it; `Behaviour.batch` says what it is like. Here files and batches are kept and moved on,
from `validating` to their end. What the answer to a row says, and whose bill it goes on, is told by `answer_row`.

The statuses, the limits and the codes `token_limit_exceeded` and `batch_expired` are as documented. The other codes of
a batch that failed, the refusal of a file that is too large, what is told of rows that a cancel left over, and a list
that does not show a new batch at once are as users have reported them, or guessed: nobody should decide by them.
Left out: end points other than chat completions, the expiry of files and of batches by the clock, limits on calls and
on batches an hour, and the tokenizer where queued tokens are counted: there, four characters are a token.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, NoReturn

from aiohttp import BodyPartReader, web

from tests.loopback.faults import AFTER, BEFORE, CALL_FAULTS, REFUSALS, Calls, Script, check_script
from tests.loopback.limits import INVALID, UNREADABLE, ApiError, Json, invalid, read_messages

ENDPOINT = "/v1/chat/completions"
DAY_S = 24 * 60 * 60
EXPIRY_S = (60 * 60, 30 * DAY_S)
# What may become of a batch, whatever is in it: `Behaviour.batch.fates`.
FATES = ("failed", "token_limit_exceeded", "expired", "cancelled")
# Rows that come back in no file, or as half a line; both are sold. `expired` ones are not.
LOST_ROWS = ("expired", "missing", "broken_line")
EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
CANCELLED = {"code": "batch_cancelled", "message": "This request was not executed because the batch was cancelled."}
ENDED = ("failed", "completed", "expired", "cancelled")
ERRORS_SHOWN = 50
# How soon a batch hears that its stages take another time.
LOOK_EVERY_S = 0.05
# The event loop must live while rows are read and answered.
ROWS_PER_READ = 200


@dataclass(frozen=True)
class BatchBehaviour:
    """What the Batch API is like. The scripts are those of loopback_faults."""

    validating_s: float = 0.0
    in_progress_s: float = 0.0
    finalizing_s: float = 0.0
    cancelling_s: float = 0.0
    max_file_bytes: int = 200_000_000
    max_requests: int = 50_000
    enqueued_tokens: int | None = None  # of all batches of a model that have not ended
    fates: Sequence[tuple[int, str]] = ()  # (2, "failed"): so the second batch ends; the last two fates at half-time
    row_script: Script = ()  # names are custom ids, texts user messages; faults: LOST_ROWS and those of an answer
    call_script: Script = ()  # names are as in "GET /v1/batches/{id}"; faults: CALL_FAULTS
    retry_after_s: float = 0.02
    unlisted_looks: int = 0  # so often the list of batches does not yet show one that was just created
    list_cancelled_rows: bool = False  # documented is only that finished rows are kept

    def __post_init__(self) -> None:
        check_script(self.call_script, CALL_FAULTS)
        unknown = {fate for _, fate in self.fates} - {*FATES}
        if unknown:
            raise ValueError(f"unknown fates: {sorted(unknown)}")


class Used(NamedTuple):
    """Tokens: of input, of it cached, of output, of it reasoning."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0

    def plus(self, other: Used) -> Used:
        return Used(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class RowAnswer(NamedTuple):
    """What became of a row: an HTTP answer, or one of LOST_ROWS."""

    status: int
    body: Json
    used: Used = Used()
    lost: str | None = None


# Asked with the custom id, the body and its bytes at most.
AnswerRow = Callable[[str, Json, int], RowAnswer]

# --- Files and batches


@dataclass
class File:
    id: str
    filename: str
    purpose: str
    content: bytes
    expires_after_s: int | None
    created_at: int = field(default_factory=lambda: int(time.time()))

    def as_json(self) -> Json:
        expires_at = None if self.expires_after_s is None else self.created_at + self.expires_after_s
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "expires_at": expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Row(NamedTuple):
    """Where a request stands in its file: kept as bytes, since 50,000 of them as objects would fill the memory."""

    custom_id: str
    start: int
    end: int


STAMPS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


@dataclass
class Batch:
    """One batch and how far it is."""

    id: str
    asked: Json
    input: File
    fate: str | None
    unlisted_looks: int = 0
    status: str = "validating"
    created_at: int = field(default_factory=lambda: int(time.time()))
    stamps: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    model: str | None = None
    queued_tokens: int = 0
    errors: list[Json] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    used: Used = field(default_factory=Used)
    output: list[bytes] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    file_ids: dict[str, str] = field(default_factory=dict)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def move(self, status: str) -> None:
        self.status = status
        self.stamps[f"{status}_at"] = int(time.time())

    async def wait_until(self, due_s: Callable[[], float]) -> None:
        """Until the time is up or the batch is cancelled; a change of the behaviour may change the time meanwhile."""
        while not self.cancelled.is_set() and (left_s := due_s() - time.monotonic()) > 0:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.cancelled.wait(), min(left_s, LOOK_EVERY_S))

    def as_json(self) -> Json:
        used = self.used
        usage = {
            "input_tokens": used.input,
            "input_tokens_details": {"cached_tokens": used.cached},
            "output_tokens": used.output,
            "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.input + used.output,
        }
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "model": self.model,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input.id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.file_ids.get("output"),
            "error_file_id": self.file_ids.get("error"),
            "created_at": self.created_at,
            "expires_at": self.created_at + DAY_S,
            **{f"{status}_at": self.stamps.get(f"{status}_at") for status in STAMPS},
            "request_counts": {key: self.counts[key] for key in ("total", "completed", "failed")},
            "usage": usage,
            "metadata": self.asked.get("metadata"),
        }


# --- What an input file must look like


def batch_error(code: str, message: str, param: str | None = None, line: int | None = None) -> Json:
    return {"code": code, "line": line, "message": message, "param": param}


def read_row(line: bytes) -> Json | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def row_error(row: Json | None, number: int, known: set[str], models: Sequence[str], model: str | None) -> Json | None:
    """What is wrong with a line, as far as it fails the whole batch: bodies are checked when they are executed."""
    if row is None:
        return batch_error("invalid_json_line", "This line is not parseable as valid JSON.", None, number)
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if not isinstance(row.get(name), kind):
            return batch_error("missing_required_parameter", f"Missing required parameter: '{name}'.", name, number)
    if row["custom_id"] in known:
        message = "The custom_id for this request is a duplicate of another request in the same file."
        return batch_error("duplicate_custom_id", message, "custom_id", number)
    if row["method"] != "POST":
        return batch_error("invalid_method", "The method of a request must be POST.", "method", number)
    if row["url"] != ENDPOINT:
        message = "The URL provided for this request does not match the batch endpoint."
        return batch_error("invalid_url", message, "url", number)
    return model_error(row["body"].get("model"), number, models, model)


def model_error(given: Any, number: int, models: Sequence[str], model: str | None) -> Json | None:
    if given not in models:
        message = f"The provided model '{given}' is not supported by the Batch API."
        return batch_error("model_not_found", message, "body.model", number)
    if model not in (None, given):
        message = f"The model '{given}' does not match '{model}': all requests of a batch must be for one model."
        return batch_error("mismatched_model", message, "body.model", number)
    return None


def characters(body: Json) -> int:
    try:
        return sum(len(text) for _, text in read_messages(body))
    except ApiError:
        return 0


# --- The API


class BatchApi:
    """The files and batches of one account; everything runs in the server's event loop."""

    def __init__(self, answer_row: AnswerRow) -> None:
        self._answer_row = answer_row
        self._files: dict[str, File] = {}
        self._batches: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._made = 0
        self.calls = Calls()

    def follow(self, behaviour: BatchBehaviour, seed: int, models: Sequence[str]) -> None:
        self._behaviour = behaviour
        self._seed = seed
        self._models = models
        self.calls.play(behaviour.call_script, seed)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def statuses(self) -> Counter[str]:
        return Counter(batch.status for batch in self._batches.values())

    async def handle(self, request: web.BaseRequest) -> web.Response:
        parts = request.path.split("/")[2:]
        name = f"{request.method} /v1/" + "/".join([*parts[:1], *(["{id}"] if parts[1:] else []), *parts[2:]])
        status: int | None = None
        fault = self.calls.begin(name)
        try:
            response = await self._answer(request, parts, fault)
            status = None if str(fault).startswith("disconnect") else response.status
        finally:
            self.calls.end(name, status)
        if status is None and request.transport is not None:
            request.transport.close()
        return response

    async def _answer(self, request: web.BaseRequest, parts: list[str], fault: str | None) -> web.Response:
        try:
            if fault in BEFORE:
                self._fail(fault)
            answer = await self._route(request, parts)
            if fault in AFTER:
                self._fail(fault)
        except ApiError as error:
            return web.json_response(error.body(), status=error.status, headers=error.headers)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/octet-stream")
        return web.json_response(answer)

    def _fail(self, fault: str | None) -> NoReturn:
        if fault == "too_many":
            headers = {"retry-after": f"{self._behaviour.retry_after_s:g}"}
            raise ApiError(429, "requests", "rate_limit_exceeded", "Too many requests.", headers=headers)
        if fault in REFUSALS:
            raise ApiError(REFUSALS[fault], "invalid_request_error", None, "On purpose.")
        raise ApiError(500, "server_error", None, "The server had an error while processing your request.")

    async def _route(self, request: web.BaseRequest, parts: list[str]) -> Json | bytes:
        if parts[0] == "files":
            return await self._call_files(request, parts[1:])
        return await self._call_batches(request, parts[1:])

    async def _call_files(self, request: web.BaseRequest, parts: list[str]) -> Json | bytes:
        match [request.method, *parts]:
            case ["POST"]:
                return (await self._upload(request)).as_json()
            case ["GET"]:
                wanted = request.query.get("purpose")
                files = [file.as_json() for file in self._files.values() if wanted in (None, file.purpose)]
                return page(files, request.query, 10_000, 10_000)
            case ["GET", file_id]:
                return self._file(file_id).as_json()
            case ["GET", file_id, "content"]:
                return self._file(file_id).content
            case ["DELETE", file_id]:
                del self._files[self._file(file_id).id]
                return {"id": file_id, "object": "file", "deleted": True}
        raise ApiError(404, INVALID, None, f"Invalid URL ({request.method} {request.path})")

    async def _call_batches(self, request: web.BaseRequest, parts: list[str]) -> Json:
        match [request.method, *parts]:
            case ["POST"]:
                return self._begin(read_json(await request.read())).as_json()
            case ["GET"]:
                query = {key: value for key, value in request.query.items() if key != "order"}
                return page([batch.as_json() for batch in self._listed()], query, 20, 100)
            case ["GET", batch_id]:
                return self._batch(batch_id).as_json()
            case ["POST", batch_id, "cancel"]:
                return self._cancel(self._batch(batch_id)).as_json()
        raise ApiError(404, INVALID, None, f"Invalid URL ({request.method} {request.path})")

    # Files.

    def _new_id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}{self._made:08x}"

    def _file(self, file_id: str) -> File:
        if file_id not in self._files:
            raise ApiError(404, INVALID, None, f"No such File object: {file_id}", "id")
        return self._files[file_id]

    async def _upload(self, request: web.BaseRequest) -> File:
        if request.content_type != "multipart/form-data":
            raise invalid("The request must be multipart/form-data.", "file")
        form: dict[str, str] = {}
        filename, content = "", None
        reader = await request.multipart()
        while isinstance(part := await reader.next(), BodyPartReader):
            if part.name == "file":
                filename, content = part.filename or "", bytes(await part.read())
            else:
                form[part.name or ""] = await part.text()
        if content is None or "purpose" not in form:
            missing = "file" if content is None else "purpose"
            raise invalid(f"Missing required parameter: '{missing}'.", missing)
        if form["purpose"] == "batch":
            self._check_input_file(filename, content)
        return self._keep(filename, form["purpose"], content, read_expiry(form, form["purpose"]))

    def _check_input_file(self, filename: str, content: bytes) -> None:
        if not filename.endswith(".jsonl"):
            raise invalid("Invalid file format for Batch API. Must be .jsonl", "file")
        if len(content) > self._behaviour.max_file_bytes:
            most = f"larger than the {self._behaviour.max_file_bytes} bytes that a batch may have"
            raise ApiError(413, INVALID, None, f"The file is {most}.", "file")

    def _keep(self, filename: str, purpose: str, content: bytes, expires_after_s: int | None) -> File:
        file = File(self._new_id("file-"), filename, purpose, content, expires_after_s)
        self._files[file.id] = file
        return file

    # Batches.

    def _batch(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            raise ApiError(404, INVALID, None, f"No batch found with id '{batch_id}'.", "batch_id")
        return self._batches[batch_id]

    def _begin(self, asked: Json) -> Batch:
        check_batch(asked)
        file = self._files.get(str(asked.get("input_file_id")))
        if file is None or file.purpose != "batch":
            raise invalid("Invalid 'input_file_id': there is no such file of purpose 'batch'.", "input_file_id")
        number = len(self._batches) + 1
        fate = next((fate for nth, fate in self._behaviour.fates if nth == number), None)
        batch = Batch(self._new_id("batch_"), asked, file, fate, self._behaviour.unlisted_looks)
        self._batches[batch.id] = batch
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch

    def _listed(self) -> list[Batch]:
        shown = [batch for batch in self._batches.values() if not batch.unlisted_looks]
        for batch in self._batches.values():
            batch.unlisted_looks = max(0, batch.unlisted_looks - 1)
        return shown

    def _cancel(self, batch: Batch) -> Batch:
        if batch.status in ENDED:
            raise ApiError(409, INVALID, None, f"Cannot cancel a batch with status '{batch.status}'.")
        if not batch.cancelled.is_set():
            batch.move("cancelling")
            batch.cancelled.set()
        return batch

    async def _run(self, batch: Batch) -> None:
        await self._pass(batch, lambda: self._behaviour.validating_s)
        batch.errors = [] if batch.cancelled.is_set() else await self._validate(batch)
        if batch.errors:
            batch.move("failed")
            return
        if not batch.cancelled.is_set():
            batch.counts["total"] = len(batch.rows)
            batch.move("in_progress")
            await self._process(batch)
        if not batch.cancelled.is_set():
            batch.move("finalizing")
            await self._pass(batch, lambda: self._behaviour.finalizing_s)
        if batch.cancelled.is_set():
            await asyncio.sleep(self._behaviour.cancelling_s)
        self._write_files(batch)
        expired = "expired" if batch.counts["expired"] else "completed"
        batch.move("cancelled" if batch.cancelled.is_set() else expired)

    async def _pass(self, batch: Batch, takes_s: Callable[[], float]) -> None:
        started_s = time.monotonic()
        await batch.wait_until(lambda: started_s + takes_s())

    async def _validate(self, batch: Batch) -> list[Json]:
        errors = await self._read_rows(batch)
        if batch.fate == "failed":
            return [batch_error("server_error", "The batch could not be processed.")]
        if errors:
            return errors
        if not batch.rows:
            return [batch_error("empty_file", "The input file of a batch must hold a request.")]
        if len(batch.rows) > self._behaviour.max_requests:
            most = f"which exceeds the maximum of {self._behaviour.max_requests}"
            return [batch_error("too_many_requests", f"This batch contains {len(batch.rows)} requests, {most}.")]
        return self._enqueue(batch)

    async def _read_rows(self, batch: Batch) -> list[Json]:
        content, start, number, known = batch.input.content, 0, 0, set[str]()
        errors: list[Json] = []
        queued = 0
        while start < len(content) and len(errors) < ERRORS_SHOWN:
            newline = content.find(b"\n", start)
            end = len(content) if newline < 0 else newline
            number += 1
            row = read_row(content[start:end])
            error = row_error(row, number, known, self._models, batch.model)
            if error or row is None:
                errors.extend([error] if error else [])
            else:
                known.add(row["custom_id"])
                batch.model = row["body"]["model"]
                batch.rows.append(Row(row["custom_id"], start, end))
                queued += characters(row["body"])
            start = end + 1
            if number % ROWS_PER_READ == 0:
                await asyncio.sleep(0)
        batch.queued_tokens = math.ceil(queued / 4)
        return errors

    def _enqueue(self, batch: Batch) -> list[Json]:
        most = self._behaviour.enqueued_tokens
        waiting = [other for other in self._batches.values() if other.status not in (*ENDED, "validating")]
        queued = batch.queued_tokens + sum(other.queued_tokens for other in waiting if other.model == batch.model)
        if batch.fate != "token_limit_exceeded" and (most is None or queued <= most):
            return []
        which = f"for {batch.model} in organization org-loopback. Limit: {most or 0:,} enqueued tokens"
        advice = "Please try again once some in_progress batches have been completed."
        return [batch_error("token_limit_exceeded", f"Enqueued token limit reached {which}. {advice}")]

    async def _process(self, batch: Batch) -> None:
        started_s = time.monotonic()
        rows = shuffled(batch.rows, self._seed)
        at_once = max(1, min(ROWS_PER_READ, len(rows) // 20))
        half = len(rows) // 2 if batch.fate in ("expired", "cancelled") else len(rows)
        for done, row in enumerate(rows):
            if done % at_once == 0:
                await asyncio.sleep(0)
                share = done / len(rows)
                await batch.wait_until(partial(self._due_s, started_s, share))
            if done == half and batch.fate == "cancelled" and not batch.cancelled.is_set():
                self._cancel(batch)
            if batch.cancelled.is_set():
                self._drop(batch, rows[done:])
                return
            self._execute(batch, row, expired=done >= half)
        await batch.wait_until(partial(self._due_s, started_s, 1.0))

    def _due_s(self, started_s: float, share: float) -> float:
        return started_s + self._behaviour.in_progress_s * share

    def _drop(self, batch: Batch, rows: list[Row]) -> None:
        if self._behaviour.list_cancelled_rows:
            batch.failures.extend(self._line(row, None, CANCELLED) for row in rows)
            batch.counts["failed"] += len(rows)

    def _execute(self, batch: Batch, row: Row, *, expired: bool) -> None:
        answer = RowAnswer(0, {}, lost="expired")
        if not expired:
            line = json.loads(batch.input.content[row.start : row.end])
            answer = self._answer_row(row.custom_id, line["body"], row.end - row.start)
        batch.used = batch.used.plus(answer.used)
        good = answer.status == 200
        batch.counts["completed" if good else "failed"] += 1
        if answer.lost == "expired":
            batch.counts["expired"] += 1
            batch.failures.append(self._line(row, None, EXPIRED))
        elif answer.lost != "missing":
            response = {"status_code": answer.status, "request_id": self._new_id("req_"), "body": answer.body}
            written = self._line(row, response, None)
            (batch.output if good else batch.failures).append(half_of(written) if answer.lost else written)

    def _line(self, row: Row, response: Json | None, error: Json | None) -> bytes:
        line = {"id": self._new_id("batch_req_"), "custom_id": row.custom_id, "response": response, "error": error}
        return json.dumps(line).encode() + b"\n"

    def _write_files(self, batch: Batch) -> None:
        expires_after_s = (batch.asked.get("output_expires_after") or {}).get("seconds", EXPIRY_S[1])
        for kind, lines in (("output", batch.output), ("error", batch.failures)):
            if lines:
                name = f"{batch.id}_{kind}.jsonl"
                batch.file_ids[kind] = self._keep(name, "batch_output", b"".join(lines), expires_after_s).id
            lines.clear()


def half_of(line: bytes) -> bytes:
    return line[: len(line) // 2] + b"\n"


def shuffled(rows: list[Row], seed: int) -> list[Row]:
    """By the content, in an order that is never the input's."""
    result = sorted(rows, key=lambda row: zlib.crc32(f"{seed} {row.custom_id}".encode()))
    return result if result != rows else result[::-1]


def read_json(raw: bytes) -> Json:
    try:
        body = json.loads(raw)
    except ValueError:
        raise invalid(UNREADABLE) from None
    if not isinstance(body, dict):
        raise invalid(UNREADABLE)
    return body


def check_batch(asked: Json) -> None:
    for name, accepted in (("endpoint", ENDPOINT), ("completion_window", "24h")):
        if asked.get(name) != accepted:
            raise invalid(f"Invalid value for '{name}'. Supported values are: '{accepted}'.", name, "invalid_value")
    metadata = asked.get("metadata") or {}
    texts = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not texts or len(metadata) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        raise invalid("Invalid 'metadata': at most 16 keys of 64 characters with texts of 512.", "metadata")
    expiry = asked.get("output_expires_after")
    if expiry is not None:
        check_expiry(expiry, "output_expires_after")


def check_expiry(expiry: Any, param: str) -> int:
    seconds = expiry.get("seconds") if isinstance(expiry, dict) and expiry.get("anchor") == "created_at" else None
    if not isinstance(seconds, int) or not EXPIRY_S[0] <= seconds <= EXPIRY_S[1]:
        raise invalid(f"Invalid '{param}': from created_at on, 3600 to 2592000 seconds.", param)
    return seconds


def read_expiry(form: Mapping[str, str], purpose: str) -> int | None:
    """Seconds; a form has a field for each key. Input files of batches expire in any case."""
    given = {key: form[f"expires_after[{key}]"] for key in ("anchor", "seconds") if f"expires_after[{key}]" in form}
    if not given:
        return EXPIRY_S[1] if purpose == "batch" else None
    seconds = int(given["seconds"]) if given.get("seconds", "").isdecimal() else None
    return check_expiry({**given, "seconds": seconds}, "expires_after")


def page(objects: list[Json], query: Mapping[str, str], usual: int, most: int) -> Json:
    """The newest first, unless `order` is asc."""
    ordered = objects if query.get("order") == "asc" else objects[::-1]
    limit = query.get("limit", str(usual))
    if not limit.isdecimal() or not 1 <= int(limit) <= most:
        raise invalid(f"Invalid 'limit': from 1 to {most}.", "limit")
    ids = [one["id"] for one in ordered]
    if "after" in query and query["after"] not in ids:
        raise invalid("Invalid 'after': there is no such object.", "after")
    start = ids.index(query["after"]) + 1 if "after" in query else 0
    data = ordered[start : start + int(limit)]
    more = len(ordered) > start + len(data)
    bounds = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data, **bounds, "has_more": more}
