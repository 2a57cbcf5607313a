"""`make manifests`: render every folder of k8s/ that somebody applies, and judge it. A line for each finding.

Exits 0; 1 where something was found; 2 where it can't be judged.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from k8s.validate import admission, agreement, files, references, safety, schemas
from k8s.validate.objects import Bundle, RenderError, folders, render

K8S = Path(__file__).resolve().parents[1]


def findings(bundles: Sequence[Bundle], definitions: Path | None) -> Iterator[str]:
    """definitions: the folder with those of custom kinds; None: custom kinds are not held against any."""
    yield from schemas.names(bundles)
    yield from schemas.built_in(bundles)
    if definitions is not None:
        yield from schemas.custom(bundles, schemas.read_definitions(definitions))
        yield from schemas.karpenter(bundles, definitions)
    for check in (
        admission.admission,
        references.selectors,
        references.ports,
        references.references,
        safety.images,
        safety.secrets,
        safety.resources,
        safety.security,
        safety.disruption,
        safety.network,
        agreement.metrics,
        agreement.nodes,
        agreement.addresses,
        agreement.triton,
        agreement.scaled_to_zero,
        agreement.monitoring,
    ):
        yield from check(bundles)
    yield from agreement.configuration(bundles, K8S.parent / "config.yml")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m k8s.validate", description="Judge k8s/ without a cluster.")
    parser.add_argument("--kubectl", default="kubectl", help="the program that renders (default: the one in PATH)")
    parser.add_argument("--crds", type=Path, default=None, help="folder with the definitions of custom kinds")
    parser.add_argument("--root", type=Path, default=K8S, help="the manifests (default: k8s/)")
    options = parser.parse_args(arguments)
    kubectl = shutil.which(options.kubectl)
    if kubectl is None:
        print(f"manifests: {options.kubectl} is missing: `make manifests` brings one.", file=sys.stderr)
        return 2
    definitions: Path | None = options.crds
    if definitions is None or not any(definitions.glob("*.yaml")):
        if os.environ.get("CI") == "true":
            print("manifests: the definitions of custom kinds are missing: give --crds.", file=sys.stderr)
            return 2
        print("manifests: without definitions (CRDS=) custom kinds are not held against any.", file=sys.stderr)
        definitions = None
    bundles, found = [], []
    for name in folders(options.root):
        try:
            bundles.append(render(kubectl, options.root, name))
        except RenderError as error:
            found.append(f"{name}: can't be rendered: {error}")
    found += [*files.files(options.root, bundles), *findings(bundles, definitions)]
    for line in dict.fromkeys(found):
        print(line)
    objects = sum(len(bundle.objects) for bundle in bundles)
    print(
        f"manifests: {len(bundles)} folders, {objects} objects, Kubernetes {' and '.join(schemas.versions())}: "
        f"{len(dict.fromkeys(found)) or 'nothing'} found.",
        file=sys.stderr,
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
