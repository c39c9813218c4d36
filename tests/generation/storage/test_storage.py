"""Where results go: the real boto3 against stand-ins for R2 over TLS, and the folder that takes a bucket's place."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import resource
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from generation.config import Settings
from generation.errors import StorageError
from generation.storage import check_storage, open_storage, r2
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.r2 import R2Storage
from tests.conftest import needs_miniflare
from tests.loopback.s3 import LoopbackS3, MotoS3
from tests.support.stores import close_clients
from tests.support.waiting import LIMIT_S, wait_until

KEY = "results/job-1.json"
BODY = json.dumps({"summary": "naïve 漢字 😀"}, ensure_ascii=False).encode()

R2_ENVIRONMENT = dict.fromkeys(("R2_ACCOUNT_ID", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "R2_BUCKET"), "set")

OpenBucket = Callable[..., R2Storage]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBucket]:
    """The bucket as the worker opens it: from an environment, in which a test may set what it likes."""
    opened: list[R2Storage] = []
    monkeypatch.setattr(r2, "FIRST_BACKOFF_S", 0.02)  # what is tried, not how long a real bucket would be spared

    def open_bucket(s3: LoopbackS3, **changes: str) -> R2Storage:
        environment = {**s3.environment(), "MODEL_NAME": "offline", **changes}
        monkeypatch.setenv("AWS_CA_BUNDLE", environment["AWS_CA_BUNDLE"])
        storage = open_storage(Settings.from_env(environment))
        assert isinstance(storage, R2Storage)
        opened.append(storage)
        return storage

    yield open_bucket
    close_clients(*opened)


def write(storage: Storage, key: str = KEY, body: bytes = BODY) -> None:
    asyncio.run(storage.write(key, body))


def read(storage: Storage, key: str = KEY) -> bytes:
    with asyncio.run(storage.open(key)) as file:
        return file.read()


def replace(storage: Storage, body: bytes, version: str | None) -> bool:
    return asyncio.run(storage.put_if_match(KEY, body, version))


def version_of(storage: Storage) -> str:
    stored = asyncio.run(storage.read(KEY))
    assert stored is not None
    return stored.version


def sentence_without_secrets(error: pytest.ExceptionInfo[StorageError], s3: LoopbackS3) -> str:
    """The error's sentence, once it has been seen to show neither credentials nor the address."""
    shown = f"{error.value} {error.value.args} {error.value.__cause__}"
    for secret in (s3.access_key_id, s3.secret_access_key, s3.endpoint_url, s3.ca_bundle):
        assert secret not in shown
    return str(error.value)


# The bucket.


def test_a_document_goes_in_and_out_of_the_bucket(either: LoopbackS3, bucket: OpenBucket) -> None:
    """What is written is what the bucket holds and what is read, to the byte, and a later write replaces it."""
    storage = bucket(either)
    write(storage)
    assert storage.url(KEY) is None
    assert either.get(KEY) == BODY
    assert read(storage) == BODY
    write(storage, body=b"{}")
    assert read(storage) == b"{}"


def test_a_large_document_goes_in_and_out_of_the_bucket(either: LoopbackS3, bucket: OpenBucket) -> None:
    """A document of 12 MB, more than a job's output may have, arrives whole."""
    storage, body = bucket(either), b"0123456789abcdef" * 750_000
    write(storage, body=body)
    assert hashlib.sha256(either.get(KEY)).digest() == hashlib.sha256(body).digest()
    assert read(storage) == body


def test_a_public_bucket_gives_the_address_of_what_was_written(moto: MotoS3, bucket: OpenBucket) -> None:
    """With R2_PUBLIC_BASE_URL an object has a public address, with or without a slash at its end."""
    for base_url in ("https://docs.example.com/r2", "https://docs.example.com/r2/"):
        assert bucket(moto, R2_PUBLIC_BASE_URL=base_url).url(KEY) == f"https://docs.example.com/r2/{KEY}"


def test_a_put_waits_for_nothing_and_sends_nothing_that_r2_refuses(moto: MotoS3, bucket: OpenBucket) -> None:
    """A PUT announces no body (Expect), has no trailer and no chunks of AWS's own, and says that it is JSON."""
    write(bucket(moto))
    (request,) = moto.requests
    assert (request.method, request.target) == ("PUT", f"/{moto.bucket}/{KEY}")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(BODY))
    assert "expect" not in request.headers
    assert not [name for name in request.headers if "trailer" in name or "checksum" in name]
    assert "aws-chunked" not in request.headers.get("content-encoding", "")
    assert "/auto/s3/" in request.headers["authorization"]


def test_all_jobs_of_a_process_share_one_client(moto: MotoS3, bucket: OpenBucket) -> None:
    """Stores of the same bucket and keys have one client, also in threads that begin at once; other keys another."""
    one, two, other = bucket(moto), bucket(moto), bucket(moto, R2_ACCESS_KEY_ID="another")
    with ThreadPoolExecutor(8) as pool:
        first, *rest = pool.map(lambda store: store._client(), [one, two] * 4)
    assert all(client is first for client in rest)
    assert one._client() is not other._client()


def test_several_documents_are_written_at_once(moto: MotoS3, bucket: OpenBucket) -> None:
    """Writes that run side by side in one loop all arrive, each under its key."""
    storage = bucket(moto)
    keys = [f"results/{number}.json" for number in range(4)]

    async def write_all() -> None:
        await asyncio.gather(*(storage.write(key, key.encode()) for key in keys))

    asyncio.run(write_all())
    stored = moto.keys()
    assert {key: moto.get(key) for key in stored} == {key: key.encode() for key in keys}


def test_a_write_leaves_the_loop_free(moto: MotoS3, bucket: OpenBucket) -> None:
    """While a bucket holds a document back, the loop goes on with other work: here, with letting it in."""
    storage = bucket(moto)
    moto.hold(KEY)

    async def work_beside_a_write() -> None:
        writing = asyncio.create_task(storage.write(KEY, BODY))
        while not moto.is_holding():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)
        moto.release()
        await writing

    asyncio.run(asyncio.wait_for(work_beside_a_write(), LIMIT_S))
    assert moto.get(KEY) == BODY


@pytest.mark.parametrize("status", [503, 500, 429, 408, None])
@pytest.mark.parametrize("applied", [False, True])
def test_a_failure_that_passes_is_retried(moto: MotoS3, bucket: OpenBucket, status: int | None, applied: bool) -> None:
    """After two errors or broken connections, before the write took effect or after, the third try succeeds."""
    storage = bucket(moto)
    moto.fail_next(2, status, applied=applied)
    write(storage)
    assert len(moto.requests) == 3
    assert moto.get(KEY) == BODY
    moto.fail_next(2, status)
    assert read(storage) == BODY


@pytest.mark.parametrize("status", [503, None])
def test_a_bucket_that_stays_away_is_an_error_that_names_the_key(
    moto: MotoS3, bucket: OpenBucket, status: int | None
) -> None:
    """After STORAGE_RETRY_S, for a write and for a read, the error names the key, the setting and no secret."""
    storage = bucket(moto, STORAGE_RETRY_S="0.3")
    moto.down(status)
    for use in (write, read):
        with pytest.raises(StorageError) as failed:
            use(storage)
        sentence = sentence_without_secrets(failed, moto)
        assert KEY in sentence
        assert "R2_BUCKET" in sentence
        assert failed.value.retryable


@pytest.mark.parametrize("status", [503, None])
def test_a_bucket_that_is_away_is_tried_until_it_is_back(moto: MotoS3, bucket: OpenBucket, status: int | None) -> None:
    """Within STORAGE_RETRY_S a call is repeated as often as it fails, and succeeds when the bucket is back."""
    storage = bucket(moto, STORAGE_RETRY_S=str(LIMIT_S))
    moto.down(status)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write, storage)
        moto.wait_for_requests(4, LIMIT_S)
        moto.up()
        writing.result(LIMIT_S)
    assert moto.get(KEY) == BODY


@pytest.mark.parametrize("times", [1, 3])
def test_an_answer_that_breaks_off_is_read_again(moto: MotoS3, bucket: OpenBucket, times: int) -> None:
    """A document whose body was cut, once or thrice, arrives whole: as a file, and as bytes."""
    storage = bucket(moto)
    moto.put(KEY, BODY)
    moto.cut_next(times)
    assert read(storage) == BODY
    moto.cut_next(times)
    stored = asyncio.run(storage.read(KEY))
    assert stored is not None
    assert stored.body == BODY
    assert len(moto.requests) == 2 * (times + 1)


def test_a_bucket_that_does_not_answer_is_given_up(moto: MotoS3, bucket: OpenBucket) -> None:
    """After STORAGE_RETRY_S a call ends, although its request, or the rest of its answer, would take much longer."""
    storage = bucket(moto, STORAGE_RETRY_S="0.5")
    moto.put(KEY, b" " * 2_000)
    moto.hold(KEY)
    with pytest.raises(StorageError, match=KEY) as unwritten:
        write(storage)
    moto.release()
    assert unwritten.value.retryable
    for slow in (moto.stall, moto.trickle):
        slow()
        with pytest.raises(StorageError, match=KEY) as unread:
            read(storage)
        assert unread.value.retryable


def test_many_documents_that_cannot_be_removed_are_given_up_together(moto: MotoS3, bucket: OpenBucket) -> None:
    """Where the bucket is silent, the removal of more documents than there are threads takes no longer than one."""
    storage = bucket(moto, STORAGE_RETRY_S="0.5")
    moto.slow(100.0)
    with pytest.raises(StorageError, match=r"70 of 70 documents cannot be removed within 0\.5 s") as failed:
        asyncio.run(storage.delete([f"checkpoints/job/{number}.jsonl" for number in range(70)]))
    assert failed.value.retryable


def test_a_connection_that_is_refused_may_be_tried_again(moto: MotoS3, bucket: OpenBucket) -> None:
    """A bucket at whose address nobody listens is away, and not wrong for good."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(StorageError) as failed:
            write(bucket(moto, R2_ENDPOINT_URL=address, STORAGE_RETRY_S="0"))
    assert failed.value.retryable
    assert address not in sentence_without_secrets(failed, moto)


def test_one_refusal_does_not_stop_the_removal_of_the_others(moto: MotoS3, bucket: OpenBucket) -> None:
    """Of five documents that are to go, all go but the one that the bucket refuses, and the error says so."""
    keys = [f"checkpoints/job/{number}.jsonl" for number in range(5)]
    for key in keys:
        moto.put(key, b"")
    moto.fail_next(1, 403)
    with pytest.raises(StorageError, match=r"AccessDenied.*; 1 of 5 documents remain"):
        asyncio.run(bucket(moto).delete(keys))
    assert len(moto.keys()) == 1


def test_storage_leaves_the_threads_of_the_loop_free(moto: MotoS3, bucket: OpenBucket) -> None:
    """While the bucket holds a write back, the only thread that asyncio has is free: here, to let the write in."""
    storage = bucket(moto)
    moto.hold(KEY)

    async def work_beside_a_write() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        writing = asyncio.create_task(storage.write(KEY, BODY))
        while not moto.is_holding():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)
        await asyncio.to_thread(moto.release)
        await writing

    asyncio.run(asyncio.wait_for(work_beside_a_write(), LIMIT_S))
    assert moto.get(KEY) == BODY


def test_a_forked_process_stores_too(tmp_path: Path) -> None:
    """A process that was forked from one that has used its storage has threads of its own."""
    storage = FolderStorage(tmp_path)
    write(storage, "results/parent.json")
    child = multiprocessing.get_context("fork").Process(target=write, args=(storage, "results/child.json"))
    child.start()
    child.join(LIMIT_S)
    assert child.exitcode == 0
    assert read(storage, "results/child.json") == BODY


def test_a_missing_document_is_an_error_that_names_the_key(either: LoopbackS3, bucket: OpenBucket) -> None:
    """To read what is not there is an error with the key and R2's own code, after one request."""
    with pytest.raises(StorageError) as failed:
        read(bucket(either), "inputs/none.jsonl.gz")
    sentence = sentence_without_secrets(failed, either)
    assert "inputs/none.jsonl.gz" in sentence
    assert "NoSuchKey" in sentence
    assert not isinstance(either, MotoS3) or len(either.requests) == 1


def test_a_missing_bucket_is_an_error_that_names_the_setting(either: LoopbackS3, bucket: OpenBucket) -> None:
    """Where R2_BUCKET names no bucket, reading and writing say so."""
    storage = bucket(either, R2_BUCKET="nowhere")
    for use in (write, read):
        with pytest.raises(StorageError, match="R2_BUCKET") as failed:
            use(storage)
        assert KEY in sentence_without_secrets(failed, either)


@needs_miniflare
@pytest.mark.parametrize("name", ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_refused_and_not_shown(miniflare: LoopbackS3, bucket: OpenBucket, name: str) -> None:
    """A wrong key id or a wrong secret fails reads and writes, and neither the wrong one nor the right one is shown."""
    storage = bucket(miniflare, **{name: "wrong-credential"})
    for use in (write, read):
        with pytest.raises(StorageError) as failed:
            use(storage, "results/refused.json")
        assert "wrong-credential" not in sentence_without_secrets(failed, miniflare)
    assert "results/refused.json" not in set(miniflare.keys())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_final(moto: MotoS3, bucket: OpenBucket, status: int) -> None:
    """Credentials that are refused are not tried again."""
    storage = bucket(moto)
    moto.down(status)
    with pytest.raises(StorageError) as failed:
        write(storage)
    assert not failed.value.retryable
    assert len(moto.requests) == 1


def test_a_certificate_of_a_stranger_is_refused(moto: MotoS3, bucket: OpenBucket, tmp_path: Path) -> None:
    """A bucket whose certificate nobody vouches for is not spoken to, and that is a StorageError like any other."""
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with pytest.raises(StorageError) as failed:
        write(bucket(moto, AWS_CA_BUNDLE=str(stranger)))
    assert KEY in sentence_without_secrets(failed, moto)
    assert moto.requests == []


# The folder.


def test_a_document_goes_in_and_out_of_the_folder(tmp_path: Path) -> None:
    """What is written is read, to the byte, a later write replaces it, and it has no address for other machines."""
    storage = FolderStorage(tmp_path / "not" / "there" / "yet")
    write(storage)
    assert storage.url(KEY) is None
    assert read(storage) == BODY
    write(storage, body=b"{}")
    assert read(storage) == b"{}"
    assert storage.bucket is None


def test_the_folder_stands_for_the_results_of_a_bucket(tmp_path: Path) -> None:
    """`results/` of a key is the folder itself, once; other keys are paths below it, as in the bucket."""
    storage = FolderStorage(tmp_path)
    for key in ("results/a.json", "results/results/b.json", "inputs/c.json", "d.json"):
        write(storage, key)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"a.json", "results/b.json", "inputs/c.json", "d.json"}
    assert read(storage, "a.json") == read(storage, "results/a.json") == BODY


@pytest.mark.parametrize(
    "key",
    [
        "../secret",
        "results/../../secret",
        "inputs/../../secret",
        "{outside}/secret",
        "link/secret",
        "results/link/secret",
        "file-link",
        "{folder}/results.json",
    ],
)
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    """A key that leads out by dots or through a link is refused, as is any absolute path, and nothing is read."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    for secret in (outside / "secret", tmp_path / "secret"):
        secret.write_bytes(b"secret")
    (folder / "link").symlink_to(outside)
    (folder / "file-link").symlink_to(outside / "secret")
    storage, key = FolderStorage(folder), key.format(outside=outside, folder=folder)
    for use in (read, write):
        with pytest.raises(StorageError, match="leads out of RESULTS_DIR") as refused:
            use(storage, key)
        assert str(tmp_path) not in str(refused.value)
    assert {path.read_bytes() for path in tmp_path.rglob("secret")} == {b"secret"}


def test_a_link_inside_of_the_folder_is_followed(tmp_path: Path) -> None:
    """A link from one place of the folder to another is no way out, nor is a folder that is itself a link."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link-to-folder").symlink_to(folder)
    (folder / "file-link").symlink_to(folder / "job-1.json")
    storage = FolderStorage(tmp_path / "link-to-folder")
    write(storage)
    assert read(storage, "file-link") == BODY


def test_a_link_to_itself_is_an_error_like_any_other(tmp_path: Path) -> None:
    """A key that is a link in a circle cannot be read, in one sentence."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(StorageError):
        read(FolderStorage(tmp_path), "circle")


@pytest.mark.parametrize(
    "key", ["results/none.json", "results/", "results", "a-folder", "job-1.json/below-a-file", "x" * 300]
)
def test_what_cannot_be_read_is_an_error_that_names_the_key(tmp_path: Path, key: str) -> None:
    """A missing file, a folder, a path below a file and a name too long are errors with the key and no path."""
    storage = FolderStorage(tmp_path)
    write(storage)
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(StorageError) as failed:
        read(storage, key)
    assert key in str(failed.value)
    assert "RESULTS_DIR" in str(failed.value)
    assert str(tmp_path) not in str(failed.value)


def test_a_reader_never_sees_a_part_of_a_document(tmp_path: Path) -> None:
    """While a document is written over and over, whoever reads it gets one of its versions whole."""
    storage = FolderStorage(tmp_path)
    versions = {letter * 2_000_000 for letter in (b"a", b"b")}
    stop = threading.Event()
    seen: set[bytes] = set()

    def watch() -> None:
        while not stop.is_set():
            seen.add((tmp_path / "job-1.json").read_bytes())

    write(storage, body=min(versions))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for version in sorted(versions) * 15:
            write(storage, body=version)
    finally:
        stop.set()
        watcher.join()
    assert seen
    assert seen <= versions


def test_a_failed_write_leaves_the_old_document_and_nothing_else(tmp_path: Path) -> None:
    """A write that fails after its file was made leaves no part of it behind."""
    storage = FolderStorage(tmp_path)
    (tmp_path / "job-1.json").mkdir()
    with pytest.raises(StorageError, match=KEY):
        write(storage)
    assert [path.name for path in tmp_path.iterdir()] == ["job-1.json"]


def test_results_can_be_read_by_others(tmp_path: Path) -> None:
    """A results file is readable for whoever may read the folder, not only for its writer."""
    write(FolderStorage(tmp_path))
    assert (tmp_path / "job-1.json").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    """Where RESULTS_DIR is a file, a write fails in one sentence with the key and without the path."""
    blocked = tmp_path / "a-file"
    blocked.write_bytes(b"")
    with pytest.raises(StorageError) as failed:
        write(FolderStorage(blocked))
    assert KEY in str(failed.value)
    assert "RESULTS_DIR" in str(failed.value)
    assert str(tmp_path) not in str(failed.value)


# Both.


@pytest.fixture(params=["folder", "moto", pytest.param("miniflare", marks=needs_miniflare)])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path, bucket: OpenBucket) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path)
    storage = bucket(request.getfixturevalue(request.param))
    asyncio.run(storage.delete([KEY]))
    return storage


def test_a_document_is_replaced_only_where_nobody_came_before(any_storage: Storage) -> None:
    """A write on condition succeeds once for each version, and never where another document has come meanwhile."""
    storage = any_storage
    assert asyncio.run(storage.read(KEY)) is None
    assert replace(storage, b"first", None)
    assert not replace(storage, b"second", None)
    assert read(storage) == b"first"
    version = version_of(storage)
    assert replace(storage, b"second", version)
    assert not replace(storage, b"third", version)
    assert read(storage) == b"second"
    asyncio.run(storage.delete([KEY]))
    assert not replace(storage, b"third", version)
    assert asyncio.run(storage.read(KEY)) is None


def test_of_many_who_write_at_once_one_wins(any_storage: Storage) -> None:
    """Of a dozen first writes at the same time one succeeds, and its document is the one that is there."""

    async def race() -> list[bool]:
        return await asyncio.gather(
            *(any_storage.put_if_match(KEY, b"writer %d" % number, None) for number in range(12))
        )

    won = asyncio.run(race())
    assert won.count(True) == 1
    assert read(any_storage) == b"writer %d" % won.index(True)


def test_another_process_that_replaces_a_document_is_waited_for(tmp_path: Path) -> None:
    """While another process has the folder's lock nothing is replaced, and what it then has written is respected."""
    storage, document = FolderStorage(tmp_path), tmp_path / "job-1.json"
    assert replace(storage, b"before", None)
    version = version_of(storage)
    with ThreadPoolExecutor() as pool:
        other = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX)
            replacing = pool.submit(replace, storage, b"mine", version)
            # Beside the document there is what is to take its place, whole.
            wait_until(lambda: b"mine" in {path.read_bytes() for path in hidden_files(tmp_path)} or replacing.done())
            (tmp_path / "theirs").write_bytes(b"theirs")
            (tmp_path / "theirs").replace(document)
        finally:
            os.close(other)
        assert not replacing.result(LIMIT_S)
    assert document.read_bytes() == b"theirs"


def hidden_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("status", [503, None])
def test_a_write_whose_answer_was_lost_has_won(moto: MotoS3, bucket: OpenBucket, status: int | None) -> None:
    """Where only the answer of a write on condition was lost, its retry finds its own document and counts as won."""
    storage = bucket(moto)
    moto.fail_next(1, status, applied=True)
    assert replace(storage, BODY, None)
    moto.fail_next(1, status, applied=True)
    assert replace(storage, b"{}", version_of(storage))
    assert read(storage) == b"{}"


def test_keys_are_listed_by_prefix_and_removed(any_storage: Storage) -> None:
    """The keys below a prefix are listed in order, those of other prefixes are not, and removing them removes them."""
    mine = [f"checkpoints/job/{number:04}.jsonl" for number in range(30)]
    others = ["checkpoints/job-2/0000.jsonl", "checkpoints/jo/0000.jsonl"]

    async def run() -> tuple[list[str], list[str], list[str]]:
        assert await any_storage.list_keys("checkpoints/none/") == []
        await asyncio.gather(*(any_storage.write(key, b"{}") for key in reversed(mine + others)))
        listed = await any_storage.list_keys("checkpoints/job/")
        await any_storage.delete([*listed, "checkpoints/job/never-was.jsonl"])
        left = await any_storage.list_keys("checkpoints/job/")
        kept = [key for prefix in ("job-2", "jo") for key in await any_storage.list_keys(f"checkpoints/{prefix}/")]
        await any_storage.delete(others)
        return listed, left, kept

    assert asyncio.run(run()) == (mine, [], others)


def test_keys_of_all_levels_are_listed_alike(any_storage: Storage) -> None:
    """Every store lists the keys of all levels, hidden ones among them, in the order of their characters."""
    keys = sorted(
        ["tree/B.json", "tree/a.json", "tree/a/.b/c.json", "tree/a/b/.c.json", "tree/a-b.json", "tree/é.json"]
    )

    async def run() -> list[str]:
        await asyncio.gather(*(any_storage.write(key, b"{}") for key in reversed([*keys, "trees/a.json"])))
        listed = await any_storage.list_keys("tree/")
        await any_storage.delete([*keys, "trees/a.json"])
        return listed

    assert asyncio.run(run()) == keys


def test_a_document_exists_from_its_write_to_its_removal(any_storage: Storage) -> None:
    """A store tells whether it has a document; what only begins like its key, or is a folder, is none."""

    async def run() -> list[bool]:
        before = await any_storage.exists(KEY)
        await any_storage.write(KEY, BODY)
        found = [await any_storage.exists(key) for key in (KEY, KEY[:-1], "results")]
        await any_storage.delete([KEY])
        return [before, *found, await any_storage.exists(KEY)]

    assert asyncio.run(run()) == [False, True, False, False, False]


def test_existence_is_asked_for_without_the_document(moto: MotoS3, bucket: OpenBucket) -> None:
    """Whether a document is there is a HEAD request, which transfers nothing of it; a refusal is no absence."""
    storage = bucket(moto)
    moto.put(KEY, BODY)
    assert asyncio.run(storage.exists(KEY))
    assert [request.method for request in moto.requests] == ["HEAD"]
    moto.down(403)
    with pytest.raises(StorageError, match=KEY):
        asyncio.run(storage.exists(KEY))


def test_more_keys_than_a_page_holds_are_listed(moto: MotoS3, bucket: OpenBucket) -> None:
    """S3 lists a thousand keys at a time; more of them are all listed."""
    keys = [f"checkpoints/job/{number:04}.jsonl" for number in range(1_003)]
    for key in keys:
        moto.put(key, b"")
    assert asyncio.run(bucket(moto).list_keys("checkpoints/job/")) == keys


def test_what_is_removed_from_the_folder_leaves_nothing(tmp_path: Path) -> None:
    """A folder that becomes empty is removed with its last document; one with other documents stays."""
    storage = FolderStorage(tmp_path)
    for key in ("checkpoints/a/1.jsonl", "checkpoints/a/2.jsonl", "results/job.json"):
        write(storage, key)
    asyncio.run(storage.delete(["checkpoints/a/1.jsonl"]))
    assert (tmp_path / "checkpoints" / "a" / "2.jsonl").is_file()
    asyncio.run(storage.delete(["checkpoints/a/2.jsonl"]))
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_the_check_of_a_store_leaves_nothing_behind(any_storage: Storage) -> None:
    """A store that works passes its check, and holds afterwards what it held before."""
    asyncio.run(check_storage(any_storage))
    assert asyncio.run(any_storage.list_keys("checkpoints/.check/")) == []


@pytest.mark.parametrize("changes", [{"R2_BUCKET": "nowhere"}, {"R2_SECRET_ACCESS_KEY": "wrong"}])
@needs_miniflare
def test_the_check_finds_a_store_that_refuses(
    miniflare: LoopbackS3, bucket: OpenBucket, changes: dict[str, str]
) -> None:
    """A bucket that is not there and credentials that are wrong are found before a job is paid for."""
    with pytest.raises(StorageError) as failed:
        asyncio.run(check_storage(bucket(miniflare, **changes)))
    assert not failed.value.retryable
    assert "R2_BUCKET" in sentence_without_secrets(failed, miniflare)


def test_the_check_finds_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room is found by the check, in the system's own words."""

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StorageError, match="No space left on device"):
        asyncio.run(check_storage(FolderStorage(tmp_path)))


@contextmanager
def no_room_for(size_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond this size: the system fails a write as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["folder", "moto"])
def test_a_document_without_room_on_the_disk_is_an_error(
    kind: str, tmp_path: Path, bucket: OpenBucket, request: pytest.FixtureRequest
) -> None:
    """What the disk cannot take, in the folder or on its way from the bucket, is an error with the key and the reason.

    Nothing of it is left behind.
    """
    storage = FolderStorage(tmp_path) if kind == "folder" else bucket(request.getfixturevalue("moto"))
    body = b"0123456789abcdef" * 100_000
    if isinstance(storage, R2Storage):
        write(storage, body=body)
    with no_room_for(1_000_000), pytest.raises(StorageError, match=f"{KEY} .*File too large"):
        read(storage) if isinstance(storage, R2Storage) else write(storage, body=body)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_removed_while_it_is_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write succeeds although another process removes the new folder, still empty, before the file is in it."""
    make_file = tempfile.mkstemp
    removed: list[str] = []

    def remove_first(**named: Any) -> tuple[int, str]:
        if len(removed) < 3:
            removed.append(named["dir"])
            Path(named["dir"]).rmdir()
        return make_file(**named)

    monkeypatch.setattr(tempfile, "mkstemp", remove_first)
    storage = FolderStorage(tmp_path)
    write(storage, "checkpoints/job/1.jsonl")
    assert len(removed) == 3
    assert read(storage, "checkpoints/job/1.jsonl") == BODY


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    """Where the worker may not write, a write fails in one sentence with the key."""
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match=KEY):
        write(FolderStorage(tmp_path))


@pytest.mark.parametrize(("environment", "kind"), [({}, FolderStorage), (R2_ENVIRONMENT, R2Storage)])
def test_the_bucket_is_used_where_one_is_set(environment: dict[str, str], kind: type[Any], tmp_path: Path) -> None:
    """R2_BUCKET decides between the bucket and RESULTS_DIR."""
    settings = {"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path), **environment}
    assert type(open_storage(Settings.from_env(settings))) is kind
