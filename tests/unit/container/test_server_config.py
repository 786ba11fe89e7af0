"""The environment of a container as the server's configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from runtimes.base import Runtime
from serving.server import config
from serving.server.config import Settings, StartError


def test_defaults():
    settings = Settings.read({})
    assert (settings.address, settings.port) == ("0.0.0.0", 8080)  # noqa: S104
    assert settings.workers == config.workers(config.cores())
    assert Settings.read({"MMECTL_WARM_WORKERS": "0"}).workers == 1
    assert (settings.timeout, settings.payload_mb, settings.lifeline) == (60, 6, None)


def test_everything_can_be_set():
    settings = Settings.read(
        {
            "SAGEMAKER_BIND_TO_PORT": "20001",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "30",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20",
            "MMECTL_BIND_ADDRESS": "127.0.0.1",
            "MMECTL_RUN_DIR": "/r",
            "MMECTL_LIFELINE_FD": "7",
        }
    )
    text = config.properties(settings)
    assert "inference_address=http://127.0.0.1:20001\n" in text
    assert "default_workers_per_model=2\n" in text
    assert "default_response_timeout_seconds=30\n" in text
    assert f"max_request_size={20 * 2**20 + 2**16}\n" in text
    assert (settings.run_dir, settings.lifeline) == (Path("/r"), 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "32767"),
        ("SAGEMAKER_BIND_TO_PORT", "0"),
        ("SAGEMAKER_BIND_TO_PORT", "http"),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "-1"),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "1.5"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "2000"),
        ("MMECTL_LIFELINE_FD", "x"),
    ],
)
def test_a_bad_value_is_named(name, value):
    with pytest.raises(StartError, match=f"{name}='{value}' is not an integer from"):
        Settings.read({name: value})


def test_java_comes_from_java_home_then_the_path(tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    assert config.find_java({"JAVA_HOME": str(tmp_path), "PATH": ""}) == str(java)
    assert config.find_java({"PATH": str(java.parent)}) == str(java)
    with pytest.raises(StartError, match="has no bin/java"):
        config.find_java({"JAVA_HOME": str(tmp_path / "gone")})
    with pytest.raises(StartError, match="no Java found"):
        config.find_java({"PATH": str(tmp_path)})


def test_the_command_names_its_configuration(tmp_path):
    line = config.command(Settings.read({}), "java", Path("/home"), tmp_path)
    assert line[0] == "java"
    assert "-Xmx256m" in line
    assert line[line.index("-f") + 1] == str(tmp_path / "mms.properties")
    assert line[line.index("-cp") + 1] == "classes.jar:/home/mms/frontend/*"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/home/me", "/home/me"),
        ("/pr\N{LATIN SMALL LETTER O WITH ACUTE}ject", r"/pr\u00F3ject"),
        ("/back\\slash", r"/back\\slash"),
        ("/\N{GRINNING FACE}", r"/\uD83D\uDE00"),
        ("a=b #c", "a=b #c"),
        ("a\nb", r"a\u000Ab"),
    ],
)
def test_values_are_escaped_as_java_reads_them(value, written):
    assert config.escaped(value) == written


def test_the_configuration_holds_escaped_values():
    settings = dataclasses.replace(
        Settings.read({}), address="h\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    )
    assert r"inference_address=http://h\u00FC:8080" in config.properties(settings)


def test_a_colon_in_the_path_is_refused():
    config.check_path(Path("/a/b"))
    with pytest.raises(StartError, match="cannot serve from /a:b/c: its path holds a ':'"):
        config.check_path(Path("/a:b/c"))


def test_the_log_configuration_is_a_url(tmp_path):
    line = config.command(
        Settings.read({}),
        "java",
        Path("/home"),
        tmp_path / "pr\N{LATIN SMALL LETTER O WITH ACUTE}ject",
    )
    url = next(item for item in line if item.startswith("-Dlog4j.configurationFile="))
    assert url.endswith("/pr%C3%B3ject/log4j2.xml")


def test_java_finds_files_whatever_the_locale(tmp_path):
    assert config.worker_environment({"LC_ALL": "C"}, tmp_path)["LC_ALL"] == "C.UTF-8"


def test_workers_get_one_thread_unless_told_otherwise(tmp_path):
    assert 1 <= int(config.worker_environment({}, tmp_path)["OMP_NUM_THREADS"]) <= 4
    told = config.worker_environment({"OMP_NUM_THREADS": "2", "TMPDIR": "/x"}, tmp_path)
    assert told["OMP_NUM_THREADS"] == "2"
    assert told["TMPDIR"] == told["TEMP"] == str(tmp_path / "tmp")


def test_what_a_runtime_wants_is_in_the_environment_of_its_workers(tmp_path):
    found = config.worker_environment({"MXNET_ENGINE_TYPE": "other"}, tmp_path)
    assert (found["MXNET_ENGINE_TYPE"], found["MXNET_SUBGRAPH_BACKEND"]) == ("other", "NONE")
    assert found["MMECTL_TEMPLATE_FILES"] == "-symbol.json,-shapes.json"


def test_preparing_clears_the_sockets_of_a_killed_server(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / ".mms.sock.9000").touch()
    run_dir = config.prepare(Settings.read({"MMECTL_RUN_DIR": str(tmp_path)}))
    assert list((run_dir / "tmp").iterdir()) == []
    assert "http://0.0.0.0:8080" in (run_dir / "mms.properties").read_text()
    log = (run_dir / "log4j2.xml").read_text()
    assert "@NOISE@" not in log
    assert "legacy_json_util" in log


@pytest.mark.parametrize(
    ("quota", "found"),
    [("max 100000", None), ("50000 100000", 1), ("no quota", None), ("99900000 100000", None)],
)
def test_cores_are_those_that_may_be_used(tmp_path, quota, found):
    usable = config.cores(tmp_path / "none")
    (tmp_path / "cpu.max").write_text(quota)
    assert config.cores(tmp_path / "cpu.max") == (found or usable)


def test_threads_of_a_worker():
    assert [config.threads(n) for n in (1, 2, 4, 96)] == [1, 2, 4, 4]


def test_workers_of_a_model():
    assert [config.workers(n) for n in (1, 2, 4, 8, 16)] == [1, 2, 2, 2, 4]


def test_warm_workers_can_be_switched_off():
    assert Settings.read({}).warm
    assert not Settings.read({"MMECTL_WARM_WORKERS": "0"}).warm
    with pytest.raises(StartError, match="MMECTL_WARM_WORKERS"):
        Settings.read({"MMECTL_WARM_WORKERS": "yes"})


class Data(Runtime):
    data_alone = True


class Network(Runtime):
    pass


class Script(Runtime):
    claims = True


@pytest.mark.parametrize(
    ("runtimes", "share"),
    [
        ([Data()], True),
        ([Data(), Data(), Script()], True),
        ([Data(), Network()], False),
        ([Network(), Script()], False),
        ([Script()], False),
        ([], False),
    ],
)
def test_models_have_one_connection_where_all_frameworks_share(runtimes, share):
    assert config.all_share({}, runtimes) == share
    assert not config.all_share({"MMECTL_ISOLATION": "model"}, runtimes)


def test_an_odd_isolation_is_refused():
    with pytest.raises(config.StartError, match="MMECTL_ISOLATION='none' is neither auto nor"):
        config.all_share({"MMECTL_ISOLATION": "none"}, [])
