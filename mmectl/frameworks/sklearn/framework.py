"""scikit-learn's models, as the commands see them before any upload."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base, pins
from mmectl.frameworks.sklearn import model_files
from mmectl.frameworks.sklearn.model_files import Header
from mmectl.frameworks.values import ModelError

# A LinearRegression: half of the first column and a quarter of the second; its pickle names NumPy
# as version 1 did, which the container reads with any
# Files beside a model that are requests to it, or made it
_QUESTIONS = (".csv", ".json", ".npy", ".py")
_LINEAR = (
    "gANjc2tsZWFybi5saW5lYXJfbW9kZWwuX2Jhc2UKTGluZWFyUmVncmVzc2lvbgpxACmBcQF9cQIoWA0AAABmaXRfaW50"
    "ZXJjZXB0cQOIWAYAAABjb3B5X1hxBIhYAwAAAHRvbHEFRz6wxvegte2NWAYAAABuX2pvYnNxBk5YCAAAAHBvc2l0aXZl"
    "cQeJWAUAAABjb2VmX3EIY251bXB5LmNvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcQljbnVtcHkKbmRhcnJheQpx"
    "CksAhXELQwFicQyHcQ1ScQ4oSwFLAoVxD2NudW1weQpkdHlwZQpxEFgCAAAAZjhxEYmIh3ESUnETKEsDWAEAAAA8cRRO"
    "Tk5K/////0r/////SwB0cRViiUMQAAAAAAAA4D8AAAAAAADQP3EWdHEXYlgKAAAAaW50ZXJjZXB0X3EYRwAAAAAAAAAA"
    "WA4AAABuX2ZlYXR1cmVzX2luX3EZSwJYEAAAAF9za2xlYXJuX3ZlcnNpb25xGlgFAAAAMS45LjFxG3ViLg=="
)


class Sklearn(base.Framework):
    """Estimators and pipelines: one file."""

    name = "sklearn"
    files = ("*.skops", "*.joblib", "*.pkl", "*.pickle")
    holds = (
        "a model folder holds one file of scikit-learn's: skops.io.dump(model, 'model.skops'), or "
        "joblib.dump(model, 'model.joblib')"
    )
    code = True

    def sample(self) -> base.Sample:
        """A linear model."""
        files = {"model.pkl": base64.b64decode(_LINEAR)}
        return base.Sample(files, b"1,2", "text/csv", "[1.0]")

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of scikit-learn's."""
        return model_files.detect(folder)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the file to its end, by names alone: nothing of it is made or run."""
        try:
            path = model_files.find(place.folder)
            if path.name in bad:
                return base.Look()
            found = model_files.header(path)
            model_files.check_method(found, path.name, model_files.method(place.folder))
            if not (allow_code and model_files.kind_of(path) == model_files.PICKLE):
                model_files.require_data(found, path.name)
        except ModelError as error:
            return base.Look((place.problem(error),))
        notes = [note for note in (_code(found), _version(found)) if note]
        told = tuple(base.printable(f"{place.file(path.name)}: {note}") for note in notes)
        others = place.unread(names, {path.name}, "not the model's file", _QUESTIONS)
        return base.Look((), (*told, *others), signature=_signature(found))


def _code(found: Header) -> str | None:
    """What the endpoint must allow."""
    if not found.code:
        return None
    return f"names {base.some(found.code)}, and runs as code{base.MUST_ALLOW}"


def _version(found: Header) -> str | None:
    """Say so where no image has the scikit-learn that wrote it."""
    pinned = pins.of("sklearn", "scikit-learn")
    if found.version is None:
        return "does not say which scikit-learn wrote it"
    if not pinned or _short(found.version) in map(_short, pinned):
        return None
    return (
        f"was written by scikit-learn {found.version}, the image has {max(pinned, key=_numbers)}: "
        "answers may differ; compare them by expected.json, or save the model again"
    )


def _short(version: str) -> tuple[int, ...]:
    return _numbers(version)[:2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _signature(found: Header) -> base.Signature:
    return base.Signature(
        found.version, found.estimator, features=found.features, names=found.names
    )


FRAMEWORK = Sklearn()
