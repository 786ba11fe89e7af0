"""Every code has one entry, every entry is complete, and what it tells to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typed_commands import unknown

from mmectl.base import codes, packaged
from mmectl.base.errors import UsageError
from mmectl.console import entries

FOLDER = packaged.troubleshooting()
OTHERS = "aws-messages"  # the page whose entries are called as AWS says it
ENTRIES = entries.read(FOLDER)
BLOCK = re.compile(r"```(\w+)\n(.*?)\n```", re.DOTALL)


def headings(page: str) -> list[str]:
    lines = (FOLDER / f"{page}.md").read_text().splitlines()
    return [line[3:] for line in lines if line.startswith("## ")]


def test_a_page_has_the_entries_of_its_codes_in_their_order():
    for page, listed in codes.PAGES.items():
        assert headings(page) == list(listed)


def test_there_are_no_other_pages_and_no_heading_stands_twice():
    assert {path.stem for path in FOLDER.glob("*.md")} == {*codes.PAGES, OTHERS}
    found = [heading for path in FOLDER.glob("*.md") for heading in headings(path.stem)]
    assert len(found) == len(set(found)) == len(ENTRIES)


def test_an_entry_has_its_title_the_message_as_it_is_seen_and_a_way_out():
    for code, title in codes.TITLES.items():
        text = ENTRIES[code]
        assert text.startswith(f"**{title}.**\n"), code
        assert re.search(r"```text\n(error|warn|fail|interrupted): \S", text), code
        prose = BLOCK.sub("", text).partition("\n")[2].split()
        assert "```sh\n" in text or len(prose) >= 12, code


def test_an_entry_of_aws_says_where_it_is_seen_and_with_which_code():
    for heading in headings(OTHERS):
        seen = re.search(r"^Seen as: (.*?)\.\n\n", ENTRIES[heading], re.DOTALL | re.MULTILINE)
        assert seen is not None, heading
        _, told, listed = re.sub(r"\s+", " ", seen[1]).partition("; code ")
        named = re.split(r", | or ", listed) if told else []
        assert all(code in codes.TITLES for code in named), heading


def test_lines_fit_a_terminal():
    for path in FOLDER.glob("*.md"):
        assert [line for line in path.read_text().splitlines() if len(line) > 80] == []
    for text in ENTRIES.values():
        assert [line for line in entries.plain(text).splitlines() if len(line) > 82] == []


def typed() -> list[str]:
    """The commands of mmectl that entries tell to type."""
    blocks = (text for entry in ENTRIES.values() for kind, text in BLOCK.findall(entry))
    lines = {line for block in blocks for line in block.splitlines()}
    parts = {part.strip() for line in lines for part in re.split(r"&&|(?<=\s)[#>](?=\s)", line)}
    return sorted(part for part in parts if part.startswith("mmectl "))


def test_what_is_to_be_typed_is_a_command_with_such_options():
    assert [(line, wrong) for line in typed() if (wrong := unknown(line))] == []


def test_what_is_no_command_or_option_is_found():
    assert unknown("mmectl dploy") == "dploy"
    assert unknown("mmectl deploy --agian") == "--agian"
    assert unknown("mmectl deploy --again") is None


def test_links_lead_to_entries():
    for page in FOLDER.glob("*.md"):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            name, _, anchor = target.partition("#")
            path = FOLDER / name
            assert path.is_file(), f"{page.name}: {target}"
            if anchor:
                assert anchor in [heading.lower() for heading in headings(path.stem)], target


def test_marks_are_gone_on_a_terminal_and_blocks_are_indented():
    text = "**A title.**\n\n```text\nerror: `x`\n```\n\nSee [the page](x.md#y) of `mmectl`.\n"
    assert entries.plain(text) == "A title.\n\n    error: `x`\n\nSee the page of mmectl."


@pytest.mark.parametrize(
    ("message", "first"),
    [
        (
            "The primary container for production variant blue did not pass the ping health check.",
            "did not pass the ping health check",
        ),
        ("Cannot create already existing model", "Cannot create already existing"),
        ("exec /usr/bin/java: exec format error", "exec format error"),
        ("Could not find model data at s3://mine/models/", "Could not find model data"),
        ("received server error (507) insufficient memory", "ModelError 507 Insufficient memory"),
    ],
)
def test_words_of_a_message_find_its_entry(message, first):
    assert entries.about(message, ENTRIES)[0] == first


def test_words_that_nothing_says_find_nothing():
    assert entries.about("the quick brown fox jumps over lazy dogs", ENTRIES) == []
    assert entries.about("", ENTRIES) == []


def test_a_package_without_pages_says_so(tmp_path: Path):
    with pytest.raises(UsageError, match="there are no pages"):
        entries.read(tmp_path)
