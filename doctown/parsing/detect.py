"""Which language a file is in: by its name, by its first line, and for C's headers by the repository around it."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from doctown.parsing.languages import language_of, language_of_first_line


def detect_language(path: str, text: bytes, header_language: str) -> str | None:
    """Return the language of a file, None where it is in none that can be parsed."""
    language = language_of(path)
    if language == "c" and path.lower().endswith(".h"):
        return header_language
    if language is None and "." not in PurePosixPath(path).name:
        return language_of_first_line(text[:200].partition(b"\n")[0])
    return language


def language_of_headers(paths: Iterable[str]) -> str:
    """Return what `.h` files are in a repository with these files: C++ where it has more files of C++ than of C."""
    sources = [language_of(path) for path in paths if not path.lower().endswith(".h")]
    return "cpp" if sources.count("cpp") > sources.count("c") else "c"
