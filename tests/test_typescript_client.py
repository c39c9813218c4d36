"""The TypeScript client: its own tests, in Node, against the real worker and the real service on the loopback.

Node's packages are installed once, into the cache folder, as its lock file says. Sources, tests and examples are
compiled once, in a copy of the client, so that nothing is left in the repository.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from doctown.docpack import open_pack
from generation.config import VOCABULARY_DIR
from tests.doctown.repository.repositories import make_repository
from tests.doctown.service.deployments import start_service
from tests.loopback.git_http import GitServer, running_git_server
from tests.loopback.openai import Behaviour
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import running_queue
from tests.loopback.s3 import MotoS3, install_miniflare, running_moto
from tests.support.contexts import payload
from tests.support.node_packages import NPM_LIMIT_S, install_packages, node_missing, run
from tests.support.real_pack import FILES as REAL_FILES
from tests.support.real_pack import build_real_pack
from tests.support.waiting import wait_until
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT, running_process, running_worker

CLIENT = REPOSITORY_ROOT / "clients" / "typescript"
SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "tsconfig.test.json", "README.md", "LICENSE")
FOLDERS = ("src", "test", "scripts")

LIMIT_S = 300.0

RUNPOD_KEY = "rp-loopback-key"
SERVICE_TOKEN = "loopback-service-token"


MISSING = node_missing()
pytestmark = [pytest.mark.skipif(MISSING is not None, reason=str(MISSING)), pytest.mark.timeout(NPM_LIMIT_S + LIMIT_S)]


def install() -> Path:
    """Install the client's packages, unless they are there; the path of their node_modules."""
    return install_packages(CLIENT, "typescript-client")


# npm looks for a newer version of itself, for advisories and for funding, which takes a network.
QUIET_NPM = {f"npm_config_{name}": "false" for name in ("audit", "fund", "update_notifier")} | {
    "npm_config_offline": "true"
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `doctown/clients/typescript`, with its packages installed and everything compiled."""
    folder = tmp_path_factory.mktemp("checkout")
    client = folder / "doctown" / "clients" / "typescript"
    client.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(CLIENT / name, client / name)
    for name in FOLDERS:
        shutil.copytree(CLIENT / name, client / name)
    (client / "node_modules").symlink_to(install())
    write_examples(client / "examples")
    run(["node", "node_modules/typescript/bin/tsc", "-b", "tsconfig.test.json", "examples"], client)
    return folder


@pytest.fixture(scope="module")
def client(checkout: Path) -> Path:
    return checkout / "doctown" / "clients" / "typescript"


@pytest.fixture(scope="module")
def installed(checkout: Path) -> Path:
    """A fresh project that has installed the package as the README says; its clone and `npm ci` are there already."""
    readme = (CLIENT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"(?m)^    git clone .*\n    npm --prefix .* ci .*\n((?:    .*\n)+)", readme)
    for command in block.splitlines():
        run(command.split(), checkout, **QUIET_NPM)
    return checkout


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
def running_service(environment: dict[str, str]) -> Iterator[str]:
    port = free_port()
    own = {"HOST": "127.0.0.1", "PORT": str(port), "SERVICE_TOKEN": SERVICE_TOKEN}
    url = f"http://127.0.0.1:{port}"
    with running_worker({**environment, **own}, args=("-m", "generation.service")) as service:
        wait_until(lambda: answers(f"{url}/health") or service.returncode is not None, "the service", LIMIT_S)
        assert service.returncode is None, service.last_lines()
        yield url


@contextmanager
def serving_git(folder: Path) -> Iterator[GitServer]:
    """A git server behind TLS with one small repository, `demo`."""
    make_repository(folder / "demo", {name: text for name, text in REAL_FILES.items() if isinstance(text, str)})
    with running_git_server(folder, tls=True) as git:
        yield git


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
    """The package compiles in strict mode without Node's types (`client`), its tests pass and none is left out."""
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
        serving_git(tmp_path / "repositories") as git,
        ExitStack() as stack,
    ):
        repositories = start_service(stack, tmp_path / "service", git, SERVICE_TOKEN=SERVICE_TOKEN)
        environment = {
            **s3.environment(),
            "R2_PUBLIC_BASE_URL": bucket_url,
            "OPENAI_API_KEY": "sk-loopback",
            "OPENAI_BASE_URL": openai.base_url,
            "MAX_OUTPUT_BYTES": "40000",
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
            "GIT_HOSTS": git.url.removeprefix("https://"),
            "GIT_PRIVATE_NETWORKS": "127.0.0.1/32",
            "SSL_CERT_FILE": git.ca_bundle,
        }
        with (
            running_worker({**environment, **queue.environment()}),
            running_service(environment) as service_url,
        ):
            servers = {
                "RUNPOD_URL": queue.url.rpartition("/")[0],
                "RUNPOD_KEY": RUNPOD_KEY,
                "SERVICE_URL": service_url,
                "SERVICE_TOKEN": SERVICE_TOKEN,
                "REPOSITORIES_URL": f"http://127.0.0.1:{repositories.port}",
                "GIT_URL": git.url,
                "DOCUMENTS_URL": bucket_url,
                "SYMBOLS_FILE": str(symbols),
                "DOCPACK_FILE": str(build_real_pack(tmp_path)),
                "SCHEMAS": str(REPOSITORY_ROOT / "schemas"),
            }
            with running_process(["npm", "test"], servers, client) as tests:
                code = tests.wait(LIMIT_S)
                report = tests.stdout()
    assert code == 0, f"{failures(report)}\n{tests.stderr()[-3_000:]}"
    counts = {name: int(count) for name, count in re.findall(r"(?m)^# (tests|pass|skipped) (\d+)$", report)}
    assert counts["skipped"] == 0
    assert counts["pass"] == counts["tests"] > 0


@pytest.mark.slow
def test_packs_are_read_in_an_edge_runtime(client: Path, tmp_path: Path) -> None:
    """In Cloudflare's own runtime a pack is read whole, and one that is cut off or no pack is refused."""
    pack = build_real_pack(tmp_path)
    said = run(["node", "test/edge.mjs", str(install_miniflare()), str(pack)], client)
    whole, *refused = [json.loads(line) for line in said.splitlines()]
    with tarfile.open(pack) as tar:
        assert whole["names"] == tar.getnames()
    assert whole["nodes"] == len(open_pack(pack).nodes)
    assert refused == [{"failure": "bad_pack"}] * 2


def failures(report: str) -> str:
    """What of a report in TAP, or of a compiler's output, is worth reading."""
    parts = re.split(r"(?m)^(?=# Subtest: )", report)
    return "\n".join(part for part in parts if "not ok" in part or "error TS" in part)[:6_000]


def test_the_package_holds_what_it_needs_and_nothing_else(installed: Path) -> None:
    """A fresh project gets the compiled client, its types, sources and maps, README and licence, and nothing else."""
    package = installed / "node_modules" / "@doctown" / "generation-client"
    modules = [path.stem for path in (CLIENT / "src").glob("*.ts")]
    compiled = {f"dist/{module}.{kind}" for module in modules for kind in ("js", "js.map", "d.ts", "d.ts.map")}
    sources = {f"src/{module}.ts" for module in modules}
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert files == {*compiled, *sources, "LICENSE", "README.md", "package.json"}
    assert [path.name for path in (installed / "node_modules" / "@doctown").iterdir()] == ["generation-client"]
    for path in (package / "dist").glob("*.js"):
        imported = re.findall(r"from '([^']+)'", path.read_text(encoding="utf-8"))
        assert all(name.startswith("./") for name in imported)


def test_a_fresh_project_imports_it_and_sees_its_sources(installed: Path) -> None:
    """The installed package exports its classes, and a stack names lines of its TypeScript sources."""
    exported = """\
        const all = await import('@doctown/generation-client')
        console.log(Object.keys(all).sort().join())
        try { new all.RunPodClient({ endpointId: 'ep', apiKey: '' }) } catch (error) { console.log(error.stack) }
    """
    said = run(["node", "--enable-source-maps", "--input-type=module", "--eval", exported], installed)
    names, fault, *stack = said.splitlines()
    assert names == "DocpackReader,GenerationClient,GenerationError,IngestClient,RunPodClient"
    assert fault == "GenerationError: apiKey is missing or empty"
    assert re.search(r"generation-client/src/runpod\.ts:\d+", "\n".join(stack))


@pytest.mark.slow
def test_publint_and_attw_find_nothing(installed: Path, client: Path) -> None:
    """The packed file is in order for npm, and its types are found wherever ES modules are."""
    [packed] = installed.glob("*.tgz")
    programs = client / "node_modules" / ".bin"
    run([str(programs / "publint"), "run", str(packed), "--strict"], installed)
    run([str(programs / "attw"), str(packed), "--profile", "esm-only"], installed)
    manifest = json.loads((CLIENT / "package.json").read_bytes())
    assert "dependencies" not in manifest
    assert {"repository", "homepage", "bugs", "keywords", "publishConfig", "license"} <= manifest.keys()


def test_the_licence_is_the_same() -> None:
    """The package carries the repository's licence, to the letter."""
    assert (CLIENT / "LICENSE").read_bytes() == (REPOSITORY_ROOT / "LICENSE").read_bytes()


# What the examples leave to their reader.
GIVEN = "declare const symbols: import('@doctown/generation-client').SymbolItem[]\n"


def write_examples(folder: Path) -> None:
    """Each TypeScript example of the package's README as a project of its own, which the package is built before."""
    examples = re.findall(r"```ts\n(.*?)```", (CLIENT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    folder.mkdir()
    (folder / "given.d.ts").write_text(GIVEN, encoding="utf-8")
    for number, example in enumerate(examples):
        (folder / f"example{number}.ts").write_text(f"{example}\nexport {{}}\n", encoding="utf-8")
    # As a website's project has it; an example may declare what its reader is to go on with.
    looser = {"noUnusedLocals": False, "noPropertyAccessFromIndexSignature": False}
    places = {"rootDir": ".", "outDir": "compiled", "tsBuildInfoFile": "compiled/examples.tsbuildinfo"}
    options = {**places, "composite": False, "declarationMap": False, "moduleResolution": "Bundler", "module": "ESNext"}
    config = {
        "extends": "../tsconfig.json",
        "compilerOptions": {**options, **looser},
        "include": ["."],
        "references": [{"path": ".."}],
    }
    (folder / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")


def test_the_examples_of_the_readme_compile(client: Path) -> None:
    """Each TypeScript example of the package's README compiles in strict mode against the built package."""
    readme = (CLIENT / "README.md").read_text(encoding="utf-8")
    assert len(list((client / "examples" / "compiled").glob("example*.js"))) == readme.count("```ts\n") >= 5
