"""How MXNet is told to compute, by variables of its environment."""

from __future__ import annotations

SETTINGS = {
    # fusing operators keeps a second copy of the weights (ResNet-152: 620 MB against
    # 380) and makes the first forward 0.7 s longer, to be 3 to 7 % faster afterwards; and the graph
    # that is bound is ours as it is
    "MXNET_SUBGRAPH_BACKEND": "NONE",
    # a worker computes one request at a time: computing in the thread that asks leaves a process
    # that can be forked, and has the shapes that only a pass tells; other threads only cost
    "MXNET_ENGINE_TYPE": "NaiveEngine",
}
