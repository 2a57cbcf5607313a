"""AKS: `manifests/` (kustomize), `azure/` (policies), and `tools/`, which render, judge and deploy them.

tools   what runs
"""
