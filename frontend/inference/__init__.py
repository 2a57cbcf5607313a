"""Audio to diagnosis.

admission       whether one more recording can be taken
fork_server     starts early the process that workers are forked from
preloaded       what that process imports
worker_tasks    what runs in a worker, and the parameters that it keeps
workers         the pool of worker processes
serving_model   which model Triton serves, and whether it fits
diagnoser       worker, then Triton, then the conclusion
"""
