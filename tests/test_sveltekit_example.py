"""The example of a website: it is built as its README says, and driven over HTTP and in a browser.

It talks to the real worker behind the loopback endpoint, a bucket and a git server, or to the real service.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import ssl
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Route

from doctown.docpack import open_pack
from tests.doctown.repository.repositories import make_repository
from tests.doctown.service.deployments import FILES, start_service
from tests.loopback.git_http import GitServer, running_git_server
from tests.loopback.queue import LoopbackQueue, Rules, running_queue
from tests.loopback.s3 import LoopbackS3, MotoS3, running_moto
from tests.support.browser import browser_missing, running_browser, watched_context
from tests.support.node_packages import NPM_LIMIT_S, install_packages, node_missing, run
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT, running_process, running_worker

EXAMPLE = Path("examples") / "sveltekit"
# What the example needs of the repository around it.
NEEDED = (Path("clients") / "typescript" / "src", Path("doctown") / "site" / "assets")
LEFT_OUT = shutil.ignore_patterns("node_modules", "build", ".svelte-kit", "viewer", ".env")
KEY = "rp-loopback-key"
MAX_JOBS = 8

MISSING = node_missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.timeout(2 * NPM_LIMIT_S),
]

Json = dict[str, Any]


class Answer(NamedTuple):
    """What the site has answered."""

    status: int
    location: str | None
    body: bytes

    @property
    def json(self) -> Json:
        return dict(json.loads(self.body))

    @property
    def sentence(self) -> str:
        """The alert of a page."""
        found = re.search(rb'<p role="alert">([^<]*)</p>', self.body)
        assert found, self.body
        return found[1].decode()


class Site(NamedTuple):
    """A running site, by its origin."""

    origin: str

    def call(self, path: str, method: str = "GET", body: str | None = None, kind: str = "text/plain") -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.origin).netloc, timeout=LIMIT_S)
        headers = {"Origin": self.origin, "Accept": "text/html", **({"Content-Type": kind} if body else {})}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers["Location"], response.read())
        connection.close()
        return answer

    def submit(self, **fields: str) -> Answer:
        """Send the form, as a browser without JavaScript does."""
        return self.call("/", "POST", urlencode(fields), "application/x-www-form-urlencoded")

    def started(self, **fields: str) -> str:
        """The path of the page of a job that has been started."""
        answer = self.submit(**fields)
        assert answer.status == 303, answer.body
        assert answer.location is not None
        return answer.location

    def look(self, page: str) -> Json:
        answer = self.call(f"/api{page}")
        assert answer.status == 200, answer.body
        return answer.json

    def ended(self, page: str) -> list[Json]:
        """Every view of a job until its end, the last one being that of its end."""
        seen: list[Json] = []

        def has_ended() -> bool:
            seen.append(self.look(page))
            return seen[-1]["state"] not in {"queued", "running"}

        wait_until(has_ended, f"the end of {page}")
        return seen


class Deployment(NamedTuple):
    """All that the site's jobs need."""

    queue: LoopbackQueue
    s3: MotoS3
    git: GitServer


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example and of what it needs, with its packages, built."""
    checkout = tmp_path_factory.mktemp("checkout")
    for folder in (EXAMPLE, *NEEDED):
        shutil.copytree(REPOSITORY_ROOT / folder, checkout / folder, ignore=LEFT_OUT)
    folder = checkout / EXAMPLE
    (folder / "node_modules").symlink_to(install_packages(REPOSITORY_ROOT / EXAMPLE, "sveltekit-example"))
    run(["npm", "run", "--silent", "build"], folder)
    return folder


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    repositories = tmp_path_factory.mktemp("repositories")
    make_repository(repositories / "demo", FILES)
    with running_moto() as s3, running_git_server(repositories, tls=True) as git, running_queue(api_key=KEY) as queue:
        environment = {
            **queue.environment(),
            **s3.environment(),
            "MODEL_NAME": "offline",
            "GIT_HOSTS": git.url.removeprefix("https://"),
            "GIT_PRIVATE_NETWORKS": "127.0.0.1/32",
            "SSL_CERT_FILE": git.ca_bundle,
        }
        with running_worker(environment):
            yield Deployment(queue, s3, git)


@contextmanager
def running_site(example: Path, **settings: str) -> Iterator[Site]:
    port = free_port()
    site = Site(f"http://127.0.0.1:{port}")
    environment = {"HOST": "127.0.0.1", "PORT": str(port), "ORIGIN": site.origin, **settings}
    with running_process(["node", "build"], environment, example) as process:
        process.wait_for_output("Listening on", LIMIT_S)
        yield site


@contextmanager
def site_on_runpod(example: Path, deployment: Deployment) -> Iterator[Site]:
    s3 = deployment.s3.environment()
    with running_site(
        example,
        RUNPOD_ENDPOINT_ID="ep",
        RUNPOD_API_KEY=KEY,
        RUNPOD_API_URL=deployment.queue.url.rpartition("/")[0],
        NODE_EXTRA_CA_CERTS=s3["AWS_CA_BUNDLE"],
        MAX_JOBS_PER_VISITOR=str(MAX_JOBS),
        **{name: value for name, value in s3.items() if name.startswith("R2_")},
    ) as site:
        yield site


@contextmanager
def refusing_bucket() -> Iterator[str]:
    """A bucket that refuses every key, by its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="bucket")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def archive() -> bytes:
    """The files of the repository as a .tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in FILES.items():
            info = tarfile.TarInfo(f"demo/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def upload(site: Site, content: bytes, ca_bundle: str) -> str:
    """Put an archive where the site says; return its key."""
    answer = site.call("/api/uploads", "POST", json.dumps({"name": "my demo.tar.gz", "size": len(content)}))
    assert answer.status == 200, answer.body
    assert put(answer.json["url"], content, ca_bundle) == 200
    return str(answer.json["key"])


def put(url: str, content: bytes, ca_bundle: str) -> int:
    """The HTTP status with which the bucket answers an upload."""
    request = urllib.request.Request(url, content, {"Content-Type": "application/gzip"}, method="PUT")
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca_bundle)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def check_pack(site: Site, view: Json, folder: Path) -> None:
    """What the page shows is the pack of the repository."""
    path = folder / "shown.docpack"
    path.write_bytes(site.call(view["result"]["pack"]).body)
    pack = open_pack(path)
    assert {node["id"] for node in pack.nodes} >= {"a.py::greet", "b.py::leave"}
    assert view["result"]["documented"] == pack.manifest["counts"]["documented"]


def test_the_example_is_type_checked(example: Path) -> None:
    """svelte-check finds neither an error nor anything to warn of."""
    assert "found 0 errors and 0 warnings" in run(["npm", "run", "--silent", "check"], example)


def test_a_repository_is_documented_on_runpod(example: Path, deployment: Deployment, tmp_path: Path) -> None:
    """From the form to the pack, through each thing that can go wrong on the way."""
    away = {"fault": "server_error", "only": ["run", "status"]}
    url = f"{deployment.git.url}/open/demo"
    with site_on_runpod(example, deployment) as site:
        assert site.submit(url="").sentence.startswith("Name a repository")
        page = site.started(url=url)
        assert b"Cancel" in site.call(page).body or b"Open the documentation" in site.call(page).body
        views = site.ended(page)
        steps = [view["progress"]["step"] for view in views if view["progress"]]
        assert steps == sorted(steps)
        assert views[-1]["state"] == "done"
        check_pack(site, views[-1], tmp_path)
        assert b"Open the documentation" in site.call(page).body
        assert b"viewer.js" in site.call("/viewer/pack.html").body

        key = upload(site, archive(), deployment.s3.environment()["AWS_CA_BUNDLE"])
        check_pack(site, site.ended(site.started(archive_key=key))[-1], tmp_path)
        assert site.submit(archive_key="other/secret.zip").status == 422

        failed = site.ended(site.started(url="https://example.org/owner/repo"))[-1]
        assert failed["state"] == "failed"
        assert "another host" in failed["reason"]

        hanging = site.started(url=f"{deployment.git.url}/hangs/demo")
        assert site.call(f"/api{hanging}", "DELETE").status == 200
        assert site.ended(hanging)[-1]["state"] == "cancelled"
        assert b"The job was cancelled" in site.call(hanging).body

        deployment.queue.follow(Rules(call_script=(away,)))
        assert site.look(page)["state"] == "away"
        assert b"this page keeps asking" in site.call(page).body
        refused = site.submit(url=url)
        assert (refused.status, "may have been started" in refused.sentence) == (503, True)
        assert f'value="{url}"'.encode() in refused.body
        deployment.queue.follow(Rules())
        assert site.look(page)["state"] == "done"

        assert site.call("/jobs/none").status == 404
        for odd in ("docpacks/%2e%2e/%2e%2e/other/a.docpack", "jobs/a.docpack", "docpacks/none.docpack"):
            assert site.call(f"/packs/{odd}").status == 404
        # RunPod has taken the job, and its answer is lost: it is there once, and counts.
        deployment.queue.follow(Rules(call_script=({"fault": "disconnect_after", "only": ["run"], "times": 1},)))
        before = deployment.queue.submitted()
        assert "may have been started" in site.submit(url=url).sentence
        assert deployment.queue.submitted() == before + 1
        for _ in range(MAX_JOBS - 6):
            site.started(url=url)
        assert site.submit(url=url).status == 429
        assert site.call("/api/uploads", "POST", '{"name": "a.zip", "size": 1}').status == 429


def test_a_repository_is_documented_by_the_service(example: Path, deployment: Deployment, tmp_path: Path) -> None:
    """With DOCTOWN_URL jobs and packs are those of the HTTP service, and no archive is taken without a bucket."""
    with ExitStack() as stack:
        service = start_service(stack, tmp_path, deployment.git, SERVICE_TOKEN="token")
        site = stack.enter_context(
            running_site(example, DOCTOWN_URL=f"http://127.0.0.1:{service.port}", DOCTOWN_TOKEN="token")
        )
        page = site.started(url=f"{deployment.git.url}/open/demo")
        check_pack(site, site.ended(page)[-1], tmp_path)
        assert b"archive" not in site.call("/").body
        assert site.call("/api/uploads", "POST", '{"name": "a.zip"}').status == 404
        hanging = site.started(url=f"{deployment.git.url}/hangs/demo")
        assert site.call(f"/api{hanging}", "DELETE").status == 200
        assert site.ended(hanging)[-1]["state"] == "cancelled"


def test_strangers_get_so_many_uploads_and_learn_nothing_of_a_wrong_key(example: Path) -> None:
    """Addresses for uploads are counted unless they are refused, and a wrong key of the bucket is the site's fault."""
    with refusing_bucket() as url:
        settings = {"R2_BUCKET": "packs", "R2_ACCESS_KEY_ID": "id", "R2_SECRET_ACCESS_KEY": "wrong"}
        runpod = {"RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_KEY": KEY}
        with running_site(example, **settings, **runpod, R2_ENDPOINT_URL=url, MAX_JOBS_PER_VISITOR="1") as site:
            files = (
                ("a.exe", 1),
                ("a.zip", 100_000_000),
                ("a.zip", 100_000_001),
                ("a.zip", None),
                ("b.tgz", 1),
                ("c.zip", 1),
            )
            bodies = [json.dumps({"name": name, "size": size}) for name, size in files]
            answers = [site.call("/api/uploads", "POST", body) for body in bodies]
            assert [answer.status for answer in answers] == [422, 200, 422, 422, 200, 429]
            pack = site.call("/packs/docpacks/owner/repo/repo.docpack")
            assert (pack.status, b"not set up" in pack.body) == (500, True)


def test_an_address_for_an_upload_holds_for_its_size_only(example: Path, miniflare: LoopbackS3) -> None:
    """Cloudflare's simulator of R2, which checks signatures, takes a body of the size that was named, and no other."""
    s3 = miniflare.environment()
    runpod = {"RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_KEY": KEY}
    settings = {name: value for name, value in s3.items() if name.startswith("R2_")}
    with running_site(example, **settings, **runpod) as site:
        answer = site.call("/api/uploads", "POST", json.dumps({"name": "a.zip", "size": 5}))
        url = answer.json["url"]
        assert [put(url, content, s3["AWS_CA_BUNDLE"]) for content in (b"123456", b"1234", b"12345")] == [403, 403, 200]
        assert miniflare.get(answer.json["key"]) == b"12345"


@pytest.mark.skipif(browser_missing() is not None, reason=str(browser_missing()))
def test_a_visitor_sees_the_steps_and_the_documentation(example: Path, deployment: Deployment) -> None:
    """In a browser the form leads to the page of the job, and that to the viewer, also when it is loaded again."""
    with (
        site_on_runpod(example, deployment) as site,
        running_browser() as browser,
        watched_context(browser) as (context, watch),
    ):
        page = context.new_page()
        held: list[Route] = []
        is_typed = False

        def hold(route: Route) -> None:
            if is_typed:
                route.continue_()
            else:
                held.append(route)

        page.route("**/_app/**/*.js", hold)
        page.goto(site.origin, wait_until="domcontentloaded")
        # What is typed before the page's scripts are there stays.
        page.get_by_label("Address of the repository").fill(f"{deployment.git.url}/open/demo")
        is_typed = True
        for script in held:
            script.continue_()
        page.wait_for_load_state("networkidle")
        pages: list[Route] = []

        def hold_page(route: Route) -> None:
            pages.append(route)

        # Until the page of the job is there a second click would start another.
        page.route("**/jobs/*/__data.json*", hold_page)
        with page.expect_request("**/jobs/*/__data.json*"):
            page.get_by_role("button", name="Document").click()
        assert page.locator("form button").is_disabled()
        [route] = pages
        route.continue_()
        page.unroute("**/jobs/*/__data.json*")
        page.wait_for_url("**/jobs/*")
        page.reload()
        link = page.get_by_role("link", name="Open the documentation")
        link.wait_for(timeout=LIMIT_S * 1000)
        page.frame_locator("iframe").get_by_text("greet").first.wait_for()
        # From one job's page to another's, which has a state of its own.
        page.get_by_role("link", name="Repository documentation").click()
        page.get_by_label("Address of the repository").fill("https://example.org/owner/repo")
        page.get_by_role("button", name="Document").click()
        page.get_by_role("heading", name="was not documented").wait_for()
        page.evaluate("() => history.go(-2)")
        link.wait_for()
        link.click()
        page.wait_for_selector("h1")
        page.get_by_text("greet").first.wait_for()
        # On a busy machine Chromium warns that what is loaded ahead is used late.
        assert [fault for fault in watch.faults if "preload" not in fault] == []


# Notes the pauses between looks at a job, which are over at once, and has ten times as much time pass.
PAUSES = """
    window.pauses = []
    const plan = window.setTimeout
    let look, nowMs = Date.now()
    Date.now = () => nowMs
    window.setTimeout = (call, ms, ...rest) => {
        if (ms === 1000) look ??= call
        if (call !== look) return plan(call, ms, ...rest)
        window.pauses.push(ms)
        nowMs += 10 * ms
        return plan(call, 0)
    }
    window.show = (state) => {
        Object.defineProperty(document, 'visibilityState', { value: state, configurable: true })
        window.pauses.push(state)
        document.dispatchEvent(new Event('visibilitychange'))
    }
"""


@pytest.mark.skipif(browser_missing() is not None, reason=str(browser_missing()))
def test_an_old_job_is_looked_at_less_often_and_not_from_a_hidden_page(example: Path, deployment: Deployment) -> None:
    """The pause grows from one second to thirty, a hidden page asks for nothing, and at once when it is seen again."""
    view = {"state": "running", "progress": None, "result": None, "reason": None}
    with (
        site_on_runpod(example, deployment) as site,
        running_browser() as browser,
        watched_context(browser) as (context, watch),
    ):
        job = site.started(url=f"{deployment.git.url}/hangs/demo")
        page = context.new_page()
        page.add_init_script(PAUSES)
        page.route("**/api/jobs/*", lambda route: route.fulfill(json=view))
        page.goto(f"{site.origin}{job}")
        page.wait_for_function("window.pauses.filter((ms) => ms === 30000).length > 2")
        page.evaluate("window.show('hidden')")
        for _ in range(10):
            page.evaluate(f"fetch('/api{job}')")
        page.evaluate("window.show('visible')")
        page.wait_for_function("window.pauses.at(-1) === 30000")
        pauses = page.evaluate("window.pauses")
        hidden = pauses.index("hidden")
        assert pauses[0] == 1000
        assert pauses[:hidden] == sorted(pauses[:hidden])
        assert max(pauses[:hidden]) == 30000
        assert pauses[hidden + 1 : hidden + 3] == ["visible", 0]
        assert watch.faults == []
        page.unroute("**/api/jobs/*")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="was cancelled").wait_for()
