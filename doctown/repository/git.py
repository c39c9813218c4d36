"""Run the `git` command so that neither a repository nor the user's settings can make it do anything else.

`git_environment` builds an environment from nothing: no prompts, no system or user configuration, no hooks, no file
system monitor, no filters, no submodules, one allowed transport or none. Configuration goes through GIT_CONFIG_*,
which stands above a repository's own. `Git.run` kills the whole process group at a limit. What git says is kept in
`GitFailed.complaint` to be understood, and is never shown: it may quote what a server sent.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from doctown.errors import SourceError
from doctown.repository.limits import Deadline

# Output of one command is kept in a file up to here; the index of a million files takes a fifth of it.
MAX_OUTPUT_BYTES = 500_000_000
_MAX_COMPLAINT_BYTES = 65_536
_POLL_S = 0.05
_GITHUB_HOSTS = ("github.com", ".ghe.com")

# Passed on from the caller's environment: where programs are, and how the network is reached.
_PASSED_ON = ("PATH", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")

# For every command. An empty value of a command's name means that no command is run.
_HARDENING = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.askPass": "",
    "credential.helper": "",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    "filter.lfs.clean": "",
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class GitFailed(Exception):
    """A git command ended with an exit status other than 0; `complaint` is what it wrote to stderr.

    A plain fact, translated to a SourceError before it leaves the package.
    """

    def __init__(self, exit_status: int, complaint: str) -> None:
        super().__init__(f"git ended with exit status {exit_status}")
        self.exit_status = exit_status
        self.complaint = complaint


class OutputTooLong(Exception):
    """A git command wrote more than the caller reads."""


@dataclass(frozen=True)
class Git:
    """A way to run git commands: in one environment, until one deadline; what `check` raises ends them too."""

    environment: Mapping[str, str]
    deadline: Deadline
    check: Callable[[], None] = lambda: None

    def run(
        self,
        *arguments: str,
        cwd: Path,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        check: Callable[[], None] = lambda: None,
    ) -> bytes:
        """Return what a command writes to stdout. `check` is called meanwhile, and what it raises ends the command.

        Raises GitFailed, OutputTooLong, or SourceError where git is missing or the time is up.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaint:

            def look() -> None:
                self.deadline.check()
                self.check()
                check()
                if _size(output) > max_output_bytes or _size(complaint) > MAX_OUTPUT_BYTES:
                    raise OutputTooLong

            exit_status = self._finish(self._start(arguments, cwd, output, complaint), look)
            if exit_status != 0:
                complaint.seek(max(0, _size(complaint) - _MAX_COMPLAINT_BYTES))
                raise GitFailed(exit_status, complaint.read().decode("utf-8", "replace"))
            look()
            output.seek(0)
            return output.read()

    def answer(self, *arguments: str, cwd: Path) -> str | None:
        """Return a command's output without surrounding space, or None if it fails or says nothing."""
        try:
            return self.run(*arguments, cwd=cwd).decode("utf-8", "replace").strip() or None
        except GitFailed:
            return None

    def _start(
        self, arguments: tuple[str, ...], cwd: Path, output: IO[bytes], complaint: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - a list of arguments, none of which begins as an option by accident
                ["git", *arguments],  # noqa: S607 - found on the PATH, as a user's shell finds it
                cwd=cwd,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaint,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise SourceError("There is no git command on the PATH: install git") from None
        except OSError:
            raise SourceError("The git command cannot be run: install git anew") from None

    @staticmethod
    def _finish(process: subprocess.Popen[bytes], look: Callable[[], None]) -> int:
        try:
            while True:
                try:
                    return process.wait(timeout=_POLL_S)
                except subprocess.TimeoutExpired:
                    look()
        finally:
            if process.returncode is None:
                # The group, since git leaves the network to processes of its own.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def git_environment(
    environ: Mapping[str, str],
    *,
    home: str,
    protocol: str | None = None,
    config: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment of git commands.

    `protocol` is the only transport that is allowed; without it there is none. `config` and `variables` are added.
    """
    settings = {**_HARDENING, **(config or {})}
    if protocol:
        settings[f"protocol.{protocol}.allow"] = "always"
    environment = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
    environment |= {
        "HOME": home,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes" if protocol == "ssh" else "false",
        "GIT_ALLOW_PROTOCOL": protocol or "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **(variables or {}),
    }
    if environ.get("SSL_CERT_FILE"):  # which only OpenSSL reads, and Debian's git is built with GnuTLS
        environment["GIT_SSL_CAINFO"] = environ["SSL_CERT_FILE"]
    if protocol == "ssh" and environ.get("SSH_AUTH_SOCK"):
        environment["SSH_AUTH_SOCK"] = environ["SSH_AUTH_SOCK"]
    environment["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment


def token_config(environ: Mapping[str, str], scheme: str, host: str) -> dict[str, str]:
    """Return the configuration that sends a token to a host, and to it alone; empty if there is no token.

    GITHUB_TOKEN is for github.com and *.ghe.com. GIT_TOKEN is for whichever host the source names: a caller that takes
    sources from strangers must leave it out of `environ`. With a token no redirect is followed, since git would send
    the header to the redirect's host as well.
    """
    names = ("GITHUB_TOKEN", "GIT_TOKEN") if _is_github(host) else ("GIT_TOKEN",)
    name = next((name for name in names if environ.get(name, "").strip()), None)
    if name is None:
        return {}
    token = environ[name].strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise SourceError(f"{name} has characters that no token has: set it to the token alone")
    # GitHub, GitLab, Gitea and Azure take any user name beside a token.
    credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        f"http.{scheme}://{host}/.extraHeader": f"Authorization: Basic {credentials}",
        "http.followRedirects": "false",
    }


def _is_github(host: str) -> bool:
    return host == _GITHUB_HOSTS[0] or host.endswith(_GITHUB_HOSTS[1])


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size
