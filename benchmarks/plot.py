"""The plot: every client under limits on the left, the worker's rows against their limits on the right.

It has its own background, so that it is readable on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.pace import WITH_PEERS, WORKER, Pace
from benchmarks.rows import Row
from benchmarks.workload import SYMBOLS

INK, FAINT, GOOD, BAD = "#1f2328", "#8c959f", "#1a7f37", "#cf222e"
SCENARIO_COLOURS = ("#0b5fd0", "#e0a100", "#8a3ffc")
STYLE = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "hatch.linewidth": 1.2,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(rows: Sequence[Row], paces: Sequence[Pace], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(17, 9.5), facecolor="#ffffff", layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1), gridspec_kw={"wspace": 0.04})
        draw_clients(left, paces)
        draw_bars(right, [row for row in rows if row.bar is not None])
        figure.savefig(path, dpi=100)


def draw_clients(axes: Any, paces: Sequence[Pace]) -> None:  # noqa: ANN401 - matplotlib's types are not everywhere
    """Draw a group for each client, with a bar for each scenario that it ran."""
    colours = dict(zip((scenario.name for scenario in WITH_PEERS), SCENARIO_COLOURS, strict=True))
    y, ticks, labels = 0.0, [], []
    for group in grouped([pace for pace in paces if pace.scenario in colours]):
        top = y
        for pace in group:
            draw_pace(axes, y, pace, colours[pace.scenario])
            y += 1
        ticks.append((top + y - 1) / 2)
        labels.append(group[0].client)
        y += 0.8
    mark(axes, "ideal", top=-0.7, bottom=y)
    axes.set_yticks(ticks, labels)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 0.2, -1.5)
    axes.set_xlim(0, 1.25 * max(pace.ratio for pace in paces if pace.seconds is not None))
    axes.set_xlabel("makespan ÷ ideal (shorter is better, where nothing is lost)")
    axes.set_title(f"{SYMBOLS:,} symbols under a rate limit, 100 at once", fontweight="bold", loc="left")
    handles = [Patch(facecolor=colour, label=f"limit: {name}") for name, colour in colours.items()]
    handles.append(Patch(facecolor="#ffffff", edgecolor=INK, hatch="////", label="hatched: lost symbols"))
    axes.legend(handles=handles, loc="lower right", frameon=False)


def draw_pace(axes: Any, y: float, pace: Pace, colour: str) -> None:  # noqa: ANN401 - as above
    if pace.seconds is None:
        axes.text(0.03, y, "came to no end", va="center", color=BAD)
        return
    lost = {"facecolor": "#ffffff", "edgecolor": colour, "hatch": "////"} if pace.lost else {"color": colour}
    axes.barh(y, pace.ratio, height=0.86, **lost)
    text = f"{pace.ratio:.2f} · {f'{pace.lost} lost' if pace.lost else 'none lost'}"
    # Beside the line of the ideal where a bar ends before it.
    axes.text(max(pace.ratio, 1) + 0.05, y, text, va="center", fontsize=10, color=BAD if pace.lost else INK)


def mark(axes: Any, text: str, *, top: float, bottom: float) -> None:  # noqa: ANN401 - as above
    """Draw the line at 1 and its label."""
    axes.plot([1, 1], [top, bottom], color=INK, linewidth=1.5)
    axes.text(1, top - 0.1, text, ha="center", va="bottom")


def grouped(paces: Sequence[Pace]) -> list[list[Pace]]:
    """Group the runs by client: this worker first, then clients that lose nothing, then by what is lost."""
    order = {scenario.name: number for number, scenario in enumerate(WITH_PEERS)}
    groups: dict[str, list[Pace]] = {}
    for pace in sorted(paces, key=lambda pace: order[pace.scenario]):
        groups.setdefault(pace.client, []).append(pace)

    def rank(group: list[Pace]) -> tuple[bool, int, float]:
        return group[0].client != WORKER.name, group[0].lost, group[0].ratio

    return sorted(groups.values(), key=rank)


def draw_bars(axes: Any, rows: Sequence[Row]) -> None:  # noqa: ANN401 - as above
    """Draw each row as a share of its limit: a bar that ends before the line meets it."""
    for y, row in enumerate(rows):
        share = row.value / row.bar if row.bar else 0.0
        colour = GOOD if row.met else BAD
        axes.barh(y, min(share, 1.5), height=0.62, color=colour)
        text = ", ".join((f"{row.measured} · bar {row.limit.removeprefix('≤ ')}", *row.faults))
        axes.text(max(min(share, 1.5), 1.0) + 0.03, y, text, va="center", fontsize=10)
    mark(axes, "bar", top=-0.55, bottom=len(rows))
    axes.set_yticks(range(len(rows)), [wrapped(row.what) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -1.15)
    axes.set_xlim(0, 1.95)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_xlabel("measured ÷ bar")
    axes.set_title("This worker against its bars", fontweight="bold", loc="left")


def wrapped(text: str) -> str:
    """Break a long text in two at the space nearest to its middle."""
    if len(text) <= 34:
        return text
    blanks = [index for index, char in enumerate(text) if char == " "]
    middle = min(blanks, key=lambda index: abs(index - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"
