"""Where a model's folder comes from: the disk, the model zoo, or random weights."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.errors import UsageError
from mmectl.model import untrained, zoo
from mmectl.state import Event, Report, ignore


@dataclass(frozen=True, slots=True)
class Source:
    """One model: a folder of the disk (`path`, absolute) or a network of the zoo (`zoo`)."""

    name: str
    path: Path | None = None
    zoo: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A complete model folder; `untrained` where its weights are random."""

    source: Source
    folder: Path
    untrained: bool = False


def chosen(names: Sequence[str], known: Sequence[Source]) -> tuple[Source, ...]:
    """The sources that names mean: models of the configuration, else folders of the disk.

    Raises UsageError for a name that is neither, with the near miss.
    """
    by_name = {source.name: source for source in known}
    found = []
    for name in names:
        path = Path(name)
        if name in by_name:
            found.append(by_name[name])
        elif name and path.is_dir():
            found.append(Source(path.absolute().name or path.resolve().name, path.absolute()))
        else:
            raise _unknown(name, list(by_name))
    return tuple(found)


def _unknown(name: str, known: Sequence[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return UsageError(
        f"{name}: neither a model of the configuration ({listed}) nor a folder",
        hint=f"did you mean: mmectl upload {close[0]}"
        if close
        else "add it to models in config.yaml",
        code="unknown_model",
    )


def prepare(
    source: Source,
    cache: Path,
    *,
    base_url: str = zoo.BASE_URL,
    random_weights: bool = False,
    seed: int = 0,
    report: Report = ignore,
) -> Prepared:
    """The model's folder, complete; the zoo's are kept in `cache`.

    Raises UsageError, or ArtifactError `zoo_unreachable` where the zoo does not answer.
    """
    if source.path is not None:
        if random_weights:
            raise UsageError(
                f"{source.name}: has weights of its own: --untrained is for networks of the zoo"
            )
        return Prepared(source, source.path)
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
