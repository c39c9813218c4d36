"""The .docpack format: its types, its writer and its reader, its pages, and what can be said of one pack or of two.

`docs/docpack.md` describes the format for those who read it elsewhere. `make_pack` turns a build's records into a pack.
"""

from __future__ import annotations

from doctown.docpack.embeddings import Vectors
from doctown.docpack.pack import BuildInfo, CallSites, Index, Pack, index_pack, make_pack
from doctown.docpack.reader import open_pack, open_previous, read_embeddings, read_manifest
from doctown.docpack.schema import is_file_path, source_hash
from doctown.docpack.writer import PackFile, write_pack

__all__ = [
    "BuildInfo",
    "CallSites",
    "Index",
    "Pack",
    "PackFile",
    "Vectors",
    "index_pack",
    "is_file_path",
    "make_pack",
    "open_pack",
    "open_previous",
    "read_embeddings",
    "read_manifest",
    "source_hash",
    "write_pack",
]
