"""What is wrong with a summary is repaired or found, whatever it is, and what is right stays as it was written.

The good summaries are written for this file, in the style of each language's documentation; `make bench-quality`
measures the same on the docstrings of real codebases.
"""

# ruff: noqa: RUF001 - quotation marks are meant where they stand

from __future__ import annotations

import random
from typing import NamedTuple

import hypothesis
import hypothesis.strategies as st
import pytest

from generation.domain.context import SymbolContext
from generation.repairs import Review, review_summary
from generation.repairs.openings import third_person
from tests.generation.checks.test_checks import CORPORA, known
from tests.support.contexts import SEED


class Good(NamedTuple):
    """A symbol and good summaries of it, as people write them in its language."""

    context: SymbolContext
    summaries: tuple[str, ...]


def symbol(name: str, language: str, path: str, source: str, called_by: tuple[str, ...] = ()) -> SymbolContext:
    return SymbolContext(
        f"{path}::{name}",
        name,
        "function",
        language,
        path,
        source_code=source,
        called_by=called_by,
        cluster_label="net",
    )


GOOD = (
    Good(
        symbol(
            "send",
            "python",
            "shop/net/session.py",
            "def send(self, request, **kwargs):\n    adapter = self.get_adapter(request.url)\n"
            "    return adapter.send(request, **kwargs)\n",
            ("Session.get", "resolve_redirects"),
        ),
        (
            "Sends a prepared request through the adapter of its scheme and returns the response.",
            "Send a prepared request. Raises ConnectionError if the server cannot be reached.",
            "Adapter lookup and delivery of one request, with the options of the session.",
            "Hands a request to the adapter that get_adapter finds for its URL, e.g. one for https.",
        ),
    ),
    Good(
        symbol(
            "debounce",
            "typescript",
            "src/timing/debounce.ts",
            "export function debounce<T>(fn: (value: T) => void, waitMs: number) {\n  let timer: number | undefined\n"
            "  return (value: T) => {\n    clearTimeout(timer)\n    timer = setTimeout(() => fn(value), waitMs)\n"
            "  }\n}\n",
            ("onInput", "onResize"),
        ),
        (
            "Returns a function that calls fn once no further call has come for waitMs milliseconds.",
            "Delays calls so that only the last one of a burst gets through.",
            "A wrapper that collapses bursts of calls into one. Earlier calls are dropped.",
            "Postpones fn until callers have been quiet for a while; the timer restarts with each call.",
        ),
    ),
    Good(
        symbol(
            "parse_header",
            "rust",
            "crates/wire/src/header.rs",
            "pub fn parse_header(input: &[u8]) -> Result<Header, Error> {\n    let (magic, rest) = input.split_at(4);\n"
            "    if magic != MAGIC { return Err(Error::BadMagic) }\n    Header::decode(rest)\n}\n",
            ("read_frame",),
        ),
        (
            "Parses the header at the start of a frame, or returns an error if the magic number is wrong.",
            "Decodes a Header from the first bytes of input. Fails with Error::BadMagic on other data.",
            "Reads magic number and header in one pass, without copying the input.",
            "Returns the header of a frame that begins with the four bytes of MAGIC.",
        ),
    ),
    Good(
        symbol(
            "Shutdown",
            "go",
            "internal/server/server.go",
            "func (s *Server) Shutdown(ctx context.Context) error {\n\ts.closing.Store(true)\n"
            "\tfor _, l := range s.listeners {\n\t\tl.Close()\n\t}\n\treturn s.wait(ctx)\n}\n",
            ("main",),
        ),
        (
            "Shutdown closes the listeners and waits until the open connections are done or ctx ends.",
            "Stops the server gracefully: no new connections, and the open ones may finish.",
            "Shuts the server down without interrupting connections. Returns the error of ctx if that ends first.",
            "Closes every listener, then waits for what is still open.",
        ),
    ),
)
PAIRS = [(good.context, summary) for good in GOOD for summary in good.summaries]


def review(summary: str, context: SymbolContext = GOOD[0].context) -> Review:
    return review_summary(summary, context, frozenset())


@pytest.mark.parametrize("good", GOOD, ids=lambda good: str(good.context.language))
def test_a_good_summary_stays_as_it_was_written(good: Good) -> None:
    for summary in good.summaries:
        assert review(summary, good.context) == Review(summary, review(summary, good.context).findings, ())
        assert review(summary, good.context).findings.hard == ()


# What may be wrong, by kind: `{text}` is a good summary, `{lower}` one without its capital and final period.
PLANTS: dict[str, tuple[str, ...]] = {
    "one word or no verb": (
        "yes",
        "Summary",
        "{name}",
        "{name}()",
        "{path}",
        "Utility",
        "HTTP request",
        "N/A",
        "ok",
        "null",
    ),
    "code": (
        "import requests",
        "from typing import Any",
        "return self.request(method, url)",
        "def {name}(self, request):",
        "const timer = setTimeout(fn, 100);",
        "if (timer) {{ clearTimeout(timer); }}",
        "func (s *Server) {name}(ctx context.Context) error {{",
        "pub fn {name}(input: &[u8]) -> Header",
        "self.closed = True",
        "{name}(request, timeout=3)",
        "for l in listeners: l.close()",
        "```python\nprint(1)\n```",
    ),
    "JSON": (
        '{{"summary": "{text}"}}',
        '{{"summary": "{text}", "confidence": 1}}',
        '[{{"key": "s1", "summary": "{text}"}}]',
        '```json\n{{"summary": "{text}"}}\n```',
        '{{"summary": ',
        ":{{",
        "{{}}",
        '{{"error": "no facts"}}',
        "['summary']",
    ),
    "template tokens": (
        "<|im_start|>assistant {text}",
        "{text}<|im_end|>",
        "{text} <|endoftext|>",
        "[INST] {text} [/INST]",
        "<s>{text}</s>",
        "### Response: {text}",
        "assistant: {text}",
        "<think>What is it?</think> {text}",
        "<｜end▁of▁sentence｜> {text}",
        "<start_of_turn>model {text}",
    ),
    "dates, hashes, punctuation": (
        "2023-01-15",
        "2023-01-15T10:00:00Z",
        "January 15, 2023",
        "Last updated on 2024-02-03 by the team.",
        "commit 109b31f6c168293910666001790357191",
        "Sends it, as of 3f786850e387550fdab836ed7e6dc881de23001b.",
        "d41d8cd98f00b204e9800998ecf8427e",
        "...",
        "!!!",
        "-",
        "()",
    ),
    "refusals and apologies": (
        "I'm sorry, but I cannot summarize this symbol.",
        "I cannot describe this without its source code.",
        "As an AI language model, I have no access to the code.",
        "Sorry, there is not enough information to tell.",
        "I apologize for the confusion. {text}",
        "Unfortunately, the purpose is unclear.",
        "Unable to determine what the symbol does from the facts.",
        "Please provide the source code.",
        "There is insufficient context to write a summary.",
        "I don't have enough information about {name}.",
        "No description available.",
    ),
    "talk about the task": (
        "Here is the summary: {text}",
        "Sure! Here's a summary of the symbol: {text}",
        "The symbol that you asked for does what it says.",
        "This is the user's request.",
        "is this the next-best-case-scenario for this request?",
        "Based on the facts provided, {lower}.",
        "{text} Let me know if you need more.",
        "In one or two sentences: {lower}.",
        "{text} This summary is based on the source code provided.",
        "Certainly! {text}",
        "The provided code {lower}.",
    ),
    "repetition": (
        "{text} {text}",
        "{text} {text} {text}",
        "{lower} {lower} {lower}.",
        "the the the the the the",
        "Sends sends sends sends the request.",
        "It returns a value, it returns a value, it returns a value.",
        "aaaaaaaaaaaaaaaaaaaaaaaa of it",
        "{text} And so on and so on and so on and so on.",
    ),
    "callers": (
        "{text} It is called by several functions.",
        "{text} It is called by `{caller}`.",
        "{text} It is used by `{caller}` and other functions.",
        "Called by {caller} when there is something to do.",
        "{lower}, and is invoked from {caller}.",
        "{text} It is used throughout the codebase.",
        "{text} Its callers are {caller} and main.",
        "{text} It is used in multiple places.",
    ),
    "paths": (
        "{text} It is defined in {path}.",
        "{text} It is located in the file {path}.",
        "{text} See src/other/thing.py for more.",
        "The function of {path} that does it all in one.",
        "{text} Its module is `{path}`.",
        "Implements what the `{path}` file needs of it.",
        "{text} It lives in the `net/http` package.",
    ),
    "clusters and centrality": (
        "{text} It is part of the `net` cluster.",
        "{text} It belongs to the net cluster. It is not central to the codebase.",
        "{text} It has a centrality of 0.25.",
        "{text} It is a central part of the codebase.",
        "A symbol in the net cluster that does the work.",
        "{text} Cluster: net.",
        "{text} It is a key component of the project.",
        "The most central function of its kind.",
    ),
    "markup": (
        "**{text}**",
        "# {text}",
        "- {text}",
        "> {text}",
        "1. {text}",
        "<p>{text}</p>",
        "{text} See https://example.org/page.",
        "{text} More in [the docs](docs/net.md).",
        "*Note*: {lower}.",
        '"{text}"',
        "“{text}”",
        "```\n{text}\n```",
    ),
    "more than two sentences": (
        "{text} It does so at once. It never waits. That is all.",
        "{text} Errors are raised. Nothing is logged.",
    ),
    "fillers": (
        "This function takes what it is given. {text}",
        "The `{name}` function is used to send what it is given.",
        "`{name}` is a function that sends what it is given to others.",
        "This is a helper function for sending what it is given to others.",
        "The purpose of this function is to send what it is given to others.",
        "The `{name}` method of the `Server` class sends what it is given.",
    ),
}


def plant(template: str, context: SymbolContext, text: str) -> str:
    caller = context.called_by[0]
    lower = text[:1].lower() + text[1:].rstrip(".")
    return template.format(text=text, lower=lower, name=context.name, path=context.file_path, caller=caller)


def is_dealt_with(template: str, context: SymbolContext, text: str) -> bool:
    """Whether a planted fault is found, or is gone from a summary that passes every hard check."""
    planted = plant(template, context, text)
    found = review(planted, context)
    return bool(found.findings.hard) or (bool(found.repairs) and found.summary != planted)


def test_98_percent_of_planted_faults_are_found_or_repaired() -> None:
    """Of 400 faults and more, in summaries of Python, TypeScript, Rust and Go, of each kind nearly all."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    missed, count = [], 0
    for kind, templates in PLANTS.items():
        for template in templates:
            for good in GOOD:
                count += 1
                text = chance.choice(good.summaries)
                if not is_dealt_with(template, good.context, text):
                    missed.append((kind, plant(template, good.context, text)))
    assert count >= 400
    assert len(missed) <= 0.02 * count, missed


def test_95_percent_of_human_docstrings_are_published() -> None:
    """Of 1,800 docstrings that people wrote for Python, one in twenty at most would be asked for again."""
    reviews = [review_summary(one.summary, one.context, known(of)) for of in CORPORA for one in of()]
    assert sum(not one.findings.hard for one in reviews) >= 0.95 * len(reviews)


REPAIRED = {
    "a third sentence": (
        "Sends a request through an adapter. Returns its response. Raises nothing.",
        "Sends a request through an adapter. Returns its response.",
        ("length",),
    ),
    "sentences about callers, clusters and centrality": (
        "Sends a request through an adapter. It is called by `get`. It is part of the net cluster. It is not central.",
        "Sends a request through an adapter.",
        ("off_topic",),
    ),
    "a file in the opening of the first sentence": (
        "The `send` method in the `src/net/adapter.py` file of `net` is used to send a request. It returns a reply.",
        "Sends a request. It returns a reply.",
        ("off_topic",),
    ),
    "a first sentence that says what uses it": (
        "The `send` function is a utility function used in TypeScript to send a request. It returns a reply.",
        "Sends a request. It returns a reply.",
        ("off_topic",),
    ),
    "the same sentence twice": (
        "Sends a request through an adapter. Sends a request through an adapter.",
        "Sends a request through an adapter.",
        ("repetition",),
    ),
    "an opening with a verb": (
        "This function sends a request and returns the response.",
        "Sends a request and returns the response.",
        ("opening",),
    ),
    "an opening with an infinitive": (
        "The `send` method is used to send a request through its adapter.",
        "Sends a request through its adapter.",
        ("opening",),
    ),
    "an infinitive that another follows": (
        "The `send` method is used to send a request and return the response.",
        "Send a request and return the response.",
        ("opening",),
    ),
    "an opening with gerunds": (
        "The `send` method is responsible for sending a request and returning the response.",
        "Sends a request and returns the response.",
        ("opening",),
    ),
    "an opening that names the class": (
        "The `send` method of the `Session` class passes a request to its adapter.",
        "Passes a request to its adapter.",
        ("opening",),
    ),
    "a thing that does": (
        "`send` is a dictionary-like function that retrieves an adapter for a request.",
        "Retrieves an adapter for a request.",
        ("opening",),
    ),
    "a thing": ("This class is a wrapper around an adapter.", "A wrapper around an adapter.", ("opening",)),
    "a JSON object": (
        '{"summary": "Sends a request through an adapter."}',
        "Sends a request through an adapter.",
        ("wrapping",),
    ),
    "quotes around the whole": (
        '"Sends a request through an adapter."',
        "Sends a request through an adapter.",
        ("wrapping",),
    ),
    "markup": (
        "**Sends** a request through the *adapter*.",
        "Sends a request through the adapter.",
        ("markup",),
    ),
    "backticks around names": (
        "Sends a `request` through what `get_adapter` returns.",
        "Sends a request through what get_adapter returns.",
        ("backticks",),
    ),
    "a lead-in": (
        "Here is the summary: Sends a request through an adapter.",
        "Sends a request through an adapter.",
        ("lead_in",),
    ),
    "several things at once": (
        '{"summary": "This function sends a `request` to **any** adapter. It is called by main. It waits. It ends."}',
        "Sends a request to any adapter. It waits.",
        ("wrapping", "markup", "off_topic", "length", "opening", "backticks"),
    ),
}


@pytest.mark.parametrize(("written", "expected", "repairs"), REPAIRED.values(), ids=REPAIRED)
def test_what_is_wrong_in_form_is_repaired_and_the_repairs_are_named(
    written: str, expected: str, repairs: tuple[str, ...]
) -> None:
    found = review(written)
    assert (found.summary, found.repairs) == (expected, repairs)
    assert found.findings.hard == ()


@pytest.mark.parametrize(
    "written",
    [
        "The symbol that you asked for sends a request.",
        "This is the user's request.",
        "It is called by several functions. It is part of the net cluster.",
        "This function sends.",
        "This function frobs a request.",
        "I'm sorry, but this function sends a request.",
        "This function is called by Session.get to send a request over an adapter.",
    ],
)
def test_what_a_repair_would_leave_empty_untrue_or_hidden_stays_as_it_was_with_its_findings(written: str) -> None:
    found = review(written)
    assert (found.summary, found.repairs) == (written, ())
    assert found.findings.hard or found.findings.findings


def test_backticks_stay_where_markup_would_appear_without_them() -> None:
    found = review("Writes `<b>` around a title of the page.")
    assert (found.summary, found.repairs) == ("Writes `<b>` around a title of the page.", ())


def test_names_in_backticks_are_looked_up_before_these_go() -> None:
    found = review("Sends a request through `zorpify` and its adapter.")
    assert [one.check for one in found.findings.findings] == ["identifiers"]
    assert found.summary == "Sends a request through zorpify and its adapter."


def test_openings_are_only_rewritten_in_english() -> None:
    found = review_summary(
        "Diese Funktion sendet eine Anfrage an den Server.", GOOD[0].context, frozenset(), language="de"
    )
    assert [one.check for one in found.findings.hard] == ["filler"]
    assert found.repairs == ()


@hypothesis.given(st.text(max_size=200))
def test_whatever_a_repair_leaves_passes_and_is_not_repaired_again(text: str) -> None:
    found = review(text)
    if found.repairs:
        assert not found.findings.hard or found.repairs == ("backticks",)
        assert found.summary
        assert set(review(found.summary).repairs) <= {"backticks"}
    else:
        assert found.summary == text


@pytest.mark.parametrize(
    "unit", ["`a` ", "This function ", "It is called by ", "**a** ", '{"summary": ', "a. ", "[a](b) "]
)
def test_no_text_takes_long(unit: str) -> None:
    """Every text is repaired in a time that grows as it does: quadratic, these would run into pytest's time-out."""
    assert review(unit * 5_000).findings.findings


def test_the_third_person_is_formed() -> None:
    forms = {"send": "sends", "try": "tries", "pass": "passes", "play": "plays", "do": "does", "fix": "fixes"}
    assert {verb: third_person(verb) for verb in forms} == forms
