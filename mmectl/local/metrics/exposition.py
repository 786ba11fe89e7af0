"""What a container's /metrics says of its models: Prometheus's text, read by Prometheus's client.

Only what mmectl's own container counts by model is understood; other containers may say more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_MODELS = 1_001
_REQUESTS = "mmectl_model_requests_total"
_ERRORS = "mmectl_model_errors_total"
_BUCKET = "mmectl_model_request_seconds_bucket"
_SUM = "mmectl_model_request_seconds_sum"


class UnreadableError(ValueError):
    """It is not Prometheus's text, or there is too much of it."""


@dataclass(slots=True)
class Count:
    """Requests of one model since its container began; `buckets` are (bound in s, up to it)."""

    requests: float = 0.0
    errors: float = 0.0
    seconds: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)

    def since(self, earlier: Count | None) -> Count:
        """What came after `earlier`; all of it where the counters began anew since."""
        if earlier is None or earlier.requests > self.requests:
            return self
        return Count(
            self.requests - earlier.requests,
            max(self.errors - earlier.errors, 0.0),
            max(self.seconds - earlier.seconds, 0.0),
            {at: n - earlier.buckets.get(at, 0.0) for at, n in self.buckets.items()},
        )


Counts = Mapping[str, Count]


def read(text: str) -> dict[str, Count]:
    """The counts by model. Raises UnreadableError."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        found = _counts(text_string_to_metric_families(text))
    except Exception as error:  # the parser raises whatever a broken text brings about
        raise UnreadableError(f"it is not Prometheus's text: {error}") from error
    if len(found) > MOST_MODELS:
        raise UnreadableError(f"it has more than {MOST_MODELS} models")
    return found


def _counts(families: Iterable[Any]) -> dict[str, Count]:
    found: dict[str, Count] = {}
    for family in families:
        for sample in family.samples:
            model = sample.labels.get("model")
            if model is not None and sample.name.startswith("mmectl_model_"):
                if not math.isfinite(sample.value):
                    raise ValueError(f"{sample.name} of {model!r} is {sample.value}")
                count = found.setdefault(model, Count())
                _add(count, sample.name, sample.labels.get("le"), sample.value)
    return found


def _add(count: Count, name: str, bound: str | None, value: float) -> None:
    if name == _REQUESTS:
        count.requests = value
    elif name == _ERRORS:
        count.errors += value
    elif name == _SUM:
        count.seconds = value
    elif name == _BUCKET and bound is not None:
        count.buckets[float(bound)] = value
