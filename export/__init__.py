"""From a checkpoint, or a model that was made elsewhere, to a release that Triton loads.

__main__        `make export`
sources         where the network comes from
own             what a model made elsewhere must be
candidate       the checkpoint that is to be exported
formats         the network as ONNX or as a TensorRT plan
triton_config   config.pbtxt
parity          how far two sets of scores differ
gate            whether all ways of running it agree
releases        releases on disk: write, select, publish
plan            a plan that was built on a GPU node becomes a release
manage          `make releases`, `rollback`, `verify`, `publish`
command         exit codes
errors          why there is no release
"""

import runtime.no_telemetry  # noqa: F401 - before anything imports ONNX Runtime
