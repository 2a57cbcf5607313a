"""What a cluster would refuse, or accept and then not work: judged from the rendered manifests, without a cluster.

files.py        what kustomize passes over in silence
objects.py      what is rendered, and how to look into it
values.py       enumerations, ranges and names that no schema holds
schemas.py      Kubernetes' own kinds (strictly, two versions), custom kinds, Karpenter's labels
admission.py    what the API server refuses though it fits the schema
references.py   selectors, ports and names that must exist
safety.py       images, secrets, resources, security, disruption, network
rules.py        recording and alert rules, by promtool
serving.py      what is particular to us: who may reach whom, and how it must be set to hold
agreement.py    with config.yml, the front end's settings, the rules, the nodes
__main__.py     `make manifests`

Each check takes all folders (a Job of one folder may ask a Service of another) and yields findings, a line each.
"""
