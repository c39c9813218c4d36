"""Settings of the limits."""

from __future__ import annotations

import pytest

from doctown.errors import ConfigError
from doctown.repository import Limits


def test_limits_have_defaults_and_settings() -> None:
    assert Limits.from_env({"FETCH_MAX_BYTES": " "}) == Limits(500_000_000, 50_000, 300.0)
    environ = {"FETCH_MAX_BYTES": "1000", "FETCH_MAX_FILES": " 20 ", "FETCH_TIMEOUT_S": "0.5"}
    assert Limits.from_env(environ) == Limits(1000, 20, 0.5)


@pytest.mark.parametrize("name", ["FETCH_MAX_BYTES", "FETCH_MAX_FILES", "FETCH_TIMEOUT_S"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "inf", "nan", "1e400"])
def test_bad_limit_is_refused_by_its_name_alone(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        Limits.from_env({name: value})
    assert value == "0" or value not in str(caught.value)
