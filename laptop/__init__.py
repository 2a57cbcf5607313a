"""The whole system on one machine: `make run` (run.py) and `make demo` (demo.py).

Starts processes and speaks HTTP; of ours it imports only `local_triton`.
"""
