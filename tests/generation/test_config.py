"""Settings: names, defaults, what is refused and in which words, and what is never shown."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from generation.config import VOCABULARY_DIR, ServiceSettings, Settings, set_process_defaults
from generation.domain.catalogue import Pricing
from generation.errors import ConfigError

KEY = {"OPENAI_API_KEY": "sk-test"}
OFFLINE = {"MODEL_NAME": "offline"}

R2 = {
    "R2_ACCOUNT_ID": "planted-account",
    "R2_ENDPOINT_URL": "https://planted-endpoint.example",
    "R2_ACCESS_KEY_ID": "planted-key-id",
    "R2_SECRET_ACCESS_KEY": "planted-secret",
    "R2_BUCKET": "planted-bucket",
    "R2_PUBLIC_BASE_URL": "https://planted-public.example",
}
SOME_OF_R2 = list(chain.from_iterable(combinations(R2, size) for size in range(1, len(R2) + 1)))


def settings(**environ: str) -> Settings:
    return Settings.from_env({**KEY, **environ})


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("openai_base_url", None),
        ("model_name", "gpt-5-nano"),
        ("max_concurrent_requests", 10),
        ("max_retries", 3),
        ("max_prompt_tokens", 2_000),
        ("max_completion_tokens", 4_096),
        ("request_timeout_s", 60.0),
        ("reasoning_effort", None),
        ("pricing", Pricing(0.15, 0.015, 0.60)),
        ("max_symbols", None),
        ("r2_account_id", None),
        ("r2_access_key_id", None),
        ("r2_secret_access_key", None),
        ("r2_bucket", None),
        ("r2_endpoint_url", None),
        ("r2_public_base_url", None),
        ("results_dir", Path("results")),
        ("max_output_bytes", 1_000_000),
        ("tiktoken_cache_dir", VOCABULARY_DIR),
        ("log_level", "INFO"),
    ],
)
def test_a_setting_that_is_not_set_has_its_default(name: str, default: object) -> None:
    """With nothing but the key set, each setting has the default that the table of settings promises."""
    assert getattr(settings(), name) == default


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("OPENAI_API_KEY", "sk-other", SecretStr("sk-other")),
        ("OPENAI_BASE_URL", "http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("MODEL_NAME", "gpt-6-luna", "gpt-6-luna"),
        ("MAX_CONCURRENT_REQUESTS", "32", 32),
        ("MAX_RETRIES", "0", 0),
        ("MAX_PROMPT_TOKENS", "3000", 3_000),
        ("MAX_COMPLETION_TOKENS", "512", 512),
        ("REQUEST_TIMEOUT_S", "1.5", 1.5),
        ("REASONING_EFFORT", "low", "low"),
        ("INPUT_TOKEN_PRICE", "0", 0.0),
        ("OUTPUT_TOKEN_PRICE", "0.4", 0.4),
        ("MAX_SYMBOLS", "7", 7),
        ("RESULTS_DIR", "/srv/results", Path("/srv/results")),
        ("MAX_OUTPUT_BYTES", "5000", 5_000),
        ("TIKTOKEN_CACHE_DIR", "/srv/vocabulary", Path("/srv/vocabulary")),
        ("LOG_LEVEL", "debug", "DEBUG"),
    ],
)
def test_a_setting_is_read_from_the_variable_of_its_name_in_capitals(name: str, text: str, value: object) -> None:
    """Each variable sets the setting of its name, white space around the value left out."""
    assert getattr(settings(**{name: f" {text}\n"}), name.lower()) == value


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    """A variable that is there but empty leaves the default, for every setting alike."""
    environ = dict.fromkeys((name.upper() for name in Settings.model_fields), empty)

    assert Settings.from_env({**environ, **KEY}) == settings()


@pytest.mark.parametrize("names", SOME_OF_R2, ids="+".join)
def test_r2_settings_are_taken_whole_or_refused_by_the_names_that_are_missing(names: tuple[str, ...]) -> None:
    """Of all combinations of R2 settings those with bucket, both keys and an address work; every other is refused with
    exactly the names that are missing and no value.
    """
    environ = {**OFFLINE, **{name: R2[name] for name in names}}
    missing = {"R2_BUCKET", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"} - set(names)
    if not {"R2_ACCOUNT_ID", "R2_ENDPOINT_URL"} & set(names):
        missing.add("R2_ACCOUNT_ID")

    if not missing:
        assert Settings.from_env(environ).r2_bucket == "planted-bucket"
        return
    said = refusal(environ)
    assert {name for name in R2 if name in said} == missing
    assert "planted" not in said


def test_the_address_of_r2_is_the_accounts_unless_it_is_set() -> None:
    """The account gives R2's address; R2_ENDPOINT_URL goes before it."""
    by_account = Settings.from_env({**OFFLINE, **R2, "R2_ENDPOINT_URL": ""})
    by_address = Settings.from_env({**OFFLINE, **R2})

    assert by_account.r2_endpoint == "https://planted-account.r2.cloudflarestorage.com"
    assert by_address.r2_endpoint == "https://planted-endpoint.example"


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    """No form in which settings can be printed or dumped shows a key."""
    secrets = ("sk-planted", "planted-key-id", "planted-secret")
    shown = Settings.from_env({**R2, "OPENAI_API_KEY": "sk-planted"})
    forms = [repr(shown), str(shown), f"{shown}", repr(shown.model_dump()), shown.model_dump_json(), repr(vars(shown))]

    assert [(secret, form) for secret in secrets for form in forms if secret in form] == []


BAD_VALUES = [
    ("OPENAI_API_KEY", "planted 7731"),
    ("OPENAI_API_KEY", "planted\u20137731"),
    ("OPENAI_BASE_URL", "planted7731"),
    ("OPENAI_BASE_URL", "ftp://planted7731"),
    ("OPENAI_BASE_URL", "https://"),
    ("MODEL_NAME", "planted 7731"),
    ("MODEL_NAME", "planted7731" * 20),
    ("MAX_CONCURRENT_REQUESTS", "0"),
    ("MAX_CONCURRENT_REQUESTS", "7731"),
    ("MAX_CONCURRENT_REQUESTS", "planted7731"),
    ("MAX_CONCURRENT_REQUESTS", "2.7731"),
    ("MAX_RETRIES", "-7731"),
    ("MAX_RETRIES", "7731"),
    ("MAX_PROMPT_TOKENS", "73"),
    ("MAX_COMPLETION_TOKENS", "7"),
    ("REQUEST_TIMEOUT_S", "0"),
    ("REQUEST_TIMEOUT_S", "nan"),
    ("REQUEST_TIMEOUT_S", "inf"),
    ("REASONING_EFFORT", "planted7731"),
    ("INPUT_TOKEN_PRICE", "-7731"),
    ("INPUT_TOKEN_PRICE", "nan"),
    ("OUTPUT_TOKEN_PRICE", "0,7731"),
    ("OUTPUT_TOKEN_PRICE", "inf"),
    ("MAX_SYMBOLS", "0"),
    ("R2_ENDPOINT_URL", "planted7731"),
    ("R2_PUBLIC_BASE_URL", "//planted7731/x"),
    ("R2_SECRET_ACCESS_KEY", "planted\t7731"),
    ("MAX_OUTPUT_BYTES", "7"),
    ("LOG_LEVEL", "planted7731"),
    ("OUTPUT_LANGUAGE", "planted 7731"),
    ("R2_ACCOUNT_ID", "planted 7731"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_refused_by_its_name_and_not_shown(name: str, value: str) -> None:
    """A value that cannot be used is refused in words that begin with the setting's name and leave out the value.

    No words are a regular expression.
    """
    said = refusal({**KEY, name: value})

    assert said.startswith(f"{name}: ")
    assert not any(part in said for part in ("planted", "7731", "^", "["))


@pytest.mark.parametrize("address", ["http://user:planted@ex\u2100mple.com", "http://[planted/"])
def test_an_address_that_urllib_cannot_read_is_not_shown_either(address: str) -> None:
    """Where reading an address fails in the standard library, its message, which repeats the address, is not shown."""
    said = refusal({**KEY, "OPENAI_BASE_URL": address})

    assert said.startswith("OPENAI_BASE_URL: ")
    assert "planted" not in said


def test_all_bad_values_are_named_at_once() -> None:
    """Who has set three settings wrongly reads of all three the first time."""
    said = refusal({**KEY, "MAX_RETRIES": "many", "LOG_LEVEL": "loud", "INPUT_TOKEN_PRICE": "-1"})

    assert [part.split(":")[0] for part in said.split("; ")] == ["MAX_RETRIES", "INPUT_TOKEN_PRICE", "LOG_LEVEL"]


def model_refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env(environ).require_usable_model()
    return str(refused.value)


def test_the_key_is_required_unless_summaries_are_written_offline() -> None:
    """Without a key the worker is refused in words that name both ways out, and starts with MODEL_NAME=offline."""
    said = model_refusal({})

    assert "OPENAI_API_KEY" in said
    assert "MODEL_NAME=offline" in said
    Settings.from_env(OFFLINE).require_usable_model()
    Settings.from_env({}).require_usable_model(needs_key=False)


@pytest.mark.parametrize(
    ("model", "effort", "takes"),
    [
        ("gpt-5-nano", "none", "minimal, low, medium, high"),
        ("gpt-6-luna", "minimal", "none, low, medium, high"),
        ("gpt-4o", "low", "no reasoning effort"),
    ],
)
def test_an_effort_that_the_model_does_not_take_is_refused(model: str, effort: str, takes: str) -> None:
    """A reasoning effort is held to the model's own list before a request is paid for, and the list is shown."""
    said = model_refusal({**KEY, "MODEL_NAME": model, "REASONING_EFFORT": effort})

    assert "REASONING_EFFORT" in said
    assert said.endswith(takes)


def test_a_model_that_nobody_knows_may_take_any_effort() -> None:
    """Of a model that is not in the catalogue nothing is known, so the user's word on its effort holds."""
    assert settings(MODEL_NAME="qwen3:8b", REASONING_EFFORT="none").reasoning_effort == "none"


@pytest.mark.parametrize(
    ("environ", "pricing"),
    [
        ({}, Pricing(0.15, 0.015, 0.60)),
        ({"MODEL_NAME": "gpt-4o"}, Pricing(2.50, 1.25, 10.0)),
        ({"MODEL_NAME": "gpt-4o", "OUTPUT_TOKEN_PRICE": "0.60"}, Pricing(2.50, 1.25, 0.60)),
        ({"INPUT_TOKEN_PRICE": "0.05"}, Pricing(0.05, 0.005, 0.60)),
        ({"INPUT_TOKEN_PRICE": "0", "OUTPUT_TOKEN_PRICE": "0"}, Pricing(0.0, 0.0, 0.0)),
        ({"MODEL_NAME": "qwen3:8b"}, Pricing(0.0, 0.0, 0.0)),
        ({"MODEL_NAME": "qwen3:8b", "INPUT_TOKEN_PRICE": "2"}, Pricing(2.0, 2.0, 0.0)),
    ],
)
def test_prices_are_the_catalogues_unless_they_are_set(environ: dict[str, str], pricing: Pricing) -> None:
    """Each price is the one that is set, else the catalogue's; cached input keeps its ratio to the input price."""
    assert settings(**environ).pricing == pricing


def test_a_jobs_model_brings_its_own_prices_and_effort() -> None:
    """Prices and effort that are set belong to the configured model: a job with another one pays the catalogue's."""
    configured = settings(INPUT_TOKEN_PRICE="9", OUTPUT_TOKEN_PRICE="9", REASONING_EFFORT="minimal", MAX_RETRIES="1")

    changed = configured.with_options({"model_name": "gpt-6-luna", "max_symbols": 5})

    assert (changed.pricing, changed.reasoning_effort) == (Pricing(0.10, 0.01, 0.50), None)
    assert (changed.max_symbols, changed.max_retries) == (5, 1)


def test_a_job_that_names_the_configured_model_keeps_its_prices() -> None:
    """Naming the model that is configured anyway changes nothing."""
    configured = settings(INPUT_TOKEN_PRICE="9", REASONING_EFFORT="high")

    assert configured.with_options({"model_name": "gpt-5-nano"}) == configured
    assert configured.with_options({}) == configured


def test_a_jobs_model_is_refused_where_there_is_no_key_for_it() -> None:
    """A worker without a key refuses a job that asks for a model, in the words that it would have started with."""
    offline = Settings.from_env(OFFLINE)

    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        offline.with_options({"model_name": "gpt-5-nano"}).require_usable_model()


END = date(2026, 12, 11)
PRICES = {"INPUT_TOKEN_PRICE": "9", "OUTPUT_TOKEN_PRICE": "9"}


def test_the_default_model_gives_way_on_the_day_of_its_shutdown() -> None:
    """Until the day before it is the default, at its own or the set price; then its replacement, at list price."""
    configured = settings(REASONING_EFFORT="minimal", **PRICES)

    before, after = (configured.as_of(day) for day in (END - timedelta(1), END))

    assert (before.model_name, before.pricing.input_per_1m, before.effort) == ("gpt-5-nano", 9, "minimal")
    assert (after.model_name, after.pricing, after.effort) == ("gpt-5.6-luna", Pricing(0.20, 0.02, 1.20), "none")
    assert after.as_of(END + timedelta(1)) == after
    assert settings(REASONING_EFFORT="low").as_of(END).effort == "low"


@pytest.mark.parametrize("model", ["gpt-5-nano", "gpt-5-mini", "gpt-6-luna", "offline"])
def test_a_model_that_is_set_is_never_replaced(model: str) -> None:
    """In MODEL_NAME or in a job's options: it stays, with the prices that are set for it."""
    assert settings(MODEL_NAME=model, **PRICES).as_of(END) == settings(MODEL_NAME=model, **PRICES)
    assert settings().as_of(END).with_options({"model_name": model}).as_of(END).model_name == model


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (-61, None),
        (-60, "OpenAI shuts gpt-5-nano down"),
        (-1, "OpenAI shuts"),
        (0, "OpenAI shut gpt"),
        (99, "shut gpt"),
    ],
)
def test_who_sets_no_model_is_warned_before_its_end_and_after(days: int, says: str | None) -> None:
    """From 60 days before on, and from then on: the day, the replacement and its price, and what to set."""
    warnings = settings().as_of(END + timedelta(days)).model_warnings(END + timedelta(days))

    assert len(warnings) == (says is not None)
    for warning in warnings:
        assert str(says) in warning
        assert "MODEL_NAME" in warning
        assert "2026-12-11: gpt-5.6-luna is used from then on, at $0.2 and $1.2 per million" in warning


def test_settings_cannot_be_changed() -> None:
    """Jobs share the settings, so none may change them; with_options leaves the original as it was."""
    configured = settings()
    configured.with_options({"max_symbols": 3})

    assert configured == settings()
    with pytest.raises(ValidationError):
        configured.max_symbols = 3  # type: ignore[misc]


@given(st.dictionaries(st.sampled_from([name.upper() for name in Settings.model_fields]), st.text(max_size=30)))
def test_whatever_the_environment_holds_the_answer_is_settings_or_a_sentence(environ: dict[str, str]) -> None:
    """No environment makes reading it fail in another way than by a ConfigError that names a setting."""
    try:
        Settings.from_env(environ)
    except ConfigError as error:
        assert any(name.upper() in str(error) for name in Settings.model_fields)  # noqa: PT017


def test_what_libraries_read_themselves_is_set_only_where_it_is_not() -> None:
    """tiktoken's folder and the SDK's log level get the worker's defaults, and the user's own values stay."""
    empty = {"TIKTOKEN_CACHE_DIR": ""}
    set_process_defaults(empty)
    own: dict[str, Any] = {"TIKTOKEN_CACHE_DIR": "/srv/v", "RUNPOD_LOG_LEVEL": "ERROR"}
    set_process_defaults(own)

    assert empty["TIKTOKEN_CACHE_DIR"] == str(VOCABULARY_DIR)
    assert empty["RUNPOD_LOG_LEVEL"] == "INFO"
    assert (own["TIKTOKEN_CACHE_DIR"], own["RUNPOD_LOG_LEVEL"]) == ("/srv/v", "ERROR")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_ORG_ID", "org-planted\nX-Header: 1"),
        ("OPENAI_PROJECT_ID", "prój-planted"),
        ("SSL_CERT_FILE", "/nowhere/planted.pem"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/nowhere/planted"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/planted.pem"),
        ("AWS_CA_BUNDLE", "/nowhere/planted.pem"),
        ("HTTPS_PROXY", "socks5://planted:1080"),
        ("HTTP_PROXY", "http://[planted"),
        ("https_proxy", "http://planted:99999"),
        ("ALL_PROXY", "http://"),
    ],
)
def test_what_libraries_could_not_use_is_refused_by_its_name(name: str, value: str) -> None:
    """Certificates that are not there, proxies that are no address and IDs unfit for a header end a process at once."""
    said = refusal({**KEY, name: value})
    assert said.startswith(f"{name}: ")
    assert "planted" not in said


def test_what_libraries_can_use_is_left_alone(tmp_path: Path) -> None:
    """Good variables of the libraries, and empty ones, are no business of the settings."""
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    good = {
        "OPENAI_ORG_ID": "org-1",
        "SSL_CERT_FILE": str(bundle),
        "SSL_CERT_DIR": str(tmp_path),
        "REQUESTS_CA_BUNDLE": str(tmp_path),
        "HTTP_PROXY": "proxy.example:3128",
        "https_proxy": "http://user:password@[::1]:3128/",
        "ALL_PROXY": "",
    }
    assert settings(**good) == settings()


def test_the_services_own_settings_have_their_defaults() -> None:
    """With nothing set, or set to nothing, the service listens everywhere, for no web site and without a token."""
    empty = dict.fromkeys((name.upper() for name in ServiceSettings.model_fields), " ")

    for environ in ({}, empty):
        read = ServiceSettings.from_env(environ)
        assert (read.host, read.port, read.origins, read.service_token) == ("0.0.0.0", 8003, [], None)  # noqa: S104


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://site.example", ["https://site.example"]),
        (" https://a.example/ ,, http://localhost:3000 ", ["https://a.example", "http://localhost:3000"]),
        ("*", ["*"]),
    ],
)
def test_allowed_origins_are_read_one_by_one(text: str, origins: list[str]) -> None:
    """Origins stand with commas between them; white space and a slash at the end do not count."""
    assert ServiceSettings.from_env({"ALLOWED_ORIGINS": text}).origins == origins


@pytest.mark.parametrize(
    "text", ["site.example", "https://planted/path", "https://u:planted@site", "a,https://b", "**"]
)
def test_what_is_no_origin_is_refused_by_name(text: str) -> None:
    """A host alone, a path or a password makes no origin: no browser would ever send it."""
    with pytest.raises(ConfigError, match="ALLOWED_ORIGINS") as caught:
        ServiceSettings.from_env({"ALLOWED_ORIGINS": text})
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "token", "is_open"),
    [
        ("0.0.0.0", "", True),  # noqa: S104
        ("::", "", True),
        ("worker.example", "", True),
        ("0.0.0.0", "token", False),  # noqa: S104
        ("127.0.0.1", "", False),
        ("127.9.9.9", "", False),
        ("::1", "", False),
        ("localhost", "", False),
    ],
)
def test_a_service_is_open_where_others_reach_it_without_a_token(host: str, token: str, is_open: bool) -> None:
    """Only an address of this machine, or a token, keeps others out."""
    read = ServiceSettings.from_env({"HOST": host, "SERVICE_TOKEN": token})

    assert read.is_open_to_others == is_open
    assert "token" not in repr(read.service_token)
