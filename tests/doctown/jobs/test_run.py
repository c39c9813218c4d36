"""A repository as a job: its pack is in the store, what was bought is bought once, and nothing of the source stays."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import re
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from doctown.events import STEPS
from doctown.jobs import RepositoryProgress, parse_repository_job, run_repository_job
from doctown.jobs.keys import kept_as, pack_name, repository_folder
from doctown.jobs.stored import StoredPack
from doctown.jobs.work_folder import work_folder
from doctown.repository import address
from generation import JobError, Settings
from generation.storage import lease
from tests.doctown.repository.repositories import git, make_repository, write_files
from tests.loopback.git_http import GitServer, running_git_server
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.folders import files_below
from tests.support.waiting import wait_until
from tests.support.worker_process import REPOSITORY_ROOT

KEY = "sk-loopback-key-that-nobody-may-see"
BEHAVIOUR = Behaviour(marker=r"(?m)^Name: (.+)$", count_by="characters")
FUNCTIONS = 7
FILES = {
    "a.py": "".join(f"def f{n}():\n    return {n}\n\n" for n in range(FUNCTIONS)),
    "core/b.py": "def inside():\n    return 1\n",
}

SCHEMAS = REPOSITORY_ROOT / "schemas"

Json = dict[str, Any]


def schema(name: str) -> Json:
    read: Json = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return read


class Store(NamedTuple):
    """The folder that stands for the bucket: `tests/test_repository_jobs.py` has a real one."""

    folder: Path

    def keys(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in files_below(self.folder))

    def get(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def put(self, key: str, body: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


class World(NamedTuple):
    """A git server with the repository `demo`, a model, a store, and how to run jobs with them."""

    git: GitServer
    folder: Path
    openai: RunningServer
    store: Store
    environ: dict[str, str]
    work: Path

    @property
    def url(self) -> str:
        return f"{self.git.url}/open/demo"

    def input(self, **options: Any) -> Json:
        return {"repository": {"url": self.url, "ref": "main"}, "options": {"embeddings": "words", **options}}

    async def start(
        self,
        job_input: Json,
        watch: Callable[[RepositoryProgress], None] = lambda _: None,
        stopping: asyncio.Event | None = None,
    ) -> Json:
        settings = Settings.from_env(self.environ)
        jsonschema.validate(job_input, schema("repository_input"))

        def checked(progress: RepositoryProgress) -> None:
            jsonschema.validate(progress.snapshot(), schema("repository_progress"))
            watch(progress)

        output = await run_repository_job(
            job_input, settings, job_id="job-1", environ=self.environ, watch=checked, stopping=stopping
        )
        jsonschema.validate(output, schema("repository_output"))
        return dict(output)

    def run(self, job_input: Json) -> Json:
        return asyncio.run(self.start(job_input))

    def refusal(self, job_input: Json) -> tuple[str, str]:
        with pytest.raises(JobError) as refused:
            self.run(job_input)
        return refused.value.failure, str(refused.value)

    def bought(self) -> Counter[str]:
        return Counter(self.openai.bill()["bought"])

    def change(self, files: dict[str, bytes | str]) -> None:
        write_files(self.folder / "demo", files)
        git(self.folder / "demo", "commit", "--quiet", "--all", "--message=next")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    work = tmp_path / "work"
    work.mkdir()
    make_repository(tmp_path / "repositories/demo", FILES)
    with running_git_server(tmp_path / "repositories", tls=True) as server, running(BEHAVIOUR) as openai:
        monkeypatch.setattr(tempfile, "tempdir", str(work))
        environ = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": server.ca_bundle,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": openai.base_url,
            "MAX_CONCURRENT_REQUESTS": "1",
            "GIT_HOSTS": server.url.removeprefix("https://"),
            "GIT_PRIVATE_NETWORKS": "127.0.0.1/32",
            "RESULTS_DIR": str(tmp_path / "store"),
        }
        yield World(server, tmp_path / "repositories", openai, Store(tmp_path / "store"), environ, work)
        assert list(work.iterdir()) == []


def test_a_repository_becomes_a_pack_in_the_bucket(world: World) -> None:
    """The output has the pack, its counts and the bill, progress is in order, and nothing else is in the bucket."""
    seen: list[Any] = []
    job_input = {"repository": {"url": world.url}, "options": {"embeddings": "words"}}
    output = asyncio.run(world.start(job_input, lambda progress: seen.append(progress.snapshot()["payload"])))
    assert output["status"] == "success"
    (key,) = world.store.keys()
    assert re.fullmatch(r"docpacks/127\.0\.0\.1-\d+-[0-9a-f]{12}/open/demo/demo\.docpack", key)
    body = world.store.get(key)
    assert output["docpack"] == {
        "bucket": None,
        "key": key,
        "url": None,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert output["embeddings"] is None
    bill = world.openai.bill()
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"] > 0
    assert (output["documented_count"], output["counts"]["documented"]) == (FUNCTIONS + 1, FUNCTIONS + 1)
    assert output["repository"]["url"] == world.url
    assert set(world.bought().values()) == {1}
    check_progress(seen)


def check_progress(seen: list[Any]) -> None:
    """Snapshots are cumulative, and in the order of the steps."""
    assert [name for name, _ in itertools.groupby(one["name"] for one in seen)] == list(STEPS)
    for earlier, later in itertools.pairwise(seen):
        for key in ("step", "completed", "failed", "total", "total_tokens", "total_cost", "elapsed_ms"):
            assert earlier[key] <= later[key]
        for name, counts in earlier["counts"].items():
            assert counts["done"] <= later["counts"][name]["done"] <= later["counts"][name]["total"]
    assert seen[-1]["counts"]["document"] == {"done": FUNCTIONS + 1, "total": FUNCTIONS + 1}
    assert seen[-1]["counts"]["parse"] == {"done": 2, "total": 2}
    assert seen[-1]["total_tokens"] > 0


def test_only_what_has_changed_is_bought_again(world: World) -> None:
    """A second job takes the pack in the bucket for its earlier one: it buys the changed one."""
    first = world.run(world.input())
    world.openai.reset()
    world.change({"core/b.py": "def inside():\n    return 2\n"})
    second = world.run(world.input())
    assert world.bought() == {"inside": 1}
    assert (second["taken_over_count"], second["documented_count"]) == (FUNCTIONS, FUNCTIONS + 1)
    assert second["docpack"]["key"] == first["docpack"]["key"]
    assert len(world.store.keys()) == 1


def test_one_repository_has_one_pack_in_every_spelling(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a host ignores case, a job with another spelling finds what a job has stored or kept, and buys nothing."""
    (world.folder / "Demo").symlink_to("demo")
    spelled = {**world.input(), "repository": {"url": f"{world.git.url}/open/Demo", "ref": "main"}}
    monkeypatch.setattr(address, "HOSTS_IGNORING_CASE", {world.git.url.removeprefix("https://")})
    first = world.run(spelled)
    second = world.run(world.input())
    assert world.store.keys() == [f"{repository_folder(world.url, None)}/{pack_name(world.url)}"]
    assert (first["taken_over_count"], second["taken_over_count"]) == (0, FUNCTIONS + 1)
    assert set(world.bought().values()) == {1}


OLD_KEPT = f"checkpoints/{kept_as('docpacks/Owner/Repo/@Core')}"


@pytest.mark.parametrize(
    ("url", "stored", "found"),
    [
        ("https://github.com/Owner/Repo", "docpacks/owner/repo/repo.docpack", "owner/repo/@Core/repo"),
        ("https://github.com/owner/Repo", "docpacks/Owner/Repo/@Core/Repo.docpack", "Owner/Repo/@Core/Repo"),
        ("https://github.com/owner/repo", "docpacks/Owner/Repo/@core/Repo.docpack", "owner/repo/@Core/repo"),
        ("https://github.com/Owner/Repo", f"{OLD_KEPT}/1-000000.jsonl", "Owner/Repo/@Core/repo"),
        ("https://github.com/Owner/Repo", f"{OLD_KEPT}.vectors/vectors.npz", "Owner/Repo/@Core/repo"),
        ("https://example.org/Owner/Repo", "docpacks/owner/repo/repo.docpack", "example.org/Owner/Repo/@Core/Repo"),
    ],
    ids=["none", "capitals", "another folder", "kept", "vectors", "another host"],
)
def test_a_pack_under_capitals_keeps_its_key(tmp_path: Path, url: str, stored: str, found: str) -> None:
    """A pack of an earlier version, and what one has bought without a pack, is gone on with where it is."""
    Store(tmp_path).put(stored, b"anything")
    job = parse_repository_job({"repository": {"url": url, "subdir": "Core"}}, "job-1")
    places = asyncio.run(StoredPack.of(job, Settings.from_env({"RESULTS_DIR": str(tmp_path)})))
    assert (places.key, places.previous_key) == (f"docpacks/{found}.docpack",) * 2


def test_vectors_are_in_the_bucket_and_are_not_computed_again(world: World) -> None:
    """The file beside the pack is what the output says, and the next job fetches its vectors from the cache."""
    world.environ["EMBEDDING_MODEL_PATH"] = str(REPOSITORY_ROOT / "models/minilm-l6")
    first = world.run(world.input(model="offline", embeddings="minilm"))
    body, pointer = world.store.get(first["embeddings"]["key"]), first["embeddings"]
    assert (len(body), hashlib.sha256(body).hexdigest()) == (pointer["bytes"], pointer["sha256"])
    (cache_key,) = (key for key in world.store.keys() if key.startswith("checkpoints/"))  # noqa: SIM118 - no mapping
    cached = world.store.get(cache_key)
    written_ns = (world.store.folder / cache_key).stat().st_mtime_ns
    again = world.run(world.input(model="offline", embeddings="minilm"))
    assert again["embeddings"] == first["embeddings"]
    assert world.store.get(cache_key) == cached
    assert (world.store.folder / cache_key).stat().st_mtime_ns == written_ns


def test_out_of_time_before_it_buys_it_says_so(world: World) -> None:
    """A deadline that is over when the source is there costs nothing, and is no fault of the repository."""
    failure, sentence = world.refusal(world.input(deadline_s=0.001))
    assert failure == "deadline_exceeded"
    assert "send the job again" in sentence or "has passed" in sentence
    assert world.bought() == {}


def test_a_dry_run_buys_and_stores_nothing(world: World) -> None:
    output = world.run(world.input(dry_run=True))
    assert (output["status"], output["plan"]["symbols"], output["plan"]["requests"]) == (
        "planned",
        FUNCTIONS + 1,
        FUNCTIONS + 1,
    )
    assert output["plan"]["estimated_cost"] > 0
    assert world.bought() == {}
    assert world.store.keys() == []


def test_a_folder_and_an_archive_have_packs_of_their_own(world: World, tmp_path: Path) -> None:
    """A folder of the repository, and an archive in the bucket, become packs under keys of their own."""
    of_folder = world.run({"repository": {"url": world.url, "subdir": "core"}, "options": {"embeddings": "words"}})
    archive = tmp_path / "demo.tar.gz"
    git(world.folder / "demo", "archive", "--output", str(archive), "HEAD")
    world.store.put("uploads/demo.tar.gz", archive.read_bytes())
    of_archive = world.run({"archive_key": "uploads/demo.tar.gz", "options": {"embeddings": "words"}})
    assert of_folder["documented_count"] == 1
    assert of_folder["docpack"]["key"].endswith("/open/demo/@core/demo.docpack")
    assert of_archive["documented_count"] == FUNCTIONS + 1
    assert of_archive["docpack"]["key"] == "docpacks/@archives/uploads/demo.tar.gz/demo.docpack"
    assert len(world.store.keys()) == 3


def test_what_cannot_run_is_a_sentence_and_costs_nothing(world: World, tmp_path: Path) -> None:
    """Each cause has its code, and the earlier pack is named by its key; nothing is bought."""
    world.store.put("docpacks/broken.docpack", b"no pack")
    own_key = f"{repository_folder(world.url, 'core')}/{pack_name(world.url)}"
    world.store.put(own_key, b"no pack")
    repository = {"url": world.url}
    cases: list[tuple[Json, str, str]] = [
        ({"repository": {"url": f"{world.git.url}/open/none"}}, "bad_source", "is not there or is private"),
        ({"repository": {"url": "https://github.com/o/r"}}, "bad_source", "another host"),
        ({"repository": {**repository, "ref": "nowhere"}}, "bad_source", "has no branch or tag nowhere"),
        ({"repository": {**repository, "subdir": "none"}}, "bad_source", "none"),
        ({"archive_key": "results/a.zip"}, "bad_input", "archive_key must not begin with results/"),
        ({"archive_key": "a.zip"}, "storage", "a.zip"),
        ({"repository": repository, "previous_docpack_key": "a.docpack"}, "bad_input", "must begin with docpacks/"),
        ({"repository": repository, "previous_docpack_key": "docpacks/none"}, "bad_input", "names nothing"),
        ({"repository": repository, "previous_docpack_key": "docpacks/broken.docpack"}, "bad_pack", "docpacks/broken"),
        ({"repository": {**repository, "subdir": "core"}}, "bad_pack", "remove it there to begin anew"),
        (world.input(max_cost_usd=1e-6), "estimate_above_cap", "above max_cost_usd"),
    ]
    for job_input, failure, words in cases:
        found, sentence = world.refusal(job_input)
        assert (found, words in sentence, str(world.work) in sentence) == (failure, True, False), sentence
    assert world.bought() == {}
    assert world.store.keys() == sorted(["docpacks/broken.docpack", own_key])


def test_cancelled_it_keeps_what_was_bought_and_nothing_of_the_source(world: World) -> None:
    """The cancellation is raised once what was bought is saved; the next job buys the rest, under any id."""
    world.openai.set_behaviour(replace(BEHAVIOUR, hold_after=3))

    async def cancelled() -> None:
        job = asyncio.create_task(world.start(world.input()))
        await asyncio.to_thread(wait_until, lambda: world.bought().total() >= 3, "three to be bought")
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert list(world.work.iterdir()) == []

    asyncio.run(cancelled())
    world.openai.set_behaviour(BEHAVIOUR)
    output = world.run({**world.input(), "job_id": "another"})
    assert set(world.bought().values()) == {1}
    assert output["paid_before"]["symbols"] == 3
    assert len(world.store.keys()) == 1


@pytest.mark.parametrize("step", ["parse", "pack"])
def test_cancelled_in_any_step_it_ends_there(world: World, step: str) -> None:
    """Whichever step is under way, the job ends with the cancellation, and its pack is there whole or not at all."""

    async def cancelled() -> None:
        def watch(progress: RepositoryProgress) -> None:
            if progress.snapshot()["payload"]["name"] == step:
                job.cancel()

        job = asyncio.create_task(world.start(world.input(), watch))
        with pytest.raises(asyncio.CancelledError):
            await job
        assert list(world.work.iterdir()) == []

    asyncio.run(cancelled())
    assert len(world.bought()) == (FUNCTIONS + 1 if step == "pack" else 0)
    if step == "pack":
        assert world.run(world.input())["status"] == "success"
        assert set(world.bought().values()) == {1}


def test_a_server_that_never_answers_does_not_hold_a_cancelled_job(world: World) -> None:
    async def cancelled() -> None:
        job = asyncio.create_task(world.start({"repository": {"url": f"{world.git.url}/hangs/demo"}}))
        await asyncio.to_thread(wait_until, lambda: bool(world.git.requests), "git to ask")
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancelled())
    assert world.store.keys() == []


@pytest.mark.parametrize("cause", ["worker_stopping", pytest.param("deadline_exceeded", marks=pytest.mark.slow)])
def test_a_job_that_must_end_stores_what_it_has_and_the_next_goes_on(world: World, cause: str) -> None:
    """Stopped or out of time while it buys, a job is partial, with a pack of what is there; the next buys the rest."""
    world.openai.set_behaviour(replace(BEHAVIOUR, hold_after=3))
    world.environ["SHUTDOWN_GRACE_S"] = "0"

    async def stopped() -> Json:
        stopping = asyncio.Event()
        options = {"deadline_s": 8.0} if cause == "deadline_exceeded" else {}
        job = asyncio.create_task(world.start(world.input(**options), stopping=stopping))
        await asyncio.to_thread(wait_until, lambda: world.bought().total() >= 3, "three to be bought")
        if cause == "worker_stopping":
            stopping.set()
        return await job

    first = asyncio.run(stopped())
    assert (first["is_unfinished"], set(first["failures"])) == (True, {cause})
    assert (first["status"], first["documented_count"], first["failed_count"]) == ("partial", 3, FUNCTIONS + 1 - 3)
    world.openai.set_behaviour(BEHAVIOUR)
    second = world.run(world.input())
    assert second["status"] == "success"
    assert set(world.bought().values()) == {1}
    assert second["total_cost"] > second["paid_before"]["total_cost"] > 0
    assert len(world.store.keys()) == 1


def test_two_jobs_of_one_repository_buy_each_summary_once(world: World) -> None:
    """The second waits for the first and takes over its pack, whichever ids they have."""

    async def both() -> list[Json]:
        inputs = [{**world.input(), "job_id": name} for name in ("one", "two")]
        return await asyncio.gather(*map(world.start, inputs))

    outputs = asyncio.run(both())
    assert set(world.bought().values()) == {1}
    assert sorted(one["taken_over_count"] for one in outputs) == [0, FUNCTIONS + 1]
    assert len(world.store.keys()) == 1


def test_a_job_that_another_has_taken_over_from_leaves_the_pack_of_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has lost the lease of a repository stores no pack: it waits for the other's, and goes on from there."""
    monkeypatch.setattr(lease, "JOB_TTL_S", 1.0)
    world.openai.set_behaviour(replace(BEHAVIOUR, hold_after=3))

    async def both() -> list[Json]:
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(world.start(world.input()))
        await asyncio.to_thread(wait_until, lambda: world.bought().total() >= 3, "three to be bought")
        # As if it had been cut off for longer than the TTL.
        for key in world.store.keys():  # noqa: SIM118 - no mapping
            if key.endswith("lease.json"):
                world.store.put(key, b"{}")

        def has_lease() -> bool:
            return any(task.get_name().startswith("lease of") for task in asyncio.all_tasks(loop))

        await asyncio.to_thread(wait_until, lambda: not has_lease(), "the first to notice")
        second = asyncio.create_task(world.start(world.input()))
        world.openai.set_behaviour(BEHAVIOUR)
        return list(await asyncio.gather(first, second))

    outputs = asyncio.run(both())
    assert [(one["status"], one["documented_count"]) for one in outputs] == [("success", FUNCTIONS + 1)] * 2
    bought = world.bought()
    assert bought.total() <= FUNCTIONS + 1 + 1
    assert world.run(world.input())["taken_over_count"] == FUNCTIONS + 1
    assert world.bought() == bought
    assert len(world.store.keys()) == 1


def test_the_folder_of_a_killed_process_is_removed_by_the_next_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill has left is removed, beside the loop of other jobs; the folder of a job that runs is not."""
    left = world.work / "doctown-job-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "source.py").touch()
    in_the_loop = dict[str, bool]()
    rmtree = shutil.rmtree

    def noted(path: str | Path, **named: Any) -> None:
        in_the_loop[Path(path).name] = threading.current_thread() is threading.main_thread()
        rmtree(path, **named)

    monkeypatch.setattr(shutil, "rmtree", noted)
    with work_folder() as used:
        assert world.run(world.input())["status"] == "success"
        assert not left.exists()
        assert used.exists()
    assert in_the_loop[left.name] is False
