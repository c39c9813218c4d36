"""`GET /metrics` and `GET /stats` say what the servers saw: to Prometheus, to programs and to Grafana."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from generation.domain.usage import Usage
from generation.figures.job import REQUEST_OUTCOMES, JobFigures, read_figures
from generation.figures.process import MAX_FAILURES, OTHER, ProcessFigures
from generation.service.metrics import metrics_text
from tests.generation.contract.test_contract import check
from tests.generation.service.test_service import TOKEN, Answer, Deployment, check_problem, running_deployment
from tests.support.contexts import payload
from tests.support.worker_process import REPOSITORY_ROOT

DASHBOARD = REPOSITORY_ROOT / "examples" / "grafana-dashboard.json"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
# A sample's name with its labels, and its value.
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("results")
    with running_deployment(folder, SERVICE_TOKEN=TOKEN, REQUEST_TIMEOUT_S="0.5", MAX_RETRIES="8") as deployment:
        yield deployment


def samples(text: bytes) -> Samples:
    """All samples of a text, as Prometheus' own parser reads it."""
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def labelled(found: Samples, name: str) -> dict[str, float]:
    """The values of a metric with one label, by that label."""
    return {labels[0][1]: value for (sample, labels), value in found.items() if sample == name}


def scraped(deployment: Deployment) -> Answer:
    answer = deployment.service.call("/metrics", headers=AUTHORIZED)
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    return answer


def test_the_figures_are_what_the_server_saw(deployment: Deployment) -> None:
    """Requests by outcome, tokens, dollars, verdicts, errors, cache hits and jobs equal the bill and the outputs."""
    deployment.behave(
        {"fault": "rate_limited", "times": 3},
        {"fault": "server_error", "times": 2},
        {"fault": "hang", "times": 1},
        {"fault": "not_json_body", "times": 1},
        {"fault": "bad_gateway", "times": 1},
    )
    job = {**payload(20), "job_id": "measured"}
    output = deployment.service.generate(job, AUTHORIZED).json
    bill = deployment.openai.bill()
    again = deployment.service.generate({**job, "options": {"model": "gpt-5-nano"}}, AUTHORIZED).json
    wrong = deployment.service.generate({"symbols": []}, AUTHORIZED)
    assert (output["status"], again["paid_before"]["symbols"], wrong.status) == ("success", 20, 422)

    found = samples(scraped(deployment).body)
    requests = labelled(found, "doctown_requests_total")
    by_status: Counter[str] = Counter(bill["requests"])
    assert set(requests) == set(REQUEST_OUTCOMES)
    assert requests["answered"] + requests["unusable"] == by_status["200"] == 21
    assert requests["rate_limited"] == by_status["429"] == 3
    assert requests["server_error"] == by_status["500"] + by_status["502"] == 3
    assert requests["timeout"] == bill["abandoned"] == 1
    assert sum(requests.values()) == len(bill["arrived_at_s"]) == output["usage"]["requests"]
    tokens = labelled(found, "doctown_tokens_total")
    assert tokens["input"] + tokens["output"] == output["total_tokens"]
    assert (tokens["input"], tokens["reasoning"]) == (output["usage"]["input_tokens"], bill["reasoning_tokens"])
    assert found["doctown_cost_usd_total", ()] == pytest.approx(output["total_cost"])
    assert found["doctown_job_cost_usd_count", ()] == 1
    assert sum(labelled(found, "doctown_summaries_total").values()) == 20
    assert labelled(found, "doctown_cache_hits_total")["summaries"] == 20
    assert found["doctown_jobs_total", (("kind", "symbols"), ("status", "success"))] == 2
    assert found["doctown_jobs_total", (("kind", "symbols"), ("status", "error"))] == 1
    assert found["doctown_errors_total", (("failure", "bad_input"), ("step", "job"))] == 1
    assert found["doctown_job_seconds_count", (("kind", "symbols"),)] == 3
    assert found["doctown_step_seconds_count", (("step", "document"),)] == 2
    assert {found[f"doctown_{gauge}", ()] for gauge in ("requests_in_flight", "jobs_running", "jobs_queued")} == {0.0}

    stats = deployment.service.call("/stats", headers=AUTHORIZED).json
    check("stats", stats)
    assert stats["requests"] == requests
    assert stats["tokens"] == tokens
    assert (stats["jobs"]["success"], stats["success_rate"]) == (2, 0.6667)
    assert stats["job_seconds"]["symbols"]["average"] == pytest.approx(
        found["doctown_job_seconds_sum", (("kind", "symbols"),)] / 3, abs=1e-5
    )


def test_no_metric_names_a_job_a_symbol_or_a_file(deployment: Deployment) -> None:
    """Labels are words of the code: nothing of what callers send is in them, and there are few."""
    deployment.service.generate({**payload(3), "job_id": "an-id-of-a-caller"}, AUTHORIZED)
    text = scraped(deployment).body.decode()
    assert "an-id-of-a-caller" not in text
    assert not set(re.findall(r'="([^"]*)"', text)) & {one["symbol_id"] for one in payload(20)["symbols"]}
    assert {name for name, _ in re.findall(r'(\w+)="([^"]*)"', text)} == {
        "kind", "status", "step", "failure", "outcome", "verdict", "cache", "le",
    }  # fmt: skip


def test_the_token_protects_the_figures(deployment: Deployment) -> None:
    """What is spent is told to those alone who may spend."""
    for path in ("/metrics", "/stats"):
        check_problem(deployment.service.call(path), 401, "bad_token")


def test_failures_that_nobody_knows_share_one_label() -> None:
    """However many codes there were, the number of labels is bounded, and every failure is counted."""
    figures = ProcessFigures()
    for number in range(MAX_FAILURES + 50):
        with figures.job("symbols") as (job, status):
            job.failures["document", f"code_{number}"] += 1
            status.append("failed")
    failures = figures.total().failures
    assert len(failures) == MAX_FAILURES + 1
    assert failures[OTHER] == 50
    assert len(labelled(samples(metrics_text(figures)), "doctown_errors_total")) <= MAX_FAILURES + 1


def test_a_job_that_runs_is_counted_as_it_goes() -> None:
    """Requests, tokens and dollars of a job under way are there before it ends, and once after it."""
    figures = ProcessFigures()
    with figures.job("symbols") as (job, _), figures.waiting():
        job.requests["answered"] += 2
        job.in_flight = 3
        during = figures.record()
    after = figures.record()
    assert [one["requests"]["answered"] for one in (during, after)] == [2, 2]
    assert [(one["requests_in_flight"], one["jobs_running"], one["jobs_queued"]) for one in (during, after)] == [
        (3, 1, 1),
        (0, 0, 0),
    ]
    assert (after["jobs"]["cancelled"], after["success_rate"]) == (1, None)


def test_what_another_worker_has_told_counts_as_its_own() -> None:
    """The figures of an output are read as they were written; what makes no sense in them counts as nothing."""
    told = JobFigures(
        requests=Counter(answered=3, timeout=1), usage=Usage(100, 10, 20, 5), verdicts=Counter(passed=3), told_usd=0.25
    )
    told.failures["document", "timeout"] = 2
    told.seconds["document"] = 1.5
    assert read_figures(told.record()).record() == told.record()
    nonsense: object = {
        "requests": {"answered": -1, "made_up": 7},
        "tokens": 3,
        "cost_usd": "1",
        "failures": {"Step ": {"timeout": 1}, "document": {"Not a code": 1, "timeout": 2.5}},
        "seconds": {"document": float("nan"), "<b>": 1},
    }
    read = read_figures(nonsense)
    assert (read.cost_usd, read.failures, read.seconds) == (0.0, {("document", "timeout"): 2}, {"document": 0.0})
    assert sum(read.requests.values()) == sum(read_figures(None).record()["tokens"].values()) == 0


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    """The queries of the example for Grafana name metrics that there are, and each metric is on it."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    named = {name for query in queries for name in re.findall(r"doctown_\w+", query)}
    figures = ProcessFigures()
    with figures.job("symbols") as (job, status):
        job.failures["document", "timeout"] += 1
        job.seconds["document"] = 1.0
        status.append("partial")
    families = list(text_string_to_metric_families(metrics_text(figures).decode()))
    assert named <= {sample.name for family in families for sample in family.samples}
    families_named = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named}
    assert families_named == {family.name for family in families}
    assert JobFigures().record().keys() <= {*figures.record(), "failures", "seconds"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each panel has a place, a title and an id of its own."""
    panels = json.loads(Path(DASHBOARD).read_text(encoding="utf-8"))["panels"]
    cells = Counter(
        (x, y)
        for panel in panels
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    )
    assert max(cells.values()) == 1
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
