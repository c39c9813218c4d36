"""Documents in Cloudflare R2. The only importer of `boto3`; calls run in a thread, since boto3 blocks."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar

from generation.config import Settings
from generation.errors import StorageError
from generation.storage.base import Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 5.0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class R2Storage:
    """Documents as objects of a bucket."""

    def __init__(self, settings: Settings) -> None:
        self.bucket: str | None = settings.r2_bucket
        self._public_base_url = settings.r2_public_base_url
        self._settings = settings

    async def open(self, key: str) -> BinaryIO:
        """As Storage says."""
        return await self._run("read from", key, self._get, key)

    async def read(self, key: str) -> Stored | None:
        """As Storage says."""
        return await self._run("read from", key, self._find, key)

    async def write(self, key: str, body: bytes) -> None:
        """As Storage says."""
        await self._run("written to", key, self._put, key, body)

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
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
            retry=retry_if_exception(is_retryable),
            stop=stop_after_delay(self._settings.storage_retry_s),
            wait=wait_random_exponential(FIRST_BACKOFF_S, MAX_BACKOFF_S),
            reraise=True,
        )
        try:
            return await retrying(functools.partial(asyncio.to_thread, call), *args, **named)
        except _client_faults() as error:
            sentence = f"{key} cannot be {verb} the bucket of R2_BUCKET ({_code(error)})"
            raise StorageError(sentence, retryable=is_retryable(error)) from None

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


def is_retryable(error: BaseException) -> bool:
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
