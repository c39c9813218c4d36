"""What methods of the standard collections of typed languages give: by name, since their types are known by name only.

Options, results, futures, cells and iterators count as collections of what they hold.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Methods(NamedTuple):
    """The methods of one language's collections."""

    element: frozenset[str]  # give an element
    same: frozenset[str]  # give the collection again, in another form
    wrapped: frozenset[str]  # give an option of an element
    pairs: frozenset[str]  # give the pairs of a mapping
    mapped: frozenset[str]  # give a collection of what their function returns
    flattened: frozenset[str]  # give the collection that their function returns


def _words(text: str, mark: str = "") -> frozenset[str]:
    return frozenset(word + mark for word in text.split())


RUST = Methods(
    element=_words(
        "unwrap expect unwrap_or unwrap_or_else unwrap_or_default unwrap_unchecked borrow borrow_mut swap_remove "
        "or_insert or_insert_with or_default get_or_insert_with get_or_init insert_entry into_inner"
    ),
    same=_words(
        "iter iter_mut into_iter as_ref as_mut as_deref as_deref_mut as_slice as_mut_slice lock read write take "
        "ok skip rev peekable cloned copied filter collect to_owned clone to_vec ok_or ok_or_else or_else or "
        "map_err upgrade chain step_by skip_while take_while inspect fuse cycle by_ref entry context with_context "
        "drain retain try_lock replace windows split_at_mut split_off"
    ),
    wrapped=_words(
        "get get_mut first first_mut last last_mut pop pop_front pop_back front back peek peek_mut next nth find "
        "max_by_key min_by_key max_by min_by max min next_back remove find_map reduce last_entry"
    ),
    pairs=frozenset({"iter", "iter_mut", "into_iter", "drain"}),
    mapped=frozenset({"map"}),
    flattened=frozenset({"and_then", "flat_map", "filter_map"}),
)
JAVA = Methods(
    element=_words(
        "get getFirst getLast orElse orElseThrow orElseGet next previous poll peek pop element remove getValue "
        "getOrDefault computeIfAbsent put pollFirst pollLast peekFirst peekLast firstElement lastElement take "
        "getNow join first last",
        mark="()",
    ),
    same=_words(
        "stream filter iterator subList sorted distinct limit skip toList findFirst findAny listIterator "
        "parallelStream collect max min reduce descendingIterator or takeWhile dropWhile descendingSet headSet "
        "tailSet of copyOf",
        mark="()",
    ),
    wrapped=frozenset({"values()"}),
    pairs=frozenset({"entrySet()"}),
    mapped=frozenset({"map()"}),
    flattened=frozenset({"flatMap()", "thenCompose()"}),
)
CSHARP = Methods(
    element=_words(
        "First FirstOrDefault Single SingleOrDefault Last LastOrDefault ElementAt ElementAtOrDefault Find "
        "FindLast Peek Pop Dequeue GetValueOrDefault GetOrAdd GetResult"
    ),
    same=_words(
        "Where OrderBy OrderByDescending ThenBy ToList ToArray Skip Take Distinct Reverse Concat AsEnumerable "
        "AsReadOnly Union Except Append Prepend ConfigureAwait FindAll Intersect ToHashSet AsQueryable AsSpan "
        "GetAwaiter GetRange ToImmutableList ToImmutableArray DefaultIfEmpty SkipWhile TakeWhile"
    ),
    wrapped=frozenset({"Values"}),
    pairs=frozenset(),
    mapped=frozenset({"Select"}),
    flattened=frozenset({"SelectMany"}),
)
METHODS: Mapping[str, Methods] = {"rust": RUST, "java": JAVA, "csharp": CSHARP}
PAIRED = frozenset({"HashMap", "BTreeMap", "IndexMap"})  # mappings whose iteration gives pairs
