"""`make test-cluster`: the verbs of `make -C k8s` against a real API server, and what it then says.

assertions   what must be true of the server's answers
server       kubectl, the verbs, and nodes where the server has none
cases        what is tried
__main__     the run, and its exit code
"""
