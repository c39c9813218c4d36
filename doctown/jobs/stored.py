"""The pack of a job's repository in the store: where it is, the one that is there, and the new one that replaces it.

Leaves out how keys are made (`keys`), and what the store keeps while summaries are bought (`generation`).
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from doctown.docpack import PackFile
from doctown.jobs import keys
from doctown.jobs.request import RepositoryJob
from doctown.repository import GitSource, ignores_case
from generation import InputError, JobError, Settings, Storage, check_input_key, check_pack_key, open_storage
from generation.domain.output import ResultsPointer

Confirm = Callable[[], Awaitable[None]]


@dataclass
class StoredPack:
    """The places in the store of one job, and what it has put there; its new pack replaces the one at `key`."""

    storage: Storage
    key: str
    previous_key: str
    is_previous_named: bool
    docpack: ResultsPointer | None = None
    embeddings: ResultsPointer | None = None
    kept_as: str = field(init=False)

    def __post_init__(self) -> None:
        self.kept_as = keys.kept_as(self.folder)

    @property
    def folder(self) -> str:
        """The folder of the pack, which has its vectors too."""
        return self.key.rpartition("/")[0]

    @property
    def file_name(self) -> str:
        """The name of the pack in its folder."""
        return self.key.rpartition("/")[2]

    @classmethod
    async def of(cls, job: RepositoryJob, settings: Settings) -> StoredPack:
        """Return the places of a job. Raise InputError where it names a key that its caller may not have read."""
        storage = open_storage(settings)
        if job.git is not None:
            key = await _repository_key(storage, job.git, job.subdir)
        else:
            archive_key = job.archive_key or ""
            check_input_key("archive_key", archive_key, settings.key_prefixes)
            key = f"{keys.archive_folder(archive_key)}/{keys.pack_name(archive_key)}"
        named = job.previous_docpack_key
        if named is not None and named != key:
            check_pack_key("previous_docpack_key", named, settings.key_prefixes)
        return cls(storage, key, named or key, named is not None)

    async def upload(self, written: PackFile, confirm: Confirm) -> str:
        """Put the vectors and the pack into the store: who sees the pack finds its vectors. Return where it is.

        Raise LeaseLost where another process has taken the repository over: its pack has more than this one.
        """
        await confirm()
        if written.embeddings_path is not None:
            self.embeddings = await self._put(written.embeddings_path)
        self.docpack = await self._put(written.path)
        return self.docpack["url"] or self.docpack["key"]

    async def _put(self, path: Path) -> ResultsPointer:
        key, body = f"{self.folder}/{path.name}", await asyncio.to_thread(path.read_bytes)
        await self.storage.write(key, body)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())
        url = self.storage.url(key)
        return {"bucket": self.storage.bucket, "key": key, "url": url, "bytes": len(body), "sha256": digest}

    async def previous_pack(self, work: Path) -> Path | None:
        """Return a copy of the earlier pack, None where there is none. Raise InputError for a named one."""
        if not await self.storage.exists(self.previous_key):
            if self.is_previous_named:
                raise InputError(f"previous_docpack_key: {self.previous_key} names nothing; leave it out to begin anew")
            return None
        return await self.fetched(self.previous_key, work / self.previous_key)

    async def fetched(self, key: str, path: Path) -> Path:
        """Copy an object to a file and return its path."""

        def copy() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as copied:
                shutil.copyfileobj(file, copied)

        with await self.storage.open(key) as file:
            try:
                await asyncio.to_thread(copy)
            except OSError as error:
                raise JobError(f"{key} cannot be kept on this machine ({error.strerror})", "storage") from None
        return path


async def _repository_key(storage: Storage, git: GitSource, subdir: str | None) -> str:
    """Return the key of a repository's pack: of the one that is there, or else of a new one.

    Earlier versions kept the capitals of the URL. A pack of that time keeps its key; and what a job of that time has
    bought without coming to its pack is found by a job with the same URL.
    """
    folder, name = keys.repository_folder(git.url, subdir), keys.pack_name(git.url)
    key = f"{folder}/{name}"
    if not ignores_case(git.host) or await storage.exists(key):
        return key
    for other in reversed(await storage.list_keys(f"{keys.PACKS}/")):
        other_folder, _, other_name = other.rpartition("/")
        if (keys.without_capitals(other_folder), other_name.lower()) == (folder, name):
            return other
    spelled = keys.spelled_folder(git.url, subdir)
    kept = keys.KEPT + keys.kept_as(spelled)
    if spelled != folder and any(one.startswith(kept) for one in await storage.list_keys(keys.KEPT)):
        return f"{spelled}/{name}"
    return key
