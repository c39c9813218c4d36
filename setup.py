"""Adds to a wheel what `make setup` fetches: the tokenizer's vocabulary and the embedding model.

Both are taken from the folders that `make setup` fills, or fetched now, and checked either way. A wheel without the
vocabulary could not buy a summary, so the build ends where it cannot be had. Without the model, builds compare words,
and say so: the wheel is made without it. All else is in pyproject.toml.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# The script, the folder in this one, the folder in the wheel (`generation.config` and `doctown.embedding.settings`
# look there), and whether there can be a wheel without it.
FETCHED = (
    ("fetch_vocabulary.py", "vocabulary", "generation/vocabulary", True),
    ("fetch_embedding_model.py", "models/minilm-l6", "doctown/models/minilm-l6", False),
)


class BuildWithFetchedFiles(build_py):
    """Builds the packages and adds the fetched files."""

    def run(self) -> None:
        """Build. An editable install needs nothing: it finds the folders of the checkout."""
        super().run()
        if self.editable_mode:
            return
        for script, source, target, is_required in FETCHED:
            folder = Path(self.build_lib, target)
            if Path(source).is_dir():
                shutil.copytree(source, folder, dirs_exist_ok=True)
            subprocess.run([sys.executable, f"builder/{script}", str(folder)], check=is_required)


setup(cmdclass={"build_py": BuildWithFetchedFiles})
