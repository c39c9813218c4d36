"""The results of a summary's checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A failed check of a summary; `reason` is a sentence that can be sent to the model that wrote the summary."""

    check: str
    hard: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The names of passed checks, and the findings of failed ones; a check that does not apply is in neither."""

    passed: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def hard(self) -> tuple[Finding, ...]:
        """Return the findings that are worth another request to the model."""
        return tuple(finding for finding in self.findings if finding.hard)
