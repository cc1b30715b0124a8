"""Request metrics of the HTTP tiers, with the same names in each: count and latency by method, route and status."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("http_requests_total", "Requests answered.", ("method", "route", "status"))
LATENCY = Histogram("http_request_duration_seconds", "Time to the end of the answer.", ("method", "route", "status"))
UNMATCHED = "unmatched"
"""Route label of paths that no route has: without it, each probed path would be a series of its own."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one answered request that took `seconds`."""
    labels = (method if method in _METHODS else "other", route or UNMATCHED, str(status))
    REQUESTS.labels(*labels).inc()
    LATENCY.labels(*labels).observe(seconds)
