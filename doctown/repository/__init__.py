"""Fetch a repository and say which of its files are documented.

    with open_source("https://github.com/owner/repo@v1", limits=Limits.from_env(environ), environ=environ) as checkout:
        for file in select_files(checkout, Selection(exclude=("docs/",))):
            text = read_text(checkout.root / file.path) if file.status == "selected" else file.reason

A source is a folder, an archive or a git URL (`address`), opened by `checkout` through `clone` and `archive`, or read
in place by `local`. A service fetches from the hosts of its `network` only, through a `tunnel`. `entries` are the
files, and `selection` decides about each by its path (`paths`) and its first bytes (`content`). `text` gives the parser
UTF-8. Nothing of a repository is ever run.
"""

from doctown.repository.address import (
    ARCHIVE_ENDINGS,
    ArchiveSource,
    FolderSource,
    GitSource,
    clean_url,
    identity,
    ignores_case,
    parse_git_url,
    parse_source,
    short_name,
)
from doctown.repository.checkout import Checkout, newest_commit, open_source
from doctown.repository.limits import Limits
from doctown.repository.network import Network
from doctown.repository.paths import is_test_path
from doctown.repository.selection import Selection, SourceFile, select_files
from doctown.repository.text import Decoded, decode, read_text

__all__ = [
    "ARCHIVE_ENDINGS",
    "ArchiveSource",
    "Checkout",
    "Decoded",
    "FolderSource",
    "GitSource",
    "Limits",
    "Network",
    "Selection",
    "SourceFile",
    "clean_url",
    "decode",
    "identity",
    "ignores_case",
    "is_test_path",
    "newest_commit",
    "open_source",
    "parse_git_url",
    "parse_source",
    "read_text",
    "select_files",
    "short_name",
]
