"""Archives that a test has taken apart, changed and put together again, with true checksums unless it wants others."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def archive(members: Sequence[tuple[tarfile.TarInfo | str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.type == tarfile.REGTYPE:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def with_checksums(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members with a manifest that describes them as they are."""
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
        if name != "manifest.json"
    }
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def changed(path: Path, member: str, change: Callable[[Any], object]) -> None:
    """Change a JSON member of a pack in place; `change` gets the document, and its checksum is made true again."""
    members = members_of(path)
    document = json.loads(members[member])
    change(document)
    members[member] = json.dumps(document, ensure_ascii=False).encode()
    path.write_bytes(archive(list(with_checksums(members).items())))
