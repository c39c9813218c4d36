"""Pictures of each kind of page of a site, for docs/images/: of Flask, built without a model.

python -m benchmarks.screenshots
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import ViewportSize

from benchmarks.graph.sources import Source, download, unpack
from benchmarks.processes import REPOSITORY
from benchmarks.site import run_doctown
from tests.support.browser import LIMIT_MS, running_browser

FOLDER = REPOSITORY / "docs" / "images"
FLASK = Source("sdist", "flask==3.1.3", "flask-3.1.3")
MAX_TOGETHER_BYTES = 1_500_000
DESKTOP = ViewportSize(width=1180, height=760)
PHONE = ViewportSize(width=390, height=760)
SYMBOL = "src/flask/app.py::Flask.make_response"


class Picture(NamedTuple):
    """A page, and how it is looked at."""

    name: str
    address: str
    size: ViewportSize = DESKTOP
    is_dark: bool = False


PICTURES = (
    Picture("overview", "#/"),
    Picture("search", "#/search?q=response"),
    Picture("symbol", f"#/symbol/{SYMBOL}"),
    Picture("file", "#/file/src/flask/app.py"),
    Picture("files", "#/files"),
    Picture("cluster", "#/cluster/0"),
    Picture("map", "#/map?by=clusters"),
    Picture("graph", f"#/graph/{SYMBOL}?hops=2&guesses=1"),
    Picture("dark", f"#/symbol/{SYMBOL}", is_dark=True),
    Picture("phone", f"#/symbol/{SYMBOL}", PHONE),
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        work = Path(name)
        unpack(download(FLASK, work), work / "unpacked")
        (work / "unpacked" / FLASK.folder).rename(work / "flask")
        run_doctown(work, "build", str(work / "flask"), "--output", str(work / "output"))
        run_doctown(work, "site", str(work / "output" / "flask.docpack"), str(work / "site"))
        take((work / "site" / "index.html").as_uri())
    together = sum(path.stat().st_size for path in FOLDER.glob("site-*.png"))
    assert together <= MAX_TOGETHER_BYTES, f"the pictures have {together:,} bytes"


def take(site: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with running_browser() as browser:
        for picture in PICTURES:
            page = browser.new_page(viewport=picture.size, color_scheme="dark" if picture.is_dark else "light")
            page.set_default_timeout(LIMIT_MS)
            page.goto(f"{site}{picture.address}")
            page.wait_for_load_state("networkidle")
            page.wait_for_function("() => performance.getEntriesByName('doctown-search').length > 0")
            page.screenshot(path=FOLDER / f"site-{picture.name}.png")
            page.close()


if __name__ == "__main__":
    main()
