"""The table of languages: which files are whose, which grammar parses them, and what extracts their records."""

from pathlib import PurePosixPath
from typing import Literal, NamedTuple

Level = Literal["full", "symbols", "files"]


class Language(NamedTuple):
    """One row: a language, or one dialect of it with a grammar of its own (tsx)."""

    name: str  # what the pack says; several rows can share it
    extensions: tuple[str, ...]  # lower case, with the dot
    grammar: str  # "module:function" that returns the tree-sitter language
    query: str  # the stem of the file in queries/
    extractor: str  # the module of doctown.parsing that has HANDLERS
    level: Level
    prepare: str | None = None  # "module:function" bytes -> bytes of the same length (script parts of .vue)
    file_names: tuple[str, ...] = ()  # whole names (Rakefile)
    interpreters: tuple[str, ...] = ()  # of a first line "#!": "python3" is "python"


LANGUAGES: tuple[Language, ...] = (
    Language("python", (".py", ".pyi", ".pyw"), "tree_sitter_python:language", "python", "python", "full",
             file_names=("SConstruct", "SConscript"), interpreters=("python",)),
    Language("rust", (".rs",), "tree_sitter_rust:language", "rust", "rust", "full"),
    Language("go", (".go",), "tree_sitter_go:language", "go", "go", "full"),
    Language("java", (".java",), "tree_sitter_java:language", "java", "java", "full"),
    Language("csharp", (".cs", ".csx"), "tree_sitter_c_sharp:language", "csharp", "csharp", "full"),
    # Symbols and calls by name. A header is C's or C++'s by the repository around it: see detect.py.
    Language("c", (".c", ".h"), "tree_sitter_c:language", "c", "generic", "symbols"),
    Language("cpp", (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".ipp", ".inl", ".tpp"),
             "tree_sitter_cpp:language", "cpp", "generic", "symbols"),
    Language("ruby", (".rb", ".rake", ".gemspec"), "tree_sitter_ruby:language", "ruby", "generic", "symbols",
             file_names=("Rakefile", "Gemfile"), interpreters=("ruby",)),
    Language("php", (".php",), "tree_sitter_php:language_php", "php", "generic", "symbols", interpreters=("php",)),
    Language("kotlin", (".kt", ".kts"), "tree_sitter_kotlin:language", "kotlin", "generic", "symbols"),
    Language("swift", (".swift",), "tree_sitter_swift:language", "swift", "generic", "symbols"),
    Language("scala", (".scala", ".sc"), "tree_sitter_scala:language", "scala", "generic", "symbols"),
    Language("lua", (".lua",), "tree_sitter_lua:language", "lua", "generic", "symbols", interpreters=("lua",)),
    Language("bash", (".sh", ".bash"), "tree_sitter_bash:language", "bash", "generic", "symbols",
             interpreters=("bash", "sh")),
    Language("typescript", (".ts", ".mts", ".cts"), "tree_sitter_typescript:language_typescript", "typescript",
             "javascript", "full", interpreters=("ts-node", "tsx", "deno")),
    Language("typescript", (".tsx",), "tree_sitter_typescript:language_tsx", "tsx", "javascript", "full"),
    Language("javascript", (".js", ".jsx", ".mjs", ".cjs"), "tree_sitter_javascript:language", "javascript",
             "javascript", "full", interpreters=("node", "bun")),
    Language("svelte", (".svelte",), "tree_sitter_typescript:language_typescript", "typescript", "javascript", "full",
             prepare="doctown.parsing.javascript:script_parts"),
    Language("vue", (".vue",), "tree_sitter_typescript:language_tsx", "tsx", "javascript", "full",
             prepare="doctown.parsing.javascript:script_parts"),
)  # fmt: skip

_BY_EXTENSION = {extension: row for row in reversed(LANGUAGES) for extension in row.extensions}
_BY_FILE_NAME = {name: row for row in reversed(LANGUAGES) for name in row.file_names}


def language_of(path: str) -> str | None:
    """Return the name of the language of a file by its path, None where the table has none."""
    row = _row_of_path(path)
    return row.name if row else None


def language_of_first_line(line: bytes) -> str | None:
    """Return the name of the language that a first line `#!…` asks for (files without an extension)."""
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode("utf-8", "replace").replace("/", " ").split()
    known = {interpreter: row.name for row in LANGUAGES for interpreter in row.interpreters}
    return next((known[word] for word in (w.rstrip("0123456789.") for w in words) if word in known), None)


def row_for(language: str, path: str) -> Language:
    """Return the row that extracts a file of `language`: the dialect of its extension, else the language's first row.

    Raises KeyError for a language that the table does not have.
    """
    row = _row_of_path(path)
    if row is not None and row.name == language:
        return row
    return next((row for row in LANGUAGES if row.name == language), None) or _unknown(language)


def _row_of_path(path: str) -> Language | None:
    pure = PurePosixPath(path)
    return _BY_FILE_NAME.get(pure.name) or _BY_EXTENSION.get(pure.suffix.lower())


def _unknown(language: str) -> Language:
    raise KeyError(f"no language {language!r} in the table of doctown.parsing.languages")
