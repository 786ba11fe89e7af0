"""Which archive of Java's classes a start takes, when one is made, and what is kept of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from serving.server import class_archive
from serving.server.class_archive import ARCHIVING, FOLDER, ClassArchive

ARGUMENTS = ("-Xmx256m",)


class Surroundings:
    """A Java that brings an archive of its own classes, the server's jars, and ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "archives"
        self.java = folder / "java" / "bin" / "java"
        self.others = folder / "jars"
        self.first = folder / "classes.jar"
        for path in (self.java, self.others / "server.jar", self.first):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"1")
        own = folder / "java" / "lib" / "server" / "classes.jsa"
        own.parent.mkdir(parents=True)
        own.touch()
        self.version('17.0.15"\nOS_NAME="Linux')

    def version(self, text: str) -> None:
        (self.java.parents[1] / "release").write_text(f'A="1"\nJAVA_VERSION="{text}"\n')

    def find(
        self, arguments: tuple[str, ...] = ARGUMENTS, *, archiving: bool = False
    ) -> ClassArchive:
        environ = {FOLDER: str(self.folder)} | ({ARCHIVING: "1"} if archiving else {})
        return class_archive.find(environ, str(self.java), arguments, self.first, self.others)

    def make(self) -> Path:
        asked = self.find(archiving=True)
        assert asked.made is not None
        asked.made.write_bytes(b"archive")
        asked.keep()
        return self.folder / f"{asked.name}-7.jsa"


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path)


def test_what_was_made_is_taken_by_the_next_start(around):
    path = around.make()
    assert around.find().arguments == (f"-XX:SharedArchiveFile={path}", "-XX:+VerifySharedSpaces")
    assert around.find(archiving=True).made is None


def test_none_is_made_where_nobody_asks(around):
    assert around.find() == ClassArchive()
    assert not around.folder.exists()


def test_java_makes_it_when_it_ends(around):
    asked = around.find(archiving=True)
    assert asked.arguments == (f"-XX:ArchiveClassesAtExit={asked.made}",)
    assert str(os.getpid()) in str(asked.made)  # two servers may make the same


def test_a_server_that_was_killed_leaves_none(around):
    around.find(archiving=True).keep()
    assert list(around.folder.iterdir()) == []


def test_one_that_was_cut_is_not_taken_but_made_again(around):
    path = around.make()
    path.write_bytes(b"arch")  # Java would map all of it, and die when it reads the rest
    assert around.find() == ClassArchive()
    assert around.make() == path
    assert around.find().arguments


def test_one_that_stands_on_another_that_was_cut_is_not_taken(around):
    path = around.make()
    base = path.with_name(path.name.replace("-7", "-base-4"))
    base.write_bytes(b"base")
    assert around.find().arguments
    base.write_bytes(b"cut")
    assert around.find() == ClassArchive()


@pytest.mark.parametrize("text", ["1.8.0_412", "11.0.23", "12", "soon"])
def test_a_java_that_makes_none_is_not_asked(around, text):
    around.version(text)
    assert around.find(archiving=True) == ClassArchive()


def test_a_java_that_tells_no_version_is_not_asked(around):
    (around.java.parents[1] / "release").unlink()
    assert around.find(archiving=True) == ClassArchive()


@pytest.mark.parametrize("changed", ["java", "others", "first", "arguments"])
def test_a_start_with_something_else_takes_none(around, changed):
    around.make()
    if changed == "arguments":
        assert around.find(("-Xmx1g",)) == ClassArchive()
        return
    path = getattr(around, changed)
    (path / "server.jar" if path.is_dir() else path).write_bytes(b"22")
    assert around.find() == ClassArchive()


def test_the_newest_replaces_the_others(around):
    older = around.make()
    around.first.write_bytes(b"22")
    newer = around.make()
    assert [path.name for path in around.folder.iterdir()] == [newer.name]
    assert newer != older


def test_without_a_folder_there_is_none(around):
    environ = {ARCHIVING: "1"}
    found = class_archive.find(environ, str(around.java), ARGUMENTS, around.first, around.others)
    assert found == ClassArchive()
