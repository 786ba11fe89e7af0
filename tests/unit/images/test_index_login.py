"""The login of a package index: where it goes, and where it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmectl.base.errors import BuildError
from mmectl.config.checks.image import index_problem
from mmectl.images import command_lines, index_login
from mmectl.images.context import Contents, index_of
from mmectl.images.uv import with_index
from mmectl.images.values import BuildRequest

INDEX = "https://host.example:8443/simple"
LOGIN = {"MMECTL_INDEX_LOGIN": "me:p@ss/1"}
CONTAINER = Path(__file__).resolve().parents[3] / "container"


def request_of(**more: Any) -> BuildRequest:
    contents = Contents(("pytorch",), index=INDEX)
    return BuildRequest(
        CONTAINER, "host/name:tag", "sha256:1", "linux/amd64", None, contents, **more
    )


def test_the_address_has_it_for_uv_alone():
    assert index_login.with_login(INDEX, {}) == INDEX
    made = index_login.with_login(INDEX, LOGIN)
    assert made == "https://me:p%40ss%2F1@host.example:8443/simple"
    environment = with_index({"UV_INDEX": "https://other/"}, made)
    assert environment["UV_INDEX"] == f"{made} https://other/"
    assert environment["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert with_index({"A": "b"}, None) == {"A": "b"}


def test_a_build_has_it_as_a_secret_file(tmp_path):
    netrc = index_login.netrc(INDEX, LOGIN)
    assert netrc == "machine host.example login me password p@ss/1\n"
    assert index_login.netrc(INDEX, {}) == index_login.netrc(None, LOGIN) == ""
    request = request_of(netrc=netrc)
    assert "p@ss" not in repr(request)
    assert request.arguments["INDEX"] == INDEX
    with index_login.staged(CONTAINER, netrc) as folder:
        assert (folder / "netrc").stat().st_mode & 0o777 == 0o600
        assert (folder / "netrc").read_text() == netrc
        text = (folder / "Dockerfile").read_text()
        for command in (
            command_lines.buildkit(request),
            command_lines.buildx(request, driver="docker", raw_json=False),
            command_lines.buildah(request),
        ):
            made = command_lines.with_secret(command, folder)
            words = made.arguments
            assert words[-1] == str(CONTAINER)
            assert words[words.index("--secret") + 1] == f"id=mmectl-index,src={folder}/netrc"
            assert words[words.index("--file") + 1] == str(folder / "Dockerfile")
            assert not any("p@ss" in word for word in (*words, *dict(made.variables).values()))
    assert not folder.exists()
    mount = "RUN --mount=type=secret,id=mmectl-index,target=/root/.netrc python3 -m venv"
    assert text.count(mount) == text.count("--mount") == 1
    assert (
        text.replace("--mount=type=secret,id=mmectl-index,target=/root/.netrc ", "")
        == (CONTAINER / "Dockerfile").read_text()
    )


def test_who_cannot_keep_it_is_not_told():
    index_login.refuse("", "it knows no secrets")
    with pytest.raises(BuildError, match="cannot be kept secret: it knows no secrets"):
        index_login.refuse("machine a", "it knows no secrets")
    with pytest.raises(BuildError, match="does not say where it wants the login"):
        index_login.mounted("FROM scratch\nRUN pip install x\n")


@pytest.mark.parametrize("login", ["nobody", ":word", "me:two words", "me:a\nmachine x"])
def test_what_is_no_login(login):
    with pytest.raises(BuildError, match="is no login") as caught:
        index_login.netrc(INDEX, {"MMECTL_INDEX_LOGIN": login})
    assert login not in str(caught.value)


def test_what_programs_say_is_told_without_it():
    said = "cannot fetch https://me:p%40ss%2F1@host/ (p@ss/1)"
    assert index_login.hidden(said, LOGIN) == "cannot fetch https://me:****@host/ (****)"
    assert index_login.hidden(said, {}) == said


def test_a_framework_may_name_an_index(tmp_path):
    own = tmp_path / "a.txt"
    own.write_text("# index: https://own/simple\na==1\n")
    assert index_of([own], Contents(("a",))) == "https://own/simple"
    assert index_of([own], Contents(("a",), index=INDEX)) == INDEX
    assert index_of([CONTAINER / "requirements/base.txt"], Contents()) is None


def test_an_index_in_the_configuration():
    assert index_problem(INDEX) is None
    problem = index_problem("https://me:secret@host/simple")
    assert "MMECTL_INDEX_LOGIN" in problem
    assert "secret" not in problem
    for bad in ("host/simple", "ftp://host/", "https:///x", "https://a b/", "https://[x/"):
        assert index_problem(bad), bad
