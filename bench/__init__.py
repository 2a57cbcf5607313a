"""How fast and how steady: `make bench` measures, prints a table, and writes build/bench.json and docs/performance.md.

rows.py          what a figure is; bars.py: which bar it is held to; machine.py: what it was measured on
audio.py         the recordings that are sent
generator.py     the load generator (generator.c): open and closed loop over HTTP on loopback
served.py        our service and the peers, as processes
preparation.py   CPU of preparing against decoding alone, and of each stage
wire.py          bytes to Triton
throughput.py    REST against a bare loop (bare.py) and against the peers
steadiness.py    latency, overload, event loop, memory, start
perf_analyzer.py NVIDIA's perf_analyzer (perf_binary.py) with real spectrograms (input_data.py), local or remote
gpu*.py          `make bench-gpu`: the network on a GPU, bare and through Triton
peers/           the same task behind what else one could pick
page.py          docs/performance.md from the JSON; charts.py
"""
