"""From a repository to its pack: the same bytes again, paid as billed, nothing paid twice, bad input in a sentence."""

import gzip
import io
import json
import os
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from doctown.__main__ import main
from doctown.assembly.symbols import check_ids
from doctown.build import BuildResult, Caller, plan_build, run_build, symbols_by_change
from doctown.commands.build import ASK_ABOVE_USD
from doctown.docpack import Pack, open_pack
from doctown.documenting import split
from doctown.embedding import EmbeddingSettings
from doctown.errors import DoctownError
from doctown.events import Event
from doctown.options import BuildOptions
from generation import Settings, SymbolContext
from generation.results.checkpoint import MAX_UNSAVED
from tests.doctown.test_analysis import write
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.loopback.s3 import MotoS3
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, running_process

KEY = "sk-loopback-key-that-nobody-may-see"
NAMED = r"(?m)^Name: (.+)$"
PROJECT: dict[str, str | bytes] = {
    "src/store.py": '''"""Keeps items."""
import json

LIMIT = 10
_hidden = 3

class Store:
    """A store of items. It is small."""

    size: int = 0

    def __init__(self, path):
        self._path = path

    def load(self):
        """Return the items."""
        return json.loads(read(self._path))

    def save(self, items):
        """Write the items."""
        return write_text(self._path, json.dumps(items))

def read(path):
    """Return a file's text."""
    return open(path).read()

def write_text(path, text):
    return open(path, "w").write(text)
''',
    "web/client.ts": """export interface Item { name: string }

/** Fetches items. */
export class Client {
  constructor(private base: string) {}
  list(): Promise<Item[]> { return fetchJson(this.base + "/items"); }
}

export function fetchJson(url: string): Promise<Item[]> { return fetch(url).then((answer) => answer.json()); }
""",
    "tests/test_store.py": "from src.store import read\n\ndef test_read():\n    assert read('x')\n",
    "README.md": "# Project\n\n[![ci](a)](b)\n\nKeeps **items** in a file.\n",
    "latin.py": "# caf\xe9\ndef cafe():\n    return 1\n".encode("latin-1"),
    "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n",
}
OFFLINE = Settings.from_env({"MODEL_NAME": "offline"})


class Told(list[Event]):
    """Keeps the events of a build."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self if event.type == kind]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "project", PROJECT)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    batches = r"(?m)^## Symbol (s\d+)$"
    behaviour = Behaviour(marker=NAMED, item_marker=batches, item_key="key", count_by="characters", keep_requests=True)
    with running(behaviour) as server:
        yield server


def options(project: Path, output: Path, **more: object) -> BuildOptions:
    return replace(BuildOptions(str(project), output, embeddings="words"), **more)  # type: ignore[arg-type]


def built(build: BuildOptions, settings: Settings = OFFLINE, told: Told | None = None) -> BuildResult:
    return run_build(build, settings, None, Caller(told if told is not None else Told(), lambda _: True, os.environ))


def with_model(server: RunningServer, **more: str) -> Settings:
    return Settings.from_env({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, **more})


def bought(server: RunningServer) -> Counter[str]:
    return Counter(server.bill()["bought"])


def documented(pack: Pack) -> dict[str, str]:
    return {node["id"]: node["documentation"]["source"] for node in pack.nodes if node["documentation"] is not None}


def refusal(build: BuildOptions, settings: Settings = OFFLINE) -> str:
    with pytest.raises(DoctownError) as refused:
        built(build, settings)
    return str(refused.value)


def test_a_build_without_a_model_gives_the_same_bytes_twice(project: Path, tmp_path: Path) -> None:
    """A repository in two languages becomes a pack that its reader takes, and again the same pack, with no folder."""
    first = built(options(project, tmp_path / "one"))
    again = built(options(project, tmp_path / "two"))
    assert first.pack.path.read_bytes() == again.pack.path.read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["project.docpack"]
    pack = open_pack(first.pack.path)
    assert set(documented(pack)) == {
        "latin.py::cafe",
        "src/store.py::LIMIT",
        "src/store.py::Store",
        "src/store.py::Store.__init__",
        "src/store.py::Store.load",
        "src/store.py::Store.save",
        "src/store.py::read",
        "src/store.py::write_text",
        "web/client.ts::Client",
        "web/client.ts::Client.constructor",
        "web/client.ts::Client.list",
        "web/client.ts::Item",
        "web/client.ts::fetchJson",
    }
    assert pack.manifest["repository"]["licence"] == "MIT"
    assert pack.manifest["repository"]["description"] == "Keeps items in a file."
    assert {file["path"]: file["status"] for file in pack.source_map["files"]} == {
        path: "skipped" if path in {"README.md", "LICENSE"} else "parsed" for path in PROJECT
    }


def test_symbols_name_those_that_are_nearest(project: Path, tmp_path: Path) -> None:
    """With vectors each symbol that has one names three others, with and without semantic context; without, none."""
    path = built(options(project, tmp_path / "one")).pack.path
    told = built(
        options(project, tmp_path / "two"), OFFLINE.model_copy(update={"include_semantic_context": True})
    ).pack.path
    assert [node.get("nearest") for node in open_pack(path).nodes] == [
        node.get("nearest") for node in open_pack(told).nodes
    ]
    near = {node["id"]: node["nearest"] for node in open_pack(path).nodes if "nearest" in node}
    assert set(near) == set(documented(open_pack(path)))
    assert {len(found) for found in near.values()} == {3}
    assert "src/store.py::Store.save" in [one["id"] for one in near["src/store.py::write_text"]]
    without = open_pack(built(options(project, tmp_path / "none", embeddings="none")).pack.path)
    assert all("nearest" not in node for node in without.nodes)


def test_places_are_those_of_the_files_bytes(project: Path, tmp_path: Path) -> None:
    """A symbol's span cuts it out of the file as it lies on the disk, whatever the file's encoding."""
    pack = open_pack(built(options(project, tmp_path / "output")).pack.path)
    span = pack.source_map["symbols"]["latin.py::cafe"]
    data = (project / "latin.py").read_bytes()
    assert data[span["start_byte"] : span["end_byte"]] == b"def cafe():\n    return 1"


def test_what_is_paid_is_what_is_billed(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """In batch mode with semantic context the pack's usage is the server's bill, and the steps are told in order."""
    told = Told()
    settings = with_model(server, BATCH_MODE="true", BATCH_SIZE="5", INCLUDE_SEMANTIC_CONTEXT="true")
    result = built(options(project, tmp_path / "output"), settings, told)
    bill = server.bill()
    usage = result.pack.manifest["documentation"]["usage"]
    assert usage["input_tokens"] == bill["input_tokens"] > 0
    assert usage["output_tokens"] == bill["output_tokens"] > 0
    assert usage["requests"] == sum(bill["requests"].values()) < 13
    assert set(documented(open_pack(result.pack.path)).values()) == {"model"}
    assert [text.split(": ")[1] for text in told.texts("step_started")] == [
        "fetch", "parse", "embed", "assemble", "document", "pack", "store",
    ]  # fmt: skip
    assert "Related symbols (nearest by embedding" in "".join(str(one) for one in server.requests)
    assert told.texts("estimate")[0].startswith("13 symbols to document with gpt-5-nano: 0 large, 0 medium, 13 small")


@pytest.mark.parametrize("semantic", ["false", "true"])
def test_only_what_has_changed_is_paid_again(
    project: Path, tmp_path: Path, server: RunningServer, semantic: str
) -> None:
    """After three functions have changed and one is gone, a second build asks for three summaries."""
    settings = with_model(server, INCLUDE_SEMANTIC_CONTEXT=semantic)
    built(options(project, tmp_path / "output"), settings)
    server.reset()
    store = project / "src/store.py"
    text = store.read_text("utf-8")
    for old, new in (
        ("open(path).read()", "open(path, 'r').read()"),
        ('open(path, "w").write(text)', 'open(path, "wt").write(text)'),
        ("json.dumps(items)", "json.dumps(items, indent=1)"),
    ):
        text = text.replace(old, new)
    store.write_text(text, "utf-8")
    (project / "latin.py").unlink()
    result = built(options(project, tmp_path / "output"), settings)
    assert bought(server) == {"read": 1, "write_text": 1, "save": 1}
    assert result.summaries.taken_over == 9
    assert Counter(documented(open_pack(result.pack.path)).values()) == {"previous": 9, "model": 3}
    assert symbols_by_change(result.difference)["removed"] == ["latin.py::cafe"]


@pytest.mark.parametrize("after", [1, 6, 11])
def test_an_interrupted_build_goes_on(project: Path, tmp_path: Path, server: RunningServer, after: int) -> None:
    """Interrupted while it documents, the same build goes on: what had arrived is not bought again."""
    settings = with_model(server, MAX_CONCURRENT_REQUESTS="1")

    class Interrupting(Told):
        def __call__(self, event: Event) -> None:
            if event.type == "progress" and event.data["name"] == "document" and event.data["done"] == after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(options(project, tmp_path / "output"), settings, Interrupting())
    assert not (tmp_path / "output/project.docpack").exists()
    result = built(options(project, tmp_path / "output"), settings)
    assert len(documented(open_pack(result.pack.path))) == 13
    assert sum(bought(server).values()) <= 13 + 1
    assert result.pack.manifest["documentation"]["usage"]["input_tokens"] <= server.bill()["input_tokens"]
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == ["project.docpack"]


def test_a_killed_build_buys_again_what_was_in_flight_and_five_more(tmp_path: Path, server: RunningServer) -> None:
    """Killed while it documents, the same build goes on from what was on disk: each summary as it came."""
    functions = 60
    project = write(
        tmp_path / "project", {"a.py": "".join(f"def f{n}():\n    return {n}\n\n" for n in range(functions))}
    )
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "MAX_CONCURRENT_REQUESTS": "3"}
    server.set_behaviour(Behaviour(marker=NAMED, count_by="characters", hold_after=40))
    command = [sys.executable, "-m", "doctown", "build", str(project), "--output", str(tmp_path / "output"), "--yes"]
    with running_process([*command, "--embeddings", "words"], environment, REPOSITORY_ROOT) as build:
        wait_until(lambda: sum(bought(server).values()) >= 40, "forty summaries to be bought")
        build.kill()
        build.wait(LIMIT_S)
    server.wait_until_idle()
    server.set_behaviour(Behaviour(marker=NAMED, count_by="characters"))
    result = built(options(project, tmp_path / "output"), Settings.from_env(environment))
    assert len(documented(open_pack(result.pack.path))) == functions
    assert sum(bought(server).values()) <= functions + 3 + MAX_UNSAVED


def test_a_plan_buys_nothing(project: Path, tmp_path: Path, server: RunningServer) -> None:
    caller = Caller(Told(), lambda _: True, os.environ)
    estimate = plan_build(options(project, tmp_path / "output"), with_model(server), None, caller)["local"]
    assert (estimate.symbols, estimate.requests, estimate.estimated_cost > 0) == (13, 13, True)
    assert server.bill()["requests"] == {}
    assert not (tmp_path / "output").exists()


def test_an_offline_plan_speaks_of_no_requests(project: Path, tmp_path: Path) -> None:
    told = Told()
    offline = Settings.from_env({"MODEL_NAME": "offline"})
    plan_build(options(project, tmp_path / "output"), offline, None, Caller(told, lambda _: True, os.environ))
    said = [*told.texts("estimate"), *told.texts("engine")]
    assert len(said) == 2
    assert all("no requests" in text for text in said)


def test_a_price_that_is_refused_buys_nothing(project: Path, tmp_path: Path, server: RunningServer) -> None:
    with pytest.raises(DoctownError, match="Nothing was bought"):
        run_build(
            options(project, tmp_path / "output"), with_model(server), None, Caller(Told(), lambda _: False, os.environ)
        )
    assert server.bill()["requests"] == {}


def test_max_symbols_takes_the_most_central(project: Path, tmp_path: Path) -> None:
    """What is over the limit is in the pack without a summary, and is no failure."""
    settings = Settings.from_env({"MODEL_NAME": "offline", "MAX_SYMBOLS": "2"})
    pack = open_pack(built(options(project, tmp_path / "output"), settings).pack.path)
    chosen = [node for node in pack.nodes if node["documentation"] is not None]
    others = [node for node in pack.nodes if node["documentation"] is None and node["kind"] == "function"]
    assert len(chosen) == 2
    assert min(node["centrality"] for node in chosen) >= max(node["centrality"] for node in others)
    assert pack.manifest["counts"]["failed"] == 0
    assert pack.manifest["warnings"][-1].startswith("11 symbols were not selected")


def test_kinds_and_tests_can_be_chosen(project: Path, tmp_path: Path) -> None:
    build = options(project, tmp_path / "output", kinds=frozenset({"function"}), include_tests=True)
    assert set(documented(open_pack(built(build).pack.path))) == {
        "latin.py::cafe",
        "src/store.py::read",
        "src/store.py::write_text",
        "tests/test_store.py::test_read",
        "web/client.ts::fetchJson",
    }


def test_a_model_that_fails_leaves_a_pack_with_failures(project: Path, tmp_path: Path) -> None:
    """A symbol that the model refuses is in the pack with its failure, and is told with its cause."""
    script = ({"fault": "refusal", "contains": "Name: write_text", "times": None},)
    behaviour = Behaviour(marker=NAMED, count_by="characters", fault_script=script)
    told = Told()
    with running(behaviour) as server:
        result = built(options(project, tmp_path / "output"), with_model(server), told)
    failed = {node["id"] for node in open_pack(result.pack.path).nodes if node["failure"] is not None}
    assert failed == {"src/store.py::write_text"}
    assert told.texts("failed")[0].startswith("failed: src/store.py::write_text: ")


def test_the_pack_goes_to_the_bucket(
    project: Path, tmp_path: Path, moto: MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = moto.environment()
    monkeypatch.setenv("AWS_CA_BUNDLE", environment["AWS_CA_BUNDLE"])
    result = built(options(project, tmp_path / "output"), Settings.from_env({**environment, "MODEL_NAME": "offline"}))
    assert moto.keys() == ["docpacks/project.docpack"]
    assert moto.get("docpacks/project.docpack") == result.pack.path.read_bytes()


def test_a_bucket_that_takes_nothing_is_found_before_anything_is_bought(
    project: Path, tmp_path: Path, server: RunningServer, moto: MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = moto.environment()
    monkeypatch.setenv("AWS_CA_BUNDLE", environment["AWS_CA_BUNDLE"])
    settings = with_model(server, **{**environment, "R2_BUCKET": "nobodys"})
    assert refusal(options(project, tmp_path / "output"), settings).startswith(
        "The bucket 'nobodys' cannot take the pack: "
    )
    assert server.bill()["requests"] == {}


def test_clusters_are_named_by_summaries_too(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """What a model says of the symbols is among the terms; written offline, summaries say nothing new."""
    offline = open_pack(built(options(project, tmp_path / "offline", clusters=1)).pack.path)
    pack = open_pack(built(options(project, tmp_path / "output", clusters=1), with_model(server)).pack.path)
    (before,), (after,) = offline.clusters["clusters"], pack.clusters["clusters"]
    said = {word for node in pack.nodes if node["documentation"] for word in words_of(node["documentation"]["summary"])}
    assert (before["members"], before["size"]) == (after["members"], after["size"])
    assert set(after["terms"]) - set(before["terms"]) <= said
    assert set(after["terms"]) & said - set(before["terms"])


def words_of(text: str) -> list[str]:
    return [word.strip(".,:;").lower() for word in text.split()]


def test_many_symbols_are_split_into_jobs() -> None:
    """The most central symbols are in the first job, and each is in one."""
    contexts = [
        SymbolContext(f"a.py::f{n}", f"f{n}", "function", "python", "a.py", centrality=n / 10) for n in range(7)
    ]
    jobs = split(contexts, "job", most=3)
    assert [(job.job_id, [one.name for one in job.contexts]) for job in jobs] == [
        ("job-1", ["f6", "f5", "f4"]),
        ("job-2", ["f3", "f2", "f1"]),
        ("job-3", ["f0"]),
    ]


def test_jobs_are_merged_in_the_pack(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctown.documenting.MAX_JOB_SYMBOLS", 5)
    monkeypatch.setattr("doctown.documenting.split.__defaults__", (5,))
    whole = built(options(project, tmp_path / "output"))
    assert len(documented(open_pack(whole.pack.path))) == 13


# --- Bad input


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "The source has no files"),
        ({"README.md": "# Nothing\n"}, "None of the source's files can be parsed"),
        ({"test_a.py": "def test_a(): pass\n"}, "The source has tests only: give --include-tests"),
    ],
    ids=["empty", "no-language", "only-tests"],
)
def test_a_source_without_code_is_refused(tmp_path: Path, files: dict[str, str], says: str) -> None:
    (tmp_path / "source").mkdir()
    write(tmp_path / "source", files)
    assert refusal(options(tmp_path / "source", tmp_path / "output")).startswith(says)


def test_two_symbols_with_one_id_are_refused() -> None:
    with pytest.raises(DoctownError, match=r"Two symbols have the id 'a\.py::f': leave their file out"):
        check_ids(["a.py::f", "a.py::g", "a.py::f"])


@pytest.mark.parametrize("explicit", [False, True], ids=["to-be-replaced", "given"])
def test_a_broken_previous_pack_is_refused_and_kept(project: Path, tmp_path: Path, explicit: bool) -> None:
    pack = tmp_path / "output/project.docpack"
    pack.parent.mkdir()
    pack.write_bytes(b"no pack")
    says = refusal(options(project, pack.parent, previous=pack if explicit else None))
    assert "it is no .docpack, or it is damaged or cut off" in says
    assert ("It would be replaced" in says) is not explicit
    assert pack.read_bytes() == b"no pack"


def test_a_previous_pack_of_another_repository_is_refused(project: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"a.py": "def f(): pass\n"})
    pack = built(options(other, tmp_path / "packs")).pack.path
    says = refusal(options(project, tmp_path / "output", previous=pack))
    assert "documents the repository 'other', not 'project'" in says


def test_an_offline_build_does_not_replace_what_was_paid(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """Where only the key is missing, a pack with a model's summaries stays; where offline is asked for, it goes."""
    pack = built(options(project, tmp_path / "output"), with_model(server)).pack.path
    before = pack.read_bytes()
    says = refusal(options(project, tmp_path / "output", may_replace_model=False))
    assert "has summaries of gpt-5-nano, which offline ones would replace" in says
    assert pack.read_bytes() == before
    assert set(documented(open_pack(built(options(project, tmp_path / "output")).pack.path)).values()) == {"offline"}


def test_an_output_that_is_no_folder_is_refused_first(project: Path, tmp_path: Path, server: RunningServer) -> None:
    (tmp_path / "output").write_text("a file")
    says = refusal(options(project, tmp_path / "output"), with_model(server))
    assert "cannot be written to (File exists): give another --output" in says
    assert server.bill()["requests"] == {}


def test_a_full_disk_is_found_before_anything_is_bought(
    project: Path, tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000))
    assert "has 5,000 bytes left" in refusal(options(project, tmp_path / "output"), with_model(server))
    assert server.bill()["requests"] == {}


def test_a_disk_that_fills_up_stops_the_buying(
    project: Path, tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was bought before is kept: the next build asks for the rest, and for what was in flight."""
    settings = with_model(server, MAX_CONCURRENT_REQUESTS="1")
    with monkeypatch.context() as patch:
        patch.setattr(
            shutil, "disk_usage", lambda _: SimpleNamespace(free=0 if sum(bought(server).values()) >= 5 else 10**9)
        )
        assert "is full: make room, and the same command goes on" in refusal(
            options(project, tmp_path / "output"), settings
        )
    assert 5 <= sum(bought(server).values()) < 13
    built(options(project, tmp_path / "output"), settings)
    assert sum(bought(server).values()) <= 13 + 1


def test_a_pack_that_cannot_be_written_loses_nothing(
    project: Path, tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up at the end costs nothing: the next build has all summaries without a request."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        patch.setattr("doctown.docpack.writer.os.fsync", full)
        assert refusal(options(project, tmp_path / "output"), with_model(server)).endswith("No space left on device.")
    once = bought(server)
    assert len(documented(open_pack(built(options(project, tmp_path / "output"), with_model(server)).pack.path))) == 13
    assert bought(server) == once


def test_a_file_that_is_not_the_model_is_refused(project: Path, tmp_path: Path) -> None:
    model = write(tmp_path / "model", {"model.onnx": "no model", "tokenizer.json": "{}"})
    build = options(project, tmp_path / "output", embeddings="minilm", embedding_settings=EmbeddingSettings(model))
    assert "tokenizer.json is no tokenizer" in refusal(build)


def test_without_a_model_file_words_are_compared(project: Path, tmp_path: Path) -> None:
    settings = EmbeddingSettings(tmp_path / "nothing")
    build = options(project, tmp_path / "output", embeddings="minilm", embedding_settings=settings)
    manifest = built(build).pack.manifest
    assert manifest["embeddings"] is None
    assert "There is no model.onnx" in manifest["warnings"][0]


# --- The command line


def command(arguments: Sequence[str], capsys: pytest.CaptureFixture[str], **environ: str) -> tuple[int, str, str]:
    code = main(arguments, {"PATH": os.environ["PATH"], **environ})
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_commands_work_on_one_pack(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Build, show, check and diff, without a key: offline, and it says so."""
    output = tmp_path / "output"
    words = ("--no-cache", "--embeddings", "words", "--output", str(output))
    code, said, _ = command(["build-llm", str(project), *words, "--llm-max-chunks", "50"], capsys)
    assert (code, said.splitlines()[0].startswith("OPENAI_API_KEY is not set: summaries are written offline")) == (
        0,
        True,
    )
    pack = output / "project.docpack"
    first = pack.read_bytes()
    assert command(["show", str(pack), "Store.load"], capsys)[0] == 0
    assert command(["check", str(pack), str(project), "--no-cache"], capsys)[0] == 0
    (project / "src/store.py").write_text("def read(path):\n    return 1\n", "utf-8")
    code, said, _ = command(["check", str(pack), str(project), "--no-cache", "--json"], capsys)
    assert (code, json.loads(said)["stale"]) == (3, ["src/store.py::read"])
    assert command(["check", str(pack), str(project), "--no-cache", "--max-stale", "1"], capsys)[0] == 0
    code, said, _ = command(["build", str(project), *words, "--json"], capsys)
    records = [json.loads(line) for line in said.splitlines()]
    assert (code, records[-1]["event"], records[-1]["changed"]) == (0, "build", ["src/store.py::read"])
    old = tmp_path / "old.docpack"
    old.write_bytes(first)
    code, said, _ = command(["diff", str(old), str(pack), "--json"], capsys)
    assert (code, list(json.loads(said)["changed"])) == (0, ["src/store.py::<module>", "src/store.py::read"])


@pytest.mark.parametrize(("days", "model"), [(-1, "gpt-5-nano"), (0, "gpt-5.6-luna")], ids=["before", "after"])
def test_builds_go_on_after_the_end_of_the_default_model(
    project: Path, tmp_path: Path, server: RunningServer, days: int, model: str
) -> None:
    """The plan, the build and the pack name the model of the day and warn; an earlier pack's summaries stay valid."""
    day = date(2026, 12, 11) + timedelta(days)
    told, settings = Told(), with_model(server)
    caller = Caller(told, lambda _: True, os.environ, lambda: day)
    build = options(project, tmp_path / "output")
    built(build, with_model(server, MODEL_NAME="gpt-5-nano"))
    server.reset()

    estimate = plan_build(build, settings, None, caller)["local"]
    assert (estimate.model, estimate.symbols) == (model, 0)
    assert sum(text.startswith("MODEL_NAME is not set, and") for text in told.texts("warning")) == 1
    told.clear()
    result = run_build(build, settings, None, caller)
    assert sum(text.startswith("MODEL_NAME is not set, and") for text in told.texts("warning")) == 1
    assert result.pack.manifest["documentation"]["model"] == model
    assert any(text.startswith("MODEL_NAME is not set") for text in result.pack.manifest["warnings"])
    assert not bought(server)
    renewed = run_build(replace(build, renew=True), settings, None, caller)
    assert len(bought(server)) == renewed.pack.manifest["counts"]["documented"]


def test_a_plan_needs_no_key(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = command(
        ["plan", str(project), "--no-cache", "--embeddings", "none", "--output", str(tmp_path / "output"), "--json"],
        capsys,
    )
    estimate = json.loads(said.splitlines()[-1])
    assert (code, estimate["model"], estimate["symbols"]) == (0, "gpt-5-nano", 13)
    assert 0 < estimate["estimated_cost"] < ASK_ABOVE_USD


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--clusters", "many"], "--clusters must be auto or a whole number above 0"),
        (["--kinds", "method,poem"], "--kinds must be some of "),
        (["--batch-size", "5000"], "BATCH_SIZE: "),
        (["--model", "gpt-5-nano"], "OPENAI_API_KEY must be set"),
        (["--previous", "nothing.docpack"], "nothing.docpack cannot be read: No such file or directory."),
    ],
    ids=["clusters", "kinds", "batch-size", "no-key", "no-previous"],
)
def test_a_bad_option_is_one_sentence(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    words = ("--no-cache", "--embeddings", "words", "--output", str(tmp_path / "output"))
    code, _, error = command(["build", str(project), *words, *arguments], capsys)
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith(f"doctown: {says}")


def test_a_pack_of_a_newer_format_is_refused(project: Path, tmp_path: Path) -> None:
    """The sentence says which program reads it, and the pack stays."""
    pack = built(options(project, tmp_path / "output")).pack.path
    newer = newer_pack(pack)
    says = refusal(options(project, tmp_path / "output"))
    assert "it has the format version 2, and this program reads versions up to 1" in says
    assert pack.read_bytes() == newer


def newer_pack(path: Path) -> bytes:
    """Put a pack of the next format version in the place of a pack; return its bytes."""
    body = json.dumps({"format": "docpack", "format_version": 2}).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        header = tarfile.TarInfo("manifest.json")
        header.size = len(body)
        tar.addfile(header, io.BytesIO(body))
    path.write_bytes(gzip.compress(archive.getvalue(), mtime=0))
    return path.read_bytes()


# --- Languages

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("language", ["python", "typescript", "rust", "go", "java"])
def test_a_repository_of_each_language_is_documented(tmp_path: Path, language: str) -> None:
    """In batch mode with semantic context the totals are the bill, the reader takes the pack, and it is built again."""
    source = shutil.copytree(CASES / language, tmp_path / language)
    script = r"(?m)^## Symbol (s\d+)$"
    behaviour = Behaviour(marker=NAMED, item_marker=script, item_key="key", count_by="characters")
    packs = []
    for output in ("one", "two"):
        with running(behaviour) as server:
            settings = with_model(server, BATCH_MODE="true", INCLUDE_SEMANTIC_CONTEXT="true")
            result = built(options(source, tmp_path / output), settings)
            bill, manifest = server.bill(), result.pack.manifest
        usage, counts = manifest["documentation"]["usage"], manifest["counts"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (bill["input_tokens"], bill["output_tokens"])
        assert usage["requests"] == sum(bill["requests"].values()) < counts["documented"]
        assert (counts["failed"], result.summaries.left_out, language in manifest["languages"]) == (0, 0, True)
        assert open_pack(result.pack.path).manifest == manifest
        packs.append(result.pack.path.read_bytes())
    assert packs[0] == packs[1]
