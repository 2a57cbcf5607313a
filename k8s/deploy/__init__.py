"""From a shell's variables to a cluster, by kubectl. Standard library only: whoever deploys needs no environment of ours.

environment.py    the variables, checked
release.py        the release's path in the container
kustomization.py  one deployment's values on top of an overlay
kubectl.py        the program
cluster.py        what the cluster remembers
doctor.py         what the cluster must have
__main__.py       the verbs
"""
