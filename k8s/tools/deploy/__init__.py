"""From a shell's variables to a cluster, by kubectl.

Standard library only: whoever deploys needs no environment of ours.

release         the release's path in the container
environment     the variables, checked
kubectl         the program
cluster         what the cluster remembers
kustomization   one deployment's values on top of an overlay
doctor          what the cluster must have
__main__        the verbs
"""
