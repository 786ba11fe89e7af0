"""Where a model's folder comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.sources.origin import Source, chosen, prepare

KNOWN = (Source("shapes", None, None), Source("resnet_18", zoo="resnet_18"))


def test_names_are_those_of_the_configuration_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes").mkdir()
    (tmp_path / "mine").mkdir()
    assert chosen(["shapes"], KNOWN) == (KNOWN[0],)
    assert chosen(["./shapes"], KNOWN) == (Source("shapes", tmp_path / "shapes"),)
    assert chosen(["mine"], KNOWN) == (Source("mine", tmp_path / "mine"),)


def test_unknown_names_get_the_near_miss():
    with pytest.raises(UsageError) as caught:
        chosen(["resnet18"], KNOWN)
    assert "neither a model of the configuration (shapes, resnet_18) nor a folder" in str(
        caught.value
    )
    assert caught.value.hint == "did you mean: mmectl upload resnet_18"


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("zoo:resnet_18", "mmectl upload resnet_18"),
        ("zoo:resnet_152", "mmectl upload resnet_152 --from zoo:resnet_152"),
        ("resnet_152", "mmectl upload resnet_152 --from zoo:resnet_152"),
        ("s3://nowhere/birds.tar.gz", "mmectl upload birds --from s3://nowhere/birds.tar.gz"),
        ("./shapes.tar.gz", "mmectl upload shapes --from ./shapes.tar.gz"),
    ],
)
def test_sources_in_place_of_names_get_the_command(name, typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shapes.tar.gz").touch()
    with pytest.raises(UsageError) as caught:
        chosen([name], KNOWN)
    assert caught.value.hint == f"type: {typed}"


def test_a_folder_is_taken_as_it_is(tmp_path):
    source = Source("mine", tmp_path)
    assert prepare(source, tmp_path / "cache").folder == tmp_path
    with pytest.raises(UsageError, match="mine: has weights of its own"):
        prepare(source, tmp_path / "cache", random_weights=True)


def test_untrained_networks_are_made_once_for_a_seed(tmp_path):
    source, events = Source("small", zoo="squeezenet_v1.0"), []
    first = prepare(source, tmp_path, random_weights=True, seed=3, report=events.append)
    assert first.untrained
    assert first.folder == tmp_path / "untrained-3" / "squeezenet_v1.0"
    made = (first.folder / "squeezenet_v1.0-0000.params").stat().st_mtime_ns
    again = prepare(source, tmp_path, random_weights=True, seed=3, report=events.append)
    assert (again.folder / "squeezenet_v1.0-0000.params").stat().st_mtime_ns == made
    assert (events[-1].kind, events[-1].text) == ("note", "untrained, seed 3")


def test_an_unreachable_zoo_is_named(tmp_path):
    source = Source("resnet_18", zoo="resnet_18")
    with pytest.raises(ArtifactError) as caught:
        prepare(source, tmp_path, base_url=f"file://{tmp_path}/nowhere/")
    assert caught.value.code == "zoo_unreachable"
    assert "--untrained" in caught.value.hint
