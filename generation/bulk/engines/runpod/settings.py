"""The settings of the bulk command beside the worker's own: where its RunPod endpoint is, and the key to it.

Leaves out everything that the worker has a setting for: the store above all.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SecretStr, field_validator

from generation.config import EnvironmentSettings, Settings, check_key, check_web_address

# Stands for a key where none is needed: `Settings` wants one for any model, and workers have their own.
NO_KEY_NEEDED = "not-needed-here"


class RunPodSettings(EnvironmentSettings):
    """The endpoint; the environment variable of each is its name in capitals."""

    runpod_api_key: SecretStr = Field(description="Key of the RunPod account")
    runpod_endpoint_id: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="The endpoint that runs this worker")
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
        """The address that /run, /status and /cancel follow."""
        return f"{self.runpod_api_url}/{self.runpod_endpoint_id}"


def settings_without_key(environ: Mapping[str, str]) -> Settings:
    """The worker's settings where no model will be asked from here: OPENAI_API_KEY need not be set."""
    key = environ.get("OPENAI_API_KEY", "").strip() or NO_KEY_NEEDED
    return Settings.from_env({**environ, "OPENAI_API_KEY": key})
