"""The settings of the service for repositories: those of the worker's HTTP service, with its own port and a rate."""

from __future__ import annotations

from pydantic import Field

from generation.service import ServiceSettings


class RepositoryServiceSettings(ServiceSettings):
    """Where the service listens, who may call it, and how often."""

    port: int = Field(3000, ge=0, le=65_535, description="Port to listen on; 0 picks a free port")
    requests_per_minute: int = Field(
        6_000,
        ge=1,
        le=1_000_000,
        description="Requests a minute that a token may make in each process, half of them at once; "
        "without SERVICE_TOKEN, that an address may make",
    )
