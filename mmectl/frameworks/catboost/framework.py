"""CatBoost's models, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.catboost import model_files
from mmectl.frameworks.catboost.model_files import Header
from mmectl.frameworks.values import ModelError


class CatBoost(base.Framework):
    """Boosted trees: one file."""

    name = "catboost"
    files = ("*.cbm",)
    holds = (
        "a model folder holds one file of CatBoost's, whatever its name: "
        "model.save_model('model.cbm')"
    )

    def sample(self) -> base.Sample:
        """One tree."""
        return base.Sample({"model.cbm": model_files.small()}, b"1,0", "text/csv", "[3.0]")

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of CatBoost's."""
        return model_files.detect(folder)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the head of the file."""
        del allow_code
        try:
            path = model_files.find(place.folder)
            chosen = model_files.options(place.folder)
            if path.name in bad:
                return base.Look()
            header = model_files.header(path.read_bytes(), path.name)
            model_files.check_prediction(header, chosen)
        except ModelError as error:
            return base.Look((place.problem(error),))
        notes = place.unread(names, {path.name}, "no file of CatBoost's")
        return base.Look((), notes, signature=_signature(header, chosen.predict))


def _signature(header: Header, predict: str | None) -> base.Signature:
    one = header.loss in model_files.ONE_OF and predict in (None, model_files.CLASS)
    outputs = 1 if one else max(header.dimension, 1)
    if predict == model_files.PROBABILITY:
        outputs = max(outputs, len(header.classes), 2)
    return base.Signature(
        None, header.loss or None, features=header.features, names=header.names, outputs=outputs
    )


FRAMEWORK = CatBoost()
