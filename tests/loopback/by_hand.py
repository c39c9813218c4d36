"""What the loopback servers share when they are started by hand: their arguments, what they print, and their end.

The first line of standard output is the server's address, alone: programs read no further. What to set follows, as
lines that a shell takes. Ctrl-C and SIGTERM end a server without a word.
"""

from __future__ import annotations

import argparse
import shlex
import signal
from collections.abc import Mapping
from collections.abc import Set as AbstractSet


def arguments_of(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser for the arguments that every server takes; `doc` is what --help says."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1; any that is free by default")
    return parser


def show(address: str, *settings: tuple[str, Mapping[str, str]]) -> None:
    """Print the address and, each under the words that say for whom, the variables to set."""
    lines = [address]
    for whom, variables in settings:
        lines.append(f"# {whom}:")
        lines.extend(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    print("\n".join(lines), flush=True)


def block_end_signals(others: AbstractSet[signal.Signals] = frozenset()) -> set[signal.Signals]:
    """Keep Ctrl-C, SIGTERM and `others` for `wait_for_end`. Before there is another thread: it would get them."""
    ends = {signal.SIGTERM, signal.SIGINT, *others}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    return ends


def wait_for_end(ends: set[signal.Signals]) -> None:
    """Return when the user, or the system, wants the server to end."""
    signal.sigwait(ends)
