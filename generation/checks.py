"""What a summary must satisfy: eight checks without a model, and without I/O.

`check_summary` looks at one summary and its symbol; `find_misplaced` looks at all answers of a request and finds those
that stand under another symbol's key. A hard finding is worth asking again, with its reason; a soft one is reported.
Reasons repeat identifiers that the summary itself names and nothing of the source.

Leaves out: whether a summary is true, and what is done about a finding. Figures in comments were measured on
docstrings that people wrote, 203 of psf/requests and 1,617 of Python's; `tests/test_checks.py` prints them anew.
"""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import builtins
import functools
import keyword
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.schemas import SymbolContext


# Worth asking again: 0 to 4 % of human docstrings fail any one of these, and 2 to 11 % the other two.
HARD = frozenset({"sentences", "filler", "not_docstring", "language", "plain_text", "own_symbol"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a summary; `reason` is a sentence that can be sent to the model that wrote it."""

    check: str
    hard: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The names of the checks that a summary passed, and what others found; one that does not apply is in neither."""

    passed: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def hard(self) -> tuple[Finding, ...]:
        """The findings that are worth asking again."""
        return tuple(finding for finding in self.findings if finding.hard)


def known_names(contexts: Iterable[SymbolContext]) -> frozenset[str]:
    """The names in a job's names, paths, signatures, calls and imports: what any of its summaries may mention."""
    texts: set[str] = set()
    for context in contexts:
        texts.update((context.name, context.file_path, context.signature or ""), context.calls, context.imports)
    return frozenset(name for text in texts for name in _IDENTIFIER.findall(text))


def check_summary(
    summary: str,
    context: SymbolContext,
    known: frozenset[str],
    *,
    misplaced: bool | None = None,
    language: str = "English",
) -> Findings:
    """Check one summary of a symbol.

    `known` is the job's `known_names`; `misplaced` is what `find_misplaced` says of a summary that was one of several
    in a request, and None where it was asked for alone; `language` is the one that was asked for, by its English name,
    its own name or its code, and is not checked where it is none of the eleven that are known here.
    """
    code = _language_code(language)
    whole, summary = summary, summary[:_MAX_CHARS]
    reasons = {
        "sentences": _check_sentences(whole, code),
        "filler": _check_filler(summary, code),
        "says_more_than_name": _check_says_more_than_name(summary, context.name),
        "not_docstring": _check_not_docstring(summary, context),
        "identifiers": _check_identifiers(summary, context, known),
        "plain_text": _check_plain_text(summary),
    }
    if code is not None:
        reasons["language"] = _check_language(summary, code, language)
    if misplaced is not None:
        reasons["own_symbol"] = _MISPLACED if misplaced else None
    passed = tuple(check for check, reason in reasons.items() if reason is None)
    if len(passed) == len(reasons):
        return _all_passed(passed)
    return Findings(passed, tuple(Finding(check, check in HARD, reason) for check, reason in reasons.items() if reason))


@functools.cache
def _all_passed(passed: tuple[str, ...]) -> Findings:
    """One for all good summaries, which in a large job are tens of thousands."""
    return Findings(passed, ())


# --- Words -----------------------------------------------------------------------------------------------------------

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_WORD = re.compile(r"[^\W\d_]+")
_WHOLE_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:'(?=\w)|(?!\w))")
_WORD_IN_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_STEM_LETTERS = 4


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LANGUAGE_NAMES = {
    "en": "english",
    "de": "german deutsch",
    "fr": "french français francais",
    "es": "spanish español espanol castellano",
    "pt": "portuguese português portugues",
    "it": "italian italiano",
    "nl": "dutch nederlands",
    "ru": "russian русский",
    "zh": "chinese 中文 汉语 简体中文 繁體中文 mandarin",
    "ja": "japanese 日本語",
    "ko": "korean 한국어",
}
_CODES = {name: code for code, names in _LANGUAGE_NAMES.items() for name in (code, *names.split())}

_FUNCTION_WORDS = {
    "en": """the a an of to in on at by for from with without and or not no nor but if is are was were be been being it
        its this that these those as which who whose when where while than then into onto so all any each every both
        only such can will may must should would could do does did has have had there their them they we you your our
        after before between during through over under against about also either whether until up out off""",
    "de": """der die das den dem des ein eine einen einem einer eines und oder aber nicht kein keine ist sind war wird
        werden wurde wurden für von vom zu zum zur mit ohne auf aus bei beim nach vor über unter durch gegen um an am im
        in als wie wenn ob dass sich es er sie man auch nur noch falls damit sowie gibt zurück diese dieser dieses jede
        jeder jedes alle hat haben kann können soll ihre seine""",
    "fr": """le la les un une des du de et ou mais ne pas est sont était être été dans sur sous pour par avec sans à
        au aux en ce cet cette ces qui que qu dont où si il elle ils elles on se son sa ses leur leurs tout tous toute
        toutes chaque comme plus entre vers lors afin l' d' n' s' c' qu'""",
    "es": """el la los las un una unos unas de del al y o pero no es son fue ser en con sin por para que se su sus lo le
        les como más si cuando donde este esta estos estas cada todo todos desde hasta entre sobre según también a""",
    "pt": """o a os as um uma uns umas de do da dos das no na nos nas ao aos à às e ou mas não é são foi ser em com sem
        por pelo pela para que se seu sua seus suas como mais quando onde este esta esse essa cada todo todos desde até
        entre sobre também""",
    "it": """il lo la gli le un uno una di del dello della dei degli delle e ed o ma non è sono era essere in nel
        nella nei nelle con senza per da dal dalla dai al allo alla ai alle a che se si suo sua suoi sue come più quando
        dove questo questa ogni tutti sul sulla tra fra anche l' d' dell' all' nell' dall' sull' un'""",
    "nl": """de het een en of maar niet geen is zijn was wordt worden van voor met zonder op uit bij naar over onder
        door tegen om aan in als wanneer dat die dit deze er zich ook alleen nog elke alle heeft kan kunnen te tot
        tussen wat waar""",
}
# How summaries begin and go on; `_stems` keeps these, since they say something of a symbol.
_WORDS_OF_SUMMARIES = {
    "en": """returns return returned given specified raises raised called used uses creates create checks check sends
        reads writes converts gets sets handles""",
    "de": """liefert prüft liest schreibt erzeugt erstellt setzt wandelt verwaltet sendet berechnet ausgelöst""",
    "fr": """renvoie retourne vérifie lit écrit crée convertit gère envoie calcule levée donnée donné""",
    "es": """devuelve retorna comprueba verifica lee escribe crea convierte gestiona envía calcula lanza""",
    "pt": """retorna devolve verifica lê escreve cria converte gerencia envia calcula lançada""",
    "it": """restituisce ritorna verifica controlla legge scrive crea converte gestisce invia calcola sollevata""",
    "nl": """geeft retourneert controleert leest schrijft maakt beheert stuurt berekent terug""",
}


def _languages_by_word(*tables: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    languages: dict[str, set[str]] = defaultdict(set)
    for table in tables:
        for code, text in table.items():
            for word in _words(text):
                languages[word].add(code)
    return {word: tuple(codes) for word, codes in languages.items()}


_TELLING_WORDS = _languages_by_word(_FUNCTION_WORDS, _WORDS_OF_SUMMARIES)
_WORDS_WITHOUT_CONTENT = frozenset(_languages_by_word(_FUNCTION_WORDS))


@functools.lru_cache(maxsize=64)
def _language_code(language: str) -> str | None:
    """The code of a language as a user writes it ("German", "de-AT", "Brazilian Portuguese"); None if it is unknown."""
    words = re.findall(r"[^\W_]+", language.lower())
    return next((_CODES[word] for word in words if word in _CODES), None)


def _stems(text: str) -> set[str]:
    """The words of a text or of the names in it, by their first four letters.

    Four bring `dict` and dictionary, `auth` and authentication together, and find swapped answers better than five or
    whole words do (88, 84 and 80 % in the standard library, at 5 % false alarms).
    """
    words = (word.lower() for word in _WORD_IN_NAME.findall(text))
    return {word[:_STEM_LETTERS] for word in words if len(word) > 1 and word not in _WORDS_WITHOUT_CONTENT}


# --- One or two sentences --------------------------------------------------------------------------------------------

_MAX_SENTENCES = 2
# Twice the longest human docstring of one or two sentences (503).
_MAX_CHARS = 1_000
_SENTENCE_END = re.compile(r"[.!?]['\"”’»)\]`*]*\s+(?=\S)|[。！？](?=.*\w)|\n\s*\n")
_OPENING_MARKS = "'\"“‘«‹(["
_ABBREVIATIONS = _words(
    """vs cf approx resp incl excl fig no nr st dr mr mrs ms prof inc ltd eq sec ca al ex viz
    bzw ggf evtl inkl exkl vgl z d u o sog p pág núm ej sr sra es ecc bijv enz т п др см e"""
)
_DOTTED_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")


def _check_sentences(summary: str, code: str | None) -> str | None:
    text = summary.strip()
    if not _WORD.search(text):
        return "The summary has no words; write one or two sentences."
    if len(text) > _MAX_CHARS:
        return f"The summary has {len(text)} characters; write one or two short sentences."
    ends = sum(_ends_sentence(text, end, code) for end in _SENTENCE_END.finditer(text))
    if ends < _MAX_SENTENCES:
        return None
    return f"The summary has {ends + 1} sentences; write one or two."


def _ends_sentence(text: str, end: re.Match[str], code: str | None) -> bool:
    """Tell the end of a sentence from the full stop of an abbreviation, an ellipsis or a German ordinal."""
    if end[0][0] in "。！？\n":
        return True
    if not _begins_sentence(text[end.end() : end.end() + 80]):
        return False
    if end[0][0] != ".":
        return True
    before = text[max(0, end.start() - 40) : end.start()].split()
    word = before[-1].lstrip(_OPENING_MARKS) if before else ""
    if word.endswith(".") or _DOTTED_ABBREVIATION.fullmatch(word) or word.lower() in _ABBREVIATIONS:
        return False
    if code == "de" and word.isdigit():
        return False
    return not (len(word) == 1 and word.isalpha() and word.isupper())


def _begins_sentence(rest: str) -> bool:
    first = rest.split(maxsplit=1)[0].lstrip(_OPENING_MARKS)
    return bool(first) and (not first[0].islower() or _is_code(first.rstrip(".,;:)")))


# --- No filler opening -----------------------------------------------------------------------------------------------

_THING = r"(?:function|method|class|constructor|module|procedure|routine|subroutine|coroutine|symbol|snippet|code)"
_ANY_THING = rf"(?:{_THING}|helper|utility|property|attribute|variable|constant|interface|struct|enum|trait|macro)"
_VAGUE = r"(?:(?:simple|small|basic|helper|utility|convenience|generic|custom|public|private|internal|static)\s+)*"
_NAME = r"(?:[`'\"]?[\w.$]+(?:\(\))?[`'\"]?\s+)"
# Not "the class names", "the code points".
_NOUNS = "names|points|arguments|args|attributes|objects|parameters|methods|types|members|variables|instances"
_VERB = rf"(?:is|are|was|has|can|will|does|that|which|(?!(?:{_NOUNS})\b)[a-z]{{2,}}(?<![su])s)"
# Not "la classe de base", "la clase padre".
_NO_VERB = r"(?!base|abstra|astratt|padre|madre|m[èã]|parente|hija|filha|figlia|de\s|que\s|che\s)"
_FILLER = {
    "en": rf"""(?:this|the\ following|the\ given|the\ above)\s+(?:\w+\s+)?{_ANY_THING}\b
        |(?:this|it)\s+is\s+an?\b
        |the\s+{_NAME}?{_THING}\s+{_VERB}\s
        |an?\s+{_VAGUE}{_ANY_THING}\s+(?:that|which|to|for|used|responsible|designed|representing)\b
        |{_VAGUE}{_ANY_THING}\s+(?:that|which|used|responsible|designed)\b
        |(?:the\s+)?{_NAME}{{1,2}}is\s+an?\s+{_VAGUE}{_ANY_THING}\b
        |(?:the\s+(?:purpose|goal|role|job|responsibility)\s+of|in)\s+(?:this|the)\s+{_NAME}?{_ANY_THING}\b
        |(?:summary|description|purpose)\s*:""",
    "de": r"""dies(?:e|er|es)\s+(?:\w+\s+)?(?:funktion|methode|klasse|konstruktor|modul|prozedur|code|eigenschaft)\b
        |d(?:ie|er|as)\s+(?:[`\w.()]+\s+)?(?:funktion|methode|klasse|konstruktor|modul|prozedur)\s+
            (?:ist|wird|kann|hat|dient|(?!mit\b)\w+t)\b
        |(?:eine?\s+)?(?:\w+\s+)?(?:funktion|methode|klasse|modul|prozedur)\s*(?:,\s*(?:die|das|der|um)|zu[mr]|für)\b
        |(?:dies|es)\s+ist\s+eine?\b""",
    "fr": rf"""c(?:e|et|ette)\s+(?:\w+\s+)?(?:fonction|méthode|classe|constructeur|module|procédure|code|propriété)\b
        |l[ae]\s+(?:fonction|méthode|classe|constructeur|module|procédure)\s+(?:`\S+\s+)?(?:est|permet|{_NO_VERB}(?:\w+e|\w+it))\s
        |(?:une?\s+)?(?:fonction|méthode|classe|module)\s+(?:qui|pour|permettant|utilisée?|servant)\b
        |(?:c'est|il\s+s'agit\s+d')\s*une?\b""",
    "es": rf"""est[ea]\s+(?:función|método|clase|constructor|módulo|procedimiento|código|propiedad)\b
        |(?:la|el)\s+(?:función|método|clase|constructor|módulo)\s+(?:`\S+\s+)?(?:es|se|{_NO_VERB}\w{{3,}}[ae])\s
        |(?:una?\s+)?(?:función|método|clase|módulo)\s+(?:que|para|utilizad[ao])\b
        |(?:esta?|esto)\s+es\s+una?\b""",
    "pt": rf"""es[ts][ea]\s+(?:função|método|classe|construtor|módulo|procedimento|código|propriedade)\b
        |[ao]\s+(?:função|método|classe|construtor|módulo)\s+(?:`\S+\s+)?(?:é|se|{_NO_VERB}\w{{3,}}[ae])\s
        |(?:uma?\s+)?(?:função|método|classe|módulo)\s+(?:que|para|utilizad[ao]|usad[ao])\b
        |(?:est[ae]|isto|isso)\s+é\s+uma?\b""",
    "it": rf"""quest[oa]\s+(?:funzione|metodo|classe|costruttore|modulo|procedura|codice|proprietà)\b
        |(?:la|il)\s+(?:funzione|metodo|classe|costruttore|modulo)\s+(?:`\S+\s+)?(?:è|si|{_NO_VERB}\w{{3,}}[ae])\s
        |(?:una?\s+)?(?:funzione|metodo|classe|modulo)\s+(?:che|per|utilizzat[ao]|usat[ao])\b
        |quest[oa]\s+è\s+una?\b""",
    "nl": r"""de[zs]e\s+(?:functie|methode|klasse|constructor|module|procedure|code|eigenschap)\b
        |dit\s+is\s+een\b
        |de\s+(?:functie|methode|klasse|constructor|module)\s+(?:[`\w.()]+\s+)?(?:is|wordt|kan|(?!met\b)\w+t)\s
        |(?:een\s+)?(?:functie|methode|klasse|module)\s+(?:die|dat|om|voor)\b""",
    "ru": r"""(?:эт[аои]|этот|данн(?:ая|ый|ое))\s+(?:функци|метод|класс|конструктор|модул|процедур|код|свойств)\w*
        |(?:функция|метод|класс|конструктор|модуль)\s+(?:[`\w.()]+\s+)?\w+(?:ет|ит|ют|ят|ется|ится)\b
        |(?:функция|метод|класс|модуль)\s*(?:,\s*котор\w+|для|предназначен\w*)""",
    "zh": r"""(?:这是|(?:这|该|此|本|这个)\s*(?:个|一)?\s*(?:函数|方法|类|构造函数|模块|代码|属性|接口))
        |一个.{0,12}?(?:函数|方法|类)(?:[，,。]|$)|(?:函数|方法|类)(?:用于|用来)""",
    "ja": r"""(?:この|本|当該)(?:関数|メソッド|クラス|コンストラクタ|モジュール|コード|プロパティ)
        |(?:関数|メソッド|クラス)は|これは""",
    "ko": r"""(?:이|본|해당)\s*(?:함수|메서드|메소드|클래스|생성자|모듈|코드|속성)(?:는|은|가|이|를)?
        |(?:함수|메서드|메소드|클래스)(?:는|은)\s|이것은""",
}
_FILLER_OPENING = {
    code: re.compile(rf"\W{{,3}}(?:{pattern})", re.IGNORECASE | re.VERBOSE) for code, pattern in _FILLER.items()
}


def _check_filler(summary: str, code: str | None) -> str | None:
    opening = _FILLER_OPENING[code or "en"].match(summary)
    if opening is None:
        return None
    return "The summary opens by naming the kind of thing it describes; begin with what the symbol does."


# --- More than the name ----------------------------------------------------------------------------------------------

_MIN_CONTENT_WORDS = 2
# Chinese and Japanese words, which no space divides.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_LETTERS_OF_UNSPACED_WORD = 2
_SAYS_LITTLE = _stems(
    "function method class module object symbol value type get gets set sets use used uses using return"
)


def _check_says_more_than_name(summary: str, name: str) -> str | None:
    """At least two content words beyond those of the name; every tenth human docstring has less, so this is soft."""
    beyond = _stems(summary) - _stems(name) - _SAYS_LITTLE
    unspaced = len(_UNSPACED.findall(summary)) // _LETTERS_OF_UNSPACED_WORD
    if max(len(beyond), unspaced) >= _MIN_CONTENT_WORDS:
        return None
    return "The summary says no more than the symbol's name; say what it is for."


# --- Not the docstring -----------------------------------------------------------------------------------------------

_LOOK_FOR_DOCSTRING_CHARS = 20_000
_DOCSTRING_CHARS = 2_000
_STRING_THAT_OPENS_A_BODY = re.compile(
    r"[:{][ \t]*(?:#[^\n]*)?\n\s*[rRuUbB]{0,2}(?:\"\"\"(.*?)\"\"\"|'''(.*?)'''|\"([^\"\n]+)\"|'([^'\n]+)')", re.DOTALL
)
_COMMENT_BLOCK = re.compile(r"/\*\*(.{,2000}?)\*/", re.DOTALL)
_COMMENT_LINES = re.compile(r"\A((?:[ \t]*(?://[/!]?|#)[^\n]*\n)+)")
_ROLE = re.compile(r":[a-z:]+:`([^`<]*)[^`]*`")
# A copy: of the summary's pairs of words, this share stands in the docstring too. Of 3,623 pairs of docstrings that
# people wrote for things of one name in different modules, 8 are so alike, all by the same hand.
_COPIED_SHARE = 0.8
# "Closes the session." has no other wording.
_FEWEST_WORDS_OF_A_COPY = 4


def _check_not_docstring(summary: str, context: SymbolContext) -> str | None:
    """Not the docstring's words in its order, whole or in part, wherever the docstring stands."""
    for docstring in _docstrings(context):
        words = _plain_words(summary)
        pairs = set(pairwise(words))
        copied = pairs.intersection(pairwise(_plain_words(_ROLE.sub(r"\1", docstring[:_DOCSTRING_CHARS]))))
        if len(words) >= _FEWEST_WORDS_OF_A_COPY and len(copied) >= _COPIED_SHARE * len(pairs):
            return "The summary copies the docstring; say it in words of your own."
    return None


def _plain_words(text: str) -> list[str]:
    """The words of a text by their first letters, so that "Returns" copies "Return"."""
    return [word[:_STEM_LETTERS] for word in _WORD.findall(text.lower())]


def _docstrings(context: SymbolContext) -> Iterator[str]:
    """The docstring, and those that stand in the source: the string that opens a body, and comments before a symbol."""
    if context.docstring:
        yield context.docstring
    source = (context.source_code or "")[:_LOOK_FOR_DOCSTRING_CHARS]
    for pattern in (_STRING_THAT_OPENS_A_BODY, _COMMENT_BLOCK, _COMMENT_LINES):
        if found := pattern.search(source):
            yield found[found.lastindex or 0]


# --- Identifiers that exist ------------------------------------------------------------------------------------------

_QUOTED_CODE = re.compile(r"(?<!`)`+([^`]+)`+")
_QUOTED_NAME = re.compile(r"\s*([A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_][\w$]*)*)(?:\(.*\))?\s*")
_CODE = re.compile(
    r"""(?<![\w$/@.-])(?:
        [A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_][\w$]*)+    # dotted.name
        |[A-Za-z_$][\w$]*(?=\(\))                           # call()
        |\$?\w*[A-Za-z]\w*_\w*|_\w*[A-Za-z]\w*              # snake_case
        |[a-z]+[A-Z]\w*|[A-Z]+[a-z0-9]+[A-Z]\w*|[A-Z]{2,}[a-z]{2,}\w*  # camelCase, PascalCase, HTTPError
    )""",
    re.VERBOSE,
)
_FILE_OR_HOST = re.compile(
    r"\w[\w.-]*\.(?:py|pyi|js|jsx|ts|tsx|mjs|json|toml|ya?ml|md|rst|txt|cfg|ini|html?|css|xml|csv|log|lock|sh|sql|go|rs|rb"
    r"|java|kt|swift|cpp|hpp|cc|cs|php|env|pdf|png|svg|zip|gz|tar|whl|pem|com|org|net|io|dev)",
    re.IGNORECASE,
)
_DUNDER = re.compile(r"__\w+__")
_ABBREVIATION_IN_PLURAL = re.compile(r"[A-Z]{2,}s")

_LANGUAGE_VOCABULARY = frozenset(
    {
        *keyword.kwlist,
        *keyword.softkwlist,
        *dir(builtins),
        *sys.stdlib_module_names,
        *(name for kind in (str, bytes, list, dict, set, tuple, int, float) for name in dir(kind)),
        *_words("""
        args kwargs self cls Any Optional Union Callable Iterable Iterator Generator Awaitable Coroutine Sequence
        Mapping MutableMapping TypeVar TypedDict NamedTuple NoneType OrderedDict defaultdict namedtuple dataclass
        isinstance Path datetime timedelta Decimal Enum Protocol
        const let var function undefined typeof instanceof async await export extends implements interface readonly
        Promise Array Object String Number Boolean Symbol Map Set WeakMap WeakSet Date RegExp Error TypeError JSON Math
        ArrayBuffer DataView Uint8Array Int32Array Float64Array BigInt console window document setTimeout setInterval
        clearTimeout addEventListener innerHTML querySelector useState useEffect useMemo useRef useCallback
        public private protected static final abstract void int long short byte char double float boolean bool string
        struct enum union typedef namespace template typename virtual override nullptr sizeof size_t ssize_t uint8_t
        uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t uintptr_t intptr_t wchar_t std unique_ptr shared_ptr
        weak_ptr string_view unordered_map unordered_set make_unique make_shared
        ArrayList LinkedList HashMap HashSet TreeMap LinkedHashMap StringBuilder Integer Character Runnable Comparable
        Comparator NullPointerException IllegalArgumentException IllegalStateException RuntimeException IOException
        hashCode toString equals compareTo
        chan defer func goroutine interface iota make map nil panic range recover rune select type uint uintptr byte
        fn impl mut pub ref trait crate dyn Vec Box Rc Arc Mutex RwLock RefCell Option Result Some None Ok Err i8 i16
        i32 i64 u8 u16 u32 u64 f32 f64 usize isize str PhantomData
        IEnumerable IDisposable Dictionary List Task Func Action Nullable DateTime
        begin end rescue ensure unless elsif attr_reader attr_writer attr_accessor
        utf_8 UTF_8 NaN stdin stdout stderr errno argv argc
        """),
    }
)
# Proper nouns with an inner capital: the false alarms of this check among human docstrings are of this kind.
_PROPER_NOUNS = _words(
    """github gitlab bitbucket openai chatgpt deepmind huggingface langchain javascript typescript coffeescript
    ecmascript actionscript powershell postscript youtube linkedin paypal whatsapp tiktok wordpress mediawiki
    stackoverflow postgresql mysql mariadb sqlite mongodb couchdb dynamodb documentdb influxdb clickhouse duckdb
    rocksdb leveldb cockroachdb bigquery graphql nosql rabbitmq activemq zeromq elasticsearch opensearch cloudfront
    cloudformation cloudwatch digitalocean devops openshift openstack opentelemetry openapi openid openssl openssh
    opengl opencl opencv openmp webgl webgpu websocket webassembly webrtc webkit webhook webdav webdriver oauth
    numpy scipy pypi pypy cpython ironpython circuitpython micropython pytorch tensorflow fastapi asyncio pyqt
    pyside wxpython latex bibtex mathml mathjax katex restructuredtext asciidoc macos ios ipados iphone ipad watchos
    tvos freebsd openbsd netbsd chromeos vmware virtualbox wifi jquery nodejs reactjs vuejs nextjs nestjs angularjs
    typeorm eslint intellij pycharm vscode xcode jetbrains teamcity circleci travisci javadoc jsdoc phpdoc junit
    testng dotnet libreoffice openoffice powerpoint onedrive sharepoint icloud gcloud newrelic pagerduty hubspot
    mailchimp sendgrid runpod bittorrent phd msc mcdonald ebay soundcloud"""
)
_NAMED_AT_MOST = 3
_NAME_CHARS = 80
_TRADE_NAME_LETTERS = 4


def _check_identifiers(summary: str, context: SymbolContext, known: frozenset[str]) -> str | None:
    """Every identifier in code form stands in the context, the job or the language.

    Soft: attributes of other classes and names of libraries, which stand in no fact of this symbol, are false alarms.
    """
    unknown = [name for name in _identifiers(summary) if not _exists(name, context, known)]
    if not unknown:
        return None
    named = ", ".join(dict.fromkeys(name[:_NAME_CHARS] for name in unknown[:_NAMED_AT_MOST]))
    return f"The summary names what the facts and the source do not have: {named}."


def _is_code(word: str) -> bool:
    return word.startswith("`") or _CODE.match(word) is not None


def _identifiers(summary: str) -> Iterator[str]:
    """The names in code form, and every name in backticks; what else stands in backticks (a value, a path) is none."""
    unusual = " ".join(word for word in summary.split() if not _is_plain_word(word.strip("\"'.,;:")))
    for found in _CODE.finditer(unusual):
        if not _DOTTED_ABBREVIATION.fullmatch(found[0]):
            yield found[0]
    for quoted in _QUOTED_CODE.findall(summary):
        if name := _QUOTED_NAME.fullmatch(quoted):
            yield name[1]


def _is_plain_word(word: str) -> bool:
    """Whether a word cannot be an identifier in code form: most words, and told faster than by a pattern."""
    return word.isalpha() and (word.islower() or word.istitle())


def _exists(name: str, context: SymbolContext, known: frozenset[str]) -> bool:
    if _FILE_OR_HOST.fullmatch(name) or _stands_in(name, context):
        return True
    parts = re.split(r"\.|::|->", name)
    if len(parts) > 1 and parts[0] in sys.stdlib_module_names:
        return True
    return all(_part_exists(part, context, known) for part in parts)


def _part_exists(part: str, context: SymbolContext, known: frozenset[str]) -> bool:
    singular = part.removesuffix("s") or part
    for form in (part, singular):
        if form in known or form in _LANGUAGE_VOCABULARY or form.lower() in _PROPER_NOUNS or _stands_in(form, context):
            return True
    if _DUNDER.fullmatch(part) or _ABBREVIATION_IN_PLURAL.fullmatch(part):
        return True
    # A name of the trade, such as AcmePay: code spells it acmepay.
    return len(part) >= _TRADE_NAME_LETTERS and any(part.lower() in text for text in _texts(context))


def _stands_in(name: str, context: SymbolContext) -> bool:
    return any(_has_word(text, name) for text in _texts(context))


def _texts(context: SymbolContext) -> Iterator[str]:
    yield context.name
    yield context.symbol_id
    yield context.file_path
    for text in (context.signature, context.docstring, context.source_code):
        if text:
            yield text
    for names in (context.calls, context.called_by, context.imports):
        yield from names
    yield from (one if isinstance(one, str) else one.name for one in context.related_symbols)


def _has_word(text: str, word: str) -> bool:
    """Whether an identifier stands in a text as a whole, told without compiling a pattern for it."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not _continues(text[start - 1 : start]) and not _continues(text[end : end + 1]):
            return True
        start = text.find(word, end)
    return False


def _continues(char: str) -> bool:
    return char.isalnum() or char == "_"


# --- The language asked for ------------------------------------------------------------------------------------------

_CYRILLIC_WORD = re.compile(r"[\u0400-\u04ff]+")
_HANGUL_WORD = re.compile(r"[\uac00-\ud7a3]+")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_OTHER_SCRIPT_WORD = re.compile(r"[\u0370-\u03ff\u0530-\u06ff\u0900-\u0fff]+")
# Kana make up half of Japanese text; a Chinese one may quote some.
_KANA_OF_JAPANESE = 0.25
# Function words, or words of the script, that another language must have, and have more than the one asked for.
_MIN_EVIDENCE = 3
_MIN_LEAD = 2
# Of human docstrings none has 12 words and not one function word; names alone stand in any script, four at most.
_WORDS_WITHOUT_EVIDENCE = 12
_WORDS_WITHOUT_OWN_SCRIPT = 4
_OWN_SCRIPT = frozenset({"ru", "zh", "ja", "ko"})


def _check_language(summary: str, code: str, language: str) -> str | None:
    """Whether another language has more evidence than the one asked for: words of its script, or its function words."""
    text = _QUOTED_CODE.sub(" ", summary)
    evidence = _evidence(text)
    own = evidence.pop(code, 0)
    other = max(evidence.values(), default=0)
    if (other >= _MIN_EVIDENCE and other - own >= _MIN_LEAD) or (not own and _is_long_without(code, text)):
        return f"The summary is not in the language asked for; write it in {language[:40]}."
    return None


def _is_long_without(code: str, text: str) -> bool:
    """Whether a text without any evidence of a language is too long for that to be by chance."""
    enough = _WORDS_WITHOUT_OWN_SCRIPT if code in _OWN_SCRIPT else _WORDS_WITHOUT_EVIDENCE
    return len(set(_WHOLE_WORD.findall(text.lower()))) >= enough


def _evidence(text: str) -> Counter[str]:
    words = set(_WHOLE_WORD.findall(text.lower().replace("’", "'")))
    evidence = Counter(code for word in words for code in _TELLING_WORDS.get(word, ()))
    if not text.isascii():
        evidence.update(_evidence_of_script(text))
    return evidence


def _evidence_of_script(text: str) -> dict[str, int]:
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    east_asian = "ja" if kana > han * _KANA_OF_JAPANESE else "zh"
    return {
        "ru": len(_CYRILLIC_WORD.findall(text)),
        "ko": len(_HANGUL_WORD.findall(text)),
        east_asian: (han + kana) // _LETTERS_OF_UNSPACED_WORD,
        "other": len(_OTHER_SCRIPT_WORD.findall(text)),
    }


# --- Plain text ------------------------------------------------------------------------------------------------------

# Most summaries have nothing of this and need not be searched with the patterns below, which take ten times as long.
_MAY_NOT_BE_PLAIN = re.compile(r"[^\w ,.;()'\"`/=%?!+&$@-]|```|(?<!\w)__|\A\W*[-+\d]|www\.", re.ASCII)
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LINK = re.compile(r"\b(?:https?|ftp)://[\w\[]|\bwww\.\w|\bmailto:\S|\]\(\S+\)|\]\[\w+\]")
_MARKUP = re.compile(
    r"""```|~~~                                                         # a fence
    |\A\s*(?:\#{1,6}|>|[-*+•]|\d+[.)])\s                                # a heading, a quotation, a list
    |(?<![\w*\\])\*{1,3}(?=[^\s*])[^*]*[^\s*]\*{1,3}(?![\w*])           # emphasis
    |(?<!\w)__(?=[^\s_])[^_]*\s[^_]*[^\s_]__(?!\w)
    |</[a-z][\w-]*>|<(?:br|hr|p|b|i|em|strong|code|pre|ul|ol|li|tt|kbd|sub|sup|span|div|h[1-6])\s*/?>
    |:[a-z]+(?::[a-z]+)?:`                                              # a role of reStructuredText
    |\|\s*:?-{3,}                                                       # a table
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Backticks are allowed: 3 % of human docstrings have them, and they set an identifier apart.
_INLINE_CODE = re.compile(r"(?<!`)(`{1,2})[^`]+\1(?!`)")


def _check_plain_text(summary: str) -> str | None:
    if not _MAY_NOT_BE_PLAIN.search(summary):
        return None
    if _INVISIBLE.search(summary):
        return "The summary has a line break or a character that cannot be seen; write one line of plain text."
    if _LINK.search(summary):
        return "The summary has a link; leave links out."
    if _MARKUP.search(_INLINE_CODE.sub("`x`", summary)):
        return "The summary has markup; write plain text."
    return None


# --- Under the right symbol ------------------------------------------------------------------------------------------

Fingerprint = Mapping[str, float]
"""The words of a symbol and their weights, which add up to 1."""

_FINGERPRINT_SOURCE_CHARS = 20_000
# A symbol speaks its own words nine times in ten and the request's tenth; half or twice that did as well.
_OWN_TO_COMMON = 9.0
_COMMON = 0.1
# The evidence for a swap, in logarithms of odds: 2.7 is fifteen to one. Of right answers 2 % (requests) and 4 %
# (standard library) have more, of swapped ones 91 and 80 %.
_MISPLACED_FROM = 2.7
# The other symbol may have its right answer, where one answer was given twice: that speaks against a swap, but little.
_COUNTER_EVIDENCE_AT_MOST = 0.5
_MISPLACED = "The summary seems to describe another symbol; describe this one."


def fingerprint(context: SymbolContext) -> Fingerprint:
    """What a symbol's summary is compared with: words of its name, id, signature, calls, docstring and source.

    Each part weighs the same and shares its weight out among its words: measured, no other weights did better.
    """
    texts = (context.name, context.symbol_id, context.signature, " ".join(context.calls), context.docstring)
    parts = [_stems(text[:_FINGERPRINT_SOURCE_CHARS]) for text in (*texts, context.source_code) if text]
    parts = [words for words in parts if words]
    weights: dict[str, float] = defaultdict(float)
    for words in parts:
        share = 1 / (len(words) * len(parts))
        for word in words:
            weights[word] += share
    return dict(weights)


def find_misplaced(answers: Sequence[tuple[Fingerprint, str]]) -> tuple[bool, ...]:
    """For each answer of a request, a symbol and its summary, whether the summary belongs to another of the symbols.

    A summary is misplaced where another symbol fits it better, and fits its own summary worse, than this one does.
    """
    fits = _fits(answers)
    return tuple(_is_misplaced(place, fits) for place in range(len(answers)))


def _fits(answers: Sequence[tuple[Fingerprint, str]]) -> list[list[float]]:
    """How well each summary (row) fits each symbol (column): logarithms of odds, in which rare words count most."""
    usual: dict[str, float] = defaultdict(float)
    for weights, _ in answers:
        for word, weight in weights.items():
            usual[word] += weight / len(answers)
    return [[_fit(words, weights, usual) for weights, _ in answers] for words in (_stems(text) for _, text in answers)]


def _fit(words: set[str], weights: Fingerprint, usual: Fingerprint) -> float:
    return sum(log(1 + _OWN_TO_COMMON * weights[word] / (usual[word] + _COMMON)) for word in words if word in weights)


def _is_misplaced(place: int, fits: Sequence[Sequence[float]]) -> bool:
    own = fits[place]
    for other, theirs in enumerate(fits):
        gain = own[other] - own[place]
        gain_of_other = theirs[place] - theirs[other]
        if other != place and gain + max(gain_of_other, -_COUNTER_EVIDENCE_AT_MOST) > _MISPLACED_FROM:
            return True
    return False
