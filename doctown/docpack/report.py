"""One pack as a page of figures and bars, or two packs side by side. Pure.

A pack holds no times and no cost of single symbols: it is the same for the same repository. The page says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from doctown.docpack.pack import Pack, most_central
from doctown.docpack.schema import Node, is_module
from generation import Bars, Block, Note, Page, Section, Table

MAX_NAMED_SYMBOLS = 15
NOT_RECORDED = (
    "A pack does not record when its summaries were written, how long they took, or what a single one cost: the same "
    "repository gives the same bytes. Reports of bulk runs have these figures."
)


def pack_page(packs: Sequence[Pack]) -> Page:
    """Return the page of one pack or more."""
    names = [_name(pack) for pack in packs]
    columns = [list(_key_figures(pack)) for pack in packs]
    rows = [(cells[0][0], *(value for _, value in cells)) for cells in zip(*columns, strict=True)]
    sections = [
        Section(title, [make(pack) for pack in packs])
        for title, make in (
            ("Summaries", _summaries),
            ("Failures by cause", _failures),
            ("Checks", _checks),
            ("Languages", _languages),
            ("Call sites", _call_sites),
            ("Central symbols without a summary", _missing),
        )
    ]
    warnings = [f"{_name(pack)}: {warning}" for pack in packs for warning in pack.manifest["warnings"]]
    return Page(f"Pack {' and '.join(names)}", names, rows, sections, (NOT_RECORDED, *warnings))


def _name(pack: Pack) -> str:
    repository = pack.manifest["repository"]
    return f"{repository['name']} {(repository['commit'] or '')[:7]}".strip()


def _key_figures(pack: Pack) -> Iterator[tuple[str, str]]:
    manifest = pack.manifest
    counts, documentation = manifest["counts"], manifest["documentation"]
    usage, checks = documentation["usage"], documentation["checks"]
    yield "repository", manifest["repository"]["url"] or manifest["repository"]["name"]
    yield "commit", manifest["repository"]["commit"] or "none"
    yield "time of the commit", manifest["created_at"]
    yield "model", documentation["model"]
    yield "files parsed", f"{counts['files_parsed']:,} of {counts['files']:,}"
    yield "symbols documented", f"{counts['documented']:,} of {counts['symbols']:,}"
    yield "symbols failed", f"{counts['failed']:,}"
    yield "cost", f"${documentation['total_cost']:,.6f}"
    yield "tokens", f"{usage['input_tokens'] + usage['output_tokens']:,}"
    yield "input tokens, cached of these", f"{usage['input_tokens']:,}, {usage['cached_input_tokens']:,}"
    yield "output tokens, reasoning of these", f"{usage['output_tokens']:,}, {usage['reasoning_tokens']:,}"
    yield "requests, repeated", f"{usage['requests']:,}, {usage['retries']:,}"
    yield "summaries that pass all checks", f"{checks['passed_all']:,} of {checks['checked']:,} checked"


def _symbols(pack: Pack) -> Iterator[Node]:
    return (node for node in pack.nodes if not is_module(node))


def _summaries(pack: Pack) -> list[Block]:
    names = {"model": "by a model", "offline": "without a model", "previous": "from an earlier build"}
    found: Counter[str] = Counter(dict.fromkeys(names.values(), 0))
    for node in _symbols(pack):
        if node["documentation"] is not None:
            found[names[node["documentation"]["source"]]] += 1
        else:
            found["failed" if node["failure"] is not None else "none was asked for"] += 1
    return [_bars("Symbols by where their summary comes from", found)]


def _failures(pack: Pack) -> list[Block]:
    failures = Counter(node["failure"]["failure"] for node in pack.nodes if node["failure"] is not None)
    return [_bars("Symbols without a summary", failures) if failures else Note("None failed.")]


def _checks(pack: Pack) -> list[Block]:
    findings = pack.manifest["documentation"]["checks"]["findings"]
    return [_bars("Summaries by the check that found fault", findings) if findings else Note("No findings.")]


def _languages(pack: Pack) -> list[Block]:
    languages = pack.manifest["languages"]
    return [_bars("Symbols by language", {name: one["symbols"] for name, one in languages.items()})]


def _call_sites(pack: Pack) -> list[Block]:
    counts = pack.manifest["counts"]
    sites = {
        "resolved": counts["call_sites_resolved"],
        "out of the repository": counts["call_sites_external"],
        "not resolved": counts["call_sites_unresolved"],
    }
    return [_bars("Call sites by where they lead", sites)]


def _missing(pack: Pack) -> list[Block]:
    missing = most_central(node for node in pack.nodes if node["documentation"] is None)
    if not missing:
        return [Note("Every symbol has a summary.")]
    rows = [
        (node["id"], f"{node['centrality']:.2f}", node["failure"]["failure"] if node["failure"] else "not asked for")
        for node in missing[:MAX_NAMED_SYMBOLS]
    ]
    return [Table("Most central first", ("symbol", "centrality", "why"), rows, len(missing))]


def _bars(title: str, counts: Mapping[str, int]) -> Bars:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Bars(title, [(name, float(count), f"{count:,}") for name, count in rows], len(rows))
