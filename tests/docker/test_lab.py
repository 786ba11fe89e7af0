"""The lab itself: what it gives, and that nothing of it stays."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import lab_base
import pytest
from lab import Lab, clean, provide
from lab_machine import Unavailable, rules

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def login(lab: Lab) -> None:
    token = lab.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    lab.run("login", "--username", user, "--password-stdin", lab.registry, input=password)


@pytest.fixture(scope="module")
def small(lab: Lab) -> str:
    """An image of one file that is pushed in no time."""
    login(lab)
    path = lab.folder / "small.tar"
    subprocess.run(["tar", "-cf", path, "-C", "/usr/bin", "docker-init", "tini-static"], check=True)
    lab.run("import", path, "small")
    return "small"


def push(lab: Lab, image: str, name: str) -> str:
    """Push, and say under which digest; a repository is made where there is none."""
    reference = f"{lab.registry}/{name}"
    lab.run("tag", image, reference)
    lab.run("push", reference)
    digests = json.loads(lab.run("inspect", reference))[0]["RepoDigests"]
    return next(d.partition("@")[2] for d in digests if d.startswith(reference.partition(":")[0]))


def test_a_push_needs_a_repository(lab, small):
    with pytest.raises(Unavailable, match="does not exist in the registry with id '123456789012'"):
        push(lab, small, "nobody:1")


def test_a_push_needs_the_token(lab, small, tmp_path):
    lab.client("ecr").create_repository(repositoryName="closed")
    reference = f"{lab.registry}/closed:1"
    lab.run("tag", small, reference)
    with pytest.raises(Unavailable, match="no basic auth credentials"):
        lab.run("push", reference, env={"DOCKER_CONFIG": str(tmp_path)})


def test_ecr_knows_what_was_pushed(lab, small):
    ecr = lab.client("ecr")
    ecr.create_repository(repositoryName="known")
    digest = push(lab, small, "known:1")
    (found,) = ecr.batch_get_image(repositoryName="known", imageIds=[{"imageTag": "1"}])["images"]
    assert found["imageId"] == {"imageDigest": digest, "imageTag": "1"}
    assert json.loads(found["imageManifest"])["mediaType"] == DOCKER
    assert push(lab, small, "known:1") == digest
    lab.run("rmi", f"{lab.registry}/known:1")
    lab.run("pull", f"{lab.registry}/known@{digest}")


def test_what_is_put_into_ecr_can_be_pulled(lab, small):
    ecr = lab.client("ecr")
    ecr.create_repository(repositoryName="put")
    push(lab, small, "put:1")
    (found,) = ecr.batch_get_image(repositoryName="put", imageIds=[{"imageTag": "1"}])["images"]
    manifest = json.dumps(json.loads(found["imageManifest"]))
    assert manifest != found["imageManifest"]
    ecr.put_image(
        repositoryName="put",
        imageManifest=manifest,
        imageManifestMediaType=DOCKER,
        imageTag="2",
    )
    lab.run("pull", f"{lab.registry}/put:2")


def test_containers_reach_the_package_index(lab):
    # what pip needs in a build: names, routes, certificates
    lab.run("run", "--rm", lab.base_image, "pip", "download", "--no-deps", "-q", "six==1.17.0")


def test_containers_are_limited(lab):
    code = "x = bytearray(200 * 2**20)"
    with pytest.raises(Unavailable):
        lab.run(
            *("run", "--rm", "--memory", "64m", "--memory-swap", "64m"),
            *(lab.base_image, "python3", "-c", code),
        )


def test_the_bridge_keeps_its_address_when_containers_come_and_go(lab):
    """Else other containers send their answers to the old one, for a minute."""
    bridge = Path("/sys/class/net", lab.name)
    seen = [(bridge / "address").read_text()]
    lab.run("run", "--detach", "--name", "comer", lab.base_image, "sleep", "60")
    seen.append((bridge / "address").read_text())
    lab.run("rm", "--force", "comer")
    seen.append((bridge / "address").read_text())
    assert set(seen) == {f"02:6d:6d:65:00:{lab.number:02x}\n"}


def traces() -> list[str]:
    """What labs leave in the kernel and in the process table, by name."""
    said = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    found = [line for line in said.splitlines() if "mmelab" in line]
    found += [path.name for path in Path("/sys/class/net").glob("mmelab*")]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob("**/mmelab*")]
    found += [str(path) for path in Path("/tmp").glob("mmelab*")]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"mmelab" in words:
            found.append(words.decode())
    return found


def of(number: int) -> list[str]:
    """The traces of one lab; others may be up."""
    name = f"mmelab{number}"
    return [t for t in traces() if f"{name}/" in t or t.endswith(name) or f"{name} " in t]


@pytest.mark.alone  # it lists folders of the whole machine
def test_a_lab_leaves_nothing(root):
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    folders = ("/etc/docker", "/opt", "/run", "/var/lib")

    def listed() -> list[str]:
        return sorted(str(path) for folder in folders for path in Path(folder).iterdir())

    kept = listed()
    with Lab(root, base=False) as other:
        number = other.number
        assert of(number)
        assert other.run("ps", "-q") == ""
    assert of(number) == []
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before
    assert listed() == kept


def sleeper(path: Path) -> Path:
    """An image as a tarball that has `sleep` and its libraries: imported in no time."""
    program = "/usr/bin/sleep"
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in said.split() if word.startswith("/")]
    subprocess.run(["tar", "-chPf", path, program, *libraries], check=True)
    return path


def test_a_killed_lab_takes_its_processes_along(root, tmp_path):
    image = str(sleeper(tmp_path / "sleeper.tar"))
    code = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(root)]!r}\n"
        "from pathlib import Path; from lab import Lab\n"
        f"with Lab(Path({str(root)!r}), base=False) as lab:\n"
        f"    lab.run('import', {image!r}, 'sleeper')\n"
        "    lab.run('run', '-d', 'sleeper', '/usr/bin/sleep', '1000')\n"
        "    print(lab.number, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        number = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    name, folder = f"mmelab{number}", Path(f"/tmp/mmelab{number}")
    deadline = time.monotonic() + 60
    while engines(name):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    clean(name, folder)  # as the next lab does
    assert of(number) == []


def engines(name: str) -> list[str]:
    """The processes of a lab's engine and registry."""
    return [t for t in traces() if f"/tmp/{name}/" in t and "python" not in t]


def test_programs_that_are_missing_are_named():
    with pytest.raises(Unavailable, match="no-such not installed; MMECTL_LAB=1 installs them"):
        provide({"no-such": "/nonexistent/program"}, install=False)


def test_rules_carry_the_name_of_the_lab():
    assert all("mmelab7" in rule for rule in rules("mmelab7"))


def test_a_base_image_takes_no_local_folders(monkeypatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///srv/wheels https://example.org/simple")
    text = lab_base.pip_configuration()
    assert "extra-index-url = https://example.org/simple\n" in text
    assert "file:" not in text
