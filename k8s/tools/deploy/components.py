"""Which components are rendered, and in which order: each may patch what those before it have brought."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_FIRST, _LAST = "intake", "fqdn-egress"  # what brings pods and rules, and what takes rules away


def parts(root: Path, names: Iterable[str]) -> list[str]:
    """Return the folders to render, relative to components/: those named, and `a/b` where `a` and `b` are both named.

    root: the manifests
    """
    ordered = sorted(set(names), key=lambda name: (name != _FIRST, name == _LAST, name))
    between = [f"{one}/{other}" for one in ordered for other in ordered]
    return [*ordered, *(part for part in between if (root / "components" / part / "kustomization.yaml").exists())]
