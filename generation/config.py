"""All settings, read once from a mapping.

Only the entry points (`handler.py` and the other commands) call `Settings.from_env(os.environ)`; the modules below them
receive the frozen settings. `ServiceSettings` are used by the HTTP service only. Secrets are masked in `repr`; the
error for a bad value names its setting and never shows the value. Leaves out: the options of a job, which `JobOptions`
parses and `Settings.with_options` applies.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping, MutableMapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from generation.domain.catalogue import (
    DEFAULT_MODEL,
    OFFLINE,
    UNLISTED_CONTEXT_TOKENS,
    Model,
    Pricing,
    default_model,
    default_model_warnings,
    find_model,
    model_warnings,
)
from generation.domain.limits import (
    ACCOUNT_PATTERN,
    HOST_PATTERN,
    MIN_PROMPT_TOKENS,
    BatchSize,
    BatchTokens,
    Centrality,
    ConcurrentRequests,
    CostUsd,
    DeadlineS,
    Language,
    MaxSymbols,
    ModelName,
    pattern_words,
)
from generation.errors import ConfigError

if TYPE_CHECKING:
    from typing import Self


REPOSITORY = Path(__file__).resolve().parent.parent
_PACKAGED_VOCABULARY_DIR = Path(__file__).parent / "vocabulary"  # in an installed package (see setup.py)
VOCABULARY_DIR = _PACKAGED_VOCABULARY_DIR if _PACKAGED_VOCABULARY_DIR.is_dir() else REPOSITORY / "vocabulary"

AccountId = Annotated[str, Field(pattern=ACCOUNT_PATTERN)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Effort = Literal["none", "minimal", "low", "medium", "high"]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda value: str(value).upper())]


class EnvironmentSettings(BaseModel):
    """Settings that are read from the environment; each variable is the setting's name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=())

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from a mapping such as `os.environ`; an empty value counts as not set.

        Raise ConfigError, which names every invalid setting, or a variable that a library could not use.
        """
        check_environment(environ)
        given = {name: environ.get(name.upper(), "").strip() for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            raise ConfigError("; ".join(_setting_fault(fault) for fault in error.errors())) from None


class Settings(EnvironmentSettings):
    """The worker's settings; the environment variable of each is its name in capitals."""

    openai_api_key: SecretStr | None = Field(
        None, description="OpenAI API key; required unless MODEL_NAME is `offline`"
    )
    openai_base_url: str | None = Field(
        None, description="Base URL of another server with an OpenAI-compatible API, such as vLLM or Ollama"
    )
    model_name: ModelName = Field(
        DEFAULT_MODEL,
        description="Model to use; `offline` writes summaries without a model. The default gives way to its "
        "replacement on the day that OpenAI shuts it down",
    )
    max_concurrent_requests: ConcurrentRequests = Field(10, description="Maximum number of requests in flight at once")
    jobs_per_worker: int = Field(
        4, ge=1, le=64, description="Maximum number of jobs that one worker runs at once; they share one rate limiter"
    )
    max_retries: int = Field(
        3,
        ge=0,
        le=20,
        description="Maximum number of retries after a timeout, a broken connection, a 5xx or an unusable answer",
    )
    max_prompt_tokens: int = Field(
        2_000, ge=MIN_PROMPT_TOKENS, le=200_000, description="Token budget of a prompt; a longer prompt is truncated"
    )
    max_completion_tokens: int = Field(
        4_096, ge=16, le=128_000, description="Maximum number of tokens in an answer, including reasoning"
    )
    model_context_tokens: int = Field(
        UNLISTED_CONTEXT_TOKENS,
        ge=MIN_PROMPT_TOKENS,
        le=10_000_000,
        description="Context of a model that is not in the catalogue, in tokens, where its server does not tell it",
    )
    temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Sampling temperature, for models that take it; default: 0 for those of the catalogue",
    )
    request_timeout_s: float = Field(
        60.0,
        gt=0,
        le=900,
        allow_inf_nan=False,
        description="Seconds to wait for an answer while the latency is unknown; doubled with each attempt, up to 900",
    )
    outage_s: float = Field(
        120.0,
        ge=0,
        le=7 * 24 * 3600,
        allow_inf_nan=False,
        description="Seconds that a job waits for a server that is away (connection refused, 503) before it ends",
    )
    reasoning_effort: Effort | None = Field(
        None, description="Reasoning effort; default: the lowest that the model accepts"
    )
    input_token_price: Price | None = Field(
        None, description="USD per million input tokens; default: 0.15 for gpt-5-nano, otherwise the catalogue price"
    )
    output_token_price: Price | None = Field(
        None, description="USD per million output tokens; default: 0.60 for gpt-5-nano, otherwise the catalogue price"
    )
    max_symbols: MaxSymbols | None = Field(
        None, description="Maximum number of symbols to document in a job, most central first"
    )
    batch_mode: bool = Field(default=False, description="Document several symbols in one request")
    batch_size: BatchSize = Field(10, description="Maximum number of symbols in one batch-mode request")
    max_batch_tokens: BatchTokens = Field(
        30_000, description="Maximum number of input tokens in one batch-mode request"
    )
    include_semantic_context: bool = Field(
        default=False, description="Add nearest neighbours, symbols of the same file and imports to prompts"
    )
    callees_first: bool = Field(
        default=True,
        description="Document callees before their callers and add their summaries to the callers' prompts",
    )
    output_language: Language = Field("English", description="Language of the summaries: its English name or its code")
    min_centrality: Centrality = Field(
        0.0, description="Symbols with a lower centrality get an offline summary, at no cost"
    )
    max_cost_usd: CostUsd | None = Field(
        None, description="Spending limit of a job in USD; a job with a higher estimate is refused"
    )
    deadline_s: DeadlineS = Field(
        560.0,
        description="Seconds after which a job ends with what is done; keep it below RunPod's 600 s execution timeout",
    )
    shutdown_grace_s: float = Field(
        8.0, ge=0, le=3_600, allow_inf_nan=False, description="Seconds that a worker has to end its jobs after SIGTERM"
    )
    r2_account_id: AccountId | None = Field(None, description="Cloudflare account ID; determines the R2 endpoint")
    r2_access_key_id: SecretStr | None = Field(None, description="R2 access key ID")
    r2_secret_access_key: SecretStr | None = Field(None, description="R2 secret access key")
    r2_bucket: str | None = Field(
        None, description="Bucket for results; without it, results are written to RESULTS_DIR"
    )
    r2_endpoint_url: str | None = Field(
        None, description="R2 endpoint where the account ID does not determine it (EU, FedRAMP, tests)"
    )
    r2_public_base_url: str | None = Field(
        None, description="Public base URL of the bucket; used for the `url` of results"
    )
    readable_prefixes: str = Field(
        "", description="Prefixes of the keys that callers may have read, separated by commas; default: all inputs"
    )
    results_dir: Path = Field(Path("results"), description="Folder for results when no bucket is set")
    storage_retry_s: float = Field(
        30.0, ge=0, le=600, allow_inf_nan=False, description="Seconds for which an unavailable bucket is retried"
    )
    max_output_bytes: int = Field(
        1_000_000, ge=1_000, le=9_000_000, description="Maximum size of a job output that includes the symbols"
    )
    tiktoken_cache_dir: Path = Field(VOCABULARY_DIR, description="Folder of the tokenizer vocabulary")
    log_level: LogLevel = Field("INFO", description="Minimum level that is logged: DEBUG, INFO, WARNING, ERROR")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings as usual; OPENAI_MODEL counts as MODEL_NAME where that is not set."""
        model = environ.get("MODEL_NAME", "").strip() or environ.get("OPENAI_MODEL", "")
        return super().from_env({**environ, "MODEL_NAME": model})

    @field_validator("openai_base_url", "r2_endpoint_url", "r2_public_base_url")
    @classmethod
    def _is_web_address(cls, url: str | None) -> str | None:
        return check_web_address(url)

    @field_validator("openai_api_key", "r2_access_key_id", "r2_secret_access_key")
    @classmethod
    def _is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        return check_key(secret)

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if missing := self._missing_r2_settings():
            raise ValueError(f"{', '.join(missing)} must be set too where another R2 setting is")
        return self

    def _missing_r2_settings(self) -> list[str]:
        r2 = {name: getattr(self, name) for name in Settings.model_fields if name.startswith("r2_")}
        if not any(r2.values()):
            return []
        needed = ("r2_bucket", "r2_access_key_id", "r2_secret_access_key")
        missing = [name.upper() for name in needed if not r2[name]]
        return missing if self.r2_account_id or self.r2_endpoint_url else ["R2_ACCOUNT_ID", *missing]

    def require_usable_model(self, *, needs_key: bool = True) -> None:
        """Raise ConfigError if the key is missing or the model does not accept the reasoning effort.

        For the start of a job, and of a process that is there for jobs only; a plan needs no key.
        """
        if needs_key and self.model_name != OFFLINE and self.openai_api_key is None:
            raise ConfigError("OPENAI_API_KEY must be set, or MODEL_NAME=offline for summaries without a model")
        efforts = self.model.reasoning_efforts
        if self.reasoning_effort and self.model.listed and self.reasoning_effort not in efforts:
            takes = ", ".join(efforts) or "no reasoning effort"
            raise ConfigError(f"REASONING_EFFORT must be one that {self.model_name} takes: {takes}")

    @property
    def model(self) -> Model:
        """Return the model's entry in the catalogue."""
        return find_model(self.model_name)

    @property
    def effort(self) -> str | None:
        """Return the reasoning effort of requests: the one that is set, or the lowest that the model accepts."""
        return self.reasoning_effort or self.model.lowest_effort

    @property
    def pricing(self) -> Pricing:
        """Return the prices in USD per million tokens: those that are set, else the catalogue's.

        A set input price keeps the catalogue's ratio for cached input.
        """
        listed = self.model.pricing
        input_price = listed.input_per_1m if self.input_token_price is None else self.input_token_price
        cached_ratio = listed.cached_input_per_1m / listed.input_per_1m if listed.input_per_1m else 1.0
        output_price = listed.output_per_1m if self.output_token_price is None else self.output_token_price
        return Pricing(input_price, round(input_price * cached_ratio, 6), output_price)

    @property
    def key_prefixes(self) -> tuple[str, ...]:
        """Return the prefixes of the keys that callers may have read; none if nothing is restricted."""
        return tuple(one.strip() for one in self.readable_prefixes.split(",") if one.strip())

    @property
    def r2_endpoint(self) -> str:
        """Return R2's URL: the one that is set, or the account's."""
        return self.r2_endpoint_url or f"https://{self.r2_account_id}.r2.cloudflarestorage.com"

    def as_of(self, today: date) -> Settings:
        """Return the settings for what starts on this day: without MODEL_NAME, a default that still exists.

        Prices that are set belong to the model that was the default, and give way to the list price with it; so does a
        reasoning effort that its replacement does not accept. A model that is set is never replaced.
        """
        model = default_model(today)
        if "model_name" in self.model_fields_set or model.name == self.model_name:
            return self
        changed = {"model_name": model.name, "input_token_price": None, "output_token_price": None}
        if self.reasoning_effort not in model.reasoning_efforts:
            changed["reasoning_effort"] = None
        # Unlike `model_copy`, this leaves the model marked as not set.
        return Settings.model_construct(_fields_set=self.model_fields_set, **{**dict(self), **changed})

    def model_warnings(self, today: date) -> list[str]:
        """Return what is worth knowing of the model: that it is unlisted, or goes or has gone away."""
        if "model_name" not in self.model_fields_set:
            return default_model_warnings(today)
        return model_warnings(self.model, today)

    def with_options(self, options: Mapping[str, Any]) -> Settings:
        """Return these settings with a job's (already validated) options in their place.

        Prices and effort that are set belong to the configured model; a job with another model uses the catalogue's.
        """
        update = dict(options)
        if update.get("model_name", self.model_name) != self.model_name:
            update |= {"input_token_price": None, "output_token_price": None, "reasoning_effort": None}
        return self.model_copy(update=update)


class ServiceSettings(EnvironmentSettings):
    """Settings of the HTTP service only: where it listens, and who may call it."""

    host: Annotated[str, Field(pattern=HOST_PATTERN)] = Field(
        "0.0.0.0",  # noqa: S104 - not reachable in a container otherwise
        description="Address to listen on",
    )
    port: int = Field(8003, ge=0, le=65_535, description="Port to listen on; 0 picks a free port")
    allowed_origins: str = Field("", description="Web origins whose pages may call the service, separated by commas")
    service_token: SecretStr | None = Field(
        None, description="Token that `/generate` requires as `Authorization: Bearer`; without it anyone may call"
    )

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        if not all(one == "*" or _ORIGIN.fullmatch(one) for one in _origins(text)):
            raise ValueError("must be origins such as https://site.example, with commas between them")
        return text

    @field_validator("service_token")
    @classmethod
    def _is_a_token(cls, secret: SecretStr | None) -> SecretStr | None:
        return check_key(secret)

    @property
    def origins(self) -> list[str]:
        """Return the origins as a list, in the form browsers send: without a trailing slash."""
        return _origins(self.allowed_origins)

    @property
    def is_open_to_others(self) -> bool:
        """Return whether other machines may call without a token."""
        return self.service_token is None and not _is_loopback(self.host)


_ORIGIN = re.compile(r"https?://[^\s/@?#]+")


def _origins(text: str) -> list[str]:
    return [one.strip().rstrip("/") for one in text.split(",") if one.strip()]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_key(secret: SecretStr | None) -> SecretStr | None:
    """Return a key that is valid in an HTTP header. Raise ValueError for any other."""
    if secret is not None and not all("!" <= char <= "~" for char in secret.get_secret_value()):
        raise ValueError("has white space or a character that no key has")
    return secret


def check_web_address(url: str | None) -> str | None:
    """Return a URL without its trailing slash. Raise ValueError if it is not one, or contains a user name."""
    if url is not None and not _names_a_host(url):
        raise ValueError("must be an address such as https://host/path, without a user or a password")
    return url.rstrip("/") if url else url


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # its message repeats the address, which may hold a password
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_HEADERS = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID")


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a variable that the libraries of HTTP read themselves and could not use.

    Certificates must be there, proxies must be addresses, and what is sent in headers must be fit for them: otherwise
    each request would fail for it.
    """
    for name in _HEADERS:
        if not all("!" <= char <= "~" for char in environ.get(name, "").strip(" ")):
            raise ConfigError(f"{name}: has white space or a character that no such ID has")
    for name in _CERTIFICATES:
        if (path := environ.get(name, "")) and not _holds_certificates(Path(path), name):
            raise ConfigError(f"{name}: must be a {'folder' if name.endswith('DIR') else 'file'} of certificates")
    for name in (*_PROXIES, *map(str.lower, _PROXIES)):
        if (url := environ.get(name, "").strip()) and not _is_proxy(url):
            raise ConfigError(f"{name}: must be an address such as http://host:3128")


def _holds_certificates(path: Path, name: str) -> bool:
    try:
        if path.is_dir():
            return name != "SSL_CERT_FILE"
        if name != "SSL_CERT_DIR":
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
            return True
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        pass
    return False


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port beyond 65,535, or a bracket
        return False


def _setting_fault(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, a TypedDict of its own package
    if not fault["loc"]:
        return str(fault["msg"].removeprefix("Value error, "))
    name = str(fault["loc"][0]).upper()
    if fault["type"] == "missing":
        return f"{name} must be set"
    return f"{name}: {pattern_words(fault) or fault['msg'].removeprefix('Value error, ')}"


def set_process_defaults(environ: MutableMapping[str, str]) -> None:
    """Set environment variables that libraries read themselves, unless they are already set.

    tiktoken finds its vocabulary through TIKTOKEN_CACHE_DIR; below level INFO the RunPod SDK logs whole outputs.
    """
    for name, value in (("TIKTOKEN_CACHE_DIR", str(VOCABULARY_DIR)), ("RUNPOD_LOG_LEVEL", "INFO")):
        # An empty folder name would turn off tiktoken's cache and make it download.
        environ[name] = environ.get(name) or value
