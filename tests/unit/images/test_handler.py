"""The folder of image.handler: looked at before any build, and a part of the image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmectl import image
from mmectl.base.errors import BuildError
from mmectl.images import handler
from mmectl.images.assembled import assembled
from mmectl.images.context import Contents, context_digest, context_requirements, entries
from mmectl.images.values import BuildRequest

SCRIPT = "def model_fn(d): return 1\ndef predict_fn(a, b): return b\n"
CONTAINER = Path(__file__).parents[3] / "container"


def made(tmp_path: Path, files: dict[str, str | bytes] | None = None) -> Path:
    folder = tmp_path / "handler"
    for name, text in (files or {"inference.py": SCRIPT}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(BuildError) as caught:
        handler.read(folder, "./handler")
    assert caught.value.code == "bad_handler"
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    "script",
    [
        SCRIPT,
        "def model_fn(d): return 1\ndef transform_fn(m, b, c, a): return b\n",
        "def model_fn(d): return Estimator()\n",  # whose predict answers
        "def handle(data, context): return data\n",
        "class S:\n  def initialize(self, c): pass\n  def handle(self, d, c): return d\n",
        "from base import Base\nclass S(Base):\n  def handle(self, d, c): return d\n",
        "from mine import model_fn, predict_fn\n",
        "from mine import *\n",
        "import mine\nmodel_fn = mine.load\npredict_fn, other = mine.predict, 1\n",
        "try:\n  from mine import handle\nexcept ImportError:\n  handle = None\n",
        "if True:\n  def handle(d, c): return d\n",
        "service = None\nhandle: object = print\n",
        "\ufeffdef handle(d, c): return d\n",
    ],
)
def test_entry_points_of_both_shapes_are_seen(tmp_path, script):
    assert set(handler.read(made(tmp_path, {"inference.py": script}), "h").files) == {
        "inference.py"
    }


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (b"", "inference.py: is empty: write model_fn"),
        (b"x = 1\n", "inference.py: has no entry point: write model_fn"),
        (b"def model_fn(:\n", "inference.py: is not a Python script in line 1"),
        (b"def handle(d, c): return '\xff'\n", "inference.py: is not a Python script"),
        (b"x\0y", "inference.py: is not a Python script"),
        (SCRIPT.encode() + b"def transform_fn(): pass\n", "transform_fn beside predict_fn"),
        (b"class S:\n  def handle(self, d, c): return d\n", "has no entry point"),
    ],
)
def test_a_script_that_cannot_serve_is_refused_before_the_build(tmp_path, script, said):
    message = refused(made(tmp_path, {"inference.py": script}))
    assert message.startswith("image.handler: ./handler/")
    assert said in message


def test_every_problem_is_told_at_once(tmp_path):
    folder = made(
        tmp_path,
        {
            "predict.py": SCRIPT,
            "broken.py": "def (",
            "serving/__init__.py": "",
            "requirements.txt": "# ours\nnumpy\n-r more.txt\ngit+https://host/x # one\n\n",
        },
    )
    (folder / "out.py").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe")
    message = refused(folder)
    for said in (
        "inference.py: is missing: write model_fn",
        "broken.py: is not a Python script in line 1",
        "serving: has the name of a module of the server's",
        "requirements.txt:3: '-r more.txt' is not a package",
        "requirements.txt:4: 'git+https://host/x' is not a package",
        "out.py: is a symbolic link",
        "pipe: is not a regular file",
    ):
        assert f"./handler/{said}" in message
    assert "requirements.txt:2" not in message


def test_what_is_no_part_of_it_is_left_out_and_told(tmp_path):
    folder = made(
        tmp_path,
        {
            "inference.py": SCRIPT,
            ".git/config": "secret",
            ".env": "secret",
            "__pycache__/inference.cpython-311.pyc": "",
            "old.pyc": "",
            "größe/模型.txt": "1",
            "json.py": "",
        },
    )
    read = handler.read(folder, "./handler")
    assert set(read.files) == {"inference.py", "größe/模型.txt", "json.py"}
    assert [note for note in read.notes if ".git: is left out" in note]
    assert [note for note in read.notes if "json.py: has the name of a module of Python's" in note]


def test_a_large_folder_is_told_of(tmp_path):
    folder = made(tmp_path)
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(handler.LARGE + 1)
    assert any("MB, which each instance fetches" in n for n in handler.read(folder, "h").notes)


def test_the_digest_of_the_image_covers_it(tmp_path):
    context = context_digest(CONTAINER)
    plain = image.contents_digest(context, Contents(("custom",)))
    found = {plain}
    folder = made(
        tmp_path, {"inference.py": SCRIPT, "requirements.txt": "pandas==2.3.3 # frames\n"}
    )
    for change in (
        lambda: None,
        lambda: (folder / "inference.py").write_text(SCRIPT + "# changed\n"),
        lambda: (
            (folder / "inference.py").rename(folder / "more.py")
            and (folder / "inference.py").write_text(SCRIPT)
        ),
    ):
        change()
        read = handler.read(folder, "h")
        found.add(image.contents_digest(context, Contents(("custom",), (), read)))
    assert len(found) == 4
    again = handler.read(folder, "h")
    assert image.contents_digest(context, Contents(("custom",), (), again)) in found
    assert again.requirements == ("pandas==2.3.3",)


def test_it_lies_in_the_context_that_is_built(tmp_path):
    folder = made(tmp_path, {"inference.py": SCRIPT, "tools/more.py": ""})
    contents = Contents(("custom",), (), handler.read(folder, "h"))
    assert contents.served == ("custom", "any")
    assert contents.arguments() == {"FRAMEWORKS": "custom", "HANDLER": contents.handler.digest}
    files = entries(CONTAINER, contents)
    assert files["runtimes/custom/handler/tools/more.py"] == folder / "tools" / "more.py"
    assert context_requirements(CONTAINER, contents)
    request = BuildRequest(CONTAINER, "r/n:t", "sha256:0", "linux/amd64", contents=contents)
    (folder / "tools" / "more.py").chmod(0o600)
    (folder / "tools").chmod(0o700)
    before = os.umask(0o077)
    try:
        with assembled(request) as whole:
            modes = {path.stat().st_mode & 0o777 for path in whole.context.rglob("*")}
    finally:
        os.umask(before)
    assert modes == {0o755, 0o644}  # the server in the image is another user
    with assembled(request) as whole:
        assert (whole.context / "runtimes/custom/handler/inference.py").read_text() == SCRIPT
        assert (whole.context / "Dockerfile").is_file()
        there = whole.context
    assert not there.exists()
    (folder / "inference.py").write_text("changed meanwhile")
    with pytest.raises(BuildError, match="changed while it was read"), assembled(request):
        pass
    with assembled(BuildRequest(CONTAINER, "r/n:t", "sha256:0", "linux/amd64")) as same:
        assert same.context == CONTAINER


def test_a_container_of_another_kind_takes_none(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "Dockerfile").write_text("FROM scratch\n")
    contents = Contents(("custom",), (), handler.read(made(tmp_path), "h"))
    with pytest.raises(BuildError, match=r"takes no image\.handler"):
        entries(other, contents)
