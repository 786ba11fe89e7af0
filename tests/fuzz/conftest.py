"""How long and how deep the fuzz tests look; README.md says how to write one.

By default each test takes the same few hundred inputs every time. MMECTL_FUZZ_MINUTES (what
`make fuzz MINUTES=n` sets) has the tests share so many minutes of new ones.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from fuzz.fuzzing import EXAMPLES

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "container"))  # its modules stand beside each other, as in the image

MEMORY_BYTES = 1 << 30  # what an input may take of it, beyond what the process has
MINUTES = float(os.environ.get("MMECTL_FUZZ_MINUTES", "0"))
SLOW_TO_MAKE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES,
    deadline=None,  # `fuzzing.check` has one that names the input
    derandomize=not MINUTES,
    database=None,
    print_blob=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=SLOW_TO_MAKE,
)


def _is_property(item: pytest.Item) -> bool:
    return getattr(getattr(item, "obj", None), "is_hypothesis_test", False)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The settings above, for the modules of this folder alone: properties take them as defined."""
    before = settings.get_current_profile_name()
    settings.load_profile("fuzz")
    try:
        return (yield)
    finally:
        settings.load_profile(before)


@pytest.fixture(autouse=True)
def memory_limit() -> Iterator[None]:
    """An input that takes more than MEMORY_BYTES is a MemoryError, and so a failure."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    rows = dict(line.split(":", 1) for line in status)
    now = int(rows["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    """Run a property again, with new inputs, until its share of the minutes is over."""
    result = yield
    if MINUTES and _is_property(pyfuncitem):
        count = sum(_is_property(item) for item in pyfuncitem.session.items)
        end = time.monotonic() + MINUTES * 60 / count
        names = pyfuncitem._fixtureinfo.argnames
        while time.monotonic() < end:
            pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    return result
