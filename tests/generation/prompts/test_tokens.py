"""Counts held to tiktoken's own, costs worked by hand, and texts on which tokenizers break."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from generation.domain.catalogue import FREE, Pricing
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.prompts.tokens import (
    MAX_CHARS_PER_TOKEN,
    SLICE_CHARS,
    TokenCounter,
    VocabularyMissing,
    estimate_tokens,
    load_counter,
)

NANO = Pricing(0.15, 0.015, 0.60)
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
PIECES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["def f(x):\n    return x\n", FAMILY, "e\u0301", "\u4e16\u754c", "<|endoftext|>", "`" * 40, "\t\t\n"]
    ),
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@pytest.fixture(scope="module")
def oracle() -> tiktoken.Encoding:
    return tiktoken.get_encoding("o200k_base")


@given(text=TEXTS)
def test_a_count_is_tiktokens(counter: TokenCounter, oracle: tiktoken.Encoding, text: str) -> None:
    """Below the size of a slice the count of any text is the length of tiktoken's own encoding."""
    assert counter.count(text) == len(oracle.encode_ordinary(text))


def test_counts_known_by_hand(counter: TokenCounter) -> None:
    """Words of one token count one, and nothing counts nothing."""
    assert [counter.count(text) for text in ("", "hello", "hello world", " the the the")] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        (" " * 1_000_000, 5),
        ("\n" * 1_000_000, 5),
        ("\t \r\n" * 250_000, 5),
        ("x" * (SLICE_CHARS + 1), 2),
    ],
    ids=["blanks", "line breaks", "mixed white space", "one more than a slice"],
)
def test_a_long_text_counts_as_the_sum_of_its_slices(
    counter: TokenCounter, oracle: tiktoken.Encoding, text: str, slices: int
) -> None:
    """A text that would make tiktoken panic is counted, as tiktoken counts the slices of 200,000 characters."""
    parts = [text[start : start + 200_000] for start in range(0, len(text), 200_000)]

    assert len(parts) == slices
    assert counter.count(text) == sum(len(oracle.encode_ordinary(part)) for part in parts)


@pytest.mark.parametrize("text", ["<|endoftext|>", "a <|endofprompt|> b", "<|fim_prefix|>"])
def test_a_special_tokens_name_is_ordinary_text(counter: TokenCounter, oracle: tiktoken.Encoding, text: str) -> None:
    """Source that spells a special token is counted as the characters it is, where tiktoken's `encode` raises."""
    assert counter.count(text) == len(oracle.encode(text, disallowed_special=()))
    assert counter.count(text) > text.count("<|")


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800" * 50])
def test_a_lone_surrogate_does_no_harm(counter: TokenCounter, text: str) -> None:
    """A text that is no valid Unicode is counted, and cut into a text that can be sent."""
    assert counter.count(text) >= 1
    assert counter.count_messages([{"role": "user", "content": text}]) == counter.count(text) + 7
    counter.head(text * 50, 3).encode("utf-8")
    counter.tail(text * 50, 3).encode("utf-8")


def test_messages_count_with_the_overhead_of_the_chat_format(counter: TokenCounter) -> None:
    """Three tokens a message and three for the reply, besides role and content: 3+1+1 for "hello", 3+1+2, and 3."""
    messages = [{"role": "system", "content": "hello"}, {"role": "user", "content": "hello world"}]

    assert counter.count_messages(messages) == 14
    assert counter.count_messages([]) == 3


@given(text=TEXTS, max_tokens=st.integers(0, 60))
def test_a_head_is_the_beginning_and_fits(counter: TokenCounter, text: str, max_tokens: int) -> None:
    """The head of a text is its beginning, has at most so many tokens and is all of the text where that fits."""
    head = counter.head(text, max_tokens)

    assert text.startswith(head)
    assert counter.count(head) <= max_tokens
    if counter.count(text) <= max_tokens and len(text) <= max_tokens * MAX_CHARS_PER_TOKEN:
        assert head == text


@given(text=TEXTS, max_tokens=st.integers(0, 60))
def test_a_tail_is_the_end_and_whole_characters(counter: TokenCounter, text: str, max_tokens: int) -> None:
    """The tail of a text is its end, begins with a whole character and is all of the text where that fits."""
    tail = counter.tail(text, max_tokens)

    assert text.endswith(tail)
    if max_tokens == 0:
        assert tail == ""
    if counter.count(text) <= max_tokens and len(text) <= max_tokens * MAX_CHARS_PER_TOKEN:
        assert tail == text


@pytest.mark.parametrize("max_tokens", range(1, 12))
def test_no_character_is_cut_in_half(counter: TokenCounter, max_tokens: int) -> None:
    """A character of several tokens is in a cut text whole or not at all: never a replacement character."""
    text = "\U0001f9ff\u0f3c\U00012000" * 20

    for piece in (counter.head(text, max_tokens), counter.tail(text, max_tokens)):
        assert set(piece) <= set(text)
        assert len(piece) < len(text)


def test_a_head_is_as_long_as_it_can_be(counter: TokenCounter, oracle: tiktoken.Encoding) -> None:
    """Of ordinary text the head and the tail of ten tokens are its first and last ten tokens."""
    text = "def total(lines):\n    return sum(line.cents * line.pieces for line in lines)\n" * 5
    tokens = oracle.encode_ordinary(text)

    assert counter.head(text, 10) == oracle.decode(tokens[:10])
    assert counter.tail(text, 10) == oracle.decode(tokens[-10:])


@pytest.mark.parametrize(
    ("usage", "pricing", "cost"),
    [
        (Usage(input_tokens=87), NANO, 0.000013),
        (Usage(input_tokens=1_000, cached_input_tokens=400, output_tokens=50), NANO, 0.000126),
        (Usage(input_tokens=400, cached_input_tokens=400), NANO, 0.000006),
        (Usage(output_tokens=1_000_000), NANO, 0.60),
        (Usage(output_tokens=1_000_000, reasoning_tokens=900_000), NANO, 0.60),
        (Usage(input_tokens=2_000_000, output_tokens=100_000), Pricing(2.5, 1.25, 10.0), 6.0),
        (Usage(input_tokens=10**9, output_tokens=10**9), FREE, 0.0),
        (NO_USAGE, NANO, 0.0),
    ],
)
def test_costs_worked_by_hand(usage: Usage, pricing: Pricing, cost: float) -> None:
    """A price is dollars a million tokens; cached input is a part of the input, reasoning a part of the output."""
    assert cost_usd(usage, pricing) == cost


def test_no_token_has_more_characters_than_are_allowed_for(oracle: tiktoken.Encoding) -> None:
    """A text that is cut by its characters before it is counted loses nothing: the longest token is 128 blanks."""
    longest = max(oracle.token_byte_values(), key=lambda token: len(token.decode("utf-8", "replace")))

    assert longest == b" " * 128
    assert len(longest) <= MAX_CHARS_PER_TOKEN


def test_usages_add_up_field_by_field() -> None:
    """The sum of two usages has the sum of each of their figures; input and output together are the total."""
    one = Usage(1, 2, 3, 4, 5, 6, 7)
    other = Usage(10, 20, 30, 40, 50, 60, 70)

    assert [getattr(one + other, field.name) for field in fields(Usage)] == [11, 22, 33, 44, 55, 66, 77]
    assert (one + other).total_tokens == 11 + 33
    assert one + NO_USAGE == one


def test_a_missing_vocabulary_is_named_and_never_downloaded(tmp_path: Path) -> None:
    """Without the file there is a sentence that says where it belongs and how to get it, and no wait for a network."""
    with pytest.raises(VocabularyMissing) as caught:
        load_counter("o200k_base", tmp_path)

    assert all(part in str(caught.value) for part in ("TIKTOKEN_CACHE_DIR", str(tmp_path), "make vocabulary"))


def test_an_estimate_is_about_the_count_of_source(counter: TokenCounter) -> None:
    """The estimate from lengths is within a third of the count of Python source."""
    source = Path(__file__).read_text(encoding="utf-8")

    assert abs(estimate_tokens(len(source)) - counter.count(source)) < counter.count(source) / 3


def test_the_shared_encoding_of_tiktoken_stays_whole(counter: TokenCounter) -> None:
    """Other code of the process can extend tiktoken's encoding the way its README says, after a counter was loaded."""
    assert counter.count("a") == 1
    base = tiktoken.get_encoding("o200k_base")
    extended = tiktoken.Encoding(
        name="o200k_im",
        pat_str=base._pat_str,
        mergeable_ranks=base._mergeable_ranks,
        special_tokens={**base._special_tokens, "<|im_start|>": 200_100},
    )
    assert extended.encode("<|im_start|>", allowed_special="all") == [200_100]
