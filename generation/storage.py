"""Where results go and large inputs come from: Cloudflare R2, or a folder. The only importer of `boto3`.

Adds to boto3: the settings that R2 needs, one retry layer, a write on condition, and the error in one sentence; calls
run in a thread, since boto3 blocks. Leaves out: what is written, and what becomes of a write that another was before.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, Protocol, TypeVar

from generation.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from generation.config import Settings

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 5.0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was read; `version` tells it from what others write there later."""

    body: bytes
    version: str


class Storage(Protocol):
    """A place for documents under keys such as `results/job.json`. Every method raises StorageError where it fails."""

    bucket: str | None

    async def fetch(self, key: str) -> BinaryIO:
        """An open file with the bytes under a key, which must be there."""
        ...

    async def read(self, key: str) -> Stored | None:
        """The document under a key; None where there is none."""
        ...

    async def write(self, key: str, body: bytes) -> None:
        """Put a document under a key, whatever is there."""
        ...

    async def replace(self, key: str, body: bytes, version: str | None) -> bool:
        """Put a document where `version` still is, or where nothing is (None); False where another came before."""
        ...

    async def list_keys(self, prefix: str) -> list[str]:
        """The keys that begin with a prefix, which ends in a slash, in their order."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove documents; those that are not there are no error."""
        ...

    def url(self, key: str) -> str | None:
        """The address of a document, where it has a public one."""
        ...


def open_storage(settings: Settings) -> Storage:
    """The bucket where one is set, else the folder."""
    return R2Storage(settings) if settings.r2_bucket else FolderStorage(settings.results_dir)


async def check_storage(storage: Storage) -> None:
    """Write and remove a document. Raises StorageError where the results of a job could not be stored."""
    key = f"checkpoints/.check/{os.urandom(8).hex()}"
    await storage.write(key, b"{}")
    await storage.delete([key])


class FolderStorage:
    """Documents as files of a folder; no key leads out of it.

    The folder stands for the bucket's `results/`: `results/job.json` is its `job.json`.
    """

    bucket: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def fetch(self, key: str) -> BinaryIO:
        """As Storage says."""
        return await self._run("read from", key, self._path(key).open, "rb")

    async def read(self, key: str) -> Stored | None:
        """As Storage says."""
        return await self._run("read from", key, _read_whole, self._path(key))

    async def write(self, key: str, body: bytes) -> None:
        """As Storage says."""
        await self._run("written to", key, _write_whole, self._path(key), body)

    async def replace(self, key: str, body: bytes, version: str | None) -> bool:
        """As Storage says."""
        return await self._run("written to", key, _replace_whole, self._path(key), body, version)

    async def list_keys(self, prefix: str) -> list[str]:
        """As Storage says."""
        names = await self._run("read from", prefix, _names_in, self._path(prefix))
        return [prefix + name for name in names]

    async def delete(self, keys: Iterable[str]) -> None:
        """As Storage says; a folder that becomes empty goes too."""
        for key in keys:
            path = self._path(key)
            await self._run("removed from", key, path.unlink, missing_ok=True)
            with contextlib.suppress(OSError):
                for folder in path.relative_to(self._folder).parents[:-1]:
                    (self._folder / folder).rmdir()

    def url(self, key: str) -> str | None:
        """As Storage says."""
        return self._path(key).as_uri()

    async def _run(
        self,
        verb: str,
        key: str,
        call: Callable[Parameters, Result],
        *args: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        try:
            return await asyncio.to_thread(call, *args, **named)
        except OSError as error:
            raise StorageError(f"{key} cannot be {verb} RESULTS_DIR ({_reason(error)})") from None

    def _path(self, key: str) -> Path:
        try:
            path = (self._folder / key.removeprefix("results/")).resolve()
        except (OSError, RuntimeError, ValueError):  # a link to itself, a name that no file can have
            raise StorageError("the key names no file that RESULTS_DIR can have") from None
        if not path.is_relative_to(self._folder):
            raise StorageError("the key leads out of RESULTS_DIR: it must name a file inside")
        return path


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _read_whole(path: Path) -> Stored | None:
    try:
        with path.open("rb") as file:
            return Stored(file.read(), _version(file.fileno()))
    except FileNotFoundError:
        return None


def _version(file: int | Path) -> str:
    """Of a file: it is never written in place, so that each document that stands there is a file of its own."""
    status = os.stat(file)  # noqa: PTH116 - of an open file too
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _new_file(path: Path, body: bytes) -> Iterator[Path]:
    """A whole file beside a path, ready to take its place; removed afterwards where it has not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        # mkstemp gives the file to its owner alone; results are for whoever may read the folder.
        Path(name).chmod(0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _write_whole(path: Path, body: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    with _new_file(path, body) as file:
        file.replace(path)


def _replace_whole(path: Path, body: bytes, version: str | None) -> bool:
    with _new_file(path, body) as file, _locked(path.parent):
        try:
            present = _version(path)
        except FileNotFoundError:
            present = None
        if present != version:
            return False
        file.replace(path)
        return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out that replace a document of the same folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class R2Storage:
    """Documents as objects of a bucket."""

    def __init__(self, settings: Settings) -> None:
        self.bucket: str | None = settings.r2_bucket
        self._public_base_url = settings.r2_public_base_url
        self._settings = settings

    async def fetch(self, key: str) -> BinaryIO:
        """As Storage says."""
        return await self._run("read from", key, self._get, key)

    async def read(self, key: str) -> Stored | None:
        """As Storage says."""
        return await self._run("read from", key, self._find, key)

    async def write(self, key: str, body: bytes) -> None:
        """As Storage says."""
        await self._run("written to", key, self._put, key, body)

    async def replace(self, key: str, body: bytes, version: str | None) -> bool:
        """As Storage says."""
        return await self._run("written to", key, self._put_if, key, body, version)

    async def list_keys(self, prefix: str) -> list[str]:
        """As Storage says."""
        return await self._run("read from", prefix, self._list, prefix)

    async def delete(self, keys: Iterable[str]) -> None:
        """As Storage says."""
        await asyncio.gather(*(self._run("removed from", key, self._delete, key) for key in keys))

    def url(self, key: str) -> str | None:
        """As Storage says."""
        return f"{self._public_base_url}/{key}" if self._public_base_url else None

    async def _run(
        self,
        verb: str,
        key: str,
        call: Callable[Parameters, Result],
        *args: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        """Call in a thread, again and again for STORAGE_RETRY_S where the fault may pass."""
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

        retrying = AsyncRetrying(
            retry=retry_if_exception(may_pass),
            stop=stop_after_delay(self._settings.storage_retry_s),
            wait=wait_random_exponential(FIRST_BACKOFF_S, MAX_BACKOFF_S),
            reraise=True,
        )
        try:
            return await retrying(functools.partial(asyncio.to_thread, call), *args, **named)
        except _client_faults() as error:
            sentence = f"{key} cannot be {verb} the bucket of R2_BUCKET ({_code(error)})"
            raise StorageError(sentence, passing=may_pass(error)) from None

    def _get(self, key: str) -> BinaryIO:
        # To disk: contexts of a large repository would take twice their size in memory.
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            shutil.copyfileobj(self._client().get_object(Bucket=str(self.bucket), Key=key)["Body"], file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def _find(self, key: str) -> Stored | None:
        client = self._client()
        try:
            answer = client.get_object(Bucket=str(self.bucket), Key=key)
        except client.exceptions.NoSuchKey:
            return None
        return Stored(answer["Body"].read(), answer["ETag"])

    def _put(self, key: str, body: bytes) -> None:
        self._client().put_object(Bucket=str(self.bucket), Key=key, Body=body, ContentType="application/json")

    def _put_if(self, key: str, body: bytes, version: str | None) -> bool:
        from botocore.exceptions import ClientError

        put = functools.partial(self._client().put_object, ContentType="application/json")
        try:
            if version is None:
                put(Bucket=str(self.bucket), Key=key, Body=body, IfNoneMatch="*")
            else:
                put(Bucket=str(self.bucket), Key=key, Body=body, IfMatch=version)
        except ClientError as error:
            # A version that was removed meanwhile is 404.
            if _status(error) not in {404, 409, 412} or _code(error) == "NoSuchBucket":
                raise
            # An earlier try may have won without that its answer arrived.
            return self._holds(key, body)
        return True

    def _holds(self, key: str, body: bytes) -> bool:
        """Whether just this document is under a key: the ETag of what was put at once is its MD5."""
        from botocore.exceptions import ClientError

        try:
            etag = self._client().head_object(Bucket=str(self.bucket), Key=key)["ETag"]
        except ClientError as error:
            if _status(error) == 404:  # noqa: PLR2004 - removed meanwhile
                return False
            raise
        return etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()

    def _list(self, prefix: str) -> list[str]:
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=str(self.bucket), Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def _delete(self, key: str) -> None:
        # One by one: boto3 sends a CRC32 with a request to delete several, which R2 may not take.
        self._client().delete_object(Bucket=str(self.bucket), Key=key)

    def _client(self) -> S3Client:
        key_id, secret = (self._settings.r2_access_key_id, self._settings.r2_secret_access_key)
        return _shared_client(
            self._settings.r2_endpoint,
            key_id.get_secret_value() if key_id else "",
            secret.get_secret_value() if secret else "",
        )


@functools.cache
def _shared_client(endpoint_url: str, access_key_id: str, secret_access_key: str) -> S3Client:
    """One client for the process: it takes 0.1 s to make and is safe to share between threads."""
    import boto3
    from botocore.config import Config
    from botocore.handlers import add_expect_header

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="auto",
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=Config(
            # R2 refuses the trailing checksums that are boto3's default over https.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
        ),
    )
    # R2 never answers "100 Continue", and botocore would wait a second for it with every PUT.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


def _client_faults() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later: the store is away or busy, and not refusing."""
    from botocore.exceptions import ClientError, HTTPClientError

    if isinstance(error, ClientError):
        return _status(error) in {408, 429} or _status(error) >= 500 or _code(error) in _PASSING_CODES  # noqa: PLR2004
    # A connection that breaks in mid-upload is an SSLError too; a certificate that nobody vouches for stays so.
    return isinstance(error, HTTPClientError) and "CERTIFICATE_VERIFY_FAILED" not in str(error)


# With the status 400: the body did not arrive whole, or not in time.
_PASSING_CODES = frozenset({"IncompleteBody", "RequestTimeout"})


def _status(error: Exception) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: Exception) -> str:
    """The code of a fault, without the texts around it, which may hold addresses and key ids."""
    response = getattr(error, "response", None)
    return str(response["Error"].get("Code", "unknown")) if isinstance(response, dict) else type(error).__name__
