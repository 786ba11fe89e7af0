"""The account as commands see it: one S3, one caller."""

from __future__ import annotations

from typing import Any

from mmectl.base.values import Identity

from .s3 import refused

ANN = "arn:aws:iam::123456789012:user/ann"


class Prices:
    """The Price List, which nobody lets us ask until `products` are there."""

    def __init__(self) -> None:
        self.products: list[str] | None = None
        self.asked = 0

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_products"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        self.asked += 1
        if self.products is None:
            raise refused("AccessDeniedException", 400)
        return [{"PriceList": self.products}]


class Aws:
    local = False
    region = "us-east-1"

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.clients = {"s3": s3, "pricing": Prices()}

    def client(self, service: str, region: str | None = None) -> Any:
        return self.clients[service]

    def identity(self) -> Identity:
        return Identity("123456789012", ANN, self.region)

    def role(self, wanted: str | None) -> str:
        return wanted or "arn:aws:iam::123456789012:role/found"

    def bucket_exists(self, name: str) -> bool:
        return bool(name)

    def ensure_bucket(self, name: str) -> bool:
        return not name
