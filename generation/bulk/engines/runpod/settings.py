"""The settings of the bulk command beside the worker's own: where its RunPod endpoint is, and the key to it.

Read once from a mapping by the door, as `generation.config` reads its own. Leaves out everything that the worker has a
setting for: the store above all.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from generation.config import Settings
from generation.errors import ConfigError

# Stands for a key where none is needed: `Settings` wants one for any model, and workers have their own.
NO_KEY_NEEDED = "not-needed-here"


class RunPodSettings(BaseModel):
    """The endpoint; the environment variable of each is its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    runpod_api_key: SecretStr = Field(description="Key of the RunPod account")
    runpod_endpoint_id: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="The endpoint that runs this worker")
    runpod_api_url: str = Field("https://api.runpod.ai/v2", description="RunPod's API; for tests another")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> RunPodSettings:
        """Read the settings from a mapping such as `os.environ`. Raises ConfigError, which names what is wrong."""
        given = {name: environ.get(name.upper(), "").strip() for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            raise ConfigError("; ".join(_fault(fault["loc"], fault["type"]) for fault in error.errors())) from None

    @field_validator("runpod_api_url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ValueError("no address")
        return url.rstrip("/")

    @field_validator("runpod_api_key")
    @classmethod
    def _fits_in_a_header(cls, secret: SecretStr) -> SecretStr:
        if not all("!" <= char <= "~" for char in secret.get_secret_value()):
            raise ValueError("no key")
        return secret

    @property
    def endpoint_url(self) -> str:
        """The address that /run, /status and /cancel follow."""
        return f"{self.runpod_api_url}/{self.runpod_endpoint_id}"


def _fault(place: tuple[int | str, ...], kind: str) -> str:
    name = str(place[0]).upper()
    if kind == "missing":
        return f"{name} must be set for --via runpod"
    rules = {
        "RUNPOD_API_KEY": "has white space or a character that no key has",
        "RUNPOD_ENDPOINT_ID": "must be the endpoint's id: letters, digits, hyphens",
        "RUNPOD_API_URL": "must be an address such as https://host/path, without a user or a password",
    }
    return f"{name}: {rules[name]}"


def settings_without_key(environ: Mapping[str, str]) -> Settings:
    """The worker's settings where no model will be asked from here: OPENAI_API_KEY need not be set."""
    key = environ.get("OPENAI_API_KEY", "").strip() or NO_KEY_NEEDED
    return Settings.from_env({**environ, "OPENAI_API_KEY": key})
