"""A real Chromium for tests, and pages that are watched: what they ask for, say and open.

Playwright's event loop runs in the thread that started it for as long as it is open, and nothing else can run one
there: a browser belongs to one module of tests and is closed at its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, sync_playwright
from playwright.sync_api import Error as PlaywrightError

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIMIT_MS = 60_000


def browser_missing() -> str | None:
    """Why tests in a browser cannot run here, for a skip; None where they can."""
    if shutil.which("chromium") is None:
        return "chromium is not installed (apt-get install chromium)"
    return None


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium, and close it with all that belongs to it when the block ends."""
    executable = shutil.which("chromium")
    assert executable is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS), timeout=LIMIT_MS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """What pages have done that a test may want to know."""

    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Note from now on what the page asks for, and what it should not do."""
        page.on("request", self._on_request)
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        page.on("dialog", self._on_dialog)
        page.on("popup", self._on_popup)

    def leave(self, page: Page) -> None:
        """Note nothing any more."""
        page.remove_listener("request", self._on_request)
        page.remove_listener("console", self._on_console)
        page.remove_listener("pageerror", self._on_error)
        page.remove_listener("dialog", self._on_dialog)
        page.remove_listener("popup", self._on_popup)

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self.faults.append(f"{message.type}: {message.text}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_popup(self, popup: Page) -> None:
        self.faults.append(f"popup: {popup.url}")

    def _on_error(self, error: PlaywrightError) -> None:
        self.faults.append(f"uncaught: {error}")


@contextmanager
def watched_context(browser: Browser, **options: object) -> Iterator[tuple[BrowserContext, Watch]]:
    """Open a context without cookies, cache and history of others. All that its pages do is noted."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(LIMIT_MS)
    watch = Watch()
    context.on("page", watch.follow)
    try:
        yield context, watch
    finally:
        context.close()
