"""Parse the input of a repository job: which repository, how it is built, and how its summaries are written.

Every key is checked, an unknown one is refused with the nearest known one, and a sentence names the place. Leaves out:
what the store and the network say of the repository (`run`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from doctown.docpack.schema import Kind
from doctown.embedding import Method
from doctown.errors import SourceError
from doctown.repository import ARCHIVE_ENDINGS, GitSource, parse_git_url
from generation import InputError, JobOptions, describe_fault, unwrapped
from generation.domain.limits import JOB_ID, JOB_ID_PATTERN, TEXT_PATTERN

MAX_SHOWN_FAULTS = 3
SOURCES = ("symbols", "symbols_key", "repository", "archive_key")
_STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=())

Text = Annotated[str, Field(min_length=1, max_length=1_024, pattern=TEXT_PATTERN)]
Patterns = Annotated[list[Text], Field(max_length=1_000)]
DocumentedKind = Literal[
    "function", "method", "class", "struct", "enum", "trait", "interface", "type", "constant", "macro", "property"
]


class RepositorySource(BaseModel):
    """A git repository on the web."""

    model_config = _STRICT

    url: Text = Field(description="Its address: https://host/owner/repo.")
    ref: Text | None = Field(None, description="Branch, tag or full commit ID; default: the repository's own branch.")
    subdir: Text | None = Field(None, description="Document only this folder of it.")


class RepositoryOptions(JobOptions):
    """What can be chosen of a build, beside what can be chosen of a job's summaries."""

    model_config = _STRICT

    include: Patterns = Field(default=[], exclude=True, description="Take only the files that match these patterns.")
    exclude: Patterns = Field(default=[], exclude=True, description="Leave the files out that match these patterns.")
    include_tests: bool = Field(default=False, exclude=True, description="Take the symbols of tests too.")
    kinds: Annotated[list[DocumentedKind], Field(min_length=1)] | None = Field(
        default=None, exclude=True, description="Document only symbols of these kinds."
    )
    embeddings: Method = Field(default="minilm", exclude=True, description="What symbols are compared by.")
    clusters: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, exclude=True, description="The number of clusters; default: a good one."
    )


class RepositoryInput(BaseModel):
    """What to document: a repository or an archive, exactly one of them; and how."""

    model_config = _STRICT

    job_id: Annotated[str, Field(pattern=JOB_ID_PATTERN)] | None = Field(
        None,
        description="1 to 128 letters, digits, dots, underscores or hyphens, not only dots; default: the caller's ID.",
    )
    repository: RepositorySource | None = Field(None, description="The repository to document.")
    archive_key: Text | None = Field(
        None, description="Instead of `repository`: key of a .zip, .tar.gz or .tgz archive in the bucket."
    )
    previous_docpack_key: Text | None = Field(
        None,
        description="Key of an earlier pack of it, whose unchanged summaries are taken over; default: its last pack.",
    )
    options: RepositoryOptions = Field(default_factory=RepositoryOptions, description="Options of this job.")

    @model_validator(mode="after")
    def _names_its_source_once(self) -> RepositoryInput:
        if (self.repository is None) == (self.archive_key is None):
            raise ValueError(f"exactly one of {', '.join(SOURCES[:-1])} and {SOURCES[-1]} must be given")
        return self


@dataclass(frozen=True)
class RepositoryJob:
    """A checked input. `git` is the repository, None for an archive; `subdir` has no slash at its ends."""

    job_id: str
    git: GitSource | None
    archive_key: str | None
    subdir: str | None
    previous_docpack_key: str | None
    options: RepositoryOptions


def parse_repository_job(payload: object, default_job_id: str) -> RepositoryJob:
    """Return the job of a payload: its input, or a whole request to RunPod with it under `input`.

    Raise InputError, with a sentence that names the place.
    """
    job, faults = find_repository_faults(payload, default_job_id)
    if job is None:
        raise InputError("; ".join(faults[:MAX_SHOWN_FAULTS]))
    return job


def find_repository_faults(payload: object, default_job_id: str) -> tuple[RepositoryJob | None, list[str]]:
    """Return the job of a payload and no faults, or None and every fault of it."""
    payload = unwrapped(payload)
    if not isinstance(payload, dict):
        return None, ["input must be an object with repository or archive_key"]
    given = {key: value for key, value in payload.items() if value is not None}
    if beside := sorted(given.keys() & set(SOURCES[:2])):
        return None, [f"exactly one of {', '.join(SOURCES[:-1])} and {SOURCES[-1]} must be given, not {beside[0]} too"]
    try:
        parsed = RepositoryInput.model_validate(given)
    except ValidationError as error:
        return None, [describe_fault("input", fault, _known_beside(fault)) for fault in error.errors()]
    job_id = default_job_id if parsed.job_id is None else parsed.job_id
    if not JOB_ID.fullmatch(job_id) or not job_id.strip("."):
        return None, ["input.job_id must be 1 to 128 letters, digits, dots, underscores or hyphens, and not only dots"]
    try:
        return _checked(parsed, job_id), []
    except InputError as error:
        return None, [str(error)]


def _known_beside(fault: Mapping[str, Any]) -> Collection[str]:
    """Return the keys that are known where a fault is."""
    models: dict[object, type[BaseModel]] = {"options": RepositoryOptions, "repository": RepositorySource}
    place = fault["loc"][0] if len(fault["loc"]) > 1 else None
    return models.get(place, RepositoryInput).model_fields


def _checked(parsed: RepositoryInput, job_id: str) -> RepositoryJob:
    repository, archive_key = parsed.repository, parsed.archive_key
    if archive_key is not None and not archive_key.lower().endswith(ARCHIVE_ENDINGS):
        raise InputError(f"input.archive_key must end in {', '.join(ARCHIVE_ENDINGS[:-1])} or {ARCHIVE_ENDINGS[-1]}")
    return RepositoryJob(
        job_id=job_id,
        git=None if repository is None else _git_source(repository),
        archive_key=archive_key,
        subdir=None if repository is None else _subdir(repository.subdir),
        previous_docpack_key=parsed.previous_docpack_key,
        options=parsed.options,
    )


def _git_source(repository: RepositorySource) -> GitSource:
    source = _parsed("url", repository.url)
    # A worker has no keys for ssh, and the files of its own machine are not its callers'.
    if source is None or source.protocol != "https":
        raise InputError("input.repository.url must be the address of a git repository, https://host/owner/repo")
    if repository.ref is None:
        return source
    if source.ref is not None:
        raise InputError("input.repository.url has a ref after @, and input.repository.ref is given too: give one")
    with_ref = _parsed("ref", f"{repository.url}@{repository.ref}")
    if with_ref is None or with_ref.ref != repository.ref:
        raise InputError("input.repository.ref is not a ref: give a branch, a tag or a full commit id")
    return with_ref


def _parsed(place: str, text: str) -> GitSource | None:
    # A text that names no URL scheme may be a path of this machine: it is not looked for.
    if "://" not in text or text.lower().startswith("file:"):
        return None
    try:
        return parse_git_url(text)
    except SourceError as error:
        raise InputError(f"input.repository.{place}: {error}") from None


def _subdir(text: str | None) -> str | None:
    if text is None:
        return None
    parts = PurePosixPath(text.strip("/")).parts
    if not parts or {".", ".."} & set(parts) or "\\" in text:
        raise InputError("input.repository.subdir must be a folder of the repository, such as packages/core")
    return "/".join(parts)


assert {*get_args(DocumentedKind), "module"} == set(get_args(Kind))  # noqa: S101 - of two literals, for mypy's eyes
