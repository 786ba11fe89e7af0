"""AWS's own handler code for XGBoost and scikit-learn, in the server that their containers have.

Neither container is a package of the index. BENCH_AWS names a folder with clones of
aws/sagemaker-xgboost-container and aws/sagemaker-scikit-learn-container; their `src` is used as it
is, beside the packages that they pin, as far as serving imports them.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import serving
from benchmarks.report import Unavailable
from benchmarks.serving import ROOT, Server
from mmectl.local.values import Image

_SERVER = ("multi-model-server==1.1.2", "sagemaker-inference==1.5.5", "setuptools<81")
# of their configuration of the server
_PROPERTIES = "preload_model=true\n"


@dataclass(frozen=True)
class Container:
    """One of them: its repository, the module of its handler, and what it is installed with.

    `program` is the user's script in benchmarks/stock, where it needs one.
    """

    repository: str
    handler: str
    packages: tuple[str, ...]
    program: str = ""

    @property
    def source(self) -> Path:
        """Its code. Raises Unavailable."""
        found = Path(os.environ.get("BENCH_AWS", ""), self.repository, "src")
        if not os.environ.get("BENCH_AWS") or not found.is_dir():
            raise Unavailable(f"BENCH_AWS names no folder with a clone of aws/{self.repository}")
        return found

    def python(self, name: str) -> str:
        """The Python of its environment, installed where that has changed."""
        found = serving.installed(name, (*_SERVER, *self.packages), server=False)
        mapping = next(Path(found).parent.parent.rglob("sagemaker_containers/_mapping.py"), None)
        if mapping is not None:  # as their Dockerfile does it, for Python 3.10 and later
            text = mapping.read_text().replace("collections.Mapping", "collections.abc.Mapping")
            mapping.write_text(text.replace("import collections\n", "import collections.abc\n"))
        return found

    def server(self, image: Image, python: str) -> AbstractContextManager[Server]:
        """Run the server with its handler."""
        jobs = Path(python).parent.parent / "jobs"
        jobs.mkdir(exist_ok=True)
        paths = os.pathsep.join(map(str, (self.source, ROOT / "benchmarks" / "stock")))
        return serving.stock(
            image,
            self.handler,
            python,
            _PROPERTIES,
            PYTHONPATH=paths,
            SAGEMAKER_BASE_DIR=str(jobs),  # else their code makes a folder in the user's
            **({"SAGEMAKER_PROGRAM": self.program} if self.program else {}),
        )


CONTAINERS = {
    "aws-xgboost": Container(
        "sagemaker-xgboost-container",
        "sagemaker_xgboost_container.algorithm_mode.handler_service",
        (
            "xgboost==3.0.5",
            "numpy==2.1.0",
            "scipy==1.15.0",
            "scikit-learn==1.8.0",
            "pandas==2.2.3",
            "pyarrow==22.0.0",
            "protobuf==3.20.3",
            "sagemaker-containers==2.8.6.post2",
            "flask==3.1.3",
            "werkzeug==3.1.8",
            "gunicorn==25.3.0",
            "gevent==26.4.0",
        ),
    ),
    "aws-sklearn": Container(
        "sagemaker-scikit-learn-container",
        "sagemaker_sklearn_container.handler_service",
        ("scikit-learn==1.9.0", "pandas==2.2.3"),
        "aws_script.py",
    ),
}
