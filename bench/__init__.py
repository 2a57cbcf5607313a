"""How fast and how steady: `make bench` measures, prints a table, and writes build/bench.json and docs/performance.md.

__main__    `make bench`
load        the load generator, and services under load
rest        figures of the whole service
stores      figures of the stores
triton      perf_analyzer against Triton
gpu         what a GPU makes of the network
against     another commit beside this checkout
drift       recordings over lines, and which drift they show
plan        the figures that `make plan` starts from, and how near its simulation comes
baselines   the same task behind what else one could pick
report      figures, targets, charts
traces      what spans cost a recording
rollout     what a shadow costs callers
decoding    CPU of decoding here against another checkout, and decisions
page        docs/performance.md
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as runtime/no_telemetry.py, which is not imported on a bare machine
