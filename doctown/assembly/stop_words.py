"""Words that say nothing about what a cluster is for: English function words, and the keywords of the languages.

Keywords are by language, so that the `match` of one is not taken from another. The lists have the words that code and
its comments are full of; keywords that can name a subject (`import`, `type`, `match`) are left out of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from doctown.embedding.text import split_words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words(
    """
    a about above after all already also always an and any are as at back be because been before being below between
    both but by can cannot could did do does doing don done each either else etc even ever every for from further get
    gets give given gives has have having he her here him his how however i if in instead into is isn it its itself just
    like made make makes many may me might more most much must my need needed needs neither never no non none nor not
    now of off on once one only onto or other others otherwise our out over own per put same see set sets she should
    since so some still such than that the their them then there these they this those though through thus to too two
    under until up upon use used user uses using very via was we well were what when where whether which while who whose
    why will with within without would yet you your
    """
)

# What documentation says of any code.
OF_DOCUMENTATION = _words(
    """
    arg args argument arguments boolean call called calls class classes code default defaults description example
    examples false function functions instance instances kwargs method methods name named note notes object objects
    optional param parameter parameters params property raise raised raises return returned returning returns self todo
    true value values void yield yields
    """
)

# What the languages with curly brackets share.
_CURLY = _words(
    """
    break case catch const continue else if new null switch this throw try while
    """
)
# ... and of these, those with interfaces.
_OBJECTS = _CURLY | _words(
    """
    extends finally interface private protected public string
    """
)

KEYWORDS: dict[str, frozenset[str]] = {
    "python": _words(
        """
        and as assert async await bool break cls continue def del dict elif else except finally float for from global if
        in init int is lambda list nonlocal not or pass repr str super try tuple while with
        """
    ),
    "javascript": _CURLY
    | _words(
        """
        async await constructor default delete export extends false finally for function in instanceof let of super
        typeof undefined var with
        """
    ),
    "typescript": _OBJECTS
    | _words(
        """
        any async await constructor declare default delete export false for function implements in instanceof keyof let
        never number of readonly super typeof undefined unknown var
        """
    ),
    "go": _words(
        """
        break case chan const continue defer else err error fallthrough for func go goto if int int64 interface nil
        range select string struct switch uint8 var
        """
    ),
    "rust": _words(
        """
        as async await bool box break clone const continue crate dyn else enum err extern fn for i32 i64 if impl in let
        loop mod move mut ok option pub ref result self static str string struct super trait u32 u64 u8 unsafe unwrap
        use usize vec where while
        """
    ),
    "java": _OBJECTS
    | _words(
        """
        abstract boolean byte char default double final float for implements instanceof int long override short static
        super synchronized throws transient volatile
        """
    ),
    "c": _words(
        """
        auto bool break case char const continue default double else enum extern false float for goto if inline int long
        null register short signed size sizeof static struct switch typedef union unsigned while
        """
    ),
    "cpp": _CURLY
    | _words(
        """
        auto bool char constexpr default delete double enum explicit extern false float for friend goto inline int long
        namespace noexcept nullptr operator override private protected public short signed sizeof static std string
        struct template typedef typename unsigned using virtual
        """
    ),
    "csharp": _OBJECTS
    | _words(
        """
        abstract async await boolean byte char default double final float for foreach in int internal is long namespace
        out override params readonly ref sealed static struct using var virtual
        """
    ),
    "ruby": _words(
        """
        attr begin break case def do else elsif end ensure for if initialize module next nil redo require rescue retry
        self super then undef unless until when while
        """
    ),
    "php": _OBJECTS
    | _words(
        """
        abstract array as construct echo elseif final foreach function implements int namespace static trait use var
        """
    ),
    "kotlin": _words(
        """
        as break by companion continue data else final fun if in init int interface internal is lateinit null object
        open override private protected public sealed string suspend throw try val var when while
        """
    ),
    "swift": _words(
        """
        as break case catch continue default defer else enum extension fileprivate for func guard if import in init
        inout int internal is let nil private protocol public repeat rethrows self static string struct switch throw
        throws try var where while
        """
    ),
    "scala": _words(
        """
        abstract case catch do else extends final for forsome given if implicit int lazy match new null override private
        protected sealed string super this throw trait try val var while with
        """
    ),
    "lua": _words(
        """
        and break do else elseif end for function goto if in local nil not or repeat then until while
        """
    ),
    "bash": _words(
        """
        case do done echo elif else esac exit export fi for if in local shift then until while
        """
    ),
}


def stop_words(languages: Iterable[str], package_name: str) -> frozenset[str]:
    """Return the words that no label may have: English, documentation, the languages' keywords, the package's name.

    `languages` are lower-case names ("python", "cpp"); one that is not listed has no keywords. The name is split.
    """
    keywords = (KEYWORDS.get(language, frozenset()) for language in languages)
    name = split_words(package_name)
    return ENGLISH.union(OF_DOCUMENTATION, *keywords, name, {"".join(name)})
