"""The JSON Schemas of the contract, for files and for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from generation.config import Settings
from generation.contract.examples import EXAMPLES
from generation.contract.models import (
    VERSION,
    GenerationEvent,
    GenerationInput,
    GenerationOutput,
    ProgressSnapshot,
    ResultsDocument,
)
from generation.intake.job_input import JobOptions

DOCUMENTS: Mapping[str, type[BaseModel]] = {
    "input": GenerationInput,
    "output": GenerationOutput,
    "results": ResultsDocument,
    "events": GenerationEvent,
    "progress": ProgressSnapshot,
}

_INPUT_MEANINGS = {
    "job_id": "1 to 128 letters, digits, dots, underscores or hyphens, and not only dots; default: the door's own id.",
    "symbols": "The symbols to document.",
    "symbols_key": "Instead of `symbols`: an object of the results bucket that holds them (JSON, JSON Lines, gzip).",
    "previous_results_key": "Earlier results, an object of the results bucket: what has not changed is taken over.",
    "options": "This job's own choices.",
}
_CONTEXT_MEANINGS = {
    "symbol_id": "The same as beside `context`.",
    "name": "As the source calls it.",
    "kind": "Such as function, method or class.",
    "language": "The programming language.",
    "file_path": "Where it is, from the root of the repository.",
    "signature": "As it stands in the source.",
    "calls": "Names of what it calls.",
    "called_by": "Names of what calls it.",
    "imports": "Import lines of its file.",
    "related_symbols": "Names, or objects that say more; semantic context uses those as they are.",
    "cluster_label": "The part of the codebase that it belongs to.",
    "centrality": "0 to 1; 1 is the most central symbol.",
    "docstring": "As it stands in the source, without its quotes.",
    "source_code": "The more of the body is there, the better the summary.",
    "embedding": "Of one dimension for all of a job; semantic context finds the nearest neighbours by it.",
}
_OPTION_MEANINGS = {
    "deadline_s": "Seconds after which the job ends with what is done by then.",
    "dry_run": "Answer with the plan and its price; nothing is asked and nothing stored.",
}


def json_schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one of DOCUMENTS, complete in itself."""
    model = DOCUMENTS[name]
    body = model.model_json_schema(schema_generator=_Schema)
    definitions = body.get("$defs", {})
    _describe({model.__name__: body, **definitions})
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:doctown:generation:{name}:v{VERSION}"}
    return {**head, "title": model.__name__, **body}


def openapi_components() -> dict[str, Any]:
    """All models as OpenAPI 3.1 has them under `components.schemas`, by their names."""
    mode: JsonSchemaMode = "validation"
    models = [(model, mode) for model in DOCUMENTS.values()]
    template = "#/components/schemas/{model}"
    _, found = models_json_schema(models, ref_template=template, schema_generator=_Schema)
    definitions: dict[str, Any] = found["$defs"]
    _describe(definitions)
    return definitions


class _Schema(GenerateJsonSchema):
    """Without a title for each property, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002
        return False


def _describe(definitions: Mapping[str, Any]) -> None:
    """Put in what the classes that read the input do not say, as nothing at run time asks for it."""
    meanings = {
        "GenerationInput": _INPUT_MEANINGS,
        "SymbolContext": _CONTEXT_MEANINGS,
        "JobOptions": {name: _option_meaning(name) for name in JobOptions.model_fields},
    }
    for name, texts in meanings.items():
        properties = definitions.get(name, {}).get("properties", {})
        for key, text in texts.items():
            if text and key in properties:
                properties[key]["description"] = text
    for name, example in EXAMPLES.items():
        if name in definitions:
            definitions[name]["examples"] = [example]
    if "GenerationInput" in definitions:
        definitions["GenerationInput"]["oneOf"] = [
            {"required": [key], "properties": {key: {"type": kind}}}
            for key, kind in (("symbols", "array"), ("symbols_key", "string"))
        ]


def _option_meaning(name: str) -> str:
    """What an option means is what the setting means whose place it takes."""
    setting = Settings.model_fields.get(JobOptions.model_fields[name].serialization_alias or name)
    return setting.description or "" if setting else _OPTION_MEANINGS.get(name, "")
