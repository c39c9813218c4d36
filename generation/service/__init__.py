"""The worker as an HTTP service, and what other services of the project are made of: a part of the public API.

A name is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.config import ServiceSettings
    from generation.contract.export import components_of
    from generation.service.admission import IDLE_TIMEOUT_S
    from generation.service.answers import RequestRejected
    from generation.service.app import Service, add_routes
    from generation.service.openapi import describe, error_response_of, reference
    from generation.service.server import serve, set_up_service_logging
    from generation.service.stream import message
    from generation.service.web import new_app

_HOMES = {
    "IDLE_TIMEOUT_S": "generation.service.admission",
    "RequestRejected": "generation.service.answers",
    "Service": "generation.service.app",
    "ServiceSettings": "generation.config",
    "add_routes": "generation.service.app",
    "components_of": "generation.contract.export",
    "describe": "generation.service.openapi",
    "error_response_of": "generation.service.openapi",
    "message": "generation.service.stream",
    "new_app": "generation.service.web",
    "reference": "generation.service.openapi",
    "serve": "generation.service.server",
    "set_up_service_logging": "generation.service.server",
}

__all__ = [
    "IDLE_TIMEOUT_S",
    "RequestRejected",
    "Service",
    "ServiceSettings",
    "add_routes",
    "components_of",
    "describe",
    "error_response_of",
    "message",
    "new_app",
    "reference",
    "serve",
    "set_up_service_logging",
]


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
