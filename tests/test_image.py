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
    return [source.rstrip("/") for line in dockerfile("COPY") for source in line.split()[:-1]]


def builder_steps(commands: str) -> set[tuple[str, str]]:
    """The builder's scripts in these commands, each with its last argument: the lock, or the vocabulary's folder."""
    steps = re.findall(r"builder/(\S+) (.+)$", commands, re.MULTILINE)
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


def test_the_worker_and_all_its_code_are_copied() -> None:
    assert {"handler.py", "generation", "doctown", "test_input.json"} <= set(copied())


def test_every_step_of_the_build_is_a_copied_script_that_make_runs_with_the_same_argument() -> None:
    in_image = builder_steps("\n".join(dockerfile("RUN")))

    assert in_image == {
        ("install_dependencies.sh", "requirements.lock"),
        ("fetch_vocabulary.py", "vocabulary"),
        ("fetch_embedding_model.py", "models/minilm-l6"),
    }
    assert {f"builder/{script}" for script, _ in in_image} <= set(copied())
    assert "requirements.lock" in copied()
    # What documents symbols needs no embedding model; what builds packs does, and `make setup` fetches it.
    of_builds = {("fetch_embedding_model.py", "models/minilm-l6")}
    assert in_image - of_builds == builder_steps(dry_run("run"))
    assert of_builds <= builder_steps(dry_run("setup"))


def test_the_container_starts_python_itself_on_the_handler() -> None:
    (command,) = dockerfile("CMD")

    assert json.loads(command) == ["python", "-u", "handler.py"]
    assert dockerfile("ENTRYPOINT", "SHELL") == []


def test_the_image_is_for_runpods_machines_from_a_pinned_python_without_root() -> None:
    (base,) = dockerfile("FROM")

    assert re.fullmatch(r"--platform=linux/amd64 python:3\.12\.\d+-slim-[a-z]+", base)
    assert dockerfile("USER")[-1] not in {"root", "0"}
    assert "ca-certificates" in " ".join(dockerfile("RUN"))


def test_the_image_looks_for_the_vocabulary_where_the_build_puts_it() -> None:
    variables = dict(assignment.split("=", 1) for line in dockerfile("ENV") for assignment in shlex.split(line))
    (working_dir,) = dockerfile("WORKDIR")

    assert variables["TIKTOKEN_CACHE_DIR"] == HUB_VALUES["TIKTOKEN_CACHE_DIR"] == f"{working_dir}/vocabulary"
    assert variables["PYTHONUNBUFFERED"] == "1"
    assert variables["RUNPOD_LOG_LEVEL"] == "INFO"


def test_results_can_be_written_by_the_user_of_the_image() -> None:
    user = dockerfile("USER")[-1]
    results_dir = Settings.model_fields["results_dir"].default

    assert f"install --directory --owner {user} --group {user} {results_dir}" in " ".join(dockerfile("RUN"))


# --- The service beside the worker

(COMPOSE,) = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"].values()


def test_compose_runs_the_service_from_the_image_of_the_worker() -> None:
    assert COMPOSE["build"] == "."
    assert COMPOSE["command"] == ["python", "-u", "-m", "generation.service"]
    assert "user" not in COMPOSE, "the image's own, which is not root"


def test_compose_publishes_the_port_that_it_sets_and_probes() -> None:
    (published,) = COMPOSE["ports"]
    port = COMPOSE["environment"]["PORT"]

    assert port == str(ServiceSettings.model_fields["port"].default)
    assert published == f"127.0.0.1:{port}:{port}", "to this machine only: without a token anyone could spend"
    assert COMPOSE["environment"]["HOST"] == ServiceSettings.model_fields["host"].default
    assert f"http://127.0.0.1:{port}/health" in COMPOSE["healthcheck"]["test"][-1]


def test_compose_keeps_results_where_the_image_lets_them_be_written() -> None:
    (working_dir,) = dockerfile("WORKDIR")

    assert COMPOSE["volumes"] == [f"results:{working_dir}/{Settings.model_fields['results_dir'].default}"]


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_the_probe_of_compose_tells_ready_from_not_ready(status: int, exit_code: int) -> None:
    kind, program, *arguments = COMPOSE["healthcheck"]["test"]

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
