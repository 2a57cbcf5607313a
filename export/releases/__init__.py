"""Releases on disk. Needs no torch.

release      a release's files and manifest
swap         put one folder in another's place at once
repository   all releases, and the selected one
publish      upload and fetch releases
"""
