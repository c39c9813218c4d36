"""What tests need on both sides of a connection: strict JSON and a port that nobody has."""

from __future__ import annotations

import json
import socket
from typing import Any, NoReturn


def strict_json(text: str | bytes) -> Any:
    """Parse JSON without Python's extensions. Raises ValueError for NaN and Infinity too."""
    return json.loads(text, parse_constant=_refuse)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens at this moment."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
