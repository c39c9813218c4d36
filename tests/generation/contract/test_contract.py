"""The contract's models and the committed schemas, held to what the worker really takes, returns and tells."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from doctown.jobs.contract import DOCUMENTS as JOB_DOCUMENTS
from doctown.service.openapi import SCHEMAS as SERVICE_DOCUMENTS
from generation.config import Settings
from generation.contract.examples import EXAMPLES
from generation.contract.export import DOCUMENTS, json_schema_of, openapi_components
from generation.contract.models import VERSION
from generation.errors import InputError
from generation.intake.job_input import parse_job
from generation.reporting import events, progress
from handler import make_handler
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.contexts import item, payload
from tests.support.waiting import LIMIT_S

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMAS = REPOSITORY / "schemas"
NAME = r"(?m)^Name: (.+)$"

Json = dict[str, Any]


def schema(name: str) -> Json:
    """As it is committed: what other programs validate with."""
    read: Json = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return read


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(name))


def check(name: str, document: object) -> None:
    """Raises where the document is not as the schema says."""
    validator(name).validate(document)


def check_is(type_name: str, document: object) -> None:
    """As `check`, for one type of the output and not just any of them."""
    whole = schema("output")
    jsonschema.Draft202012Validator({"$ref": f"#/$defs/{type_name}", "$defs": whole["$defs"]}).validate(document)


class AttemptResult(NamedTuple):
    """All that one job told, as it leaves the process."""

    output: Json
    snapshots: list[Json]
    events: list[Json]
    document: Json | None


class Deployment:
    """The worker's handler as RunPod's loop calls it, in this process, with results in a folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], server: RunningServer) -> None:
        self.folder = folder
        self._capsys = capsys
        self._server = server

    def run(self, job_input: object, **settings: object) -> AttemptResult:
        key = {"openai_api_key": "sk-loopback", "openai_base_url": self._server.base_url}
        given = {**key, "results_dir": self.folder / "results", **settings}
        read = Settings.from_env({name.upper(): str(value) for name, value in given.items()})
        snapshots: list[Json] = []

        async def send(_job: Json, snapshot: Any) -> None:
            snapshots.append(snapshot)

        async def handle() -> Json:
            handler = make_handler(read, send, asyncio.Event())
            return await asyncio.wait_for(handler({"id": "job-1", "input": job_input}), LIMIT_S)

        output = asyncio.run(handle())
        lines = self._capsys.readouterr().out.splitlines()
        stored = self.folder / "results" / "job-1.json"
        document = json.loads(stored.read_bytes()) if stored.is_file() else None
        return AttemptResult(as_sent(output), as_sent(snapshots), [json.loads(line) for line in lines], document)


def as_sent(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.fixture(scope="module")
def openai_server() -> Iterator[RunningServer]:
    with running(Behaviour(count_by="characters")) as server:
        yield server


@pytest.fixture
def deployment(tmp_path: Path, capsys: pytest.CaptureFixture[str], openai_server: RunningServer) -> Deployment:
    openai_server.set_behaviour(Behaviour(marker=NAME, count_by="characters"))
    return Deployment(tmp_path, capsys, openai_server)


REPOSITORY_DOCUMENTS = {**JOB_DOCUMENTS, **SERVICE_DOCUMENTS}


def check_told(told: AttemptResult) -> None:
    """Every document, snapshot and event of a job that ran is as its schema says, and none of them is missing."""
    check("output", told.output)
    check_is("JobOutput", told.output)
    check("results", told.document)
    for snapshot in told.snapshots:
        check("progress", snapshot)
    for event in told.events:
        check("events", event)
    assert told.snapshots
    assert [event["type"] for event in (told.events[0], told.events[-1])] == [events.STARTED, events.COMPLETED]


# --- The files


def test_the_committed_schemas_are_those_of_the_code(tmp_path: Path) -> None:
    """`make schemas` would change nothing: the folder holds exactly what the code says, to the byte."""
    command = [sys.executable, "builder/write_schemas.py", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=LIMIT_S)

    known = {f"{name}.schema.json" for name in (*DOCUMENTS, *REPOSITORY_DOCUMENTS)}
    assert {path.name for path in SCHEMAS.glob("*.json")} == known
    for path in SCHEMAS.glob("*.json"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), f"{path.name} is stale: run `make schemas`"


@pytest.mark.parametrize("name", [*DOCUMENTS, *REPOSITORY_DOCUMENTS])
def test_a_schema_is_one_and_says_which(name: str) -> None:
    """Each file is a valid JSON Schema of 2020-12, complete in itself, with an address of its own and a title."""
    read = schema(name)
    jsonschema.Draft202012Validator.check_schema(read)

    assert read["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert read["$id"] == f"urn:doctown:generation:{name}:v{VERSION}"
    assert read["title"] == {**DOCUMENTS, **REPOSITORY_DOCUMENTS}[name].__name__
    assert all(ref.startswith("#/$defs/") and ref.removeprefix("#/$defs/") in read["$defs"] for ref in refs(read))


def refs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (ref for key, ref in value.items() if key == "$ref")
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from refs(part)


def test_the_components_of_openapi_are_the_same_types() -> None:
    """OpenAPI gets every document and every type of the schemas, each with references that lead somewhere in it."""
    components = openapi_components()

    types = {name for document in DOCUMENTS for name in json_schema_of(document)["$defs"]}
    assert set(components) == types | {model.__name__ for model in DOCUMENTS.values()}
    prefix = "#/components/schemas/"
    assert all(ref.startswith(prefix) and ref.removeprefix(prefix) in components for ref in refs(components))


def test_every_key_of_the_input_says_what_it_means() -> None:
    """Whoever reads the input's schema is told of each key, context field and option what it is."""
    read = schema("input")
    places = {"input": read, **{name: read["$defs"][name] for name in ("SymbolItem", "SymbolContext", "JobOptions")}}
    silent = [
        f"{place}.{key}"
        for place, definition in places.items()
        for key, value in definition["properties"].items()
        if "description" not in value and "$ref" not in value
    ]
    assert silent == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_one(name: str) -> None:
    """Each example is shown with its type, and the type's own schema takes it."""
    components = openapi_components()
    assert components[name]["examples"] == [EXAMPLES[name]]
    if name == "GenerationInput":
        check("input", EXAMPLES[name])
    else:
        check_is(name, EXAMPLES[name])


# --- In


INPUTS: list[tuple[object, bool]] = [
    (payload(3), True),
    (payload(2, model="offline", dry_run=True, max_cost_usd=0.5), True),
    ({"symbols_key": "inputs/job.jsonl.gz", "job_id": "a.b-c_1"}, True),
    ({"symbols_key": "inputs/job.jsonl", "symbols": None}, True),
    ({"symbols": [item("a", related_symbols=["b", {"name": "c", "similarity": 0.5}], embedding=[0.5, 1])]}, True),
    ({"symbols": [item("a", unknown_field=1)]}, True),
    ({}, False),
    (None, False),
    ({**payload(1), "symbols_key": "both"}, False),
    ({**payload(1), "symbol": []}, False),
    ({**payload(1), "job_id": "with blanks"}, False),
    ({**payload(1), "job_id": 1}, False),
    ({"symbols": {}}, False),
    (payload(1, unknown=1), False),
    (payload(1, batch_size=0), False),
    (payload(1, callees_first="yes"), False),
    (payload(1, model=""), False),
]


@pytest.mark.parametrize(("job_input", "good"), INPUTS)
def test_the_schema_of_the_input_takes_what_the_worker_takes(job_input: object, *, good: bool) -> None:
    """What the worker reads as a job the schema takes, and what it refuses as a whole the schema refuses."""
    assert validator("input").is_valid(job_input) is good
    if good:
        parse_job(job_input, "job-1")
    else:
        with pytest.raises(InputError):
            parse_job(job_input, "job-1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol_id": "a"},
        {**item("a"), "note": "unknown"},
        item("a", centrality=2),
        item("a", calls="b"),
        item("a", embedding=["1"]),
        {"symbol_id": "a", "context": {"symbol_id": "a", "name": "a"}},
    ],
)
def test_a_symbol_that_the_worker_would_fail_is_refused(deployment: Deployment, wrong: Json) -> None:
    """A symbol of which the worker makes an invalid one is one that the schema does not take."""
    told = deployment.run({"symbols": [wrong, item("reserve")]}, model_name="offline")

    assert [one["failure"] for one in told.output["failed_symbols"]] == ["invalid_symbol"]
    assert not validator("input").is_valid({"symbols": [wrong, item("reserve")]})
    check_told(told)


def test_the_job_beside_the_worker_is_one() -> None:
    """test_input.json, which `make run` documents, is as the schema says."""
    check("input", json.loads((REPOSITORY / "test_input.json").read_bytes())["input"])


# --- Out


def test_what_an_offline_job_tells(deployment: Deployment) -> None:
    """A job without a model: output, document, progress and events."""
    check_told(deployment.run(payload(12), model_name="offline"))


def test_what_a_job_of_a_model_tells(deployment: Deployment, openai_server: RunningServer) -> None:
    """A job of a model, with symbols that fail, checks that find fault, and requests of several symbols."""
    poisonous = {"fault": "refusal", "contains": "Name: reserve"}
    openai_server.set_behaviour(Behaviour(marker=NAME, count_by="characters", fault_script=(poisonous,)))
    told = deployment.run(payload(24, batch_mode=True, min_centrality=0.1, output_language="German"))

    check_told(told)
    assert told.output["status"] == "partial"
    assert told.document is not None
    assert any(one.get("checks", {}).get("findings") for one in told.document["documented_symbols"])
    kinds = {event["type"] for event in told.events}
    assert kinds == {events.STARTED, events.SYMBOL_DOCUMENTED, events.SYMBOL_FAILED, events.COMPLETED}


def test_an_output_without_its_symbols(deployment: Deployment) -> None:
    """An output too large for its symbols is as the schema says, and has none of the lists."""
    told = deployment.run(payload(60), model_name="offline", max_output_bytes=2_000)

    check_told(told)
    assert "documented_symbols" not in told.output
    assert told.output["results"]["key"] == "results/job-1.json"


def test_an_output_that_could_not_be_stored(deployment: Deployment) -> None:
    """Where the results cannot be stored the output says null of where they are, as the schema lets it."""
    (deployment.folder / "results").write_text("a file, and no folder", encoding="utf-8")
    told = deployment.run(payload(3), model_name="offline")

    check_is("JobOutput", told.output)
    assert told.output["results"] is None


def test_a_dry_run(deployment: Deployment) -> None:
    """The plan of a job, with a symbol that is none."""
    told = deployment.run({"symbols": [*payload(5)["symbols"], {"symbol_id": "x"}], "options": {"dry_run": True}})

    check("output", told.output)
    check_is("PlannedOutput", told.output)


@pytest.mark.parametrize(
    ("job_input", "fault", "failure"),
    [
        ({"symbols": []}, None, "bad_input"),
        (payload(2), "quota", "no_quota"),
        (payload(2, max_cost_usd=1e-9), None, "estimate_above_cap"),
        ({"symbols_key": "inputs/none"}, None, "storage"),
    ],
)
def test_a_job_that_could_not_run(
    deployment: Deployment, openai_server: RunningServer, job_input: object, fault: str | None, failure: str
) -> None:
    """Whatever kept a job from running, what is returned is a sentence and a code."""
    script = ({"fault": fault},) if fault else ()
    openai_server.set_behaviour(Behaviour(count_by="characters", fault_script=script))
    told = deployment.run(job_input)

    check("output", told.output)
    check_is("JobFailure", told.output)
    assert told.output["failure"] == failure
    for event in told.events:
        check("events", event)


def test_the_types_are_those_that_the_code_gives() -> None:
    """Events and progress go under the names that the schemas give them."""
    named = set(schema("events")["discriminator"]["mapping"])
    assert named == {events.STARTED, events.SYMBOL_DOCUMENTED, events.SYMBOL_FAILED, events.COMPLETED}
    assert schema("progress")["properties"]["type"]["const"] == progress.PROGRESS


OPTIONAL = {
    "output": {"documented_symbols", "failed_symbols", "removed", "figures"},
    "results": {"removed", "checkpoint"},
}


def test_a_document_with_another_key_or_without_one_is_none(deployment: Deployment) -> None:
    """The schemas are strict: one key more, or one of the required ones less, and a real document is not valid."""
    told = deployment.run(payload(4), model_name="offline")
    real = {"output": told.output, "results": told.document, "events": told.events[1], "progress": told.snapshots[-1]}
    for name, document in real.items():
        assert document is not None
        check(name, document)
        assert not validator(name).is_valid({**document, "new_key": 1})
        for key in document.keys() - OPTIONAL.get(name, set()):
            assert not validator(name).is_valid(without(document, key)), f"{name} without {key}"
    symbol = told.output["documented_symbols"][0]
    for wrong in ({**symbol, "source": "guess"}, {**symbol, "tokens_used": 1.5}, without(symbol, "summary")):
        output = {**copy.deepcopy(told.output), "documented_symbols": [wrong]}
        assert not validator("output").is_valid(output)


def without(document: Json, key: str) -> Json:
    return {name: value for name, value in document.items() if name != key}
