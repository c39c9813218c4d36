"""The labels of clusters."""

from __future__ import annotations

import math

from doctown.assembly.labels import cluster_labels, cluster_terms, label_words
from doctown.assembly.stop_words import KEYWORDS, stop_words


def test_the_first_term_is_what_the_cluster_has_and_others_have_not() -> None:
    """ "session" is in both symbols of cluster 0 and nowhere else; "open" is in both clusters and comes after it."""
    words = [{"session", "open"}, {"session", "close"}, {"file", "open"}, {"file", "read"}]

    assert cluster_terms(words, [0, 0, 1, 1], ()) == [("session", "close", "open"), ("file", "read", "open")]


def test_weights_are_those_worked_out_by_hand() -> None:
    """In cluster 0, "rare" weighs 1/2 ln(1 + 3/1) = .69 and "usual" 2/2 ln(1 + 3/3) = .69: as much, so by name."""
    assert math.isclose(0.5 * math.log(4), math.log(2))
    assert cluster_terms([{"usual", "rare"}, {"usual"}, {"usual"}], [0, 0, 1], ()) == [("rare", "usual"), ("usual",)]


def test_a_label_has_no_keyword_no_common_word_and_not_the_packages_name() -> None:
    words = [label_words("FlaskApp.def_route", "Return the str of this route, with self and async.")]

    (terms,) = cluster_terms(words, [0], stop_words(["python"], "flask-app"))

    assert terms == ("route",)


def test_keywords_are_those_of_the_languages_that_are_there() -> None:
    """What Rust says all the time may name a cluster of Python."""
    assert "impl" in stop_words(["rust"], "x")
    assert "impl" not in stop_words(["python", "no such language"], "x")


def test_there_are_keywords_for_every_language_that_has_a_grammar() -> None:
    """Markup and styles aside."""
    assert len(KEYWORDS) == 16
    assert all(words and all(word == word.lower() for word in words) for words in KEYWORDS.values())


def test_short_words_numbers_and_plurals_are_left_out() -> None:
    assert cluster_terms([{"id", "404", "token", "tokens"}], [0], ()) == [("token",)]


def test_symbols_without_a_cluster_name_none() -> None:
    assert cluster_terms([{"alpha"}, {"beta"}], [-1, 0], ()) == [("beta",)]
    assert cluster_terms([], [], ()) == []


def test_summaries_add_their_words() -> None:
    assert label_words("a.getB", "Doc.\n\nMore.", "Fetches pages.") == {"a", "get", "b", "doc", "fetches", "pages"}


def test_labels_are_distinct() -> None:
    """A second cluster with the same three terms shows its fourth; one without a fourth, or without any, its number."""
    terms = [("a", "b", "c", "d"), ("a", "b", "c", "e"), ("a", "b", "c"), (), ("a",)]

    assert cluster_labels(terms) == ["a b c", "a b c e", "cluster 2", "cluster 3", "a"]
