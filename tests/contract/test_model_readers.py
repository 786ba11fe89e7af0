"""What `mmectl models check` says of a tarball is what the container does with it."""

from __future__ import annotations

import shutil

from hypothesis import event, given, settings
from random_models import CLASSES, folders, tarball
from runtimes.mxnet import model_files
from runtimes.mxnet.predictor import Network, check_names, weights_of

from mmectl.archive.unpack import unpack
from mmectl.frameworks import look
from mmectl.frameworks.mxnet import symbols


def container(folder) -> str:
    """Why the container would refuse the model; "" where it serves it. MXNet's part is by hand."""
    try:
        files = model_files.find(folder)
        tensors = model_files.read_tensors(files.params.read_bytes())
        symbol = symbols.parse(model_files.read_text(files.symbol))
        network = Network(None, {}, list(symbol.inputs()), [], [], None, symbol.labels())
        weights = weights_of(tensors, network, {i.name for i in files.inputs})
        check_names(network, weights, files.inputs)
    except model_files.ModelError as error:
        return str(error)
    if weights["fc_weight"].shape != (CLASSES, *files.inputs[0].shape[1:]):
        return "the shapes do not match"
    if files.labels is not None and len(files.labels) != CLASSES:
        return "the labels do not match"
    return ""


@settings(max_examples=300, deadline=None)
@given(folders())
def test_check_and_container_agree(tmp_path_factory, files):
    place = tmp_path_factory.mktemp("verdict")
    unpack(tarball(files, place / "m.tar.gz"), place / "m")
    found = look.look_at_tarball(place / "m", "m.tar.gz")
    refused = container(place / "m")
    event("refused" if refused else "served")
    assert (not found.problems) == (not refused), (found, refused)
    assert all(problem.path.startswith("m.tar.gz") for problem in found.problems)
    shutil.rmtree(place)
