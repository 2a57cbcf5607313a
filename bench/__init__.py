"""How fast and how steady: `make bench` measures, prints a table, and writes build/bench.json and docs/performance.md.

rows.py          what a figure is, and which bar it is held to
machine.py       what it was measured on
audio.py         the recordings that are sent
generator.py     the load generator (open_loop.c): open and closed loop over HTTP on loopback
perf_analyzer.py NVIDIA's perf_analyzer against a Triton, local or remote
peers/           the same task behind what else one could pick
"""
