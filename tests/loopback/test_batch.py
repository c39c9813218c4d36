"""That the loopback server's Files and Batch API behaves as OpenAI's does, through the real client and plain HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import openai
import pytest

from tests.loopback.openai import BatchBehaviour, Behaviour, RunningServer, running, running_process
from tests.loopback.test_openai import client, request
from tests.support.waiting import LIMIT_S, wait_until

URL: Final = "/v1/chat/completions"


def cheap(**batch: Any) -> Behaviour:
    return Behaviour(count_by="characters", batch=BatchBehaviour(**batch))


def row(number: int, **changes: Any) -> dict[str, Any]:
    body = request(f"symbol_id: a.py:f{number}\ndef f{number}(items): return sum(items)")
    return {"custom_id": f"row-{number}", "method": "POST", "url": URL, "body": body, **changes}


def lines_of(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


def upload(sdk: openai.OpenAI, content: bytes, **options: Any) -> str:
    return sdk.files.create(file=("rows.jsonl", content), purpose="batch", **options).id


def begin(sdk: openai.OpenAI, content: bytes) -> str:
    file_id = upload(sdk, content)
    return sdk.batches.create(input_file_id=file_id, endpoint=URL, completion_window="24h").id


def wait_for(sdk: openai.OpenAI, batch_id: str, *statuses: str) -> openai.types.Batch:
    wait_until(lambda: sdk.batches.retrieve(batch_id).status in statuses, f"a batch to be {' or '.join(statuses)}")
    return sdk.batches.retrieve(batch_id)


ENDED = ("completed", "failed", "expired", "cancelled")


def ended(sdk: openai.OpenAI, content: bytes) -> openai.types.Batch:
    return wait_for(sdk, begin(sdk, content), *ENDED)


def first_error(batch: openai.types.Batch) -> openai.types.BatchError:
    assert batch.errors
    assert batch.errors.data
    return batch.errors.data[0]


def read(sdk: openai.OpenAI, file_id: str | None) -> dict[str, Any]:
    """The lines of a file by their custom ids."""
    assert file_id is not None
    lines = [json.loads(line) for line in sdk.files.content(file_id).text.splitlines()]
    return {line["custom_id"]: line for line in lines}


def test_a_batch_is_answered_out_of_order_and_billed_row_by_row() -> None:
    """Each row's answer is a chat completion; usage, bill and the rows' own usages agree."""

    async def run(server: RunningServer) -> tuple[openai.types.Batch, str]:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as sdk:
            content = lines_of([row(number) for number in range(40)])
            file = await sdk.files.create(file=("rows.jsonl", content), purpose="batch")
            begun = await sdk.batches.create(
                input_file_id=file.id, endpoint=URL, completion_window="24h", metadata={"shard": "7"}
            )
            assert begun.status == "validating"
            batch = await sdk.batches.retrieve(begun.id)
            while batch.status != "completed":
                await asyncio.sleep(0.01)
                batch = await sdk.batches.retrieve(batch.id)
            return batch, (await sdk.files.content(str(batch.output_file_id))).text

    with running(cheap()) as server:
        batch, text = asyncio.run(run(server))
    answers = [json.loads(line) for line in text.splitlines()]
    ids = [answer["custom_id"] for answer in answers]
    assert sorted(ids) == sorted(f"row-{number}" for number in range(40))
    assert ids != [f"row-{number}" for number in range(40)]
    assert {(answer["response"]["status_code"], answer["error"]) for answer in answers} == {(200, None)}
    assert "summary" in json.loads(answers[0]["response"]["body"]["choices"][0]["message"]["content"])
    usages = [answer["response"]["body"]["usage"] for answer in answers]
    assert (batch.metadata, batch.model, batch.error_file_id) == ({"shard": "7"}, "gpt-5-nano", None)
    assert batch.request_counts
    assert batch.usage
    assert batch.request_counts.to_dict() == {"total": 40, "completed": 40, "failed": 0}
    assert batch.usage.output_tokens == sum(usage["completion_tokens"] for usage in usages)
    assert (
        batch.created_at <= int(batch.in_progress_at or 0) <= int(batch.completed_at or 0) < int(batch.expires_at or 0)
    )
    bill = server.batch_bill()
    assert (bill["input_tokens"], bill["output_tokens"]) == (batch.usage.input_tokens, batch.usage.output_tokens)
    assert bill["bought"] == {f"a.py:f{number}": 1 for number in range(40)}
    assert bill["batches"] == {"completed": 1}
    assert server.bill()["requests"] == {}, "the bill of chat completions is another"


def test_what_is_bought_twice_shows() -> None:
    """A symbol bought by two batches stands twice in the bill."""
    with running(cheap()) as server, client(server) as sdk:
        for _ in range(2):
            ended(sdk, lines_of([row(1), row(2)]))
    assert server.batch_bill()["bought"] == {"a.py:f1": 2, "a.py:f2": 2}


BAD_FILES = [
    (b"", "empty_file", None),
    (b"{\n", "invalid_json_line", 1),
    (lines_of([row(1)]) + b"\n" + lines_of([row(2)]), "invalid_json_line", 2),
    (lines_of([row(1), [1]]), "invalid_json_line", 2),
    (lines_of([row(1), row(1)]), "duplicate_custom_id", 2),
    (lines_of([row(1, custom_id=None)]), "missing_required_parameter", 1),
    (lines_of([row(1, body=None)]), "missing_required_parameter", 1),
    (lines_of([row(1, method="GET")]), "invalid_method", 1),
    (lines_of([row(1, url="/v1/responses")]), "invalid_url", 1),
    (lines_of([row(1, body=request(model="gpt-9"))]), "model_not_found", 1),
    (lines_of([row(1), row(2, body=request(model="gpt-5-mini"))]), "mismatched_model", 2),
    (lines_of([row(number) for number in range(6)]), "too_many_requests", None),
]


def test_a_bad_file_fails_its_batch_and_nothing_is_bought() -> None:
    """Each fault of a file is told with its line; the batch fails and has no files."""
    with running(cheap(max_requests=5)) as server, client(server) as sdk:
        for content, code, line in BAD_FILES:
            batch = ended(sdk, content)
            error = first_error(batch)
            assert (batch.status, error.code, error.line) == ("failed", code, line)
            assert (batch.output_file_id, batch.error_file_id) == (None, None)
            assert batch.request_counts
            assert batch.request_counts.total == 0
    assert server.batch_bill()["bought"] == {}


def test_a_body_is_checked_when_its_row_is_executed() -> None:
    """What a chat completion would refuse is refused row by row; with no row answered there is no output file."""
    with running(cheap()) as server, client(server) as sdk:
        batch = ended(sdk, lines_of([row(1, body=request(temperature=0.2))]))
        assert (batch.status, batch.output_file_id) == ("completed", None)
        failed = read(sdk, batch.error_file_id)["row-1"]
    assert (failed["response"]["status_code"], failed["error"]) == (400, None)
    assert failed["response"]["body"]["error"]["code"] == "unsupported_value"
    assert batch.request_counts
    assert batch.request_counts.failed == 1


def test_the_queue_holds_so_many_tokens_until_batches_have_ended() -> None:
    """A batch beyond the account's queued tokens fails as a whole, and fits when the one before it has ended."""
    content = lines_of([row(1)])
    tokens = -(-len("You document code." + row(1)["body"]["messages"][1]["content"]) // 4)
    with running(cheap(enqueued_tokens=tokens, in_progress_s=LIMIT_S)) as server, client(server) as sdk:
        first = begin(sdk, content)
        wait_for(sdk, first, "in_progress")
        second = ended(sdk, content)
        assert (second.status, first_error(second).code) == ("failed", "token_limit_exceeded")
        sdk.batches.cancel(first)
        wait_for(sdk, first, "cancelled")
        wait_for(sdk, begin(sdk, content), "in_progress")


def test_files_can_be_listed_fetched_and_deleted() -> None:
    """Files are listed page by page, expire when they are told to, and are gone when deleted."""
    with running(cheap()) as server, client(server) as sdk:
        ids = [upload(sdk, b"{}\n", expires_after={"anchor": "created_at", "seconds": 3600}) for _ in range(3)]
        file = sdk.files.retrieve(ids[0])
        assert (file.filename, file.bytes, file.purpose) == ("rows.jsonl", 3, "batch")
        assert file.expires_at == file.created_at + 3600
        assert [one.id for one in sdk.files.list(limit=2, order="asc")] == ids
        assert [one.id for one in sdk.files.list(purpose="batch_output")] == []
        assert sdk.files.content(ids[0]).content == b"{}\n"
        assert sdk.files.delete(ids[0]).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.files.retrieve(ids[0])


def test_batches_are_listed_the_newest_first() -> None:
    """However many there are, pages of the list join up."""
    with running(cheap()) as server, client(server) as sdk:
        ids = [begin(sdk, lines_of([row(1)])) for _ in range(5)]
        first = sdk.batches.list(limit=2)
        assert ([one.id for one in first.data], first.has_more) == (ids[:2:-1], True)
        assert [one.id for one in sdk.batches.list(limit=2)] == ids[::-1]
        with pytest.raises(openai.BadRequestError):
            sdk.batches.list(limit=101)


def test_calls_that_make_no_sense_are_refused() -> None:
    """Unknown ids, another window, a file of another name or too large a one, no key."""
    with running(cheap(max_file_bytes=10)) as server, client(server) as sdk:
        good = {"input_file_id": upload(sdk, b"{}\n"), "endpoint": URL, "completion_window": "24h"}
        changes: list[dict[str, Any]] = [{"completion_window": "1h"}, {"endpoint": "/v1/other"}]
        for change in [*changes, {"input_file_id": "file-none"}, {"metadata": {"k" * 65: "v"}}]:
            with pytest.raises(openai.BadRequestError):
                sdk.post("/batches", body={**good, **change}, cast_to=object)
        with pytest.raises(openai.BadRequestError):
            sdk.files.create(file=("rows.txt", b"{}\n"), purpose="batch")
        with pytest.raises(openai.BadRequestError):
            upload(sdk, b"{}\n", expires_after={"anchor": "created_at", "seconds": 60})
        with pytest.raises(openai.APIStatusError, match="10 bytes"):
            upload(sdk, b"x" * 11)
        with pytest.raises(openai.NotFoundError):
            sdk.batches.retrieve("batch_none")
        with pytest.raises(openai.ConflictError):
            sdk.batches.cancel(ended(sdk, b"{}\n").id)
        connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
        connection.request("GET", "/v1/batches")
        assert connection.getresponse().status == 401
        connection.close()


def test_a_batch_goes_through_its_stages_and_its_counts_grow() -> None:
    """Each stage takes its time, which may change meanwhile; rows are finished one after the other."""
    stages = dict.fromkeys(("validating_s", "in_progress_s", "finalizing_s"), 100 * LIMIT_S)
    completed = []
    with running(cheap(**stages)) as server, client(server) as sdk:
        batch_id = begin(sdk, lines_of([row(number) for number in range(20)]))
        assert sdk.batches.retrieve(batch_id).status == "validating"
        for stage, then in (("validating_s", "in_progress"), ("in_progress_s", "finalizing")):
            stages[stage] = 0.0
            server.set_behaviour(cheap(**stages))
            counts = wait_for(sdk, batch_id, then).request_counts
            assert counts
            completed.append(counts.completed)
        server.set_behaviour(cheap())
        wait_for(sdk, batch_id, "completed")
    assert completed[0] < 20
    assert completed[1] == 20


def test_a_cancelled_batch_keeps_what_was_answered() -> None:
    """After `cancelling` comes `cancelled`, with the rows that were finished and billed, and no others."""
    with running(cheap(in_progress_s=LIMIT_S, cancelling_s=0.1)) as server, client(server) as sdk:
        batch_id = begin(sdk, lines_of([row(number) for number in range(20)]))
        wait_until(lambda: bool(sdk.batches.retrieve(batch_id).request_counts.completed), "a row")  # type: ignore[union-attr]
        assert sdk.batches.cancel(batch_id).status == "cancelling"
        batch = wait_for(sdk, batch_id, *ENDED)
        kept = read(sdk, batch.output_file_id)
        assert batch.status == "cancelled"
        assert batch.request_counts
        assert 0 < len(kept) == batch.request_counts.completed < 20
        assert batch.error_file_id is None
    assert sum(server.batch_bill()["bought"].values()) == len(kept)


def test_scripted_rows_fail_each_in_its_own_way() -> None:
    """Rows may expire, be refused, be spoiled, be lost, or come as half a line; only what was generated is billed."""
    faults = ("expired", "server_error", "overloaded", "truncated_json", "missing", "no_usage", "broken_line")
    script = [{"fault": fault, "only": [f"row-{number}"]} for number, fault in enumerate(faults)]
    with running(cheap(row_script=script)) as server, client(server) as sdk:
        batch = ended(sdk, lines_of([row(number) for number in range(8)]))
        failed = read(sdk, batch.error_file_id)
        lines = sdk.files.content(str(batch.output_file_id)).text.splitlines()
    good = {line["custom_id"]: line["response"]["body"] for line in map(parsed, lines) if line}
    assert batch.status == "expired"
    assert (failed["row-0"]["response"], failed["row-0"]["error"]["code"]) == (None, "batch_expired")
    assert [failed[f"row-{number}"]["response"]["status_code"] for number in (1, 2)] == [500, 503]
    assert sorted(good) == ["row-3", "row-5", "row-7"]
    assert parsed(good["row-3"]["choices"][0]["message"]["content"]) is None
    assert "usage" not in good["row-5"]
    assert sum(parsed(line) is None for line in lines) == 1
    assert server.batch_bill()["bought"] == {f"a.py:f{number}": 1 for number in range(3, 8)}
    assert server.batch_bill()["faults"] == Counter(faults)


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_chance_falls_on_the_content_of_rows() -> None:
    """The same share of rows expires whichever way they are ordered; another attempt draws anew."""
    behaviour = cheap(row_script=[{"fault": "expired", "share": 0.5}])
    rows = [row(number) for number in range(40)]
    expired: list[set[str]] = []
    for order in (rows, rows[::-1]):
        with running(behaviour) as server, client(server) as sdk:
            batches = [ended(sdk, lines_of(order)) for _ in range(2)]
            expired.extend(set(read(sdk, batch.error_file_id)) for batch in batches)
    assert expired[:2] == expired[2:]
    assert 10 < len(expired[0]) < 30
    assert expired[0] != expired[1]


def test_fates_end_batches_whatever_is_in_them() -> None:
    """The nth batch fails, meets the token limit, expires or is cancelled at half-time."""
    fates = [(1, "failed"), (2, "token_limit_exceeded"), (3, "expired"), (4, "cancelled")]
    content = lines_of([row(number) for number in range(10)])
    with running(cheap(fates=fates, list_cancelled_rows=True)) as server, client(server) as sdk:
        batches = [ended(sdk, content) for _ in range(5)]
        assert [batch.status for batch in batches] == ["failed", "failed", "expired", "cancelled", "completed"]
        assert first_error(batches[1]).code == "token_limit_exceeded"
        for batch, code in ((batches[2], "batch_expired"), (batches[3], "batch_cancelled")):
            done, dropped = read(sdk, batch.output_file_id), read(sdk, batch.error_file_id)
            assert (len(done), len(dropped)) == (5, 5)
            assert {line["error"]["code"] for line in dropped.values()} == {code}
    assert sum(server.batch_bill()["bought"].values()) == 5 + 5 + 10


def test_calls_fail_before_or_after_they_were_carried_out() -> None:
    """A connection that breaks after the batch was begun leaves a batch behind, which the list shows."""
    post, get = "POST /v1/batches", "GET /v1/batches/{id}"
    script = [
        {"fault": "disconnect", "only": [post], "times": 1},
        {"fault": "disconnect_after", "only": [post], "times": 1},
        {"fault": "server_error_after", "only": [post], "times": 1},
        {"fault": "too_many", "only": [get], "times": 1},
        {"fault": "server_error", "only": [get], "times": 1},
    ]
    with running(cheap(call_script=script, retry_after_s=3)) as server, client(server) as sdk:
        file_id = upload(sdk, lines_of([row(1)]))
        for wanted, error in ((0, openai.APIConnectionError), (1, openai.APIConnectionError), (2, openai.APIError)):
            with pytest.raises(error):
                sdk.batches.create(input_file_id=file_id, endpoint=URL, completion_window="24h")
            assert len(sdk.batches.list().data) == wanted
        batch_id = sdk.batches.list().data[0].id
        with pytest.raises(openai.RateLimitError) as caught:
            sdk.batches.retrieve(batch_id)
        assert caught.value.response.headers["retry-after"] == "3"
        with pytest.raises(openai.InternalServerError):
            sdk.batches.retrieve(batch_id)
        wait_for(sdk, batch_id, "completed")
    calls = server.batch_bill()["calls"]
    assert (calls[f"{post} broken"], calls[f"{post} 500"], calls[f"{get} 429"]) == (2, 1, 1)
    assert server.batch_bill()["bought"] == {"a.py:f1": 2}


@pytest.mark.slow
def test_a_process_of_its_own_takes_thousands_of_rows() -> None:
    """Behaviour goes there as JSON, a reset forgets files and batches, and 5,000 rows are no matter."""
    with running_process(cheap(fates=[(1, "cancelled")])) as server, client(server) as sdk:
        assert ended(sdk, lines_of([row(1), row(2)])).status == "cancelled"
        server.reset()
        server.set_behaviour(cheap())
        assert list(sdk.batches.list()) == []
        batch = ended(sdk, lines_of([row(number) for number in range(5000)]))
        assert batch.status == "completed"
        assert len(read(sdk, batch.output_file_id)) == 5000
        assert server.bill()["cpu_s"] < 10


def test_a_script_that_nobody_could_play_is_refused() -> None:
    """Unknown faults, keys and fates are errors of whoever wrote them."""
    bad_rows: list[dict[str, Any]] = [
        {"row_script": [{"fault": "hang"}]},
        {"row_script": [{"fault": "expired", "x": 1}]},
    ]
    for bad in [*bad_rows, {"call_script": [{"fault": "expired"}]}, {"fates": [(1, "lost")]}]:
        with pytest.raises(ValueError, match="unknown"):
            cheap(**bad)
