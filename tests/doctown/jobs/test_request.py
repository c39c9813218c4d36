"""The input of a repository job: what it means, and the sentence for each thing that is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from doctown.jobs.request import parse_repository_job
from generation import InputError

URL = "https://github.com/owner/repo"

Json = dict[str, Any]


def of(**repository: object) -> Json:
    return {"repository": {"url": URL, **repository}}


def with_options(**options: object) -> Json:
    return {**of(), "options": options}


REFUSED = {
    "no source": ({}, "exactly one of symbols, symbols_key, repository and archive_key must be given"),
    "two sources": ({**of(), "archive_key": "a.zip"}, "exactly one of symbols, symbols_key, repository"),
    "symbols too": ({**of(), "symbols": []}, "must be given, not symbols too"),
    "no object": ([], "input must be an object with repository or archive_key"),
    "an unknown key": ({**of(), "option": {}}, "input.option is not a key that is known here: did you mean options?"),
    "an unknown option": (with_options(max_cost=1), "input.options.max_cost is not a key that is known here"),
    "an option nearly right": (with_options(include_test=True), "did you mean include_tests?"),
    "an unknown key of the repository": (of(branch="x"), "input.repository.branch is not a key that is known here"),
    "no url": ({"repository": {}}, "input.repository.url is missing"),
    "a url of another type": ({"repository": {"url": 1}}, "input.repository.url must be a text"),
    "a file url": (of(url="file:///etc"), "input.repository.url must be the address of a git repository"),
    "ssh": (of(url="ssh://git@github.com/o/r"), "input.repository.url must be the address of a git repository"),
    "ssh without a scheme": (of(url="git@github.com:o/r"), "input.repository.url must be the address"),
    "a transport helper": (of(url="ext::sh -c id"), "input.repository.url must be the address"),
    "plain http": (of(url="http://github.com/o/r"), "input.repository.url: The git URL is plain http"),
    "a password": (of(url="https://me:secret@github.com/o/r"), "input.repository.url: The git URL has a user name"),
    "a path": (of(url="/etc/passwd"), "input.repository.url must be the address of a git repository"),
    "a page": (of(url=f"{URL}/tree/main"), "input.repository.url: The git URL is that of a page"),
    "two refs": (of(url=f"{URL}@a", ref="b"), "input.repository.url has a ref after @"),
    "a bad ref": (of(ref="--upload-pack=x"), "input.repository.ref: The part after @ is not a ref"),
    "a refspec": (of(ref="a:b"), "input.repository.ref: The part after @ is not a ref"),
    "a subdir outside": (of(subdir="../x"), "input.repository.subdir must be a folder of the repository"),
    "a kind": (with_options(kinds=["module"]), "input.options.kinds[0]"),
    "no kind": (with_options(kinds=[]), "input.options.kinds must have at least 1 item"),
    "a number of clusters": (with_options(clusters=0), "input.options.clusters"),
    "another kind of archive": ({"archive_key": "a.rar"}, "input.archive_key must end in .zip, .tar.gz or .tgz"),
    "a job id": ({**of(), "job_id": "a/b"}, "input.job_id"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_named(name: str) -> None:
    """Each fault is one sentence with its place and without its value."""
    payload, words = REFUSED[name]
    with pytest.raises(InputError) as refused:
        parse_repository_job(payload, "job-1")
    sentence = str(refused.value)
    assert words in sentence
    assert "\n" not in sentence
    assert "secret" not in sentence


def test_an_input_is_a_source_and_how_it_is_built() -> None:
    """A repository, wrapped as RunPod sends it, with its ref, its folder, and options of both kinds."""
    given = {"job_id": None, **of(ref="v1", subdir="/packages/core/"), "previous_docpack_key": "docpacks/o/r/r.docpack"}
    options = {"model": "gpt-4o", "max_cost_usd": 1.5, "renew": True, "kinds": ["class"], "include": ["src/"]}
    job = parse_repository_job({"id": "x", "input": {**given, "options": options}}, "job-1")
    assert job.git is not None
    assert (job.job_id, job.git.url, job.git.ref, job.subdir) == ("job-1", URL, "v1", "packages/core")
    assert job.previous_docpack_key == "docpacks/o/r/r.docpack"
    assert job.options.as_settings() == {"model_name": "gpt-4o", "max_cost_usd": 1.5}
    assert (job.options.renew, job.options.kinds, job.options.include) == (True, ["class"], ["src/"])


def test_a_ref_may_stand_in_the_url() -> None:
    job = parse_repository_job(of(url=f"{URL}@feature/x"), "job-1")
    assert job.git is not None
    assert (job.git.url, job.git.ref) == (URL, "feature/x")
