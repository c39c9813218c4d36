"""Patterns for words and identifiers, and the verbs of summaries, which checks and repairs share."""

from __future__ import annotations

import re

IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
WORD = re.compile(r"[^\W\d_]+")
WHOLE_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:'(?=\w)|(?!\w))")
WORD_IN_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
CODE = re.compile(
    r"""(?<![\w$/@.-])(?:
        [A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_][\w$]*)+    # dotted.name
        |[A-Za-z_$][\w$]*(?=\(\))                           # call()
        |\$?\w*[A-Za-z]\w*_\w*|_\w*[A-Za-z]\w*              # snake_case
        |[a-z]+[A-Z]\w*|[A-Z]+[a-z0-9]+[A-Z]\w*|[A-Z]{2,}[a-z]{2,}\w*  # camelCase, PascalCase, HTTPError
    )""",
    re.VERBOSE,
)
DOTTED_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
QUOTED_CODE = re.compile(r"(?<!`)`+([^`]+)`+")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, which white space separates, as a set."""
    return frozenset(text.split())


def is_code(word: str) -> bool:
    """Return whether a name looks like code and not like a word."""
    return word.startswith("`") or CODE.match(word) is not None


# What functions do, in its base form: the verbs that open the docstrings of Python's standard library, of rxjs, of Go's
# and of Rust's crates, and some more.
VERBS = word_set(
    """abort accept access accumulate acknowledge acquire activate adapt add adjust advance aggregate align allocate
    allow alter analyse analyze animate annotate answer append apply approximate archive arrange ask assemble assert
    assign associate assume attach attempt augment authenticate authorize await balance batch begin benchmark bind block
    boot bootstrap borrow box break broadcast buffer build bump bundle bypass cache calculate call cancel capitalize
    capture carry cast catch cause change check choose clamp classify clean clear clip clone close coerce collapse
    collect combine commit compare compile complete compose compress compute concatenate configure confirm connect
    consider construct consult consume contain continue control convert coordinate copy correct count create customize
    cut deactivate debounce debug decide declare decode decompress decorate decrease decrement decrypt deduce define
    delay delegate delete deliver denote depend deregister derive describe deserialize destroy detach detect determine
    differentiate direct disable discard disconnect discover dismiss dispatch display dispose distinguish distribute
    divide document download drain draw drive drop dump duplicate edit eject eliminate emit emulate enable encapsulate
    encode encounter encrypt end enforce enqueue ensure enter enumerate erase escape establish estimate evaluate examine
    exclude execute exercise exit expand expect expire explain export expose express extend extract fail fall fetch fill
    filter finalize find finish fire fit fix flag flatten flip flush focus fold follow force fork format forward freeze
    gather generate get give go grant group grow guarantee guard guess halt handle hash help hide highlight hold
    identify ignore implement import improve include increase increment indent index indicate infer inform inherit
    initialise initialize inject insert inspect install instantiate instruct integrate intercept interpolate interpret
    intersect introduce invalidate invert invoke issue iterate join keep kill launch lay lead learn leave let lift limit
    link list listen load locate lock log look lower maintain make manage manipulate map mark mask match measure merge
    migrate mimic minimize mirror mock modify monitor mount move multiply mutate name navigate negate negotiate
    normalise normalize note notify obtain offer offset omit open operate optimize order organize orchestrate output
    overload override own pack pad paint panic parse partition pass patch pause peek perform persist pick pipe place
    plan plot point poll pop populate position post prefetch prefix prepare prepend present preserve prevent print
    prioritize probe process produce profile project promote prompt propagate protect provide proxy prune publish pull
    purge push put query queue quote raise randomize range reach react read rebuild recalculate receive recognize
    recommend reconcile reconnect record recover recreate redirect reduce refer reference refine reflect refresh refuse
    register reject relate release reload remain remember remove rename render reorder repeat replace replay reply
    report represent reproduce request require reset reshape resize resolve respond restart restore restrict result
    resume retain retrieve retry return reuse reverse revert revoke rewind rewrite roll rotate round route run sample
    sanitize satisfy save scale scan schedule score scroll search seek select send separate serialise serialize serve
    set setup shift show shuffle shut signal simplify simulate skip sleep slice slide snapshot solve sort spawn
    specialize specify split spread stack start state stop store stream stringify strip submit subscribe subtract
    suggest summarize supply support suppress suspend swap switch synchronize synthesize tag take teach tell terminate
    test throttle throw tick time toggle tokenize touch trace track train transfer transform transition translate
    transmit
    traverse treat trigger trim truncate try turn unbind undo uninstall unlink unlock unmount unpack unregister unset
    unsubscribe unwrap update upgrade upload use validate verify view visit visualize wait wake walk warn watch wrap
    write yield zip do feed hook interrupt marshal unmarshal reserve see wire enhance"""
)
