"""Write the JSON Schemas of what enters and leaves jobs to files, for validators and for the TypeScript client's types.

    python builder/write_schemas.py [FOLDER]

Writes one file for each document, under its name. The files are committed, and a test compares them with the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# Python puts a script's own folder on the path, but not the repository.
sys.path.insert(0, str(REPOSITORY))

from doctown.jobs.contract import DOCUMENTS as REPOSITORY_DOCUMENTS  # noqa: E402
from doctown.jobs.contract import EXAMPLES as REPOSITORY_EXAMPLES  # noqa: E402
from doctown.service.openapi import EXAMPLES as SERVICE_EXAMPLES  # noqa: E402
from doctown.service.openapi import SCHEMAS as SERVICE_DOCUMENTS  # noqa: E402
from generation.contract.examples import EXAMPLES  # noqa: E402
from generation.contract.export import DOCUMENTS, json_schema_of, json_schema_of_model  # noqa: E402


def main() -> None:
    """Write every schema."""
    parser = argparse.ArgumentParser(description="Write the JSON Schemas of what enters and leaves the worker.")
    parser.add_argument("folder", nargs="?", type=Path, default=REPOSITORY / "schemas", help="default: schemas")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    schemas = {name: json_schema_of(name) for name in DOCUMENTS}
    examples = {**EXAMPLES, **SERVICE_EXAMPLES, **REPOSITORY_EXAMPLES}
    others = {**REPOSITORY_DOCUMENTS, **SERVICE_DOCUMENTS}
    schemas |= {name: json_schema_of_model(name, model, examples) for name, model in others.items()}
    for name, schema in schemas.items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        (folder / f"{name}.schema.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
