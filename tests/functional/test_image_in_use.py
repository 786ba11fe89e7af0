"""The image that a deploy serves keeps its tag, whatever a gc removes meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

from fakes.cli import call, world
from fakes.registry import EcrClient, manifest, translated

from mmectl.images import in_use
from mmectl.images.ecr import Ecr

__all__ = ["call", "world"]
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/models"


def test_a_tag_that_a_gc_removed_before_the_endpoint_was_there_is_made_again(call, world):
    client = EcrClient()
    client.repositories["models"] = {}
    digest = client.add(manifest(config="sha256:1"), "kind", "tag")
    world.image = SimpleNamespace(
        reference=f"{REPOSITORY}@{digest}",
        kept_in=Ecr(client, translated, "models"),
        serves=lambda _: None,
    )
    made = world.sagemaker.create_endpoint
    before = []

    def create(request):
        before.append(in_use.tag_of("demo", digest) in client.tags)
        for tag in [one for one in client.tags if one.startswith("in-use.")]:
            del client.tags[tag]  # as of an endpoint that is not there
        made(request)

    world.sagemaker.create_endpoint = create
    code, _, err = call("deploy")
    assert code == 0, err
    assert before == [True]
    assert client.tags[in_use.tag_of("demo", digest)] == digest
