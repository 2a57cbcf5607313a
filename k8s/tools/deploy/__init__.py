"""From a shell's variables to a cluster, by kubectl.

Standard library only: whoever deploys needs no environment of ours.

release         the release's path in the container, and the configurations in it
environment     the variables, checked
components      their order, and what two of them need together
kubectl         the program
cluster         what the cluster remembers
kustomization   one deployment's values on top of an overlay
versions        what the manifests were written for
needs           what the cluster must have
deployments     Deployments, ReplicaSets and pods of one moment
history         states that were good
drift           fields that others have set
preflight       what is refused before anything is changed
unready         why a pod is not ready
rollout         waiting
rollback        going back
status          what is wanted, and what runs
candidate       another release beside the serving one
jobs            perf_analyzer, and a TensorRT plan
doctor          the cluster beside what it must have
teardown        everything deleted
__main__        the verbs
"""
