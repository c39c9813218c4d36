"""Checks the relative links of all Markdown files: that their files exist, and their anchors too.

    python builder/check_links.py [FOLDER]

FOLDER is a git repository; its tracked and its new files count, ignored ones do not. Each broken link is printed as
`FILE:LINE: what is wrong`, and the exit code is 1 if there is one. Anchors are those that GitHub makes of headings.
Leaves out addresses of the web, which would need a network, and what stands in code. Standard library only.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

REPOSITORY = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})")
_INDENTED_CODE = re.compile(r"(?: {4}|\t)")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)")
_HEADING = re.compile(r" {0,3}#{1,6}\s+(?P<text>.*?)(?:\s+#+)?\s*$")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")
_LINK_IN_HEADING = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_HTML_ANCHOR = re.compile(r"""<\w+[^>]*\s(?:id|name)=["']([^"']+)["']""")
_LINKS = (
    re.compile(r"""\]\(\s*<?(?P<target>[^)\s>]+)>?(?:\s+["'(][^)]*)?\)"""),  # [text](target), ![text](target)
    re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)"),  # [name]: target
    re.compile(r"""<(?:a|img)\s[^>]*(?:href|src)=["'](?P<target>[^"']+)["']"""),
)
_OUTSIDE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")


class Link(NamedTuple):
    """A link of a Markdown file: its line, counted from 1, and its target as written."""

    line: int
    target: str


def lines_outside_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a Markdown text that are not in code blocks."""
    fence, in_list = "", False
    for number, line in enumerate(text.splitlines(), start=1):
        found = _FENCE.match(line)
        if fence:
            if found and found["fence"].startswith(fence):
                fence = ""
        elif found:
            fence = found["fence"]
        elif in_list or not _INDENTED_CODE.match(line):
            yield number, line
            # A list item goes on over blank and indented lines, which are no code there.
            in_list = bool(_LIST_ITEM.match(line)) or (in_list and line[:1] in {"", " "})


def links(text: str) -> list[Link]:
    """Return the links of a Markdown text, in order."""
    found = []
    for number, line in lines_outside_code(text):
        plain = _CODE_SPAN.sub("``", line)
        found += [Link(number, match["target"]) for pattern in _LINKS for match in pattern.finditer(plain)]
    return found


def anchors(text: str) -> frozenset[str]:
    """Return the anchors of a Markdown text: GitHub's for its headings, and those given in HTML."""
    found: set[str] = set()
    times: Counter[str] = Counter()
    for _, line in lines_outside_code(text):
        found.update(_HTML_ANCHOR.findall(line))
        if heading := _HEADING.match(line):
            words = _LINK_IN_HEADING.sub(r"\1", heading["text"]).lower()
            slug = _NOT_IN_ANCHOR.sub("", words).replace(" ", "-")
            found.add(f"{slug}-{times[slug]}" if times[slug] else slug)
            times[slug] += 1
    return frozenset(found)


def faults(repository: Path) -> list[str]:
    """Return each broken link of a repository as one line that names its place."""
    files = _files(repository)
    folders = {str(parent) for name in files for parent in Path(name).parents}

    @cache
    def read(name: str) -> str:
        return (repository / name).read_text(encoding="utf-8")

    def fault(source: str, target: str) -> str | None:
        path, _, anchor = (unquote(part) for part in target.partition("#"))
        name = posixpath.normpath(posixpath.join(posixpath.dirname(source), path)) if path else source
        if path.startswith("/"):
            return "is absolute: give the path from the file"
        if name not in files and name not in folders:
            return "does not exist"
        if anchor and name.endswith(".md") and anchor not in anchors(read(name)):
            return f"has no such heading in {name}"
        return None

    return [
        f"{source}:{link.line}: {link.target} {wrong}"
        for source in sorted(files)
        if source.endswith(".md")
        for link in links(read(source))
        if not _OUTSIDE.match(link.target)
        if (wrong := fault(source, link.target))
    ]


def _files(repository: Path) -> frozenset[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, stdout=subprocess.PIPE, check=True)
    names = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(name for name in names if name and (repository / name).exists())


def main() -> None:
    """Print every broken link and end with 1 if there is one."""
    parser = argparse.ArgumentParser(description="Check the relative links and anchors of all Markdown files.")
    parser.add_argument("folder", nargs="?", type=Path, default=REPOSITORY, help="default: this repository")
    found = faults(parser.parse_args().folder)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
