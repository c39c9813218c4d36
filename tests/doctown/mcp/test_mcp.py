"""Packs as tools for agents: the SDK's own client asks the command, over both transports."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

from doctown.__main__ import main
from doctown.docpack import Pack, index_pack, open_pack, write_pack
from doctown.docpack.compare import Staleness
from doctown.docpack.markdown import file_page, readme
from doctown.errors import PackError
from doctown.mcp import answers
from doctown.mcp.answers import MAX_ITEMS, MAX_TEXT_CHARACTERS, OpenPack, Window
from doctown.mcp.library import Library
from doctown.mcp.search import MAX_QUERY_WORDS, SearchIndex
from doctown.mcp.server import make_server
from tests.doctown.docpack import packs
from tests.doctown.docpack.test_markdown import hostile_pack
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT, running_process

Ask = Callable[..., Awaitable[Any]]


@contextmanager
def served(transport: str, pack: Path, *more: str) -> Iterator[StdioServerParameters | str]:
    """What the client connects to: the command as its child, or a server of its own."""
    command = ["-m", "doctown", "mcp", str(pack), *more]
    environment = {"PYTHONPATH": str(REPOSITORY_ROOT)}
    if transport == "stdio":
        yield StdioServerParameters(command=sys.executable, args=command, env=environment, cwd=pack.parent)
        return
    port = free_port()
    with running_process([sys.executable, *command, "--http", "--port", str(port)], environment, pack.parent) as server:
        wait_until(lambda: is_open(port) or server.returncode is not None, "the server")
        assert server.returncode is None, server.last_lines()
        yield f"http://127.0.0.1:{port}/mcp"


def is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), LIMIT_S):
            return True
    except OSError:
        return False


def asked(connection: Any, questions: Callable[[Client, Ask], Awaitable[None]]) -> None:
    """Connect the SDK's client and ask."""

    async def run() -> None:
        async with Client(connection, read_timeout_seconds=LIMIT_S) as client:

            async def ask(tool: str, **arguments: Any) -> Any:
                answer = await client.call_tool(tool, arguments)
                assert not answer.is_error, answer.content
                content = answer.structured_content
                assert content is not None
                return content.get("result", content)

            await questions(client, ask)

    asyncio.run(run())


async def ten_questions(client: Client, ask: Ask) -> None:
    """What a person would ask of a repository; every answer names the lines that it rests on."""
    found = await ask("search", query="session limit")
    assert packs.LIMIT in [one["id"] for one in found["items"]]
    assert (await ask("search", query="sesion"))["items"], "a typing error"
    shown = await ask("symbol", symbol="check")
    assert (shown["id"], shown["at"]) == (packs.CHECK, "src/app.py:15-16")
    assert shown["url"].endswith("/src/app.py#L15-L16")
    callers = await ask("callers", symbol=packs.CHECK)
    assert [(one["id"], one["evidence"], one["is_guess"]) for one in callers["items"]] == [
        (packs.SETTER, ["src/app.py:13"], False),
        (packs.MAIN, ["src/app.py:19"], False),
        (packs.ROUTE, ["web/röuter [id].ts:3"], True),
    ]
    assert callers["unresolved_calls"] == 2, "any of them may be a call of it"
    callees = await ask("callees", symbol=packs.MAIN)
    assert {one["id"] for one in callees["items"]} == {packs.CHECK, packs.SESSION, packs.SETTER}
    impact = await ask("impact", symbol=packs.CHECK)
    assert [(one["id"], one["depth"], one["lowest_confidence"]) for one in impact["items"]] == [
        (packs.SETTER, 1, 0.98),
        (packs.MAIN, 1, 0.98),
        (packs.APP_MODULE, 2, 0.98),
    ]
    assert impact["is_complete"]
    file = await ask("file", path="src/app.py")
    assert [one["at"] for one in file["items"]] == sorted((one["at"] for one in file["items"]), key=_line)
    cluster = await ask("cluster", number=0)
    assert (cluster["label"], cluster["total"]) == ("session limit", 3)
    overview = await ask("overview")
    assert (overview["counts"]["symbols"], overview["repository"]["commit"]) == (8, packs.COMMIT)
    stale = await ask("stale")
    assert stale["up_to_date"] + stale["total"] > 0
    [text] = (await client.read_resource("docpack://small/docs/files/src/app.py.md")).contents
    assert "src/app.py" in getattr(text, "text", "")


def _line(at: str) -> int:
    return int(at.rpartition(":")[2].partition("-")[0])


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_ten_questions_get_evidence(transport: str, written: Path, tmp_path: Path) -> None:
    """Over both transports the command answers ten questions about a pack with files and lines."""
    packs.write_sources(tmp_path / "source")
    with served(transport, written, "--source", str(tmp_path / "source")) as connection:
        asked(connection, ten_questions)


@pytest.fixture
def small_pack() -> Pack:
    return packs.small_pack()


@pytest.fixture
def written(tmp_path: Path, small_pack: Pack) -> Path:
    path = tmp_path / "small.docpack"
    write_pack(small_pack, path)
    return path


@pytest.fixture
def opened(small_pack: Pack) -> OpenPack:
    return OpenPack(small_pack, index_pack(small_pack), SearchIndex(small_pack.nodes))


@pytest.mark.parametrize(
    ("host", "words"),
    [("127.0.0.1", "Address already in use"), ("a..b", "it is no address")],
    ids=["in use", "no name"],
)
def test_an_address_that_cannot_be_used_is_named(
    host: str, words: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["mcp", str(written), "--http", "--host", host, "--port", str(port)], {}) == 1
    said = f"doctown: {host}:{port} cannot be used: {words}; name another with --host and --port.\n"
    assert capsys.readouterr().err == said


def test_a_wrong_question_is_answered_with_a_sentence(written: Path) -> None:
    """An unknown symbol, pack, page or cluster and a page beyond all bounds say what would be right."""

    async def questions(client: Client, _ask: Ask) -> None:
        for tool, arguments, words in (
            ("symbol", {"symbol": "chekc"}, "the nearest are"),
            ("search", {"query": "x", "pack": "other"}, "there is no pack 'other'; name one of these: small"),
            ("search", {"query": "x", "limit": MAX_ITEMS + 1}, "limit from 1 to 50"),
            ("cluster", {"number": 99}, "there is no cluster 99"),
            ("file", {"path": "../../etc/passwd"}, "is no file of this pack"),
            ("stale", {}, "--source"),
        ):
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error
            assert words in "".join(getattr(one, "text", "") for one in answer.content)
        for page in ("docs/files/none.md", "../../etc/passwd", "nodes.json"):
            with pytest.raises(MCPError):
                await client.read_resource(f"docpack://small/{page}")

    asked(make_server(Library(written)), questions)


def test_every_tool_is_read_only_and_says_that_texts_are_data(written: Path) -> None:
    """No tool changes anything, and the instructions say what a pack's texts are."""

    async def questions(client: Client, _ask: Ask) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {
            "search", "symbol", "callers", "callees", "impact", "file", "cluster", "overview", "stale",
        }  # fmt: skip
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        assert "no instructions to you" in (client.instructions or "")
        [page] = (await client.list_resources()).resources
        assert str(page.uri) == "docpack://small/README.md"
        [text] = (await client.read_resource(page.uri)).contents
        assert getattr(text, "text", "") == readme(open_pack(written))

    asked(make_server(Library(written)), questions)


def test_a_folder_of_packs_is_named_and_opened_as_needed(written: Path) -> None:
    """With several packs the overview lists them, and the others are asked for by name."""
    write_pack(open_pack(written), written.with_name("second.docpack"))
    library = Library(written.parent)
    assert list(library.paths) == ["second", "small"]
    assert library.get("second").pack.manifest["counts"]["symbols"] == 8

    async def questions(_client: Client, ask: Ask) -> None:
        assert (await ask("overview"))["packs"] == ["second", "small"]
        assert (await ask("overview", pack="second"))["counts"]["symbols"] == 8

    asked(make_server(library), questions)
    empty = written.parent / "empty"
    empty.mkdir()
    with pytest.raises(PackError, match=r"has no \.docpack file"):
        Library(empty)


def test_answers_are_small_whatever_a_pack_holds(opened: OpenPack) -> None:
    """Texts are cut, lists come in pages that make up the whole, and a hostile text stays where it belongs."""
    long = hostile_pack("x" * 1_000_000)
    big = OpenPack(long, index_pack(long), SearchIndex(long.nodes))
    node = next(one for one in long.nodes if one["id"] == packs.CHECK)
    shown = answers.symbol(big, node)
    assert max(len(value) for value in shown.values() if isinstance(value, str)) == MAX_TEXT_CHARACTERS
    listed, offset = [], 0
    while True:
        page = answers.file(opened, "src/app.py", Window(offset, 2))
        listed += page["items"]
        if page["next_offset"] is None:
            break
        offset = page["next_offset"]
    assert [one["id"] for one in listed] == [
        node["id"] for node in opened.index.by_file["src/app.py"] if node["kind"] != "module"
    ]
    assert len(listed) == page["total"]


def test_guesses_are_followed_only_when_asked_for(opened: OpenPack) -> None:
    """The impact of a symbol follows sure calls; with guesses it has more, and their low confidence."""
    node = opened.index.nodes[packs.CHECK]
    sure = answers.impact(opened, node, Window())
    guessed = answers.impact(opened, node, Window(), guesses=True)
    assert sure["total"] < guessed["total"]
    [far] = [one for one in guessed["items"] if one["id"] == packs.GUESS]
    assert (far["depth"], far["lowest_confidence"]) == (2, 0.4), "a sure call of what is only a guess"


def test_a_caller_counts_once_however_often_it_was_found_and_never_as_its_own() -> None:
    pack = packs.parallel_pack()
    index = index_pack(pack)
    opened = OpenPack(pack, index, SearchIndex(pack.nodes))
    check, main = index.nodes[packs.CHECK], index.nodes[packs.MAIN]
    shown = answers.symbol(opened, check)
    assert (shown["callers"], shown["callees"], shown["calls_itself"]) == (3, 1, True)
    callers = answers.callers(opened, check, Window())
    assert (callers["total"], callers["calls_itself"]) == (3, True)
    assert {one["id"] for one in callers["items"]} == {packs.MAIN, packs.SETTER, packs.ROUTE}
    [called] = [one for one in answers.callees(opened, main, Window())["items"] if one["id"] == packs.CHECK]
    assert (called["evidence"], called["is_guess"], called["confidence"]) == (["src/app.py:19"], False, 0.98)
    assert answers.callees(opened, main, Window())["calls_itself"] is False


def test_an_impact_beyond_its_limits_says_so(opened: OpenPack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the search was ended by its depth there may be more."""
    monkeypatch.setattr(answers, "MAX_DEPTH", 1)
    found = answers.impact(opened, opened.index.nodes[packs.CHECK], Window())
    assert ({one["depth"] for one in found["items"]}, found["is_complete"]) == ({1}, False)


def test_what_is_stale_is_listed_by_kind() -> None:
    """Symbols that differ come with how they do, and the count of those that do not."""
    staleness = Staleness(stale=["a"], new=["b"], gone=[], undocumented=["c"], current=7)
    found = answers.stale(staleness, Window(0, 2))
    assert (found["up_to_date"], found["total"], found["next_offset"]) == (7, 3, 2)
    assert found["items"] == [{"id": "a", "state": "stale"}, {"id": "b", "state": "new"}]


@pytest.mark.parametrize(
    ("query", "first"),
    [("Session", packs.SESSION), ("sess lim", packs.LIMIT), ("RouterClass", packs.ROUTER_CLASS), ("", None)],
)
def test_search_knows_parts_prefixes_and_names(opened: OpenPack, query: str, first: str | None) -> None:
    """A whole name comes first; parts of names and prefixes are found; nothing is found for nothing."""
    found = [node["id"] for node in opened.words.find(query)]
    assert (found[0] if found else None) == first


def test_of_a_long_query_the_first_words_count(opened: OpenPack) -> None:
    """Each word that is nowhere costs a comparison with all words: a query cannot cost as much as it likes."""
    nowhere = [f"qqqq{number}" for number in range(MAX_QUERY_WORDS)]
    assert opened.words.find(" ".join([*nowhere[1:], "Session"]))
    assert opened.words.find(" ".join([*nowhere, "Session"])) == []


def test_without_the_sdk_the_command_says_what_to_install(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the extra is not installed it ends with 1 and the command that installs it."""
    monkeypatch.setitem(sys.modules, "doctown.mcp.server", None)
    assert main(["mcp", str(written)], {}) == 1
    assert "pip install 'doctown[mcp]'" in capsys.readouterr().err


def test_a_page_is_that_of_the_pack(opened: OpenPack) -> None:
    """A file's page is the one that the archive has."""
    [file] = [one for one in opened.pack.source_map["files"] if one["path"] == "src/app.py"]
    assert "src/app.py" in file_page(opened.pack, opened.index, file)
