"""pack.html in Chromium: a page that reads a pack itself, as a website shows it."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from doctown.docpack import Pack, write_pack
from doctown.site.write import write_site
from tests.doctown.docpack.archives import changed
from tests.doctown.site.conftest import READY, Open, search, show
from tests.doctown.site.repository import SLUGIFY
from tests.doctown.site.test_browser_hostile import IMAGE, SCRIPT, check_harmless
from tests.support.worker_process import REPOSITORY_ROOT

ASSETS = REPOSITORY_ROOT / "doctown" / "site" / "assets"
PAGES = ["#/", f"#/symbol/{SLUGIFY}", "#/file/press/store.py", "#/cluster/0", "#/map?by=folders", f"#/graph/{SLUGIFY}"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def website(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder that is served as a website, and its address: the viewer, a pack, and the site of the same pack."""
    folder = tmp_path_factory.mktemp("website")
    shutil.copytree(ASSETS, folder / "viewer")
    write_pack(pack, folder / "good.docpack")
    write_site(pack, folder / "site", None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def text_of(page: Page, address: str) -> str:
    show(page, address)
    return page.locator("main").inner_text()


def test_a_pack_is_shown_as_its_site(website: tuple[Path, str], open_page: Open) -> None:
    """Each kind of page says the same, whether a command wrote its data or the page has read the pack."""
    _, origin = website
    said = []
    for start in ("site/index.html", "viewer/pack.html?pack=/good.docpack"):
        page = open_page(f"{origin}/{start}")
        texts = {address: text_of(page, address) for address in PAGES}
        results = search(page, "slugify")
        results.first.wait_for()
        said.append((texts, results.count()))
    written, read = said
    assert read == written
    assert read[1] > 0


def test_a_pack_that_cannot_be_read_is_said(website: tuple[Path, str], open_page: Open) -> None:
    """Damage, a newer version and another site's pack get a sentence; nothing is asked of other sites."""
    folder, origin = website
    good = (folder / "good.docpack").read_bytes()
    (folder / "cut.docpack").write_bytes(good[: len(good) // 3])
    (folder / "newer.docpack").write_bytes(good)
    changed(folder / "newer.docpack", "manifest.json", lambda manifest: manifest.update(format_version=2))
    for path, words in (
        ("/cut.docpack", "it is no .docpack, or it is damaged or cut off"),
        ("/newer.docpack", "use a newer program, or build the pack anew"),
        ("/viewer/viewer.js", "it is no .docpack"),
        ("//example.com/a.docpack", "?pack=PATH"),
        ("https://example.com/a.docpack", "?pack=PATH"),
        ("/\\example.com/a.docpack", "?pack=PATH"),
    ):
        page = open_page(f"{origin}/viewer/pack.html?pack={quote(path, safe='')}")
        page.wait_for_function(READY)
        assert words in page.locator("main").inner_text()


def test_texts_of_a_pack_are_texts(website: tuple[Path, str], open_page: Open) -> None:
    """Markup in names and summaries of a pack runs nothing and makes nothing."""
    folder, origin = website
    shutil.copy(folder / "good.docpack", folder / "hostile.docpack")

    def spoil(document: dict[str, list[dict[str, object]]]) -> None:
        for node in document["nodes"]:
            node.update(signature=IMAGE, docstring=f"{SCRIPT}{IMAGE}", name=SCRIPT)

    changed(folder / "hostile.docpack", "nodes.json", spoil)
    page = open_page(f"{origin}/viewer/pack.html?pack=/hostile.docpack")
    for address in PAGES:
        show(page, address)
        check_harmless(page)
