"""The catalogue: what it says of each model, held to the table it was made from and to the SDK's own dates."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiktoken
import tiktoken_ext.openai_public

from generation.domain.catalogue import FREE, OFFLINE, Model, Pricing, find_model, model_warnings, shutdown_advice
from generation.prompts.tokens import VOCABULARY_FILES

MINIMAL_UP = ("minimal", "low", "medium", "high")
NONE_UP = ("none", "low", "medium", "high")

# name: prices in, cached in, out; context and most output in tokens; efforts; temperature; shutdown and replacement
TABLE = {
    "gpt-5-nano": (0.15, 0.015, 0.60, 400_000, 128_000, MINIMAL_UP, False, "2026-12-11", "gpt-5.6-luna"),
    "gpt-5-mini": (0.25, 0.025, 2.00, 400_000, 128_000, MINIMAL_UP, False, "2026-12-11", "gpt-5.6-luna"),
    "gpt-5.4-nano": (0.20, 0.02, 1.25, 400_000, 128_000, NONE_UP, False, "2027-04-01", "gpt-5.6-luna"),
    "gpt-5.6-luna": (0.20, 0.02, 1.20, 922_000, 128_000, NONE_UP, False, None, None),
    "gpt-6-luna": (0.10, 0.01, 0.50, 922_000, 128_000, NONE_UP, False, None, None),
    "gpt-4o": (2.50, 1.25, 10.0, 128_000, 16_384, (), True, "2027-01-14", "gpt-6-luna"),
    "gpt-4o-mini": (0.15, 0.075, 0.60, 128_000, 16_384, (), True, "2027-01-14", "gpt-6-luna"),
}
RETIRING = [name for name, row in TABLE.items() if row[7]]


@pytest.mark.parametrize("name", TABLE)
def test_the_catalogue_says_of_a_model_what_the_table_says(name: str) -> None:
    """Prices, limits, efforts and dates are those of the table that the design was made from."""
    price, cached, output, context, most, efforts, temperature, shutdown, replacement = TABLE[name]
    model = find_model(name)

    assert model.pricing == Pricing(price, cached, output)
    assert (model.context_tokens, model.max_output_tokens) == (context, most)
    assert (model.reasoning_efforts, model.takes_temperature) == (efforts, temperature)
    assert model.shutdown_date == (date.fromisoformat(shutdown) if shutdown else None)
    assert model.replacement == replacement
    assert model.lowest_effort == (efforts[0] if efforts else None)


def dates_in_the_sdk() -> dict[str, date]:
    """The shutdown date of each model and snapshot, as the SDK's own list of models announces it."""
    spec = find_spec("openai")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "types" / "shared" / "chat_model.py").read_text(encoding="utf-8")
    notes = re.findall(r"^- (.+?)(?=^- |^\"\"\")", text, re.MULTILINE | re.DOTALL)
    return {
        name: date.fromisoformat(announced[1])
        for note in notes
        if (announced := re.search(r"Announced shutdown\s+date:\s+(\d{4}-\d{2}-\d{2})", note))
        for name in re.findall(r'"([^"]+)"', note)
    }


SDK_DATES = {name: day for name, day in dates_in_the_sdk().items() if find_model(name).listed}


def test_the_sdk_announces_the_end_of_exactly_the_models_that_have_one_here() -> None:
    """Every model of the catalogue with a shutdown date is announced by the SDK, and none of the others is."""
    assert {name for name in TABLE if name in SDK_DATES} == set(RETIRING)


@pytest.mark.parametrize("name", SDK_DATES)
def test_shutdown_dates_are_those_that_the_sdk_announces(name: str) -> None:
    """A model and each of its snapshots goes away here on the day that the SDK's own list of models names."""
    assert find_model(name).shutdown_date == SDK_DATES[name]


@pytest.mark.parametrize("name", RETIRING)
def test_a_replacement_is_listed_and_stays(name: str) -> None:
    """Nobody is sent from a model that goes away to one that is unknown or goes away itself."""
    replacement = find_model(str(find_model(name).replacement))

    assert replacement.listed
    assert replacement.shutdown_date is None


@pytest.mark.parametrize("name", ["gpt-5-nano", "gpt-5-mini", "gpt-4o", "gpt-4o-mini"])
def test_the_encoding_is_the_one_that_tiktoken_names(name: str) -> None:
    """Where tiktoken knows a model, the catalogue counts its tokens by the same encoding."""
    assert find_model(name).encoding == tiktoken.encoding_name_for_model(name)


@pytest.mark.parametrize("name", [*TABLE, OFFLINE, "anything"])
def test_each_encoding_has_its_vocabulary_under_the_name_that_tiktoken_looks_for(name: str) -> None:
    """tiktoken looks for a vocabulary under the SHA-1 of the address that its own table gives for the encoding."""
    source = Path(str(tiktoken_ext.openai_public.__file__)).read_text(encoding="utf-8")
    encoding = find_model(name).encoding
    addresses = re.findall(rf'"(https://\S+/{encoding}\.tiktoken)"', source)

    assert [hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest() for url in addresses] == [
        VOCABULARY_FILES[encoding]
    ]


@pytest.mark.parametrize("name", ["gpt-5-nano-2025-08-07", "gpt-4o-mini-2024-07-18"])
def test_a_snapshot_is_its_model(name: str) -> None:
    """A model's name with the date of a snapshot finds the model."""
    assert find_model(name) == find_model(name[:-11])
    assert find_model(name).listed


@pytest.mark.parametrize(
    "name",
    [
        "gpt-5-nano-2025-13-07",
        "gpt-5-nano2025-08-07",
        "gpt-5-nano_2025-08-07",
        "gpt-5-nano-latest",
        "GPT-5-nano",
        "gpt-5",
        "llama3.2:3b",
        "2025-08-07",
        "x",
    ],
)
def test_an_unknown_model_gets_safe_defaults_and_a_warning(name: str) -> None:
    """A name that is not listed costs nothing, is sent no parameter that it may not know, and is warned of by name."""
    model = find_model(name)

    assert model == Model(name, 8_192, 4_096, FREE, listed=False)
    assert (model.lowest_effort, model.takes_temperature) == (None, False)
    (warning,) = model_warnings(model, date(2026, 1, 1))
    assert name in warning
    assert "INPUT_TOKEN_PRICE" in warning


@pytest.mark.parametrize("name", RETIRING)
@pytest.mark.parametrize(("days_left", "warned"), [(61, False), (60, True), (1, True), (0, True), (-1, True)])
def test_a_run_near_a_models_end_is_told_so(name: str, days_left: int, *, warned: bool) -> None:
    """From 60 days before its shutdown date on, and after it, a run is told the date and the replacement."""
    model = find_model(name)
    assert model.shutdown_date is not None
    assert model.replacement is not None

    warnings = model_warnings(model, model.shutdown_date - timedelta(days=days_left))

    if not warned:
        assert warnings == []
        return
    (warning,) = warnings
    assert all(part in warning for part in (name, str(model.shutdown_date), f"MODEL_NAME={model.replacement}"))


@pytest.mark.parametrize("name", ["gpt-6-luna", "gpt-5.6-luna", OFFLINE])
def test_a_model_without_an_end_has_no_warning(name: str) -> None:
    """Where no date is announced there is nothing to say, however late it is."""
    assert shutdown_advice(find_model(name)) is None
    assert model_warnings(find_model(name), date(2099, 1, 1)) == []
