"""A new project as values: names, the look and its bounds, the short file, what is written."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmectl.base import packaged
from mmectl.base.errors import UsageError
from mmectl.config.loading import load
from mmectl.registry.names import check_name
from mmectl.starting import ignored, judging, looking, short_config
from mmectl.starting.asking import Defaults
from mmectl.starting.looking import Bounds, Found, look_around
from mmectl.starting.loose import script_files
from mmectl.starting.names import endpoint_name, model_name
from mmectl.starting.start import plan
from mmectl.starting.told import commands
from mmectl.starting.wishes import Wish, location
from mmectl.starting.writing import CannotWrite, Entry, write

RING = packaged.examples() / "xgboost" / "ring"


class Asked:
    """Gives answers in order, and keeps the questions."""

    may_change = True

    def __init__(self, *answers):
        self.answers, self.questions = list(answers), []

    def choose(self, question, options, default):
        self.questions.append(question)
        answer = self.answers.pop(0) if self.answers else default
        assert answer in options
        return answer

    def confirm(self, question, default):
        self.questions.append(question)
        return self.answers.pop(0) if self.answers else default


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Shop_2", "my-shop-2"),
        ("café", "cafe"),
        ("--x--", "x"),
        ("模型", "multi-model"),
        ("", "multi-model"),
        ("a" * 62 + "-b", "a" * 62),
        ("v1.2", "v1-2"),
    ],
)
def test_the_name_of_an_endpoint(folder, name):
    assert endpoint_name(folder) == name


@given(st.text(max_size=150), st.sets(st.text("ab-2", max_size=4)))
def test_names_are_always_valid(text, taken):
    assert load(None, environment={}, flags={"endpoint.name": json.dumps(endpoint_name(text))})
    name = model_name(text, taken, "more")
    assert check_name(name) == name
    assert name not in taken


def test_names_of_models_are_told_apart():
    assert model_name("my model.tar.gz") == "my-model"
    assert model_name("a", {"a"}, "xgboost") == "a-xgboost"
    assert model_name("a", {"a", "a-x"}, "x") == "a-2"


@pytest.mark.parametrize(
    ("content", "lacks"),
    [
        (b"", ignored.LINES),
        (b".mmectl\n/__pycache__/\n", ()),
        (b"**/.mmectl/\r\n__pycache__\r\n", ()),
        (b".*\n", ("__pycache__/",)),
        (b".mmectl/\n!.mmectl/\n__pycache__/", (".mmectl/",)),
        (b"# .mmectl/\n\n\xff\n__pycache__/ \n", (".mmectl/",)),
        (b"my.mmectl/\n__pycache__x", ignored.LINES),
    ],
)
def test_what_a_gitignore_lacks(content, lacks):
    assert ignored.missing(content) == lacks
    assert ignored.missing(ignored.with_lines(content, lacks)) == ()
    assert ignored.with_lines(content, lacks).startswith(content)


def test_a_new_gitignore_lacks_nothing():
    assert ignored.missing(ignored.new()) == ()


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=60)


@given(TEXTS, st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3))
def test_the_short_file_says_what_it_was_given(text, environment):
    values = {
        "platform": "local",
        "endpoint": {"name": "x", "environment": environment},
        "models": [{"name": "a", "path": text, "#": "onnx"}],
    }
    written = short_config.text(values, {"endpoint.environment": "words"})
    back = yaml.safe_load(written.replace("$${", "${"))
    assert back == {**values, "models": [{"name": "a", "path": text}]}


def test_the_short_file_with_its_comments():
    values = {
        "models": [{"name": "ring", "path": "models/ring", "#": "xgboost"}],
        "endpoint": {"name": "shop", "environment": {"MMECTL_ALLOW_MODEL_CODE": "true"}},
        "local": {"port": 8000},
        "platform": "local",
    }
    assert short_config.text(values, {"endpoint.environment": "code may run"}) == (
        "# Every key, with its value and where that comes from: mmectl config show\n\n"
        "platform: local                 # local: on this machine; aws: an account\n\n"
        "endpoint:\n"
        "  name: shop                    # letters, digits and hyphens\n"
        "  # code may run\n"
        "  environment: {MMECTL_ALLOW_MODEL_CODE: 'true'}\n\n"
        "local:\n"
        "  port: 8000\n\n"
        "models:                         # what mmectl upload --all uploads\n"
        "  - name: ring                  # xgboost\n"
        "    path: models/ring\n"
    )


def test_a_prefix_is_taken_apart():
    assert location("s3://b/a/c") == {"bucket.name": "b", "bucket.prefix": "a/c/"}
    for wrong in ("", "b/a/", "s3://", "s3:///a/", "s3://b", "https://b.s3.amazonaws.com/a/"):
        with pytest.raises(UsageError, match="--model-data-prefix"):
            location(wrong)


# the look


def many(folder, count):
    for number in range(count):
        (folder / f"d{number:04}").mkdir(parents=True)


def test_the_look_ends_after_so_many_folders(tmp_path):
    many(tmp_path, 30)
    found = look_around(tmp_path, None, Bounds(folders=10))
    assert found.notes == ("d0009: the look ended here: add further models by hand",)


def test_the_look_ends_after_some_seconds(tmp_path):
    many(tmp_path, 30)
    ticks = iter(range(100))
    found = look_around(tmp_path, None, Bounds(clock=lambda: next(ticks), seconds=5))
    assert "the look ended here" in found.notes[0]


def test_the_look_ends_after_so_many_models(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "MOST_MODELS", 3)
    for number in range(5):
        shutil.copytree(RING, tmp_path / f"m{number}")
    found = look_around(tmp_path, None)
    assert [one.name for one in found.models] == ["m0", "m1", "m2"]
    assert found.notes == ("m3: the look ended here: add further models by hand",)


def test_a_folder_of_thousands_of_files_is_no_model(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(judging.MOST_FILES + 1):
        (tmp_path / "pictures" / f"{number}.jpg").touch()
    shutil.copy(RING / "model.ubj", tmp_path / "pictures")
    assert look_around(tmp_path, None) == Found()


def test_links_that_go_round_end(tmp_path):
    shutil.copytree(RING, tmp_path / "a" / "ring")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to("nothing")
    assert [one.path for one in look_around(tmp_path, None).models] == ["a/ring"]


def test_what_is_deep_is_not_found(tmp_path):
    shutil.copytree(RING, tmp_path / "1/2/3/4")
    shutil.copytree(RING, tmp_path / "1/2/3/x/5/6")
    assert [one.path for one in look_around(tmp_path, None).models] == ["1/2/3/4"]


def test_an_odd_name_of_a_file_is_left_out(tmp_path):
    (tmp_path / "m").mkdir()
    shutil.copy(RING / "model.ubj", tmp_path / "m" / "my model.ubj")
    (left,) = look_around(tmp_path, None).left
    assert str(left).startswith("m: my model.ubj: has an unusual file name")


def test_a_name_that_cannot_be_printed_is_escaped(tmp_path):
    (tmp_path / "a\x1b[2J").mkdir()
    (tmp_path / "a\x1b[2J" / "config.yaml").touch()
    (note,) = look_around(tmp_path, None).notes
    assert note.isprintable()


def test_model_json_that_is_wrong_is_told(tmp_path):
    shutil.copytree(RING, tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text('{"framework": "xgbost"}')
    (left,) = look_around(tmp_path, None).left
    assert "names the framework 'xgbost'" in left.why


def test_a_script_takes_the_modules_that_it_imports(tmp_path):
    files = {
        "inference.py": "from . import a\nimport numpy\ndef handle(d, c): ...\n",
        "a.py": "import b, a\n",
        "b.py": "(",
        "c.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert script_files(tmp_path, list(files)) == (("inference.py", "a.py", "b.py"), None)


# the plan


def test_questions_come_with_what_is_there_only(tmp_path):
    ask = Asked("aws", "none")
    start = plan(Wish(tmp_path, "config.yaml"), Found(), ask)
    assert ask.questions == ["Where do commands run?", "Which example to begin with?"]
    assert (start.values["platform"], start.models) == ("aws", [])
    assert commands(start, None, None) == ["mmectl doctor", "mmectl build", "mmectl deploy"]


def test_a_person_may_trust_code(tmp_path):
    shutil.copytree(packaged.examples() / "custom" / "greeting", tmp_path / "greeting")
    found = look_around(tmp_path, None)
    ask = Asked("local", True)
    start = plan(Wish(tmp_path, "config.yaml"), found, ask)
    assert "Do you trust it?" in ask.questions[1]
    assert start.code
    assert not plan(Wish(tmp_path, "config.yaml"), found, Asked("local", False)).models


def test_with_a_handler_a_models_own_format_is_no_code(tmp_path):
    shutil.copytree(packaged.examples() / "pytorch" / "rain", tmp_path / "rain")
    shutil.copytree(packaged.examples() / "custom" / "greeting", tmp_path / "handler")
    found = look_around(tmp_path, None)
    start = plan(Wish(tmp_path, "config.yaml"), found, Defaults(may_change=False))
    assert [one["path"] for one in start.models] == ["rain"]
    assert not start.code


# writing


def test_all_is_written_or_nothing(tmp_path):
    folder = tmp_path / "new" / "deep"
    entries = [Entry("a/b", b"1"), Entry("c", tmp_path / "nothing"), Entry("config.yaml", b"")]
    with pytest.raises(CannotWrite, match="nothing cannot be written: No such file"):
        write(folder, entries)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_comes_meanwhile_is_kept(tmp_path):
    def come():
        (tmp_path / "config.yaml").write_text("theirs")

    entries = [Entry("a/b", b"1"), Entry("config.yaml", b"ours")]
    with pytest.raises(UsageError, match=r"config\.yaml exists, and is not overwritten"):
        write(tmp_path, entries, check=come)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "theirs"


def test_an_interrupt_takes_back_what_was_changed(tmp_path):
    (tmp_path / "old").write_bytes(b"before")

    class Stop(BaseException):
        pass

    def stop():
        raise Stop

    last = Entry("config.yaml", b"")
    with pytest.raises(Stop):
        write(tmp_path, [Entry("a", b""), last], replaced=(tmp_path / "old", b"new"), check=stop)
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(UsageError):
        write(tmp_path, [last], replaced=(tmp_path / "old", b"new"))
    assert (tmp_path / "old").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "old"]


def test_links_are_links_and_programs_stay_programs(tmp_path):
    model, script = tmp_path / "model", tmp_path / "script"
    model.write_bytes(b"1")
    script.write_bytes(b"2")
    script.chmod(0o755)
    write(tmp_path, [Entry("x/model", model, link=True), Entry("x/script", script)])
    assert (tmp_path / "x" / "model").samefile(model)
    assert not (tmp_path / "x" / "script").samefile(script)
    assert (tmp_path / "x" / "script").stat().st_mode & 0o111 == 0o111
