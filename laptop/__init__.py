"""The whole system on one machine: `make run`, `make demo`.

api_key    the API key of this machine
candidate  another release, for a second Triton
service    Triton and the front end, started and stopped together
keeper     starts Triton again where it must be
run        `make run`
demo       `make demo`
__main__   which of the two
errors     what keeps the system from running here

Starts processes and speaks HTTP; of ours it imports only `local_triton`.
"""
