"""The command line: `doctown COMMAND`, or `python -m doctown COMMAND` from a checkout.

It parses arguments, calls the command's function, and turns what goes wrong into one sentence and an exit code: 0 done,
1 the source, a setting or a pack is wrong, 2 the command line is wrong, 3 a check has failed, 130 interrupted. Each
command is a module of `doctown.commands` with SUMMARY, `add_arguments(parser)` and `run(arguments, environ)`, which may
return an exit code.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import shtab

from doctown.errors import DoctownError
from generation import (
    CommandParser,
    __version__,
    interrupted_by_signals,
    prepare_environment,
    protect_streams,
    set_up_logging,
)

# The commands and their modules; `build-llm` is the name that scripts of earlier versions use.
COMMANDS = {
    "build": "build",
    "bulk": "bulk",
    "build-llm": "build",
    "plan": "plan",
    "show": "show",
    "diff": "diff",
    "check": "check",
    "graph": "graph",
    "report": "report",
    "export": "export",
    "view": "view",
    "site": "site",
    "mcp": "mcp",
    "validate": "validate",
    "serve": "serve",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def command() -> None:
    """Run the command of the process's arguments and exit with its code."""
    protect_streams()
    for warning in prepare_environment(os.environ):
        print(f"doctown: warning: {warning}", file=sys.stderr)  # noqa: T201
    set_up_logging(os.environ.get("LOG_LEVEL") or "WARNING")
    # Told to stop, a build saves what it has bought, as it does at Ctrl-C.
    with interrupted_by_signals():
        code = main(sys.argv[1:], os.environ)
    sys.exit(code)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command; return the exit code."""
    parser = CommandParser("doctown", description="Turn a repository into a documentation pack.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shtab.add_argument_to(parser, "--print-completion", help="print the completion script of a shell")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Only what is needed: the modules of all commands take half a second to load.
    named = [name for name in arguments[:1] if name in COMMANDS]
    modules = {name: import_module(f"doctown.commands.{COMMANDS[name]}") for name in named or COMMANDS}
    for name, module in modules.items():
        module.add_arguments(subparsers.add_parser(name, help=module.SUMMARY, description=module.SUMMARY))
    options = parser.parse_args(arguments)
    try:
        code: int | None = modules[options.command].run(options, environ)
    except DoctownError as error:
        print(f"doctown: {error}", file=sys.stderr)  # noqa: T201 - a command speaks by printing
        return 1
    except KeyboardInterrupt:
        print("doctown: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    return code or 0


if __name__ == "__main__":
    command()
