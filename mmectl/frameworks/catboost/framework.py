"""CatBoost's models, as the commands see them before any upload."""

from __future__ import annotations

from mmectl.frameworks import base, one_file
from mmectl.frameworks.catboost import model_files
from mmectl.frameworks.catboost.model_files import Header, Options


class CatBoost(one_file.OneFile):
    """Boosted trees: one file."""

    name, title = "catboost", "CatBoost"
    files = ("*.cbm",)
    holds = (
        "a model folder holds one file of CatBoost's, whatever its name: "
        "model.save_model('model.cbm')"
    )

    def sample(self) -> base.Sample:
        """One tree."""
        return base.Sample({"model.cbm": model_files.small()}, b"1,0", "text/csv", "[3.0]")

    def read(self, data: bytes, name: str, chosen: Options) -> base.Signature:
        """Read the head of the file."""
        header = model_files.header(data, name)
        model_files.check_prediction(header, chosen)
        return _signature(header, chosen.predict)


def _signature(header: Header, predict: str | None) -> base.Signature:
    one = header.loss in model_files.ONE_OF and predict in (None, model_files.CLASS)
    outputs = 1 if one else max(header.dimension, 1)
    if predict == model_files.PROBABILITY:
        outputs = max(outputs, len(header.classes), 2)
    return base.Signature(
        None,
        header.loss or None,
        features=header.features,
        names=header.names,
        outputs=outputs,
        classes=len(header.classes) or None,
    )


FRAMEWORK = CatBoost()
