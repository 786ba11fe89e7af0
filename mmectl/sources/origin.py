"""Where a model's folder comes from: the disk, the model zoo, a tarball, or random weights."""

from __future__ import annotations

import difflib
import os
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmectl.base.errors import UsageError
from mmectl.base.values import Event, Report, ignore
from mmectl.frameworks.detect import ANY
from mmectl.frameworks.mxnet import untrained, zoo
from mmectl.registry.names import SUFFIX
from mmectl.sources.tarball import folder_of

if TYPE_CHECKING:
    from mmectl.registry.fetching import OpenBucket
    from mmectl.registry.store import SourceBucket

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Source:
    """One model: a folder of the disk (`path`, absolute), a network of the zoo, or a tarball.

    `url` is the tarball's: s3, http, https or file; `sha256` its checksum (hex). `framework` is
    named where the files do not tell.
    """

    name: str
    path: Path | None = None
    zoo: str | None = None
    url: str | None = None
    sha256: str | None = None
    framework: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A complete model folder; `untrained` where its weights are random."""

    source: Source
    folder: Path
    untrained: bool = False


def parse(name: str, text: str, sha256: str | None = None, base: Path = Path()) -> Source:
    """The source that a person means: folder, tarball, ``zoo:NAME``, ``s3://``, ``https://``.

    ``#sha256=<hex>`` may end an address. Paths are relative to `base`. Raises UsageError.
    """
    address, mark, digest = text.partition("#sha256=")
    checksum = (digest if mark else sha256) or None
    if checksum is not None and not _SHA256.fullmatch(checksum):
        raise UsageError(f"{checksum}: not a sha256: 64 hexadecimal digits", code="bad_checksum")
    if address.startswith("zoo:"):
        return Source(name, zoo=address.removeprefix("zoo:"))
    try:
        scheme = urllib.parse.urlsplit(address).scheme if "://" in address else ""
        path = (base / address).absolute()
        found = not scheme and path.exists()
    except (OSError, ValueError) as error:
        raise UsageError(f"{text}: not a source of a model: {error}", code="bad_source") from None
    if scheme in ("s3", "http", "https", "file"):
        return Source(name, url=address, sha256=checksum)
    if not found:
        raise UsageError(
            f"{text}: not a source of a model: no such folder or tarball",
            hint="name a folder, a .tar.gz, zoo:resnet_18, s3://..., file://..., or "
            "https://...#sha256=<hex>",
            code="bad_source",
        )
    if path.is_dir():
        return Source(name, path=path)
    return Source(name, url=path.as_uri(), sha256=checksum)


def chosen(names: Sequence[str], known: Sequence[Source]) -> tuple[Source, ...]:
    """The sources that names mean: models of the configuration, else folders of the disk.

    Raises UsageError for a name that is neither, with the near miss or the command that is meant.
    """
    by_name = {source.name: source for source in known}
    found = []
    for name in names:
        path = Path(name)
        if name in by_name:
            found.append(by_name[name])
        elif name and os.path.isdir(name):  # noqa: PTH112 - Path's raises for what can be no path
            found.append(Source(path.absolute().name or path.resolve().name, path.absolute()))
        else:
            raise _unknown(name, list(by_name))
    return tuple(found)


def _unknown(name: str, known: Sequence[str]) -> UsageError:
    listed = ", ".join(known) or "none"
    return UsageError(
        f"{name}: neither a model of the configuration ({listed}) nor a folder",
        hint=_meant(name, known),
        code="unknown_model",
    )


def _meant(name: str, known: Sequence[str]) -> str:
    """What to type instead of a name that is unknown."""
    bare = name.partition("#")[0].removeprefix("zoo:").rsplit("/", 1)[-1].removesuffix(SUFFIX)
    if name.startswith("zoo:") and bare in known:
        return f"type: mmectl upload {bare}"
    if "://" in name or name.startswith("zoo:") or os.path.isfile(name):  # noqa: PTH113
        return f"type: mmectl upload {bare or 'NAME'} --from {name}"
    if bare in zoo.MODELS:
        return f"type: mmectl upload {bare} --from zoo:{bare}"
    close = difflib.get_close_matches(bare, known, n=1)
    if close:
        return f"did you mean: mmectl upload {close[0]}"
    return "add it to models in config.yaml, or name where it is: mmectl upload NAME --from SOURCE"


def _no_bucket(name: str) -> SourceBucket:
    raise UsageError(f"s3://{name}: no S3 here", code="bad_source")


def prepare(
    source: Source,
    cache: Path,
    *,
    base_url: str = zoo.BASE_URL,
    random_weights: bool = False,
    seed: int = 0,
    allow_code: bool = False,
    flat: bool = True,
    open_bucket: OpenBucket = _no_bucket,
    report: Report = ignore,
) -> Prepared:
    """The model's folder, complete; what had to be fetched is kept in `cache`.

    `flat` False: a tarball's files stay where they are in it, also below its only folder.
    Raises UsageError, ArtifactError (`zoo_unreachable` where the zoo does not answer), and
    ServiceError where a bucket refuses.
    """
    if random_weights and (source.path is not None or source.url is not None):
        raise UsageError(
            f"{source.name}: has weights of its own: --untrained is for networks of the zoo",
            code="options_conflict",
        )
    if source.path is not None:
        return Prepared(source, source.path)
    if source.url is not None:
        folder = folder_of(
            source.url,
            source.sha256,
            cache / "fetched",
            open_bucket=open_bucket,
            allow_code=allow_code,
            flat=flat and source.framework != ANY,
            report=report,
        )
        return Prepared(source, folder)
    name = source.zoo or source.name
    if not random_weights:
        return Prepared(source, zoo.fetch(name, cache / "zoo", base_url=base_url, report=report))
    folder = cache / f"untrained-{seed}" / name
    if folder.is_dir():
        report(Event("note", source.name, f"untrained, seed {seed}"))
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        untrained.write_model(folder, name, seed=seed, report=report)
    return Prepared(source, folder, untrained=True)
