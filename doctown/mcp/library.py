"""The packs that agents are shown: one file, or all packs of a folder, opened when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from doctown.docpack import index_pack, open_pack
from doctown.docpack.compare import Staleness
from doctown.docpack.pack import Pack
from doctown.docpack.schema import PACK_SUFFIX
from doctown.errors import PackError
from doctown.mcp.answers import OpenPack
from doctown.mcp.search import SearchIndex

# Memory holds so many packs at once; the one that was asked for longest ago makes room.
MAX_OPEN = 4


class Library:
    """Packs by name, which is that of the file without its ending.

    `staleness_of` says how a pack fits its source, where there is one.
    """

    def __init__(self, place: Path, staleness_of: Callable[[Pack], Staleness] | None = None) -> None:
        paths = sorted(place.glob(f"*{PACK_SUFFIX}")) if place.is_dir() else [place]
        if not paths:
            message = f"{place} has no {PACK_SUFFIX} file: name a pack, or a folder of packs."
            raise PackError(message)
        self.paths = {path.name.removesuffix(PACK_SUFFIX): path for path in paths}
        self.staleness_of = staleness_of
        self._open: dict[str, OpenPack] = {}
        self._lock = threading.Lock()

    def get(self, name: str = "") -> OpenPack:
        """Return the pack of this name; none need be given where there is one. Raise PackError."""
        if not name and len(self.paths) == 1:
            [name] = self.paths
        if name not in self.paths:
            message = f"there is no pack {name!r}; name one of these: {', '.join(self.paths)}."
            raise PackError(message)
        with self._lock:
            opened = self._open.pop(name, None)
            if opened is None:
                pack = open_pack(self.paths[name])
                opened = OpenPack(pack, index_pack(pack), SearchIndex(pack.nodes))
            self._open[name] = opened
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
        return opened

    def staleness(self, name: str = "") -> Staleness:
        """Return how a pack fits the source as it is now. Raise DoctownError."""
        if self.staleness_of is None:
            message = "the source is not known: start the server with --source FOLDER."
            raise PackError(message)
        return self.staleness_of(self.get(name).pack)
