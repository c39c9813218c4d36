"""A repository as the job of a worker: RunPod's handler, the HTTP service and bulk runs call `run_repository_job`."""

from doctown.jobs.progress import RepositoryProgress
from doctown.jobs.request import RepositoryJob, find_repository_faults, parse_repository_job
from doctown.jobs.run import Caches, run_repository_job

__all__ = [
    "Caches",
    "RepositoryJob",
    "RepositoryProgress",
    "find_repository_faults",
    "parse_repository_job",
    "run_repository_job",
]
