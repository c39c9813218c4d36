"""Chance that can be repeated, and scripts of what goes wrong, for the loopback servers.

A script is a list of lines such as `{"fault": "server_error", "only": ["GET /v1/batches"], "share": 0.1, "times": 3}`:
`only` names what it may strike, `contains` what the text of that must hold, `share` how much of it (drawn by the
subject's own key, never by the order of arrival), `times` how often at most; each may be left out. The first line that
fits strikes. What a fault does is its server's business.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Script = Sequence[Mapping[str, Any]]

# Faults of an API's calls. Those in AFTER strike when the call has been carried out: to try again is to do it twice.
BEFORE = ("server_error", "too_many", "disconnect", "refused", "gone")
AFTER = ("server_error_after", "disconnect_after")
# Final answers: for a call that is wrong, and for what is not there.
REFUSALS = {"refused": 400, "gone": 404}
CALL_FAULTS = frozenset((*BEFORE, *AFTER))


def chance(digest: bytes) -> float:
    """Strictly between 0 and 1."""
    return (int.from_bytes(digest, "big") % 2**52 + 0.5) / 2**52


def check_script(script: Script, faults: frozenset[str]) -> None:
    unknown = {line["fault"] for line in script} - faults
    keys = {key for line in script for key in line} - {"fault", "only", "contains", "share", "times"}
    if unknown or keys:
        raise ValueError(f"unknown in a script: {sorted(unknown | keys)}")


class Strikes:
    """A script as it is played: which line strikes what, and how often each still may."""

    def __init__(self, script: Script, seed: int) -> None:
        self._seed = seed
        self._lines = [dict(line) for line in script]
        self._only = [frozenset(line.get("only") or ()) for line in script]

    def on(self, name: str, text: str, key: bytes) -> str | None:
        for number, line in enumerate(self._lines):
            only = self._only[number]
            fits = (not only or name in only) and line.get("contains", "") in text and line.get("times") != 0
            if fits and self._drawn(line.get("share", 1.0), number, key):
                if line.get("times") is not None:
                    line["times"] -= 1
                return str(line["fault"])
        return None

    def _drawn(self, share: float, number: int, key: bytes) -> bool:
        return share >= 1 or chance(hashlib.sha256(b"%d %d " % (self._seed, number) + key).digest()[:8]) < share


class Calls:
    """The calls that an API got, by name: their faults, their statuses, and how many were under way at once."""

    def __init__(self, script: Script = (), seed: int = 0) -> None:
        self.answered: Counter[str] = Counter()  # by "name status"; a broken connection is "name broken"
        self.most_at_once: dict[str, int] = {}
        self.at_once: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self.play(script, seed)

    def play(self, script: Script, seed: int) -> None:
        check_script(script, CALL_FAULTS)
        self._strikes = Strikes(script, seed)

    def begin(self, name: str) -> str | None:
        """The fault that the script has for this call; whoever begins a call also ends it."""
        self._begun[name] += 1
        self.at_once[name] += 1
        self.most_at_once[name] = max(self.most_at_once.get(name, 0), self.at_once[name])
        return self._strikes.on(name, "", b"%s %d" % (name.encode(), self._begun[name]))

    def end(self, name: str, status: int | None) -> None:
        self.at_once[name] -= 1
        self.answered[f"{name} {status or 'broken'}"] += 1
