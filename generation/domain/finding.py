"""What the checks of a summary have found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a summary; `reason` is a sentence that can be sent to the model that wrote it."""

    check: str
    hard: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The names of the checks that a summary passed, and what others found; one that does not apply is in neither."""

    passed: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def hard(self) -> tuple[Finding, ...]:
        """The findings that are worth asking again."""
        return tuple(finding for finding in self.findings if finding.hard)
