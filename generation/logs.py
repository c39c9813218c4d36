"""Set up logging alike in every process: lines on standard error, without the libraries' details.

LOG_LEVEL is for this project's own lines. Libraries stay at WARNING whatever it says, known or unknown: below that they
log headers, signatures and URLs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

OWN_LOGGERS = ("generation", "doctown", "handler", "uvicorn")
# Some libraries set levels of their own.
QUIET_LOGGERS = ("httpx", "httpx2", "openai", "boto3", "botocore", "s3transfer", "urllib3", "aiohttp", "asyncio")

LINE = "%(levelname)s %(name)s: %(message)s"


def set_up_logging(level: str, line: str = LINE, add_fields: Callable[[logging.LogRecord], bool] | None = None) -> None:
    """Log to standard error from `level` upwards; replaces any earlier set-up.

    `line` is a `logging` format. `add_fields` may set attributes of each record for `line` to show. An unknown level
    means WARNING, since reading the settings reports it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(line))
    if add_fields is not None:
        handler.addFilter(add_fields)
    known = logging.getLevelNamesMapping()
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(known.get(level.upper(), logging.WARNING))
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
