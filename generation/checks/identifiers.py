"""The check that the identifiers which a summary names exist."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Iterator

from generation.checks.words import CODE, DOTTED_ABBREVIATION, QUOTED_CODE, word_set
from generation.domain.context import SymbolContext

_QUOTED_NAME = re.compile(r"\s*([A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_][\w$]*)*)(?:\(.*\))?\s*")
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
        *word_set("""
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
_PROPER_NOUNS = word_set(
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
_MAX_NAMED = 3
_NAME_CHARS = 80
_TRADE_NAME_LETTERS = 4


def check_identifiers(summary: str, context: SymbolContext, known: frozenset[str]) -> str | None:
    """Every identifier in code form stands in the context, the job or the language.

    Soft: attributes of other classes and names of libraries, which stand in no fact of this symbol, are false alarms.
    """
    unknown = [name for name in _identifiers(summary) if not _exists(name, context, known)]
    if not unknown:
        return None
    named = ", ".join(dict.fromkeys(name[:_NAME_CHARS] for name in unknown[:_MAX_NAMED]))
    return f"The summary names what the facts and the source do not have: {named}."


def _identifiers(summary: str) -> Iterator[str]:
    """The names in code form, and every name in backticks; what else stands in backticks (a value, a path) is none."""
    unusual = " ".join(word for word in summary.split() if not _is_plain_word(word.strip("\"'.,;:")))
    for found in CODE.finditer(unusual):
        if not DOTTED_ABBREVIATION.fullmatch(found[0]):
            yield found[0]
    for quoted in QUOTED_CODE.findall(summary):
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
