"""Checks of the files: kustomize does not report a patch without a target, or a manifest in no kustomization; and of
what goes to Azure, not to Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from k8s.tools.deploy.release import FOLDER
from k8s.tools.validate.combinations import components_of
from k8s.tools.validate.objects import Bundle

NO_MANIFESTS = {"rules.test.yaml"}  # promtool's
CONDITION = "azure/triton-reads-releases.txt"  # of the role of Triton's identity
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_READS = f"""
((!(ActionMatches{{'{_BLOBS}/read'}} AND NOT SubOperationMatches{{'Blob.List'}}))
 OR (@Resource[{_BLOBS}:path] StringStartsWith '{FOLDER}/'))
AND
((!(ActionMatches{{'{_BLOBS}/read'}} AND SubOperationMatches{{'Blob.List'}}))
 OR (@Request[{_BLOBS}:prefix] StringStartsWith '{FOLDER}/'))
"""


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
    named_by_overlays = {name for folder in root.glob("overlays/*") for name in components_of(folder)}
    for file in sorted(root.glob("components/*/kustomization.yaml")):
        if file.parent.name not in named_by_overlays:
            place = file.parent.relative_to(root).as_posix()
            yield f"{place}: no overlay names it: write one, overlays/{file.parent.name}, so that it is tried alone"
    for file in sorted(root.rglob("*.yaml")):
        known = file.name in NO_MANIFESTS or file.name == "kustomization.yaml"
        if not known and file.resolve() not in named:
            yield f"{file.relative_to(root)}: no kustomization names it, so it is never applied"


def condition(root: Path) -> Iterator[str]:
    """Check that the condition is the known one, whole: a single OR more would give Triton all calls to read."""
    text = (root / CONDITION).read_text(encoding="utf-8")
    if _words(text) != _words(_READS):
        yield f"{CONDITION}: is not the condition that lets Triton read and list {FOLDER}/ alone"


def _words(text: str) -> list[str]:
    """Return names, texts and brackets, however they are spaced."""
    return re.findall(r"'[^']*'|[^\s()'!{}]+|[()!{}]|'", text)


def _meets(target: dict[str, str], kind: str, name: str) -> bool:
    return (
        re.fullmatch(target.get("kind", ".*"), kind) is not None
        and re.fullmatch(target.get("name", ".*"), name) is not None
    )
