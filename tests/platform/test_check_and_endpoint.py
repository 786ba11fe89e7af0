"""`mmectl models check` says what the endpoint does: the same tarballs through both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import random_models as r
from hypothesis import HealthCheck, event, given, settings
from projects import Project, config_of, made, share_environments, surroundings_of

from mmectl.archive.unpack import unpack
from mmectl.frameworks import look
from mmectl.image import serving
from mmectl.images.forward import Serving, forward


@pytest.fixture(scope="module")
def project(root: Path, runtime: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    local, environment = surroundings_of(runtime, request)
    with made(
        root,
        config_of(root, {"shapes": root / "examples" / "models" / "shapes"}, local),
        local,
        environment,
    ) as project:
        if runtime == "process":
            share_environments(project, request)
        project.mmectl("build")
        yield project


@pytest.fixture(scope="module")
def environment(project: Project, root: Path) -> Serving:
    if "docker" in project.local:
        pytest.skip("the handler's forward pass runs in the serving environment of processes")
    return serving(root / "container", project.state)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(files=r.folders())
def test_check_says_what_the_handler_does(environment, tmp_path_factory, files):
    place = tmp_path_factory.mktemp("same")
    unpack(r.tarball(files, place / "m.tar.gz"), place / "m")
    found = look.look_at_tarball(place / "m", "m.tar.gz")
    passed = forward(environment, place / "m", ())
    event("refused" if passed.error else "served")
    assert (not found.problems) == (passed.error is None), (found, passed)
    shutil.rmtree(place)


def files_of(
    op: str = "SoftmaxOutput",
    label: str = "softmax_label",
    arrays: tuple = (),
    labels: str = "",
) -> dict[str, bytes]:
    """A small model; its weights and their answer are those of `answer`."""
    weights = [r.array("arg:fc_weight", r.CLASSES, r.WIDTH), r.array("arg:fc_bias", r.CLASSES)]
    files = {
        "net-symbol.json": r.symbol(op, label).encode(),
        "net-0000.params": r.packed([*weights, *arrays]),
        "net-shapes.json": b'[{"name": "data", "shape": [1, 4]}]',
    }
    return files | ({"synset.txt": labels.encode()} if labels else {})


def answer(op: str) -> np.ndarray:
    """What MXNet answers to ones."""
    weight = (np.arange(12, dtype=np.float32) / 7).reshape(3, 4)
    scores = weight.sum(1) + np.arange(3, dtype=np.float32) / 7
    if op == "SoftmaxOutput":
        shifted = np.exp(scores - scores.max())
        return shifted / shifted.sum()
    return 1 / (1 + np.exp(-scores)) if op == "LogisticRegressionOutput" else scores


def beside(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """As tar on macOS packs them."""
    apple = b"\0\5\x16\7" * 40
    pairs = [pair for name, data in files.items() for pair in ((f"._{name}", apple), (name, data))]
    return dict(pairs)


MARK = "\ufeff".encode()
PLAIN = files_of()
SERVED = {
    "any_label": ("LinearRegressionOutput", files_of("LinearRegressionOutput", "target")),
    "logistic": ("LogisticRegressionOutput", files_of("LogisticRegressionOutput", "y")),
    "margin": ("SVMOutput", files_of("SVMOutput", "truth")),
    "hidden": ("SoftmaxOutput", beside(PLAIN)),
    "arg_dict": (
        "SoftmaxOutput",
        files_of(arrays=(r.array("arg:data", 32, 4), r.array("arg:softmax_label", 32))),
    ),
    "lines": ("SoftmaxOutput", files_of(labels="a\u2028b\r\nc\u0085d\r\ne\x0bf\x0c\r\n\r\n")),
    "marks": (
        "SoftmaxOutput",
        {
            name: data if name.endswith("params") else MARK + data
            for name, data in files_of(labels="a\nb\nc\n").items()
        },
    ),
    "top_folder": ("SoftmaxOutput", {f"./model/{n}": data for n, data in beside(PLAIN).items()}),
    "folders_inside": ("SoftmaxOutput", {**PLAIN, "logs/x-symbol.json": b"{", "read me": b""}),
    "epochs": ("SoftmaxOutput", {**PLAIN, "net-0010.params": b"x", "net-best.params": b"x"}),
}


LABELS = {"lines": {"a\u2028b", "c\u0085d", "e\x0bf\x0c"}, "marks": {"a", "b", "c"}}


@pytest.fixture(scope="module")
def served(project: Project, tmp_path_factory) -> Project:
    place = tmp_path_factory.mktemp("tarballs")
    first = files_of()
    (place / "first").mkdir()
    for name, data in first.items():
        (place / "first" / name).write_bytes(data)
    project.mmectl("upload", str(place / "first"))
    bucket, prefix = project.data("models", "list")["location"].removeprefix("s3://").split("/", 1)
    s3 = project.client("s3")
    for name, (_, files) in SERVED.items():
        archive = r.tarball(files, project.folder / f"{name}.tar.gz")
        s3.put_object(Bucket=bucket, Key=f"{prefix}{name}.tar.gz", Body=archive.read_bytes())
    project.mmectl("deploy")
    return project


@pytest.fixture(scope="module")
def rows(served: Project) -> dict[str, list[dict]]:
    """What `models check` says of each: of the tarball in the bucket's folder and of the model."""
    asked = [argument for name in SERVED for argument in (f"{name}.tar.gz", name)]
    found = served.data("models", "check", *asked)["models"]
    assert len(found) == len(asked)
    return {name: found[2 * i : 2 * i + 2] for i, name in enumerate(SERVED)}


@pytest.mark.parametrize("name", SERVED)
def test_what_others_packed_is_served_and_called_sound(served, rows, name):
    op, _ = SERVED[name]
    body = json.dumps([[1.0] * r.WIDTH]).encode()
    done = served.mmectl(
        "invoke", "-m", name, "--content-type", "application/json", "-", input=body
    )
    told = json.loads(done.stdout)
    if name in LABELS:
        assert {line.partition(", class=")[2] for line in told[0]} == LABELS[name]
    else:
        assert np.allclose(told, [answer(op)], atol=1e-6)
    assert [row["sound"] for row in rows[name]] == [True, True], rows[name]


def test_an_upload_leaves_out_what_is_no_part_of_a_model_and_says_so(served, tmp_path):
    folder = tmp_path / "tidy"
    folder.mkdir()
    for name, data in {**PLAIN, ".DS_Store": b"x", "._net-symbol.json": b"x"}.items():
        (folder / name).write_bytes(data)
    (folder / ".ipynb_checkpoints").mkdir()
    done = served.mmectl("upload", str(folder))
    for name in (".DS_Store", "._net-symbol.json", ".ipynb_checkpoints"):
        assert f"{folder / name}: is left out" in done.stderr.decode()
    served.mmectl("models", "fetch", "tidy", str(tmp_path / "fetched"))
    assert sorted(p.name for p in (tmp_path / "fetched").iterdir()) == sorted(PLAIN)
    again = served.data("upload", "tidy", "--from", str(served.folder / "hidden.tar.gz"))
    assert again["models"][0]["action"] == "unchanged"


def test_problems_name_the_tarball_and_its_member(served, tmp_path):
    files = {f"top/{n}": data for n, data in files_of(labels="a\nb\n").items()}
    archive = r.tarball(files, tmp_path / "two.tar.gz")
    done = served.mmectl("models", "check", str(archive), "--json", code=1)
    (row,) = json.loads(done.stdout)["data"]["models"]
    assert [p.split(": ")[:2] for p in row["problems"]] == [[str(archive), "top/synset.txt"]]
    assert "check-" not in done.stdout.decode()


def test_a_body_with_a_byte_order_mark(served):
    body = MARK + json.dumps([[1.0] * r.WIDTH]).encode()
    for kind in ("application/json", "application/octet-stream"):
        done = served.mmectl("invoke", "-m", "first", "--content-type", kind, "-", input=body)
        assert np.allclose(json.loads(done.stdout), [answer("SoftmaxOutput")], atol=1e-6)


def test_networks_called_like_versions_are_asked_and_kept_apart(served, tmp_path):
    location = served.data("models", "list")["location"].removeprefix("s3://")
    bucket, prefix = location.split("/", 1)
    s3 = served.client("s3")
    body = json.dumps([1.0] * r.WIDTH).encode()
    for key, op in (("yolo_v3.tar.gz", "LinearRegressionOutput"), ("x.tgz", "SVMOutput")):
        archive = r.tarball(files_of(op, "target"), tmp_path / "other.tar.gz")
        s3.put_object(Bucket=bucket, Key=prefix + key, Body=archive.read_bytes())
    for name, key in (("yolo_v3", "yolo_v3.tar.gz"), ("x.tgz", "x.tgz")):
        done = served.data(
            "invoke", "-m", name, "--content-type", "application/json", str(_file(tmp_path, body))
        )
        assert done["target_model"] == key
        assert np.allclose(json.loads(done["body"]), answer("LinearRegressionOutput"), atol=1e-6)
    served.mmectl("upload", "yolo", "--from", str(served.folder / "hidden.tar.gz"))
    assert served.data("models", "show", "yolo")["current"] == 1
    pruned = served.data("models", "prune", "--all", "--keep", "0", "--dry-run")["removed"]
    assert not [target for target in pruned if target.startswith(("yolo", "x."))]
    refused = served.mmectl(
        "upload", "yolo_v4", "--from", str(served.folder / "hidden.tar.gz"), code=2
    )
    assert b"looks like a version of the model yolo" in refused.stderr


def _file(folder: Path, body: bytes) -> Path:
    (folder / "body.json").write_bytes(body)
    return folder / "body.json"
