"""Starting, finding, killing and stopping the platform's processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import pytest

from mmectl.base.errors import PlatformError
from mmectl.local import processes, record
from mmectl.local.client import platform
from mmectl.local.instance import docker_cli
from mmectl.local.server import launch

REGION = "us-east-1"


@pytest.fixture
def project(short_dir):
    """A state folder of its own whose platform is gone afterwards."""
    folder = (short_dir / ".mmectl").resolve()
    yield folder
    platform.stop(folder)
    assert processes.marked(folder) == []


def start(folder):
    return platform.start(folder, region=REGION)


def patient(connection):
    """A client as people have it: default retries."""
    return boto3.client(
        "s3",
        endpoint_url=connection.endpoint_url,
        region_name=REGION,
        aws_access_key_id=connection.credentials.access_key_id,
        aws_secret_access_key=connection.credentials.secret_access_key,
    )


def wait_until(condition, timeout=60.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_cannot_read_the_state(project):
    start(project)
    project.parent.chmod(0o755)
    listing = f"import os; print(os.listdir({str(project)!r}))"
    for what in (listing, f"open({str(record.path(project))!r})"):
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", what],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "PermissionError" in done.stderr


def test_start_find_stop_and_what_is_remembered(project):
    assert platform.find(project) is None
    assert platform.stop(project) is False
    first = start(project)
    assert start(project) == platform.find(project) == first
    local = project / "local"
    assert (project.stat().st_mode & 0o777, local.stat().st_mode & 0o777) == (0o700, 0o700)
    assert record.path(project).stat().st_mode & 0o777 == 0o600
    secret = first.credentials.secret_access_key
    for process in processes.marked(project):
        assert secret.encode() not in (processes.PROC / str(process.pid) / "cmdline").read_bytes()
        assert secret.encode() not in (processes.PROC / str(process.pid) / "environ").read_bytes()
    assert platform.stop(project) is True
    assert platform.find(project) is None
    again = start(project)
    assert replace(again, pid=0) == replace(first, pid=0)
    assert secret not in launch.log_path(project).read_text()


def test_the_status_tells_what_runs(project):
    assert platform.status(project) is None
    pid = start(project).pid
    found = platform.status(project)
    assert (found["pid"], found["endpoints"]) == (pid, [])
    assert found["uptime"] >= 0
    assert found["logs"]["platform"] == str(project / "local" / "platform.log")


def test_a_killed_server_costs_only_what_was_in_flight(project):
    connection = start(project)
    s3 = patient(connection)
    s3.create_bucket(Bucket="bucket")
    stop, stored, failed = threading.Event(), [], []

    def traffic():
        client = patient(connection)
        while not stop.is_set():
            key = f"k{len(stored)}"
            try:
                client.put_object(Bucket="bucket", Key=key, Body=key.encode())
                stored.append(key)
            except Exception as error:  # noqa: BLE001
                failed.append(error)

    thread = threading.Thread(target=traffic)
    thread.start()
    for _ in range(3):
        count = len(stored)
        wait_until(lambda count=count: len(stored) > count + 5)
        os.kill(platform.find(project).pid, signal.SIGKILL)
    count = len(stored)
    wait_until(lambda: len(stored) > count + 5)
    stop.set()
    thread.join()
    assert failed == []
    for key in stored:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == key.encode()
    assert platform.find(project).pid != connection.pid


def test_a_new_connection_waits_while_the_server_is_replaced(project, client_for):
    connection = start(project)
    os.kill(connection.pid, signal.SIGKILL)
    once = client_for(connection, "s3")
    assert once.list_buckets()["Buckets"] == []


def supervised(project, before):
    """Wait for another supervisor than that one; the record with it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        known = record.read(project)
        if known.supervisor not in before and processes.alive(known.supervisor):
            return known
        time.sleep(0.02)
    pytest.fail("no supervisor came")


def test_whoever_dies_is_replaced_also_the_supervisor(project):
    connection = start(project)
    first = record.read(project)
    seen = []
    for _ in range(2):  # one that was started by the server, too
        seen.append(record.read(project).supervisor)
        os.kill(seen[-1].pid, signal.SIGKILL)
        assert platform.find(project) == connection  # nobody notices
        known = supervised(project, seen)
        assert known.server == first.server
        assert platform.status(project)["supervisor"] == known.supervisor.pid
    os.kill(known.server.pid, signal.SIGKILL)
    assert patient(connection).list_buckets()["Buckets"] == []
    now = record.read(project)
    assert (now.supervisor, now.server != known.server) == (known.supervisor, True)
    os.kill(now.supervisor.pid, signal.SIGKILL)  # also one whose server is its own child
    assert supervised(project, [*seen, now.supervisor]).server == now.server
    deadline = time.monotonic() + 60
    while len(processes.marked(project)) != 2:  # its parent, which daemonizes it, ends
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert platform.stop(project) is True
    assert processes.marked(project) == []
    assert "supervisor died" in (project / "local" / "platform.log").read_text()


def test_an_adopted_server_that_ends_in_order_is_not_started_again(project):
    start(project)
    before = record.read(project)
    os.kill(before.supervisor.pid, signal.SIGKILL)
    known = supervised(project, [before.supervisor])
    os.kill(known.server.pid, signal.SIGTERM)
    assert processes.wait_gone([known.server, known.supervisor], 15) == []
    assert processes.marked(project) == []


def test_two_supervisors_there_are_never(project):
    start(project)
    reading, writing = os.pipe()
    arguments = [str(project), launch.ROOT, str(writing)]
    environment = {**os.environ, processes.SUPERVISOR_MARK: str(project)}
    code = launch.LAUNCH.format(root=launch.ROOT)
    subprocess.run(
        [sys.executable, "-c", code, *arguments], pass_fds=[writing], env=environment, check=True
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        assert "another supervisor of this project is still running" in told.read()
    assert len(processes.marked(project)) == 2


def test_without_its_supervisor_the_server_goes_on_and_is_stopped(project):
    connection = start(project)
    os.kill(record.read(project).supervisor.pid, signal.SIGKILL)
    assert platform.find(project) == connection
    assert start(project) == connection
    assert platform.stop(project) is True
    assert processes.marked(project) == []


@pytest.mark.parametrize("order", ["supervisor first", "server first"])
def test_after_everything_was_killed_a_start_brings_it_back(project, order):
    connection = start(project)
    patient(connection).create_bucket(Bucket="bucket")
    known = record.read(project)
    both = [known.supervisor, known.server]
    for process in both if order == "supervisor first" else both[::-1]:
        processes.send(process, signal.SIGKILL)
    processes.sweep(project)
    assert platform.find(project) is None
    again = start(project)
    assert again.endpoint_url == connection.endpoint_url
    assert [b["Name"] for b in patient(again).list_buckets()["Buckets"]] == ["bucket"]


def test_of_two_starts_at_once_one_wins(project):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: start(project), range(4)))
    assert len(set(found)) == 1
    assert len(processes.marked(project)) == 2


def test_a_port_taken_meanwhile_is_replaced_and_that_is_said(project):
    first = start(project)
    platform.stop(project)
    port = int(first.endpoint_url.rpartition(":")[2])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        second = start(project)
    assert second.endpoint_url != first.endpoint_url
    assert f"port {port} is taken" in launch.log_path(project).read_text()
    assert patient(second).list_buckets()["Buckets"] == []


def test_a_port_that_was_asked_for_is_that_one_or_none(project):
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        text = rf"port {port} is taken by \S+ \(pid {os.getpid()}\)"
        with pytest.raises(PlatformError, match=text) as caught:
            platform.start(project, region=REGION, port=port)
        assert "local.port" in caught.value.hint
        assert caught.value.code == "platform_port"
        assert processes.marked(project) == []
    found = platform.start(project, region=REGION, port=port)
    assert found.endpoint_url == f"http://127.0.0.1:{port}"
    with pytest.raises(PlatformError, match=f"serves at http://127.0.0.1:{port}, not at"):
        platform.start(project, region=REGION, port=port + 1)
    with pytest.raises(PlatformError, match=r"local\.scaling_period 60, not 2") as caught:
        platform.start(project, region=REGION, scaling_period=2)
    assert (caught.value.code, "local down" in caught.value.hint) == (
        "platform_scaling_period",
        True,
    )
    assert platform.start(project, region=REGION) == found


def test_a_folder_that_is_moved_while_its_platform_runs_is_said(project, short_dir):
    first = start(project)
    patient(first).create_bucket(Bucket="bucket")
    moved = (short_dir / "elsewhere").resolve()
    project.rename(moved)
    for act in (start, platform.find, platform.status):
        with pytest.raises(PlatformError, match=f"was started in {project}") as caught:
            act(moved)
        assert caught.value.code == "platform_moved"
        assert "local down" in caught.value.hint
    assert platform.stop(moved) is True
    assert processes.marked(project) == processes.marked(moved) == []
    again = start(moved)
    assert [b["Name"] for b in patient(again).list_buckets()["Buckets"]] == ["bucket"]
    platform.stop(moved)


def test_what_was_left_by_a_killed_platform_is_swept(project):
    environment = {**os.environ, processes.SERVER_MARK: str(project)}
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env=environment,
        start_new_session=True,
    )
    found = processes.find(left.pid)
    wait_until(lambda: found in processes.marked(project))
    assert platform.stop(project) is True
    assert left.wait(60) == -signal.SIGKILL


def test_a_recycled_process_number_is_never_signalled(project):
    start(project)
    platform.stop(project)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        old = processes.Process(stranger.pid, 1)
        record.write(project, replace(record.read(project), supervisor=old, server=old))
        assert platform.find(project) is None
        assert platform.stop(project) is False
        assert stranger.poll() is None
        stranger.kill()


def test_another_region_needs_a_stop_first(project):
    start(project)
    with pytest.raises(PlatformError, match="us-east-1") as caught:
        platform.start(project, region="eu-west-1")
    assert "local down" in caught.value.hint
    platform.stop(project)
    assert platform.start(project, region="eu-west-1").region == "eu-west-1"


def test_another_runtime_needs_a_stop_first(project):
    platform.start(project, region=REGION, runtime="process")
    assert start(project)  # who does not care takes it as it is
    with pytest.raises(PlatformError, match=r"local\.runtime process, not docker") as caught:
        platform.start(project, region=REGION, runtime="docker")
    assert "local down" in caught.value.hint
    platform.stop(project)
    platform.start(project, region=REGION, runtime="auto")
    assert record.read(project).runtime == "auto"


def docker(folder, script):
    """A `docker` command that does what the script says, first on the PATH."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_containers_that_are_left_are_removed_by_stop_and_start(project, short_dir, monkeypatch):
    told = short_dir / "told"
    script = f'echo "$DOCKER_HOST $@" >>{told}\n[ "$1" != ps ] || echo c1'
    monkeypatch.setenv("PATH", docker(short_dir / "bin", script))
    fleets = project / "local" / "fleets"
    for act in (platform.stop, start):
        docker_cli.remember(fleets, {"DOCKER_HOST": "unix:///here.sock"})
        act(project)
        asked, removed = told.read_text().splitlines()
        assert asked.endswith(f"--filter label=mmectl.state-dir={project}")
        assert removed == "unix:///here.sock rm --force --volumes c1"
        told.unlink()
    platform.stop(project)
    assert not told.exists()  # nothing was run since


def test_containers_that_cannot_be_looked_for_are_said(project, short_dir, monkeypatch):
    script = "echo Cannot connect to the Docker daemon >&2; exit 1"
    monkeypatch.setenv("PATH", docker(short_dir / "bin", script))
    start(project)
    docker_cli.remember(project / "local" / "fleets", {})
    with pytest.raises(PlatformError, match="containers may be left: Cannot connect") as caught:
        platform.stop(project)
    assert caught.value.code == "platform_containers"
    assert processes.marked(project) == []
    start(project)  # runs again all the same
    (project / "local" / "fleets" / "engine.json").unlink()


def test_a_state_that_cannot_be_opened_is_named_and_nothing_runs(project):
    start(project)
    platform.stop(project)
    (project / "local" / "s3" / "index.db").write_bytes(b"no database" * 1000)
    with pytest.raises(PlatformError, match=r"index\.db"):
        start(project)
    assert processes.marked(project) == []


def test_a_folder_that_cannot_be_made_is_named(short_dir):
    (short_dir / "file").write_text("")
    with pytest.raises(PlatformError, match="file"):
        start(short_dir / "file" / ".mmectl")


def test_a_damaged_record_is_written_anew(project):
    start(project)
    platform.stop(project)
    record.path(project).write_text('{"version": 1, "port": ')
    assert patient(start(project)).list_buckets()["Buckets"] == []


def test_a_platform_that_hangs_is_not_killed_by_a_start(project):
    connection = start(project)
    os.kill(connection.pid, signal.SIGSTOP)
    with pytest.raises(PlatformError, match="does not answer") as caught:
        platform.start(project, region=REGION, timeout=0.2)
    assert "local down" in caught.value.hint
    os.kill(connection.pid, signal.SIGCONT)
    assert platform.find(project) == connection


def test_stop_soon_ends_a_server_that_hangs_and_says_so(project):
    connection = start(project)
    os.kill(connection.pid, signal.SIGSTOP)
    told = []
    assert platform.stop(project, timeout=0.5, say=told.append) is True
    assert processes.marked(project) == []
    assert told == ["the platform does not answer; it is killed if it has not ended in 0.5 s"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_this_machine_reads_nothing(connection, state_dir):
    state_dir.parent.chmod(0o755)  # only the platform's own folders shall protect it
    state_dir.chmod(0o755)
    wanted = f"cat {record.path(state_dir)}; ls {state_dir}/local; ls {state_dir}/local/s3"
    tried = f"{wanted}; cat {launch.log_path(state_dir)}; touch {state_dir}/local/x {state_dir}/x"
    done = subprocess.run(
        ["/bin/sh", "-c", tried], user="nobody", capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.stderr.count("Permission denied") == 6
    state_dir.chmod(0o700)


def test_the_small_services(clients):
    assert clients("sts").get_caller_identity()["Account"] == "123456789012"
    iam = clients("iam")
    role = iam.get_role(RoleName="AmazonSageMaker-ExecutionRole-local")["Role"]
    principal = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert principal == {"Service": "sagemaker.amazonaws.com"}
    created = clients("ecr").create_repository(repositoryName="demo")["repository"]
    assert created["repositoryUri"].startswith("123456789012.dkr.ecr.us-east-1")
    assert clients("cloudwatch").list_metrics()["Metrics"] == []
    scaling = clients("application-autoscaling")
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
    assert found["ScalableTargets"] == []


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("ecr", "describe_repositories", "InvalidSignatureException"),
        ("sagemaker", "list_endpoints", "InvalidSignatureException"),
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_secret_is_refused_in_every_protocol(connection, service, operation, code):
    client = boto3.client(
        service,
        endpoint_url=connection.endpoint_url,
        region_name=REGION,
        aws_access_key_id=connection.credentials.access_key_id,
        aws_secret_access_key="wrong",
    )
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, operation)()
    assert caught.value.response["Error"]["Code"] == code


def test_an_unknown_service_is_named(clients):
    client = clients("dynamodb")
    with pytest.raises(client.exceptions.ClientError, match="no service 'dynamodb'"):
        client.list_tables()
