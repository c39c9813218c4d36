"""Writes the site of a pack: the viewer's files, and the shards as scripts that a page at `file://` can load.

The site is written beside its folder and takes its place when it is whole. The same pack gives the same bytes. Leaves
out what the shards say (`data`).
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from doctown.docpack import Pack
from doctown.docpack.compare import Staleness
from doctown.errors import OutputError
from doctown.site.data import Shard, make_shards

# Names the files of a site, by which the next one knows that it may replace the folder.
MARKER = "doctown-site.json"
FORMAT = "doctown-site"
DATA = "data"
ASSETS = ("index.html", "viewer.js", "viewer.css", "THIRD_PARTY.txt")
ASSETS_FOLDER = Path(__file__).with_name("assets")


class Site(NamedTuple):
    """A site that has been written."""

    folder: Path
    files: int
    size_bytes: int


def write_site(pack: Pack, folder: Path, staleness: Staleness | None = None) -> Site:
    """Write the site of a pack to a folder that is new, empty or an earlier site. Raise OutputError.

    Another site, or nothing, is there as long as this one is not whole.
    """
    try:
        target = folder.resolve()
        _check_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _folder_beside(target) as temporary:
            names = [*_copy_assets(temporary), *_write_shards(pack, temporary, staleness)]
            marker = {"format": FORMAT, "files": sorted(names)}
            (temporary / MARKER).write_text(json.dumps(marker, indent=0) + "\n", encoding="utf-8")
            size_bytes = sum((temporary / name).stat().st_size for name in (*names, MARKER))
            _replace(target, temporary)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}.") from None
    return Site(folder, len(names) + 1, size_bytes)


def _check_replaceable(target: Path) -> None:
    """Raise OutputError where the folder holds something that is no part of an earlier site."""
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file: name a folder.")
    if not target.exists() or not any(target.iterdir()):
        return
    own = _files_of_site(target)
    if own is None:
        raise OutputError(f"{target} holds something else than a site: name another folder, or empty it.")
    known = {target / name for name in own} | {target / DATA}
    foreign = next((path for path in sorted(target.rglob("*")) if path not in known), None)
    if foreign is not None:
        raise OutputError(
            f"{target} holds more than a site, such as {foreign.relative_to(target)}: move it away, or name another "
            "folder."
        )


def _files_of_site(folder: Path) -> list[str] | None:
    """Return the names of the files of the site that is in a folder, None where there is none."""
    try:
        marker = json.loads((folder / MARKER).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(marker, dict) or marker.get("format") != FORMAT or not isinstance(marker.get("files"), list):
        return None
    return [MARKER, *map(str, marker["files"])]


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Yield a new folder beside another, which is removed at the end where it has not got another name."""
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(8)}.tmp")
    try:
        temporary.mkdir()
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy_assets(folder: Path) -> list[str]:
    for name in ASSETS:
        try:
            (folder / name).write_bytes((ASSETS_FOLDER / name).read_bytes())
        except FileNotFoundError:
            raise OutputError(
                f"the viewer's file {name} is not in this installation: install doctown anew, or in a checkout run "
                "`make assets`."
            ) from None
    return list(ASSETS)


def _write_shards(pack: Pack, folder: Path, staleness: Staleness | None) -> Iterator[str]:
    (folder / DATA).mkdir()
    for shard in make_shards(pack, staleness):
        name = f"{DATA}/{shard.name}.js"
        (folder / name).write_bytes(script_of(shard))
        yield name


def script_of(shard: Shard) -> bytes:
    """Return the script that hands a shard to the viewer: as a text, since an object's `__proto__` is none of its keys.

    A page at `file://` may load scripts and no documents.
    """
    # Compact JSON has no line ends and no controls: quotes and backslashes are all that a literal must escape.
    text = shard.json.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'doctownShard("%b","%b");\n' % (shard.name.encode(), text)


def _replace(target: Path, new: Path) -> None:
    """Give a folder the name of another, which is removed."""
    if not target.exists():
        new.rename(target)
        return
    with _folder_beside(target) as old:
        try:
            target.replace(old)
            new.replace(target)
        except BaseException:
            if not target.exists():
                old.replace(target)
            raise
