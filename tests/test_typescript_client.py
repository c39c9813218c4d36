"""The TypeScript client: its own tests, in Node, against the real worker and the real service on the loopback.

Node's packages are installed once, into the cache folder, as its lock file says; the tests are compiled and run in a
copy of the client, so that nothing is left in the repository.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from generation.config import VOCABULARY_DIR
from tests.loopback.openai import Behaviour
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import running_queue
from tests.loopback.s3 import MotoS3, running_moto
from tests.support.contexts import payload
from tests.support.waiting import wait_until
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT, running_process, running_worker

CLIENT = REPOSITORY_ROOT / "clients" / "typescript"
CACHE = REPOSITORY_ROOT / ".cache" / "typescript-client"
SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "tsconfig.test.json", "README.md", "LICENSE")
FOLDERS = ("src", "test", "scripts")

NODE_MAJOR_MIN = 20
NPM_LIMIT_S = 300.0
LIMIT_S = 300.0

RUNPOD_KEY = "rp-loopback-key"
SERVICE_TOKEN = "loopback-service-token"


def node_missing() -> str | None:
    """Why the client's tests cannot run here, for a skip; None where they can."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < NODE_MAJOR_MIN:
        return f"node {version} is too old: the client's tests need {NODE_MAJOR_MIN}"
    return None


MISSING = node_missing()
pytestmark = [pytest.mark.skipif(MISSING is not None, reason=str(MISSING)), pytest.mark.timeout(NPM_LIMIT_S + LIMIT_S)]


def install() -> Path:
    """Install what the lock file says into the cache folder, unless it is there; the path of its node_modules."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    installed, lock = CACHE / "installed-lock.json", CLIENT / "package-lock.json"
    with (CACHE / "busy").open("w") as busy:
        # Two test runs at once must not install over each other; closing the file lets go.
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CLIENT / name, CACHE / name)
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], CACHE)
            shutil.copy(lock, installed)
    return CACHE / "node_modules"


def run(command: list[str], folder: Path) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_LIMIT_S, check=False)
    assert done.returncode == 0, f"{command} failed\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A copy of the client's folder with its packages installed."""
    folder = tmp_path / "client"
    folder.mkdir()
    for name in SOURCES:
        shutil.copy(CLIENT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(CLIENT / name, folder / name)
    (folder / "node_modules").symlink_to(install())
    return folder


@contextmanager
def served_bucket(s3: MotoS3) -> Iterator[str]:
    """The objects of a bucket at an address of their own, as a public bucket has them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = self.path.removeprefix("/")
            body = s3.get(key) if key in s3.keys() else b""  # noqa: SIM118 - no mapping
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="bucket", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_service(environment: dict[str, str], folder: Path) -> Iterator[str]:
    port = free_port()
    own = {"HOST": "127.0.0.1", "PORT": str(port), "SERVICE_TOKEN": SERVICE_TOKEN, "PYTHONPATH": str(REPOSITORY_ROOT)}
    url = f"http://127.0.0.1:{port}"
    with running_worker({**environment, **own}, folder, ("-m", "generation.service")) as service:
        wait_until(lambda: answers(f"{url}/health") or service.returncode is not None, "the service", LIMIT_S)
        assert service.returncode is None, service.last_lines()
        yield url


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S):
            return True
    except urllib.error.HTTPError:
        # It is there; whether it is ready its client finds out.
        return False
    except OSError:
        return False


@pytest.mark.slow
def test_the_clients_do_what_they_say(client: Path, tmp_path: Path) -> None:
    """The package compiles in strict mode without Node's types, its tests pass and none is left out."""
    symbols = tmp_path / "symbols.json"
    symbols.write_text(json.dumps(payload(400)["symbols"]), encoding="utf-8")
    behaviour = Behaviour(
        marker=r"(?m)^Name: (.+)$",
        count_by="characters",
        latency_mean_s=0.15,
        fault_script=({"fault": "hang", "contains": "Name: hang_"},),
    )
    with (
        running_openai(behaviour) as openai,
        running_moto() as s3,
        served_bucket(s3) as bucket_url,
        running_queue(api_key=RUNPOD_KEY) as queue,
    ):
        environment = {
            **s3.environment(),
            "R2_PUBLIC_BASE_URL": bucket_url,
            "OPENAI_API_KEY": "sk-loopback",
            "OPENAI_BASE_URL": openai.base_url,
            "MAX_OUTPUT_BYTES": "40000",
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
        }
        with (
            running_worker({**environment, **queue.environment()}),
            running_service(environment, tmp_path) as service_url,
        ):
            servers = {
                "RUNPOD_URL": queue.url.rpartition("/")[0],
                "RUNPOD_KEY": RUNPOD_KEY,
                "SERVICE_URL": service_url,
                "SERVICE_TOKEN": SERVICE_TOKEN,
                "DOCUMENTS_URL": bucket_url,
                "SYMBOLS_FILE": str(symbols),
                "SCHEMAS": str(REPOSITORY_ROOT / "schemas"),
            }
            with running_process(["npm", "test"], servers, client) as tests:
                code = tests.wait(LIMIT_S)
                report = tests.stdout()
    assert code == 0, f"{failures(report)}\n{tests.stderr()[-3_000:]}"
    counts = {name: int(count) for name, count in re.findall(r"(?m)^# (tests|pass|skipped) (\d+)$", report)}
    assert counts["skipped"] == 0
    assert counts["pass"] == counts["tests"] > 0


def failures(report: str) -> str:
    """What of a report in TAP, or of a compiler's output, is worth reading."""
    parts = re.split(r"(?m)^(?=# Subtest: )", report)
    return "\n".join(part for part in parts if "not ok" in part or "error TS" in part)[:6_000]


def test_the_package_holds_what_it_needs_and_nothing_else(client: Path) -> None:
    """What npm would publish is the compiled client, its types, README and licence, and it depends on nothing."""
    run(["npm", "run", "build"], client)
    packed = json.loads(run(["npm", "pack", "--dry-run", "--json", "--ignore-scripts"], client))
    [package] = packed.values() if isinstance(packed, dict) else packed
    modules = [path.stem for path in (CLIENT / "src").glob("*.ts")]
    expected = {f"dist/{module}.{kind}" for module in modules for kind in ("js", "d.ts")}
    assert {one["path"] for one in package["files"]} == {*expected, "LICENSE", "README.md", "package.json"}
    manifest = json.loads((CLIENT / "package.json").read_bytes())
    assert "dependencies" not in manifest
    for path in (client / "dist").glob("*.js"):
        imported = re.findall(r"from '([^']+)'", path.read_text(encoding="utf-8"))
        assert all(name.startswith("./") for name in imported)
    exported = "import('@doctown/generation-client').then((all) => console.log(Object.keys(all).sort().join()))"
    said = run(["node", "--input-type=module", "--eval", exported], client)
    assert said.strip() == "GenerationClient,GenerationError,RunPodClient"


def test_the_licence_is_the_same() -> None:
    """The package carries the repository's licence, to the letter."""
    assert (CLIENT / "LICENSE").read_bytes() == (REPOSITORY_ROOT / "LICENSE").read_bytes()


# What the examples import of SvelteKit, as far as they use it.
SVELTEKIT = """\
declare module '$env/dynamic/private' { export const env: Record<string, string | undefined> }
declare module '@sveltejs/kit' {
  export function json(body: unknown, init?: ResponseInit): Response
  export function error(status: number, body: string): never
}
declare module '$lib/server/runpod' { export const runpod: import('@doctown/generation-client').RunPodClient }
declare const symbols: import('@doctown/generation-client').SymbolItem[]
"""
ROUTE_TYPES = """\
export type RequestHandler = (event: { request: Request; params: { id: string } }) => Response | Promise<Response>
"""


def test_the_examples_of_the_readme_compile(client: Path) -> None:
    """Each TypeScript example of the package's README compiles in strict mode against the built package."""
    examples = re.findall(r"```ts\n(.*?)```", (CLIENT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 4
    run(["npm", "run", "build"], client)
    folder = client / "examples"
    folder.mkdir()
    (folder / "sveltekit.d.ts").write_text(SVELTEKIT, encoding="utf-8")
    (folder / "$types.d.ts").write_text(ROUTE_TYPES, encoding="utf-8")
    for number, example in enumerate(examples):
        (folder / f"example{number}.ts").write_text(f"{example}\nexport {{}}\n", encoding="utf-8")
    # As a SvelteKit project has it; an example may declare what its reader is to go on with.
    looser = {"noUnusedLocals": False, "noPropertyAccessFromIndexSignature": False}
    options = {"rootDir": ".", "noEmit": True, "moduleResolution": "Bundler", "module": "ESNext", **looser}
    config = {"extends": "../tsconfig.json", "compilerOptions": options, "include": ["."]}
    (folder / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")
    run(["node", "../node_modules/typescript/bin/tsc", "-p", "tsconfig.json"], folder)
