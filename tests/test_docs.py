"""The documentation is held to the code: its tables are complete, its examples run, and its links lead somewhere."""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic_core import PydanticUndefined

import generation
from doctown.commands import build as build_command
from doctown.commands import bulk as bulk_command
from doctown.embedding import EmbeddingSettings
from doctown.jobs.output import RepositoryOutput, RepositoryProgressPayload
from doctown.jobs.request import RepositoryInput, RepositoryOptions
from doctown.repository import Limits
from doctown.repository.network import DEFAULT_GIT_HOSTS
from doctown.service.settings import RepositoryServiceSettings
from generation.bulk.__main__ import parser
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.checks import HARD
from generation.config import ServiceSettings, Settings
from generation.domain import catalogue as models
from generation.domain.context import CONTEXT_FIELDS
from generation.domain.outcome import Documented, Failed
from generation.domain.usage import Usage
from generation.intake.job_input import JobInput, JobOptions
from generation.reporting import events
from generation.results.report import Report, Totals
from tests.support.jobs import run_job_to_dict
from tests.test_architecture import MAY_IMPORT

REPOSITORY = Path(__file__).resolve().parent.parent
MAX_README_BYTES = 12 * 1024
PACKAGES = [name for name in ("generation", "doctown") if (REPOSITORY / name).is_dir()]


def page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md")))
}


def tables(name: str, first_header: str) -> list[list[str]]:
    """The rows of all tables of a page whose first column is headed so."""
    rows, inside = [], False
    for line in page(name).splitlines():
        inside = line.startswith("|") and (inside or line.startswith(f"| {first_header} |"))
        if inside:
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    found = [row for row in rows if row[0] != first_header and set(row[0]) != {"-"}]
    assert found, f"{name} has a table of each {first_header}"
    return found


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def names(name: str, first_header: str) -> list[str]:
    """What the first column of these tables names."""
    return [one for row in tables(name, first_header) for one in named(row[0])]


def test_the_readme_is_short() -> None:
    """The README has 12 KB at most: what is longer has a page of its own."""
    assert len(page("README.md").encode()) <= MAX_README_BYTES


def test_the_readme_links_every_page() -> None:
    """Each page of docs/ can be found from the README."""
    assert [name for name in PAGES if name.startswith("docs/") and f"({name})" not in page("README.md")] == []


def check_links(*folder: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "builder/check_links.py", *folder]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_every_link_leads_somewhere() -> None:
    """Each relative link of each Markdown file leads to a file, and to a heading where it names one."""
    checked = check_links()

    assert (checked.stdout, checked.stderr, checked.returncode) == ("", "", 0)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A missing file or heading is reported with its place; code, the web and what exists are not."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(
        "# Rate limits (429)\n\n## `make` it\n\n## `make` it\n\n[up](../README.md)\n"
    )
    (tmp_path / "README.md").write_text(
        "# A title\n"
        "[a](docs/page.md#rate-limits-429) ![b](docs/none.png) [c](docs/page.md#rate-limits)\n"
        "[web](https://example.com/none) [folder](docs) [self](#a-title) `[code](none.md)`\n"
        "```\n[fenced](none.md)\n```\n\n    [indented](none.md)\n\n"
        "- item\n\n    [in an item](none.md) [twice](docs/page.md#make-it-1) [thrice](docs/page.md#make-it-2)\n\n"
        "[absolute](/docs/page.md) [ignored](made.txt)\n\n[reference]: docs/gone.md\n"
    )
    (tmp_path / ".gitignore").write_text("made.txt\n")
    (tmp_path / "made.txt").touch()
    # Git's own variables, as a hook of git sets them, would have it look at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], env=environment, check=True)

    checked = check_links(str(tmp_path))

    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [
        "README.md:2: docs/none.png does not exist",
        "README.md:2: docs/page.md#rate-limits has no such heading in docs/page.md",
        "README.md:12: none.md does not exist",
        "README.md:12: docs/page.md#make-it-2 has no such heading in docs/page.md",
        "README.md:14: /docs/page.md is absolute: give the path from the file",
        "README.md:14: made.txt does not exist",
        "README.md:16: docs/gone.md does not exist",
    ]


INPUT_AND_OUTPUT = "docs/input-and-output.md"
ARCHITECTURE = "docs/architecture.md"


@pytest.mark.parametrize(("header", "kind"), [("setting", Settings), ("service setting", ServiceSettings)])
def test_every_setting_is_in_its_table_with_its_default_and_meaning(
    header: str, kind: type[Settings | ServiceSettings]
) -> None:
    """The tables of settings have each setting of the code, in its order, with its default and its description."""
    rows = [(named(name)[0], named(default), meaning) for name, default, meaning in tables("docs/settings.md", header)]
    expected = []
    for name, field in kind.model_fields.items():
        default = field.default.name if isinstance(field.default, Path) else field.default
        expected.append((name.upper(), [] if default in {None, ""} else [str(default)], field.description))
    assert rows == expected


def test_every_setting_of_bulk_runs_is_in_its_table_with_its_default() -> None:
    """The table of bulk settings has each of them, in order, with its default."""
    rows = [(named(name)[0], named(default)) for name, default, _ in tables("docs/settings.md", "bulk setting")]
    fields = RunPodSettings.model_fields
    assert rows == [
        (name.upper(), [] if field.default is PydanticUndefined else [field.default]) for name, field in fields.items()
    ]


def test_every_option_of_the_bulk_command_is_in_its_table() -> None:
    """The table of `run`'s options has exactly those of the command."""
    commands: Any = next(action for action in parser()._actions if action.dest == "command")
    run = commands.choices["run"]
    options = {text for action in run._actions for text in action.option_strings if text.startswith("--")}
    assert {name.split()[0] for name in names("docs/bulk.md", "option of `run`")} == options - {"--help"}


def test_every_option_of_a_build_is_in_its_table() -> None:
    """The table of `build`'s options names exactly those of the command."""
    build = argparse.ArgumentParser()
    build_command.add_arguments(build)
    options = {text for action in build._actions for text in action.option_strings}
    rows = tables("docs/builds.md", "option of `build`")
    assert set(re.findall(r"--[a-z-]+", " ".join(map(str, rows)))) == options - {"-h", "--help"}


def test_every_setting_of_builds_is_in_its_table_with_its_default() -> None:
    """The table of build settings has each limit of fetching, the embedding model, and both tokens, as the code has."""
    limits, embedding = Limits(), EmbeddingSettings()
    defaults = {
        "FETCH_MAX_BYTES": str(limits.max_bytes),
        "FETCH_MAX_FILES": str(limits.max_files),
        "FETCH_TIMEOUT_S": f"{limits.timeout_s:g}",
        "GITHUB_TOKEN": "",
        "GIT_TOKEN": "",
        "EMBEDDING_MODEL_PATH": str(embedding.model_path.relative_to(REPOSITORY))
        if embedding.model_path.is_absolute()
        else str(embedding.model_path),
        "EMBEDDING_PROVIDER": embedding.provider,
    }
    rows = tables("docs/settings.md", "build setting")
    assert {named(name)[0]: "".join(named(default)) for name, default, _ in rows} == defaults


def test_every_setting_of_the_service_for_repositories_is_in_its_table() -> None:
    """The table has what this service reads beside the settings of the worker's, with its default and its meaning."""
    rows = tables("docs/settings.md", "setting of the service for repositories")
    own = {
        name.upper(): (str(field.default), field.description)
        for name, field in RepositoryServiceSettings.model_fields.items()
        if name not in ServiceSettings.model_fields
    }
    assert {named(name)[0]: (named(default)[0], meaning) for name, default, meaning in rows} == own


def test_every_setting_of_services_that_fetch_is_in_its_table_with_its_default() -> None:
    """The table of what restricts fetching has both settings, with the default hosts."""
    rows = tables("docs/settings.md", "setting of services that fetch")
    defaults = {"GIT_HOSTS": ",".join(DEFAULT_GIT_HOSTS), "GIT_PRIVATE_NETWORKS": ""}
    assert {named(name)[0]: "".join(named(default)) for name, default, _ in rows} == defaults


def test_every_option_and_input_key_is_in_its_table() -> None:
    """The tables of the input's keys, of options and of context fields name exactly those of the code."""
    assert names(INPUT_AND_OUTPUT, "key") == list(JobInput.model_fields)
    assert names(INPUT_AND_OUTPUT, "option") == list(JobOptions.model_fields)
    assert set(names(INPUT_AND_OUTPUT, "field")) == CONTEXT_FIELDS


def test_every_option_of_a_run_over_repositories_is_in_its_table() -> None:
    """The table of `bulk`'s options names exactly those of the command."""
    bulk = argparse.ArgumentParser()
    bulk_command.add_arguments(bulk)
    options = {text for action in bulk._actions for text in action.option_strings}
    named_options = {name.split()[0] for name in names("docs/repositories.md", "option of `bulk`")}
    assert named_options == options - {"-h", "--help"}


def test_every_key_of_a_repository_job_is_in_its_table() -> None:
    """The page of repository jobs has each key of the input, option, output and progress of the code."""
    page_name = "docs/repositories.md"
    assert names(page_name, "key of a repository job") == list(RepositoryInput.model_fields)
    options = set(RepositoryOptions.model_fields) - set(JobOptions.model_fields)
    assert set(names(page_name, "option of a repository job")) == options
    output = get_type_hints(RepositoryOutput)
    assert set(names(page_name, "key of the output of a repository job")) == set(output)
    progress = get_type_hints(RepositoryProgressPayload)
    assert set(names(page_name, "key of the progress of a repository job")) == set(progress)


def test_the_defaults_of_options_are_the_settings_of_the_same_name() -> None:
    """Each option names as its default the setting whose place it takes."""
    for name, _, default in tables(INPUT_AND_OUTPUT, "option"):
        if named(name)[0] in {"renew", "dry_run"}:  # of one job, and no setting
            continue
        setting = "MODEL_NAME" if named(name) == ["model"] else named(name)[0].upper()
        assert named(default) == [setting]
        assert setting.lower() in Settings.model_fields


def test_every_event_is_in_its_table_with_its_payload() -> None:
    """The table of events has each event's type with the keys of its payload."""
    totals = Totals(1, 0, 1, 2, 0.1, 3)
    all_events = [
        events.started("j", 1, 2),
        events.of_outcome("j", Documented(0, "s", "Summary.")),
        events.of_outcome("j", Failed(0, "s", None, "refused", "no")),
        events.completed("j", "success", totals, []),
    ]
    assert {named(name)[0]: named(payload) for name, payload in tables(INPUT_AND_OUTPUT, "event")} == {
        event.type: list(event.payload) for event in all_events
    }


def failure_codes() -> set[str]:
    """Every code that the source gives a failure: as `failure=`, as a class's own, or in its place of a call."""
    codes = set()
    services = (REPOSITORY / "doctown" / "service").glob("*.py")
    doors = [REPOSITORY / "handler.py", REPOSITORY / "doctown/errors.py", *services]
    for path in [*doors, *(REPOSITORY / "generation").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            codes |= set(_codes_in(node))
    return codes - {"job_failed", "request_failed", "rejected", "rate_limited"}


PLACES = {"AccountError": 1, "InputError": 1, "JobError": 1, "Stopped": 1, "Failed": 3}


def _codes_in(node: ast.AST) -> list[str]:
    found: list[ast.expr | None] = []
    if isinstance(node, ast.Call):
        found += [keyword.value for keyword in node.keywords if keyword.arg == "failure"]
        place = PLACES.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if place is not None and len(node.args) > place:
            found.append(node.args[place])
    elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] in (
        ["failure"],
        ["SHARD_FAILED"],
    ):
        found.append(node.value)
    elif isinstance(node, ast.Dict):
        found += [value for key, value in zip(node.keys, node.values, strict=True) if _is(key, "failure")]
    return [one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def _is(key: ast.expr | None, text: str) -> bool:
    return isinstance(key, ast.Constant) and key.value == text


def test_every_failure_code_is_in_its_table() -> None:
    """The table of failures names exactly the codes under which a symbol or a job can fail."""
    assert sorted(names("docs/failures.md", "`failure`")) == sorted(failure_codes())


def test_the_failures_of_http_statuses_are_in_the_table_of_failures() -> None:
    """Each code that the service's table of statuses shows is explained among the failures."""
    shown = {code for row in tables("docs/service.md", "status") for code in named(row[1])}
    assert shown <= set(names("docs/failures.md", "`failure`"))


def test_the_hard_checks_are_those_of_the_table() -> None:
    """The table of checks marks as hard what the code asks about once more."""
    rows = tables(INPUT_AND_OUTPUT, "check")
    assert {named(name)[0] for name, weight, _ in rows if weight == "hard"} == HARD
    assert {weight for _, weight, _ in rows} == {"hard", "soft"}


def test_every_model_is_in_its_table_with_its_prices_and_end() -> None:
    """The table of models has each model of the catalogue, its prices, its context and its shutdown date."""
    rows = {named(row[0])[0]: row[1:] for row in tables("docs/settings.md", "model")}
    listed = {name: model for name, model in models._CATALOGUE.items() if name != models.OFFLINE}
    assert list(rows) == list(listed)
    for name, (prices, context, note) in rows.items():
        model, pricing = listed[name], listed[name].pricing
        shown = [float(price) for price in prices.split(" / ")]
        assert shown == [pricing.input_per_1m, pricing.cached_input_per_1m, pricing.output_per_1m]
        assert context == f"{model.context_tokens:,}"
        assert note == (
            f"shuts down on {model.shutdown_date}: use `{model.replacement}`" if model.shutdown_date else ""
        )


def test_every_module_is_in_its_table() -> None:
    """docs/architecture.md has exactly one row for each module of each package, and for the handler."""
    modules = [
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
        if path.stem != "__init__"
    ]
    assert sorted(names(ARCHITECTURE, "module")) == sorted([*modules, "handler.py"])


def test_every_file_is_in_a_table() -> None:
    """docs/architecture.md names everything at the top of the repository, and nothing that is not there."""
    rows = [*names(ARCHITECTURE, "module"), *names(ARCHITECTURE, "path")]
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    tops = {line.split("/")[0] for line in tracked.splitlines()}
    covered = {name.split("/")[0] for name in rows}
    assert sorted(top for top in tops if not any(Path(top).match(pattern) for pattern in covered)) == []
    assert [name for name in rows if not list(REPOSITORY.glob(name.rstrip("/")))] == []


def test_the_table_of_imports_is_the_one_that_is_tested() -> None:
    """docs/architecture.md shows what each part may import as tests/test_architecture.py holds it."""
    rows = {
        name.removeprefix("generation/").rstrip("/").removesuffix(".py"): set(named(may))
        for row in tables(ARCHITECTURE, "package or module")
        for name, may in [(named(row[0])[0], row[2])]
    }
    assert rows == MAY_IMPORT


def test_the_public_api_is_in_its_table() -> None:
    """docs/architecture.md has each public name of the package."""
    assert sorted(names(ARCHITECTURE, "public name")) == sorted(generation.__all__)


def test_the_example_of_the_public_api_runs(tmp_path: Path) -> None:
    """The Python example of docs/architecture.md documents its symbol, offline."""
    (example,) = re.findall(r"```python\n(.*?)```", page(ARCHITECTURE), re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "Slugify: a python function that takes title."


def json_example(name: str, key: str) -> dict[str, Any]:
    """The first JSON example of a page that has this key at its top."""
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page(name), re.DOTALL)]
    return next(example for example in examples if key in example)


@pytest.mark.parametrize("name", ["README.md", "docs/input-and-output.md"])
def test_the_example_of_an_input_runs(name: str, tmp_path: Path) -> None:
    """The job that a page shows is documented, offline."""
    settings = Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path)})
    job = json_example(name, "input")["input"]
    output = asyncio.run(run_job_to_dict(job, settings, default_job_id="job", emit=lambda _: None))

    assert output["status"] == "success"


def test_the_output_has_the_keys_of_the_example(tmp_path: Path) -> None:
    """The output of the documented job has the keys that the example of an output shows, in their order."""
    settings = Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path)})
    output = asyncio.run(
        run_job_to_dict(
            json_example(INPUT_AND_OUTPUT, "input")["input"], settings, default_job_id="job", emit=lambda _: None
        )
    )
    shown = json_example(INPUT_AND_OUTPUT, "documented_symbols")
    assert list(output) == list(shown)
    for key in ("usage", "pricing", "results"):
        assert list(output[key]) == list(shown[key])
    assert list(output["documented_symbols"][0]) == list(shown["documented_symbols"][0])


def test_the_example_of_a_cost_is_what_the_code_computes() -> None:
    """The example of an output costs what its tokens cost at its prices."""
    shown = json_example(INPUT_AND_OUTPUT, "documented_symbols")
    report = Report("job", Settings.from_env({"OPENAI_API_KEY": "key"}), 1)
    report.add(Documented(0, "s", "Summary.", Usage(**shown["usage"])))
    assert report.totals.total_cost == shown["total_cost"]
    assert report.totals.total_tokens == shown["total_tokens"]


def test_the_example_of_a_dry_run_has_the_keys_of_one() -> None:
    """The plan of a dry run has the keys that the example shows, in their order."""
    shown = json_example(INPUT_AND_OUTPUT, "plan")
    job = {**json_example(INPUT_AND_OUTPUT, "input")["input"], "options": {"dry_run": True}}
    settings = Settings.from_env({"MODEL_NAME": "offline"})
    output = asyncio.run(run_job_to_dict(job, settings, default_job_id="job", emit=lambda _: None))

    assert list(output) == list(shown)
    assert list(output["plan"]) == list(shown["plan"])


TARGETS = re.findall(r"^([a-z-]+):.*## ", page("Makefile"), re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    """Whatever a page says to make, the Makefile makes."""
    said = set(re.findall(r"(?:`|^ {4}.*)make ([a-z-]+)", PAGES[name], re.MULTILINE))
    assert sorted(said - set(TARGETS)) == []


def test_every_make_target_is_documented() -> None:
    """The pages name each target of the Makefile, but for the help itself."""
    assert [one for one in TARGETS if one != "help" and f"`make {one}`" not in page("docs/development.md")] == []


def test_the_table_of_benchmarks_is_the_one_that_was_measured() -> None:
    """docs/benchmarks.md shows the results of the last whole run of `make bench`, to the letter."""
    shown = page("docs/benchmarks.md").split("<!-- benchmarks/results.md -->\n")[1].split("<!-- end -->")[0]
    assert shown.strip() == page("benchmarks/results.md").strip()
