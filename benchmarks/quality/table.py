"""The results as Markdown, and where they are kept: between the marks of docs/benchmarks.md. Pure but for that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.llama import MODEL_NAME
from benchmarks.quality.measure import Result

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- quality -->", "<!-- /quality -->"
EXAMPLES = 10
COUNTS = ("requests", "tokens", "passed all checks", "rejected", "findings")
SHOWN_ROW = "one by one, callees first"


def report(results: Sequence[Result]) -> str:
    """Return the table of the results and ten summaries as they were written."""
    return "\n".join([*_table(results), *_examples(results)])


def _table(results: Sequence[Result]) -> list[str]:
    lines = [
        f"{max(one.symbols for one in results)} functions, {MODEL_NAME}. Cosine and reciprocal rank are means,",
        "requests and tokens are for a symbol.",
        "",
        f"| how | cosine | rank | unrepaired: cosine | rank | {' | '.join(COUNTS)} |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for one in results:
        findings = ", ".join(f"{name} {count}" for name, count in one.findings.most_common())
        checked = f"{one.passed_all / one.checked:.0%}" if one.checked else ""
        lines.append(
            f"| {one.name} | {one.cosine:.3f} | {one.rank:.3f} | {one.first_cosine:.3f} | {one.first_rank:.3f} "
            f"| {one.requests / one.symbols:.2f} | {one.tokens / one.symbols:.0f} | {checked} "
            f"| {one.rejected / one.symbols:.0%} | {findings} |"
        )
    return lines


def _examples(results: Sequence[Result]) -> list[str]:
    shown = next((one for one in results if one.name == SHOWN_ROW), results[-1])
    step = max(1, len(shown.summaries) // EXAMPLES)
    lines = ["", f"Ten summaries ({shown.name}), as published and, where they were repaired, as written:", ""]
    for one in shown.summaries[::step][:EXAMPLES]:
        repairs = f" ({', '.join(one.repairs)}; written: {_cell(one.first_answer)})" if one.repairs else ""
        lines.append(f"- `{one.symbol_id}`: {_cell(one.published)}{repairs}")
    return lines


def _cell(text: str) -> str:
    return re.sub(r"([<>|*_\[\]])", r"\\\1", " ".join(text.split()))


def write_report(results: Sequence[Result]) -> None:
    """Write the report into the documentation."""
    page = PAGE.read_text("utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{report(results)}\n{END}{after}", "utf-8")
