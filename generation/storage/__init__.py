"""Storage for results and large inputs: Cloudflare R2 or a local folder. The only importer of `boto3`.

Adds to boto3: the settings that R2 needs, one retry layer, conditional writes, and errors of one sentence. Calls run in
a thread, since boto3 blocks. What is written, and how a lost conditional write is resolved, is up to the caller.
"""

from __future__ import annotations

import logging
import os

from generation.config import Settings
from generation.errors import StorageError
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.r2 import R2Storage

log = logging.getLogger(__name__)


def open_storage(settings: Settings) -> Storage:
    """Return the storage of R2_BUCKET where it is set, else that of RESULTS_DIR."""
    return R2Storage(settings) if settings.r2_bucket else FolderStorage(settings.results_dir)


async def check_storage(storage: Storage) -> None:
    """Write and delete a test document. Raises StorageError where the results of a job could not be stored."""
    key = f"checkpoints/.check/{os.urandom(8).hex()}"
    await storage.write(key, b"{}")
    await storage.delete([key])


async def check_storage_unless_away(storage: Storage) -> None:
    """Check a store as `check_storage` does; log a warning where it is only unavailable for now."""
    try:
        await check_storage(storage)
    except StorageError as error:
        if not error.retryable:
            raise
        log.warning("the results store is away: %s", error)
