"""The settings of the summaries that the arguments of a build make."""

import argparse

import pytest

from doctown.commands.worker import add_worker_arguments, worker_settings
from doctown.options import MAX_CONCURRENT_OF_OPENAI
from generation import Settings

OWN_SERVER = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}


@pytest.mark.parametrize(
    ("arguments", "environ", "most"),
    [
        pytest.param([], {}, MAX_CONCURRENT_OF_OPENAI, id="openai"),
        pytest.param([], OWN_SERVER, Settings().max_concurrent_requests, id="another-server"),
        pytest.param([], {"MAX_CONCURRENT_REQUESTS": "7"}, 7, id="setting"),
        pytest.param(["--llm-max-concurrent", "8"], {"MAX_CONCURRENT_REQUESTS": "7"}, 8, id="argument"),
    ],
)
def test_a_build_has_as_many_requests_in_flight_as_openai_allows(
    arguments: list[str], environ: dict[str, str], most: int
) -> None:
    """With nothing said a build may have a hundred requests in flight at OpenAI, and the worker's default elsewhere."""
    parser = argparse.ArgumentParser()
    add_worker_arguments(parser)
    options = parser.parse_args(arguments)
    options.via = "local"
    assert worker_settings(options, environ).settings.max_concurrent_requests == most
