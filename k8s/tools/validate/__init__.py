"""What a cluster would refuse, or accept and then not work: judged from the rendered manifests, without a cluster.

files         what kustomize ignores silently
objects       what is rendered, and how to look into it
combinations  overlays/azure with each component and each pair of them
candidates    a candidate beside the serving Triton, and that the two are kept apart
values        enumerations, ranges and names that no schema holds
schemas       Kubernetes' own kinds (strictly, two versions), custom kinds, Karpenter's labels
admission     what the API server refuses although it fits the schema
references    selectors, ports and names that must exist
gpus          GPU types and their drivers, whole GPUs, node images, streaming
placement     on-demand before spot, zones, room for a rollout, lost nodes
rollouts      states that are kept, deadlines, as `make -C k8s` expects them
safety        images, secrets, resources, security, disruption, network
rules         recording and alert rules, by promtool
serving       what is particular to us: who may reach whom, and how it must be set to hold
probes        containers that run Triton: their start and what their probes ask
tuned         how the front end would be set: its mounted file, its variables, its arguments
agreement     with config.yml, the front end's settings, the nodes
series        what rules, dashboard and scalers ask Prometheus for
gateways      the way in by Gateway API
intake        what takes recordings from a queue, and the way to receivers
traces        spans of front end and Triton, and their way to a collector
__main__      `make manifests`

Each check takes all folders (a Job of one folder may ask a Service of another) and yields findings, a line each.
"""
