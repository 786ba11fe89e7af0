"""What is added to Multi Model Server: kept in step with its sources, and left away elsewhere."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from serving.server import additions
from serving.server.config import Settings, StartError


def test_the_archive_is_compiled_from_the_sources_beside_it():
    with zipfile.ZipFile(additions.JAR) as archive:
        written = archive.read(additions.DIGEST).decode()
        names = set(archive.namelist())
    assert written == additions.digest(), "run: python scripts/metrics_jar.py"
    assert additions.SESSION in names
    assert additions.ENDPOINT.replace(".", "/") + ".class" in names


def test_the_archive_runs_on_the_oldest_java_that_the_server_runs_on():
    with zipfile.ZipFile(additions.JAR) as archive:
        versions = {archive.read(n)[6:8] for n in archive.namelist() if n.endswith(".class")}
    assert versions == {(52).to_bytes(2, "big")}  # Java 8


def test_another_server_is_left_as_it_is(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "other.jar", "w") as archive:
        archive.writestr(additions.SESSION, b"another class")
    with zipfile.ZipFile(tmp_path / "none.jar", "w") as archive:
        archive.writestr("a", b"")
    (tmp_path / "no.jar").write_bytes(b"no archive")
    names = ("other.jar", "none.jar", "no.jar", "gone.jar")
    assert [additions.fits(tmp_path / name) for name in names] == [False] * 4


def test_how_many_models_have_figures_of_their_own():
    assert Settings.read({}).metrics_models == 100
    assert Settings.read({"MMECTL_METRICS_MODELS": "0"}).metrics_models == 0
    with pytest.raises(StartError, match="MMECTL_METRICS_MODELS='1001' is not an integer from 0"):
        Settings.read({"MMECTL_METRICS_MODELS": "1001"})
