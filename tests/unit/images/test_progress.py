"""What builders print, as events; what went wrong, in words that help."""

from __future__ import annotations

import base64
import json

import pytest

from mmectl.base.errors import BuildError
from mmectl.images import failures
from mmectl.images.docker_sdk import PushProgress
from mmectl.images.progress import Classic, Plain, RawJson

STEP = "[2/3] RUN make"


def read(reader, lines):
    events = []
    made = reader(events.append, lambda: 0.0)
    for line in lines:
        made.line(line)
    return made, [(event.kind, event.subject, event.text) for event in events]


def status(**parts) -> str:
    return json.dumps(parts)


class TestRawJson:
    def vertex(self, **more):
        return {"digest": "sha256:1", "name": STEP, "started": "2026-01-01T00:00:00.123456789Z"} | (
            more
        )

    def test_steps_layers_and_lines(self):
        data = base64.b64encode(b"compiling\n").decode()
        end = "2026-01-01T00:00:02.623456789Z"
        part = {"id": "sha256:aa", "vertex": "sha256:1", "current": 12, "total": 10}
        _, events = read(
            RawJson,
            [
                status(vertexes=[self.vertex()]),
                status(logs=[{"vertex": "sha256:1", "stream": 1, "data": data}]),
                status(statuses=[part]),
                status(vertexes=[self.vertex(completed=end)]),
                status(vertexes=[self.vertex(completed=end)]),
            ],
        )
        assert events == [
            ("start", STEP, ""),
            ("progress", STEP, "compiling"),
            ("progress", STEP, "sha256:aa"),
            ("done", STEP, "2.5 s"),
        ]

    def test_a_large_context_that_is_sent(self):
        """Its step is internal, and says nothing of itself; a small one is not told at all."""
        vertex = self.vertex(name="[internal] load build context")
        sent = {"id": "transferring context:", "vertex": "sha256:1"}
        end = "2026-01-01T00:00:02.623456789Z"
        for count, told in (
            (4_000, []),
            (
                25_400_000,
                [
                    ("progress", "context", "25.4 MB sent"),
                    ("done", "context", "25.4 MB sent, 2.5 s"),
                ],
            ),
        ):
            lines = [
                status(vertexes=[vertex]),
                status(statuses=[{**sent, "current": count}]),
                status(vertexes=[{**vertex, "completed": end}]),
            ]
            assert read(RawJson, lines)[1] == told

    def test_cached_and_internal_steps(self):
        done = self.vertex(completed="2026-01-01T00:00:00Z", cached=True)
        internal = {**done, "digest": "sha256:2", "name": "[internal] load .dockerignore"}
        _, events = read(RawJson, [status(vertexes=[done, internal])])
        assert events == [("start", STEP, ""), ("done", STEP, "cached")]

    def test_the_step_that_failed_and_its_last_lines(self):
        data = base64.b64encode(b"one\ntwo\n").decode()
        reader, _ = read(
            RawJson,
            [
                status(vertexes=[self.vertex()]),
                status(logs=[{"vertex": "sha256:1", "data": data}]),
                status(vertexes=[self.vertex(error="exit code: 2")]),
                "ERROR: failed to solve: process did not complete",
            ],
        )
        assert reader.failed_step == STEP
        assert reader.tail.splitlines() == [
            "one",
            "two",
            "exit code: 2",
            "ERROR: failed to solve: process did not complete",
        ]

    def test_lines_in_pieces_are_put_together(self):
        logs = [
            {"vertex": "sha256:1", "data": base64.b64encode(piece).decode()}
            for piece in (b"one\ncat: ", b"/x: No", b" such file\nend")
        ]
        failed = self.vertex(error="exit code: 1")
        objects = [{"vertexes": [self.vertex()]}, *({"logs": [log]} for log in logs)]
        objects.append({"vertexes": [failed]})
        reader, _ = read(RawJson, [status(**parts) for parts in objects])
        lines = ["one", "cat: /x: No such file", "end", "exit code: 1"]
        assert reader.tail.splitlines() == lines

    def test_objects_over_many_lines(self):
        done = self.vertex(completed="2026-01-01T00:00:01Z", inputs=["x"])
        text = json.dumps({"vertexes": [done]}, indent=2)
        reader, events = read(RawJson, [*text.splitlines(), "ERROR: x", *text.splitlines()])
        assert events == [("start", STEP, ""), ("done", STEP, "0.9 s")]
        assert reader.tail == "ERROR: x"

    @pytest.mark.parametrize("line", ["", "[]", "3", "null", '{"vertexes": null}', "{"])
    def test_odd_lines_do_no_harm(self, line):
        assert read(RawJson, [line])[1] == []


def test_plain_lines_of_buildkit():
    reader, events = read(
        Plain,
        [
            "#1 [internal] load build definition from Dockerfile",
            "#1 DONE 0.0s",
            f"#5 {STEP}",
            "#5 0.345 compiling",
            "#5 DONE 1.2s",
            "#6 [3/3] COPY a /",
            "#6 CACHED",
            "#7 [4/3] RUN false",
            "#7 0.1 no",
            "#7 ERROR: process did not complete: exit code: 1",
            "------",
        ],
    )
    assert events == [
        ("start", STEP, ""),
        ("progress", STEP, "compiling"),
        ("done", STEP, "1.2 s"),
        ("start", "[3/3] COPY a /", ""),
        ("done", "[3/3] COPY a /", "cached"),
        ("start", "[4/3] RUN false", ""),
        ("progress", "[4/3] RUN false", "no"),
    ]
    assert reader.failed_step == "[4/3] RUN false"
    assert reader.tail.startswith("no\nERROR: process")


def test_the_classic_builder_and_buildah():
    reader, events = read(
        Classic,
        ["Step 1/2 : FROM scratch", " ---> Using cache", "STEP 2/2: COPY a /", "--> 12ab", "x"],
    )
    reader.end()
    assert [event[:2] for event in events if event[0] != "progress"] == [
        ("start", "Step 1/2 FROM scratch"),
        ("done", "Step 1/2 FROM scratch"),
        ("start", "STEP 2/2: COPY a /"),
    ]
    assert events[1][2] == "cached"


def test_long_instructions_are_shortened():
    _, events = read(Plain, [f"#1 [1/1] RUN a     && b{' c' * 100}"])
    assert events[0][1].startswith("[1/1] RUN a && b c")
    assert len(events[0][1]) == 100


def test_stages_of_buildah():
    _, events = read(Classic, ["[1/2] STEP 1/3: FROM a", "x", "[2/2] STEP 1/5: FROM b"])
    assert [event[1] for event in events if event[0] == "start"] == [
        "[1/2] STEP 1/3: FROM a",
        "[2/2] STEP 1/5: FROM b",
    ]


class TestPush:
    def items(self, *items):
        events = []
        progress = PushProgress("r/x:1", events.append)
        for item in items:
            progress.item(item)
        return progress, [(e.kind, e.subject, e.text, e.done, e.total) for e in events]

    def test_bytes_of_each_layer_and_the_digest(self):
        progress, events = self.items(
            {"status": "The push refers to repository [r/x]"},
            {"status": "Preparing", "progressDetail": {}, "id": "aa"},
            {"status": "Pushing", "progressDetail": {"current": 512, "total": 1000}, "id": "aa"},
            {"status": "Pushing", "progressDetail": {"current": 1536, "total": 1000}, "id": "aa"},
            {"status": "Pushed", "progressDetail": {}, "id": "aa"},
            {"status": "Layer already exists", "progressDetail": {}, "id": "bb"},
            {"progressDetail": {}, "aux": {"Tag": "1", "Digest": "sha256:9", "Size": 5}},
        )
        assert progress.digest == "sha256:9"
        assert events == [
            ("progress", "layer aa", "", 512, 1000),
            ("progress", "layer aa", "", 1000, 1000),
            ("done", "layer aa", "pushed", 1000, 1000),
            ("done", "layer bb", "is there already", 0, None),
        ]

    def test_an_error_in_the_stream_is_an_error(self):
        with pytest.raises(BuildError) as caught:
            self.items(
                {
                    "errorDetail": {"message": "denied: User: x is not authorized"},
                    "error": "denied: ...",
                }
            )
        assert "was not pushed: denied: User: x is not authorized" in caught.value.message
        assert "ecr:PutImage" in caught.value.hint

    def test_a_stream_that_ends_early_pushed_nothing(self):
        progress, _ = self.items({"status": "Preparing", "id": "aa"})
        with pytest.raises(BuildError, match="ended early"):
            _ = progress.digest


@pytest.mark.parametrize(
    ("said", "step", "code", "text"),
    [
        ("write /x: no space left on device", "[2/2] RUN x", "no_space", "no space left"),
        (
            "failed to solve: deb:12: failed to resolve source metadata for docker.io/deb:12",
            "[internal] load metadata for docker.io/deb:12",
            "base_image",
            "deb:12",
        ),
        ("pull access denied for nobody, repository does not exist", None, "base_image", "nobody"),
        (
            "Error: creating build container: initializing source docker://h:9/x:1: pinging",
            "STEP 1/2: FROM h:9/x:1",
            "base_image",
            "(h:9/x:1)",
        ),
        (
            "exec /bin/sh: exec format error",
            "[2/2] RUN x",
            "image_architecture",
            "another architecture",
        ),
        ("cat: no: No such file", "[2/2] RUN cat no", "dockerfile", "step [2/2] RUN cat no\ncat:"),
        ("dockerfile parse error line 3: unknown instruction", None, "dockerfile", "line 3"),
    ],
)
def test_failures_of_a_build(said, step, code, text):
    error = failures.of_build(said, step=step, base_image=None)
    assert error.code == code
    assert text in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Permission denied", "no_permission"),
        ("PermissionError(13, 'x')", "no_permission"),
        ("No such file or directory", "no_engine"),
        ("Connection refused", "no_engine"),
    ],
)
def test_failures_of_an_engine(said, code):
    assert failures.of_engine(said, "unix:///x").code == code


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("no basic auth credentials", "ecr:PutImage"),
        ("denied: Your authorization token has expired. Reauthenticate", "new token"),
        ("dial tcp: lookup x: no such host", "network"),
        ("something", "layers that are there stay"),
        ("no space left on device", "docker system df"),
    ],
)
def test_failures_of_a_push(said, hint):
    assert hint in failures.of_push(said, "r/x:1").hint


def test_plain_tells_of_a_large_context_that_is_sent():
    lines = [
        "#4 [internal] load build context",
        "#4 transferring context: 5.05kB",
        "#4 transferring context: 120.50MB 5.0s",
        "#4 transferring context: 214.10MB 9.1s done",
        "#4 DONE 9.3s",
    ]
    assert read(Plain, lines)[1] == [
        ("progress", "context", "120.5 MB sent"),
        ("progress", "context", "214.1 MB sent"),
        ("done", "context", "214.1 MB sent, 9.3 s"),
    ]
