"""What the checks find and what they let pass, measured on docstrings that people wrote.

The docstrings are those of `requests`, which the worker's dependencies install in a pinned version, and of pure Python
modules of the standard library, read where this runs: neither was written for these checks, and nothing of them is
copied here. A docstring's first paragraph, without its roles of reStructuredText, stands for a good summary of its
symbol. It is taken out of the source beforehand, and with it all other docstrings, since a class holds those of its
methods: a check that compares a summary with the sources would otherwise find the summary itself. `-s` prints a table.
"""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import random
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import pytest

from generation.checks import HARD, check_summary, known_names
from generation.checks.attribution import find_misplaced, fingerprint
from generation.domain.context import SymbolContext
from generation.domain.finding import Finding
from tests.conftest import TABLES
from tests.support.contexts import SEED, context

# Pure Python in every version from 3.10 on, and of as many authors.
STDLIB = """argparse ast calendar configparser csv dataclasses difflib email.message fractions ftplib functools gzip
    http.client http.cookiejar inspect logging mailbox optparse pickle queue random sched selectors shutil smtplib
    socketserver statistics string subprocess tarfile tempfile textwrap threading unittest.case urllib.parse
    urllib.request uuid weakref zipfile""".split()  # noqa: SIM905

SYMBOLS_PER_REQUEST = 10


# --- Human docstrings ------------------------------------------------------------------------------------------------


class Human(NamedTuple):
    """A symbol, what a person says of it, and the docstring as it stands."""

    context: SymbolContext
    summary: str
    docstring: str
    source_with_docstring: str


@functools.cache
def requests_docstrings() -> tuple[Human, ...]:
    spec = importlib.util.find_spec("requests")
    assert spec is not None
    assert spec.origin is not None
    files = sorted(Path(spec.origin).parent.glob("*.py"))
    return tuple(human for file in files for human in _read_file(file, f"requests/{file.name}"))


@functools.cache
def stdlib_docstrings() -> tuple[Human, ...]:
    return tuple(human for module in STDLIB for human in _read_module(module))


def _read_module(module: str) -> Iterator[Human]:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    yield from _read_file(Path(spec.origin), f"{module.replace('.', '/')}.py")


def _read_file(file: Path, file_path: str) -> Iterator[Human]:
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for name, node in _definitions(tree.body, ""):
        docstring = ast.get_docstring(node)
        summary = _plain_paragraph(docstring or "")
        if not docstring or not re.search(r"\w", summary):
            continue
        lines = text.encode().splitlines(keepends=True)
        source = b"".join(lines[node.lineno - 1 : node.end_lineno]).decode()
        bare = _without_docstrings(lines, node)
        facts = SymbolContext(
            symbol_id=f"{file_path}:{name}:{node.lineno}",
            name=node.name,
            kind="class" if isinstance(node, ast.ClassDef) else "function",
            language="python",
            file_path=file_path,
            signature=bare.split(":\n")[0].strip()[:1_000],
            calls=tuple(_called(node)),
            imports=tuple(imports),
            source_code=bare,
        )
        yield Human(facts, summary, docstring, source)


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, Definition):
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node.body, f"{prefix}{node.name}.")


def _called(node: ast.AST) -> list[str]:
    targets = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    return sorted({target.attr if isinstance(target, ast.Attribute) else ast.unparse(target) for target in targets})[
        :50
    ]


def _without_docstrings(lines: list[bytes], node: Definition) -> str:
    """The source of a symbol without the string that opens its body, nor those of the classes and functions in it."""
    lines = list(lines)
    strings = [inner.body[0] for inner in ast.walk(node) if isinstance(inner, Definition) and ast.get_docstring(inner)]
    for string in strings:
        assert string.end_lineno is not None
        assert string.end_col_offset is not None
        before = lines[string.lineno - 1][: string.col_offset]
        after = lines[string.end_lineno - 1][string.end_col_offset :]
        lines[string.lineno - 1 : string.end_lineno] = [b""] * (string.end_lineno - string.lineno) + [before + after]
    return textwrap.dedent(b"".join(lines[node.lineno - 1 : node.end_lineno]).decode())


ROLE = re.compile(r":[a-z:]+:`~?!?(?:([^`<]+?)\s*<[^`>]*>|([^`]+))`")


def _plain_paragraph(docstring: str) -> str:
    paragraph = inspect.cleandoc(docstring).split("\n\n")[0]
    return " ".join(ROLE.sub(lambda role: role[1] or role[2], paragraph).replace("``", "`").split())


@functools.cache
def known(of: Callable[[], tuple[Human, ...]]) -> frozenset[str]:
    return known_names(human.context for human in of())


# --- Good summaries, and faults planted in them ----------------------------------------------------------------------


@functools.cache
def good() -> tuple[Human, ...]:
    """The human summaries that pass all checks: faults are planted in these."""
    return tuple(
        human
        for of in (requests_docstrings, stdlib_docstrings)
        for human in of()
        if not check_summary(human.summary, human.context, known(of)).findings
    )


class Planted(NamedTuple):
    """A summary with a fault, its symbol, and the language that was asked for."""

    summary: str
    context: SymbolContext
    language: str = "English"


def _ended(summary: str, mark: str) -> str:
    return re.sub(r"\W+$", "", summary) + mark


def plant_sentences(human: Human, chance: random.Random) -> Planted:
    """One to three more sentences than two."""
    others = [chance.choice(good()).summary for _ in range(chance.randint(2, 4))]
    marks = [chance.choice([". ", ". ", ". ", "! ", '." ', ".) "]) for _ in others]
    text = "".join(_ended(other, mark) for other, mark in zip([human.summary, *others], marks, strict=False))
    return Planted(text + others[-1], human.context)


FILLERS = (
    "This function {verbs}",
    "This method {verbs}",
    "This class {verbs}",
    "This helper function {verbs}",
    "This is a method that {verbs}",
    "The function {verbs}",
    "The method {verbs}",
    "The `{name}` function {verbs}",
    "The {name}() method {verbs}",
    "A function that {verbs}",
    "A class that {verbs}",
    "A helper function to {verb}",
    "Function that {verbs}",
    "`{name}` is a function that {verbs}",
    "The purpose of this function is to {verb}",
    "In this method we {verb}",
    "Summary: {verbs}",
)
VERBS = frozenset(
    """add append apply build call check clear close compare compute connect convert copy create decode delete determine
    encode find format generate get handle make parse prepare print process raise read register remove replace return
    run search send set split start stop test update validate write""".split()  # noqa: SIM905
)


def _verb_and_rest(human: Human) -> tuple[str, str] | None:
    first, _, rest = human.summary.partition(" ")
    verb = next((form for form in (first.lower(), first.lower()[:-1], first.lower()[:-2]) if form in VERBS), None)
    return (verb, rest) if verb and rest and human.context.kind == "function" else None


def plant_filler(human: Human, chance: random.Random) -> Planted | None:
    """What the symbol does, behind an opening that says nothing."""
    said = _verb_and_rest(human)
    if said is None:
        return None
    verb, rest = said
    verbs = verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else f"{verb}{_ending(verb)}"
    opening = chance.choice(FILLERS).format(verb=verb, verbs=verbs, name=human.context.name)
    return Planted(f"{opening} {rest}", human.context)


def _ending(verb: str) -> str:
    return "es" if verb.endswith(("s", "sh", "ch", "ss", "x")) else "s"


NAME_ONLY = ("{name}", "{spoken}.", "The {spoken}.", "{spoken} function.", "A method to {spoken}.", "Returns {spoken}.")


def plant_says_more_than_name(human: Human, chance: random.Random) -> Planted:
    """The name in other letters."""
    spoken = " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", human.context.name)).lower()
    text = chance.choice(NAME_ONLY).format(name=human.context.name, spoken=spoken)
    return Planted(text[:1].upper() + text[1:], human.context)


def plant_not_docstring(human: Human, chance: random.Random) -> Planted | None:
    """The docstring's first paragraph or sentence, or nearly so; the context has the docstring in one of its places."""
    copied = chance.choice([human.summary, human.summary.split(". ")[0]])
    if len(re.findall(r"[^\W\d_]+", copied)) < 4:
        return None
    if len(copied.split()) >= 8:
        copied = chance.choice([copied, _with_other_verb(copied), re.sub(r" (the|a) ", " ", copied, count=1)])
    fields = chance.choice(
        [
            {"source_code": human.source_with_docstring},
            {"docstring": human.docstring},
            {"source_code": "/**\n * " + human.docstring.replace("\n", "\n * ") + "\n */\nfunction send() {}"},
            {"source_code": "# " + human.docstring.replace("\n", "\n# ") + "\ndef send\nend\n"},
        ]
    )
    return Planted(copied, _with(human.context, **fields))


def _with_other_verb(text: str) -> str:
    first, _, rest = text.partition(" ")
    return f"{first[:-1] if first.endswith('s') else first + 's'} {rest}"


INVENTED = (
    "frobnicate_{}",
    "_quux{}",
    "{}Reconciler",
    "reconcile{}Ledger",
    "Ledger.reconcile_{}",
    "zorp.{}.flush",
    "zorpify()",
    "`Zorp{}`",
    "`zorp{}(strict=True)`",
    "HTTP{}Zorper",
    "ZORP_{}_LIMIT",
)
MENTIONS = ("{} It hands the rest to {}.", "{} See {}.", "{}, as {} asks for it.", "{} by way of {}.")


def plant_identifiers(human: Human, chance: random.Random) -> Planted:
    """An identifier that nobody has."""
    invented = chance.choice(INVENTED).format(chance.choice(["Mumble", "Wibble", "Gribble"]))
    mention = chance.choice(MENTIONS)
    return Planted(mention.format(_ended(human.summary, "." if " It" in mention else ""), invented), human.context)


def plant_language(human: Human, chance: random.Random) -> Planted:
    """An answer in one language where another was asked for."""
    english = " ".join(human.summary.split()) if len(human.summary.split()) >= 8 else None
    texts = {**TEXTS, "English": (english,)} if english else TEXTS
    asked, answered = chance.sample(sorted([*TEXTS, "English"]), 2)
    if english is None and answered == "English":
        asked, answered = answered, asked
    return Planted(str(chance.choice(texts[answered])), human.context, asked)


MARKUP: tuple[Callable[[str, str, str], str], ...] = (
    lambda before, word, after: f"{before} **{word}** {after}",
    lambda before, word, after: f"{before} *{word}* {after}",
    lambda before, word, after: f"{before} __{word} {word}__ {after}",
    lambda before, word, after: f"# {before} {word} {after}",
    lambda before, word, after: f"- {before} {word} {after}",
    lambda before, word, after: f"1. {before} {word} {after}",
    lambda before, word, after: f"> {before} {word} {after}",
    lambda before, word, after: f"```python {before} {word} {after} ```",
    lambda before, word, after: f"{before} <b>{word}</b> {after}",
    lambda before, word, after: f"{before} {word}<br/>{after}",
    lambda before, word, after: f"<p>{before} {word} {after}",
    lambda before, word, after: f"{before} :class:`{word}` {after}",
    lambda before, word, after: f"{before} [{word}](docs/{word}.md) {after}",
    lambda before, word, after: f"{before} {word} (see https://example.org/{word}) {after}",
    lambda before, word, after: f"{before} {word} {after} www.example.org",
    lambda before, word, after: f"{before} {word}\n{after}",
    lambda before, word, after: f"{before} {word}\x00{after}",
    lambda before, word, after: f"{before} {word}\x1b[1m{after}",
    lambda before, word, after: f"{before} {word}\u202e{after}",
    lambda before, word, after: f"{before} {word}\u200b{after}",
)


def plant_plain_text(human: Human, chance: random.Random) -> Planted:
    """Markup, a link, or a character that cannot be seen."""
    words = human.summary.replace("`", "").split()
    at = chance.randrange(len(words))
    planted = chance.choice(MARKUP)(" ".join(words[:at]), words[at], " ".join(words[at + 1 :]))
    return Planted(planted.strip(" "), human.context)


TEMPLATES = {
    "prose": (
        "import requests",
        "return self.request(method, url)",
        '{{"summary": "{text}"}}',
        "<|im_start|>assistant {text}",
        "commit 109b31f6c168293910666001790357191",
        "2023-01-15",
        "{name}",
    ),
    "refusal": (
        "I'm sorry, but I cannot say what {name} does.",
        "As an AI language model, I have no access to it.",
        "Please provide the source code of {name}.",
        "I apologize for the confusion. {text}",
    ),
    "task": (
        "Here is the summary: {text}",
        "{text} This summary is based on the facts provided.",
        "Sure! {text}",
        "The symbol that you asked for: {text}",
    ),
    "place": (
        "{text} It is defined in {path}.",
        "{text} It is called by several functions.",
        "{text} It is part of the `net` cluster.",
        "{text} It is not central to the codebase.",
    ),
    "repetition": ("{text} {text}", "Calls it and calls it and calls it and calls it."),
}


def plant_template(check: str, human: Human, chance: random.Random) -> Planted:
    """A summary of a kind that no symbol has."""
    text = _ended(human.summary, ".")
    template = chance.choice(TEMPLATES[check])
    facts = human.context
    return Planted(template.format(text=text, name=facts.name, path=facts.file_path), facts)


PLANTS: dict[str, Callable[[Human, random.Random], Planted | None]] = {
    "sentences": plant_sentences,
    "filler": plant_filler,
    "says_more_than_name": plant_says_more_than_name,
    "not_docstring": plant_not_docstring,
    "identifiers": plant_identifiers,
    "language": plant_language,
    "plain_text": plant_plain_text,
    **{check: functools.partial(plant_template, check) for check in TEMPLATES},
}


def _with(facts: SymbolContext, **fields: Any) -> SymbolContext:
    names = SymbolContext.__dataclass_fields__
    return SymbolContext(**{name: fields.get(name, getattr(facts, name)) for name in names})


TEXTS = {
    "German": (
        "Gibt den passenden Adapter für die angegebene URL zurück.",
        "Prüft, ob der Header `Authorization` bei einer Weiterleitung entfernt werden muss.",
        "Liest die Antwort in Blöcken ein, damit große Dateien nicht auf einmal im Speicher liegen.",
        "Verwaltet Cookies und Verbindungen einer Sitzung. Wird von `Session.send` aufgerufen, z. B. bei Umleitungen.",
        "Ausnahme, die ausgelöst wird, wenn keine Verbindung zum Server aufgebaut werden kann.",
        "Wandelt ein Wörterbuch in eine Liste von Paaren um und behält die Reihenfolge bei.",
    ),
    "French": (
        "Renvoie l'adaptateur qui correspond à l'URL donnée.",
        "Vérifie si l'en-tête Authorization doit être supprimé lors d'une redirection.",
        "Lit la réponse par blocs afin que les gros fichiers ne soient pas chargés en mémoire d'un seul coup.",
        "Gère les cookies et les connexions d'une session. Appelée par `Session.send` après chaque redirection.",
        "Exception levée quand la connexion au serveur ne peut pas être établie.",
        "Convertit un dictionnaire en une liste de paires sans changer leur ordre.",
    ),
    "Spanish": (
        "Devuelve el adaptador que corresponde a la URL indicada.",
        "Comprueba si la cabecera Authorization debe eliminarse al seguir una redirección.",
        "Lee la respuesta por bloques para que los archivos grandes no ocupen toda la memoria.",
        "Gestiona las cookies y las conexiones de una sesión. La usa `Session.send` en cada petición.",
        "Excepción que se lanza cuando no se puede establecer la conexión con el servidor.",
        "Convierte un diccionario en una lista de pares y conserva el orden de los elementos.",
    ),
    "Portuguese": (
        "Retorna o adaptador que corresponde à URL informada.",
        "Verifica se o cabeçalho Authorization deve ser removido ao seguir um redirecionamento.",
        "Lê a resposta em blocos para que os arquivos grandes não ocupem toda a memória.",
        "Gerencia os cookies e as conexões de uma sessão. É usada por `Session.send` em cada requisição.",
        "Exceção lançada quando não é possível estabelecer a conexão com o servidor.",
        "Converte um dicionário em uma lista de pares e mantém a ordem dos elementos.",
    ),
    "Italian": (
        "Restituisce l'adattatore che corrisponde all'URL indicato.",
        "Verifica se l'intestazione Authorization deve essere rimossa durante un reindirizzamento.",
        "Legge la risposta a blocchi in modo che i file grandi non occupino tutta la memoria.",
        "Gestisce i cookie e le connessioni di una sessione. Viene usata da `Session.send` per ogni richiesta.",
        "Eccezione sollevata quando non è possibile stabilire la connessione con il server.",
        "Converte un dizionario in una lista di coppie e mantiene l'ordine degli elementi.",
    ),
    "Dutch": (
        "Geeft de adapter terug die bij de opgegeven URL hoort.",
        "Controleert of de header Authorization bij een doorverwijzing verwijderd moet worden.",
        "Leest het antwoord in blokken, zodat grote bestanden niet in één keer in het geheugen staan.",
        "Beheert de cookies en de verbindingen van een sessie. Wordt door `Session.send` aangeroepen.",
        "Uitzondering die optreedt wanneer er geen verbinding met de server gemaakt kan worden.",
        "Zet een woordenboek om in een lijst van paren en behoudt de volgorde van de elementen.",
    ),
    "Russian": (
        "Возвращает адаптер, который соответствует указанному URL.",
        "Проверяет, нужно ли удалить заголовок Authorization при перенаправлении.",
        "Читает ответ по частям, чтобы большие файлы не занимали всю память.",
        "Управляет файлами cookie и соединениями сеанса. Используется в `Session.send` при каждом запросе.",
        "Исключение, возникающее, когда не удаётся установить соединение с сервером.",
        "Преобразует словарь в список пар, сохраняя порядок элементов.",
    ),
    "Chinese": (
        "返回与给定 URL 匹配的适配器。",
        "判断在重定向时是否应删除 Authorization 请求头。",
        "分块读取响应，避免大文件一次性占用全部内存。",
        "管理会话的 Cookie 和连接。每次请求时由 `Session.send` 调用。",
        "无法与服务器建立连接时抛出的异常。",
        "把字典转换为键值对列表，并保持元素的顺序。",
    ),
    "Japanese": (
        "指定された URL に対応するアダプターを返します。",
        "リダイレクト時に Authorization ヘッダーを削除すべきかどうかを判定します。",
        "大きなファイルが一度にメモリに載らないように、応答を少しずつ読み込みます。",
        "セッションのクッキーと接続を管理します。リクエストのたびに `Session.send` から呼び出されます。",
        "サーバーへの接続を確立できない場合に送出される例外です。",
        "辞書を順序を保ったままキーと値の組のリストに変換します。",
    ),
    "Korean": (
        "주어진 URL에 맞는 어댑터를 반환합니다.",
        "리다이렉트할 때 Authorization 헤더를 제거해야 하는지 확인합니다.",
        "큰 파일이 한꺼번에 메모리에 올라가지 않도록 응답을 조금씩 읽습니다.",
        "세션의 쿠키와 연결을 관리합니다. 요청마다 `Session.send`에서 호출됩니다.",
        "서버와 연결할 수 없을 때 발생하는 예외입니다.",
        "사전을 순서를 유지한 채 키와 값의 목록으로 변환합니다.",
    ),
}


# --- What is measured ------------------------------------------------------------------------------------------------


@functools.cache
def planted(check: str) -> tuple[Planted, ...]:
    chance = random.Random(f"{SEED} {check}")  # noqa: S311 - no secret
    return tuple(fault for human in good() if (fault := PLANTS[check](human, chance)))


@functools.cache
def share_found(check: str) -> float:
    found = [
        check in {finding.check for finding in findings_of(fault.summary, fault.context, fault.language)}
        for fault in planted(check)
    ]
    return sum(found) / len(found)


def findings_of(summary: str, facts: SymbolContext, language: str = "English") -> tuple[Finding, ...]:
    return check_summary(summary, facts, known(stdlib_docstrings), language=language).findings


@functools.cache
def share_of_own_words() -> float:
    """The share of docstrings that are no copy of another one, by another hand, of a symbol with the same name."""
    named: dict[str, list[Human]] = {}
    for human in (*requests_docstrings(), *stdlib_docstrings()):
        named.setdefault(human.context.name, []).append(human)
    results = {
        (human.summary, other.docstring): check_summary(
            human.summary, _with(other.context, docstring=other.docstring), frozenset()
        )
        for group in named.values()
        for human in group
        for other in group
        if human.context.file_path != other.context.file_path and human.summary not in other.summary
    }
    return sum("not_docstring" in result.passed for result in results.values()) / len(results)


@functools.cache
def share_passed(check: str, of: Callable[[], tuple[Human, ...]]) -> float:
    """The share of human docstrings that pass a check."""
    results = [check_summary(human.summary, human.context, known(of)) for human in of()]
    return sum(check in result.passed for result in results) / len(results)


class Misplaced(NamedTuple):
    """Shares of summaries that are found to be misplaced."""

    false_alarms: float
    swapped: float
    rotated: float


@functools.cache
def share_misplaced(of: Callable[[], tuple[Human, ...]]) -> Misplaced:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    as_they_are: list[bool] = []
    swapped: list[bool] = []
    rotated: list[bool] = []
    humans = of()
    for start in range(0, len(humans) - SYMBOLS_PER_REQUEST + 1, SYMBOLS_PER_REQUEST):
        group = humans[start : start + SYMBOLS_PER_REQUEST]
        prints = [fingerprint(human.context) for human in group]
        summaries = [human.summary for human in group]
        as_they_are += find_misplaced(list(zip(prints, summaries, strict=True)))
        rotated += _found_in(prints, summaries, [*summaries[1:], summaries[0]])
        for _ in range(3):
            one, other = chance.sample(range(SYMBOLS_PER_REQUEST), 2)
            wrong = list(summaries)
            wrong[one], wrong[other] = summaries[other], summaries[one]
            swapped += _found_in(prints, summaries, wrong)
    return Misplaced(*(sum(found) / len(found) for found in (as_they_are, swapped, rotated)))


def _found_in(prints: Sequence[Any], right: Sequence[str], wrong: Sequence[str]) -> list[bool]:
    """Of the summaries that stand in another's place, which are found; two symbols may well have the same docstring."""
    found = find_misplaced(list(zip(prints, wrong, strict=True)))
    return [found[place] for place in range(len(right)) if right[place] != wrong[place]]


CORPORA = (requests_docstrings, stdlib_docstrings)


# --- Worked by hand --------------------------------------------------------------------------------------------------


def checks_of(summary: str, language: str = "English", **fields: Any) -> set[str]:
    """The checks that find something in a summary of `find_article`."""
    facts = SymbolContext(**context("find_article", **fields))
    known = known_names([SymbolContext(**context(name)) for name in ("find_article", "closest_number")])
    return {finding.check for finding in check_summary(summary, facts, known, language=language).findings}


GOOD = "Looks an article up by its number and names the nearest one that exists where there is none."


def test_a_good_summary_passes_all_checks() -> None:
    facts = SymbolContext(**context("find_article"))
    result = check_summary(GOOD, facts, frozenset(), misplaced=False)
    assert result.findings == ()
    assert set(result.passed) == {*PLANTS, "own_symbol"}


@pytest.mark.parametrize(
    "summary",
    [
        "Reads a price, e.g. 12.50 EUR, i.e. an amount and a currency. Raises ValueError for anything else.",
        "Talks HTTP/1.1 to the server, as of v2.0. Falls back to version 1.0 of the protocol, cf. RFC 9112.",
        "Joins names such as os.path and a.b.c with dots... and leaves the rest alone. See also setup.py.",
        "Wraps the U.S. edition, by J. Smith et al. Approved by Dr. Who, vs. Mr. Bean.",
        'Asks "Really delete?" before it deletes. Answers "yes" are remembered.',
        "Liest den 3. Parameter, z. B. einen Preis. Gibt bei Fehlern nichts zurück.",
        "读取价格。返回金额和货币。",
        "価格を読み取ります。金額と通貨を返します。",
    ],
)
def test_one_or_two_sentences_pass_with_whatever_dots_are_in_them(summary: str) -> None:
    language = "German" if "den" in summary.split() else "English"
    assert "sentences" not in checks_of(summary, language)


@pytest.mark.parametrize(
    ("summary", "reason"),
    [
        ("Reads a price. Returns cents. Raises ValueError.", "The summary has 3 sentences; write one or two."),
        ("Reads a price! Why? Nobody knows. `cents` are kept.", "The summary has 4 sentences; write one or two."),
        ("读取价格。返回金额。否则抛出异常。", "The summary has 3 sentences; write one or two."),
        ("...", "The summary has no words; write one or two sentences."),
        ("price " * 200, "The summary has 1199 characters; write one or two short sentences."),
    ],
)
def test_the_reason_says_how_many_sentences_there_are(summary: str, reason: str) -> None:
    result = check_summary(summary, SymbolContext(**context("parse_price")), frozenset())
    assert reason in {finding.reason for finding in result.hard}


FILLER_OPENINGS = [
    ("English", "This function reads a price into cents."),
    ("English", "The `parse_price` function reads a price into cents."),
    ("English", "A simple helper function that reads a price."),
    ("English", "`parse_price` is a function that reads a price."),
    ("German", "Diese Funktion liest einen Preis."),
    ("German", "Die Methode gibt den Preis zurück."),
    ("German", "Eine Funktion, die einen Preis liest."),
    ("French", "Cette fonction lit un prix."),
    ("French", "La méthode renvoie le prix."),
    ("French", "Une fonction qui lit un prix."),
    ("Spanish", "Esta función lee un precio."),
    ("Spanish", "La clase representa un precio."),
    ("Spanish", "Función que lee un precio."),
    ("Portuguese", "Esta função lê um preço."),
    ("Portuguese", "O método retorna o preço."),
    ("Portuguese", "Uma função que lê um preço."),
    ("Italian", "Questa funzione legge un prezzo."),
    ("Italian", "Il metodo restituisce il prezzo."),
    ("Italian", "Una funzione che legge un prezzo."),
    ("Dutch", "Deze functie leest een prijs."),
    ("Dutch", "De methode geeft de prijs terug."),
    ("Dutch", "Een functie die een prijs leest."),
    ("Russian", "Эта функция читает цену."),
    ("Russian", "Метод возвращает цену."),
    ("Russian", "Функция, которая читает цену."),
    ("Chinese", "该函数读取价格。"),
    ("Chinese", "这个方法返回价格。"),
    ("Japanese", "この関数は価格を読み取ります。"),
    ("Korean", "이 함수는 가격을 읽습니다."),
]


@pytest.mark.parametrize(("language", "summary"), FILLER_OPENINGS)
def test_filler_openings_are_found_in_the_language_asked_for(language: str, summary: str) -> None:
    assert "filler" in checks_of(summary, language)
    assert "language" not in checks_of(summary, language)


@pytest.mark.parametrize(
    ("language", "summary"),
    [
        ("English", "Base class for all prices."),
        ("English", "The class names that a price may have."),
        ("English", "Function objects and their prices, by name."),
        ("English", "Thistle prices of the day."),
        ("French", "La classe de base de tous les prix."),
        ("Spanish", "La clase base de todos los precios."),
        ("German", "Die Klasse mit den Preisen."),
    ],
)
def test_an_opening_that_says_something_is_no_filler(language: str, summary: str) -> None:
    assert "filler" not in checks_of(summary, language)


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_a_summary_in_the_language_asked_for_passes_every_check(language: str) -> None:
    for text in TEXTS[language]:
        assert checks_of(text, language, source_code="Authorization; Session.send()") == set()


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("English", True),
        ("de", True),
        ("pt-BR", True),
        ("Brazilian Portuguese", True),
        ("zh_CN", True),
        ("日本語", True),
    ],
)
def test_a_language_may_be_written_in_many_ways(language: str, *, expected: bool) -> None:
    result = check_summary(
        "Возвращает адаптер для указанного адреса.", good()[0].context, frozenset(), language=language
    )
    assert ("language" in {finding.check for finding in result.findings}) is expected


def test_an_unknown_language_is_not_checked() -> None:
    result = check_summary(GOOD, good()[0].context, frozenset(), language="Klingon")
    assert "language" not in {*result.passed, *(finding.check for finding in result.findings)}


@pytest.mark.parametrize("summary", ["Foo.", "Get URL", "Der.", "HTTPAdapter", "La URL", "終了"])
@pytest.mark.parametrize("language", ["English", "German", "French", "Japanese"])
def test_a_short_text_is_never_in_the_wrong_language(language: str, summary: str) -> None:
    assert "language" not in checks_of(summary, language)


@pytest.mark.parametrize(
    "summary",
    [
        "Sends articles to GitHub, OpenAI and PostgreSQL, from JavaScript or on macOS, over IPv6.",
        "Finds an article with closest_number() and `find_article`; `catalogue` may be a dict, None or an OrderedDict.",
        "Raises KeyError where `catalogue[number]` has none; URLs and IDs in shop/orders.py, e.g. `--number 3`.",
        "Takes *args and **kwargs, calls str.split and os.path.join, and reads orders.json or https headers.",
        "Overrides __init__ and __getitem__ for `List[str]`, as `Vec` and `HashMap` do.",
    ],
)
def test_identifiers_of_the_context_the_job_and_the_language_and_proper_nouns_exist(summary: str) -> None:
    assert "identifiers" not in checks_of(summary)


@pytest.mark.parametrize("name", ["`s`", "`ss`", "`$`", "`S`"])
def test_the_shortest_names_are_looked_up_as_well(name: str) -> None:
    assert "identifiers" in checks_of(f"Adds all pieces up with {name}.", source_code="def f(): pass", docstring=None)


def test_the_reason_names_what_does_not_exist() -> None:
    result = check_summary(
        "Finds an article through ArticleIndex.lookup and `cache`.",
        SymbolContext(**context("find_article")),
        frozenset(),
    )
    assert [finding.reason for finding in result.findings] == [
        "The summary names what the facts and the source do not have: ArticleIndex.lookup, cache."
    ]


def test_a_copied_docstring_is_found_wherever_it_stands() -> None:
    copied = "Return an article's title and price."
    assert "not_docstring" in checks_of(copied, source_code=None)
    assert "not_docstring" in checks_of(copied.replace("Return", "Returns").rstrip("."), docstring=None)
    assert "not_docstring" not in checks_of(copied, docstring=None, source_code="return catalogue[number]")
    assert "not_docstring" not in checks_of(GOOD)


@pytest.mark.parametrize(
    "summary",
    [
        "Computes 2 * 3 * 4 for `*a` and _private and trailing_ names, with *args and **kwargs.",
        "Compares x < y and y > z, a -> b, #1 of <number> articles; prices are in C# - or not.",
        "Reads http and https headers: a `<b>` of HTML is `None`; matches [a-z] and 100 % of (all) cases.",
    ],
)
def test_signs_of_code_and_arithmetic_are_no_markup(summary: str) -> None:
    assert "plain_text" not in checks_of(summary)


def test_reasons_say_nothing_of_the_source() -> None:
    source = (
        'def find_article(catalogue):\n    """Return hunter2 of the vault for everyone."""\n    hunter2 = "s3cr3t"\n'
    )
    facts = SymbolContext(**context("find_article", source_code=source, docstring="hunter2 is s3cr3t"))
    for summary in (*(fault.summary for check in PLANTS for fault in planted(check)[:50]), "", "x" * 5_000):
        for finding in check_summary(summary, facts, frozenset(), misplaced=True).findings:
            assert "hunter2" not in finding.reason
            assert "s3cr3t" not in finding.reason
            assert len(finding.reason) < 400
            assert finding.reason.endswith(".")
            assert finding.hard is (finding.check in HARD)


@hypothesis.given(summary=st.text(max_size=300), language=st.sampled_from([*TEXTS, "English", "Klingon"]))
def test_any_text_gets_each_verdict_once(summary: str, language: str) -> None:
    facts = SymbolContext(**context("find_article"))
    result = check_summary(summary, facts, frozenset(), misplaced=False, language=language)
    verdicts = [*result.passed, *(finding.check for finding in result.findings)]
    assert sorted(verdicts) == sorted({*PLANTS, "own_symbol"} - ({"language"} if language == "Klingon" else set()))


@pytest.mark.parametrize("unit", ["*a ", "_a ", "`", "...", "aA", "](", ". ", "/** ", " ", ':\n"""', "\n", "这"])
def test_no_text_takes_long(unit: str) -> None:
    """Every text is checked in a time that grows as it does: quadratic, these would run into pytest's time-out."""
    facts = SymbolContext(**context("find_article", source_code=unit * 100_000, docstring=unit * 100_000))
    judged = check_summary(unit * 10_000, facts, frozenset())
    assert judged.findings
    assert "filler" in check_summary(GOOD, facts, frozenset()).passed
    assert fingerprint(facts)


def test_two_swapped_answers_are_found_and_a_third_is_left_alone() -> None:
    summaries = {
        "parse_price": "Reads a price, an amount of money and its currency, from text.",
        "find_article": GOOD,
        "reserve": "Takes all pieces of an order out of the stock, or none, while it holds its lock.",
    }
    prints = [fingerprint(SymbolContext(**context(name, docstring=None))) for name in summaries]
    right = list(summaries.values())
    assert find_misplaced(list(zip(prints, right, strict=True))) == (False, False, False)
    swapped = [right[1], right[0], right[2]]
    assert find_misplaced(list(zip(prints, swapped, strict=True))) == (True, True, False)


def test_answers_that_have_no_word_of_any_symbol_are_nobody_elses() -> None:
    prints = [fingerprint(SymbolContext(**context(name))) for name in ("parse_price", "find_article", "reserve")]
    assert find_misplaced([(words, "Zorp und Quux.") for words in prints]) == (False, False, False)
    assert find_misplaced([]) == ()
    assert find_misplaced([(prints[0], "Anything at all.")]) == (False,)


# --- The bars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", PLANTS)
def test_each_check_finds_at_least_95_percent_of_the_faults_of_its_kind(check: str) -> None:
    assert len(planted(check)) >= 200
    assert share_found(check) >= 0.95


def test_the_checks_find_at_least_95_percent_of_all_planted_faults() -> None:
    counts = {check: len(planted(check)) for check in PLANTS}
    assert sum(share_found(check) * count for check, count in counts.items()) / sum(counts.values()) >= 0.95


@pytest.mark.parametrize("check", sorted(HARD - {"own_symbol"}))
@pytest.mark.parametrize("of", CORPORA)
def test_at_least_93_percent_of_human_docstrings_pass_each_hard_check(
    of: Callable[[], tuple[Human, ...]], check: str
) -> None:
    assert share_passed(check, of) >= 0.93


def test_hardly_a_docstring_is_taken_for_a_copy_of_one_that_another_hand_wrote_for_a_symbol_of_the_same_name() -> None:
    assert share_of_own_words() >= 0.99


@pytest.mark.parametrize("of", CORPORA)
def test_swapped_summaries_are_found_in_60_percent_at_5_percent_false_alarms(
    of: Callable[[], tuple[Human, ...]],
) -> None:
    shares = share_misplaced(of)
    assert shares.false_alarms <= 0.05
    assert shares.swapped >= 0.6
    assert shares.rotated >= 0.6


def seconds_per_summary() -> float:
    humans = stdlib_docstrings()[:500]
    names = known(stdlib_docstrings)
    start = time.perf_counter()
    for human in humans:
        check_summary(human.summary, human.context, names)
    return (time.perf_counter() - start) / len(humans)


def table_of_checks() -> dict[str, str]:
    """A row for each check: how many of the planted faults it finds, and how many human docstrings pass it."""
    rows = {}
    for check in PLANTS:
        row = f"{check:22}{'yes' if check in HARD else 'no':6}{len(planted(check)):8}{share_found(check):8.1%}"
        passed = [f"{share_passed(check, of):.1%}" for of in CORPORA]
        own_words = f"{share_of_own_words():28.1%} (against the docstring of a namesake)"
        rows[check] = row + (own_words if check == "not_docstring" else f"{passed[0]:>15}{passed[1]:>13}")
    shares = [share_misplaced(of) for of in CORPORA]
    found = ", ".join(f"swapped {one.swapped:.1%}, rotated {one.rotated:.1%}" for one in shares)
    rows["own_symbol"] = f"{'own_symbol':22}{'yes' if 'own_symbol' in HARD else 'no':6}{found} found"
    return rows


def test_the_table_has_every_check() -> None:
    """Each check that judges a summary has a row of what it finds and what it lets pass, printed after the tests."""
    rows = table_of_checks()
    TABLES.append(f"{'check':22}{'hard':6}{'planted':>8}{'found':>8}{'requests pass':>15}{'stdlib pass':>13}")
    TABLES.extend(rows.values())
    TABLES.append(f"{seconds_per_summary() * 1e6:.0f} microseconds a summary")
    judged = check_summary(GOOD, SymbolContext(**context("find_article")), frozenset(), misplaced=False)
    assert set(rows) == {*judged.passed, *(finding.check for finding in judged.findings)}
    assert all("%" in row for row in rows.values())
