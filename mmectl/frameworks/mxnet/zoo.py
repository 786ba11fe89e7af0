"""Fetch trained networks of the MXNet model zoo, or of a mirror of it, verified and cached.

Addresses are relative to a base URL (``http``, ``https`` or ``file``); the checksums are the
zoo's own. A download that was cut off goes on where it stopped.
"""

from __future__ import annotations

import difflib
import json
import shutil
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.download import Link, Opener, digest_of, download, open_url
from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.files import locked, writing
from mmectl.base.values import Event, Report, ignore
from mmectl.frameworks.mxnet import networks

FRAMEWORK = "mxnet"
BASE_URL = "http://data.mxnet.io/models/imagenet/"


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the zoo: address below the base URL, and its md5 as the zoo published it."""

    address: str
    md5: str

    @property
    def file(self) -> str:
        """The file's name in a model folder."""
        return self.address.rsplit("/", 1)[-1]


_SYNSET = Source("synset.txt", "4d234b5833aca44928065a180db3016a")


def _network(stem: str, symbol: str, weights: str) -> tuple[Source, ...]:
    return (Source(f"{stem}-symbol.json", symbol), Source(f"{stem}-0000.params", weights), _SYNSET)


MODELS = {
    "resnet_18": _network(
        "resnet/18-layers/resnet-18",
        "8c0170478642cf0c1c77995769ecf329",
        "dd1b81f8f818395036a3f9d17b31baea",
    ),
    "resnet_152": _network(
        "resnet/152-layers/resnet-152",
        "afc974eb8440cc7ce37fe49d051e805b",
        "84c77aa3ae6dcd35aecf226788dc78f8",
    ),
    "squeezenet_v1.0": _network(
        "squeezenet/squeezenet_v1.0",
        "4eb1316e4c2853c6163178c5c809040c",
        "aa0145d7ef0976ba696085f82b9d67b0",
    ),
    "squeezenet_v1.1": _network(
        "squeezenet/squeezenet_v1.1",
        "bab4d80f45e9285cf9f4a3f01f07022e",
        "05b1eb6acabdaaee37c9c9ff666c1b51",
    ),
}


def _base(base_url: str) -> str:
    if urllib.parse.urlsplit(base_url).scheme not in ("http", "https", "file"):
        raise UsageError(
            f"zoo.base_url '{base_url}': not an address",
            hint="write an http://, https:// or file:// URL",
            code="bad_url",
        )
    return base_url.rstrip("/") + "/"


def _unreachable(url: str, why: object) -> ArtifactError:
    return ArtifactError(
        f"{url}: cannot be fetched: {why}; the zoo's host stopped answering after MXNet's "
        "retirement",
        hint="set zoo.base_url in config.yaml to a mirror (http://, https:// or file://), or "
        "upload the same network with random weights: add --untrained",
        code="zoo_unreachable",
    )


def _fetch(source: Source, base: str, folder: Path, open_url: Opener, report: Report) -> None:
    target, url = folder / source.file, base + source.address
    if target.exists() and digest_of(target, "md5") == source.md5:
        return
    partial = target.with_name(target.name + ".part")
    link = Link(
        _unreachable,
        open_url,
        lambda done, total: report(Event("progress", source.file, "fetch", done, total)),
    )
    download(url, partial, link)
    found = digest_of(partial, "md5")
    if found != source.md5:
        partial.unlink()
        raise ArtifactError(
            f"{url}: md5 is {found} and not {source.md5}, as the zoo published it: removed",
            hint="try again; if it stays so, the mirror in zoo.base_url holds another file",
            code="zoo_checksum",
        )
    partial.replace(target)
    report(Event("done", source.file, "fetched", target.stat().st_size))


def fetch(
    name: str,
    cache: Path,
    *,
    base_url: str = BASE_URL,
    report: Report = ignore,
    open_url: Opener = open_url,
) -> Path:
    """The model folder ``cache/<name>``, complete and verified; fetches only what is missing.

    Raises UsageError for a name or URL that is none, ArtifactError ``zoo_unreachable`` or
    ``zoo_checksum``. Parts of an interrupted download stay in ``cache/<name>.fetching``.
    """
    if name not in MODELS:
        known = ", ".join(MODELS)
        close = difflib.get_close_matches(name, MODELS, n=1)
        raise UsageError(
            f"{name}: not in the model zoo: known are {known}",
            hint=f"did you mean: --from zoo:{close[0]}" if close else None,
            code="unknown_model",
        )
    folder, fetching, base = cache / name, cache / f"{name}.fetching", _base(base_url)
    with writing(folder), locked(cache / f".{name}.lock"):
        if _complete(folder, MODELS[name]):
            return folder
        fetching.mkdir(exist_ok=True)
        for source in MODELS[name]:
            _fetch(source, base, fetching, open_url, report)
        stem = MODELS[name][0].file.removesuffix("-symbol.json")
        shapes = [{"shape": list(networks.INPUT_SHAPE), "name": "data"}]
        (fetching / f"{stem}-shapes.json").write_text(json.dumps(shapes))
        if folder.exists():
            shutil.rmtree(folder)
        fetching.rename(folder)
    return folder


def _complete(folder: Path, sources: tuple[Source, ...]) -> bool:
    """Whether the cached folder holds every file, unchanged."""
    files = [(folder / source.file, source.md5) for source in sources]
    return all(file.is_file() and digest_of(file, "md5") == md5 for file, md5 in files)
