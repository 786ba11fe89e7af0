"""Write mmectl/base/prices.json from AWS's offer file of SageMaker.

Usage: python scripts/prices.py [FILE-OR-URL]

The offer file is public: no account is needed. It has hundreds of MB for all uses; kept are
instances for endpoints (`Hosting`), on demand, in one region.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "mmectl" / "base" / "prices.json"
REGION = "us-east-1"
OFFER = (
    "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonSageMaker/current/"
    f"{REGION}/index.json"
)


def main() -> int:
    """Write the file."""
    place = sys.argv[1] if len(sys.argv) > 1 else OFFER
    TARGET.write_text(table(read(place)), encoding="utf-8")
    return 0


def read(place: str) -> dict[str, Any]:
    """The offer file, of a path or an URL."""
    if place.startswith("https://"):
        with urllib.request.urlopen(place, timeout=60) as answer:
            text = answer.read()
    else:
        text = Path(place).read_bytes()
    found: dict[str, Any] = json.loads(text)
    return found


def table(offer: Mapping[str, Any]) -> str:
    """The file's text: one line a type, with the date of the offer."""
    rows = sorted(hosting(offer), key=lambda row: (row[0].rpartition(".")[0], row[1], row[0]))
    lines = ",\n".join(f"{json.dumps(name)}: {price:g}" for name, price in rows)
    date = str(offer["publicationDate"])[:10]
    head = {"date": date, "region": REGION, "currency": "USD"}
    return f'{json.dumps(head)[:-1]}, "hourly": {{\n{lines}\n}}}}\n'


def hosting(offer: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Instance types for endpoints with their price an hour; free tiers are left out."""
    terms = offer["terms"]["OnDemand"]
    for sku, product in offer["products"].items():
        about = product["attributes"]
        name = about.get("instanceName", "")
        if about.get("platoinstancetype") != "Hosting" or not name.startswith("ml."):
            continue
        prices = [
            float(row["pricePerUnit"]["USD"])
            for term in terms.get(sku, {}).values()
            for row in term["priceDimensions"].values()
        ]
        if paid := [price for price in prices if price > 0]:
            yield name, min(paid)


if __name__ == "__main__":
    sys.exit(main())
