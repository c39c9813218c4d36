"""`pip install .`: the wheel has all that its commands need, and they run where there is no checkout.

The wheel is built from a copy of the files that it is made of, by the real pip and setuptools, and installed into an
environment of its own without resolution; the packages it depends on are those of the running environment. Left out:
that a registry has these packages, which is not the project's to hold.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from doctown.__main__ import main as doctown
from doctown.docpack import open_pack
from doctown.site.write import ASSETS
from generation.bulk.__main__ import parser as bulk_parser
from tests.doctown.test_analysis import write
from tests.loopback.openai import Behaviour, running

REPOSITORY = Path(__file__).resolve().parent.parent
# What Node's packages bring along beside the sources of the viewer.
BYSTANDER = "doctown/site/viewer/node_modules/gyp/pylib/gyp.py"
OFFLINE_PIP = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder that is no checkout."""

    environment: Path
    folder: Path

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one of the commands as a user who has set nothing."""
        own = {"PATH": f"{self.environment / 'bin'}:{os.environ['PATH']}", "HOME": str(self.folder), **environ}
        return subprocess.run(command, cwd=self.folder, env=own, capture_output=True, text=True, check=False)


def copy_of_sources(folder: Path) -> Path:
    """Copy what the wheel is made of: a build leaves files beside its sources."""
    for name in ("generation", "doctown", "builder", "vocabulary", "models"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    (folder / BYSTANDER).parent.mkdir(parents=True)
    (folder / BYSTANDER).write_text("")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("package")
    (root / "sources").mkdir()
    pip = [sys.executable, "-m", "pip"]
    build = ["wheel", *OFFLINE_PIP, "--no-build-isolation", "--wheel-dir", str(root), "."]
    subprocess.run([*pip, *build], cwd=copy_of_sources(root / "sources"), check=True)
    environment = root / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    (wheel,) = root.glob("*.whl")
    install = ["--python", str(python), "install", *OFFLINE_PIP, "--no-compile", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    (root / "elsewhere").mkdir()
    return Installed(environment, root / "elsewhere")


def test_the_commands_run_where_there_is_no_checkout(installed: Installed) -> None:
    """Both commands say their version, and a repository in two languages becomes a pack with vectors of the model."""
    for name in ("doctown", "doctown-bulk"):
        ended = installed.run(name, "--version")
        assert (ended.returncode, ended.stdout.split()[0], ended.stderr) == (0, name, "")
    write(
        installed.folder / "project",
        {
            "app.py": 'def greet(name):\n    """Greet a person."""\n    return name\n',
            "web.ts": "export function show(text: string): void { console.log(text); }\n",
        },
    )
    ended = installed.run("doctown", "build", "project")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "next: doctown show output/project.docpack" in ended.stdout
    pack = open_pack(installed.folder / "output" / "project.docpack")
    assert (pack.manifest["counts"]["documented"], pack.manifest["warnings"]) == (2, [])
    assert pack.manifest["embeddings"] is not None
    check_site(installed)
    check_hook_and_action(installed)


def check_site(installed: Installed) -> None:
    """The viewer that is in the wheel is that of the checkout, and comes without what it was built from."""
    ended = installed.run("doctown", "site", "output/project.docpack", "site")
    assert (ended.returncode, ended.stderr) == (0, "")
    assets = REPOSITORY / "doctown" / "site" / "assets"
    for name in ASSETS:
        assert (installed.folder / "site" / name).read_bytes() == (assets / name).read_bytes()
    (package,) = installed.environment.glob("lib/python*/site-packages/doctown/site")
    assert not (package / "viewer").exists()


def check_hook_and_action(installed: Installed) -> None:
    """What GitHub would run ends with 0 for the pack that fits, and what pre-commit would run with 3 after a change."""
    given = {"PACK": "output/project.docpack", "SOURCE": "project", "MAX_STALE": "0"}
    step = yaml.safe_load((REPOSITORY / "action.yml").read_text())["runs"]["steps"][-1]
    assert step["env"].keys() == given.keys()
    assert installed.run("bash", "-c", step["run"], **given).returncode == 0
    write(installed.folder / "project", {"app.py": "def greet(name):\n    return name.title()\n"})
    (hook,) = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    assert installed.run(*hook["entry"].split(), given["PACK"], given["SOURCE"]).returncode == 3


def test_a_summary_is_bought_with_the_vocabulary_of_the_wheel(installed: Installed) -> None:
    """With a key and a model and nothing else set, prompts are counted by the vocabulary that came with the wheel."""
    write(installed.folder / "small", {"app.py": "def greet(name):\n    return name\n"})
    with running(Behaviour(marker=r"(?m)^Name: (.+)$", count_by="characters")) as server:
        key = {"OPENAI_API_KEY": "sk-loopback", "OPENAI_BASE_URL": server.base_url, "MODEL_NAME": "gpt-6-luna"}
        ended = installed.run("doctown", "build", "small", "--embeddings", "none", **key)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert server.bill()["bought"] == {"greet": 1}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shell gets a script that knows the subcommands; bash can read its own."""
    for parse, command in ((lambda words: doctown(words, {}), "build-llm"), (bulk_parser().parse_args, "resume")):
        with pytest.raises(SystemExit):
            parse(["--print-completion", shell])
        script = capsys.readouterr().out
        assert command in script
        if shell == "bash":
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_packages_that_the_wheel_asks_for_are_those_of_the_lock(installed: Installed) -> None:
    """Each requirement of the wheel is met by the environment in which all tests run."""
    (packages,) = installed.environment.glob("lib/python*/site-packages")
    (wheel,) = distributions(name="doctown", path=[str(packages)])
    here = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in distributions()}
    required = [Requirement(text) for text in wheel.requires or ()]
    needed = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert len(needed) > 30
    assert [str(one) for one in needed if not one.specifier.contains(here.get(one.name, "0"))] == []
    assert {str(one.marker) for one in required} - {"None"} == {'extra == "cuda"', 'extra == "mcp"'}
