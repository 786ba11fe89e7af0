"""The convention of pages that are played (tests/docs)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import BadPage, inline, rewritten, sessions, steps, unplayed
from playing import Played
from typed_commands import unknown
from varying import agree, plain

ROOT = Path(__file__).resolve().parents[2]
# made from the code; and ways out of errors, whose names are the reader's (test_entries.py)
MADE = ("docs/commands.md", "docs/troubleshooting/", "docs/decisions/")
READ = [
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"))
    if not str(path.relative_to(ROOT)).startswith(MADE) and path.name != "CHANGELOG.md"
]

PAGE = """# A page
<!-- setup: touch a -->

```yaml title="sub/config.yaml"
a: 1
```

```yaml
only: shown
```

1. in a list

   ```console
   $ one \\
   > two
   said
   $ three
   ```

```console
$ cat <<END
> here
> END
```
"""


def test_a_page_is_a_session_from_top_to_bottom():
    done = steps(PAGE)
    assert [step.command for step in done if step.shown] == [
        "one \\\ntwo",
        "three",
        "cat <<END\nhere\nEND",
    ]
    assert [step.output for step in done if step.shown] == ["said\n", "", ""]
    hidden = [step.command for step in done if not step.shown]
    assert hidden[0] == "touch a"
    assert "sub/config.yaml" in hidden[1]
    assert "\na: 1\n" in hidden[1]
    assert len(hidden) == 2
    assert PAGE.splitlines()[done[2].line - 2].strip() == "$ one \\"


def test_the_same_command_twice_is_two_steps():
    done = steps("```console\n$ ask\n$ ask\n```\n\n```console\n$ ask\n```\n")
    assert len(set(done)) == 3


def test_what_was_printed_replaces_what_is_shown():
    one, three, cat = (step for step in steps(PAGE) if step.shown)
    text = rewritten(PAGE, {one: "other\n\nlines\n", three: "new\n", cat: "here\n"})
    assert "   > two\n   other\n\n   lines\n   $ three\n   new\n   ```\n" in text
    assert text.endswith("> END\nhere\n```\n")
    assert next(step.output for step in steps(text) if step.shown) == "other\n\nlines\n"


@pytest.mark.parametrize(
    ("page", "word"),
    [
        ("```console\nls\n```\n", "begins with a command"),
        ("```console\n```\n", "no command"),
        ("text\n\n    ```console\n    $ ls\n    ```\n", "indented"),
        ('```yaml title="../a"\n```\n```console\n$ ls\n```\n', "below"),
        ('```yaml title="/a"\n```\n```console\n$ ls\n```\n', "below"),
    ],
)
def test_a_page_that_does_not_keep_to_the_convention_is_refused(page, word):
    with pytest.raises(BadPage, match=word):
        steps(page)


def test_only_pages_with_a_console_are_played(tmp_path):
    (tmp_path / "a.md").write_text(PAGE)
    (tmp_path / "b.md").write_text("```sh\n$ ls\n```\n```consoles\n```\n")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.md").write_text("    ```console\n    $ ls\n    ```\n")  # refused, not lost
    assert [[path.name for path in pages] for pages in sessions(tmp_path)] == [["a.md"], ["d.md"]]


def test_pages_that_continue_another_are_played_after_it(tmp_path):
    for name, first in (
        ("a", "<!-- continues: z.md -->\n"),
        ("z", ""),
        ("b", "<!--continues: z.md-->"),
    ):
        (tmp_path / f"{name}.md").write_text(first + PAGE)
    assert [[path.name for path in pages] for pages in sessions(tmp_path)] == [
        ["z.md", "a.md", "b.md"]
    ]
    (tmp_path / "z.md").unlink()
    with pytest.raises(BadPage, match="begins no session"):
        sessions(tmp_path)


def test_commands_that_a_page_shows_are_played_or_say_why_not():
    assert len(READ) > 40
    left = {str(path.relative_to(ROOT)): unplayed(path.read_text()) for path in READ}
    assert {name: lines for name, lines in left.items() if lines} == {}


@pytest.mark.parametrize(
    "block",
    [
        "```sh\nmmectl status\n```",
        "```\nexport A=b\n  A=c B=d mmectl status --json   # words\n```",
        "```text\n$ mmectl invoke -m a b.csv\n```",
        "- one\n\n    ```yaml\n    - run: mmectl build\n    ```",
        "text\n\n    mmectl build\n",
        "<!-- not played: AWS -->\ntext\n```sh\nmmectl status\n```",
        '```text\n$ eval "$(mmectl local env)"\n```',
    ],
)
def test_a_block_with_a_command_that_is_not_played_is_found(block):
    assert len(unplayed(f"# A page\n\n{block}\n")) == 1


@pytest.mark.parametrize(
    "block",
    [
        "```console\n$ mmectl status\n```",
        '```sh title="ring.sh"\nmmectl status\n```',
        "```sh\npip install mmectl\n```",
        "```text\nnext:  mmectl deploy\n```",
        "<!-- not played: AWS -->\n\n```sh\nmmectl status\n```",
    ],
)
def test_what_is_played_or_says_why_not_or_is_no_command_is_in_order(block):
    assert unplayed(f"# A page\n\n{block}\n") == []


@pytest.mark.parametrize("path", READ, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_within_a_text_exist_with_their_options(path):
    found = {line: unknown(line) for line in inline(path.read_text())}
    assert {line: wrong for line, wrong in found.items() if wrong} == {}


def test_commands_within_a_text_are_found():
    text = "Type `mmectl dploy`, `mmectl`.\n\n| a |\n|---|\n| `mmectl scale 2 --now` |\n"
    assert {line: unknown(line) for line in inline(text)} == {
        "mmectl dploy": "dploy",
        "mmectl scale 2 --now": "--now",
    }


def test_a_reason_that_nobody_knows_is_refused():
    with pytest.raises(BadPage, match="laziness"):
        unplayed("<!-- not played: laziness -->\n```sh\nmmectl status\n```\n")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("built in 9.2 s", "built in 11 s"),
        ("a:1c12e0d7edb8", "a:ffffffffffff0"),
        ("i-025eab7d05c1c223e  InService  0 of 6228 MB", "i-08b3072a5ca283529 InService 0 of 9 GB"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:41234/"),
        ("[0.024138743057847023, 2.910266994149424e-05]", "[0.02413879, 2.910299e-05]"),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...\nd", "a\nd"),
        ("...\nd", "d"),
        ("A        B\na  1.2 kB  \n", "A B\na 3 B\n"),
        ('"CreationTime": 1796007246.233', '"CreationTime": 1796007299'),
        ("2026-01-02T03:04:05Z x", "2027-11-12 13:14:15 x"),
        ("A  9  1 ms  2 ms  3 ms  4 ms  1.06", "A  9  5 ms  6 ms  7 ms  8 ms  0.97"),
        ("autoscaling.target: 179   # of", "autoscaling.target: 96   # of"),
        (
            "2026-01-02 03:04:05  494 a/2026/01/02/03/07-1-b",
            "2026-01-03 03:04:05  49 a/2026/01/02/03/07-1-b",
        ),
        ("x/2026/11/30/07/32-11-551-a", "x/2027/01/02/03/04-05-678-a"),
        ("", "\n"),
        ("digest edfacbad", "digest 1dfacbad"),  # one in some thousand has no digit
    ],
)
def test_what_varies_is_no_difference(shown, printed):
    assert agree(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("uploaded", "unchanged"),
        ("0.9627", "0.9637"),
        ("[0.02413, 2.91e-05]", "[0.02413, 2.91e-04]"),
        ("account 123456789012", "account 123456789013"),
        ("a\n...\nd", "a\nb"),
        ("a", "a\nb"),
        ("2 instances", "3 instances"),
        ("arn:x:1 y", "arn:x:2 y"),
        ("", "error: x"),
        ("a.b", "axb"),
    ],
)
def test_what_does_not_vary_is_one(shown, printed):
    assert not agree(shown, printed)


def test_what_was_made_plain_stays_as_it_is():
    text = "a 1.2 s 2026-01-02 i-025eab7d05c1c223e 10 kB/s 0.123456 127.0.0.1:80"
    assert plain(plain(text)) == plain(text)


def test_a_report_names_the_line_and_both_sides(tmp_path):
    step, three, cat = (step for step in steps(PAGE) if step.shown)
    setup = steps(PAGE)[0]
    done = Played(tmp_path / "p.md", PAGE, {setup: "", step: "other", three: "", cat: ""})
    assert set(done.stale) == {step}
    assert "p.md:16: $ one" in done.report()
    assert "-said\n+other" in done.report()
    assert "-said" not in Played(tmp_path / "p.md", PAGE, {step: "said\n"}).report()


def test_what_is_not_shown_prints_nothing(tmp_path):
    setup = steps(PAGE)[0]
    done = Played(tmp_path / "p.md", PAGE, {setup: "cp: no such file\n"})
    assert "+cp: no such file" in done.report()
    assert done.renewed() == PAGE


def test_a_command_that_comes_twice_is_two_steps():
    once, again = steps("```console\n$ date\n$ date\n```\n")
    text = rewritten("```console\n$ date\n$ date\n```\n", {once: "1\n", again: "2\n"})
    assert text == "```console\n$ date\n1\n$ date\n2\n```\n"
