"""The model catalogue: limits, prices, accepted parameters and shutdown dates of models.

Prices are OpenAI's list prices in USD per million tokens, except for gpt-5-nano, which has this project's configured
default. Shutdown dates are those in the SDK's `types/shared/chat_model.py` (openai 3.52). A model that is not listed,
such as one served by vLLM, Ollama or LM Studio, gets safe defaults: optional parameters are not sent, and its tokens
cost nothing unless prices are set. Leaves out: asking `GET /v1/models`; the catalogue needs no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

OFFLINE = "offline"
# The model for those who set none, until it is shut down; its replacement follows.
DEFAULT_MODEL = "gpt-5-nano"
SHUTDOWN_NOTICE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Pricing:
    """USD per million tokens."""

    input_per_1m: float
    cached_input_per_1m: float
    output_per_1m: float


FREE = Pricing(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Model:
    """A model: limits in tokens, list prices, the parameters that it accepts, and when it is shut down."""

    name: str
    context_tokens: int
    max_output_tokens: int
    pricing: Pricing
    reasoning_efforts: tuple[str, ...] = ()
    takes_temperature: bool = False
    shutdown_date: date | None = None
    replacement: str | None = None
    encoding: str = "o200k_base"
    listed: bool = True

    @property
    def lowest_effort(self) -> str | None:
        """Return the cheapest reasoning effort that the model accepts, or None if it accepts none."""
        return self.reasoning_efforts[0] if self.reasoning_efforts else None


_MINIMAL_UP = ("minimal", "low", "medium", "high")
_NONE_UP = ("none", "low", "medium", "high")

_CATALOGUE = {
    model.name: model
    for model in (
        Model("gpt-5-nano", 400_000, 128_000, Pricing(0.15, 0.015, 0.60), _MINIMAL_UP,
              shutdown_date=date(2026, 12, 11), replacement="gpt-5.6-luna"),
        Model("gpt-5-mini", 400_000, 128_000, Pricing(0.25, 0.025, 2.00), _MINIMAL_UP,
              shutdown_date=date(2026, 12, 11), replacement="gpt-5.6-luna"),
        Model("gpt-5.4-nano", 400_000, 128_000, Pricing(0.20, 0.02, 1.25), _NONE_UP,
              shutdown_date=date(2027, 4, 1), replacement="gpt-5.6-luna"),
        Model("gpt-5.6-luna", 922_000, 128_000, Pricing(0.20, 0.02, 1.20), _NONE_UP),
        Model("gpt-6-luna", 922_000, 128_000, Pricing(0.10, 0.01, 0.50), _NONE_UP),
        Model("gpt-4o", 128_000, 16_384, Pricing(2.50, 1.25, 10.0), takes_temperature=True,
              shutdown_date=date(2027, 1, 14), replacement="gpt-6-luna"),
        Model("gpt-4o-mini", 128_000, 16_384, Pricing(0.15, 0.075, 0.60), takes_temperature=True,
              shutdown_date=date(2027, 1, 14), replacement="gpt-6-luna"),
        Model("gpt-4o-2024-05-13", 128_000, 4_096, Pricing(5.00, 5.00, 15.0), takes_temperature=True,
              shutdown_date=date(2026, 10, 23), replacement="gpt-6-luna"),
        Model(OFFLINE, 0, 0, FREE),
    )
}  # fmt: skip

UNLISTED_CONTEXT_TOKENS = 8_192
UNLISTED_OUTPUT_TOKENS = 4_096


def find_model(name: str) -> Model:
    """Return the model of this name, with or without the date of a snapshot (`gpt-5-nano-2025-08-07`).

    A name that is not listed gives a `Model` with safe defaults and `listed=False`.

    >>> find_model("gpt-5-nano-2025-08-07").pricing.input_per_1m
    0.15
    >>> find_model("llama3.2:3b").listed
    False
    """
    listed = _CATALOGUE.get(name) or _CATALOGUE.get(_without_date(name))
    if listed and (listed.name != OFFLINE or name == OFFLINE):
        return listed
    return Model(name, UNLISTED_CONTEXT_TOKENS, UNLISTED_OUTPUT_TOKENS, FREE, listed=False)


def utc_today() -> date:
    """Return the present date, by which models come and go."""
    return datetime.now(UTC).date()


def is_shut_down(model: Model, today: date) -> bool:
    """Return whether the model's announced shutdown date has come."""
    return model.shutdown_date is not None and today >= model.shutdown_date


def models_shut_down(today: date) -> tuple[str, ...]:
    """Return the names of the listed models that have been shut down."""
    return tuple(name for name, model in _CATALOGUE.items() if is_shut_down(model, today))


def _without_date(name: str) -> str:
    stem, day = name[:-11], name[-11:]
    try:
        date.fromisoformat(day[1:])
    except ValueError:
        return name
    return stem if day.startswith("-") else name


def shutdown_advice(model: Model) -> str | None:
    """Return when the model is shut down and what to set instead, or None if no date is announced."""
    if model.shutdown_date is None:
        return None
    return f"OpenAI shuts {model.name} down on {model.shutdown_date}: set MODEL_NAME={model.replacement}"


def default_model(today: date) -> Model:
    """Return the model of those who set none: DEFAULT_MODEL, or its replacement from its shutdown date on.

    >>> default_model(date(2026, 12, 10)).name, default_model(date(2026, 12, 11)).name
    ('gpt-5-nano', 'gpt-5.6-luna')
    """
    model = find_model(DEFAULT_MODEL)
    while is_shut_down(model, today) and model.replacement is not None:
        model = find_model(model.replacement)
    return model


def default_model_warnings(today: date) -> list[str]:
    """Return the warnings for a run without MODEL_NAME: from 60 days before the default's shutdown on."""
    first = find_model(DEFAULT_MODEL)
    if first.shutdown_date is None or today < first.shutdown_date - SHUTDOWN_NOTICE:
        return []
    then = default_model(max(today, first.shutdown_date))
    price = f"${then.pricing.input_per_1m:g} and ${then.pricing.output_per_1m:g} per million input and output tokens"
    follows = f"{then.name} is used from then on, at {price}; set MODEL_NAME to choose a model"
    verb = "shuts" if today < first.shutdown_date else "shut"
    return [f"MODEL_NAME is not set, and OpenAI {verb} {first.name} down on {first.shutdown_date}: {follows}"]


def model_warnings(model: Model, today: date) -> list[str]:
    """Return the warnings for a run: the model is unlisted, or its shutdown is past or within 60 days."""
    if not model.listed:
        unknown = f"{model.name} is not in the model catalogue"
        context = "its context is what its server tells, or MODEL_CONTEXT_TOKENS"
        return [f"{unknown}: {context}; its price is 0 unless INPUT_TOKEN_PRICE and OUTPUT_TOKEN_PRICE are set"]
    advice = shutdown_advice(model)
    if advice and model.shutdown_date and today >= model.shutdown_date - SHUTDOWN_NOTICE:
        return [advice]
    return []
