"""`mmectl init` through the command line: what it writes, refuses, leaves out and asks."""

from __future__ import annotations

import json
import os
import pty
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from fakes.cli import call, result, world

from mmectl.base import packaged
from mmectl.cli import run
from mmectl.config.loading import load
from mmectl.frameworks import look
from mmectl.images.context import context_digest
from mmectl.starting import examples

__all__ = ["call", "world"]

EXAMPLES = packaged.examples()
RING = EXAMPLES / "xgboost" / "ring"
GREETING = EXAMPLES / "custom" / "greeting"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, called `My Shop`, with nothing in it."""
    place = tmp_path / "My Shop"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def init(folder, capsys):
    """Run `mmectl init`; give its exit code, stdout and stderr."""

    def run_it(*arguments):
        code = run(["init", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def data(done):
    code, out, err = done
    assert code == 0, err + out
    return result(out)["data"]


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def config(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


def test_an_example_with_its_answers_in_a_new_folder(init, folder):
    code, out, err = init("shop", "--example", "xgboost", "--yes")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "wrote config.yaml: endpoint shop, platform local, 1 model",
        "wrote models/ring/",
        "wrote .gitignore",
        "next:",
        "  cd shop",
        "  mmectl build",
        "  mmectl upload --all",
        "  mmectl deploy",
        "  mmectl invoke --target-model ring models/ring/rows.csv",
    ]
    names = ["expected.json", "model.ubj", "rows.csv"]
    assert files(folder) == sorted(
        ["shop/.gitignore", "shop/config.yaml", *(f"shop/models/ring/{name}" for name in names)]
    )
    for name in names:
        assert Path("shop/models/ring", name).read_bytes() == (RING / name).read_bytes()
    assert Path("shop/.gitignore").read_text().splitlines()[1:] == [".mmectl/", "__pycache__/"]


@pytest.mark.parametrize(
    "name", [one for one in examples.frameworks(EXAMPLES) if one != examples.HANDLER]
)
def test_each_framework_has_an_example_that_the_upload_takes(init, folder, name, capsys):
    found = data(init("--example", name, "--json"))
    (model,) = found["models"]
    assert model["framework"] == name
    assert Path(found["next"][-1].split()[-1]).is_file()
    assert found["next"][1] == "mmectl upload --all"
    code = bool(look.look(folder / model["path"]).problems)
    looked = look.look(folder / model["path"], allow_code=code)
    assert (looked.problems, looked.framework) == ((), name)
    settings = load(folder / "config.yaml", environment={}).settings
    assert settings.endpoint.environment == ({"MMECTL_ALLOW_MODEL_CODE": "true"} if code else {})
    assert run(["config", "check"]) == 0
    assert max(map(len, (folder / "config.yaml").read_text().splitlines())) <= 80
    assert run(["models", "check", "--all"]) == 0
    assert "sound" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["handler", "phrases"])
def test_the_example_of_a_handler_in_the_image(init, folder, name, capsys):
    """Its answer is what its own functions say, and what its folder says by itself."""
    found = data(init("--example", name, "--json"))
    assert found["models"] == [{"framework": "any", "name": "phrases", "path": "models/phrases"}]
    assert not any("--allow-code" in line for line in found["next"])
    written = config(folder)
    assert written["image"]["handler"] == "handler"
    assert "environment" not in written["endpoint"]
    assert run(["config", "check"]) == 0
    assert run(["models", "check", "--all"]) == 0
    assert "sound" in capsys.readouterr().out
    script = runpy.run_path("handler/inference.py")
    words = script["model_fn"]("models/phrases")
    asked = script["input_fn"](Path("models/phrases/ask.json").read_text(), "application/json")
    told = json.loads(Path("models/phrases/expected.json").read_text())["answers"]
    assert script["predict_fn"](asked, words) == told["ask.json"]
    example = load(EXAMPLES / "handler" / "config.yaml", environment={}).settings
    assert [one.name for one in example.models] == ["phrases"]


def test_an_example_by_its_own_name_and_one_that_there_is_not(init, folder):
    assert data(init("--example", "digits", "--json"))["models"][0]["name"] == "digits"
    (folder / "config.yaml").unlink()
    code, _, err = init("--example", "xgbost")
    assert code == 2
    assert "--example xgbost: no such example" in err
    assert "next:  did you mean: --example xgboost" in err
    assert not (folder / "config.yaml").exists()


def test_nothing_there_and_nobody_to_ask_takes_the_defaults(init, folder):
    found = data(init("--json"))
    assert (found["endpoint"], found["platform"]) == ("my-shop", "local")
    assert [one["name"] for one in found["models"]] == ["ring"]
    assert found["next"][0] == "mmectl build"


def test_no_example(init, folder):
    found = data(init("--example", "none", "--framework", "onnx", "--json"))
    assert (found["models"], found["written"]) == ([], ["config.yaml", ".gitignore"])
    assert config(folder)["image"] == {"frameworks": ["onnx"]}
    assert config(folder)["models"] == []
    assert found["next"] == ["mmectl build", "mmectl deploy"]


def test_models_that_are_there(init, folder):
    shutil.copytree(RING, "models/My Ring")
    shutil.copytree(EXAMPLES / "onnx" / "spiral", "trained/2024/spiral")
    shutil.copytree(RING, "other/My Ring")
    shutil.copytree(RING, ".venv/lib/ring")
    shutil.copytree(RING, "sub/ring")
    Path("sub/config.yaml").write_text("{}")
    found = data(init("--json"))
    assert found["models"] == [
        {"framework": "xgboost", "name": "My-Ring", "path": "models/My Ring"},
        {"framework": "xgboost", "name": "My-Ring-other", "path": "other/My Ring"},
        {"framework": "onnx", "name": "spiral", "path": "trained/2024/spiral"},
    ]
    assert found["left_out"] == []
    assert found["notes"] == ["sub/ has a config.yaml of its own: not looked at"]
    assert found["next"][2:] == [
        "mmectl deploy",
        "mmectl invoke --target-model My-Ring 'models/My Ring/rows.csv'",
    ]
    assert [str(one.path) for one in load(folder / "config.yaml").settings.models] == [
        "models/My Ring",
        "other/My Ring",
        "trained/2024/spiral",
    ]


def test_a_model_that_would_be_refused_is_left_out_with_the_reason(init, folder):
    shutil.copytree(RING, "models/ring")
    Path("models/ring/model.ubj").write_bytes((RING / "model.ubj").read_bytes()[:-500])
    Path("models/net").mkdir()
    Path("models/net/net-symbol.json").write_text("{")
    found = data(init("--json"))
    assert [one["path"] for one in found["left_out"]] == ["models/net", "models/ring"]
    assert all(len(one["why"]) > 10 and str(folder) not in one["why"] for one in found["left_out"])
    assert config(folder)["models"] == []
    assert found["written"] == ["config.yaml", ".gitignore"]


def test_ambiguous_models_need_a_word(init, folder):
    Path("both").mkdir()
    shutil.copy(RING / "model.ubj", "both")
    shutil.copy(EXAMPLES / "catboost" / "stay" / "model.cbm", "both")
    (left,) = data(init("--json"))["left_out"]
    assert left["why"] == "may be for catboost or xgboost: --framework catboost"
    assert left["flag"] == "--framework catboost"
    (folder / "config.yaml").unlink()
    assert data(init("--framework", "catboost", "--json"))["models"] == [
        {"framework": "catboost", "name": "both", "path": "both"}
    ]
    assert config(folder)["models"][0]["framework"] == "catboost"


def test_code_is_taken_only_where_its_owner_says_so(init, folder):
    shutil.copytree(GREETING, "models/greeting")
    found = data(init("--json"))
    assert found["models"] == []
    assert "is code" in found["left_out"][0]["why"]
    assert found["left_out"][0]["flag"] == "--allow-code"
    assert "environment" not in config(folder)["endpoint"]
    (folder / "config.yaml").unlink()
    found = data(init("--allow-code", "--json"))
    assert found["models"][0]["path"] == "models/greeting"
    assert found["next"][1] == "mmectl upload --all"
    assert config(folder)["endpoint"]["environment"] == {"MMECTL_ALLOW_MODEL_CODE": "true"}


def test_loose_files_get_folders_by_links(init, folder):
    shutil.copy(RING / "model.ubj", "xgboost-model")
    shutil.copy(EXAMPLES / "catboost" / "stay" / "model.cbm", "stay.cbm")
    for name in ("symbol.json", "0000.params", "shapes.json"):
        shutil.copy(EXAMPLES / "models" / "shapes" / f"shapes-{name}", ".")
    before = files(folder)
    found = data(init("--json"))
    assert {one["name"]: one["framework"] for one in found["models"]} == {
        "shapes": "mxnet",
        "stay": "catboost",
        "xgboost-model": "xgboost",
    }
    assert set(before) <= set(files(folder))
    assert Path("xgboost-model").samefile("models/xgboost-model/xgboost-model")
    for one in found["models"]:
        assert look.look(folder / one["path"]).problems == ()


def test_the_only_loose_model_keeps_what_describes_it(init, folder):
    for path in (EXAMPLES / "catboost" / "stay").iterdir():
        shutil.copy(path, ".")
    Path("notes.txt").write_text("x")
    assert data(init("--json"))["models"][0]["name"] == "model"
    assert files(folder / "models" / "model") == [
        "expected.json",
        "model.cbm",
        "model.json",
        "rows.csv",
    ]


def test_external_data_goes_with_its_loose_model(init, folder):
    shutil.copy(EXAMPLES / "onnx" / "spiral" / "model.onnx", "spiral.onnx")
    Path("spiral.onnx.data").write_bytes(b"1")
    data(init("--json"))
    assert files(folder / "models") == ["spiral/spiral.onnx", "spiral/spiral.onnx.data"]


def test_loose_files_are_linked_once(init, folder):
    shutil.copy(RING / "model.ubj", ".")
    shutil.copy(GREETING / "inference.py", ".")
    first = data(init("--json"))
    (folder / "config.yaml").unlink()
    again = data(init("--json"))
    assert (again["models"], again["left_out"]) == (first["models"], [])
    assert again["written"] == ["config.yaml"]
    assert config(folder)["image"] == {"handler": "handler"}


def test_what_is_left_out_can_be_taken_by_what_is_said(init, folder, capsys):
    shutil.copytree(GREETING, "my shop/models/greeting")
    shutil.copytree(RING, "my shop/models/ring")
    _, out, _ = init("my shop")
    assert "found models/ring: xgboost" in out.splitlines()
    (line,) = (line for line in out.splitlines() if line.startswith("to take that"))
    assert line == (
        "to take that, begin again: rm 'my shop/config.yaml' && mmectl init 'my shop' --allow-code"
    )
    Path("my shop/config.yaml").unlink()
    assert len(data(init("my shop", "--allow-code", "--json"))["models"]) == 2


def test_a_folder_inside_another_project_says_so(init, folder):
    Path("config.yaml").write_text("platform: local\n")
    (note,) = data(init("new/inner", "--json"))["notes"]
    assert note.startswith(f"lies inside the project of {folder}/config.yaml")


def test_loose_files_can_be_left_where_they_are(init, folder):
    shutil.copy(RING / "model.ubj", ".")
    found = data(init("--no-link", "--json"))
    assert found["left_out"] == [
        {
            "path": "model.ubj",
            "why": "lies loose, and a model is a folder",
            "flag": "--link",
        }
    ]
    assert files(folder) == [".gitignore", "config.yaml", "model.ubj"]


def test_a_script_of_the_project_serves_all_models(init, folder):
    Path("inference.py").write_text(
        "import helpers\n\n\ndef model_fn(d):\n    return 1\n\n\n"
        "def predict_fn(x, m):\n    return helpers.f(x)\n"
    )
    Path("helpers.py").write_text("def f(x):\n    return x\n")
    Path("train.py").write_text("import os\n")
    Path("requirements.txt").write_text("pandas==2.3.3\n")
    shutil.copytree(RING, "models/ring")
    data(init("--json"))
    assert config(folder)["image"] == {"handler": "handler"}
    assert files(folder / "handler") == ["helpers.py", "inference.py", "requirements.txt"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import boto3\n", "has no entry point"),
        ("def model_fn(:\n", "is not a Python script"),
        (
            "import lib\n\n\ndef handle(data, context):\n    return data\n",
            "imports the folder lib/",
        ),
    ],
)
def test_another_inference_py_is_not_used(init, folder, source, why):
    Path("inference.py").write_text(source)
    Path("lib").mkdir()
    shutil.copytree(RING, "models/ring")
    (note,) = data(init("--json"))["notes"]
    assert note.startswith(f"inference.py: {why}")
    assert "image" not in config(folder)


def test_a_handler_folder_is_the_images(init, folder):
    shutil.copytree(GREETING, "handler")
    data(init("--json"))
    assert config(folder)["image"] == {"handler": "handler"}


def test_a_dockerfile_builds_the_image_where_it_serves_such_endpoints(init, folder):
    shutil.copytree(RING, "models/ring")
    Path("Dockerfile").write_text("FROM python:3.12\n")
    (note,) = data(init("--json"))["notes"]
    assert note == "Dockerfile: is not used; to build from it, set image.context: ."
    (folder / "config.yaml").unlink()
    Path("docker").mkdir()
    Path("Dockerfile").unlink()
    Path("docker/Dockerfile").write_text(
        "FROM x\nLABEL com.amazonaws.sagemaker.capabilities.multi-models=true\n"
    )
    data(init("--json"))
    assert config(folder)["image"] == {"context": "docker"}


def test_names_of_a_multi_data_model(init, folder):
    found = data(
        init(
            *("--name", "churn", "--model-data-prefix", "s3://bucket/some/models"),
            *("--image-uri", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mme:1"),
            *("--role", "arn:aws:iam::123456789012:role/R", "--region", "eu-west-1"),
            *("--instance-type", "ml.c5.xlarge", "--instance-count", "2"),
            *("--set", "endpoint.volume_size_gb=50", "--json"),
        )
    )
    assert config(folder) == {
        "platform": "aws",
        "aws": {"role": "arn:aws:iam::123456789012:role/R", "region": "eu-west-1"},
        "bucket": {"name": "bucket", "prefix": "some/models/"},
        "image": {"uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mme:1"},
        "endpoint": {
            "name": "churn",
            "instance_type": "ml.c5.xlarge",
            "instance_count": 2,
            "volume_size_gb": 50,
        },
        "models": [],
    }
    assert found["next"] == ["mmectl doctor", "mmectl deploy"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--name", "my_shop"], "--name  endpoint.name: is 'my_shop'"),
        (["--name", ""], "--name  endpoint.name: "),
        (["--instance-type", "m5.xlarge"], "--instance-type  endpoint.instance_type"),
        (["--instance-count", "-1"], "--instance-count  endpoint.instance_count"),
        (["--role", "a b"], "--role  aws.role"),
        (["--region", "europe"], "--region  aws.region"),
        (["--model-data-prefix", "bucket/models"], "--model-data-prefix bucket/models: must be"),
        (["--model-data-prefix", "s3://bucket/"], "names no prefix"),
        (["--model-data-prefix", "s3://B/x y/"], "--model-data-prefix  bucket.prefix"),
        (["--image-context", "nowhere"], "image.context: no such folder: nowhere"),
        (["--framework", "xgbost"], "did you mean xgboost"),
        (["--set", "endpoint.nam=x"], "unknown key; did you mean 'endpoint.name'?"),
        (["--set", "endpoint"], "must be KEY=VALUE"),
        (["--env", "prod"], "--env: a new config.yaml has no environments yet"),
        (["shop", "--config", "other/config.yaml"], "does not lie in shop"),
        (["--adopt", "x", "--example", "onnx"], "--example: --adopt takes all of that"),
        (["--eject-container", "--image-uri", "x/y:1"], "--eject-container is for an image"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_written(init, folder, flags, words):
    code, _, err = init(*flags)
    assert code == 2
    assert words in err
    assert list(folder.iterdir()) == []


def test_the_file_can_have_another_name_and_place(init, folder):
    found = data(init("--config", "shop/prod.yaml", "--example", "none", "--json"))
    assert files(folder) == ["shop/.gitignore", "shop/prod.yaml"]
    assert found["next"] == [
        "cd shop",
        "mmectl build --config prod.yaml",
        "mmectl deploy --config prod.yaml",
    ]


def pack(name, folder):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(name, "w:gz") as tar:
        tar.add(folder, arcname=".")


def test_tarballs_are_models_too(init, folder):
    pack("models/ring.tar.gz", RING)
    pack("model.tgz", EXAMPLES / "catboost" / "stay")
    pack("data.tar.gz", EXAMPLES / "images")
    pack("code.tar.gz", GREETING)
    Path("broken.tar.gz").write_bytes(b"x")
    found = data(init("--json"))
    assert config(folder)["models"] == [
        {"name": "model", "source": "model.tgz"},
        {"name": "ring", "source": "models/ring.tar.gz"},
    ]
    assert [(one["path"], one["flag"]) for one in found["left_out"]] == [
        ("code.tar.gz", "--allow-code")
    ]
    assert run(["models", "check", "--all"]) == 0


def test_a_handler_that_build_would_refuse_is_not_used(init, folder):
    shutil.copytree(RING, "models/ring")
    shutil.copytree(GREETING, "handler")
    Path("handler/requirements.txt").write_text("-r more.txt\n")
    (note,) = data(init("--json"))["notes"]
    assert note.startswith("image.handler: handler/requirements.txt:1: '-r more.txt' is not a")
    assert "image" not in config(folder)
    (folder / "config.yaml").unlink()
    Path("handler").rename("old")
    for name in ("inference.py", "requirements.txt"):
        shutil.copy(Path("old", name), ".")
    (note,) = data(init("--json"))["notes"]
    assert note.startswith("inference.py: handler/requirements.txt:1: ")
    assert not Path("handler").exists()


# near misses


def link(name, target):
    return lambda: Path(name).symlink_to(target)


def write(name, text="x"):
    def make():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)

    return make


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (write("config.yaml"), [], "config.yaml exists, and is not overwritten"),
        (link("config.yaml", "nothing"), [], "config.yaml is a symbolic link"),
        (lambda: Path("config.yaml").mkdir(), [], "config.yaml exists"),
        (write("shop"), ["shop"], "shop is no folder"),
        (write("shop"), ["shop/deep"], "shop is no folder"),
        (write("x"), ["n" * 300], "File name too long"),
        (link("shop", "nothing"), ["shop"], "shop is a symbolic link to nothing"),
        (write("models"), ["--example", "onnx"], "models is no folder"),
        (write("models/ring/notes"), ["--example", "xgboost"], "models/ring exists, and is not"),
        (write("container/x"), ["--eject-container"], "container exists, and is not overwritten"),
    ],
)
def test_nothing_is_overwritten(init, folder, make, arguments, words):
    make()
    before = files(folder)
    code, out, err = init(*arguments)
    assert code == 2, out
    assert words in err
    assert files(folder) == before


def test_of_many_only_the_first_are_shown(init, folder):
    for number in range(13):
        shutil.copytree(RING, f"models/m{number:02}")
        write(f"other/{number}/config.yaml")()
    code, out, _ = init()
    lines = out.splitlines()
    assert code == 0
    assert sum(line.startswith("found models/m") for line in lines) == 10
    assert "... and 3 more models" in lines
    assert "... and 3 more notes" in lines
    assert len(config(folder)["models"]) == 13


def test_the_hint_names_the_file_where_it_is(init, folder):
    write("a b/config.yaml")()
    assert "see: mmectl config check --config 'a b/config.yaml'" in init("a b")[2]


def test_completion_knows_examples_and_frameworks(init):
    from mmectl.commands.init import _examples, _frameworks

    assert _examples(None, None, "s") == ["shapes", "sklearn", "spiral", "stay"]
    assert _examples(None, None, "no") == ["none"]
    assert _frameworks(None, None, "x") == ["xgboost"]


def test_every_file_in_the_way_is_named(init, folder):
    write("models/ring/notes")()
    write("container/notes")()
    _, _, err = init("--example", "xgboost", "--eject-container")
    assert "models/ring exists" in err
    assert "container exists" in err


def test_a_current_folder_that_was_removed(init, folder):
    folder.rmdir()
    code, _, err = init()
    assert code == 2
    assert "the current folder cannot be used" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_nobody_may_write(init, folder):
    folder.chmod(0o500)
    code, _, err = init()
    folder.chmod(0o700)
    assert code == 1
    assert "cannot be written: Permission denied" in err


def test_what_fails_half_way_leaves_nothing(init, folder, monkeypatch):
    shutil.copytree(RING, "models/ring")
    before = files(folder)

    def full(*_):
        raise OSError(28, "No space left on device", "models/spiral/rows.csv")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    code, _, err = init("--example", "onnx")
    assert code == 1
    assert "models/spiral/rows.csv cannot be written: No space left on device" in err
    assert "next:  free some space, or name a folder of another disk" in err
    assert files(folder) == before
    assert not Path("models/spiral").exists()
    assert init("new/deep", "--example", "onnx")[0] == 1
    assert not Path("new").exists()


def test_a_gitignore_that_exists_keeps_its_lines(init, folder):
    Path(".gitignore").write_bytes(b"*.log\r\nnot ended \xff")
    Path(".gitignore").chmod(0o640)
    found = data(init("--json"))
    assert found["gitignore_lacks"] == [".mmectl/", "__pycache__/"]
    assert Path(".gitignore").read_bytes() == b"*.log\r\nnot ended \xff"
    (folder / "config.yaml").unlink()
    shutil.rmtree("models")
    code, out, _ = init("--yes")
    assert code == 0
    assert "wrote .gitignore: .mmectl/ and __pycache__/ added" in out
    assert Path(".gitignore").read_bytes() == (
        b"*.log\r\nnot ended \xff\r\n.mmectl/\r\n__pycache__/\r\n"
    )
    assert Path(".gitignore").stat().st_mode & 0o777 == 0o640
    (folder / "config.yaml").unlink()
    shutil.rmtree("models")
    assert data(init("--yes", "--json"))["gitignore_lacks"] == []
    assert Path(".gitignore").read_bytes().count(b".mmectl") == 1


def test_a_linked_gitignore_is_told_of(init, folder):
    Path("shared").write_text("")
    Path(".gitignore").symlink_to("shared")
    code, out, _ = init("--yes")
    assert code == 0
    assert ".gitignore is as it was; add to it: .mmectl/ __pycache__/" in out
    assert Path("shared").read_text() == ""


# the container


def test_the_container_is_ejected_into_a_new_project(init, folder):
    data(init("--eject-container", "--example", "onnx", "--json"))
    assert config(folder)["image"] == {"context": "container"}
    assert context_digest(folder / "container") == context_digest(packaged.container())
    assert load(folder / "config.yaml").context == folder / "container"


def test_the_container_is_ejected_beside_a_config_and_never_over_itself(init, folder):
    Path("config.yaml").write_text("platform: local\n")
    assert data(init("--eject-container", "--json"))["next"] == ["mmectl build"]
    assert Path("config.yaml").read_text() == "platform: local\n"
    assert context_digest(folder / "container") == context_digest(packaged.container())
    Path("container/entrypoint.py").write_text("mine")
    code, _, err = init("--eject-container")
    assert code == 2
    assert "container exists, and is not overwritten" in err
    assert Path("container/entrypoint.py").read_text() == "mine"


@pytest.mark.parametrize("image", ["uri: example.com/x:1", "context: other"])
def test_a_container_that_nobody_would_use_is_not_ejected(init, folder, image):
    Path("other").mkdir()
    Path("config.yaml").write_text(f"image: {{{image}}}\n")
    code, _, err = init("--eject-container")
    assert code == 2
    assert f"config.yaml has image.{image.split()[0]}" in err
    assert not Path("container").exists()


# questions


def typed(folder, keys, *arguments, interrupt=False):
    """What `mmectl init` shows on a terminal where somebody types `keys`; and its exit code."""
    program = "import sys; from mmectl.cli import main; main(sys.argv[1:])"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(  # noqa: S606
            sys.executable,
            [sys.executable, "-c", program, "init", *arguments],
            {**os.environ, "TERM": "dumb", "COLUMNS": "80"},
        )
    os.write(terminal, keys.encode())
    shown = b""
    try:
        while more := os.read(terminal, 65536):
            shown += more
            if interrupt and b"[xgboost]" in shown:
                os.kill(pid, signal.SIGINT)
                interrupt = False
    except OSError:
        pass
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, shown.decode().replace("\r\n", "\n")


def test_questions_on_a_terminal(folder):
    (folder / ".gitignore").write_text("*.log\n")
    code, shown = typed(folder, "aws\nonnx\nn\n", "shop/..")
    assert code == 0, shown
    assert "Where do commands run? (local, aws) [local]: " in shown
    assert "Which example to begin with?" in shown
    assert "Add .mmectl/ and __pycache__/ to .gitignore? [Y/n]: " in shown
    assert config(folder)["platform"] == "aws"
    assert config(folder)["models"] == [{"name": "spiral", "path": "models/spiral"}]
    assert (folder / ".gitignore").read_text() == "*.log\n"


def test_what_is_told_is_not_asked(folder):
    code, shown = typed(folder, "", "--yes")
    assert code == 0
    assert "?" not in shown
    assert config(folder)["platform"] == "local"


def test_ctrl_c_in_a_question_leaves_nothing(folder):
    code, shown = typed(folder, "\n", "new", interrupt=True)
    assert code == 130, shown
    assert "interrupted: stopped by Ctrl-C" in shown
    assert list(folder.iterdir()) == []


def test_a_pipe_is_not_asked(folder):
    done = subprocess.run(
        [sys.executable, "-m", "mmectl", "init"],
        cwd=folder,
        input=b"aws\n",
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert config(folder)["platform"] == "local"
