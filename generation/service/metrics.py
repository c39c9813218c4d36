"""The figures of a process in Prometheus' text format. The only importer of `prometheus_client`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from generation.figures.job import CACHES, REQUEST_OUTCOMES, VERDICTS
from generation.figures.process import ProcessFigures

CONTENT_TYPE = CONTENT_TYPE_LATEST


class FiguresCollector(Collector):
    """The metrics of a process, made anew whenever they are asked for."""

    def __init__(self, figures: ProcessFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield each metric. Counters start at 0 for the labels that are known in advance."""
        figures, total = self._figures, self._figures.total()
        jobs = CounterMetricFamily(
            "doctown_jobs", "Jobs that have ended, by kind and status", labels=["kind", "status"]
        )
        for (kind, status), count in sorted(figures.jobs.items()):
            jobs.add_metric([kind, status], count)
        yield jobs
        yield GaugeMetricFamily("doctown_jobs_running", "Jobs that run", value=figures.running)
        yield GaugeMetricFamily("doctown_jobs_queued", "Jobs that wait for their turn", value=figures.queued)
        seconds = HistogramMetricFamily("doctown_job_seconds", "Seconds that a job ran, by kind", labels=["kind"])
        for kind, histogram in sorted(figures.job_seconds.items()):
            seconds.add_metric([kind], histogram.cumulative(), histogram.total)
        yield seconds
        steps = HistogramMetricFamily("doctown_step_seconds", "Seconds that a step of a job took", labels=["step"])
        for step, histogram in sorted(figures.step_seconds.items()):
            steps.add_metric([step], histogram.cumulative(), histogram.total)
        yield steps
        tokens = "Tokens that were billed; cached ones are a part of the input, those of reasoning of the output"
        yield _counter("doctown_tokens", tokens, "kind", total.tokens)
        yield CounterMetricFamily("doctown_cost_usd", "What requests to the model have cost", value=figures.cost_usd())
        usd = figures.job_usd
        yield HistogramMetricFamily(
            "doctown_job_cost_usd", "What a job has cost that asked the model", usd.cumulative(), usd.total
        )
        errors = CounterMetricFamily(
            "doctown_errors", "Failed symbols and jobs, by step and failure code", labels=["step", "failure"]
        )
        for (step, failure), count in sorted(total.failures.items()):
            errors.add_metric([step, failure], count)
        yield errors
        requests = {outcome: total.requests[outcome] for outcome in REQUEST_OUTCOMES}
        yield _counter("doctown_requests", "Requests to the model that have ended, by outcome", "outcome", requests)
        yield GaugeMetricFamily(
            "doctown_requests_in_flight", "Requests to the model in flight", value=figures.in_flight
        )
        verdicts = {verdict: total.verdicts[verdict] for verdict in VERDICTS}
        yield _counter("doctown_summaries", "New summaries, by the verdict of their checks", "verdict", verdicts)
        hits = {cache: total.cache_hits[cache] for cache in CACHES}
        yield _counter("doctown_cache_hits", "What was found and not made again, by cache", "cache", hits)


def _counter(name: str, meaning: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    metric = CounterMetricFamily(name, meaning, labels=[label])
    for value, count in values.items():
        metric.add_metric([value], count)
    return metric


def metrics_text(figures: ProcessFigures) -> bytes:
    """Return the figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FiguresCollector(figures))
    return generate_latest(registry)
