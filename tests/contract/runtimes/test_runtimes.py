"""Each framework of the container keeps the contract of a runtime, with the framework itself.

A framework takes part by a file NAME_cases.py beside this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch_index

from mmectl.base.files import locked
from mmectl.image import build_local, serving
from mmectl.images.context import Contents

HERE = Path(__file__).parent
# frameworks whose models are code, and how their packages are had where the usual index lacks them
CODE = {"pytorch": torch_index.index}
NAMES = sorted(path.name.removesuffix("_cases.py") for path in HERE.glob("*_cases.py"))


@contextlib.contextmanager
def contents_of(name: str, state: Path) -> Iterator[Contents]:
    """What the image of a framework holds; skips where its packages are not to be had."""
    if name not in CODE:
        yield Contents((name,))
        return
    try:
        with CODE[name](state / "wheels") as index:
            yield Contents((name,), index=index)
    except torch_index.Unavailable as error:
        pytest.skip(str(error))


def driven(name: str, root: Path, folder: Path) -> dict[str, Any]:
    """What driver.py finds of a framework in its serving environment; models go into `folder`."""
    state = root / ".mmectl"
    with contents_of(name, state) as contents:
        build_local(
            root / "container",
            state,
            account="123456789012",
            region="us-east-1",
            repository="mmectl-mxnet",
            contents=contents,
        )
        environment = serving(root / "container", state, contents)
    done = subprocess.run(
        [environment.python, str(HERE / "driver.py"), name, str(folder)],
        env={
            **os.environ,
            **environment.variables,
            "PYTHONPATH": f"{environment.context}{os.pathsep}{HERE}",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **({"MMECTL_ALLOW_MODEL_CODE": "true"} if name in CODE else {}),
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {"name": name, "said": done.stderr, **json.loads(done.stdout)}


@pytest.fixture(scope="module", params=NAMES)
def found(
    request: pytest.FixtureRequest, root: Path, workers_folder: Path, tmp_path_factory
) -> Any:
    """What one worker found; another that has tests of the same framework reads it."""
    kept = workers_folder / f"runtime-{request.param}.json"
    with locked(kept.with_suffix(".lock")):
        if not kept.exists():
            found = driven(request.param, root, tmp_path_factory.mktemp(request.param))
            kept.write_text(json.dumps(found))
    return json.loads(kept.read_text())


def numbers(value: Any) -> list[float]:
    """All numbers of nested lists, in order; of objects those of their values."""
    value = list(value.values()) if isinstance(value, dict) else value
    return [n for one in value for n in numbers(one)] if isinstance(value, list) else [value]


def test_one_thread_is_left_to_fork_from(found):
    assert found["one thread after preload"]


def test_models_are_told_by_their_content(found):
    assert set(found["detected"].values()) == {found["name"]}
    assert len(found["detected"]) >= 3


def test_answers_are_the_frameworks_own(found):
    for name, case in found["cases"].items():
        assert "died" not in case, (name, case)
        answer, expected = numbers(case["answer"]), numbers(case["expected"])
        labels = expected if any(isinstance(one, str) for one in expected) else None
        assert answer == (labels or pytest.approx(expected, rel=1e-6, abs=1e-9)), name
        assert case["again"] == case["answer"], name


def test_models_are_read_as_the_framework_reads_them(found):
    assert found["defects"] == []


def test_a_bad_payload_is_the_clients_mistake(found):
    for name, case in found["cases"].items():
        assert case["damaged"]["status"] == case["empty"]["status"] == 400, (name, case)
        assert case["damaged"]["message"], name
        assert case["unknown"]["status"] == 415, (name, case)


def test_a_lack_of_memory_is_for_the_platform(found):
    assert {case["full"] for case in found["cases"].values()} == {"MemoryError"}


def test_a_replica_answers_the_same(found):
    for name, case in found["cases"].items():
        assert "died" not in case, (name, case)
        replica = case["replica"]
        assert replica in ({"quiet": True, "same": True, "other": replica.get("other")},
                           {"skipped": True}), (name, replica)  # fmt: skip


def test_a_damaged_file_is_told_of(found):
    """By an error, or by last words; what a framework reads all the same is a model of its own."""
    for what, outcome in found["damaged"].items():
        assert "raised" not in outcome, (what, outcome)
        if "died" in outcome:
            assert f"ended the process with {outcome['died']}" in found["said"], (what, outcome)
        elif "refused" in outcome:
            assert outcome["refused"].strip(), what
        else:
            assert "overwritten" in what, (what, outcome)
