"""Where results go and large inputs come from: Cloudflare R2, or a folder. The only importer of `boto3`.

Adds to boto3: the settings that R2 needs and the error in one sentence; calls run in a thread, since boto3 blocks.
Leaves out: what is written.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from generation.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from generation.config import Settings

UPLOAD_ATTEMPTS = 5
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60


class Storage(Protocol):
    """A place for documents under keys such as `results/job.json`."""

    bucket: str | None

    async def fetch(self, key: str) -> BinaryIO:
        """An open file with the bytes under a key. Raises StorageError where there are none, or no store."""
        ...

    async def write(self, key: str, body: bytes) -> str | None:
        """Put a JSON document under a key; the result is its public address, if it has one. Raises StorageError."""
        ...


def open_storage(settings: Settings) -> Storage:
    """The bucket where one is set, else the folder."""
    return R2Storage(settings) if settings.r2_bucket else FolderStorage(settings.results_dir)


class FolderStorage:
    """Documents as files of a folder; no key leads out of it.

    The folder stands for the bucket's `results/`: `results/job.json` is its `job.json`.
    """

    bucket: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def fetch(self, key: str) -> BinaryIO:
        """As Storage says."""
        path = self._path(key)
        try:
            return await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise StorageError(f"{key} cannot be read from RESULTS_DIR ({_reason(error)})") from None

    async def write(self, key: str, body: bytes) -> str | None:
        """As Storage says."""
        path = self._path(key)
        try:
            await asyncio.to_thread(_write_whole, path, body)
        except OSError as error:
            raise StorageError(f"{key} cannot be written to RESULTS_DIR ({_reason(error)})") from None
        return path.as_uri()

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


def _write_whole(path: Path, body: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        # mkstemp gives the file to its owner alone; results are for whoever may read the folder.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class R2Storage:
    """Documents as objects of a bucket."""

    def __init__(self, settings: Settings) -> None:
        self.bucket: str | None = settings.r2_bucket
        self._public_base_url = settings.r2_public_base_url
        self._settings = settings

    async def fetch(self, key: str) -> BinaryIO:
        """As Storage says."""
        try:
            return await asyncio.to_thread(self._get, key)
        except _client_faults() as error:
            raise StorageError(f"{key} cannot be read from the bucket of R2_BUCKET ({_fault(error)})") from None

    async def write(self, key: str, body: bytes) -> str | None:
        """As Storage says."""
        try:
            await asyncio.to_thread(self._put, key, body)
        except _client_faults() as error:
            raise StorageError(f"{key} cannot be written to the bucket of R2_BUCKET ({_fault(error)})") from None
        return f"{self._public_base_url}/{key}" if self._public_base_url else None

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

    def _put(self, key: str, body: bytes) -> None:
        self._client().put_object(Bucket=str(self.bucket), Key=key, Body=body, ContentType="application/json")

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
            retries={"mode": "standard", "total_max_attempts": UPLOAD_ATTEMPTS},
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


def _fault(error: Exception) -> str:
    """The code of a fault, without the texts around it, which may hold addresses and key ids."""
    response = getattr(error, "response", None)
    return str(response["Error"].get("Code", "unknown")) if isinstance(response, dict) else type(error).__name__
