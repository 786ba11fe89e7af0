"""Digests, references, the registry, and what is said when a build cannot be made."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from mmectl import image
from mmectl.base.errors import BuildError
from mmectl.images import local_build
from mmectl.images import local_env as serving_env
from mmectl.images import uv as serving_uv
from mmectl.images.context import (
    Contents,
    context_digest,
    context_requirements,
    knows_sockets,
)
from mmectl.images.local_env import Interpreter
from mmectl.images.trial import Trial
from mmectl.local.images import Images

ACCOUNT, REGION, REPOSITORY = "123456789012", "eu-west-1", "models"
DIGEST = "sha256:" + "ab" * 32
REFERENCE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:abababababab"


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "container"
    (folder / "sub").mkdir(parents=True)
    (folder / "entrypoint.py").write_text("print()\n")
    (folder / "model_handler.py").write_text("\n")
    (folder / "requirements.txt").write_text("mxnet==1.9.1\n")
    (folder / "sub" / "x").write_text("x")
    return folder


def build(context, tmp_path, **options):
    return image.build_local(
        context,
        tmp_path / "state",
        account=ACCOUNT,
        region=REGION,
        repository=REPOSITORY,
        **options,
    )


class TestDigest:
    def test_is_that_of_names_bits_and_bytes(self, context, tmp_path):
        first = context_digest(context)
        assert first.startswith("sha256:")
        copy = context.rename(tmp_path / "elsewhere")
        os.utime(copy / "entrypoint.py", (1, 1))
        assert context_digest(copy) == first

    def test_ignores_compiled_python(self, context):
        before = context_digest(context)
        (context / "__pycache__").mkdir()
        (context / "__pycache__" / "entrypoint.cpython-311.pyc").write_bytes(b"x")
        (context / "old.pyc").write_bytes(b"x")
        assert context_digest(context) == before

    @pytest.mark.parametrize("change", ["content", "name", "mode", "more"])
    def test_every_change_counts(self, context, change):
        before = context_digest(context)
        file = context / "sub" / "x"
        if change == "content":
            file.write_text("y")
        elif change == "name":
            file.rename(context / "sub" / "y")
        elif change == "mode":
            file.chmod(0o755)
        else:
            (context / "empty").touch()
        assert context_digest(context) != before

    def test_refuses_links_and_what_is_no_file(self, context):
        (context / "link").symlink_to("/etc/hostname")
        with pytest.raises(BuildError, match=r"holds a link: .*link"):
            context_digest(context)
        (context / "link").unlink()
        os.mkfifo(context / "pipe")
        with pytest.raises(BuildError, match="not a file"):
            context_digest(context)

    def test_refuses_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(BuildError, match="no image context"):
            context_digest(tmp_path / "gone")


def test_whether_a_server_knows_sockets_is_seen_in_its_context(context):
    assert not knows_sockets(context)
    (context / "sub" / "listen.py").write_text('address = os.environ["MMECTL_BIND_ADDRESS"]')
    assert knows_sockets(context)


def test_reference_is_ecrs():
    assert image.reference(ACCOUNT, REGION, REPOSITORY, DIGEST) == REFERENCE
    china = image.reference(ACCOUNT, "cn-north-1", REPOSITORY, DIGEST)
    assert china.split("/")[0].endswith(".amazonaws.com.cn")


class TestImages:
    @pytest.fixture
    def registry(self, tmp_path):
        entry = {
            "reference": REFERENCE,
            "references": [REFERENCE, "other/models:v1"],
            "digest": DIGEST,
            "entrypoint": ["python", "entrypoint.py"],
            "environment": {"JAVA_HOME": "/j"},
        }
        (tmp_path / f"{'ab' * 32}.json").write_text(json.dumps(entry))
        (tmp_path / "half.json").write_text('{"reference": ')
        (tmp_path / "list.json").write_text("[]")
        return Images(tmp_path)

    @pytest.mark.parametrize(
        "reference",
        [REFERENCE, "other/models:v1", f"{REFERENCE.rpartition(':')[0]}@{DIGEST}"],
    )
    def test_finds_by_tag_and_by_digest(self, registry, reference):
        found = registry.find(reference)
        assert found is not None
        assert found.entrypoint == ("python", "entrypoint.py")
        assert found.environment == {"JAVA_HOME": "/j"}
        assert found.digest == DIGEST

    @pytest.mark.parametrize(
        "reference",
        ["", "models", REFERENCE + "0", f"elsewhere/models@{DIGEST}", f"models@sha256:{'0' * 64}"],
    )
    def test_does_not_find_others(self, registry, reference):
        assert registry.find(reference) is None

    def test_an_empty_registry_has_nothing(self, tmp_path):
        assert Images(tmp_path / "gone").find(REFERENCE) is None


class TestBuild:
    @pytest.mark.parametrize("name", [*local_build.REQUIRED, "requirements.txt"])
    def test_names_what_the_context_lacks(self, context, tmp_path, name):
        (context / name).unlink()
        with pytest.raises(BuildError, match=rf"lacks {name}"):
            build(context, tmp_path)

    def test_a_python_that_does_not_run_registers_nothing(self, context, tmp_path):
        with pytest.raises(BuildError, match="cannot run the Python"):
            build(context, tmp_path, python="/nonexistent/python3")
        assert not list((tmp_path / "state").rglob("*.json"))

    @pytest.fixture
    def registered(self, context, tmp_path):
        """A state folder as a finished build leaves it."""
        state = (tmp_path / "state").resolve()
        environment = state / "envs" / "key"
        for program in (environment / "bin" / "python", tmp_path / "jdk" / "bin" / "java"):
            program.parent.mkdir(parents=True)
            program.touch(0o755)
        marker = {
            "python": {"path": sys.executable, "version": "3.11.7"},
            "java": {"home": str(tmp_path / "jdk"), "version": "17"},
            "variables": {"JAVA_HOME": str(tmp_path / "jdk")},
        }
        (environment / serving_env.MARKER).write_text(json.dumps(marker))
        digest = context_digest(context)
        name = image.reference(ACCOUNT, REGION, REPOSITORY, digest)
        wanted = local_build.Wanted(context, Contents(), digest, name)
        made = local_build._Build(wanted, context_requirements(context), state, Trial())
        made._copy()
        known = serving_env.read_environment(environment)
        assert known is not None
        made._register(known, None, [])
        return made

    def test_an_unchanged_context_is_not_built_again(self, context, tmp_path, registered):
        built = build(context, tmp_path)
        assert built.reused
        assert (built.python, built.java) == ("3.11.7", "17")
        assert built.path == registered.folder
        assert Images(registered.folder.parent).find(built.reference) is not None

    def test_another_reference_of_the_same_image_is_added(self, context, tmp_path, registered):
        first = build(context, tmp_path)
        second = image.build_local(
            context, tmp_path / "state", account=ACCOUNT, region="us-east-1", repository="other"
        )
        assert second.reused
        images = Images(registered.folder.parent)
        assert images.find(first.reference) is not None
        assert images.find(second.reference) is not None

    @pytest.mark.parametrize("loss", ["copy", "environment", "java", "entry", "python"])
    def test_what_is_incomplete_is_not_reused(self, tmp_path, registered, loss):
        wanted = None
        if loss == "copy":
            (registered.folder / "entrypoint.py").write_text("changed")
        elif loss == "environment":
            (registered.environments / "key" / serving_env.MARKER).unlink()
        elif loss == "java":
            (tmp_path / "jdk" / "bin" / "java").unlink()
        elif loss == "entry":
            registered.entry.write_text('{"half": ')
        else:
            wanted = "3.9"
        assert registered.known(wanted) is None

    def test_a_copy_that_was_interrupted_is_made_again(self, registered):
        partial = registered.folder.with_suffix(".partial")
        registered.folder.rename(partial)
        (partial / "entrypoint.py").unlink()
        registered._copy()
        assert registered._copied()
        assert not partial.exists()

    def test_a_full_disk_is_named(self, tmp_path):
        error = local_build._disk_error(OSError(errno.ENOSPC, "x"), tmp_path)
        assert "is full" in error.message
        assert error.hint


class TestUv:
    @pytest.mark.parametrize(
        ("output", "message"),
        [
            ("error sending request for url (https://index/)", "package index does not answer"),
            ("Caused by: dns error", "package index does not answer"),
            ("write: No space left on device (os error 28)", "disk is full"),
            ("Read-only file system (os error 30)", "file system is read-only"),
            ("Failed to initialize cache at `/x`", "a folder cannot be written"),
            ("error sending request\n invalid peer certificate: UnknownIssuer", "not trust"),
            ("Hash mismatch for `a==1`", "its checksum differs"),
            ("lack of valid authentication credentials (401 Unauthorized)", "wants a login"),
            ("returned a 403 Forbidden error", "the package index refuses"),
            ("No solution found: a==1 has no wheels with a matching platform tag", "this machine"),
            ("No solution found: the requested Python version (3.11)", "for this Python"),
            ("No solution found: aaa was not found in the package registry", "lacks a package"),
            ("HTTP status server error (503 Service Unavailable)", "does not answer"),
            ("something else", "uv pip failed: something else"),
            ("", "uv pip failed: no output"),
        ],
    )
    def test_failures_are_put_into_words(self, output, message):
        error = serving_uv.explain(("pip", "install"), output)
        assert message in error.message
        assert error.hint

    def test_pips_index_is_used_where_uv_has_none(self):
        own = {"PIP_INDEX_URL": "http://a/", "UV_DEFAULT_INDEX": "http://b/"}
        assert serving_uv.uv_environment(own) == own
        pips = serving_uv.uv_environment({"PIP_INDEX_URL": "http://a/", "VIRTUAL_ENV": "/v"})
        assert pips == {"PIP_INDEX_URL": "http://a/", "UV_DEFAULT_INDEX": "http://a/"}

    def test_the_systems_certificates_are_tried_where_uv_knows_too_few(self, tmp_path):
        script = """
            echo "$UV_SYSTEM_CERTS" >> calls
            test -n "$UV_SYSTEM_CERTS" && exit 0
            echo "invalid peer certificate: UnknownIssuer" >&2; exit 2
        """
        calls = tmp_path / "calls"
        serving_uv.Uv(program(tmp_path, "uv", script.replace("calls", str(calls)))).run("venv")
        assert calls.read_text() == "\ntrue\n"
        stubborn = 'echo "invalid peer certificate: UnknownIssuer" >&2; exit 2'
        with pytest.raises(BuildError, match="does not trust") as caught:
            serving_uv.Uv(program(tmp_path, "uv", stubborn)).run("venv")
        assert "SSL_CERT_FILE" in caught.value.hint

    def test_a_home_that_cannot_be_written_has_its_cache_in_the_state_folder(self, tmp_path):
        cache = tmp_path / "cache"
        for home in ("/proc/nowhere", "/dev/null"):
            made = serving_uv.uv_environment({"HOME": home}, cache)
            assert made == {"HOME": home, "UV_CACHE_DIR": str(cache)}
        for own in ({"HOME": str(tmp_path)}, {"HOME": "/", "UV_CACHE_DIR": "/c"}):
            assert serving_uv.uv_environment(own, cache) == own
        xdg = {"HOME": "/", "XDG_CACHE_HOME": str(tmp_path / "new")}
        assert serving_uv.uv_environment(xdg, cache) == xdg

    def test_an_uv_that_does_not_run_is_named(self, tmp_path):
        with pytest.raises(BuildError, match=r"cannot run .*nothing: No such file"):
            serving_uv.Uv(str(tmp_path / "nothing")).run("venv")

    def test_a_file_system_without_programs_is_named(self, tmp_path):
        serving_uv.check_programs_run(tmp_path)
        with pytest.raises(BuildError, match=r"does not allow programs \(noexec\)") as caught:
            serving_uv.check_programs_run(tmp_path, flags=os.ST_NOEXEC | os.ST_NOSUID)
        assert "local.state_dir" in caught.value.hint


def program(tmp_path: Path, name: str, script: str) -> str:
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


class TestFinding:
    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            ("3 7 16 cpython True", "is cpython 3.7.16, needed is 64-bit CPython 3.8 to 3.13"),
            ("3 14 0 cpython True", "needed is"),
            ("3 11 0 pypy True", "needed is"),
            ("3 11 0 cpython False", "needed is"),
        ],
    )
    def test_a_python_that_cannot_serve_is_refused(self, tmp_path, answer, message):
        python = program(tmp_path, "python", f"echo {answer}")
        with pytest.raises(BuildError, match=message):
            serving_env.find_python(python, "uv")

    def test_a_python_that_fails_is_refused(self, tmp_path):
        python = program(tmp_path, "python", "echo no such version >&2; exit 127")
        with pytest.raises(BuildError, match=f"cannot run the Python {python}: no such version"):
            serving_env.find_python(python, "uv")

    def test_a_version_that_uv_does_not_know(self, tmp_path):
        uv = program(tmp_path, "uv", "exit 2")
        with pytest.raises(BuildError, match=r"no Python '3\.9'"):
            serving_env.find_python("3.9", uv)

    def test_the_python_of_a_version_comes_from_uv(self, tmp_path):
        python = program(tmp_path, "python", "echo 3 9 18 cpython True")
        uv = program(tmp_path, "uv", f"echo {python}")
        assert serving_env.find_python("3.9", uv) == Interpreter(python, "3.9.18")

    def test_our_own_python_is_taken_by_itself(self):
        found = serving_env.find_python(None, "uv")
        assert found.path == sys.executable

    def java(self, tmp_path, version, specification) -> str:
        (tmp_path / "bin").mkdir()
        lines = (
            f"    java.home = {tmp_path}",
            f"    java.version = {version}",
            f"    java.specification.version = {specification}",
        )
        program(tmp_path / "bin", "java", "\n".join(f"echo '{line}' >&2" for line in lines))
        return str(tmp_path)

    def test_java_from_java_home_or_the_path(self, tmp_path):
        home = self.java(tmp_path, "1.8.0_402", "1.8")
        for environ in ({"JAVA_HOME": home, "PATH": ""}, {"PATH": f"{home}/bin"}):
            found = serving_env.find_java(environ)
            assert found == serving_env.Java(home, "1.8.0_402")

    def test_no_java_or_too_old_a_one(self, tmp_path):
        assert serving_env.find_java({"JAVA_HOME": "/nonexistent", "PATH": ""}) is None
        old = self.java(tmp_path, "1.7.0", "1.7")
        assert serving_env.find_java({"JAVA_HOME": old, "PATH": ""}) is None

    def test_an_environment_is_named_by_all_that_is_in_it(self):
        python = Interpreter(sys.executable, "3.11.7")
        keys = {
            serving_env.environment_key(b"a", python, own_java=False),
            serving_env.environment_key(b"b", python, own_java=False),
            serving_env.environment_key(b"a", python, own_java=True),
            serving_env.environment_key(b"a", Interpreter("/p", "3.11.7"), own_java=False),
        }
        assert len(keys) == 4


class TestIsBuilt:
    def test_only_with_its_record_its_folder_and_its_program(self, tmp_path):
        entry = tmp_path / "images" / "ab.json"
        program = tmp_path / "python"
        entry.parent.mkdir()
        assert not image.is_built(tmp_path, "sha256:ab")
        entry.write_text("{")
        assert not image.is_built(tmp_path, "sha256:ab")
        entry.write_text(json.dumps({"entrypoint": [str(program)]}))
        (tmp_path / "images" / "ab").mkdir()
        assert not image.is_built(tmp_path, "sha256:ab")
        program.touch()
        assert image.is_built(tmp_path, "sha256:ab")


def test_a_tried_container_image_is_remembered_by_the_engines_id(tmp_path):
    assert image.tried_image(tmp_path, "sha256:ab") is None
    image.remember_tried(tmp_path, "sha256:ab", "sha256:cd")
    assert image.tried_image(tmp_path, "sha256:ab") == "sha256:cd"
    assert image.tried_image(tmp_path, "sha256:ef") is None
    (tmp_path / "images" / "ab.engine").write_text("torn")
    assert image.tried_image(tmp_path, "sha256:ab") is None


def test_uv_tells_what_it_downloads_and_no_address(tmp_path):
    said = ["Downloading numpy (16.5MiB)", " Downloaded numpy", "at https://me:secret@host/x"]
    script = "".join(f"echo '{line}' >&2\n" for line in said)
    told = []
    serving_uv.Uv(program(tmp_path, "uv", script), told=told.append).run("venv")
    assert told == ["Downloading numpy (16.5MiB)", "Downloaded numpy"]
