"""The console's pages in a real Chromium, over commands that are handed in: what answers may do to
a page that somebody uses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from fakes.bench_process import ENDS, GOES_ON, MOVES, Scripted
from fakes.console import Said
from fakes.console_answers import EVIL, LONG, answers, fleet, listed, run, save
from fakes.console_thread import SECONDS, beside
from tabs import chromium, watched_tab

from mmectl.base.errors import MmectlError
from mmectl.web.live import Live

AXE = files("axe_playwright_python") / "axe.min.js"
NAMES = [f"model_{n:03}" for n in range(600)]
ADDED = """() => {
  window.added = 0;
  const rows = document.querySelector("#models tbody.rows");
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) added += node.localName === "tr";
    }
  }).observe(document.querySelector("#models table"), { childList: true, subtree: true });
}"""


ACTS = """async () => {
  const body = new URLSearchParams({ name: "model_003", version: "v2" });
  await fetch("/do/promote", { method: "POST", headers: { Authorization: authorization() }, body });
  await Models.shown.list.again();
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@contextmanager
def opened(browser: Any, said: Any, live: Any = None, **how: Any) -> Iterator[Any]:
    """A tab that is signed in; whatever its policy or code complains of fails the test."""
    with beside(said, live, **how) as (_, address), watched_tab(browser, address, SECONDS) as page:
        page.wait_for_url("**/#/endpoint")
        yield page


def goto(page: Any, name: str) -> None:
    link = "Try" if name.startswith("Try") else name
    page.get_by_role("navigation").get_by_role("link", name=link).click()
    page.get_by_role("heading", name=name, level=1).wait_for()


def looking(**more: Any) -> Live:
    cells = {"busy": (9.0, "busy"), "ready": (4.0, "ready"), "resting": (2.0, "resting")}
    return Live(lambda: fleet({**cells, "disk": (0, "disk"), "new": (0, "loading")}, **more))


def test_rows_that_are_seen_stay_while_the_list_is_scrolled(browser):
    with opened(browser, answers(NAMES)) as page:
        goto(page, "Models")
        page.evaluate(ADDED)
        page.locator("tr", has_text="model_025").evaluate("row => { row.mark = 'mine'; }")
        for n in range(1, 13):  # 25 rows each
            page.evaluate("top => { document.getElementById('models').scrollTop = top; }", 825 * n)
            page.locator("tr", has_text=f"model_{25 * n + 5:03}").wait_for()
            if n == 1:
                assert (
                    page.locator("tr", has_text="model_025").evaluate("row => row.mark") == "mine"
                )
        assert page.locator("#models tbody.rows tr").count() < 120
        names = page.locator("#models tbody.rows tr").evaluate_all(
            "rows => rows.map(r => r.dataset.name)"
        )
        assert names == NAMES[NAMES.index(names[0]) :][: len(names)]
        assert page.evaluate("added") <= 300 + 60  # each once


def test_the_keyboard_stays_on_a_row_that_others_changed(browser):
    said = Said(answers(NAMES[:5]))
    with opened(browser, said) as page:
        goto(page, "Models")
        row = page.locator("tr", has_text="model_003")
        row.locator("input").focus()
        row.evaluate("row => { row.mark = 'mine'; }")
        said.answers = answers(NAMES[1:7])
        said.answers["models list"]["models"][2]["versions"] = [1, 2]
        page.evaluate(ACTS)  # so that the list is read anew
        page.locator("tr", has_text="model_006").wait_for()
        assert "of 2" in row.inner_text()
        assert row.evaluate("row => row.mark") == "mine"
        assert row.get_attribute("aria-rowindex") == "4"
        assert page.evaluate("document.activeElement.closest('tr').dataset.name") == "model_003"
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.dataset.name") == "model_004"


def test_the_keyboard_goes_with_a_row_that_is_put_elsewhere(browser):
    said = Said(answers(NAMES[:5]))
    with opened(browser, said) as page:
        goto(page, "Models")
        page.get_by_role("columnheader", name="Size").get_by_role("button").click()
        page.wait_for_url("**sort=size")
        row = page.locator("tr", has_text="model_003")
        row.focus()
        said.answers = answers(NAMES[:5])
        said.answers["models list"]["models"][3]["current"]["size"] = 5
        page.evaluate(ACTS)
        page.locator("tr[aria-rowindex='2']", has_text="model_003").wait_for()
        assert page.evaluate("document.activeElement.dataset.name") == "model_003"
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.dataset.name") == "model_000"


def test_rows_have_the_columns_that_were_read_last(browser):
    said = Said(answers(NAMES[:5]))
    with opened(browser, said) as page:
        goto(page, "Models")
        said.answers["models list"] = listed(NAMES[:5], used=False)
        page.evaluate(ACTS)
        row = page.locator("tr", has_text="model_003")
        assert row.locator("td").count() == 5
        assert "undefined" not in page.locator("#models").inner_text()


def test_frameworks_that_could_not_be_read_are_asked_for_again(browser):
    why = MmectlError("s3:GetObject: denied", hint="ask somebody")
    said = Said(answers(NAMES) | {"models list --all --details": why})
    with opened(browser, said) as page:
        goto(page, "Models")
        button = page.get_by_role("button", name="Read the frameworks of 600 models")
        button.click()
        page.get_by_role("alert").get_by_text("s3:GetObject: denied").wait_for()
        assert button.is_enabled()
        assert page.evaluate("document.activeElement.id") == "details"
        said.answers["models list --all --details"] = listed(NAMES)
        button.click()
        button.wait_for(state="detached")


def test_stop_is_pressed_while_its_run_moves(browser):
    with opened(browser, Scripted(MOVES, answers(NAMES))) as page:
        goto(page, "Bench")
        page.get_by_label("or a request").fill("1,2")
        page.get_by_role("button", name="Start").press("Enter")
        stop = page.get_by_role("button", name="Stop")
        stop.wait_for()
        # it was disabled meanwhile
        page.wait_for_function("() => document.activeElement.id === 'start'")
        stop.evaluate("button => { button.mark = 'mine'; }")
        stop.focus()
        bar = page.get_by_role("progressbar", name="The run")
        seen = bar.get_attribute("value")
        moved = "seen => document.querySelector('progress').value > Number(seen)"
        page.wait_for_function(moved, arg=seen)
        assert stop.evaluate("button => button.mark") == "mine"
        assert page.evaluate("document.activeElement.id") == "stop"
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("stopped <b>").wait_for()
        assert page.evaluate("document.activeElement.id") == "running"


def test_a_run_that_another_tab_started_is_seen(browser):
    with opened(browser, Scripted(GOES_ON, answers(NAMES))) as page:
        page.clock.install()
        goto(page, "Bench")
        other = page.context.new_page()
        other.goto(page.url)
        other.get_by_label("or a request").fill("1,2")
        other.get_by_role("button", name="Start").click()
        other.get_by_text("A run goes on").wait_for()
        page.clock.fast_forward(6000)
        page.get_by_text("A run goes on").wait_for()


def test_what_was_typed_stays(browser):
    save("old.json")
    with opened(browser, Scripted(ENDS, answers(NAMES))) as page:
        goto(page, "Bench")
        page.get_by_label("Models").fill("m1 m2")
        page.get_by_label("Pattern").select_option("zipf")
        page.get_by_label("or a request").fill("1,2")
        page.get_by_label("Save as").fill("mine.json")
        page.reload()
        page.wait_for_function("() => document.querySelector('[name=models]')?.value === 'm1 m2'")
        assert page.get_by_label("Save as").input_value() == "mine.json"
        goto(page, "Try a model")
        page.get_by_label("Compare with").fill("other")
        page.get_by_label("File").set_input_files(
            files=[{"name": "a.csv", "mimeType": "text/csv", "buffer": b"1"}]
        )
        goto(page, "Bench")
        assert page.get_by_label("Pattern").input_value() == "zipf"
        page.get_by_label("Models").focus()
        save("mine.json", **run("2027", 20.0))  # what the run would have written
        page.get_by_role("button", name="Start").click()
        page.get_by_role("alert").get_by_text("mine.json: is there already").wait_for()
        page.get_by_label("Save as").fill("next.json")
        page.get_by_label("or a request").fill('{"bench_version": 1}')
        page.get_by_role("button", name="Start").click()
        page.get_by_text("The last run is saved").wait_for()
        assert page.get_by_label("Models").input_value() == "m1 m2"
        assert page.get_by_label("or a request").input_value() == '{"bench_version": 1}'
        goto(page, "Try a model")
        assert page.get_by_label("Compare with").input_value() == "other"
        assert page.locator("#file").evaluate("field => field.files[0].name") == "a.csv"


def test_the_runs_that_are_shown_are_in_the_address(browser):
    save("one.json")
    save("two.json")
    with opened(browser, Scripted(ENDS, answers(NAMES))) as page:
        goto(page, "Bench")
        page.get_by_label("Models").fill("m1")
        for name in ("one.json", "two.json"):
            page.get_by_role("checkbox", name=name).check()
            page.get_by_role("heading", name=name, exact=True).wait_for()
        assert page.get_by_label("Models").input_value() == "m1"
        assert page.evaluate("document.activeElement.value") == "two.json"
        page.reload()
        for name in ("one.json", "two.json"):
            page.get_by_role("heading", name=name, exact=True).wait_for()
        assert page.get_by_label("Models").input_value() == "m1"


def test_a_page_that_cannot_be_read_anew_keeps_what_it_shows(browser):
    said = Said(answers(NAMES[:3]))
    with opened(browser, said, looking()) as page:
        page.clock.install()
        goto(page, "Traffic")
        link = page.get_by_role("link", name="model_001")
        link.focus()
        fine = said.answers
        said.answers = fine | {"metrics": MmectlError("Rate exceeded", hint="mmectl status")}
        page.clock.fast_forward(16_000)
        failed = page.get_by_role("alert")
        failed.get_by_text("Rate exceeded").wait_for()
        failed.get_by_text("What is shown below is from before that").wait_for()
        assert link.is_visible()
        said.answers = fine | {
            "metrics --by-model": {"models": fine["metrics --by-model"]["models"][1:]}
        }
        page.clock.fast_forward(16_000)
        page.get_by_role("link", name="model_000").wait_for(state="detached")
        assert failed.count() == 0
        assert page.evaluate("document.activeElement.textContent") == "model_001"


def test_a_reason_is_said_each_time_that_a_page_cannot_be_read(browser):
    said = Said(answers(NAMES[:3]))
    with opened(browser, said, looking()) as page:
        page.clock.install()
        goto(page, "Traffic")
        page.get_by_label("From").fill("2026-01-02T03:04")
        page.get_by_role("link", name="model_000").focus()
        fine = said.answers
        failed = page.get_by_role("alert").get_by_text("Rate exceeded")
        for left in (1, 2):
            said.answers = fine | {"metrics": MmectlError("Rate exceeded")}
            page.clock.fast_forward(16_000)
            failed.wait_for()
            by_model = {"models": fine["metrics --by-model"]["models"][left:]}
            said.answers = fine | {"metrics --by-model": by_model}
            page.clock.fast_forward(16_000)
            page.get_by_role("link", name=f"model_{left - 1:03}").wait_for(state="detached")
            assert failed.count() == 0
        assert page.get_by_label("From").input_value() == "2026-01-02T03:04"


def test_a_page_that_could_not_be_read_is_asked_for_again(browser):
    fine = answers(NAMES[:3])
    said = Said(fine | {"metrics": MmectlError("the platform is not running")})
    with opened(browser, said, looking()) as page:
        page.clock.install()
        page.get_by_role("navigation").get_by_role("link", name="Traffic").click()
        page.get_by_role("alert").get_by_text("not running").wait_for()
        page.get_by_role("button", name="Ask again").click()
        said.answers = fine
        page.clock.fast_forward(16_000)
        page.get_by_role("heading", name="Traffic", level=1).wait_for()


class Waits(Said):
    """`metrics` takes as long as the test wants."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.go_on, self.begun = threading.Event(), threading.Event()

    def __call__(self, *arguments: str) -> Any:
        if arguments[0] == "metrics" and "--by-model" not in arguments:
            self.begun.set()
            self.go_on.wait(SECONDS)
        return super().__call__(*arguments)


def test_a_page_that_comes_late_does_not_take_the_place_of_the_next_one(browser):
    said = Waits(answers(NAMES[:3]))
    with opened(browser, said, looking()) as page:
        page.get_by_role("navigation").get_by_role("link", name="Traffic").click()
        assert said.begun.wait(SECONDS)
        goto(page, "Models")  # which waits for nobody
        with page.expect_response("**/page/traffic?*"):
            said.go_on.set()
        page.get_by_role("button", name="model_002").click()
        page.locator("#model").get_by_role("heading", level=2).wait_for()
        assert page.get_by_role("heading", level=1).inner_text() == "Models"
        assert page.url.endswith("#/models?name=model_002")


def test_of_two_models_that_are_named_at_once_the_last_is_opened(browser):
    with opened(browser, answers(NAMES[:3])) as page:
        names = ("model_001", "model_002")
        page.evaluate("names => { for (const n of names) openPage(n); }", names)
        page.locator("#model").get_by_role("heading", level=2).wait_for()
        assert page.url.endswith("#/models?name=model_002")


def test_the_keyboard_comes_back_from_a_dialog(browser):
    with opened(browser, answers(NAMES[:3])) as page:
        goto(page, "Models")
        page.get_by_role("button", name="model_000").click()
        page.get_by_role("button", name="Promote v1").press("Enter")
        dialog = page.get_by_role("dialog")
        with page.expect_response("**/page/model?*"):  # what was pressed is drawn anew
            dialog.get_by_role("button", name="Do it").press("Enter")
        dialog.get_by_role("button", name="Close").press("Enter")
        dialog.wait_for(state="hidden")
        page.wait_for_function("() => document.activeElement.ariaLabel === 'Promote v1'")


def barriers(page: Any, rules: list[str]) -> list[str]:
    """What axe-core finds wrong for people who see or move otherwise, and what does not fit."""
    wide = []
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(f"wider than {width}")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    how = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("how => axe.run(document, how)", how)["violations"]
    return wide + [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "rules"), [("light", []), ("dark", ["color-contrast"])])
def test_no_page_has_a_barrier(browser, scheme, rules):
    save("one.json")
    save("two.json", **run("2027", 20.0))
    found: dict[str, list[str]] = {}
    with opened(browser, Scripted(GOES_ON, answers([LONG, EVIL, *NAMES[:5]])), looking()) as page:
        page.emulate_media(color_scheme=scheme)
        page.locator("canvas").wait_for()
        page.get_by_text("As a table").click()
        page.get_by_role("row", name="resting resting").wait_for()
        found["Endpoint"] = barriers(page, rules)
        goto(page, "Traffic")
        page.get_by_role("link", name="model_001").click()
        page.get_by_role("region", name="Curves of model_001").wait_for()
        found["Traffic"] = barriers(page, rules)
        goto(page, "Models")
        page.get_by_role("button", name="model_001").click()
        page.locator("#model").get_by_role("heading", name="History").wait_for()
        page.get_by_role("checkbox", name="Choose model_001").check()
        found["Models"] = barriers(page, rules)
        page.locator(".bulk").get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_text("what is used").wait_for()
        found["dialog"] = barriers(page, rules)
        page.get_by_role("button", name="Cancel").click()
        goto(page, "Try a model")
        page.get_by_label("Model", exact=True).fill("m")
        page.get_by_label("Compare with").fill("n")
        page.get_by_label("or a request").fill("1,2")
        page.get_by_role("button", name="Ask").click()
        page.get_by_role("img", name="Where the time went").first.wait_for()
        found["Try"] = barriers(page, rules)
        goto(page, "Events and logs")
        page.locator("#history").wait_for()
        found["Events and logs"] = barriers(page, rules)
        goto(page, "Bench")
        page.get_by_role("checkbox", name="one.json").check()
        page.get_by_role("heading", name="one.json").wait_for()
        page.get_by_label("or a request").fill("1,2")
        page.get_by_role("button", name="Start").click()
        page.get_by_role("progressbar", name="The run").wait_for()
        found["Bench"] = barriers(page, rules)
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("stopped <b>").wait_for()
        other = browser.new_context(color_scheme=scheme).new_page()
        other.goto(page.url.partition("#")[0])
        other.get_by_role("heading", name="Sign in").wait_for()
        found["Sign in"] = barriers(other, rules)
        other.context.close()
        assert {name: rows for name, rows in found.items() if rows} == {}
