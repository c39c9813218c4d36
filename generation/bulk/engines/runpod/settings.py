"""The settings of the RunPod engine: the endpoint and its API key.

Everything else, such as the store, is among the worker's own settings.
"""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from generation.config import EnvironmentSettings, check_key, check_web_address
from generation.domain.limits import ENDPOINT_PATTERN


class RunPodSettings(EnvironmentSettings):
    """The endpoint. Each setting's environment variable is its name in capitals."""

    runpod_api_key: SecretStr = Field(description="Key of the RunPod account")
    runpod_endpoint_id: str = Field(pattern=ENDPOINT_PATTERN, description="The endpoint that runs this worker")
    runpod_api_url: str = Field("https://api.runpod.ai/v2", description="RunPod's API; for tests another")

    @field_validator("runpod_api_url")
    @classmethod
    def _is_web_address(cls, url: str) -> str | None:
        return check_web_address(url)

    @field_validator("runpod_api_key")
    @classmethod
    def _is_a_key(cls, secret: SecretStr) -> SecretStr | None:
        return check_key(secret)

    @property
    def endpoint_url(self) -> str:
        """The base URL of /run, /status and /cancel."""
        return f"{self.runpod_api_url}/{self.runpod_endpoint_id}"
