"""Logging, set up alike for every process: lines on standard error, without the libraries' chatter.

The quiet loggers stay at WARNING whatever LOG_LEVEL says: below it they log headers, signatures and addresses.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

QUIET_LOGGERS = ("httpx", "httpx2", "openai", "boto3", "botocore", "s3transfer", "urllib3", "aiohttp", "asyncio")

LINE = "%(levelname)s %(name)s: %(message)s"


def set_up_logging(level: str, line: str = LINE, add_fields: Callable[[logging.LogRecord], bool] | None = None) -> None:
    """Log to standard error from `level` upwards, in place of whatever was set up before.

    `add_fields` may set attributes of each record that `line` shows. An unknown level means WARNING: reading the
    settings reports it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(line))
    if add_fields is not None:
        handler.addFilter(add_fields)
    known = logging.getLevelNamesMapping()
    logging.basicConfig(level=known.get(level.upper(), logging.WARNING), handlers=[handler], force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
