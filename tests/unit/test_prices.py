"""What instances cost, and where the price comes from."""

from __future__ import annotations

import importlib.util
import json

import pytest

from mmectl.base.instances import instance_type
from mmectl.base.prices import Price, _read, cost, listed


def test_a_price_of_the_table_says_its_date():
    found = listed("ml.m5.xlarge")
    assert found == Price(0.23, f"list price of us-east-1, {_read()['date']}", "USD")
    assert listed("ml.zz9.large") is None


def test_the_table_names_types_that_there_are():
    assert all(instance_type(name).known for name in _read()["hourly"])
    assert all(0.01 < price < 500 for price in _read()["hourly"].values())


def test_cost_of_a_fleet_and_of_an_update():
    found = cost(Price(0.23, "a list"), [2], more=2)
    assert (found.hourly, found.updating, found.monthly) == (0.46, 0.92, pytest.approx(335.8))
    assert str(found) == "USD 0.46 an hour, 335.80 a month (730 h)"


OFFER = {
    "publicationDate": "2026-01-02T03:04:05Z",
    "products": {
        "A": {"attributes": {"instanceName": "ml.m5.xlarge", "platoinstancetype": "Hosting"}},
        "B": {"attributes": {"instanceName": "ml.m5.large", "platoinstancetype": "Training"}},
        "C": {"attributes": {"instanceName": "ml.c5.large", "platoinstancetype": "Hosting"}},
        "D": {"attributes": {"servicecode": "AmazonSageMaker"}},
    },
    "terms": {
        "OnDemand": {
            "A": {
                "t": {
                    "priceDimensions": {
                        "1": {"pricePerUnit": {"USD": "0.0000000000"}},
                        "2": {"pricePerUnit": {"USD": "0.2300000000"}},
                    }
                }
            },
            "C": {"t": {"priceDimensions": {"1": {"pricePerUnit": {"USD": "0"}}}}},
        }
    },
}


def test_the_table_is_written_from_aws_offer_file(root, tmp_path):
    spec = importlib.util.spec_from_file_location("prices", root / "scripts" / "prices.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    path = tmp_path / "offer.json"
    path.write_text(json.dumps(OFFER))
    found = json.loads(script.table(script.read(str(path))))
    assert found == {
        "date": "2026-01-02",
        "region": "us-east-1",
        "currency": "USD",
        "hourly": {"ml.m5.xlarge": 0.23},
    }
