"""The image, the Hub's files and the locks say the same as the code and the Makefile.

There is no container engine at hand when these run, so they hold the Dockerfile to what can be held without one: the
files and the scripts it names. The scripts themselves are run, by `make` (which set up the environment of these tests
with them) and here. Left out: that the base image and the packages of its distribution can be had.
"""

from __future__ import annotations

import hashlib
import http.server
import inspect
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import pytest
import requests
import tiktoken_ext.openai_public
import yaml
from pydantic import SecretStr

from doctown.service.settings import RepositoryServiceSettings
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.config import ServiceSettings, Settings
from generation.errors import ConfigError
from tests.loopback.queue import running_queue
from tests.support.waiting import LIMIT_S
from tests.support.worker_process import running_worker

REPOSITORY = Path(__file__).resolve().parent.parent
FETCH = REPOSITORY / "builder" / "fetch_vocabulary.py"
FETCH_CONSTANTS = runpy.run_path(str(FETCH))
FILE_NAME = FETCH_CONSTANTS["FILE_NAME"]
VOCABULARY = REPOSITORY / "vocabulary" / FILE_NAME
HUB = json.loads((REPOSITORY / ".runpod" / "hub.json").read_text())
HUB_TESTS = json.loads((REPOSITORY / ".runpod" / "tests.json").read_text())
HUB_INPUTS = {entry["key"]: entry["input"] for entry in HUB["config"]["env"] if "input" in entry}
HUB_VALUES = {entry["key"]: entry["value"] for entry in HUB["config"]["env"] if "value" in entry}
BARE_ENVIRONMENT = {"PATH": os.environ["PATH"]}


# --- The Dockerfile


def dockerfile(*names: str) -> list[str]:
    """The arguments of these instructions of the Dockerfile, in order, each on one line."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [" ".join(arguments.split()) for name, arguments in lines if name in names]


def copied() -> list[str]:
    """What is copied from the repository, into either stage."""
    own = [line for line in dockerfile("COPY") if not line.startswith("--from=")]
    return [source.rstrip("/") for line in own for source in line.split()[:-1]]


def final_stage() -> list[str]:
    """The lines of the stage that the image is."""
    return (REPOSITORY / "Dockerfile").read_text().rpartition("\nFROM ")[2].splitlines()


def builder_steps(commands: str) -> set[tuple[str, str]]:
    """The builder's scripts in these commands, each with its last argument: the lock, or the vocabulary's folder."""
    steps = re.findall(r"builder/(\S+) ([^&\n]+)", commands)
    return {(script, arguments.split()[-1]) for script, arguments in steps}


@cache
def dry_run(target: str, **environment: str) -> str:
    """What `make` would run for the target on a fresh machine."""
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    environment = {**BARE_ENVIRONMENT, **environment}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True).stdout


def test_every_file_that_is_copied_exists_and_may_reach_the_build() -> None:
    let_in = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert copied()
    assert [source for source in copied() if not (REPOSITORY / source).exists()] == []
    assert {source.split("/")[0] for source in copied()} == let_in


def test_the_sources_of_the_viewer_are_not_in_the_image() -> None:
    """Of the viewer of packs what was built is let in, and nothing that Node has installed beside it."""
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    last_let_in = max(place for place, line in enumerate(ignored) if line.startswith("!"))

    assert {"doctown/site/viewer", "**/node_modules"} <= set(ignored[last_let_in:]), "later lines win"
    assert (REPOSITORY / "doctown" / "site" / "viewer" / "package.json").exists()


def test_the_worker_and_all_its_code_are_copied() -> None:
    assert {"start.py", "handler.py", "generation", "doctown"} <= set(copied())


def test_the_sample_job_is_not_in_the_image() -> None:
    """A container without a queue serves; it never documents an example on somebody's bill."""
    assert "test_input.json" not in (REPOSITORY / "Dockerfile").read_text()
    assert "test_input.json" not in (REPOSITORY / ".dockerignore").read_text()


def test_what_builds_stays_in_its_own_stage() -> None:
    """The final stage runs no script of the builder and no pip, and takes from the other stage what these have made."""
    text = "\n".join(line for line in final_stage() if not line.startswith("#"))

    assert "builder/" not in text
    assert "pip" not in text
    assert re.findall(r"COPY --from=build (\S+)", text) == ["/opt/venv", "/app/vocabulary", "/app/models"]
    assert "rm -rf /var/lib/apt/lists/*" in text


def test_every_step_of_the_build_is_a_copied_script_that_make_runs_with_the_same_argument() -> None:
    in_image = builder_steps("\n".join(dockerfile("RUN")))

    assert in_image == {
        ("install_dependencies.sh", "requirements.lock"),
        ("fetch_vocabulary.py", "vocabulary"),
        ("fetch_embedding_model.py", "models/minilm-l6"),
        ("strip_environment.py", "/opt/venv"),
    }
    assert {f"builder/{script}" for script, _ in in_image} <= set(copied())
    assert "requirements.lock" in copied()
    # What documents symbols needs no embedding model; what builds packs does, and `make setup` fetches it.
    of_builds = {("fetch_embedding_model.py", "models/minilm-l6")}
    of_images = {("strip_environment.py", "/opt/venv")}
    assert in_image - of_builds - of_images == builder_steps(dry_run("run"))
    assert of_builds <= builder_steps(dry_run("setup"))
    assert {script for script, _ in of_images} <= {script for script, _ in builder_steps(dry_run("image-size"))}


def test_the_container_starts_python_itself() -> None:
    (command,) = dockerfile("CMD")

    assert json.loads(command) == ["python", "-u", "start.py"]
    assert dockerfile("ENTRYPOINT", "SHELL") == []


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ({}, ["-m", "generation.service"]),
        ({"RUNPOD_POD_ID": "a-pod-without-a-queue"}, ["-m", "generation.service"]),
        ({"RUNPOD_WEBHOOK_GET_JOB": "https://api.runpod.ai/v2/e/job-take/w"}, ["handler.py"]),
    ],
    ids=["elsewhere", "a pod of RunPod", "a serverless worker"],
)
def test_a_container_is_what_the_place_needs(environment: dict[str, str], arguments: list[str], tmp_path: Path) -> None:
    """Under RunPod's queue it becomes the handler, elsewhere the worker's service: by exec, as the same process."""
    record = "import json, os, sys; open(os.environ['SAID'], 'w').write(json.dumps([os.getpid(), sys.orig_argv[1:]]))"
    (tmp_path / "start.py").write_bytes((REPOSITORY / "start.py").read_bytes())
    (tmp_path / "handler.py").write_text(record)
    (tmp_path / "generation").mkdir()
    (tmp_path / "generation" / "service.py").write_text(record)
    said = tmp_path / "said.json"
    with subprocess.Popen(
        [sys.executable, "-u", "start.py"], cwd=tmp_path, env={**BARE_ENVIRONMENT, **environment, "SAID": str(said)}
    ) as started:
        assert started.wait(LIMIT_S) == 0
    assert json.loads(said.read_text()) == [started.pid, ["-u", *arguments]]


def test_an_environment_is_stripped_of_what_only_developers_need(tmp_path: Path) -> None:
    """pip, tests of packages, stubs and headers go; what is imported stays, a package's own `tests` included."""
    kept = ["bin/python", "lib/python3.12/site-packages/boto3/tests/needed.py", "pyvenv.cfg"]
    kept += [f"lib/python3.12/site-packages/{name}" for name in ("numpy/core.py", "pipeline/a.py", "pip_audit-1.py")]
    gone = ["bin/pip", "bin/pip3.12", "lib/python3.12/site-packages/pip/a.py"]
    gone += [
        "lib/python3.12/site-packages/pip-25.0.dist-info/RECORD",
        "lib/python3.12/site-packages/numpy/lib/tests/a.py",
    ]
    gone += ["lib/python3.12/site-packages/numpy/core.pyi", "lib/python3.12/site-packages/numpy/include/a.h"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    command = [sys.executable, "builder/strip_environment.py", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True)

    assert sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file()) == sorted(kept)
    elsewhere = subprocess.run([*command[:2], str(tmp_path / "bin")], cwd=REPOSITORY, capture_output=True, check=False)
    assert elsewhere.returncode == 2


def test_the_size_of_the_image_is_the_sum_of_what_it_holds(tmp_path: Path) -> None:
    """Each layer has a row, packages are measured with what Python has compiled, and too much ends with 1."""
    sizes = runpy.run_path(str(REPOSITORY / "builder" / "image_size.py"))
    package = tmp_path / "venv" / "lib"
    package.mkdir(parents=True)
    (package / "a.py").write_bytes(b"x" * 1_500_000)
    (package / "link.py").symlink_to(package / "a.py")
    found = sizes["layers"](tmp_path / "venv", REPOSITORY)
    assert found["Python packages"] == 1.5
    assert 0 < found["code"] < 10
    for name in ("a.py", "viewer/node_modules/a.js", "__pycache__/a.pyc"):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_bytes(b"abc")
    assert sizes["code_bytes"](tmp_path / "code") == 3, "as .dockerignore lets in"
    command = [sys.executable, "builder/image_size.py", str(tmp_path / "venv")]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == len(found) + 1
    with (package / "large").open("wb") as file:
        file.truncate(700_000_000)
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode == 1


def test_the_image_is_for_runpods_machines_from_a_pinned_python_without_root() -> None:
    bases = [base.removesuffix(" AS build") for base in dockerfile("FROM")]

    assert len(bases) == 2
    assert len(set(bases)) == 1, "what one Python has installed, the same Python runs"
    assert re.fullmatch(r"--platform=linux/amd64 python:3\.12\.\d+-slim-[a-z]+", bases[0])
    assert dockerfile("USER")[-1] not in {"root", "0"}
    assert "ca-certificates" in " ".join(dockerfile("RUN"))


def test_the_image_looks_for_the_vocabulary_where_the_build_puts_it() -> None:
    variables = dict(assignment.split("=", 1) for line in dockerfile("ENV") for assignment in shlex.split(line))
    (working_dir,) = set(dockerfile("WORKDIR"))

    assert variables["TIKTOKEN_CACHE_DIR"] == HUB_VALUES["TIKTOKEN_CACHE_DIR"] == f"{working_dir}/vocabulary"
    assert variables["PYTHONUNBUFFERED"] == "1"
    assert variables["RUNPOD_LOG_LEVEL"] == "INFO"


def test_results_can_be_written_by_the_user_of_the_image() -> None:
    user = dockerfile("USER")[-1]
    results_dir = Settings.model_fields["results_dir"].default

    assert f"install --directory --owner {user} --group {user} {results_dir}" in " ".join(dockerfile("RUN"))


# --- The service beside the worker

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
SERVICES = {
    "generation": ("generation.service", ServiceSettings),
    "doctown": ("doctown.service", RepositoryServiceSettings),
}
EACH_SERVICE = pytest.mark.parametrize("name", SERVICES)


def test_compose_has_both_services() -> None:
    assert COMPOSE.keys() == SERVICES.keys()


@EACH_SERVICE
def test_compose_runs_a_service_from_the_image_of_the_worker(name: str) -> None:
    service = COMPOSE[name]
    assert service["build"] == "."
    assert service["command"] == ["python", "-u", "-m", SERVICES[name][0]]
    assert service["environment"]["OPENAI_API_KEY"] == "${OPENAI_API_KEY:-}", "the exported key, or that of .env"
    assert "user" not in service, "the image's own, which is not root"


@EACH_SERVICE
def test_compose_publishes_the_port_that_it_sets_and_probes(name: str) -> None:
    service, fields = COMPOSE[name], SERVICES[name][1].model_fields
    (published,) = service["ports"]
    port = service["environment"]["PORT"]

    assert port == str(fields["port"].default)
    assert published == f"127.0.0.1:{port}:{port}", "to this machine only: without a token anyone could spend"
    assert service["environment"]["HOST"] == fields["host"].default
    assert f"http://127.0.0.1:{port}/health" in service["healthcheck"]["test"][-1]
    assert port in dockerfile("EXPOSE")[0].split()


@EACH_SERVICE
def test_compose_keeps_results_where_the_image_lets_them_be_written(name: str) -> None:
    (working_dir,) = set(dockerfile("WORKDIR"))

    assert COMPOSE[name]["volumes"] == [f"results:{working_dir}/{Settings.model_fields['results_dir'].default}"]


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_the_probe_of_compose_tells_ready_from_not_ready(status: int, exit_code: int) -> None:
    kind, program, *arguments = COMPOSE["generation"]["healthcheck"]["test"]

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        arguments = [text.replace("8003", str(server.server_port)) for text in arguments]
        ended = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        thread.join()

    assert (kind, program) == ("CMD", "python")
    assert ended.returncode == exit_code


def test_the_example_of_an_environment_has_every_setting_and_no_other() -> None:
    text = (REPOSITORY / ".env.example").read_text()
    entries = re.findall(r"^# (.+)\n(#?)([A-Z0-9_]+)=(.*)$", text, re.MULTILINE)
    fields = {**Settings.model_fields, **ServiceSettings.model_fields, **RunPodSettings.model_fields}

    assert re.findall(r"^#?([A-Z0-9_]+)=", text, re.MULTILINE) == [name.upper() for name in fields]
    assert len(entries) == len(fields)
    for (description, _, name, value), field in zip(entries, fields.values(), strict=True):
        default = field.default.name if isinstance(field.default, Path) else field.default
        expected = "" if default is None or field.is_required() else str(default)
        assert (description, value) == (field.description, expected), name
    assert [name for _, mark, name, _ in entries if not mark] == ["OPENAI_API_KEY", "SERVICE_TOKEN"]


def test_the_example_of_an_environment_is_a_valid_one() -> None:
    text = (REPOSITORY / ".env.example").read_text()
    given = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", text, re.MULTILINE))

    assert ServiceSettings.from_env(given) == ServiceSettings.from_env({})
    assert Settings.from_env({**given, "OPENAI_API_KEY": "sk-test"}).max_concurrent_requests == 10


@pytest.fixture
def stamped_environment(tmp_path: Path) -> Path:
    """A virtual environment that is whole by its stamps, with a Python that prints what it is asked and the model."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", ".made", ".installed"):
        (venv / name).touch()
    python = venv / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$* MODEL_NAME=${MODEL_NAME:-}"\n')
    python.chmod(0o755)
    return venv


@pytest.mark.parametrize(
    ("given", "model"), [({}, "offline"), ({"OPENAI_API_KEY": "k"}, ""), ({"MODEL_NAME": "gpt-4o"}, "gpt-4o")]
)
def test_the_scripts_need_no_make_and_take_over_what_make_has_made(
    stamped_environment: Path, given: dict[str, str], model: str
) -> None:
    """`run.sh` sets up what is missing and starts the service with its arguments, offline where there is no key."""
    environment = {**BARE_ENVIRONMENT, "VENV": str(stamped_environment), "ENV_FILE": "", **given}
    command = [str(REPOSITORY / "run.sh"), "--port", "0"]
    ended = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines() == [
        f"builder/fetch_vocabulary.py vocabulary MODEL_NAME={given.get('MODEL_NAME', '')}",
        f"-u -m generation.service --port 0 MODEL_NAME={model}",
    ]
    assert "make" not in (REPOSITORY / "run.sh").read_text().split("set -eu")[1]


def test_the_set_up_clears_nothing_that_is_no_virtual_environment(tmp_path: Path) -> None:
    environment = {**BARE_ENVIRONMENT, "VENV": str(tmp_path)}
    ended = subprocess.run([REPOSITORY / "setup.sh"], env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert f"{tmp_path} is there and is no virtual environment" in ended.stderr


def test_make_runs_the_service_with_the_same_set_up_as_the_worker() -> None:
    *worker, _ = dry_run("run").splitlines()
    *service, command = dry_run("run-service").splitlines()

    assert service == worker
    assert command.endswith("-u -m generation.service")
    assert "MODEL_NAME=offline" in command


# --- The vocabulary


def fetch(folder: Path, source: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FETCH), "--from", str(source), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_vocabulary_is_the_one_that_tiktoken_asks_for() -> None:
    asked = inspect.getsource(tiktoken_ext.openai_public.o200k_base)

    assert f'"{FETCH_CONSTANTS["URL"]}"' in asked
    assert f'"{FETCH_CONSTANTS["SHA256"]}"' in asked
    assert hashlib.sha1(FETCH_CONSTANTS["URL"].encode(), usedforsecurity=False).hexdigest() == FILE_NAME
    assert f"vocabulary/{FILE_NAME}\n" in (REPOSITORY / "Makefile").read_text()


def test_a_right_vocabulary_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).hardlink_to(VOCABULARY)

    ended = fetch(tmp_path, source=tmp_path / "nothing")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / FILE_NAME).samefile(VOCABULARY)


def test_a_wrong_vocabulary_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(VOCABULARY.read_bytes()[:-1])

    ended = fetch(tmp_path, source=VOCABULARY)

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / FILE_NAME).read_bytes() == VOCABULARY.read_bytes()


@pytest.mark.parametrize("wrong", [b"", VOCABULARY.name.encode(), None], ids=["empty", "other bytes", "no file"])
def test_a_source_with_other_bytes_is_refused_in_a_line_and_nothing_is_left(
    tmp_path: Path, wrong: bytes | None
) -> None:
    source, folder = tmp_path / "source", tmp_path / "vocabulary"
    if wrong is not None:
        source.write_bytes(wrong)

    ended = fetch(folder, source)

    assert ended.returncode == 1
    of_the_source, of_all = ended.stderr.splitlines()
    assert of_the_source.startswith(f"vocabulary: not from {source}: ")
    assert of_all.startswith("vocabulary: none of its sources had it. ")
    assert not folder.exists()


# --- The Hub's files


def test_the_hub_listing_has_what_the_hub_requires() -> None:
    assert {"title", "description", "type", "category", "config"} <= HUB.keys()
    assert (HUB["type"], HUB["category"]) == ("serverless", "language")
    assert HUB["config"]["runsOn"] == "CPU"
    assert re.fullmatch(r"cpu\d[cg]-\d+-\d+", HUB["config"]["cpuFlavor"])
    assert isinstance(HUB["config"]["containerDiskInGb"], int)
    assert all({"name", "type", "description"} <= given.keys() for given in HUB_INPUTS.values())
    assert {given["type"] for given in HUB_INPUTS.values()} <= {"string", "number", "boolean", "huggingface"}


def test_the_hub_offers_every_setting_and_no_other() -> None:
    keys = [entry["key"] for entry in HUB["config"]["env"]]

    assert sorted(keys) == sorted(name.upper() for name in Settings.model_fields)
    assert keys == [*HUB_INPUTS, *HUB_VALUES], "each is either asked for or given"


@pytest.mark.parametrize("key", HUB_INPUTS)
def test_a_setting_has_the_same_default_and_description_on_the_hub(key: str) -> None:
    field, given = Settings.model_fields[key.lower()], HUB_INPUTS[key]
    # Not the default model: what the hub sets would never be replaced when OpenAI shuts it down.
    default = "" if field.default is None or key == "MODEL_NAME" else field.default

    assert given["default"] == (str(default) if isinstance(default, Path) else default)
    kind = "boolean" if isinstance(default, bool) else "number" if isinstance(default, (int, float)) else "string"
    assert given["type"] == kind
    assert given["description"] == field.description


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, option["value"]) for key, given in HUB_INPUTS.items() for option in given.get("options", [])],
)
def test_every_option_that_the_hub_offers_is_taken(key: str, value: str) -> None:
    settings = Settings.from_env({"OPENAI_API_KEY": "sk-test", "MODEL_NAME": "a-model-of-ones-own", key: value})

    assert str(getattr(settings, key.lower()) or "") == value


def test_nothing_is_required_and_no_secret_has_a_value() -> None:
    secrets = {name.upper() for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None}

    assert [key for key, given in HUB_INPUTS.items() if given.get("required")] == [], "offline needs no key"
    assert "OPENAI_API_KEY" in secrets
    assert {HUB_INPUTS[key]["default"] for key in secrets} == {""}


def test_the_hub_tests_run_on_the_listed_machine_with_known_settings() -> None:
    assert HUB_TESTS["config"]["cpuFlavor"] == HUB["config"]["cpuFlavor"]
    assert {entry["key"] for entry in HUB_TESTS["config"]["env"]} <= {name.upper() for name in Settings.model_fields}
    assert all({"name", "input"} <= case.keys() and isinstance(case["timeout"], int) for case in HUB_TESTS["tests"])


def test_the_hub_tests_pass(tmp_path: Path) -> None:
    """Each test of the Hub is answered with 200 and an ended job: all documented, one symbol failed, a plan."""
    settings = {entry["key"]: entry["value"] for entry in HUB_TESTS["config"]["env"]}
    answers = {}
    with running_queue() as queue:
        environment = {**queue.environment(), **settings, "RESULTS_DIR": str(tmp_path)}
        with running_worker(environment):
            for case in HUB_TESTS["tests"]:
                answer = requests.post(f"{queue.url}/runsync", json={"input": case["input"]}, timeout=LIMIT_S)
                answers[case["name"]] = answer.status_code, answer.json()

    assert {(status, job["status"]) for status, job in answers.values()} == {(200, "COMPLETED")}
    outputs = {name: job["output"] for name, (_, job) in answers.items()}
    documented = {name: output.get("documented_count") for name, output in outputs.items()}
    failed = {name: [one["failure"] for one in output["failed_symbols"]] for name, output in outputs.items()}
    assert documented == {
        "two_symbols_offline": 2,
        "one_invalid_symbol_fails_alone": 1,
        "plan_for_a_model_without_running_it": None,
    }
    assert failed == {
        "two_symbols_offline": [],
        "one_invalid_symbol_fails_alone": ["invalid_symbol"],
        "plan_for_a_model_without_running_it": [],
    }


def test_each_preset_of_the_hub_is_a_valid_start() -> None:
    """The trial and an own server run as they are offered; with OpenAI only the key is missing, and asked for."""
    presets = {one["name"]: one["defaults"] for one in HUB["config"]["presets"]}
    page = (REPOSITORY / ".runpod" / "README.md").read_text()
    assert [name for name in presets if f"| {name} |" not in page] == []
    runs = {}
    for name, defaults in presets.items():
        assert set(defaults) <= set(HUB_INPUTS)
        settings = Settings.from_env({key: str(value) for key, value in defaults.items()})
        try:
            settings.require_usable_model()
            runs[name] = settings.model_name
        except ConfigError as error:
            runs[name] = str(error)

    assert runs == {
        "Offline trial: no key, no cost": "offline",
        "OpenAI": "OPENAI_API_KEY must be set, or MODEL_NAME=offline for summaries without a model",
        "Your own OpenAI-compatible server": "NAME_OF_YOUR_MODEL",
    }


def test_the_icon_of_the_hub_is_in_the_repository() -> None:
    address = HUB["iconUrl"].removeprefix("https://raw.githubusercontent.com/YOUR_NAME/doctown/main/")

    assert (REPOSITORY / address).read_text().startswith("<svg ")


# --- The locks and the Makefile


def pins(file_name: str) -> dict[str, str]:
    """Package to version, of a requirements file or a lock."""
    text = (REPOSITORY / file_name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^\s;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_lock_holds_the_pinned_versions(name: str) -> None:
    required, locked = pins(f"{name}.txt"), pins(f"{name}.lock")
    named = re.findall(r"^[a-z][^\s=]*", (REPOSITORY / f"{name}.txt").read_text(), re.MULTILINE)

    assert len(required) == len(named) > 0, "each direct dependency is pinned"
    assert {package: locked.get(package) for package in required} == required


def test_development_is_on_the_versions_that_ship() -> None:
    shipped, developed = pins("requirements.lock"), pins("requirements-dev.lock")

    assert {package: developed.get(package) for package in shipped} == shipped


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_one_version_and_the_hashes_of_each_package_and_names_no_host(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    entries = re.findall(r"^(\S+?)(?:\[\S+\])?==.*((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)*)", text, re.MULTILINE)

    assert len(entries) == len(pins(lock))
    assert [package for package, hashes in entries if not hashes] == []
    assert "://" not in text
    assert "index" not in text


def test_the_tests_do_not_see_the_callers_settings() -> None:
    callers = {
        "OPENAI_API_KEY": "sk-of-the-caller",
        "MODEL_NAME": "m",
        "LOG_LEVEL": "DEBUG",
        "AWS_CA_BUNDLE": "/ca.pem",
    }

    (command,) = [line for line in dry_run("test", **callers).splitlines() if "-m pytest " in line]

    assert {f"-u {name}" for name in callers} <= set(re.findall(r"-u \S+", command))
