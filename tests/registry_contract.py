"""What every ECR does that `images/ecr.py` asks: the fake one, and moto's behind the platform.

`tests/contract/test_fake_registry.py` holds the fake to it, `tests/platform/test_real_services.py`
the embedded platform's, which is moto's. (No real ECR can be had without an account.)
"""

from __future__ import annotations

import json

import pytest
from fakes.registry import manifest

from mmectl.base.errors import BuildError
from mmectl.images import manifests
from mmectl.images.ecr import Ecr
from mmectl.images.values import Manifest, RepositoryPolicy

POLICY = RepositoryPolicy()


def made(config: str = "sha256:" + "0" * 64) -> Manifest:
    """A manifest of layers that nobody looks for."""
    text = manifest(config=config).replace('"sha256:l"', json.dumps("sha256:" + "1" * 64))
    return manifests.read(text, manifests.DOCKER)


class RegistryContract:
    """Cases for a fixture `ecr`, whose repository is not there."""

    def test_a_repository_is_made_once(self, ecr: Ecr) -> None:
        assert ecr.ensure(POLICY)
        assert not ecr.ensure(POLICY)

    def test_a_repository_is_encrypted_with_the_key_it_was_made_with(self, ecr: Ecr) -> None:
        assert ecr.ensure(RepositoryPolicy(kms_key="alias/images"))
        assert not ecr.ensure(RepositoryPolicy(kms_key="alias/images"))
        assert not ecr.ensure(POLICY)

    def test_a_key_comes_too_late_for_a_repository_that_exists(self, ecr: Ecr) -> None:
        assert ecr.ensure(POLICY)
        with pytest.raises(BuildError, match="exists and is encrypted with AES256") as caught:
            ecr.ensure(RepositoryPolicy(kms_key="alias/images"))
        assert caught.value.code == "repository_key"

    def test_of_no_repository_nothing_is_told(self, ecr: Ecr) -> None:
        assert ecr.find(tag="1") is None
        assert ecr.tags("") == []

    def test_what_is_not_there_is_none(self, ecr: Ecr) -> None:
        ecr.ensure(POLICY)
        assert ecr.find(tag="1") is None
        assert ecr.find(digest="sha256:" + "2" * 64) is None
        assert ecr.tags("") == []

    def test_an_image_is_found_by_tag_and_digest(self, ecr: Ecr) -> None:
        ecr.ensure(POLICY)
        digest = ecr.put(made(), "1")
        assert digest == made().digest
        for found in (ecr.find(tag="1"), ecr.find(digest=digest)):
            assert (found.text, found.media_type) == (made().text, manifests.DOCKER)
            assert found.digest == digest

    def test_an_image_has_many_tags_and_each_is_listed(self, ecr: Ecr) -> None:
        ecr.ensure(POLICY)
        for tag in ("in-use.a", "in-use.b", "1"):
            assert ecr.put(made(), tag) == made().digest
        assert ecr.put(made(), "1") == made().digest
        assert sorted(ecr.tags("")) == ["1", "in-use.a", "in-use.b"]
        assert sorted(ecr.tags("in-use.")) == ["in-use.a", "in-use.b"]

    def test_a_tag_moves_to_the_last_image(self, ecr: Ecr) -> None:
        ecr.ensure(POLICY)
        ecr.put(made(), "1")
        other = ecr.put(made("sha256:" + "3" * 64), "1")
        assert ecr.find(tag="1").digest == other
        assert ecr.tags("") == ["1"]

    def test_a_tag_is_removed_and_the_image_keeps_the_others(self, ecr: Ecr) -> None:
        ecr.ensure(POLICY)
        ecr.put(made(), "1")
        ecr.put(made(), "2")
        ecr.untag("1")
        ecr.untag("nobody")
        assert (ecr.tags(""), ecr.find(tag="1")) == (["2"], None)
        assert ecr.find(tag="2") is not None

    def test_an_image_goes_with_its_last_tag(self, ecr: Ecr) -> None:
        ecr.ensure(POLICY)
        ecr.put(made(), "1")
        ecr.untag("1")
        assert ecr.find(digest=made().digest) is None

    def test_a_token_is_of_awss_user(self, ecr: Ecr) -> None:
        login = ecr.login()
        assert login.username == "AWS"
        assert login.password
