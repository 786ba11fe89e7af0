"""`warm` and `bench` against real instances."""

from __future__ import annotations

import json

from test_story import STAR, endpoint, image, project  # noqa: F401 - fixtures


def slowest(rows: list[dict]) -> float:
    return max(row["seconds"] for row in rows)


def test_warm_loads_and_bench_measures(project, endpoint):  # noqa: F811
    warmed = project.data("warm", "shapes", "digits")
    assert [row["state"] for row in warmed["models"]] == ["loaded", "loaded"]
    assert warmed["not_in_memory"] == []
    again = [project.data("warm", "--all")["models"] for _ in range(3)]
    assert {row["state"] for rows in again for row in rows} == {"was_loaded"}
    # one of three: others of the machine may delay a look, but hardly make it as long as a load
    assert min(slowest(rows) for rows in again) < slowest(warmed["models"])

    used = project.data("warm", "--most-used", "1")["models"]
    assert [row["state"] for row in used] == ["was_loaded"]

    run = project.data("bench", "--count", "60", "--concurrency", "3", "--save", "a.json", STAR)
    assert (run["requests"], run["failed"], run["hit_rate"]) == (60, 0, 1.0)
    assert json.loads((project.folder / "a.json").read_text())["requests"] == 60
    assert sum(row["requests"] for row in run["per_model"]) == 60
    figures = project.data("bench", "compare", "a.json", "a.json")["figures"]
    assert {row["ratio"] for row in figures} <= {1.0, None}
