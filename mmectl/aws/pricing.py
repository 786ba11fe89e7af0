"""Prices of instances for endpoints, from AWS's Price List."""

from __future__ import annotations

import json
from typing import Any

from mmectl.aws.account import Account
from mmectl.aws.errors import translated

# Where the Price List answers, by partition (AWS General Reference, "AWS Price List endpoints")
REGIONS = {"aws": "us-east-1", "aws-cn": "cn-northwest-1"}


def hourly(aws: Account, instance_type: str) -> float | None:
    """USD (CNY in China) an hour of an instance in the account's region; None: it is not sold.

    Raises ServiceError, also where the partition has no Price List (code ``no_prices``).
    """
    found = [each for page in _products(aws, instance_type) for each in _rates(json.loads(page))]
    return min(found) if found else None


def _products(aws: Account, instance_type: str) -> list[str]:
    from mmectl.base import partitions
    from mmectl.base.errors import ServiceError

    where = REGIONS.get(partitions.of(aws.region).name)
    if where is None:
        raise ServiceError(f"there is no Price List for {aws.region}", code="no_prices")
    fields = {
        "regionCode": aws.region,
        "instanceName": instance_type,
        "platoinstancetype": "Hosting",
    }
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    with translated("pricing:GetProducts"):
        pages = aws.client("pricing", region=where).get_paginator("get_products")
        asked = pages.paginate(ServiceCode="AmazonSageMaker", Filters=filters)
        return [text for page in asked for text in page["PriceList"]]


def _rates(product: dict[str, Any]) -> list[float]:
    """The prices an hour of a product, on demand and above nothing (a free tier has rows, too)."""
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    rows = [row for term in terms for row in term.get("priceDimensions", {}).values()]
    texts = [text for row in rows for text in row.get("pricePerUnit", {}).values()]
    return [price for price in map(float, texts) if price > 0]
