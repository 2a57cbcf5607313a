"""Manifests (kustomize), `deploy/`, which brings them to a cluster, and `validate/`, which judges them without one."""
