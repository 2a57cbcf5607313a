"""Figures of the whole service.

bare_loop     the same work without a service
preparation   CPU time of each stage
throughput    recordings/s
steadiness    latency, overload, memory, start
wire          bytes to Triton
"""
