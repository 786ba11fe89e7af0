"""XGBoost's models, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base, pins
from mmectl.frameworks.values import ModelError
from mmectl.frameworks.xgboost import model_files
from mmectl.frameworks.xgboost.model_files import Header

# as XGBoost 2.1 wrote it, which all later ones read
_LINEAR = (
    '{"learner":{"attributes":{},"feature_names":[],"feature_types":[],"gradient_booster":'
    '{"model":{"boosted_rounds":1,"weights":[0.5,0.25,0.0]},"name":"gblinear"},'
    '"learner_model_param":{"base_score":"0E0","boost_from_average":"1","num_class":"0",'
    '"num_feature":"2","num_target":"1"},"objective":{"name":"reg:squarederror",'
    '"reg_loss_param":{"scale_pos_weight":"1"}}},"version":[2,1,0]}'
)


class XGBoost(base.Framework):
    """Boosted trees and linear models: one file, or several as an ensemble."""

    name = "xgboost"
    files = ("xgboost-model", "*.ubj", "*.bst", "XGBoost's *.json")
    holds = (
        "a model folder holds one file of XGBoost's, whatever its name: "
        "booster.save_model('model.ubj'), its JSON, or a pickled Booster"
    )

    def sample(self) -> base.Sample:
        """A linear model: half of the first column and a quarter of the second."""
        return base.Sample({"xgboost-model": _LINEAR.encode()}, b"1,2", "text/csv", "[1.0]")

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of XGBoost's."""
        return model_files.detect(folder)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the files to their ends, and compare their versions with the image's."""
        del allow_code  # a pickled Booster is read by the names of what it may hold
        problems, headers = [], {}
        try:
            chosen = model_files.options(place.folder)
            paths = [path for path in model_files.find(place.folder) if path.name not in bad]
        except ModelError as error:
            return base.Look((place.problem(error),))
        for path in paths:
            try:
                headers[path.name] = model_files.header(path.read_bytes(), path.name)
                _check_version(headers[path.name], path.name)
                model_files.check_prediction(headers[path.name].objective, chosen)
            except ModelError as error:
                problems.append(place.problem(error))
        if len({one.features for one in headers.values()}) > 1:
            what = "are not an ensemble: they take different numbers of columns"
            listed = base.some(headers)
            problems.append(base.Problem(f"{place.whole()}: {listed}", what, "keep one of them"))
        notes = place.unread(names, {path.name for path in paths}, "not a file of XGBoost's")
        signatures = [_signature(one) for one in headers.values()]
        return base.Look(tuple(problems), notes, signature=next(iter(signatures), None))


def _check_version(header: Header, name: str) -> None:
    """Raise ModelError where no image has so late an XGBoost: it could answer wrong."""
    pinned = pins.of("xgboost", "xgboost-cpu")
    latest = max(pinned, default=None, key=_numbers)
    if latest is not None and header.version[:2] > _numbers(latest)[:2]:
        raise ModelError(
            f"was written by XGBoost {'.'.join(map(str, header.version))}, the image has {latest}, "
            "which could answer wrong without an error",
            name,
            "train it with that version, or raise the one in requirements/xgboost.txt",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _signature(header: Header) -> base.Signature:
    return base.Signature(
        ".".join(map(str, header.version)),
        header.objective,
        features=header.features,
        names=header.names,
        outputs=header.outputs,
        classes=header.classes or None,
    )


FRAMEWORK = XGBoost()
