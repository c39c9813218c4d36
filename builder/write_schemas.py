"""Writes the JSON Schemas of `generation/contract` to files, for validators and for the TypeScript client's types.

    python builder/write_schemas.py [FOLDER]

One file a document, by its name. The files are committed, and a test holds them to the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# A script's own folder is on the path, and the repository is not.
sys.path.insert(0, str(REPOSITORY))

from generation.contract.export import DOCUMENTS, json_schema_of  # noqa: E402


def main() -> None:
    """Writes every schema anew."""
    parser = argparse.ArgumentParser(description="Write the JSON Schemas of what enters and leaves the worker.")
    parser.add_argument("folder", nargs="?", type=Path, default=REPOSITORY / "schemas", help="default: schemas")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        text = json.dumps(json_schema_of(name), indent=2, ensure_ascii=False)
        (folder / f"{name}.schema.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
