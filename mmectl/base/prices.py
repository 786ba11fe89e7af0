"""List prices of instances for endpoints: a dated table, for where the Price List is out of reach.

The table is in ``prices.json``, which ``scripts/prices.py`` writes from AWS's public offer file. A
price kept in a file grows old: whoever shows one says its date.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

HOURS = 730
"""Hours of a month, as AWS counts them for prices."""
_TABLE = Path(__file__).with_name("prices.json")


@dataclass(frozen=True, slots=True)
class Price:
    """What an instance costs an hour on demand, and who says so."""

    hourly: float
    source: str
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Cost:
    """What instances cost: an hour, and an hour during an update, when more of them run."""

    hourly: float
    updating: float
    currency: str
    source: str

    @property
    def monthly(self) -> float:
        """For 730 hours."""
        return self.hourly * HOURS

    def __str__(self) -> str:
        """For people, such as ``USD 0.46 an hour, 335.80 a month (730 h)``."""
        return (
            f"{self.currency} {self.hourly:,.2f} an hour, {self.monthly:,.2f} a month ({HOURS} h)"
        )


def listed(instance_type: str) -> Price | None:
    """The price of the table; None for a type that is not in it."""
    table = _read()
    hourly = table["hourly"].get(instance_type)
    source = f"list price of {table['region']}, {table['date']}"
    return None if hourly is None else Price(hourly, source, table["currency"])


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(_TABLE.read_bytes())
    return table


def cost(price: Price, counts: Sequence[int], more: int = 0) -> Cost:
    """The cost of so many instances of a type; `more` run beside them during an update."""
    count = sum(counts)
    return Cost(
        round(price.hourly * count, 6),
        round(price.hourly * (count + more), 6),
        price.currency,
        price.source,
    )
