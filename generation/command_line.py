"""What every command does before its own work: read `.env`, warn of misspelt settings, refuse unknown arguments.

And the kinds of arguments that several commands take. Leaves out: the settings themselves (`config`).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from generation.config import ServiceSettings, Settings, set_process_defaults
from generation.domain.limits import parse_integer
from generation.domain.names import did_you_mean, nearest
from generation.errors import InputError

# Variables that are no fields of `Settings` or `ServiceSettings`: of all commands, of bulk runs, of repository builds.
OTHER_SETTINGS = (
    "ENV_FILE",
    "OPENAI_MODEL",
    "RUNPOD_API_KEY",
    "RUNPOD_ENDPOINT_ID",
    "RUNPOD_API_URL",
    "FETCH_MAX_BYTES",
    "FETCH_MAX_FILES",
    "FETCH_TIMEOUT_S",
    "GIT_HOSTS",
    "GIT_PRIVATE_NETWORKS",
    "REQUESTS_PER_MINUTE",
    "GITHUB_TOKEN",
    "GIT_TOKEN",
    "EMBEDDING_MODEL_PATH",
    "EMBEDDING_PROVIDER",
)
ALL_SETTINGS = frozenset(
    [name.upper() for kind in (Settings, ServiceSettings) for name in kind.model_fields] + list(OTHER_SETTINGS)
)
# Variables of other programs that look like settings: those of AWS, of RunPod's machines, and of GitHub's command.
_FOREIGN = re.compile(r"(AWS|RUNPOD|GITHUB|GITLAB|CI)_|GH_TOKEN$")

# As difflib's ratio: MAX_SYMBOL for MAX_SYMBOLS is 0.95, OPENAI_KEY for OPENAI_API_KEY 0.83.
_MIN_SIMILARITY = 0.8

# A file in the working folder may be anyone's, such as that of a cloned repository: it may not send a key that is set
# elsewhere to an address of its own.
_KEY_OF_ADDRESS = {"OPENAI_BASE_URL": "OPENAI_API_KEY", "RUNPOD_API_URL": "RUNPOD_API_KEY"}


def prepare_environment(environ: MutableMapping[str, str]) -> list[str]:
    """Add the settings of `.env` in the working folder, and what libraries read; return warnings, a sentence each.

    Variables that are set already win. ENV_FILE names another file; empty, none is read. Only the project's settings
    are taken from the file: other variables, such as PATH, would change what other programs do.
    """
    warnings = []
    path = environ.get("ENV_FILE", ".env").strip()
    given = _read_env_file(Path(path)) if path else {}
    taken = {name: value for name, value in given.items() if name in ALL_SETTINGS and not environ.get(name)}
    for address, key in _KEY_OF_ADDRESS.items():
        if address in taken and environ.get(key):
            del taken[address]
            warnings.append(f"{address} in {path} is not used, since {key} is set outside of it: set both in one place")
    environ.update(taken)
    set_process_defaults(environ)
    return [*warnings, *_misspelt({**environ, **given})]


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    unknown = sorted(name for name in environ if name not in ALL_SETTINGS and not _FOREIGN.match(name))
    found = [(name, nearest(name, ALL_SETTINGS, _MIN_SIMILARITY)) for name in unknown if name.isupper()]
    return [f"{name} is no setting: did you mean {near}?" for name, near in found if near]


class CommandParser(argparse.ArgumentParser):
    """An argument parser that names the nearest option or command where one is unknown."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments as usual; exit with 2 where one is unknown, also for a subcommand."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", self.format_help())
            self.error(f"there is no argument {name}{did_you_mean(name, options)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one sentence, which names the nearest of the choices where a choice is wrong."""
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        hint = did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ""
        super().error(message + hint)


def add_address_arguments(parser: argparse.ArgumentParser, settings: type[ServiceSettings]) -> None:
    """Add where a service listens."""
    for name in ("host", "port"):
        field = settings.model_fields[name]
        described = f"{field.description} (default: {name.upper()}, or {field.default})"
        parser.add_argument(f"--{name}", help=described)


def whole_number(most: int, least: int = 1) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number from `least` to `most`."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= parse_integer(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return int(text)

    return number


def dollars(text: str) -> float:
    """Return the value of an argument that is an amount above 0, in USD. Raise ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be an amount above 0")
    return value


def read_pairs(given: Iterable[str], refused: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of --option NAME=VALUE, each as JSON or else as text. Raise InputError.

    `refused` are options that a run does not take, with what to do instead.
    """
    options: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError("--option must have the form NAME=VALUE")
        if name in refused:
            raise InputError(f"--option {name} is not for a run: {refused[name]}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
