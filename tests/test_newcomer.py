"""The commands of `newcomer.txt` do in fresh clones what stands there; the README has no command that is not there.

Each part of the list runs in a clone of its own: this working tree without what git ignores, with the environment and
the files that `make setup` has fetched. Two parts run at once. Servers listen on free ports instead of their own,
RunPod is its local copy, OpenAI the loopback server, and everything else on the network cannot be reached.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loopback.openai import Behaviour
from tests.loopback.openai import running as running_openai
from tests.loopback.queue import running_queue
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT, running_process, running_worker
from tests.test_typescript_client import MISSING as NODE_MISSING
from tests.test_typescript_client import install

LIST = (REPOSITORY_ROOT / "tests" / "newcomer.txt").read_text(encoding="utf-8")
README = (REPOSITORY_ROOT / "README.md").read_text(encoding="utf-8")
QUICKSTART = (REPOSITORY_ROOT / "QUICKSTART.md").read_text(encoding="utf-8")
PROJECT = {
    "text.py": 'def slugify(title):\n    """Return the title as a part of an address."""\n    return title.lower()\n',
    "page.py": "from text import slugify\n\n\ndef publish(title):\n    return slugify(title)\n",
}
PARTS_AT_ONCE = 2
FETCHED = ("vocabulary", "models")


@dataclass(frozen=True)
class Step:
    """A command and what it is to do; `lines` are patterns, the first one of the first line."""

    command: str
    lines: tuple[str, ...]
    code: int

    @property
    def is_left_running(self) -> bool:
        return self.command.endswith(" &")


def steps_of(part: str) -> list[Step]:
    """The commands of a part."""
    steps = []
    for block in re.split(r"^\$ ", part, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\n)(?:\s+\S.*\n)*", block)
        assert command is not None
        rest = block[command.end() :]
        first, others = (re.findall(rf"^{mark} (.*)$", rest, re.MULTILINE) for mark in (r"\|", "~"))
        code = re.findall(r"^\? (\d+)$", rest, re.MULTILINE)
        assert len(first) <= 1
        # Where only other lines are given, the first one may be any.
        lines = (*(first or ["…"] * bool(others)), *others)
        steps.append(Step(command[0].rstrip(), lines, int("".join(code) or 0)))
    return steps


PARTS = {part.splitlines()[0]: steps_of(part) for part in re.split(r"^## ", LIST, flags=re.MULTILINE)[1:]}


def fence(page: str, language: str) -> str:
    """The first code block of a page in this language."""
    found = re.search(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def clone(folder: Path) -> None:
    """Make a fresh clone whose set-up is done."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    listed = subprocess.run(command, cwd=REPOSITORY_ROOT, env=environment, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        source, target = REPOSITORY_ROOT / name, folder / name
        if source.is_file() and not source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)  # with its time: to make, what is older than the stamps is done
    for name in FETCHED:
        (folder / name).symlink_to(REPOSITORY_ROOT / name)
    (folder / "symbols.json").write_text(fence(README, "json"))
    (folder / "call_runpod.py").write_text(fence((folder / "docs" / "deployment.md").read_text(), "python"))
    # No link to the environment of these tests: `make` would clear it where a lock is newer than its stamps.
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for name in ("pyvenv.cfg", ".made", ".installed", ".installed-dev"):
        (folder / ".venv" / name).touch()


class Shell:
    """A newcomer's shell in a clone."""

    def __init__(self, folder: Path, openai_url: str, stack: ExitStack) -> None:
        self._clone, self._stack = folder / "doctown", stack
        (folder / "home").mkdir(parents=True)
        clone(self._clone)
        (folder / "my-repository").mkdir()
        for name, text in PROJECT.items():
            (folder / "my-repository" / name).write_text(text)
        service, endpoint = free_port(), free_port()
        self._names = {
            "https://api.runpod.ai/v2/ENDPOINT_ID": f"http://127.0.0.1:{endpoint}/v2/ep",
            "https://api.runpod.ai/v2": f"http://127.0.0.1:{endpoint}/v2",
            "localhost:8003": f"127.0.0.1:{service}",
            "localhost:3000": f"127.0.0.1:{service}",
            "0.0.0.0:3000": f"0.0.0.0:{service}",
            "8003": str(service),
            "8004": str(endpoint),
        }
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "COLUMNS": "80",
            "PYTHON": sys.executable,  # the set-up looks at its version
            "PORT": str(service),
            "ENDPOINT_PORT": str(endpoint),
            "OPENAI_BASE_URL": openai_url,
            "RUNPOD_API_URL": f"http://127.0.0.1:{endpoint}/v2",
            "RUNPOD_ENDPOINT_ID": "ep",
            "RUNPOD_API_KEY": "any",
            "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody listens there: nothing leaves the machine
        }

    def check(self, step: Step) -> str | None:
        """What is wrong with what the command did; None where it is as it should be."""
        command = self._here(step.command)
        lines = [self._here(line) for line in step.lines]
        if step.is_left_running:
            return self._leave_running(command.removesuffix(" &"), lines)
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self._clone,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if job := re.match(r'\{"id": "([^"]+)"', ended.stdout):
            self._names["JOB_ID"] = job[1]
        if ended.returncode == step.code and fits(ended.stdout + ended.stderr, lines):
            return None
        return f"exit code {ended.returncode}\n{ended.stdout}{ended.stderr}"

    def _here(self, text: str) -> str:
        for name, own in self._names.items():
            text = text.replace(name, own)
        return text

    def _leave_running(self, command: str, lines: list[str]) -> str | None:
        process = self._stack.enter_context(
            running_process(["bash", "-c", f"exec env {command}"], self._environment, self._clone)
        )
        # Told to end, it ends what it has started.
        self._stack.callback(process.wait, LIMIT_S)
        self._stack.callback(process.terminate)
        wait_until(lambda: process.returncode is not None or fits(process.stdout() + process.stderr(), lines), command)
        return None if process.returncode is None else process.last_lines()


def fits(output: str, lines: list[str]) -> bool:
    """Whether the output begins with the first line and has the others; where none is given, whether it is empty."""
    said = [line.rstrip() for line in output.splitlines()]
    first, *others = [re.compile(".*".join(map(re.escape, line.split("…")))) for line in lines] or [re.compile("")]
    return bool(first.fullmatch(said[0] if said else "")) and all(any(map(one.fullmatch, said)) for one in others)


def run_part(name: str, folder: Path, openai_url: str) -> list[str]:
    """What is wrong, for each command of the part that does not do what stands there."""
    with ExitStack() as stack:
        shell = Shell(folder, openai_url, stack)
        found = [(step, shell.check(step)) for step in PARTS[name]]
    return [f"$ {step.command}\n{wrong}" for step, wrong in found if wrong is not None]


@pytest.mark.slow
def test_every_command_of_a_newcomer_does_what_is_expected(tmp_path: Path) -> None:
    """Each command of the list has the exit code and the first line that stand there."""
    with running_openai(Behaviour()) as openai, ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        wrong = pool.map(lambda name: run_part(name, tmp_path / name.replace(" ", "-"), openai.base_url), PARTS)
        assert [one for part in wrong for one in part] == []


def commands_of(page: str) -> list[str]:
    """The commands in the indented code blocks of a page, each in one line and without the comment behind it."""
    commands: list[str] = []
    indent = None  # of the block's first line; what is indented further goes on with a command
    for line in re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE).splitlines():
        spaces = len(line) - len(line.lstrip())
        if not line.strip() or spaces < 4:
            indent = None if line.strip() else indent
        elif indent is None or spaces == indent:
            indent = spaces
            commands.append(line)
        else:
            commands[-1] += line
    return [in_one_line(re.sub(r"\s{2,}# .*", "", command)) for command in commands]


def in_one_line(command: str) -> str:
    return " ".join(re.sub(r"\\\s+", " ", command).split())


def test_the_list_has_sixty_commands_and_each_of_the_readme() -> None:
    """No command of the README or of the quickstart is missing in the list, be it run or left out with a reason."""
    run = [in_one_line(step.command.removesuffix(" &")) for steps in PARTS.values() for step in steps]
    left_out = dict(re.findall(r"^- (.+?)\s{2,}(.+)$", LIST, re.MULTILINE))
    shown = [command for page in (README, QUICKSTART) for command in commands_of(page)]

    assert len(run) >= 60
    assert shown
    assert [command for command in shown if command not in run and command not in left_out] == []
    assert set(left_out) <= set(shown)


def test_the_readme_shows_what_make_run_prints(tmp_path: Path) -> None:
    """The table in the README is the one that is printed, as far as it is shown."""
    shown, _, end = fence(README, "text").partition(" ...\n")
    command = [sys.executable, str(REPOSITORY_ROOT / "handler.py")]
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "100", "MODEL_NAME": "offline", "RESULTS_DIR": "results"}
    shutil.copy(REPOSITORY_ROOT / "test_input.json", tmp_path)
    printed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    printed = re.sub(r" +$", "", printed, flags=re.MULTILINE)

    assert shown.rstrip() in printed
    assert printed.rstrip().endswith(end.strip())


CALL_ROUTES = """
const ts = require(process.argv[2])
const fs = require('fs')
const options = { compilerOptions: { target: 'ES2022', module: 'ESNext' } }
const source = fs.readFileSync('routes.ts', 'utf8').replace('https://api.runpod.ai/v2', process.argv[3])
fs.writeFileSync('routes.mjs', ts.transpileModule(source, options).outputText)

async function main() {
  const { GET, POST } = await import(process.cwd() + '/routes.mjs')
  const { input } = JSON.parse(fs.readFileSync('symbols.json', 'utf8'))
  const body = JSON.stringify(input)
  const submitted = await POST(new Request('http://site.example/api/jobs', { method: 'POST', body }))
  const { id } = await submitted.json()
  let job
  do {
    job = await (await GET(new Request('http://site.example'), { params: Promise.resolve({ id }) })).json()
  } while (['IN_QUEUE', 'IN_PROGRESS'].includes(job.status))
  console.log(submitted.status, job.status, job.output.documented_symbols.map((one) => one.symbol_id).join())
}
main()
"""


@pytest.mark.skipif(NODE_MISSING is not None, reason=str(NODE_MISSING))
def test_the_routes_of_the_readme_submit_a_job_and_follow_it(tmp_path: Path) -> None:
    """A site with the two routes of the README gets the summaries of its job from an endpoint."""
    (tmp_path / "routes.ts").write_text(fence(README, "ts"))
    (tmp_path / "symbols.json").write_text(fence(README, "json"))
    (tmp_path / "call.cjs").write_text(CALL_ROUTES)
    with running_queue(api_key="key") as queue:
        worker = {**queue.environment(), "MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path / "results")}
        with running_worker(worker):
            site = {"PATH": os.environ["PATH"], "RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_KEY": "key"}
            command = ["node", "call.cjs", str(install() / "typescript"), queue.url.rpartition("/")[0]]
            ended = subprocess.run(
                command, cwd=tmp_path, env=site, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )

    assert (ended.stdout.strip(), ended.stderr) == ("200 COMPLETED src/text.py:slugify", "")
