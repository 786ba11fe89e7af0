"""The zoo's networks described, and filled with random weights."""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct

import pytest

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.frameworks import look
from mmectl.frameworks.mxnet import networks, params, untrained, zoo

# weights that are trained, as the zoo's own files hold them
WEIGHTS = {
    "resnet_18": 11_691_950,
    "resnet_152": 60_185_262,
    "squeezenet_v1.0": 1_248_424,
    "squeezenet_v1.1": 1_235_496,
}


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_symbols_are_the_zoo_s_byte_for_byte(name):
    text = networks.symbol_json(networks.NETWORKS[name]())
    assert hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == zoo.MODELS[name][0].md5
    assert len(json.loads(text)["nodes"]) > 100


@pytest.mark.parametrize("name", WEIGHTS)
def test_parameter_counts(name):
    net = networks.NETWORKS[name]()
    trained = [p for p in net.parameters if p.name.startswith("arg:")]
    assert sum(math.prod(p.shape) for p in trained) == WEIGHTS[name]


def test_the_file_is_as_large_as_the_zoo_s_and_names_the_same(shared_models, tmp_path):
    folder = untrained.write_model(tmp_path / "m", "squeezenet_v1.0")
    ours = folder / "squeezenet_v1.0-0000.params"
    theirs = shared_models / "squeezenet_v1.0" / "squeezenet_v1.0-0000.params"
    assert ours.stat().st_size == theirs.stat().st_size
    assert {(a.name, a.shape, a.dtype) for a in params.read(ours)} == {
        (a.name, a.shape, a.dtype) for a in params.read(theirs)
    }


@pytest.mark.parametrize("name", ["resnet_18", "squeezenet_v1.1"])
def test_the_folder_is_a_model(tmp_path, name):
    folder = untrained.write_model(tmp_path / "m", name)
    assert look.check(folder) == ()
    stem = untrained.file_stem(name)
    assert sorted(p.name for p in folder.iterdir()) == [
        f"{stem}-0000.params",
        f"{stem}-shapes.json",
        f"{stem}-symbol.json",
        "synset.txt",
    ]


def test_every_label_says_that_nothing_was_learned():
    labels = untrained.synset().splitlines()
    assert len(labels) == 1000
    assert labels[0] == "untrained class 0001"
    assert all(label.startswith("untrained class ") for label in labels)


def test_a_seed_gives_the_same_weights_and_another_others(tmp_path):
    def digest(seed):
        folder = untrained.write_model(tmp_path / "m", "squeezenet_v1.1", seed=seed)
        return hashlib.sha256((folder / "squeezenet_v1.1-0000.params").read_bytes()).hexdigest()

    assert digest(1) == digest(1) != digest(2)


def test_an_existing_folder_is_replaced_whole(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "old.txt").write_text("old")
    folder = untrained.write_model(tmp_path / "m", "squeezenet_v1.1")
    assert not (folder / "old.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("exponent", [-12, -5, -4, 0, 3])
def test_random_floats_are_of_that_magnitude_and_either_sign(exponent):
    raw = b"".join(untrained.random_floats(random.Random(5), 3000, exponent))
    values = struct.unpack("<3000f", raw)
    assert all(2.0**exponent <= abs(v) < 2.0 ** (exponent + 1) for v in values)
    assert 1300 < sum(v > 0 for v in values) < 1700
    assert len(set(values)) == 3000


def test_batch_normalisation_changes_nothing(tmp_path):
    folder = untrained.write_model(tmp_path / "m", "resnet_18")
    path = folder / "resnet-18-0000.params"
    arrays = {a.name: a for a in params.read(path)}
    with path.open("rb") as stream:
        for name, value in (("arg:bn0_gamma", 1.0), ("aux:bn0_moving_mean", 0.0)):
            stream.seek(arrays[name].offset)
            assert set(struct.unpack("<64f", stream.read(256))) == {value}


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"vgg: no such network: known are resnet_152"):
        untrained.write_model(tmp_path / "m", "vgg")


def test_progress_adds_up(tmp_path):
    events = []
    untrained.write_model(tmp_path / "m", "squeezenet_v1.1", report=events.append)
    assert [events[0].kind, events[-1].kind] == ["start", "done"]
    assert events[-1].done == events[-1].total == 4 * 1_235_496


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="m: cannot be written: Not a directory"):
        untrained.write_model(tmp_path / "file" / "m", "squeezenet_v1.1")
