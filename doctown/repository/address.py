"""What a source is: a folder, an archive or a git URL, and which ref of it.

`parse_source` and `parse_git_url` look at the text and at which folders there are. Nothing is fetched
here, and messages never repeat a source that may hold a password.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from doctown.errors import SourceError

ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz")

_EXPECTED = "give a folder, a .zip, .tar.gz or .tgz archive, or a git URL such as https://github.com/owner/repo@ref"
_USER_IN_URL = (
    "The git URL has a user name or password before its host: leave it out, and put the token into GIT_TOKEN "
    "or GITHUB_TOKEN"
)
# user@host:path, as ssh takes it; a host or path that begins with "-" would be an option of ssh.
_SCP = re.compile(r"(?P<user>\w[\w.-]*)@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^-\s][^\s]*)")
_SHORTHAND = re.compile(r"[\w.-]+/[\w.-]+(@\S+)?")
# What git takes for a ref or commit id, and nothing that has a meaning in a refspec (gitcheckrefformat).
_REF = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_@./+#=-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
HOSTS_IGNORING_CASE = frozenset({"github.com", "gitlab.com", "bitbucket.org"})
# Addresses of pages of a repository, as people copy them from a browser.
_PAGE = re.compile(r"(?P<repository>/[^/]+/[^/]+)(/-)?/(tree|blob|src|commit)/")


@dataclass(frozen=True)
class FolderSource:
    """A folder on the disk."""

    path: Path


@dataclass(frozen=True)
class ArchiveSource:
    """An archive on the disk."""

    path: Path


@dataclass(frozen=True)
class GitSource:
    """A git repository behind a URL, which holds no user name or password but ssh's.

    `protocol` is https, http (loopback only), ssh or file. `host` has the port, if one is given.
    """

    url: str
    protocol: str
    host: str
    ref: str | None


def parse_source(source: str) -> FolderSource | ArchiveSource | GitSource:
    """Return what the source is. Raises SourceError."""
    if not source.strip() or "\0" in source:
        raise SourceError(f"The source is empty or has a NUL character: {_EXPECTED}")
    if git := parse_git_url(source):
        return git
    path = Path(source)
    try:
        if path.is_dir():
            return FolderSource(path)
        if path.is_file():
            return _archive(path)
    except OSError:  # a name that is too long, or a folder that may not be entered
        pass
    if _SHORTHAND.fullmatch(source):
        raise SourceError(f"There is no folder {source}: for a repository on GitHub, give https://github.com/{source}")
    raise SourceError(f"There is no such folder or archive: {_EXPECTED}")


def parse_git_url(text: str) -> GitSource | None:
    """Return the git URL that the text is, or None if it has none of the forms. Raises SourceError for a bad one."""
    if "://" not in text:
        match = _SCP.fullmatch(text)
        if match is None or Path(text).exists():
            return None
        path, ref = _split_ref(match["path"])
        return GitSource(f"{match['user']}@{match['host']}:{path}", "ssh", match["host"], _checked_ref(ref))
    scheme = text.partition("://")[0].lower()
    if scheme == "file":
        return _file_source(text)
    if scheme not in {"https", "http", "ssh"}:
        raise SourceError("The source is a URL of another kind: give https://…, git@host:path or file:///path")
    if not text.isprintable() or " " in text:
        raise SourceError("The git URL has spaces or control characters: leave them out")
    try:
        parts = urlsplit(text)
        host = _host(parts)
    except ValueError:
        raise SourceError("The git URL is malformed: give https://host/owner/repo@ref") from None
    return _ssh_source(parts, host) if scheme == "ssh" else _http_source(parts, host)


def clean_url(url: str) -> str | None:
    """Return the web address of a git remote: https, no user, no password, no `.git`.

    `git@github.com:o/r.git` and `ssh://git@github.com/o/r` become `https://github.com/o/r`. A remote without a host,
    such as a path, has none. Plain `http` stays what it is.
    """
    scp = _SCP.fullmatch(url)
    if scp is not None and "://" not in url:
        return _web_url("https", scp["host"], scp["path"])
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in {"https", "http", "ssh", "git", "git+ssh"}:
        return None
    web = parts.scheme in {"https", "http"}
    host = f"[{host}]" if ":" in host else host
    # The port of ssh says nothing about the web server's.
    return _web_url(parts.scheme if web else "https", f"{host}:{port}" if web and port else host, parts.path)


def identity(url: str) -> str:
    """Return what all URLs of one repository have in common.

    It is the web address without its scheme, in lower case where the host ignores case, or the URL itself where that
    leads to no web server.
    """
    web = (clean_url(url) or url).partition("://")[2]
    return web.lower() if ignores_case(web.partition("/")[0]) else web or url


def ignores_case(host: str) -> bool:
    """Tell whether Owner/Repo and owner/repo are one repository at a host."""
    return host in HOSTS_IGNORING_CASE


def short_name(path: str) -> str:
    """Return a repository's short name: the last part of its path, without `.git` or an archive's ending."""
    name = re.split(r"[/\\:]", path.rstrip("/\\"))[-1]
    for ending in (".git", *ARCHIVE_ENDINGS):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name or "repository"


def is_commit_id(ref: str) -> bool:
    """Tell whether a ref is a full commit id."""
    return _COMMIT.fullmatch(ref) is not None


def is_short_commit_id(ref: str) -> bool:
    """Tell whether a ref looks like an abbreviated commit id."""
    return _SHORT_COMMIT.fullmatch(ref) is not None


def _archive(path: Path) -> ArchiveSource:
    if not path.name.lower().endswith(ARCHIVE_ENDINGS):
        raise SourceError(f"{path.name!a} is a file that is no archive: {_EXPECTED}")
    return ArchiveSource(path)


def _http_source(parts: SplitResult, host: str) -> GitSource:
    if "@" in parts.netloc:
        raise SourceError(_USER_IN_URL)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise SourceError("The git URL is plain http, which anyone on the way can read and change: use https")
    if parts.query:
        raise SourceError("The git URL has a query after ?: leave it out")
    # A "#" may stand in a ref.
    path, ref = _split_ref(parts.path + (f"#{parts.fragment}" if parts.fragment else ""))
    if path.lower().endswith(ARCHIVE_ENDINGS):
        raise SourceError("The source is an archive on the web: download it and give the file, or give the git URL")
    if page := _PAGE.match(path + "/"):
        raise SourceError(
            f"The git URL is that of a page: give {parts.scheme}://{host}{page['repository']}@REF, and --subdir for a "
            "folder in it"
        )
    if "#" in path or not path.strip("/"):
        raise SourceError("The git URL has no repository's path: give https://host/owner/repo@ref")
    return GitSource(f"{parts.scheme}://{host}{path}", parts.scheme, host, _checked_ref(ref))


def _ssh_source(parts: SplitResult, host: str) -> GitSource:
    if parts.password is not None:
        raise SourceError(_USER_IN_URL)
    user = parts.username or "git"
    path, ref = _split_ref(parts.path)
    if not re.fullmatch(r"\w[\w.-]*", user) or not path.strip("/") or parts.query or parts.fragment:
        raise SourceError("The git URL is malformed: give ssh://git@host/owner/repo@ref")
    return GitSource(f"ssh://{user}@{host}{path}", "ssh", host, _checked_ref(ref))


def _file_source(text: str) -> GitSource:
    path = text[len("file://") :]
    if not path.startswith("/"):
        raise SourceError("The file URL has no absolute path: give file:///path/to/repository")
    # Folders may have an "@" in their names: the first split that leaves a folder is taken.
    ends = [len(path), *(at.start() for at in re.finditer("@", path))]
    for end in ends:
        if Path(unquote(path[:end])).is_dir():
            folder, ref = unquote(path[:end]), path[end + 1 :] if end < len(path) else None
            return GitSource(f"file://{quote(folder)}", "file", "", _checked_ref(ref))
    raise SourceError("There is no folder at the file URL: give file:///path/to/repository@ref")


def _split_ref(path: str) -> tuple[str, str | None]:
    """Split `/o/r@ref` at the first "@" that does not begin a part of the path; a ref may hold slashes and more "@"."""
    match = re.search(r"(?<=[^/])@", path)
    return (path, None) if match is None else (path[: match.start()], path[match.end() :])


def _checked_ref(ref: str | None) -> str | None:
    if ref is None:
        return None
    if not _REF.fullmatch(ref) or ".." in ref or "@{" in ref or "//" in ref or ref.endswith(("/", ".", ".lock")):
        raise SourceError("The part after @ is not a ref: give a branch, a tag or a full commit id")
    return ref


def _host(parts: SplitResult) -> str:
    host, port = (parts.hostname or "").lower(), parts.port
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*|[0-9a-f:.]*:[0-9a-f:.]*", host):
        raise ValueError("no host")
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _web_url(scheme: str, host: str, path: str) -> str | None:
    path = path.strip("/").removesuffix(".git").strip("/")
    return f"{scheme}://{host.lower()}/{quote(path, safe='/%~@+:,=!$&()*;')}" if path else None
