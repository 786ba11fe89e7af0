"""LightGBM's models, as the commands see them before any upload."""

from __future__ import annotations

from mmectl.frameworks import base, one_file
from mmectl.frameworks.lightgbm import model_files, trees
from mmectl.frameworks.lightgbm.model_files import Header, Options

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


class LightGBM(one_file.OneFile):
    """Boosted trees: one file."""

    name, title = "lightgbm", "LightGBM"
    files = ("LightGBM's *.txt",)
    holds = (
        "a model folder holds one text file of LightGBM's, whatever its name: "
        "booster.save_model('model.txt')"
    )

    def sample(self) -> base.Sample:
        """A tree of two leaves."""
        return base.Sample({"model.txt": _STUMP.encode()}, b"1,0", "text/csv", "[2.0]")

    def read(self, data: bytes, name: str, chosen: Options) -> base.Signature:
        """Read the file to its end."""
        header = model_files.header(data, name, chosen)
        model_files.check_prediction(header, chosen)
        trees.checked(data, header, name)
        return _signature(header, chosen.predict)


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
        classes=header.classes if header.classes > 1 else None,
    )


FRAMEWORK = LightGBM()
