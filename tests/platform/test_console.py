"""The console in a real Chromium, over a real platform: what is seen, and what nobody can do."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from projects import BIN, Project, config_of, made, share_environments
from tabs import chromium, watched_tab

from mmectl.web.consoles import leading

SECONDS = 30.0
HOSTILE = "<img src=x onerror=window.hit=1>"
# of a model: 9 MB, so the second one takes the place of the first
ONE_MODEL = "local: {runtime: process, memory_mb: 16}\n"


@pytest.fixture(scope="module")
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    models = {name: root / "examples" / "models" / name for name in ("shapes", "digits")}
    settings = config_of(root, models, ONE_MODEL)
    settings += "update: {alarms: [errors]}\n"
    with made(root, settings, ONE_MODEL) as project:
        share_environments(project, request)
        project.mmectl("build")
        project.mmectl("upload", "--all")
        make_alarm(project)
        yield project


def make_alarm(project: Project) -> None:
    project.client("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Namespace="mine",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )


@pytest.fixture(scope="module")
def address(project: Project) -> Iterator[str]:
    """A console that was started before there is an endpoint."""
    command = [str(BIN / "mmectl"), "console", "--no-browser", "--json"]
    with subprocess.Popen(
        command, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        yield json.loads(running.stdout.readline())["url"]
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    """One tab; whatever the page's policy or code complains of fails the test of it."""
    with watched_tab(browser, address, SECONDS) as page:
        yield page


HEADINGS = {"Endpoint": "demo", "Try": "Try a model"}


def goto(page: Any, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=HEADINGS.get(name, name), level=1, exact=True).wait_for()


def invoke(project: Project, model: str) -> None:
    project.mmectl("invoke", "-m", model, str(project.root / "examples" / "images" / "star.jpg"))


def cells(page: Any, text: str) -> None:
    """Wait until the cells of an instance are these."""
    page.locator(f"canvas[aria-label*='{text}']").wait_for()


def test_the_address_is_shown_no_more(page, address):
    page.wait_for_url(re.compile(r"/#/endpoint$"))
    assert "code" not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_reload_and_a_new_tab_are_signed_in(page, address):
    page.reload()
    page.get_by_role("heading", name="demo", exact=True).wait_for()
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("heading", name="demo", exact=True).wait_for()
    other.goto("about:blank")
    other.goto(address)  # its code is spent: the browser's history
    other.get_by_role("heading", name="demo", exact=True).wait_for()
    other.close()


def test_a_tab_that_brings_an_older_token_signs_no_other_out(page):
    """All tabs share a stream: one that was asleep while the console was started anew joins it."""
    token = page.evaluate("authorization()")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("heading", name="demo", exact=True).wait_for()
    other.evaluate("sessionStorage.setItem(KEY, 'older'); live.join(authorization())")
    other.wait_for_function("(token) => authorization() === token", arg=token)  # from this one
    assert page.evaluate("authorization()") == token
    other.close()


def test_more_tabs_than_a_browser_opens_connections(page):
    """Six to a server: a stream for each tab would let the next one wait for ever."""
    tabs = [page.context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.goto(page.url)
        tab.get_by_role("heading", name="demo", exact=True).wait_for()
    for tab in tabs:
        tab.close()


def test_an_address_works_once_and_another_one_is_had(browser, project, address):
    """In another browser: nobody there can vouch for the tab."""
    other = browser.new_context().new_page()
    other.goto(address)
    other.get_by_text("this code was used").wait_for()
    other.get_by_text("mmectl console --open").wait_for()
    other.get_by_label("Address or code").fill(another(project))
    other.get_by_role("button", name="Sign in").click()
    other.get_by_role("heading", name="demo", exact=True).wait_for()
    other.context.close()


def another(project: Project) -> str:
    """One more address of the console."""
    printed = project.mmectl("console", "--open", "--no-browser", "--json")
    return json.loads(printed.stdout)["url"]


def test_the_file_that_opens_the_browser_leads_to_it(browser, project, tmp_path):
    file = tmp_path / "console.html"
    file.write_text(leading(another(project)))
    other = browser.new_context().new_page()
    other.goto(file.as_uri())
    other.wait_for_url(re.compile(r"/#/endpoint$"))
    other.get_by_role("heading", name="demo", exact=True).wait_for()


def test_an_instance_and_a_model_appear(page, project):
    assert page.locator("canvas").count() == 0
    project.mmectl("deploy")
    page.get_by_role("heading", name=re.compile("InService")).wait_for()
    invoke(project, "shapes")
    cells(page, "1 ready")


def test_more_than_fits_is_unloaded(page, project):
    invoke(project, "digits")
    cells(page, "1 ready, 1 disk")
    goto(page, "Events and logs")
    page.get_by_text("unloaded shapes.tar.gz").wait_for()
    page.get_by_text("loaded shapes from").first.wait_for()  # what the container printed
    shown = page.locator("#log > div").count()
    invoke(project, "shapes")
    page.locator("#log > div").nth(shown).wait_for()
    ids = page.evaluate("[...document.querySelectorAll('#log > div')].map((line) => line.id)")
    assert len(ids) == len(set(ids))
    page.get_by_text("unloaded digits.tar.gz").wait_for()  # seen on this page, too
    goto(page, "Traffic")
    page.get_by_role("cell", name="digits.tar.gz").get_by_role("link").click()
    curves = page.get_by_role("region", name="Curves of digits.tar.gz")
    curves.get_by_text("Cold starts and evictions").wait_for()
    assert "mmectl metrics --model=digits.tar.gz" in curves.inner_text()
    yesterday = datetime.now() - timedelta(days=1)
    page.get_by_label("From").fill(yesterday.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("button", name="Show").click()
    page.get_by_text("Figures by model are kept up to now").wait_for()
    assert "--until" in page.locator(".command").first.inner_text()


def test_the_log_is_of_one_instance_and_of_a_span(page):
    goto(page, "Events and logs")
    page.get_by_label("Instance").select_option(index=1)
    page.locator(".command", has_text=re.compile("--instance")).wait_for()
    page.get_by_label("Span").select_option("1h")
    page.locator(".command", has_text=re.compile("--instance .*--since 1h")).wait_for()
    page.locator("#log > div").first.wait_for()


def test_a_version_is_promoted_by_the_command_that_is_shown(page, project):
    other = project.folder / "other" / "shapes"
    shutil.copytree(project.root / "examples" / "models" / "shapes", other)
    (other / "note.txt").write_text("another version\n")
    project.mmectl("upload", str(other))
    goto(page, "Models")
    page.get_by_role("button", name="shapes").click()
    page.get_by_role("button", name="Promote v1").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("mmectl models promote shapes v1").wait_for()
    dialog.get_by_role("button", name="Do it").click()
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("row", name=re.compile("v1 current")).wait_for()
    shown = project.data("models", "show", "shapes")
    assert (shown["current"], shown["promoted"]) == (1, True)


def test_a_model_says_what_a_picture_is(page, project):
    goto(page, "Try")
    page.get_by_label("Model", exact=True).fill("shapes")
    page.locator("#file").set_input_files(project.root / "examples" / "images" / "star.jpg")
    assert page.locator("#preview").get_attribute("src").startswith("blob:")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("img", name="Where the time went").wait_for()
    first = page.locator("table.labels tr").first
    assert "star" in first.inner_text()
    assert float(first.locator("td").last.inner_text()) > 0.9
    sent = page.locator("img.sent")
    sent.wait_for()
    assert sent.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.get_by_label("Compare with").fill("shapes")
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("The answers are the same").wait_for()
    assert page.locator("img.sent").count() == 2


def test_a_run_is_started_saved_and_compared(page, project):
    goto(page, "Bench")
    for name in ("one.json", "two.json"):
        page.locator("#file").set_input_files(project.root / "examples" / "images" / "star.jpg")
        page.get_by_label("Models").fill("shapes")
        page.get_by_label("or requests").fill("20")
        page.get_by_label("Save as").fill(name)
        page.locator("#bench-command", has_text=f"--count 20 --save {name} FILE").wait_for()
        page.get_by_role("button", name="Start").click()
        page.get_by_role("heading", name=name, exact=True).wait_for()
    for name in ("one.json", "two.json"):
        page.get_by_role("checkbox", name=name).check()
        page.get_by_role("checkbox", name=name, checked=True).wait_for()
        page.get_by_role("heading", name=name, exact=True).wait_for()
    page.get_by_role("heading", name="Compared with").wait_for()
    told = project.data("bench", "compare", "one.json", "two.json")["figures"]
    rows = page.locator("#compared tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == [one["figure"] for one in told]
    shown = [row.split("\t")[4] for row in rows]
    assert shown == ["-" if one["ratio"] is None else f"{one['ratio']:.2f}" for one in told]
    assert page.locator("#main figure svg polyline").count() == 6


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    for name in ("Endpoint", "Traffic", "Models", "Try", "Events and logs", "Bench"):
        goto(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.set_viewport_size({"width": 1200, "height": 900})


def test_hostile_names_are_text(page, project):
    bucket = project.data("status")["location"].removeprefix("s3://").partition("/")[0]
    body = b"no tarball"
    project.client("s3").put_object(Bucket=bucket, Key=f"demo/{HOSTILE}.tar.gz", Body=body)
    goto(page, "Endpoint")
    goto(page, "Models")
    page.get_by_role("button", name=HOSTILE).click()
    page.get_by_role("heading", name=HOSTILE).wait_for()
    page.locator("#model").get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_text(HOSTILE).first.wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.goto(f"{page.url.partition('#')[0]}#/models?name={quote(HOSTILE)}")
    page.get_by_role("heading", name=HOSTILE).wait_for()
    assert page.evaluate("window.hit") is None


def test_hundreds_of_models_are_few_rows_and_several_are_removed_at_once(page, project):
    bucket = project.data("status")["location"].removeprefix("s3://").partition("/")[0]
    keys = [f"demo/many_{n:03}{HOSTILE}.tar.gz" for n in range(300)]
    s3 = project.client("s3")
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"no tarball")
    try:
        goto(page, "Endpoint")
        goto(page, "Models")
        rows = page.locator("#models tbody.rows tr")
        page.get_by_label("Names with").fill("MANY_")
        page.locator("#count", has_text="300 found").wait_for()
        rows.first.focus()
        page.keyboard.press("End")
        page.locator("tr:focus", has_text="many_299").wait_for()
        assert rows.count() < 150
        page.locator("th[data-sort=name] button").click()  # sorted the other way
        rows.first.filter(has_text="many_299").wait_for()
        page.get_by_label("Names with").fill("many_01")
        page.locator("#count", has_text="10 found").wait_for()
        rows.nth(1).get_by_role("button").click()
        page.locator("#model").get_by_role("heading", name="many_018").wait_for()
        rows.first.focus()
        for key in (" ", "ArrowDown", " "):
            page.keyboard.press(key)
        page.locator("#chosen", has_text="2 chosen").wait_for()
        page.locator(".bulk").get_by_role("button", name="Remove").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("2 tarballs").wait_for()
        dialog.get_by_role("button", name="Do it").click()
        dialog.get_by_role("button", name="Close").click()
        page.locator("#count", has_text="8 found").wait_for()
        page.locator("#model").get_by_text("was removed").wait_for()
        assert project.data("models", "list", "many_01")["total"] == 8
    finally:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert page.evaluate("window.hit") is None


def test_another_site_reads_and_does_nothing(browser, page, address):
    """A page of another origin with the token in its hands, and one that frames the console."""
    origin = address.partition("/#")[0]
    token = page.evaluate("authorization().slice(7)")
    other = browser.new_context().new_page()
    other.route("http://other.example/", lambda route: route.fulfill(body="<p>other"))
    other.goto("http://other.example/")
    ask = """async ([url, method, token]) => {
        const headers = token ? {Authorization: `Bearer ${token}`} : {};
        try { const answer = await fetch(url, {method, headers}); return answer.status; }
        catch (error) { return "refused"; }
    }"""
    paths = ("GET /page/endpoint", "POST /do/rollback", "GET /live", "POST /sign-in", "POST /code")
    for method, path in map(str.split, paths):
        for given in (token, ""):
            assert other.evaluate(ask, [origin + path, method, given]) == "refused"
    other.evaluate("url => { document.body.innerHTML = `<iframe src=${url}></iframe>`; }", origin)
    other.wait_for_timeout(300)
    assert all("mmectl" not in frame.content() for frame in other.frames[1:])


def test_keys_move_between_models(page, project):
    goto(page, "Endpoint")
    cells(page, "models")
    page.locator("canvas").first.focus()
    page.keyboard.press("ArrowRight")
    picked = page.locator("#picked")
    page.locator("#picked", has_text="shapes.tar.gz: ").wait_for()
    page.keyboard.press("ArrowRight")  # there is no other one in memory
    assert "shapes.tar.gz" in picked.inner_text()
    page.keyboard.press("ArrowDown")
    page.locator("#picked", has_text="digits.tar.gz: disk").wait_for()
    page.keyboard.press("ArrowUp")
    page.locator("#picked", has_text="shapes.tar.gz: ").wait_for()
    page.get_by_text("As a table").click()
    page.get_by_role("row", name=re.compile("digits.tar.gz on disk")).wait_for()
    page.locator("canvas").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=re.compile("^(digits|shapes)$")).wait_for()


def test_a_link_skips_the_navigation(page):
    goto(page, "Models")
    page.get_by_role("link", name="Skip to the page").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith("#/models")


def test_the_keyboard_stays_on_what_was_pressed(page):
    goto(page, "Traffic")
    page.get_by_role("button", name="6h").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="6h", pressed=True).wait_for()
    assert page.evaluate("document.activeElement.textContent") == "6h"


def test_an_error_in_the_dialog_has_a_way_out(page):
    goto(page, "Models")
    page.get_by_role("button", name="digits").click()
    page.get_by_role("heading", name="digits", exact=True).wait_for()
    page.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Do it").click()  # nothing was promoted
    dialog.get_by_role("alert").wait_for()
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")


def test_an_update_is_seen_while_it_happens_and_rolled_back(page, project):
    goto(page, "Endpoint")
    settings = [
        *("update.policy=canary", "update.step=50", "update.wait=60"),
        *("endpoint.instance_count=2", "endpoint.environment={A: b}"),
    ]
    options = [word for item in settings for word in ("--set", item)]
    project.mmectl("deploy", "--no-wait", *options)
    page.locator("#update", has_text="50 % of the traffic on the new instances").wait_for()
    assert page.locator("section.instance").count() == 3
    project.client("cloudwatch").set_alarm_state(
        AlarmName="errors", StateValue="ALARM", StateReason="a test"
    )
    page.locator("#alarms").get_by_text("errors: ALARM").wait_for()
    page.locator("#update").wait_for(state="hidden")
    page.wait_for_function("() => document.querySelectorAll('section.instance').length === 1")
    goto(page, "Events and logs")
    page.get_by_role("listitem").filter(has_text="rolled back").wait_for()
    for text in ("configured demo-", "promoted shapes v1", "created endpoint demo"):
        page.locator("#history li").filter(has_text=text).first.wait_for()
