"""`mmectl models`: transcripts and JSON of every command, against S3 in memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from fakes.aws import ANN, Aws
from fakes.s3 import Body, FakeS3

from mmectl.app import App
from mmectl.archive import pack
from mmectl.base.values import Location
from mmectl.cli import run


@pytest.fixture
def s3():
    s3 = FakeS3()
    s3.put("bucket", "demo/resnet_18.tar.gz", mmectl_digest="1" * 64)
    s3.put("bucket", "demo/resnet_18_v2.tar.gz", mmectl_digest="2" * 64)
    s3.put("bucket", "demo/shapes.tar.gz", mmectl_digest="3" * 64)
    return s3


@pytest.fixture
def call(s3, tmp_path, monkeypatch, capsys):
    """Run one command; give its exit code, stdout and stderr."""
    (tmp_path / "config.yaml").write_text(
        "platform: aws\nimage: {uri: 'example.com/image:1'}\nendpoint: {name: demo}\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    class World(App):
        aws: Any = Aws(s3)
        location = Location("bucket", "demo/")

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = run(["models", *arguments], World)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


@pytest.fixture
def data(call):
    """The `data` of a command's envelope."""

    def run_it(*arguments: str):
        code, out, _ = call(*arguments, "--json")
        envelope = json.loads(out)
        assert envelope["command"] == f"models {arguments[0]}"
        assert envelope["exit_code"] == code == 0, out
        return envelope["data"]

    return run_it


def test_list_transcript(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    assert out == (
        "MODEL      VERSION  FRAMEWORK    SIZE  DIGEST    AGE  INVOKED  LOADED\n"
        "resnet_18  v2 of 2  -          1.0 kB  22222222  2 d        -       -\n"
        "shapes     v1       -          1.0 kB  33333333  2 d        -       -\n"
    )


def test_list_json(data):
    listed = data("list")
    assert (listed["total"], listed["next"]) == (2, None)
    first = listed["models"][0]
    assert first["name"] == "resnet_18"
    assert first["versions"] == [1, 2]
    assert (first["promoted"], first["last_invoked"], first["in_memory_on"]) == (False, None, None)
    assert first["current"]["target_model"] == "resnet_18_v2.tar.gz"
    assert first["current"]["digest"] == "2" * 64


def test_list_page_by_page(call, data, s3):
    for number in range(120):
        s3.put("bucket", f"demo/sub/net_{number:03}.tar.gz")
    code, out, _ = call("list", "sub/", "--limit", "2")
    assert code == 0
    more = "... and 118 more: mmectl models list sub/ --after sub/net_001"
    assert out.splitlines()[-1] == more
    names = []
    page = {"next": ""}
    while page["next"] is not None:
        page = data("list", "sub/", "--after", page["next"])
        names += [model["name"] for model in page["models"]]
    assert names == [f"sub/net_{number:03}" for number in range(120)]
    assert len(data("list", "--all")["models"]) == 122


def test_many_models_are_not_looked_at_one_by_one(data, s3):
    for number in range(300):
        s3.put("bucket", f"demo/net_{number:03}.tar.gz", mmectl_digest="4" * 64)
    assert data("list", "--all")["models"][0]["current"]["digest"] is None
    assert s3.calls.count("head") == 1  # whether resnet_18_v2 is a version of resnet_18
    assert data("list", "--all", "--details")["models"][0]["current"]["digest"] == "4" * 64


def test_a_page_of_five_thousand_costs_two_listings(data, s3):
    for number in range(5000):
        s3.put("bucket", f"demo/tenant_{number:04}.tar.gz", b"x", mmectl_digest="4" * 64)
        if number % 2:
            data_of = {"model": f"tenant_{number:04}", "version": 1, "digest": None, "history": []}
            body = json.dumps({"mmectl_current_version": 1, **data_of}).encode()
            s3.put("bucket", f"demo.mmectl/current/tenant_{number:04}.json", body)
    listed = data("list", "tenant_")
    assert (len(listed["models"]), listed["total"]) == (50, 5000)
    assert [model["promoted"] for model in listed["models"][:2]] == [False, True]
    assert {call: s3.calls.count(call) for call in s3.calls} == {"list": 2, "head": 50, "get": 25}
    s3.calls.clear()
    assert data("list", "tenant_")["models"] == listed["models"]
    assert s3.calls == ["list", "list"]


def test_exact_names_need_no_pointer(data, s3, packed):
    s3.put("bucket", "demo.mmectl/current/resnet_18.json", b"damaged")
    assert data("fetch", "resnet_18_v3.tar.gz")["verified_by"] == "digest"


def test_list_of_nothing(call):
    code, out, _ = call("list", "none")
    assert code == 0
    assert out == "no models found under s3://bucket/demo/none; upload: mmectl upload --all\n"


def test_list_behind_the_last(call):
    code, out, _ = call("list", "--after", "zzz")
    assert code == 0
    assert "comes after zzz" in out
    assert "upload" not in out


def test_promote_and_rollback_transcripts(call):
    promoted = call("promote", "resnet_18", "v1")
    assert promoted == (0, "resnet_18 is v1 (resnet_18.tar.gz), was v2\n", "")
    again = call("promote", "resnet_18", "v1")
    assert again == (0, "resnet_18 is v1 (resnet_18.tar.gz): nothing to do\n", "")
    assert "resnet_18  v1 of 2" in call("list")[1]
    back = call("rollback", "resnet_18")
    assert back == (0, "resnet_18 is v2 (resnet_18_v2.tar.gz), was v1\n", "")


def test_promote_and_rollback_json(data):
    assert data("promote", "resnet_18_v2", "v1") == {
        "name": "resnet_18",
        "version": 1,
        "before": 2,
        "target_model": "resnet_18.tar.gz",
        "changed": True,
    }
    assert data("rollback", "resnet_18")["version"] == 2


@pytest.mark.parametrize("before", [(), ("promote", "resnet_18", "v2")])
def test_our_own_promotion_is_no_conflict(call, s3, before):
    if before:
        call(*before)
    s3.loses = True
    said = call("promote", "resnet_18", "v1")
    assert said == (0, "resnet_18 is v1 (resnet_18.tar.gz), was v2\n", "")


def test_history(call, data):
    none = "resnet_18: none was promoted: the newest version is current\n"
    assert call("history", "resnet_18") == (0, none, "")
    call("promote", "resnet_18", "v1")
    call("rollback", "resnet_18")
    rows = [line.split() for line in call("history", "resnet_18")[1].splitlines()]
    assert rows[0] == ["WHEN", "WHAT", "TO", "FROM", "BY"]
    assert [row[1:] for row in rows[1:]] == [
        ["rollback", "v2", "v1", ANN],
        ["promote", "v1", "v2", ANN],
    ]
    changes = data("history", "resnet_18")["history"]
    assert [change["action"] for change in changes] == ["rollback", "promote"]


def test_show(call, data):
    call("promote", "resnet_18", "v1")
    code, out, _ = call("show", "resnet_18")
    lines = out.splitlines()
    assert code == 0
    assert lines[1].split() == [
        "*",
        "resnet_18.tar.gz",
        "1.0",
        "kB",
        "11111111",
        "2",
        "d",
        "-",
        "-",
    ]
    assert lines[2].split()[0] == "resnet_18_v2.tar.gz"
    assert lines[4].startswith("current  v1, promote at 20")
    assert lines[5] == f"by       {ANN}"
    shown = data("show", "resnet_18")
    assert (shown["current"], shown["promoted"]) == (1, True)
    assert [item["version"] for item in shown["versions"]] == [1, 2]
    assert shown["history"][0]["by"] == ANN


@pytest.mark.parametrize(
    ("arguments", "code", "said", "hint"),
    [
        (["show", "resnet"], 1, "resnet: no such model", "did you mean resnet_18"),
        (["promote", "resnet_18"], 2, "which version of resnet_18?", "resnet_18 v2"),
        (["promote", "resnet_18", "v9"], 1, "there is no v9: there are v1, v2", "models show"),
        (["promote", "resnet_18", "new"], 2, "'new': not a version", "write it like v2"),
        (["promote", "resnet_18", "v1", "--expect", "v1"], 1, "v1 is not current", "v1   #"),
        (["rollback", "shapes"], 1, "there is nothing to go back to", "models show shapes"),
        (
            ["check", "./none"],
            2,
            "./none: not a source of a model: no such folder",
            "name a folder",
        ),
        (["lst"], 2, "no such command: models lst", "did you mean: mmectl models list"),
    ],
)
def test_bad_input_has_message_and_next_step(call, arguments, code, said, hint):
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert said in err
    assert hint in err


def test_every_command_has_help_with_examples(call):
    from mmectl.commands.models import models

    for name in models.commands:
        code, out, _ = call(name, "--help")
        assert code == 0
        assert "Examples:" in out
        assert all(len(line) <= 80 for line in out.splitlines())


def removed_document(s3, name):
    return json.loads(s3.objects["bucket", f"demo.mmectl/removed/{name}.json"].body)


class TestRemove:
    def test_an_old_version(self, call, s3):
        code, out, err = call("remove", "resnet_18.tar.gz", "--yes")
        assert (code, err) == (0, "")
        assert out == ("MODEL               SIZE\nresnet_18.tar.gz  1.0 kB\n\n1 removed, 1.0 kB\n")
        assert "demo/resnet_18.tar.gz" not in s3.all_keys()
        assert removed_document(s3, "resnet_18")["highest"] == 1

    def test_on_aws_nobody_knows_what_is_in_memory_so_it_needs_a_yes(self, call, s3):
        code, _, err = call("remove", "resnet_18.tar.gz")
        assert code == 1
        assert "not removed: AWS does not tell which versions are in memory" in err
        assert "mmectl models remove --yes resnet_18.tar.gz" in err
        assert "demo/resnet_18.tar.gz" in s3.all_keys()

    def test_what_is_current_needs_a_yes(self, call, data, s3):
        code, out, err = call("remove", "resnet_18_v2")
        assert (code, out) == (1, "")
        assert "not removed: resnet_18_v2.tar.gz: it is the current version of resnet_18" in err
        assert "mmectl models remove --yes resnet_18_v2" in err
        assert data("remove", "resnet_18_v2", "--yes")["removed"] == ["resnet_18_v2.tar.gz"]

    def test_a_whole_model_with_its_pointer(self, call, data, s3):
        call("promote", "resnet_18", "v1")
        dry = data("remove", "resnet_18", "--dry-run")
        assert dry["breaks"] == ["resnet_18.tar.gz: it is the current version of resnet_18"]
        assert len(dry["removed"]) == 2
        assert len(s3.all_keys()) == 4
        data("remove", "resnet_18", "--yes")
        assert s3.all_keys() == ["demo.mmectl/removed/resnet_18.json", "demo/shapes.tar.gz"]

    def test_every_version_by_its_name_takes_the_pointer_along(self, call, s3):
        call("promote", "resnet_18", "v1")
        code, _, _ = call("remove", "resnet_18.tar.gz", "resnet_18_v2", "--yes")
        assert code == 0
        assert s3.all_keys() == ["demo.mmectl/removed/resnet_18.json", "demo/shapes.tar.gz"]

    def test_numbers_are_not_used_again(self, data, s3):
        data("remove", "resnet_18_v2", "--yes")
        assert data("copy", "shapes", "resnet_18")["target_model"] == "resnet_18_v3.tar.gz"


class TestPrune:
    @pytest.fixture
    def five(self, s3):
        for version in (3, 4, 5):
            about = {"mmectl_digest": str(version) * 64, "mmectl_model": "resnet_18"}
            s3.put("bucket", f"demo/resnet_18_v{version}.tar.gz", **about)

    def test_the_current_and_the_last_stay(self, call, data, five):
        call("promote", "resnet_18", "v2")
        assert data("prune", "resnet_18", "--keep", "1", "--dry-run")["removed"] == [
            "resnet_18.tar.gz",
            "resnet_18_v3.tar.gz",
            "resnet_18_v4.tar.gz",
        ]
        code, out, err = call("prune", "--all", "--keep", "1")
        assert code == 0
        assert err.startswith("warning: AWS does not tell which versions are in memory")
        assert out.splitlines()[-1] == "3 removed, 3.0 kB"
        assert data("show", "resnet_18")["current"] == 2
        assert [item["version"] for item in data("show", "resnet_18")["versions"]] == [2, 5]

    def test_nothing_to_do(self, call):
        assert call("prune", "shapes") == (0, "nothing to remove\n", "")

    def test_a_lost_current_version_prunes_nothing(self, call, data, s3, five):
        call("promote", "resnet_18", "v2")
        del s3.objects["bucket", "demo/resnet_18_v2.tar.gz"]
        assert data("prune", "resnet_18", "--keep", "0")["removed"] == []


class TestCopy:
    def test_a_lost_answer_makes_no_second_copy(self, data, s3):
        s3.loses = True
        assert data("copy", "shapes", "forms")["target_model"] == "forms.tar.gz"
        assert "demo/forms_v2.tar.gz" not in s3.all_keys()

    def test_to_another_name(self, call, data, s3):
        code, out, _ = call("copy", "resnet_18", "resnet_eu")
        assert (code, out) == (0, "copied: resnet_eu.tar.gz under s3://bucket/demo/\n")
        about = s3.objects["bucket", "demo/resnet_eu.tar.gz"].metadata
        assert about == {"mmectl-digest": "2" * 64, "mmectl-model": "resnet_eu"}
        assert data("copy", "resnet_18", "resnet_eu")["copied"] is False
        assert data("copy", "shapes", "resnet_eu")["target_model"] == "resnet_eu_v2.tar.gz"

    @pytest.mark.parametrize(
        ("source", "to", "key"),
        [
            ("resnet_18_v2", "staging/", ("bucket", "demo/staging/resnet_18.tar.gz")),
            ("shapes", "s3://other/eu/", ("other", "eu/shapes.tar.gz")),
            ("shapes", "s3://other/eu/forms.tar.gz", ("other", "eu/forms.tar.gz")),
            ("s3://bucket/demo/resnet_18_v2.tar.gz", "net", ("bucket", "demo/net.tar.gz")),
        ],
    )
    def test_elsewhere(self, data, s3, source, to, key):
        s3.buckets.add("other")
        assert data("copy", source, to)["copied"] is True
        assert key in s3.objects


@pytest.fixture
def packed(s3, root, tmp_path):
    """The example model `shapes`, uploaded as the third version of resnet_18."""
    archive = tmp_path / "packed.tar.gz"
    done = pack.pack_file(root / "examples" / "models" / "shapes", archive)
    s3.put("bucket", "demo/resnet_18_v3.tar.gz", archive.read_bytes(), mmectl_digest=done.digest)
    return archive


class TestFetch:
    def test_transcript(self, call, packed, root, tmp_path):
        code, out, _ = call("fetch", "resnet_18")
        assert code == 0
        size = f"{packed.stat().st_size / 1000:.1f} kB"
        assert out == f"resnet_18: {size} fetched; its digest is that of the upload\n"
        original = root / "examples" / "models" / "shapes"
        names = sorted(path.name for path in original.iterdir())
        assert sorted(p.name for p in (tmp_path / "resnet_18").iterdir()) == names
        assert [p.name for p in tmp_path.iterdir() if "fetched" in p.name] == []

    def test_json(self, data, packed):
        done = data("fetch", "s3://bucket/demo/resnet_18_v3.tar.gz", "here")
        assert (done["folder"], done["verified_by"]) == ("here", "digest")

    def test_a_damaged_object_leaves_nothing(self, call, s3, packed, tmp_path):
        item = s3.objects["bucket", "demo/resnet_18_v3.tar.gz"]
        item.metadata["mmectl-digest"] = "0" * 64
        code, _, err = call("fetch", "resnet_18")
        assert code == 1
        assert "uploaded was 00000000: nothing was kept" in err
        assert not (tmp_path / "resnet_18").exists()

    def test_a_folder_that_is_there(self, call, packed, tmp_path):
        (tmp_path / "resnet_18").mkdir()
        code, _, err = call("fetch", "resnet_18")
        assert code == 1
        assert "resnet_18: exists already: nothing was fetched" in err

    def test_no_tarball(self, call):
        assert (
            "s3://bucket/demo/shapes.tar.gz: the archive is not gzip" in call("fetch", "shapes")[2]
        )

    def test_goes_on_where_it_stopped(self, call, s3, packed):
        whole = packed.read_bytes()
        get, asked = s3.get_object, []

        def broken(**request):
            asked.append(request.get("Range"))
            answer = get(**request)
            if len(asked) == 2:  # the alias is asked for first
                answer["Body"] = Cut(whole[:100])
            return answer

        s3.get_object = broken
        assert call("fetch", "resnet_18")[0] == 0
        assert asked == [None, None, "bytes=100-"]


class Cut(Body):
    """A body that breaks off."""

    def iter_chunks(self, size):
        yield self.read()
        raise ReadTimeoutError(endpoint_url="here")


class TestSignature:
    def test_show_tells_what_the_current_version_takes(self, call, data, s3):
        about = '{"version":"opset 17","inputs":[{"name":"x","shape":[null,4],"dtype":"float32"}]}'
        s3.put("bucket", "demo/net.tar.gz", mmectl_framework="onnx", mmectl_signature=about)
        _, out, _ = call("show", "net")
        assert out.splitlines()[-3:] == [
            "for      onnx",
            "version  opset 17",
            "input    x  float32 (?, 4)",
        ]
        (version,) = data("show", "net")["versions"]
        assert version["signature"]["inputs"] == [
            {"name": "x", "shape": [None, 4], "dtype": "float32"}
        ]

    def test_show_says_that_a_script_alone_knows(self, call, s3):
        s3.put("bucket", "demo/script.tar.gz", mmectl_framework="custom")
        _, out, _ = call("show", "script")
        assert out.splitlines()[-1] == "what it takes only its handler knows"

    def test_show_says_how_to_know_it_of_others(self, call, data):
        _, out, _ = call("show", "shapes")
        assert "see: mmectl models check shapes.tar.gz --json" in out
        assert data("show", "shapes")["versions"][0]["signature"] is None


class TestCheck:
    @pytest.fixture
    def shapes(self, root, tmp_path):
        return Path(shutil.copytree(root / "examples" / "models" / "shapes", tmp_path / "shapes"))

    def test_transcript(self, call, shapes):
        code, out, err = call("check", "./shapes")
        assert (code, err) == (0, "")
        assert out == (
            "MODEL     FRAMEWORK  STATE  FORWARD  ANSWERS\n./shapes  mxnet      sound  -        -\n"
        )

    def test_problems(self, call, shapes, tmp_path):
        shutil.copytree(shapes, tmp_path / "wrong")
        (tmp_path / "wrong" / "synset.txt").write_text("one\n")
        code, out, err = call("check", "shapes", "wrong")
        assert code == 1
        assert "wrong   mxnet      1 problem  -        -" in out
        assert "wrong/synset.txt: has 1 label for 8 classes of the symbol" in out
        assert out.splitlines()[-1] == "1 of 2 sound"
        assert "1 of 2 models would fail: wrong" in err
        assert "1 of 1 model would fail: wrong" in call("check", "wrong")[2]

    def test_json(self, call, shapes, tmp_path):
        shutil.copytree(shapes, tmp_path / "wrong")
        (tmp_path / "wrong" / "expected.json").write_text('{"answers": {"no.jpg": ["x"]}}')
        code, out, _ = call("check", "shapes", "wrong", "--json")
        envelope = json.loads(out)
        assert (code, envelope["exit_code"], envelope["status"]) == (1, 1, "failed")
        assert envelope["errors"][0]["code"] == "bad_model"
        good, bad = envelope["data"]["models"]
        assert (good["sound"], good["problems"]) == (True, [])
        assert "names no.jpg, which is not there" in bad["problems"][0]
        assert (envelope["data"]["sound"], envelope["data"]["total"]) == (1, 2)

    def test_tarballs_and_objects(self, data, s3, packed):
        found = data("check", str(packed), "resnet_18", "s3://bucket/demo/resnet_18_v3.tar.gz")
        assert found["sound"] == 3

    def test_an_object_that_is_no_tarball(self, call):
        code, out, _ = call("check", "shapes.tar.gz")
        assert code == 1
        assert "s3://bucket/demo/shapes.tar.gz: the archive is not gzip" in out

    def test_a_tarball_asks_only_about_its_own_files(self, call, shapes, tmp_path):
        (shapes / "expected.json").write_text('{"answers": {"../config.yaml": ["x"]}}')
        pack.pack_file(shapes, tmp_path / "odd.tar.gz")
        code, out, _ = call("check", "odd.tar.gz")
        assert code == 1
        assert "which is not in the model's folder" in out

    @pytest.mark.parametrize("name", ["nofolder", "a/b", "nofolder.tar.gz", "n" * 5000])
    def test_nothing_of_that_name(self, call, name):
        code, _, err = call("check", name)
        assert code == 1
        assert f"{name}: no such folder or tarball, and no such model is uploaded" in err
        assert "next:  name a folder, a .tar.gz, or an uploaded model: mmectl models list" in err

    def test_a_near_miss_of_an_uploaded_model(self, call):
        code, _, err = call("check", "shape")
        assert code == 1
        assert "shape: no such folder or tarball, and no such model is uploaded" in err
        assert "next:  did you mean shapes?" in err

    def test_nothing_of_that_name_and_no_bucket(self, call, s3):
        s3.objects.clear()
        s3.buckets.clear()
        code, _, err = call("check", "nofolder")
        assert code == 1
        assert "nofolder: no such folder or tarball; uploaded models cannot be read: " in err

    def test_nothing_built(self, call, shapes):
        code, _, err = call("check", "shapes", "--forward", "--set", "image.context=shapes")
        assert code == 1
        assert "there is no image context" in err or "is not built" in err


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (
            ("fetch", "s3://bucket/none.tar.gz"),
            "no such object in the bucket",
            "mmectl models list",
        ),
        (("fetch", "s3://nowhere/x.tar.gz"), "there is no bucket nowhere", "`platform`"),
        (("copy", "s3://nowhere/x.tar.gz", "x"), "there is no bucket nowhere", "`platform`"),
        (
            ("fetch", "http://host/x.tar.gz"),
            "not an object of S3",
            "mmectl upload NAME --from http:",
        ),
        (
            ("copy", "file:///x.tar.gz", "x"),
            "not an object of S3",
            "mmectl upload NAME --from file:",
        ),
        (("fetch", "s3://bucket"), "not an object of S3", "s3://bucket/folder/model.tar.gz"),
    ],
)
def test_addresses_of_nothing_say_what_to_do(call, arguments, says, hint):
    code, _, err = call(*arguments)
    message, _, next_line = err.partition("\nnext:")
    assert code in (1, 2)
    assert says in message
    assert hint in next_line


def test_check_says_what_to_do_about_an_unreachable_zoo(call, tmp_path):
    nowhere = f"zoo.base_url=file://{tmp_path}/nowhere/"
    code, out, err = call("check", "zoo:resnet_18", "zoo:resnet_152", "--set", nowhere)
    assert code == 1
    assert out.count("cannot be fetched") == 2
    assert err.count("set zoo.base_url in config.yaml") == 1
    rows = json.loads(call("check", "zoo:resnet_18", "--set", nowhere, "--json")[1])["data"]
    assert "zoo.base_url" in rows["models"][0]["hint"]


class TestOtherNetworks:
    """Names that end as versions do, written by others or meant so."""

    @pytest.fixture
    def yolo(self, s3):
        for name in ("yolo_v3", "yolo_v4", "yolo_v5"):
            s3.put("bucket", f"demo/{name}.tar.gz", name.encode() * 100)

    def names(self, data):
        return {model["name"]: model["versions"] for model in data("list")["models"]}

    def test_they_are_models_of_their_own(self, data, s3, yolo):
        assert self.names(data) == {
            "resnet_18": [1, 2],
            "shapes": [1],
            "yolo_v3": [1],
            "yolo_v4": [1],
            "yolo_v5": [1],
        }
        shown = data("show", "yolo_v4")
        assert [item["target_model"] for item in shown["versions"]] == ["yolo_v4.tar.gz"]
        assert data("show", "yolo_v4.tar.gz")["name"] == "yolo_v4"

    def test_none_of_them_is_pruned(self, call, data, s3, yolo):
        assert data("prune", "--all", "--keep", "0", "--dry-run")["removed"] == ["resnet_18.tar.gz"]
        assert data("prune", "yolo_v3", "--keep", "0")["removed"] == []

    def test_what_others_wrote_of_a_model_stays_without_a_yes(self, call, data, s3):
        s3.put("bucket", "demo/net.tar.gz", b"by hand")
        for version in (2, 3):
            about = {"mmectl_digest": str(version) * 64, "mmectl_model": "net"}
            s3.put("bucket", f"demo/net_v{version}.tar.gz", **about)
        code, out, err = call("prune", "net", "--keep", "0")
        assert code == 0
        assert "kept, not written by mmectl: net.tar.gz; --yes removes them, too" in err
        assert "net.tar.gz" not in out
        assert "demo/net_v2.tar.gz" not in s3.all_keys()
        assert data("prune", "net", "--keep", "0", "--yes")["removed"] == ["net.tar.gz"]

    def test_a_name_between_two_networks(self, data, s3):
        s3.put("bucket", "demo/resnet50_v1.tar.gz", b"theirs")
        s3.put("bucket", "demo/resnet50_v3.tar.gz", b"theirs, too")
        s3.put("bucket", "demo/resnet50.tar.gz", mmectl_digest="1", mmectl_model="resnet50")
        s3.put("bucket", "demo/resnet50_v2.tar.gz", mmectl_digest="2", mmectl_model="resnet50")
        found = self.names(data)
        assert found["resnet50"] == [1, 2]
        assert found["resnet50_v1"] == found["resnet50_v3"] == [1]
        # the number that is taken is left out
        assert data("copy", "shapes", "resnet50")["target_model"] == "resnet50_v4.tar.gz"
        assert data("promote", "resnet50", "v4")["target_model"] == "resnet50_v4.tar.gz"

    def test_copies_are_called_as_the_network(self, data, s3, yolo):
        assert data("copy", "yolo_v3", "staging/")["target_model"] == "staging/yolo_v3.tar.gz"
        done = data("copy", "s3://bucket/demo/yolo_v4.tar.gz", "staging/")
        assert done["target_model"] == "staging/yolo_v4.tar.gz"
        assert (
            data("copy", "resnet_18_v2", "staging/")["target_model"] == "staging/resnet_18.tar.gz"
        )

    def test_a_name_like_a_version_of_ours_is_refused_with_both_ways_out(self, call, s3):
        code, _, err = call("copy", "shapes", "resnet_18_v7")
        assert code == 2
        assert "looks like a version of the model resnet_18, which is uploaded" in err
        assert "next version: mmectl upload resnet_18 --from" in err
        assert "of its own: mmectl upload resnet_18v7 --from" in err

    def test_a_removed_name_is_no_number_again(self, data, s3):
        data("copy", "shapes", "net_v2")
        data("remove", "net_v2", "--yes")
        data("copy", "shapes", "net")
        assert data("copy", "resnet_18", "net")["target_model"] == "net_v4.tar.gz"

    def test_removed_numbers_are_no_name_again(self, call, data, s3):
        data("remove", "resnet_18", "--yes")
        code, _, err = call("copy", "shapes", "resnet_18_v2")
        assert code == 2
        assert "looks like a version of the model resnet_18" in err

    def test_a_name_with_two_readings_is_never_guessed(self, call, data, s3):
        s3.put(
            "bucket", "demo/resnet_18_v2_v2.tar.gz", mmectl_digest="3", mmectl_model="resnet_18_v2"
        )
        code, _, err = call("show", "resnet_18_v2.tar.gz")
        assert code == 0
        code, _, err = call("fetch", "resnet_18_v2")
        assert code == 1
        assert "resnet_18_v2: is a model, and resnet_18_v2.tar.gz is a version of resnet_18" in err
        code, _, err = call("remove", "resnet_18_v2", "--yes")
        assert code == 1
        assert "demo/resnet_18_v2.tar.gz" in s3.all_keys()

    def test_an_object_of_another_ending_is_taken_by_its_key(self, call, data, s3):
        s3.put("bucket", "demo/x.tgz", b"theirs")
        assert data("show", "x.tgz")["versions"][0]["target_model"] == "x.tgz"
        code, _, err = call("promote", "x.tgz", "v1")
        assert code == 2
        assert "is one object and has no versions" in err
        assert data("copy", "x.tgz", "y")["target_model"] == "y.tar.gz"
