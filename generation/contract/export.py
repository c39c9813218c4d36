"""The JSON Schemas of the contract, for files and for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from generation.config import Settings
from generation.contract.examples import EXAMPLES
from generation.contract.models import VERSION, GenerationEvent, GenerationInput, GenerationOutput
from generation.domain.output import ProgressSnapshot, ResultsDocument, Stats
from generation.intake.job_input import JobOptions

DOCUMENTS: Mapping[str, type[Any]] = {
    "input": GenerationInput,
    "output": GenerationOutput,
    "results": ResultsDocument,
    "events": GenerationEvent,
    "progress": ProgressSnapshot,
    "stats": Stats,
}

_OPTION_MEANINGS = {
    "deadline_s": "Seconds after which the job ends with what is done by then.",
    "renew": "Write every summary anew, also of symbols that have not changed.",
    "dry_run": "Answer with the plan and its price; nothing is asked and nothing stored.",
}


def json_schema_of(name: str) -> dict[str, Any]:
    """Return the self-contained JSON Schema (2020-12) of one of DOCUMENTS."""
    return json_schema_of_model(name, DOCUMENTS[name], EXAMPLES)


def json_schema_of_model(name: str, model: type[Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Return the self-contained JSON Schema (2020-12) of a document; `examples` are those of types, by name."""
    body = TypeAdapter(model).json_schema(schema_generator=_Schema)
    definitions = body.get("$defs", {})
    _describe({model.__name__: body, **definitions}, examples)
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:doctown:generation:{name}:v{VERSION}"}
    return {**head, "title": model.__name__, **body}


def openapi_components() -> dict[str, Any]:
    """Return the schemas of all models by name, as OpenAPI 3.1 has them under `components.schemas`."""
    definitions = components_of(DOCUMENTS)
    _describe(definitions, EXAMPLES)
    return definitions


def components_of(documents: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Return the schemas of these types, and of all that they refer to, by name, as OpenAPI 3.1 has them."""
    mode: JsonSchemaMode = "validation"
    models = [(name, mode, TypeAdapter(model)) for name, model in documents.items()]
    template = "#/components/schemas/{model}"
    _, found = TypeAdapter.json_schemas(models, ref_template=template, schema_generator=_Schema)
    definitions: dict[str, Any] = found["$defs"]
    return definitions


class _Schema(GenerateJsonSchema):
    """A generator that sets no title for properties, since it would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002
        return False


# Inputs of which exactly one of these keys must be given, by their types.
_SOURCES = (("symbols", "array"), ("symbols_key", "string"), ("repository", "object"), ("archive_key", "string"))


def _describe(definitions: Mapping[str, Any], examples: Mapping[str, Any]) -> None:
    """Add descriptions and examples that the parsing classes lack because they are not needed at run time."""
    for name, example in examples.items():
        if name in definitions:
            definitions[name]["examples"] = [example]
    for definition in definitions.values():
        properties = definition.get("properties", {})
        for name, option in properties.items() if JobOptions.model_fields.keys() <= properties.keys() else ():
            option.setdefault("description", _option_meaning(name))
        given = [(key, kind) for key, kind in _SOURCES if key in properties]
        if {"job_id", "options"} <= properties.keys() and given:
            definition["oneOf"] = [{"required": [key], "properties": {key: {"type": kind}}} for key, kind in given]


def _option_meaning(name: str) -> str:
    """Return the description of an option: that of the setting which it overrides."""
    if name not in JobOptions.model_fields:
        return ""
    setting = Settings.model_fields.get(JobOptions.model_fields[name].serialization_alias or name)
    return setting.description or "" if setting else _OPTION_MEANINGS.get(name, "")
