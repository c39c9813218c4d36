"""Where results go and large inputs come from: Cloudflare R2, or a folder. The only importer of `boto3`.

Adds to boto3: the settings that R2 needs, one retry layer, a write on condition, and the error in one sentence; calls
run in a thread, since boto3 blocks. Leaves out: what is written, and what becomes of a write that another was before.
"""

from __future__ import annotations

import os

from generation.config import Settings
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.r2 import R2Storage


def open_storage(settings: Settings) -> Storage:
    """The bucket where one is set, else the folder."""
    return R2Storage(settings) if settings.r2_bucket else FolderStorage(settings.results_dir)


async def check_storage(storage: Storage) -> None:
    """Write and remove a document. Raises StorageError where the results of a job could not be stored."""
    key = f"checkpoints/.check/{os.urandom(8).hex()}"
    await storage.write(key, b"{}")
    await storage.delete([key])
