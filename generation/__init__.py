"""Doctown's generation worker: documents symbols of a codebase through a model.

    from generation import Settings, SymbolContext, document

`document` documents symbols that a program has at hand; `run_job` reads a payload as the worker gets it, and calls
`document`. What is named here is the public API; the other modules are free to change. A name is imported when
it is first asked for, so that `import generation` alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.bulk.codebase import (
        Codebase,
        CodebaseResults,
        document_codebase,
        engine_settings,
        find_bought,
        forget_codebase,
    )
    from generation.bulk.engines.outcomes import FATAL, RESUMABLE
    from generation.bulk.engines.runpod.api import RunPodApi
    from generation.bulk.engines.runpod.engine import result_of
    from generation.bulk.engines.runpod.settings import RunPodSettings
    from generation.bulk.estimate import BATCH_SHARE
    from generation.bulk.manifest import check_run_name
    from generation.command_line import (
        CommandParser,
        add_address_arguments,
        dollars,
        prepare_environment,
        read_pairs,
        whole_number,
    )
    from generation.config import Settings
    from generation.domain.context import RelatedSymbol, SymbolContext
    from generation.domain.output import JobOutput, PlannedOutput
    from generation.errors import ConfigError, InputError, JobError, Stopped, StorageError, Unreachable
    from generation.figures.job import JobFigures, read_figures
    from generation.figures.process import ProcessFigures
    from generation.intake.faults import describe_fault
    from generation.intake.job_input import JobOptions, unwrapped
    from generation.intake.readable import check_input_key, check_pack_key
    from generation.intake.validation import validate_payload
    from generation.job import JobRequest, document, forget_job, run_job
    from generation.logs import set_up_logging
    from generation.pages.blocks import Bars, Block, Line, Note, Page, Section, Table
    from generation.pages.html import render_page
    from generation.process import cancelled_on_signals, interrupted_by_signals, protect_streams
    from generation.prompts.content_hash import hasher
    from generation.results.job_lease import job_lease
    from generation.storage import open_storage
    from generation.storage.base import Storage
    from generation.storage.keys import run_lease_key
    from generation.storage.lease import RUN_TTL_S, LeaseSighting, lease, lease_if_free

__version__ = "0.1.0"  # of the whole project

_HOMES = {
    "BATCH_SHARE": "generation.bulk.estimate",
    "Bars": "generation.pages.blocks",
    "Block": "generation.pages.blocks",
    "Codebase": "generation.bulk.codebase",
    "CodebaseResults": "generation.bulk.codebase",
    "CommandParser": "generation.command_line",
    "ConfigError": "generation.errors",
    "FATAL": "generation.bulk.engines.outcomes",
    "InputError": "generation.errors",
    "JobError": "generation.errors",
    "JobFigures": "generation.figures.job",
    "JobOptions": "generation.intake.job_input",
    "JobOutput": "generation.domain.output",
    "JobRequest": "generation.job",
    "LeaseSighting": "generation.storage.lease",
    "Line": "generation.pages.blocks",
    "Note": "generation.pages.blocks",
    "Page": "generation.pages.blocks",
    "PlannedOutput": "generation.domain.output",
    "ProcessFigures": "generation.figures.process",
    "RESUMABLE": "generation.bulk.engines.outcomes",
    "RUN_TTL_S": "generation.storage.lease",
    "RelatedSymbol": "generation.domain.context",
    "RunPodApi": "generation.bulk.engines.runpod.api",
    "RunPodSettings": "generation.bulk.engines.runpod.settings",
    "Section": "generation.pages.blocks",
    "Settings": "generation.config",
    "Stopped": "generation.errors",
    "Storage": "generation.storage.base",
    "StorageError": "generation.errors",
    "SymbolContext": "generation.domain.context",
    "Table": "generation.pages.blocks",
    "Unreachable": "generation.errors",
    "add_address_arguments": "generation.command_line",
    "cancelled_on_signals": "generation.process",
    "check_input_key": "generation.intake.readable",
    "check_pack_key": "generation.intake.readable",
    "check_run_name": "generation.bulk.manifest",
    "describe_fault": "generation.intake.faults",
    "document": "generation.job",
    "document_codebase": "generation.bulk.codebase",
    "dollars": "generation.command_line",
    "engine_settings": "generation.bulk.codebase",
    "find_bought": "generation.bulk.codebase",
    "forget_codebase": "generation.bulk.codebase",
    "forget_job": "generation.job",
    "hasher": "generation.prompts.content_hash",
    "interrupted_by_signals": "generation.process",
    "job_lease": "generation.results.job_lease",
    "lease": "generation.storage.lease",
    "lease_if_free": "generation.storage.lease",
    "open_storage": "generation.storage",
    "prepare_environment": "generation.command_line",
    "protect_streams": "generation.process",
    "read_figures": "generation.figures.job",
    "read_pairs": "generation.command_line",
    "render_page": "generation.pages.html",
    "result_of": "generation.bulk.engines.runpod.engine",
    "run_job": "generation.job",
    "run_lease_key": "generation.storage.keys",
    "set_up_logging": "generation.logs",
    "unwrapped": "generation.intake.job_input",
    "validate_payload": "generation.intake.validation",
    "whole_number": "generation.command_line",
}

__all__ = [
    "BATCH_SHARE",
    "FATAL",
    "RESUMABLE",
    "RUN_TTL_S",
    "Bars",
    "Block",
    "Codebase",
    "CodebaseResults",
    "CommandParser",
    "ConfigError",
    "InputError",
    "JobError",
    "JobFigures",
    "JobOptions",
    "JobOutput",
    "JobRequest",
    "LeaseSighting",
    "Line",
    "Note",
    "Page",
    "PlannedOutput",
    "ProcessFigures",
    "RelatedSymbol",
    "RunPodApi",
    "RunPodSettings",
    "Section",
    "Settings",
    "Stopped",
    "Storage",
    "StorageError",
    "SymbolContext",
    "Table",
    "Unreachable",
    "add_address_arguments",
    "cancelled_on_signals",
    "check_input_key",
    "check_pack_key",
    "check_run_name",
    "describe_fault",
    "document",
    "document_codebase",
    "dollars",
    "engine_settings",
    "find_bought",
    "forget_codebase",
    "forget_job",
    "hasher",
    "interrupted_by_signals",
    "job_lease",
    "lease",
    "lease_if_free",
    "open_storage",
    "prepare_environment",
    "protect_streams",
    "read_figures",
    "read_pairs",
    "render_page",
    "result_of",
    "run_job",
    "run_lease_key",
    "set_up_logging",
    "unwrapped",
    "validate_payload",
    "whole_number",
]


def __getattr__(name: str) -> object:
    """Import a name of the public API when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
