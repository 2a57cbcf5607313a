"""What renders, judges and deploys the manifests.

dashboard      writes the Grafana dashboard
validate       judges the manifests without a cluster
deploy         brings them to a cluster
cluster_test   tries that on a real API server
"""
