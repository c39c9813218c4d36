"""The forms in which answers are asked for, as strict JSON Schemas."""

from __future__ import annotations

from typing import Any


def _strict_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def _strict_object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON Schema
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_TEXT = {"type": "string"}
ONE_SUMMARY = _strict_format("symbol_summary", _strict_object(summary=_TEXT))
SEVERAL_SUMMARIES = _strict_format(
    "symbol_summaries", _strict_object(summaries={"type": "array", "items": _strict_object(key=_TEXT, summary=_TEXT)})
)
