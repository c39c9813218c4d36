"""The README is held to the code: its tables of settings, options, events, failures, models and files are complete."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from generation.config import ServiceSettings, Settings
from generation.domain import catalogue as models
from generation.domain.context import CONTEXT_FIELDS
from generation.domain.outcome import Documented, Failed
from generation.domain.usage import Usage
from generation.intake.job_input import JobInput, JobOptions
from generation.reporting import events
from generation.results.report import Report, Totals
from tests.support.jobs import run_job_to_dict

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def table(first_header: str) -> list[list[str]]:
    """The rows of the table whose first column is headed so, without the backticks."""
    lines = README.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize(("header", "kind"), [("setting", Settings), ("service setting", ServiceSettings)])
def test_every_setting_is_in_its_table_with_its_default_and_meaning(
    header: str, kind: type[Settings | ServiceSettings]
) -> None:
    """The tables of settings have each setting of the code, in its order, with its default and its description."""
    rows = [(named(name)[0], named(default), meaning) for name, default, meaning in table(header)]
    expected = []
    for name, field in kind.model_fields.items():
        default = field.default.name if isinstance(field.default, Path) else field.default
        expected.append((name.upper(), [] if default in {None, ""} else [str(default)], field.description))
    assert rows == expected


def test_every_option_and_input_key_is_in_its_table() -> None:
    """The tables of the input's keys, of options and of context fields name exactly those of the code."""
    assert [name for row in table("key") for name in named(row[0])] == list(JobInput.model_fields)
    assert [name for row in table("option") for name in named(row[0])] == list(JobOptions.model_fields)
    assert {name for row in table("field") for name in named(row[0])} == CONTEXT_FIELDS


def test_the_defaults_of_options_are_the_settings_of_the_same_name() -> None:
    """Each option names as its default the setting whose place it takes."""
    for name, _, default in table("option"):
        if named(name) == ["dry_run"]:  # a question about one job, and no setting
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
    assert {named(name)[0]: named(payload) for name, payload in table("event")} == {
        event.type: list(event.payload) for event in all_events
    }


def failure_codes() -> set[str]:
    """Every code that the source gives a failure: as `failure=`, as a class's own, or in its place of a call."""
    codes = set()
    for path in [REPOSITORY / "handler.py", *(REPOSITORY / "generation").rglob("*.py")]:
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
    assert {code for row in table("`failure`") for code in named(row[0])} == failure_codes()


def test_every_model_is_in_its_table_with_its_prices_and_end() -> None:
    """The table of models has each model of the catalogue, its prices, its context and its shutdown date."""
    rows = {named(row[0])[0]: row[1:] for row in table("model")}
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


def test_every_file_is_in_its_table() -> None:
    """The table of files has a row for each module of the worker and for everything at the top of the repository."""
    rows = [name for row in table("file") for name in named(row[0])]
    modules = [
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "generation").rglob("*.py")
        if path.stem != "__init__"
    ]
    assert sorted(row for row in rows if row.startswith("generation/")) == sorted(modules)
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    tops = {line.split("/")[0] for line in tracked.splitlines()} - {
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        ".gitignore",
    }
    covered = {name.split("/")[0] for name in rows}
    missing = {top for top in tops if not any(Path(top).match(pattern) for pattern in covered)}
    assert not missing
    assert all(list(REPOSITORY.glob(name.rstrip("/"))) for name in rows)


def readme_json(key: str) -> dict[str, Any]:
    """The JSON example of the README that has this key at its top."""
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
    return next(example for example in examples if key in example)


def test_the_example_of_the_input_runs_and_gives_the_keys_of_the_example_of_the_output(tmp_path: Path) -> None:
    """The README's job is documented, offline, and its output has the keys that the README shows, in their order."""
    settings = Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path)})
    output = asyncio.run(
        run_job_to_dict(readme_json("input")["input"], settings, default_job_id="job", emit=lambda _: None)
    )
    shown = readme_json("documented_symbols")
    assert output["status"] == "success"
    assert list(output) == list(shown)
    for key in ("usage", "pricing", "results"):
        assert list(output[key]) == list(shown[key])
    assert list(output["documented_symbols"][0]) == list(shown["documented_symbols"][0])


def test_the_example_of_a_cost_is_what_the_code_computes() -> None:
    """The README's example of an output costs what its tokens cost at its prices."""
    shown = readme_json("documented_symbols")
    report = Report("job", Settings.from_env({"OPENAI_API_KEY": "key"}), 1)
    report.add(Documented(0, "s", "Summary.", Usage(**shown["usage"])))
    assert report.totals.total_cost == shown["total_cost"]
    assert report.totals.total_tokens == shown["total_tokens"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"(?:`|^ {4}.*)make ([a-z-]+)", README, re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(command: str) -> None:
    """Whatever the README tells to make, the Makefile makes."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_the_map_of_the_rooms_has_them_all() -> None:
    """docs/ARCHITECTURE.md has a row for each module."""
    architecture = (REPOSITORY / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for path in (REPOSITORY / "generation").rglob("*.py"):
        assert path.stem == "__init__" or f"| `{path.relative_to(REPOSITORY)}` |" in architecture


def test_the_table_of_benchmarks_is_the_one_that_was_measured() -> None:
    """The README shows the results of the last whole run of `make bench`, to the letter."""
    measured = (REPOSITORY / "benchmarks" / "results.md").read_text(encoding="utf-8")
    shown = README.split("<!-- benchmarks/results.md -->\n")[1].split("<!-- end -->")[0]
    assert shown.strip() == measured.strip()
