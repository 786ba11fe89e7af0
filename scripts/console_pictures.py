"""Take the pictures of docs/console.md from a real Chromium, on the embedded platform.

Usage: python scripts/console_pictures.py    needs playwright, and Debian's chromium
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from scripts.pictures import PICTURES, environment, project  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
WIDTH, HEIGHT = 1100, 700
COLOURS = 256  # of a picture: flat areas and text
BEFORE = (
    "mmectl build -q && mmectl upload --all -q && mmectl deploy -q",
    "mmectl upload ring --copies 120 --to shops/ -q",
    "mmectl upload shapes --copies 9 --to art/ -q",
    "mmectl invoke -q --random 150 --target-model 'shops/*' --concurrency 2 ring/rows.csv",
    "mmectl invoke -q --random 30 --target-model 'art/*' images/star.jpg",
    "mmectl models promote shapes v1",
    "mmectl bench --duration 6 --target-model ring --save one.json ring/rows.csv",
    "mmectl bench --duration 6 --target-model ring --concurrency 4 --save four.json ring/rows.csv",
)
PAGES = ("endpoint", "traffic", "models", "try", "logs", "bench")


def main() -> int:
    """Take all of them."""
    with project() as folder:
        for command in BEFORE:
            subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment(),
                check=True,
                capture_output=True,
            )
        console = [sys.executable, "-m", "mmectl", "console", "--no-browser", "--json"]
        with subprocess.Popen(
            console, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout is not None  # noqa: S101
            taken(json.loads(running.stdout.readline())["url"], folder)
            running.send_signal(signal.SIGINT)
    return 0


def taken(address: str, folder: Path) -> None:
    """Go through the pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        for name in PAGES:
            page.goto(f"{address.partition('#')[0]}#/{name}{'?name=shapes' * (name == 'models')}")
            page.get_by_role("heading", level=1).wait_for()
            page.wait_for_timeout(2500)
            if name == "try":
                page.get_by_label("Model", exact=True).fill("shapes")
                page.locator("#file").set_input_files(folder / "images" / "star.jpg")
                page.get_by_role("button", name="Ask").click()
                page.locator("table.labels").first.wait_for()
            if name == "bench":
                for run in ("one.json", "four.json"):
                    page.get_by_role("checkbox", name=run).check()
                    page.get_by_role("heading", name=run, exact=True).wait_for()
            page.evaluate("scrollTo(0, 0)")
            keep(page, name)
        chromium.close()


def keep(page: Any, name: str) -> None:
    """Write what is seen, in few colours."""
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    path = PICTURES / f"console-{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    sys.exit(main())
