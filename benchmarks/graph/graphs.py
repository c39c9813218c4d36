"""The graph of a folder, as `doctown graph --include-tests --no-cache` writes it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from doctown.analysis import AnalysedFile, analyse
from doctown.graph.export import EdgeJson, Node, edges, nodes
from doctown.parsing.pool import EXTRACTOR
from doctown.repository import Limits, Selection, open_source


class FolderGraph(NamedTuple):
    """Every file of a folder and what became of it, and the nodes and edges of those that were parsed."""

    files: Sequence[AnalysedFile]
    nodes: list[Node]
    edges: list[EdgeJson]


def graph_of(folder: Path, *, extractor: str = EXTRACTOR) -> FolderGraph:
    with open_source(str(folder), limits=Limits.from_env(os.environ), environ=os.environ) as checkout:
        analysis = analyse(checkout, Selection(), extractor=extractor)
    paths = frozenset(file.path for file in analysis.files)
    found = list(nodes(analysis.graph, paths, frozenset()))
    calls = list(edges(analysis.graph, paths))
    return FolderGraph(analysis.files, found, calls)
