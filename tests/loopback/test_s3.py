"""The stand-ins for R2 behave as the tests of the results bucket take for granted, as far as boto3 can tell."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, SSLError

from tests.conftest import needs_miniflare
from tests.loopback.s3 import LoopbackS3, MotoS3, running_moto
from tests.support.waiting import LIMIT_S

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


Checksums = Literal["when_required", "when_supported"]
Connect = Callable[..., "S3Client"]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """boto3 as the worker uses it: everything it needs comes from `environment()`."""
    clients: list[S3Client] = []

    def connect(
        s3: LoopbackS3, *, checksums: Checksums = "when_required", tries: int = 1, key_id: str = ""
    ) -> S3Client:
        environment = s3.environment()
        monkeypatch.setenv("AWS_CA_BUNDLE", environment["AWS_CA_BUNDLE"])
        config = Config(
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
            retries={"total_max_attempts": tries},
        )
        clients.append(
            boto3.session.Session().client(
                "s3",
                endpoint_url=environment["R2_ENDPOINT_URL"],
                aws_access_key_id=key_id or environment["R2_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["R2_SECRET_ACCESS_KEY"],
                region_name="auto",
                config=config,
            )
        )
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def status_of(error: pytest.ExceptionInfo[ClientError]) -> int:
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_objects_go_in_and_out_over_tls(either: LoopbackS3, connect: Connect) -> None:
    """boto3, told only the environment, stores and reads what the test's own look into the bucket confirms."""
    client = connect(either)
    client.put_object(Bucket=either.bucket, Key="results/ü 1.json", Body=b"{}", ContentType="application/json")
    either.put("results/2.json", b"[]")
    assert either.get("results/ü 1.json") == b"{}"
    assert client.get_object(Bucket=either.bucket, Key="results/2.json")["Body"].read() == b"[]"
    assert {"results/2.json", "results/ü 1.json"} <= set(either.keys())


def test_a_conditional_put_has_one_winner(either: LoopbackS3, connect: Connect) -> None:
    """A PUT with If-None-Match: * is refused with 412 where the object exists, which stays as it was."""
    client = connect(either)
    client.put_object(Bucket=either.bucket, Key="once", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed") as refused:
        client.put_object(Bucket=either.bucket, Key="once", Body=b"second", IfNoneMatch="*")
    assert status_of(refused) == 412
    assert either.get("once") == b"first"


@needs_miniflare
def test_miniflare_refuses_the_default_checksums(miniflare: LoopbackS3, connect: Connect) -> None:
    """With boto3's default checksums a PUT over TLS fails and stores nothing: production's trap is seen here."""
    with pytest.raises(ClientError, match="InternalError") as refused:
        connect(miniflare, checksums="when_supported").put_object(Bucket=miniflare.bucket, Key="default", Body=b"1")
    assert status_of(refused) == 500
    assert "default" not in set(miniflare.keys())


@needs_miniflare
def test_miniflare_refuses_an_unknown_key_id(miniflare: LoopbackS3, connect: Connect) -> None:
    """Credentials are checked: a wrong access key id is refused."""
    with pytest.raises(ClientError) as refused:
        connect(miniflare, key_id="nobody").put_object(Bucket=miniflare.bucket, Key="stolen", Body=b"1")
    assert status_of(refused) == 401


def test_a_client_that_does_not_know_the_authority_is_refused(moto: MotoS3, connect: Connect, tmp_path: Path) -> None:
    """The certificate is checked: a client that was told another authority does not connect."""
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with pytest.raises(SSLError):
        connect(LoopbackS3(moto.endpoint_url, str(stranger))).head_bucket(Bucket=moto.bucket)
    assert moto.requests == []


@pytest.mark.parametrize(("checksums", "trailer"), [("when_required", False), ("when_supported", True)])
def test_requests_are_recorded_as_sent(moto: MotoS3, connect: Connect, checksums: Checksums, trailer: bool) -> None:
    """The record shows what boto3 sends: a trailer by default, none when checksums are sent only where required."""
    connect(moto, checksums=checksums).put_object(Bucket=moto.bucket, Key="a/b c", Body=b"1")
    (request,) = moto.requests
    assert (request.method, request.target) == ("PUT", f"/{moto.bucket}/a/b%20c")
    assert request.headers["expect"] == "100-continue"
    assert ("x-amz-trailer" in request.headers) is trailer
    assert (request.headers.get("content-encoding") == "aws-chunked") is trailer


def test_failures_come_as_often_as_asked(moto: MotoS3, connect: Connect) -> None:
    """Two failures are two tries of boto3's, and the third stores the object."""
    moto.fail_next(1, 503)
    moto.fail_next(1, 500)
    connect(moto, tries=3).put_object(Bucket=moto.bucket, Key="third", Body=b"1")
    assert len(moto.requests) == 3
    assert moto.keys() == ["third"]


@pytest.mark.parametrize(("status", "error"), [(503, ClientError), (None, ConnectionClosedError)])
@pytest.mark.parametrize("applied", [False, True])
def test_a_failed_request_may_have_taken_effect(
    moto: MotoS3, connect: Connect, status: int | None, error: type[Exception], applied: bool
) -> None:
    """A request fails with a status or a closed connection, before it took effect or after."""
    moto.fail_next(1, status, applied=applied)
    with pytest.raises(error):
        connect(moto).put_object(Bucket=moto.bucket, Key="unsure", Body=b"1" * 1_000_000)
    assert moto.keys() == (["unsure"] if applied else [])


@pytest.mark.parametrize("status", [503, None])
def test_a_bucket_that_is_down_refuses_everything(moto: MotoS3, connect: Connect, status: int | None) -> None:
    """While the bucket is down every request fails, but for the test's own look; then all is as before."""
    client = connect(moto)
    moto.put("kept", b"1")
    moto.down(status)
    requests: list[Callable[[], Any]] = [
        lambda: client.head_object(Bucket=moto.bucket, Key="kept"),
        lambda: client.put_object(Bucket=moto.bucket, Key="lost", Body=b"1"),
        lambda: client.list_objects_v2(Bucket=moto.bucket),
    ]
    for request in requests:
        with pytest.raises((ClientError, BotoCoreError)):
            request()
    assert moto.keys() == ["kept"]
    moto.up()
    assert client.get_object(Bucket=moto.bucket, Key="kept")["Body"].read() == b"1"


def test_a_slow_bucket_holds_requests_back(moto: MotoS3, connect: Connect) -> None:
    """A request to a slow bucket takes no less than the delay."""
    client = connect(moto)
    moto.slow(0.2)
    started_s = time.monotonic()
    client.head_bucket(Bucket=moto.bucket)
    # Clocks of threads may differ by a rounding; a busy machine only makes it longer.
    assert time.monotonic() - started_s >= 0.19


def test_closing_does_not_wait_for_slow_requests(connect: Connect) -> None:
    """A request that is held back when the server closes gets no answer: it was not waited for."""
    with ThreadPoolExecutor() as pool:
        with running_moto() as moto:
            moto.slow(LIMIT_S)
            held_back = pool.submit(connect(moto).head_bucket, Bucket=moto.bucket)
            moto.wait_for_requests(1, LIMIT_S)
        with pytest.raises(BotoCoreError):
            held_back.result(LIMIT_S)


def test_each_server_starts_empty() -> None:
    """What one server stored is gone with it."""
    with running_moto() as first:
        first.put("left over", b"1")
    with running_moto() as second:
        assert second.keys() == []


def test_a_client_that_stands_still_at_its_beginning_keeps_nobody_out(moto: MotoS3, connect: Connect) -> None:
    """A connection without a handshake, as a frozen process leaves one, holds up no other."""
    address = urlsplit(moto.endpoint_url)
    with socket.create_connection((address.hostname, address.port or 0)):
        connect(moto).put_object(Bucket=moto.bucket, Key="key", Body=b"body")

    assert moto.get("key") == b"body"
