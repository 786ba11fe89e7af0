"""The convention of pages that are played (tests/docs)."""

from __future__ import annotations

import pytest
from pages import BadPage, rewritten, sessions, steps
from playing import Played
from varying import agree, plain

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
        ("", "\n"),
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
