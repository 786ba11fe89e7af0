"""The container's modules stand beside each other, as in the image; MXNet is not needed."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

CONTAINER = Path(__file__).resolve().parents[3] / "container"
sys.path.insert(0, str(CONTAINER))

# What server_config reads of SageMaker Inference Toolkit, which only the serving
# environment has; tests/platform/test_container.py runs it with the real one.
parameters: Any = types.ModuleType("sagemaker_inference.parameters")
parameters.BIND_TO_PORT_ENV = "SAGEMAKER_BIND_TO_PORT"
parameters.MODEL_SERVER_WORKERS_ENV = "SAGEMAKER_MODEL_SERVER_WORKERS"
parameters.MODEL_SERVER_TIMEOUT_ENV = "SAGEMAKER_MODEL_SERVER_TIMEOUT"
parameters.MODEL_SERVER_TIMEOUT_SECONDS_ENV = "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS"
parameters.MODEL_SERVER_VMARGS = "SAGEMAKER_MODEL_SERVER_VMARGS"
parameters.MAX_REQUEST_SIZE = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
toolkit: Any = types.ModuleType("sagemaker_inference")
toolkit.parameters = parameters
sys.modules.setdefault("sagemaker_inference", toolkit)
sys.modules.setdefault("sagemaker_inference.parameters", parameters)
