"""The way in and out of the command line, and `mmectl local`, without a platform."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from mmectl.app import App
from mmectl.base.files import other_owner
from mmectl.cli import cli, run
from mmectl.commands import local
from mmectl.commands.build import build
from mmectl.local import processes
from mmectl.local.server.launch import unusable

ENDPOINT = "demo"


@pytest.fixture
def call(project, capsys):
    """Run one command; give its exit code, stdout and stderr."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def log_of(project: Path, instance: str) -> Path:
    path = project / ".mmectl" / "local" / "logs" / ENDPOINT / "AllTraffic" / f"{instance}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(path: Path, *lines: tuple[int, str]) -> Path:
    with path.open("a") as file:
        file.writelines(f"{1_700_000_000_000 + time} {text}\n" for time, text in lines)
    return path


@pytest.fixture
def two_logs(project):
    """Two instances that took turns; the older one's log was rotated."""
    write(log_of(project, "i-b").with_name("i-b.log.1"), (1, "b1"))
    write(log_of(project, "i-b"), (3, "b3"), (5, "b5"))
    write(log_of(project, "i-a"), (2, "a2"), (4, "a4"))
    return project


# logs


def shown(out: str) -> list[str]:
    return [line.split()[-1] for line in out.splitlines()]


def test_logs_are_one_story_by_time(call, two_logs):
    assert shown(call("local", "logs")[1]) == ["b1", "a2", "b3", "a4", "b5"]


def test_n_counts_the_lines_of_all_streams_together(call, two_logs):
    code, out, _ = call("local", "logs", "-n", "3")
    assert (code, shown(out)) == (0, ["b3", "a4", "b5"])
    assert out.startswith("AllTraffic/i-b  ")


def test_logs_as_json(call, two_logs):
    data = json.loads(call("local", "logs", "-n", "2", "--json")[1])["data"]
    assert data["lines"] == [
        {"time": 1_700_000_000_004, "stream": "AllTraffic/i-a", "message": "a4"},
        {"time": 1_700_000_000_005, "stream": "AllTraffic/i-b", "message": "b5"},
    ]


def test_a_clock_set_back_does_not_mix_up_a_stream(call, project):
    write(log_of(project, "i-a"), (1, "a1"), (9, "a9"), (3, "a3"))
    write(log_of(project, "i-b"), (5, "b5"))
    assert [text for text in shown(call("local", "logs")[1]) if text[0] == "a"] == [
        "a1",
        "a9",
        "a3",
    ]


def test_the_platforms_own_log_is_shown_as_it_is(call, project):
    folder = project / ".mmectl" / "local"
    folder.mkdir(parents=True)
    (folder / "platform.log").write_text("2024-01-01T10:00:00 supervisor: one\nTraceback:\n")
    assert call("local", "logs", "--platform-log", "-n", "2")[1] == (
        "2024-01-01T10:00:00 supervisor: one\nTraceback:\n"
    )


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        ((), "no log of demo yet", "mmectl deploy"),
        (("--platform-log",), "no log of the platform yet", "mmectl local up"),
    ],
)
def test_no_logs_is_said(call, options, said, hint):
    code, _, err = call("local", "logs", *options)
    assert code == 1
    assert said in err
    assert hint in err


def test_following_as_json_is_refused(call, two_logs):
    code, out, _ = call("local", "logs", "--follow", "--json")
    assert (code, json.loads(out)["errors"][0]["code"]) == (2, "options_conflict")


def test_following_shows_the_end_first_and_then_what_comes(project):
    one = write(log_of(project, "i-a"), (1, "old"), (2, "last"))

    def rotate():
        one.rename(f"{one}.1")
        write(one, (5, "rotated"))

    turns = iter(
        [
            lambda: write(one, (3, "new")),
            rotate,
            lambda: write(log_of(project, "i-b"), (6, "other")),
        ]
    )

    def find():
        return local._streams(project / ".mmectl" / "local", ENDPOINT)

    lines = local._followed(find, find(), 1, lambda _: next(turns)())
    assert [line.text for _, line in islice(lines, 4)] == ["last", "new", "rotated", "other"]


def test_following_the_platforms_log_stops_when_its_reader_goes(project):
    folder = project / ".mmectl" / "local"
    folder.mkdir(parents=True)
    (folder / "platform.log").write_text("one\ntwo\n")
    process = started("local", "logs", "--follow", "--platform-log", "-n", "1")
    assert process.stdout.readline() == b"two\n"
    process.stdout.close()
    with (folder / "platform.log").open("a") as log:
        log.write("three\n")
    assert (process.wait(20), process.stderr.read()) == (0, b"")
    process.stderr.close()


# status


def test_a_platform_that_does_not_answer_is_not_called_stopped(call, project):
    assert "not running; start it" in call("local", "status")[1]
    stuck = subprocess.Popen(
        ["sleep", "60"],
        env={**os.environ, processes.SERVER_MARK: str(project / ".mmectl")},
        start_new_session=True,
    )
    try:
        code, out, _ = call("local", "status")
        data = json.loads(call("local", "status", "--json")[1])["data"]
    finally:
        stuck.kill()
        stuck.wait()
    assert code == 0
    assert f"does not answer, though its processes run (pid {stuck.pid})" in out
    assert "mmectl local down" in out
    assert data == {"running": True, "answers": False, "pids": [stuck.pid]}


# streams


def started(*arguments: str, stdout=subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mmectl", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


WRITERS = [
    ("--help",),
    ("--version",),
    ("build", "--help"),
    ("config", "show"),
    ("config", "show", "--json"),
]


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_a_full_stdout_is_a_failure_in_one_line(project, arguments):
    with Path("/dev/full").open("wb") as full, started(*arguments, stdout=full) as process:
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert said.startswith("error: the result could not be written to stdout: No space left")
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_a_reader_that_has_gone_is_no_failure(project, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with started(*arguments, stdout=writing) as process:
        os.close(writing)
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_a_closed_stdout_is_refused(project, arguments):
    command = [sys.executable, "-m", "mmectl", *arguments]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the result could not be written to stdout: it is closed")


def test_an_envelope_that_cannot_be_written_is_said_on_stderr(project):
    with Path("/dev/full").open("wb") as full, started("nope", "--json", stdout=full) as process:
        said = process.stderr.read().decode()
    assert process.returncode == 2
    assert said.startswith("error: no such command: nope")


def test_a_full_stderr_does_not_change_the_exit_code(project):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "mmectl", "nope"], stderr=full, check=False)
    assert done.returncode == 2


# usage


@pytest.mark.parametrize("group", [(), ("config",), ("local",)])
def test_a_group_alone_shows_its_help(call, group):
    code, out, err = call(*group)
    assert (code, out) == (2, "")
    assert err.startswith(f"Usage: {' '.join(('mmectl', *group))} ")


@pytest.mark.parametrize(
    ("arguments", "command", "behind"),
    [
        (("--json", "build"), "build", "mmectl build --json"),
        (
            ("--platform", "local", "--json", "status"),
            "status",
            "mmectl status --platform local --json",
        ),
        (("-c", "my file", "config", "show", "--json"), "config show", "-c 'my file' --json"),
        (("config", "--json", "show"), "config show", "mmectl config show --json"),
        (("--json",), "mmectl", "mmectl COMMAND --json"),
    ],
)
def test_options_before_the_command_are_shown_their_place(call, arguments, command, behind):
    code, out, _ = call(*arguments)
    envelope = json.loads(out)
    assert (code, envelope["command"]) == (2, command)
    assert "stands before the command" in envelope["errors"][0]["message"]
    assert behind in envelope["errors"][0]["hint"]


@pytest.mark.parametrize("group", ["", "bench", "config", "local", "models"])
def test_every_group_knows_the_options_that_all_commands_take(group):
    known = cli.get_command(None, group) if group else cli
    settings = ("config_file", "settings", "platform", "environment")
    shared = [
        option.opts
        for option in build.params
        if option.name in (*settings, "as_json", "json_lines", "quiet", "verbose")
    ]
    hidden = [option.opts for option in known.params if getattr(option, "hidden", False)]
    assert len(shared) == 8
    assert sorted(hidden) == sorted(shared)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("-c",), "put -c after the command: mmectl COMMAND -c"),
        (("--set", "a=b", "models", "list"), "mmectl models list --set a=b"),
        (("--config=x", "models", "list"), "mmectl models list --config=x"),
        (("-q", "nope"), "mmectl nope -q"),
        (("-v", "bench", "star.png"), "mmectl bench -v star.png"),
        (("models", "-q", "list"), "mmectl models list -q"),
    ],
)
def test_an_option_before_the_command_keeps_its_value(call, arguments, hint):
    code, _, err = call(*arguments)
    assert code == 2
    assert hint in " ".join(err.split())


def test_usage_messages_are_one_line(call):
    message = json.loads(call("completion", "--json")[1])["errors"][0]["message"]
    assert message == "missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish"


# signals


def test_sigterm_is_as_ctrl_c(project, capsys):
    class Terminated(App):
        @property
        def config(self):
            signal.raise_signal(signal.SIGTERM)
            return super().config

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    ours = signal.getsignal(signal.SIGTERM)
    try:
        code = run(["config", "show"], Terminated)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (code, capsys.readouterr().err) == (130, "interrupted: stopped by SIGTERM\n")


# a configuration with mistakes

BROKEN = [
    "platform: local\nendpoint: {nam: demo}\n",
    "platform: local\nendpoint: {name: demo}\nmodels: [{name: x, path: gone}]\n",
    "platform: [local\nlocal: {state_dir: elsewhere}\n",
    "- a\n",
    "local: {state_dir: 5}\n",
    "local: {state_dir: elsewhere, port: many}\nupdate: 3\n",
    "endpoint: {name: '${NOBODY_SET_THIS}'}\nlocal:\n  state_dir: 'elsewhere'\n\tx: 1\n",
    "",
]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("options", [(), ("--env", "nowhere"), ("--set", "endpoint.nam=x")])
def test_a_platform_is_stopped_whatever_is_wrong_with_the_configuration(
    call, project, text, options
):
    (project / "config.yaml").write_bytes(text.encode() or b"\xff\xfe")
    place = "elsewhere" if "elsewhere" in text else ".mmectl"
    running = subprocess.Popen(
        ["sleep", "60"],
        env={**os.environ, processes.SERVER_MARK: str(project / place)},
        start_new_session=True,
    )
    try:
        told = call("local", "status", *options)
        code, out, err = call("local", "down", *options)
        gone = running.wait(20)
    finally:
        running.kill()
        running.wait()
    assert (code, out, gone) == (0, "stopped\n", -signal.SIGKILL)
    assert "warning: " in err
    assert f"local.state_dir is taken as {project / place}" in err
    assert "though its processes run" in told[1]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("platform: [local\nlocal: {state_dir: a}\nlocal: {state_dir: b}\n", ()),
        ("platform: local\nenvironments: {prod: {local: {state_dir: b}}}\n", ("--env", "prd")),
    ],
)
def test_no_platform_is_stopped_where_the_file_may_mean_another(call, project, text, options):
    (project / "config.yaml").write_text(text)
    code, out, err = call("local", "down", *options)
    assert (code, out) == (2, "")
    assert "name the folder: the same command with --set local.state_dir=FOLDER" in err
    named = call("local", "down", *options, "--set", "local.state_dir=b")
    assert named[:2] == (0, "it was not running\n")


def test_a_variable_names_the_state_folder_beside_a_wrong_file(call, project, monkeypatch):
    (project / "config.yaml").write_text("nonsense: [\n")
    monkeypatch.setenv("MMECTL_LOCAL_STATE_DIR", "by_variable")
    assert f"taken as {project / 'by_variable'}" in call("local", "down")[2]
    assert (
        f"taken as {project / 'by_flag'}"
        in call("local", "down", "--set", "local.state_dir=by_flag")[2]
    )


@pytest.mark.parametrize("command", ["plan", "local status", "local down", "status"])
def test_a_state_folder_that_cannot_be_looked_into_is_named(call, project, command):
    """Of another user it is refused; a link to itself is refused to root, too."""
    state = project / ".mmectl"
    state.mkdir()
    (state / "local").symlink_to("local")
    code, _, err = call(*command.split())
    assert code == 1
    assert f"the local platform cannot keep its state in {state}" in err
    assert "next:  " in err


def test_where_a_file_is_in_the_way_of_a_platform_none_is_stopped(call, project):
    (project / ".mmectl").mkdir()
    (project / ".mmectl" / "local").write_text("")
    code, out, _ = call("local", "down")
    assert (code, out.strip()) == (0, "it was not running")


def test_the_owner_of_a_foreign_state_folder_is_named(tmp_path):
    folder = Path("/")
    if os.geteuid() == 0:
        folder = tmp_path / "a b"
        folder.mkdir()
        os.chown(folder, 65534, 65534)
    owner = other_owner(folder)
    hint = unusable(folder, PermissionError(13, "Permission denied")).hint
    assert hint.startswith(f"it belongs to {owner}: sudo chown -R {os.getuid()}:{os.getgid()} ")
    assert shlex.quote(str(folder)) in hint
    assert "free some space" in unusable(folder, OSError(28, "No space left on device")).hint
