"""What a service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("vqmm_requests", "Answers", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "vqmm_request_seconds", "Time to the answer", ["route"], buckets=SECONDS, registry=registry
        )
        self.in_flight = Gauge("vqmm_in_flight", "Requests that are worked on", registry=registry)
        self.batch_rows = Histogram(
            "vqmm_batch_rows", "Rows that were run at once", ["signature"], buckets=ROWS, registry=registry
        )
        self.waiting = Gauge("vqmm_waiting_rows", "Rows in the queue", ["signature"], registry=registry)
        self.version = Gauge("vqmm_model_version", "Version that is served", registry=registry)
        self.items = Gauge("vqmm_index_items", "Items of the index", ["modality"], registry=registry)
        self.reloads = Counter("vqmm_reloads", "Changes of model or index", ["result"], registry=registry)

    def text(self) -> bytes:
        """In Prometheus's format."""
        return generate_latest(self.registry)
