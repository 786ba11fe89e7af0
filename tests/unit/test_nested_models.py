"""Models with folders in them, of scripts and of any kind: looked at, packed, fetched again."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from fakes.bucket import Memory

from mmectl.archive import pack
from mmectl.archive.unpack import Limits, unpack
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.frameworks import packing
from mmectl.frameworks.detect import Rest
from mmectl.frameworks.look import is_nested, look, look_at_tarball
from mmectl.registry import fetching, upload
from mmectl.registry.upload_job import Upload, Uploaded

WHERE = Location("bucket", "demo/")
SCRIPT = "def model_fn(d): return 1\ndef predict_fn(a, b): return b\n"
LONG = "n" * 120
FILES = {
    "code/inference.py": SCRIPT,
    "code/tools/__init__.py": "",
    "code/requirements.txt": "pandas\n",
    "größe/模型.bin": "w",
    f"{LONG}/{LONG}.txt": "long",
    "model.txt": "3",
}


def made(folder: Path, files: dict[str, str] = FILES) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def packed(folder: Path) -> tuple[pack.Packed, bytes]:
    sink = io.BytesIO()
    return pack.pack(pack.members(folder, deep=True), sink), sink.getvalue()


def put(bucket: Memory, folder: Path, **options: object) -> Uploaded:
    request = Upload("model", folder, **options)  # type: ignore[arg-type]
    return upload.upload(bucket, WHERE, request)


def problems(folder: Path, **options: object) -> list[str]:
    found = look(folder, **options).problems  # type: ignore[arg-type]
    return [str(problem).removeprefix(f"{folder}/") for problem in found]


def test_the_limits_are_those_of_unpacking():
    limits = Limits()
    wanted = (limits.members, limits.folders, limits.depth)
    assert wanted == (packing.MOST_FILES, packing.MOST_FOLDERS, packing.DEEPEST)


def test_folders_are_packed_the_same_everywhere_and_unpacked_as_they_were(tmp_path):
    first, second = made(tmp_path / "a"), tmp_path / "b"
    made(second, dict(reversed(FILES.items())))
    made_of_first, made_of_second = packed(first), packed(second)
    assert made_of_first == made_of_second
    path = tmp_path / "x.tar.gz"
    path.write_bytes(made_of_first[1])
    with tarfile.open(path) as tar:
        assert tar.getnames() == sorted(FILES)
    # also where a long name takes blocks of its own
    assert len(gzip.decompress(path.read_bytes())) % tarfile.RECORDSIZE == 0
    unpack(path, tmp_path / "c", Limits(code=True))
    there = tmp_path / "c"
    assert {n: (there / n).read_text() for n in FILES} == FILES


def test_a_script_in_code_is_uploaded_with_leave_alone_and_fetched_as_it_was(tmp_path):
    bucket, folder = Memory(), made(tmp_path / "m")
    said = problems(folder)
    assert [text for text in said if text.startswith("code/inference.py: is code")]
    assert [text for text in said if text.startswith("code/tools/__init__.py: is code")]
    with pytest.raises(ArtifactError, match="is code"):
        put(bucket, folder)
    assert not bucket.objects
    done = put(bucket, folder, allow_code=True)
    assert done.framework == "custom"
    (body, about) = bucket.objects["demo/model.tar.gz"]
    assert about["mmectl-framework"] == "custom"
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert tar.getnames() == sorted(FILES)
    assert put(bucket, folder, allow_code=True).action == "unchanged"
    (folder / "code" / "tools" / "__init__.py").write_text("# changed\n")
    assert put(bucket, folder, allow_code=True).created == ("model_v2.tar.gz",)


@pytest.mark.parametrize("files", [FILES, {"code/inference.py": SCRIPT}])
def test_a_tarball_with_code_is_taken_as_it_is(tmp_path, files):
    folder = made(tmp_path / "m", files)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(packed(folder)[1])
    there = tmp_path / "there"
    with pytest.raises(ArtifactError, match="is code") as caught:
        fetching.unpack(path, there, label="x")
    assert "--allow-code" in str(caught.value.hint)
    assert not there.exists()
    fetching.unpack(path, there, label="x", how=fetching.Unpacking(allow_code=True))
    assert sorted(p.relative_to(there).as_posix() for p in there.rglob("*") if p.is_file()) == (
        sorted(files)
    )
    bucket = Memory()
    put(bucket, there, allow_code=True, tarball="x.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(bucket.objects["demo/model.tar.gz"][0])) as tar:
        assert tar.getnames() == sorted(files)


def test_any_folder_is_taken_for_a_handler_and_no_other(tmp_path):
    files = {"1/saved/model.pb": "x", "words.txt": "a b", "empty": ""}
    folder, bucket = made(tmp_path / "m", files), Memory()
    assert any("holds no model of a known framework" in text for text in problems(folder))
    assert problems(folder, rest=Rest.ALL) == []
    done = put(bucket, folder, rest=Rest.ALL, served=("custom", "any"))
    assert (done.framework, done.action) == ("any", "uploaded")
    with tarfile.open(fileobj=io.BytesIO(bucket.objects["demo/model.tar.gz"][0])) as tar:
        assert tar.getnames() == sorted(files)
    with pytest.raises(ArtifactError, match="is a model of any") as caught:
        put(bucket, folder, framework="any", served=("mxnet",))
    assert "image.handler" in str(caught.value.hint)
    assert put(bucket, folder, framework="any").framework == "any"  # a container not ours


def test_a_folder_of_one_folder_alone_stays_one(tmp_path):
    folder = made(tmp_path / "m", {"1/model.pb": "x"})
    assert is_nested(folder, rest=Rest.ALL)
    bucket = Memory()
    put(bucket, folder, rest=Rest.ALL)
    with tarfile.open(fileobj=io.BytesIO(bucket.objects["demo/model.tar.gz"][0])) as tar:
        assert tar.getnames() == ["1/model.pb"]
    assert any("holds only a folder" in text for text in problems(folder))


def test_a_model_that_names_its_framework_is_that_ones_also_with_a_handler(tmp_path):
    folder = made(tmp_path / "m", {"model.json": '{"framework": "sklearn"}', "a/b": ""})
    assert look(folder, rest=Rest.ALL).framework == "sklearn"
    assert any("is a folder inside the model folder" in text for text in problems(folder))
    found = look_at_tarball(folder, "x.tar.gz", rest=Rest.ALL)
    assert found.framework == "sklearn"


def test_what_may_not_be_packed_is_named_where_it_lies(tmp_path):
    folder = made(tmp_path / "m", {"inference.py": SCRIPT, "a/ok.txt": "1"})
    (folder / "a" / "out").symlink_to("/etc")
    (folder / "a" / "inside.txt").symlink_to("ok.txt")
    os.mkfifo(folder / "a" / "pipe")
    (folder / "a" / "two\nlines").write_text("x")
    deep = folder.joinpath(*"d" * 17)
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    said = problems(folder, allow_code=True)
    assert sorted(text.partition(": ")[2].partition(":")[0] for text in said) == [
        "has an unusual file name",
        "is a symbolic link",
        "is a symbolic link",
        "is not a regular file",
        "lies more than 16 folders deep",
    ]


def test_files_that_nobody_means_are_left_out_and_told(tmp_path):
    folder = made(
        tmp_path / "m", {"inference.py": SCRIPT, ".git/config": "x", "a/.DS_Store": "", "a/b": "1"}
    )
    (folder / "nothing").mkdir()
    found = look(folder, allow_code=True)
    assert found.problems == ()
    for name in (".git", "a/.DS_Store", "nothing"):
        assert any(note.startswith(f"{folder / name}: is left out") for note in found.notes)
    names = [m.name for m in pack.members(folder, lambda n: n.startswith("."), deep=True)]
    assert names == ["a/b", "inference.py"]


def test_more_files_than_any_instance_unpacks_are_refused(tmp_path):
    folder = made(tmp_path / "m", {"inference.py": SCRIPT})
    for number in range(packing.MOST_FOLDERS + 1):
        (folder / str(number)).mkdir()
        (folder / str(number) / "x").write_text("")
    (text,) = problems(folder, allow_code=True)
    assert "holds more than 10,000 files or 1,000 folders" in text


def test_a_container_that_nobody_knows_takes_what_is_no_known_model(tmp_path):
    folder = made(tmp_path / "m", {"1/model.pb": "x"})
    assert look(folder, rest=Rest.UNKNOWN).framework == "any"
    known = made(tmp_path / "k", {"tree.txt": "tree\nversion=v4\n"})
    found = look(known, rest=Rest.UNKNOWN)
    assert found.framework == "lightgbm"
    assert found.problems  # a damaged one is told of, unless its framework is named
    assert look(known, rest=Rest.UNKNOWN, framework="any").problems == ()
