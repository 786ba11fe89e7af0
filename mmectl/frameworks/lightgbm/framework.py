"""LightGBM's models, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.lightgbm import model_files, trees
from mmectl.frameworks.lightgbm.model_files import Header
from mmectl.frameworks.values import ModelError

# a tree of two leaves: 1 up to 0.5 of the first column, else 2
_TREE = (
    "Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=0.5\n"
    "decision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=1 2\nleaf_weight=1 1\n"
    "leaf_count=1 1\ninternal_value=0\ninternal_weight=0\ninternal_count=2\nis_linear=0\n"
    "shrinkage=1\n\n\n"
)
_STUMP = (
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    "objective=regression\nfeature_names=Column_0 Column_1\nfeature_infos=[0:1] none\n"
    f"tree_sizes={len(_TREE)}\n\n{_TREE}end of trees\n"
)


class LightGBM(base.Framework):
    """Boosted trees: one file."""

    name = "lightgbm"
    files = ("LightGBM's *.txt",)
    holds = (
        "a model folder holds one text file of LightGBM's, whatever its name: "
        "booster.save_model('model.txt')"
    )

    def sample(self) -> base.Sample:
        """A tree of two leaves."""
        return base.Sample({"model.txt": _STUMP.encode()}, b"1,0", "text/csv", "[2.0]")

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of LightGBM's."""
        return model_files.detect(folder)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the file to its end."""
        del allow_code
        try:
            path = model_files.find(place.folder)
            chosen = model_files.options(place.folder)
            if path.name in bad:
                return base.Look()
            data = path.read_bytes()
            header = model_files.header(data, path.name, chosen)
            model_files.check_prediction(header, chosen)
            trees.checked(data, header, path.name)
        except ModelError as error:
            return base.Look((place.problem(error),))
        notes = place.unread(names, {path.name}, "no file of LightGBM's")
        return base.Look((), notes, signature=_signature(header, chosen.predict))


def _signature(header: Header, predict: str | None) -> base.Signature:
    outputs = header.classes
    if predict == model_files.CLASS:
        outputs = 1
    elif predict == model_files.PROBABILITY:
        outputs = max(outputs, 2)
    return base.Signature(
        header.version,
        header.objective,
        features=header.features,
        names=header.names,
        outputs=outputs,
    )


FRAMEWORK = LightGBM()
