"""Links of the pages, on GitHub and on the site, and what the built site must not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import build_site, links

PAGE = """# First `one`

See [a](other.md), [b](other.md#two-words), [c](#first-one), [d](#first-one-1), [e](folder/),
![p](a%20b.svg) and <img src="a b.svg"> and [out](https://example.com/x).

## First one
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "other.md").write_text('# Two, words\n<a id="own"></a>\n')
    (tmp_path / "a b.svg").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


def test_links_that_lead_somewhere_are_no_problem(project):
    assert list(links.broken(project / "page.md", project)) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[a](nothere.md)", "there is no such file"),
        ("text [a](other.md#three)", "no heading of other.md gives this anchor"),
        ("[a](#nowhere)", "no heading of page.md"),
        ("[a](/other.md)", "is absolute"),
        ("[a](../../etc/passwd)", "outside the project"),
        ("| a |\n|---|\n| [a](gone.md) |", "there is no such file"),
        ('<img src="gone.svg">', "there is no such file"),
        ("![a](gone.svg)", "there is no such file"),
        ("[a][b]\n\n[b]: gone.md", "there is no such file"),
    ],
)
def test_links_that_lead_nowhere_are_named_with_their_line(project, link, problem):
    links.anchors.cache_clear()
    (project / "page.md").write_text(f"# Page\n\n{link}\n")
    (found,) = links.broken(project / "page.md", project)
    assert found.startswith("page.md:3:" if not link.startswith("|") else "page.md:5:")
    assert problem in found


def test_what_stands_in_code_is_no_link(project):
    (project / "page.md").write_text("`[a](gone.md)`\n\n```\n[a](gone.md)\n```\n")
    assert list(links.broken(project / "page.md", project)) == []


def test_anchors_are_those_of_github():
    titles = ("`mmectl build` & more", "A day, of 2 MB", "snake_case", "Köln - Ulm")
    found = [links.slug(title.replace("`", "")) for title in titles]
    assert found == ["mmectl-build--more", "a-day-of-2-mb", "snake_case", "köln---ulm"]


def test_links_are_moved_but_not_those_in_code():
    text = "[a](x.md#b) ![c](d.svg)\n```\n[a](x.md)\n```\n[e](f.md)\n"
    moved = build_site.rewritten(text, lambda target: f"to/{target}")
    assert moved == "[a](to/x.md#b) ![c](to/d.svg)\n```\n[a](x.md)\n```\n[e](to/f.md)\n"


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="gone/">', "leads nowhere"),
        ('<a href="#gone">', "no such anchor"),
        ('<a href="other/#gone">', "no such anchor"),
        ('<img src="gone.svg">', "leads nowhere"),
        ('<script src="https://cdn.example/x.js">', "loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//fonts.example/x">', "loads //fonts.example/x"),
        ('<link rel="preconnect" href="https://fonts.example">', "loads https://fonts.example"),
    ],
)
def test_a_site_that_leads_nowhere_or_loads_elsewhere_is_refused(tmp_path, html, problem):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("<p id=here>")
    (tmp_path / "index.html").write_text(html)
    assert any(problem in found for found in build_site.check(tmp_path))


def test_styles_that_load_elsewhere_are_refused(tmp_path):
    (tmp_path / "a.css").write_text('@import "https://fonts.example/x"; p{background:url(b.svg)}')
    assert list(build_site.check(tmp_path)) == ["a.css: loads https://fonts.example/x"]


def test_a_site_of_its_own_is_no_problem(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<p id="here"><a href="..">up</a>')
    (tmp_path / "index.html").write_text(
        '<a href="other/#here"><a href="https://example.com"><a href="#__top"><a href="mailto:a@b">'
    )
    assert list(build_site.check(tmp_path)) == []


def test_a_page_that_the_site_reads_otherwise_than_github_is_named(tmp_path):
    docs, site = tmp_path / "docs", tmp_path / "site"
    for folder in (docs, site / "a", site / "b"):
        folder.mkdir(parents=True)
    for name in ("a", "b", "index"):
        (docs / f"{name}.md").write_text("- one\n- two\n")
    both = "<nav><li></nav><article><ul><li>one<li>two</ul></article>"
    (site / "a" / "index.html").write_text(both)
    (site / "index.html").write_text(both)
    (site / "b" / "index.html").write_text("<article><ul><li>one - two</ul></article>")
    (found,) = build_site.read_otherwise(site, docs)
    assert found.startswith("b.md: 1 <li> on the site, 2 on GitHub")


def test_the_navigation_names_every_page(root):
    """What is not in it can be found by a search alone. Decisions: scripts/build_site.py."""
    text = (root / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(path.relative_to(root / "docs")) for path in (root / "docs").rglob("*.md")}
    left = {page for page in pages if f": {page}\n" not in text}
    assert left == {page for page in pages if page.startswith("decisions/")}
