"""Write docs/operators.md: what the container does with each operator of MXNet.

Usage: python scripts/operators.py

Builds the serving environment where there is none, and asks its engine for the operators. What the
page says of them is what tests/platform/test_operators.py holds true.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mmectl.image import build_local
from mmectl.local.images import Images
from mmectl.local.values import ACCOUNT

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "operators.md"


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT / "tests" / "platform"))
    from operators import compare

    state = ROOT / ".mmectl"
    built = build_local(
        ROOT / "container", state, account=ACCOUNT, region="us-east-1", repository="mmectl-mxnet"
    )
    image = Images(state / "images").find(built.reference)
    if image is None:
        raise SystemExit("the image was not built")
    container = Path(image.entrypoint[1]).parent
    asking = compare.Asking(image.entrypoint[0], container, image.environment, ROOT)
    PAGE.write_text(compare.page(asking.operators()), encoding="utf-8")


if __name__ == "__main__":
    main()
