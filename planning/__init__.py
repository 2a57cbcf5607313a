"""What it takes to serve so many calls an hour: `make plan` answers from measured figures (docs/capacity.md).

errors          what stops a plan
service_times   what a recording costs each part
figures         measured figures, and what follows from them; planning/machines holds a file each
hosts           the cores that tasks share
simulation      calls through front-end pods and Triton pods
deployment      what the manifests give a pod
question        what is asked
sizing          how many pods it takes
prices          money a month
plan            the answer
text            the answer as plain text
page            the tables of docs/capacity.md
__main__        `make plan`
"""
