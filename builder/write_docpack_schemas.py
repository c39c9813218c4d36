"""Writes the JSON Schemas of `doctown/docpack/schema.py` to files, for those who read packs elsewhere.

    python builder/write_docpack_schemas.py [FOLDER]

One file for each document of a pack, by its name. The files are committed, and a test holds them to the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# A script's own folder is on the path, and the repository is not.
sys.path.insert(0, str(REPOSITORY))

from doctown.docpack.schema import DOCUMENTS, json_schema_of  # noqa: E402


def main() -> None:
    """Write every schema anew."""
    parser = argparse.ArgumentParser(description="Write the JSON Schemas of the documents in a .docpack.")
    default = REPOSITORY / "schemas" / "docpack"
    parser.add_argument("folder", nargs="?", type=Path, default=default, help="default: schemas/docpack")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        text = json.dumps(json_schema_of(name), indent=2, ensure_ascii=False)
        (folder / f"{name}.schema.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
