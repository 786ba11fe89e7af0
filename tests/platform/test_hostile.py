"""Hostile archives over HTTP with boto3: each is refused in words, and nobody else waits for it."""

from __future__ import annotations

import gzip
import io
import logging
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from scripted import Account, platform

from mmectl.local.fleet.data_plane import RouterSettings

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus" / "unpack"
QUICK = RouterSettings(wait=30.0, load=5.0, grace=0.05, memory=4 << 30, drain=5.0)
SECONDS = 0.5  # that somebody else's request may take meanwhile
TRIES = 3
KEPT = ["pax_digits_many", "pax_chain_400", "global_chain_2000", "depth_1900", "depth_440_folders",
        "folders_2000", "sparse_map_gnu", "empty_members", "file_named_dot", "size_huge",
        "junk_behind"]  # fmt: skip


def many_files() -> bytes:
    """As many entries as are taken, and one more."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(10_001):
            tar.addfile(tarfile.TarInfo(f"{number % 900}/{number}"))
    return gzip.compress(out.getvalue(), 1)


def zeros() -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed:
        info = tarfile.TarInfo("zeros")
        info.size = 300 << 20
        packed.write(info.tobuf())
        for _ in range(300):
            packed.write(bytes(1 << 20))
    return out.getvalue()


@pytest.fixture(scope="module")
def account(client_for: Any) -> Iterator[Account]:
    with platform(QUICK) as connection:
        account = Account(connection, client_for)
        account.put("good.tar.gz")
        account.model("model")
        account.config("demo")
        account.endpoint("demo", "demo")
        yield account


def slowest_while(account: Account, work: Any) -> float:
    """The longest that an S3 GET takes until `work` is done."""
    taken: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            start = time.monotonic()
            account.s3.get_object(Bucket="models", Key="demo/good.tar.gz")["Body"].read()
            taken.append(time.monotonic() - start)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        work()
    finally:
        done.set()
        asking.join()
    return max(taken)


@pytest.mark.parametrize("name", [*KEPT, "many_files", "zeros"])
def test_a_hostile_archive(account: Account, name: str, caplog: pytest.LogCaptureFixture) -> None:
    made = {"many_files": many_files, "zeros": zeros}.get(name)
    account.put(f"{name}.tar.gz", made() if made else (CORPUS / f"{name}.tar.gz").read_bytes())
    refused: list[ClientError] = []

    def ask() -> None:
        for _ in range(2):
            with pytest.raises(ClientError) as caught:
                account.invoke(target=f"{name}.tar.gz")
            refused.append(caught.value)

    caplog.set_level(logging.INFO)
    # what blocks does so each time; a busy machine now and then
    assert any(slowest_while(account, ask) < SECONDS for _ in range(TRIES))
    for error in refused:
        assert error.response["Error"]["Code"] == "ModelError"
        assert error.response["OriginalStatusCode"] == 400
        assert f"Failed to unpack model {name}.tar.gz: " in error.response["OriginalMessage"]
        assert len(error.response["OriginalMessage"]) < 500
    lines = [line for line in caplog.text.splitlines() if "GET /" not in line]
    assert len(lines) <= 2 * len(refused)
    assert "Traceback" not in caplog.text


def test_the_good_model_still_answers(account: Account) -> None:
    assert account.invoke(target="good.tar.gz")
