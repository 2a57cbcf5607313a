"""Load for the REST benchmarks.

audio       the recordings that are sent
generator   runs generator.c, the load generator
served      services under load: ours and the baselines
"""
