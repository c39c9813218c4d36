"""How a build's events are shown: with rich on a terminal, as plain lines in a pipe, as JSON lines."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from doctown.events import Emit, Event

if TYPE_CHECKING:
    from rich.console import Console

TENTHS = 10

_STYLES = {"step_started": "bold", "step_ended": "green", "failed": "red", "warning": "yellow", "estimate": "cyan"}


@contextmanager
def shown(*, as_json: bool) -> Iterator[Emit]:
    """Show events on standard output until the block ends."""
    from rich.console import Console

    console = Console(highlight=False)
    if as_json:
        yield in_tenths(_print_json)
    elif not console.is_terminal:
        yield in_tenths(_print_text)
    else:
        yield from _on_terminal(console)


def _on_terminal(console: "Console") -> Iterator[Emit]:
    """Yield a sink that shows progress as a bar, which is there only while there is progress."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("", total=None)

    def show(event: Event) -> None:
        if event.type == "step_started":
            bar.reset(task)  # the time is that of the step
        if event.type == "progress":
            bar.update(task, description=event.text, completed=event.data["done"], total=event.data["total"])
            bar.start()
        else:
            bar.stop()  # a question may follow
            console.print(event.text, style=_STYLES.get(event.type), markup=False)

    try:
        yield show
    finally:
        bar.stop()


def in_tenths(show: Emit) -> Emit:
    """Return a sink that passes on of the progress of each step only the first event of each tenth."""
    shown_tenths: dict[str, int] = {}

    def filtered(event: Event) -> None:
        if event.type == "progress":
            name, total = event.data["name"], event.data["total"]
            tenth = TENTHS * event.data["done"] // total if total else 0
            if tenth <= shown_tenths.get(name, 0):
                return
            shown_tenths[name] = tenth
        show(event)

    return filtered


def program() -> str:
    """Return how the user calls this program: by its command, or from a checkout as a module."""
    if Path(sys.argv[0]).name != "__main__.py":
        return "doctown"
    python = Path(sys.executable)
    return f"{python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python} -m doctown"


def print_record(record: Mapping[str, object]) -> None:
    """Print a record as a line of JSON."""
    print(json.dumps(record, allow_nan=False), flush=True)  # noqa: T201 - a command speaks by printing


def ask(question: str, answer: Callable[[str], str] = input) -> bool:
    """Return whether the user says yes; the end of the input (Ctrl-D) is a no."""
    try:
        return answer(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()  # noqa: T201 - the line of the question is not over
        return False


def _print_json(event: Event) -> None:
    print_record({"event": event.type, "text": event.text, **event.data})


def _print_text(event: Event) -> None:
    print(event.text, flush=True)  # noqa: T201
