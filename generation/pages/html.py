"""Writes a page as one HTML file: no script, no font, nothing from elsewhere, readable on a phone, light and dark.

Every text is data: it is escaped, control characters are replaced, and a long one is cut. The number of elements
depends on the limits in `blocks`, not on how much was counted. Bars are HTML: the texts of an SVG would shrink with it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from generation.pages.blocks import MAX_ROWS, Bars, Block, Line, Page, Section, Table, thinned

MAX_TEXT_CHARACTERS = 300
WIDTH, HEIGHT = 600, 160

# A colour of a line or a bar differs from its background by a contrast of 3 at least, one of a text by 4.5.
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --quiet: #57606a; --rule: #d8dee4; --bar: #0969da }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --quiet: #9aa4af; --rule: #30363d; --bar: #58a6ff }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; border-top: 1px solid var(--rule); padding-top: 1rem }
h3, h4, caption { font-size: 1rem; text-align: left; font-weight: 600; margin: 1rem 0 .3rem }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2rem }
.sides > div { min-width: 0 }
table { border-collapse: collapse; width: 100%; margin-bottom: 1rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--rule);
  unicode-bidi: isolate }
th { font-weight: 600 }
.bars { display: grid; grid-template-columns: minmax(6rem, 2fr) 3fr auto; gap: .2rem .6rem; margin: 0; padding: 0 }
.bars span { unicode-bidi: isolate }
.bars i { align-self: center; height: .7rem; background: var(--bar); min-width: 1px }
.quiet, figcaption { color: var(--quiet); font-size: .9rem }
figure { margin: 0 0 1rem } svg { display: block; width: 100%; height: 10rem; border-bottom: 1px solid var(--quiet) }
polyline { fill: none; stroke: var(--bar); stroke-width: 2; vector-effect: non-scaling-stroke }
.ends { display: flex; justify-content: space-between }
@media print { body { max-width: none } }
"""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def render_page(page: Page) -> bytes:
    """Return the page as the bytes of an HTML file in UTF-8."""
    return "\n".join(_lines(page)).encode("utf-8", "replace")


def _lines(page: Page) -> Iterator[str]:
    title = _text(page.title)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>"
    several = len(page.subjects) > 1
    yield _table(Table("", ("", *page.subjects) if several else (), page.figures))
    for section in page.sections:
        yield from _section(section, page.subjects)
    if page.notes:
        yield "<h2>What is not in this report</h2>\n<ul>"
        yield from (f"<li>{_text(note)}</li>" for note in page.notes)
        yield "</ul>"
    yield "</main>\n</body>\n</html>\n"


def _section(section: Section, subjects: Sequence[str]) -> Iterator[str]:
    yield f'<section>\n<h2>{_text(section.title)}</h2>\n<div class="sides">'
    # Blocks at the same place are of the same kind, and share their scale.
    scales = [_scale(row) for row in zip_longest(*section.sides)]
    for subject, blocks in zip(subjects, section.sides, strict=True):
        yield "<div>"
        if len(subjects) > 1:
            yield f"<h3>{_text(subject)}</h3>"
        yield from (_block(block, scale) for block, scale in zip(blocks, scales, strict=False))
        yield "</div>"
    yield "</div>\n</section>"


Scale = tuple[float, float]


def _scale(blocks: Iterable[Block | None]) -> Scale:
    """Return the largest x and the largest y of blocks that are compared; never 0."""
    xs, ys = [0.0], [0.0]
    for block in blocks:
        if isinstance(block, Bars):
            ys += [value for _, value, _ in block.rows]
        elif isinstance(block, Line):
            xs += [x for x, _ in block.points]
            ys += [y for _, y in block.points]
    return max(xs) or 1.0, max(ys) or 1.0


def _block(block: Block, scale: Scale) -> str:
    if isinstance(block, Bars):
        return _bars(block, scale)
    if isinstance(block, Line):
        return _line(block, scale)
    if isinstance(block, Table):
        return _table(block)
    return f'<p class="quiet">{_text(block.text)}</p>'


def _bars(block: Bars, scale: Scale) -> str:
    rows = [
        f"<span>{_text(label)}</span>{_bar(value / scale[1])}<span>{_text(text)}</span>"
        for label, value, text in block.rows[:MAX_ROWS]
    ]
    return f'<h4>{_text(block.title)}</h4>\n<div class="bars">\n{"".join(rows)}\n</div>{_more(block)}'


def _bar(share: float) -> str:
    # A value that is not 0 can be seen.
    return f'<i style="width:{100 * share:.2f}%{"" if share else ";min-width:0"}"></i>'


def _line(block: Line, scale: Scale) -> str:
    """Return a line as an SVG that is stretched to the width; what stands at its ends is text beside it."""
    width, height = scale
    points = " ".join(f"{WIDTH * x / width:.1f},{HEIGHT * (1 - y / height):.1f}" for x, y in thinned(block.points))
    end_x, end_y = block.points[-1] if block.points else (0.0, 0.0)
    said = _text(f"{block.title}: {block.y_text(end_y)} after {block.x_text(end_x)}")
    return (
        f"<figure>\n<h4>{_text(block.title)}</h4>\n"
        f'<div class="quiet">{_text(block.y_text(height))}</div>\n'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{said}">'
        f'<polyline points="{points}"/></svg>\n'
        f'<figcaption class="ends"><span>0</span><span>{_text(block.x_text(width))}</span></figcaption>\n</figure>'
    )


def _table(block: Table) -> str:
    caption = f"<caption>{_text(block.title)}</caption>" if block.title else ""
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in block.columns)
    rows = "\n".join(_row(row) for row in block.rows[:MAX_ROWS])
    return f"<table>{caption}\n{f'<tr>{head}</tr>' if head else ''}\n{rows}\n</table>{_more(block)}"


def _row(cells: Sequence[str]) -> str:
    first, *others = (_text(cell) for cell in cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _more(block: Bars | Table) -> str:
    left = max(block.total_rows, len(block.rows)) - min(len(block.rows), MAX_ROWS)
    return f'<p class="quiet">and {left:,} more</p>' if left else ""


def _text(text: str) -> str:
    """Return a text as it can stand in an element or an attribute."""
    if len(text) > MAX_TEXT_CHARACTERS:
        text = f"{text[: MAX_TEXT_CHARACTERS - 1]}…"
    return html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
