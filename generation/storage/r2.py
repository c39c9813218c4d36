"""Storage in a Cloudflare R2 bucket. The only importer of `boto3`; calls run in a thread, since boto3 blocks."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO, cast

from generation.config import Settings
from generation.errors import StorageError, disk_error
from generation.storage.base import Stored, delete_each
from generation.storage.threads import MAX_THREADS, Parameters, Result, in_storage_thread

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 5.0

# Maximum time of a call that is not retried (STORAGE_RETRY_S=0).
ONE_ATTEMPT_S = 30.0


def call_limit_s(settings: Settings) -> float:
    """Return the maximum time of a storage call in seconds, with all its attempts: STORAGE_RETRY_S."""
    return settings.storage_retry_s or ONE_ATTEMPT_S


class R2Storage:
    """Documents as objects of the bucket R2_BUCKET."""

    def __init__(self, settings: Settings) -> None:
        self.bucket: str | None = settings.r2_bucket
        self._public_base_url = settings.r2_public_base_url
        self._settings = settings
        self._call_limit_s = call_limit_s(settings)

    async def open(self, key: str) -> BinaryIO:
        # On disk: the contexts of a large repository would take twice their size in memory.
        try:
            file = cast("BinaryIO", await in_storage_thread(tempfile.TemporaryFile))
        except OSError as error:
            raise disk_error(key, error) from None
        try:
            await self._run("read from", key, self._download, key, file)
        except BaseException:
            file.close()
            raise
        return file

    async def exists(self, key: str) -> bool:
        return await self._run("read from", key, self._etag, key) is not None

    async def read(self, key: str) -> Stored | None:
        return await self._run("read from", key, self._find, key)

    async def write(self, key: str, body: bytes) -> None:
        await self._run("written to", key, self._put, key, body)

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        return await self._run("written to", key, self._put_if, key, body, version)

    async def list_keys(self, prefix: str) -> list[str]:
        return await self._run("read from", prefix, self._list, prefix)

    async def delete(self, keys: Iterable[str]) -> None:
        await delete_each(self._delete_one, keys, self._call_limit_s)

    async def _delete_one(self, key: str) -> None:
        await self._run("removed from", key, self._delete, key)

    def url(self, key: str) -> str | None:
        return f"{self._public_base_url}/{key}" if self._public_base_url else None

    async def _run(
        self,
        verb: str,
        key: str,
        call: Callable[Parameters, Result],
        *args: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        """Run a call in a thread and retry it, with exponential backoff and jitter, while the error is retryable.

        Raises StorageError after STORAGE_RETRY_S at the latest: an attempt has the time that the earlier ones have
        left, and no wait goes beyond it.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_before_delay, wait_random_exponential

        retrying = AsyncRetrying(
            retry=retry_if_exception(is_retryable),
            stop=stop_before_delay(self._settings.storage_retry_s),
            wait=wait_random_exponential(FIRST_BACKOFF_S, MAX_BACKOFF_S),
            reraise=True,
        )
        sentence = f"{key} cannot be {verb} the bucket of R2_BUCKET"
        try:
            async with asyncio.timeout(self._call_limit_s) as limit:
                return await retrying(functools.partial(in_storage_thread, call), *args, **named)
        except _client_errors() as error:
            raise StorageError(f"{sentence} ({_code(error)})", retryable=is_retryable(error)) from None
        except OSError as error:
            if limit.expired():
                unanswered = f"{sentence} (no whole answer within {self._call_limit_s:g} s)"
                raise StorageError(unanswered, retryable=True) from None
            raise disk_error(key, error) from None

    def _download(self, key: str, file: BinaryIO) -> None:
        """Write an object to an empty file, after an attempt that broke off, and rewind it."""
        file.seek(0)
        file.truncate()
        # Closed also where the file cannot be written: the connection would stay open, half read.
        with closing(self._client().get_object(Bucket=str(self.bucket), Key=key)["Body"]) as body:
            shutil.copyfileobj(body, file)
        file.seek(0)

    def _find(self, key: str) -> Stored | None:
        client = self._client()
        try:
            answer = client.get_object(Bucket=str(self.bucket), Key=key)
        except client.exceptions.NoSuchKey:
            return None
        with closing(answer["Body"]) as body:
            return Stored(body.read(), answer["ETag"])

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
            # 404: the version was deleted in the meantime.
            if _status(error) not in {404, 409, 412} or _code(error) == "NoSuchBucket":
                raise
            # An earlier attempt may have succeeded although its response was lost.
            return self._holds(key, body)
        return True

    def _holds(self, key: str, body: bytes) -> bool:
        """Return whether the key holds exactly this document: the ETag of a single-part upload is its MD5."""
        etag = self._etag(key)
        return etag is not None and etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()

    def _etag(self, key: str) -> str | None:
        """Return the ETag of an object, or None where there is none."""
        from botocore.exceptions import ClientError

        try:
            return self._client().head_object(Bucket=str(self.bucket), Key=key)["ETag"]
        except ClientError as error:
            if _status(error) == 404:  # noqa: PLR2004
                return None
            raise

    def _list(self, prefix: str) -> list[str]:
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=str(self.bucket), Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def _delete(self, key: str) -> None:
        # One by one: boto3 sends a CRC32 checksum with DeleteObjects, which R2 may reject.
        self._client().delete_object(Bucket=str(self.bucket), Key=key)

    def _client(self) -> S3Client:
        key_id, secret = (self._settings.r2_access_key_id, self._settings.r2_secret_access_key)
        with _client_lock:
            return _shared_client(
                self._settings.r2_endpoint,
                key_id.get_secret_value() if key_id else "",
                secret.get_secret_value() if secret else "",
                self._call_limit_s,
            )


# functools.cache alone does not stop threads that start together from creating a client each.
_client_lock = threading.Lock()
os.register_at_fork(
    before=_client_lock.acquire, after_in_parent=_client_lock.release, after_in_child=_client_lock.release
)


@functools.cache
def _shared_client(endpoint_url: str, access_key_id: str, secret_access_key: str, limit_s: float) -> S3Client:
    """Return the process's shared client: it takes 0.1 s to create and is thread-safe.

    A thread whose call was given up after `limit_s` is free again soon afterwards.
    """
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
            # R2 rejects the trailing checksums that boto3 sends by default over HTTPS.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=min(CONNECT_TIMEOUT_S, limit_s),
            read_timeout=min(READ_TIMEOUT_S, limit_s),
            max_pool_connections=MAX_THREADS,
        ),
    )
    # R2 never responds with "100 Continue", for which botocore would wait a second with every PUT.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


# A forked process must not share its connections.
os.register_at_fork(after_in_child=_shared_client.cache_clear)


def _client_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def is_retryable(error: BaseException) -> bool:
    """Return whether the same call may succeed later: the store is unavailable or busy, but does not refuse it."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _status(error) in {408, 429} or _status(error) >= 500 or _code(error) in _RETRYABLE_CODES  # noqa: PLR2004
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError | exceptions.IncompleteReadError):
        # A connection that breaks during an upload is an SSLError too; an untrusted certificate is permanent.
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return False


# Sent with status 400: the body arrived incomplete or too late.
_RETRYABLE_CODES = frozenset({"IncompleteBody", "RequestTimeout"})


def _status(error: Exception) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: Exception) -> str:
    """Return the error's code without its message, which may contain URLs and key ids."""
    response = getattr(error, "response", None)
    return str(response["Error"].get("Code", "unknown")) if isinstance(response, dict) else type(error).__name__
