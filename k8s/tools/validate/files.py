"""Checks of the files: kustomize does not report a patch without a target, or a manifest in no kustomization."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from k8s.tools.validate.objects import Bundle

NO_MANIFESTS = {"rules.test.yaml"}  # promtool's


def files(root: Path, bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that every patch has a target, and that every manifest is part of a kustomization."""
    there = {(item["kind"], item["metadata"]["name"]) for bundle in bundles for item in bundle.objects}
    named: set[Path] = set()
    for file in sorted(root.rglob("kustomization.yaml")):
        place = file.parent.relative_to(root).as_posix()
        kustomization: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        for patch in kustomization.get("patches", []):
            target = patch.get("target")
            if target is not None and not any(_meets(target, kind, name) for kind, name in there):
                yield (
                    f"{place}: a patch is for {target.get('kind')}/{target.get('name')}, which is nowhere: it "
                    "changes nothing"
                )
        parts = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        parts += [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
        named |= {(file.parent / part).resolve() for part in parts}
    for file in sorted(root.rglob("*.yaml")):
        known = file.name in NO_MANIFESTS or file.name == "kustomization.yaml"
        if not known and file.resolve() not in named:
            yield f"{file.relative_to(root)}: no kustomization names it, so it is never applied"


def _meets(target: dict[str, str], kind: str, name: str) -> bool:
    return (
        re.fullmatch(target.get("kind", ".*"), kind) is not None
        and re.fullmatch(target.get("name", ".*"), name) is not None
    )
