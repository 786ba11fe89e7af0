"""Keys that people write for what multi-model endpoints or mmectl do not have, and why not.

Sources: SageMaker developer guide, serverless-endpoints (feature exclusions) and
multi-model-endpoints; the API's own model, where InvokeEndpointAsync and
InvokeEndpointWithResponseStream take no TargetModel.
"""

from __future__ import annotations

import re

# how a key begins, letters alone -> why there is no such key, and what to do
_REASONS = {
    ("serverless", "provisionedconcurrency"): (
        "SageMaker has no serverless multi-model endpoints; what serves is endpoint.instance_type, "
        "and autoscaling sets how many"
    ),
    ("async",): (
        "InvokeEndpointAsync takes no TargetModel, so it reaches no model of a multi-model "
        "endpoint; ask with: mmectl invoke"
    ),
    ("stream", "responsestream"): (
        "InvokeEndpointWithResponseStream takes no TargetModel, so it reaches no model of a "
        "multi-model endpoint; ask with: mmectl invoke"
    ),
    ("managedinstancescaling", "managedscaling"): (
        "SageMaker has it for inference components only; write autoscaling with min, max and target"
    ),
    ("modeldatasource", "uncompressed"): (
        "SageMaker takes no ModelDataSource with Mode MultiModel; models are tarballs below "
        "bucket.prefix, packed by: mmectl upload"
    ),
    ("inferencecomponent",): (
        "an inference component keeps memory for one model; mmectl makes multi-model endpoints, "
        "whose models share it"
    ),
    ("containers", "pipeline", "inferencepipeline", "serialpipeline"): (
        "mmectl makes models of one container; what comes before and after a model belongs into "
        "image.handler"
    ),
    ("shadow",): (
        "AWS does not say that multi-model endpoints have shadow variants; compare two endpoints "
        "with: mmectl bench compare"
    ),
    ("acceleratortype", "elasticinference"): (
        "AWS has ended Elastic Inference; a GPU is an endpoint.instance_type with Triton in "
        "image.uri"
    ),
    ("routing",): (
        "SageMaker sends a model's requests to the instances that hold it; AWS does not say what a "
        "RoutingConfig does to that"
    ),
}
WHY = {word: reason for words, reason in _REASONS.items() for word in words}


def why_not(key: str) -> str | None:
    """Why there is no such key, such as ``serverless_config``; None where it is only unknown."""
    letters = re.sub(r"[^a-z]", "", key.lower())
    return next((reason for word, reason in WHY.items() if letters.startswith(word)), None)
