"""The application against its endpoint: run `pytest` here, or `pytest -n 4`."""

from pathlib import Path

import pytest
from shop import named

from mmectl.testing import Faults

STAR = Path(__file__).parent.parent / "images" / "star.jpg"
pytestmark = pytest.mark.usefixtures("mmectl_endpoint", "mmectl_environment")


def test_a_star_is_a_star() -> None:
    assert named(STAR.read_bytes()) == "star"


@pytest.mark.mmectl_faults("ModelNotReadyException", times=1)
def test_a_model_that_is_still_being_loaded_is_asked_again(mmectl_faults: Faults) -> None:
    assert named(STAR.read_bytes()) == "star"
    assert mmectl_faults.met == 1


@pytest.mark.mmectl_faults("ModelError", status=507, message="out of memory")
def test_a_model_that_does_not_fit_has_no_answer() -> None:
    assert named(STAR.read_bytes()) is None
