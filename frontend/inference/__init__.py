"""Audio to diagnosis.

admission       whether one more recording can be taken
fork_server     starts early the process that workers are forked from
preloaded       what that process imports
cage            what a worker may no longer do
wire            the messages between the front end and a worker
worker_tasks    what runs in a worker
worker          a worker process
processes       a pool of them, each with a socket of its own
worker_spans    spans of work that a worker has done
workers         the pools for decoding and for drawing
serving_model   which model Triton serves, and whether it fits
scoring         one Triton, then the conclusion
diagnoser       worker, then Triton, then the conclusion
"""
