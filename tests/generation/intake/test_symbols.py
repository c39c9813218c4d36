"""The contract of a job's input: what is taken, what is refused, where the sentence points and what it never shows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.domain.context import CONTEXT_FIELDS, RelatedSymbol, SymbolContext
from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Failed, Symbol
from generation.errors import InputError
from generation.intake.faults import printable
from generation.intake.job_input import parse_job
from generation.intake.symbols import UnreadableLine, check_symbol_count, parse_symbols, read_symbols
from tests.support.contexts import context, item, payload

REQUIRED = ("symbol_id", "name", "kind", "language", "file_path")
LISTS = ("calls", "called_by", "imports", "related_symbols", "bases", "decorators")
TEXTS = ("signature", "cluster_label", "docstring", "source_code")
# Of these, control characters are replaced; in the others they are refused.
QUOTED = ("docstring", "source_code")
PLAIN = ("signature", "cluster_label")


def verdicts(*items: object) -> list[Symbol | Failed]:
    return list(parse_symbols(items, set()))


def verdict(one: object) -> Symbol | Failed:
    (only,) = verdicts(one)
    return only


def refusal(given_payload: object) -> str:
    with pytest.raises(InputError) as caught:
        parse_job(given_payload, "j1")
    return str(caught.value)


# --- The job


def test_a_job_is_its_symbols_and_options() -> None:
    """A job with symbols and options is taken as it is, under RunPod's id where it has none of its own."""
    job = parse_job(payload(3, model="gpt-6-luna", max_concurrent_requests=5, max_symbols=2), "runpod-1")

    assert job.job_id == "runpod-1"
    assert job.symbols == payload(3)["symbols"]
    assert job.options.as_settings() == {"model_name": "gpt-6-luna", "max_concurrent_requests": 5, "max_symbols": 2}


@pytest.mark.parametrize("options", [{}, None])
def test_options_that_are_not_given_are_not_set(options: object) -> None:
    """Without options a job sets none, so that each keeps the setting's value."""
    assert parse_job({"symbols": [], "options": options}, "j").options.as_settings() == {}
    assert parse_job({"symbols_key": "results/in.json"}, "j").options.as_settings() == {}


BAD_JOBS: list[tuple[Any, str]] = [
    (None, "input must be an object"),
    ("planted", "input must be an object"),
    (7731, "input must be an object"),
    ({}, "exactly one of symbols and symbols_key"),
    ({"symbols": None}, "exactly one of symbols and symbols_key"),
    ({"symbols": [], "symbols_key": "planted"}, "exactly one of symbols and symbols_key"),
    ({"symbols": {"a": "planted"}}, "input.symbols must be a list"),
    ({"symbols": "planted"}, "input.symbols must be a list"),
    ({"symbols_key": 7731}, "input.symbols_key must be a text"),
    ({"symbols_key": ""}, "input.symbols_key must not be empty"),
    ({"symbols_key": "planted\n"}, "input.symbols_key: has a control character (U+000A) at 7"),
    ({"symbols_key": "x" * 1_025}, "input.symbols_key has more than 1024 characters"),
    ({"symbols_key": "planted\ud800"}, "input.symbols_key has a lone surrogate"),
    ({"symbols": [], "symbls": "planted"}, "input.symbls is not a key that is known here"),
    ({"symbols": [], "options": ["planted"]}, "input.options must be an object"),
    ({"symbols": [], "options": "planted"}, "input.options must be an object"),
    (
        {"symbols": [], "options": {"modell": "planted"}},
        "input.options.modell is not a key that is known here: did you mean model?",
    ),
    ({"symbols": [], "options": {"output_language": "planted"}}, "input.options.output_language: is no language"),
    ({"input": {"symbols": [], "symbls": 1}}, "input.symbls is not a key that is known here: did you mean symbols?"),
    ({"input": {"symbols": []}, "other": 1}, "input.input is not a key that is known here"),
    ({"symbols": [], "options": {"model": 7731}}, "input.options.model must be a text"),
    ({"symbols": [], "options": {"model": "planted it"}}, "input.options.model"),
    ({"symbols": [], "options": {"max_symbols": 0}}, "input.options.max_symbols"),
    ({"symbols": [], "options": {"max_symbols": True}}, "input.options.max_symbols must be a whole number"),
    ({"symbols": [], "options": {"max_symbols": "7731"}}, "input.options.max_symbols must be a whole number"),
    ({"symbols": [], "options": {"max_concurrent_requests": 7731}}, "input.options.max_concurrent_requests"),
    ({"symbols": [], "options": {"max_concurrent_requests": 1.5}}, "input.options.max_concurrent_requests"),
    ({"symbols": [], "job_id": 7731}, "input.job_id must be a text"),
    ({"symbols": [], "\ud800": "planted"}, "input has a lone surrogate"),
]


@pytest.mark.parametrize(("bad", "says"), BAD_JOBS, ids=[says for _, says in BAD_JOBS])
def test_a_bad_job_is_refused_by_the_place(bad: object, says: str) -> None:
    """What is wrong with a job as a whole is said in a sentence that names the place and shows no value."""
    said = refusal(bad)

    assert says in said
    assert not any(value in said for value in ("planted", "7731"))
    said.encode("utf-8")


@pytest.mark.parametrize("options", [[], "", 0, False])
def test_options_that_are_no_object_are_refused_even_where_they_are_empty(options: object) -> None:
    """An empty list is no object either: what a client sends wrongly it is told, before it matters."""
    assert "input.options must be an object" in refusal({"symbols": [], "options": options})


@pytest.mark.parametrize("job_id", ["a", "x" * 128, "job-7.part_2", "..a", "-"])
def test_a_job_id_of_plain_characters_is_kept(job_id: str) -> None:
    """A job's own id goes before RunPod's."""
    assert parse_job({"symbols": [], "job_id": job_id}, "runpod-1").job_id == job_id


@pytest.mark.parametrize(
    "job_id", ["", "x" * 129, "a/b", "../a", ".", "..", "a b", "a\n", "\u00e9", "a\x00", "%2e", "a\\b"]
)
def test_a_bad_job_id_is_refused(job_id: str) -> None:
    """An id that could lead out of the folder of results, or that no key of a bucket should be, is refused."""
    assert "input.job_id must be" in refusal({"symbols": [], "job_id": job_id})


def test_all_that_is_wrong_with_a_job_is_said_at_once() -> None:
    """Up to three faults of a job stand in one sentence."""
    said = refusal({"symbols": 1, "options": {"model": 2}, "other": 3})

    assert all(place in said for place in ("input.symbols", "input.options.model", "input.other"))


@pytest.mark.parametrize("count", [1, 50_000])
def test_a_job_takes_one_to_fifty_thousand_symbols(count: int) -> None:
    """Both ends of the range are taken."""
    assert count in {1, MAX_JOB_SYMBOLS}
    check_symbol_count(count)


@pytest.mark.parametrize(("count", "says"), [(0, "symbols is empty"), (50_001, "50001"), (100_000, "split it")])
def test_no_symbols_or_too_many_are_the_jobs_fault(count: int, says: str) -> None:
    """An empty job and one of 100,000 symbols are refused with what to do about it."""
    with pytest.raises(InputError, match=says):
        check_symbol_count(count)


# --- The symbols


def test_a_whole_context_is_read_field_by_field() -> None:
    """Every field of a context comes through as it was sent."""
    facts = {
        **context("release"),
        "signature": "s",
        "imports": ["i"],
        "related_symbols": ["r", "s"],
        "cluster_label": "shop",
        "centrality": 0.25,
        "docstring": "D\n\tE",
        "embedding": [0.5, -1.0],
        "callees": ["shop/orders.py:reserve"],
        "parent": "Shop",
        "bases": ["Base"],
        "decorators": ["cached"],
        "exported": True,
    }
    one = verdict({"symbol_id": facts["symbol_id"], "context": facts})

    assert isinstance(one, Symbol)
    assert set(facts) == CONTEXT_FIELDS
    read = {name: getattr(one.context, name) for name in facts}
    many = {*LISTS, "embedding", "callees"}
    assert {name: list(value) if name in many else value for name, value in read.items()} == facts
    assert (one.position, one.symbol_id, one.centrality) == (0, facts["symbol_id"], 0.25)


@pytest.mark.parametrize("name", [*LISTS, *TEXTS, "centrality"])
def test_an_optional_field_may_be_null_or_missing(name: str) -> None:
    """What is optional may be left out or null, with the same result."""
    assert verdict(item("f", **{name: None})) == verdict(item("f"))
    assert not getattr(SymbolContext(**context("f")), name)


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, 0.5, 1e-300])
def test_a_centrality_from_0_to_1_is_taken(value: float) -> None:
    """Both ends belong to the range, as whole numbers too."""
    one = verdict(item("f", centrality=value))

    assert isinstance(one, Symbol)
    assert one.centrality == value


@pytest.mark.parametrize(
    ("field", "value", "taken"),
    [
        ("centrality", 1 + 1e-9, 1.0),
        ("centrality", 1.0000000000000002, 1.0),
        ("centrality", -1e-17, 0.0),
        ("similarity", 1.0000001192092896, 1.0),
        ("similarity", -1.0000001, -1.0),
    ],
)
def test_what_only_rounding_has_put_outside_is_put_on_the_bound(field: str, value: float, taken: float) -> None:
    """Sums of floats are a hair above 1 or below 0: such a number is the bound, and loses no symbol."""
    facts = {"related_symbols": [{"name": "g", "similarity": value}]} if field == "similarity" else {field: value}
    one = verdict(item("f", **facts))

    assert isinstance(one, Symbol)
    if field == "similarity":
        (related,) = one.context.related_symbols
        assert isinstance(related, RelatedSymbol)
        assert related.similarity == taken
    else:
        assert one.centrality == taken


def test_control_characters_in_what_is_quoted_are_replaced_and_named_once() -> None:
    """A docstring and a source with control characters keep the rest; one warning names the first place."""
    items = [
        item("f", docstring="Bell\x07.", source_code="a\0b\x1b[31m\tc\n"),
        item("g", docstring="It was \ufffd before.", source_code="pass"),
        item("h", source_code="x = '\x85'"),
    ]
    parsed = read_symbols(items)

    assert [one.context.docstring for one in parsed.symbols[:2]] == ["Bell\ufffd.", "It was \ufffd before."]
    assert parsed.symbols[0].context.source_code == "a\ufffdb\ufffd[31m\tc\n"
    (warning,) = parsed.warnings
    assert warning == (
        "control characters in symbols[0].context.docstring and in 2 other texts were replaced by U+FFFD"
    )


LONE = "planted\ud800 7731"
BAD_FIELDS: list[tuple[str, Any, str]] = [
    *[(name, None, "must be a text") for name in REQUIRED[1:]],
    *[(name, "", "must not be empty") for name in REQUIRED[1:]],
    *[(name, 7731, "must be a text") for name in (*REQUIRED[1:], *TEXTS)],
    *[(name, ["planted"], "must be a text") for name in (*REQUIRED[1:], *TEXTS)],
    *[(name, "planted\n7731", "has a control character (U+000A) at 7") for name in REQUIRED[1:]],
    *[(name, "planted\x00", "has a control character (U+0000) at 7") for name in (*REQUIRED[1:], *PLAIN)],
    *[(name, "planted\x1b[0m", "has a control character (U+001B) at 7") for name in (*REQUIRED[1:], *PLAIN)],
    *[(name, "planted\x85", "has a control character (U+0085) at 7") for name in (*REQUIRED[1:], *PLAIN)],
    *[(name, LONE, "has a lone surrogate") for name in REQUIRED[1:]],
    *[(name, "planted" * 200, "has more than 1024 characters") for name in REQUIRED[1:]],
    *[(name, "planted", "must be a list") for name in LISTS],
    *[(name, {"planted": 7731}, "must be a list") for name in LISTS],
    *[(name, ["a"] * 10_001, "has more than 10000 items") for name in LISTS],
    ("centrality", 7, "centrality: Input should be less than or equal to 1"),
    ("centrality", -0.1, "centrality: Input should be greater than or equal to 0"),
    ("centrality", float("nan"), "must be a finite number"),
    ("centrality", float("inf"), "must be a finite number"),
    ("centrality", 10**400, "must be a number"),
    ("centrality", "0.7731", "must be a number"),
    ("centrality", True, "must be a number"),
]


def case_id(value: object) -> str:
    return ascii(value)[:24] if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(("name", "value", "says"), BAD_FIELDS, ids=case_id)
def test_a_bad_field_fails_its_symbol_by_the_place(name: str, value: object, says: str) -> None:
    """One bad field fails one symbol, in a sentence that names the place and shows nothing of what stands there."""
    good, bad = verdicts(item("release"), item("f", **{name: value}))

    assert isinstance(good, Symbol)
    assert isinstance(bad, Failed)
    assert (bad.position, bad.symbol_id, bad.failure) == (1, "shop/orders.py:f", "invalid_symbol")
    assert bad.message.startswith(f"symbols[1].context.{name}")
    assert says in bad.message
    assert not any(part in bad.message for part in ("planted", "7731"))


@pytest.mark.parametrize("name", [*TEXTS, *LISTS])
def test_a_lone_surrogate_fails_its_symbol_wherever_it_stands(name: str) -> None:
    """A text that cannot be sent is refused by the place, since neither a prompt nor a result could hold it."""
    bad = verdict(item("f", **{name: [LONE] if name in LISTS else LONE}))

    assert isinstance(bad, Failed)
    assert bad.message.startswith(f"symbols[0].context.{name}")
    assert "has a lone surrogate" in bad.message


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("signature", "x" * 100_001, 100_000),
        ("docstring", "x" * 1_000_001, 1_000_000),
        ("source_code", "x" * 5_000_000, 1_000_000),
        ("cluster_label", "x" * 1_025, 1_024),
        ("calls", ["x" * 10_001], 10_000),
    ],
    ids=["signature", "docstring", "source_code", "cluster_label", "calls"],
)
def test_a_text_that_is_too_long_is_refused_in_characters(name: str, value: object, most: int) -> None:
    """A source body of 5 MB, and every other text above its limit, is refused with the limit, in characters."""
    bad = verdict(item("f", **{name: value}))

    assert isinstance(bad, Failed)
    assert bad.message.startswith(f"symbols[0].context.{name}")
    assert bad.message.endswith(f"has more than {most} characters")


@pytest.mark.parametrize("name", LISTS)
def test_a_bad_item_of_a_list_is_named_by_its_place(name: str) -> None:
    """Of a list's items the one that is bad is named."""
    bad = verdict(item("f", **{name: ["a", 7731, "b"]}))

    assert isinstance(bad, Failed)
    assert bad.message == f"symbols[0].context.{name}[1] must be a text"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_named(name: str) -> None:
    """A context without one of its required fields says which."""
    one = item("f")
    del one["context"][name]
    bad = verdict(one)

    assert isinstance(bad, Failed)
    assert bad.message == f"symbols[0].context.{name} is missing"
    assert bad.symbol_id == "shop/orders.py:f"


def facts_of(bad: object) -> tuple[str, str | None, str]:
    assert isinstance(bad, Failed)
    return bad.symbol_id, bad.file_path, bad.message


@pytest.mark.parametrize(
    ("bad", "symbol_id", "says"),
    [
        (None, "symbols[0]", "symbols[0] must be an object"),
        ("planted", "symbols[0]", "symbols[0] must be an object"),
        ([], "symbols[0]", "symbols[0] must be an object"),
        ({}, "symbols[0]", "symbols[0].symbol_id must be a text"),
        ({"symbol_id": 7731, "context": {}}, "symbols[0]", "symbols[0].symbol_id must be a text"),
        ({"symbol_id": "", "context": {}}, "symbols[0]", "symbols[0].symbol_id must be a text and not empty"),
        ({"symbol_id": "a"}, "a", "symbols[0].context must be an object"),
        ({"symbol_id": "a", "context": "planted"}, "a", "symbols[0].context must be an object"),
        ({"symbol_id": "a", "context": context("f")}, "a", "symbols[0].context.symbol_id must be the same"),
        ({**item("f"), "extra": "planted"}, "shop/orders.py:f", "symbols[0] has unknown keys (extra)"),
        (UnreadableLine("(line 3) is not JSON"), "symbols[0]", "symbols[0] (line 3) is not JSON"),
    ],
)
def test_an_item_of_another_form_fails_by_its_place(bad: object, symbol_id: str, says: str) -> None:
    """What is no object with symbol_id and context fails under the best id there is."""
    shown_id, _, message = facts_of(verdict(bad))

    assert shown_id == symbol_id
    assert message.startswith(says)
    assert not any(part in message for part in ("planted", "7731"))


def test_an_id_that_cannot_be_sent_is_shown_by_its_numbers() -> None:
    """A symbol whose id or path cannot be sent fails under a form of them that can."""
    symbol_id, file_path, message = facts_of(verdict(item("f", symbol_id="a\ud800", file_path="b\x00")))

    assert (symbol_id, file_path) == ("a\\ud800", "b\\x00")
    assert message.startswith("symbols[0].context.symbol_id")
    assert "symbols[0].context.file_path" in message


def test_ids_differ_and_the_first_of_two_stays() -> None:
    """Of symbols with one id the first is documented; each other fails by both places, and nothing else is lost."""
    first, second, third, other = verdicts(item("f"), item("f", name="g"), item("f"), item("h"))

    assert isinstance(first, Symbol)
    assert isinstance(other, Symbol)
    assert facts_of(second) == (
        "shop/orders.py:f",
        "shop/orders.py",
        "symbols[1].symbol_id is that of symbols[0] too: ids must differ",
    )
    assert "symbols[2].symbol_id is that of symbols[0]" in facts_of(third)[2]


def test_an_id_is_free_again_where_its_first_symbol_is_invalid() -> None:
    """A symbol that cannot be read does not take its id from one that can."""
    bad, good = verdicts(item("f", centrality=7), item("f"))

    assert isinstance(bad, Failed)
    assert isinstance(good, Symbol)


def test_fields_that_are_not_known_are_ignored_and_named_once() -> None:
    """Unknown fields of contexts do no harm; their names are gathered, each once, for one warning."""
    ignored: set[str] = set()
    one, other = parse_symbols([item("f", color="planted", size=1), item("g", color=None)], ignored)

    assert ignored == {"color", "size"}
    assert isinstance(one, Symbol)
    assert isinstance(other, Symbol)
    assert one == verdict(item("f"))


def test_the_names_of_unknown_fields_are_short_and_can_be_sent() -> None:
    """A field's name that is no name is shown in part and by its numbers, since it stands in a warning."""
    ignored: set[str] = set()
    list(parse_symbols([item("f", **{"x" * 5_000: 1, "a\x1b": 2})], ignored))

    assert ignored == {"x" * 80, "a\\x1b"}


def test_a_bad_symbol_may_have_unknown_fields_too() -> None:
    """The names of unknown fields are those of symbols that are documented."""
    ignored: set[str] = set()
    list(parse_symbols([item("f", centrality=7, color="red")], ignored))

    assert ignored == set()


# --- Whatever comes


ODD_TEXT = st.text(st.sampled_from("ab \n\t\x00\x85\ud800\u00e9\U0001f600"), max_size=6)
ANY_TEXT = st.text(st.characters()) | ODD_TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def nearly_items(draw: st.DrawFn) -> dict[str, Any]:
    """An item of which a field or two are something else."""
    values = JSON | ANY_TEXT | st.lists(ANY_TEXT, max_size=3)
    changed = draw(st.dictionaries(st.sampled_from([*sorted(CONTEXT_FIELDS), "other"]), values, max_size=2))
    one = item("f", **changed)
    if draw(st.booleans()):
        one["symbol_id"] = draw(JSON | ODD_TEXT)
    if draw(st.booleans()):
        one.pop(draw(st.sampled_from(["symbol_id", "context"])))
    return one


@settings(max_examples=300)
@given(st.lists(JSON | nearly_items(), max_size=6))
def test_each_item_has_one_verdict_in_order(items: list[Any]) -> None:
    """Whatever JSON an item is, it is judged once, in its turn, and the failures can be sent and stored."""
    ignored: set[str] = set()
    judged = list(parse_symbols(items, ignored))

    assert [one.position for one in judged] == list(range(len(items)))
    documented = [one.symbol_id for one in judged if isinstance(one, Symbol)]
    assert len(set(documented)) == len(documented)
    for one in judged:
        if isinstance(one, Failed):
            sent = json.dumps([one.symbol_id, one.file_path, one.failure, one.message], ensure_ascii=False)
            sent.encode("utf-8")
            assert one.symbol_id
            assert one.message.startswith(f"symbols[{one.position}]")
            assert "\n" not in one.message
            assert len(one.message) < 2_000


@given(st.sampled_from([*REQUIRED[1:], *TEXTS, *LISTS]), ODD_TEXT)
def test_what_is_taken_can_be_sent(name: str, text: str) -> None:
    """A text without control characters and lone surrogates is taken, and can be sent: as UTF-8, as strict JSON."""
    taken = verdict(item("f", **{name: [text] if name in LISTS else text}))

    forbidden = "\x00\x85\ud800\n\t" if name in REQUIRED else "\x00\x85\ud800"
    if name in QUOTED:
        forbidden = "\ud800"
    is_good = not set(text) & set(forbidden) and bool(text or name not in REQUIRED)
    assert isinstance(taken, Symbol) == is_good
    if isinstance(taken, Symbol):
        sent = json.dumps(asdict(taken.context), ensure_ascii=False, allow_nan=False).encode("utf-8")
        text = text.translate(dict.fromkeys(map(ord, "\x00\x85"), "\ufffd")) if name in QUOTED else text
        names = [text] if text.strip() or name == "related_symbols" else []
        assert json.loads(sent)[name] == (names if name in LISTS else text)


SPOILT = st.sampled_from(["\ud800", "\x00", "\x1b", "\x7f", "x" * 1_100_000, ""])


@given(
    st.lists(st.sampled_from(sorted(CONTEXT_FIELDS - {"symbol_id"})), min_size=1, max_size=4, unique=True),
    SPOILT,
    st.sampled_from(["text", "list", "object"]),
)
def test_no_message_holds_what_was_sent(names: list[str], spoilt: str, form: str) -> None:
    """Whichever fields are bad, and in whichever way, their content is in no message: it may be source code."""
    secret = f"planted{spoilt}planted"
    forms: dict[str, Any] = {"text": secret, "list": [secret], "object": {secret: secret}}
    sent = {"source_code": "planted = 1", "docstring": "planted", **dict.fromkeys(names, forms[form])}

    one = verdict(item("f", **sent))

    if isinstance(one, Failed):
        assert "planted" not in one.message


@given(ANY_TEXT, st.integers(0, 40))
def test_what_is_printable_can_be_sent_and_stays_on_its_line(text: str, most: int) -> None:
    """Any text becomes one of at most so many characters, escapes counted once, that is UTF-8 and has no controls."""
    shown = printable(text, most)

    shown.encode("utf-8")
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    if text.isprintable():
        assert shown == text[:most]


def test_printable_forms_worked_by_hand() -> None:
    """A lone surrogate and a control character are shown by their numbers, everything else as it is."""
    assert printable("a\ud800b") == "a\\ud800b"
    assert printable("a\x00\n\x85") == "a\\x00\\x0a\\x85"
    assert printable("\u00e9\U0001f600 ok") == "\u00e9\U0001f600 ok"
    assert len(printable("x" * 5_000)) == 1_024
