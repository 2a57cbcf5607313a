"""`make manifests`: render every folder of k8s/ that is applied, and check it. It prints a line for each finding.

Exits 0; 1 where there are findings; 2 where the check can't run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from k8s.tools.validate import (
    admission,
    agreement,
    candidates,
    combinations,
    files,
    gateways,
    gpus,
    intake,
    placement,
    references,
    rollouts,
    rules,
    safety,
    schemas,
    series,
    serving,
    traces,
    values,
)
from k8s.tools.validate.objects import Bundle, RenderError, folders, render

CHECKOUT = Path(__file__).resolve().parents[3]
MANIFESTS = CHECKOUT / "k8s" / "manifests"


CHECKS: tuple[Callable[[Sequence[Bundle]], Iterator[str]], ...] = (
    schemas.names,
    schemas.built_in,
    values.values,
    admission.admission,
    references.selectors,
    references.ports,
    references.references,
    gpus.gpus,
    placement.placement,
    rollouts.rollouts,
    safety.images,
    safety.secrets,
    safety.telemetry,
    safety.resources,
    safety.security,
    safety.disruption,
    safety.network,
    series.metrics,
    agreement.nodes,
    agreement.addresses,
    agreement.triton,
    agreement.scaled_to_zero,
    series.monitoring,
    serving.reach,
    serving.front_end,
    serving.triton,
    serving.scaling,
    serving.way_in,
    gateways.gateways,
    candidates.candidates,
    traces.traces,
    intake.intake,
)


def findings(bundles: Sequence[Bundle], definitions: Path | None) -> Iterator[str]:
    """Run all checks. definitions: the folder with definitions of custom kinds; None: custom kinds are not checked."""
    checks: list[tuple[str, Callable[[], Iterator[str]]]] = [(item.__name__, partial(item, bundles)) for item in CHECKS]
    if definitions is not None:
        checks.insert(2, ("karpenter", partial(schemas.karpenter, bundles, definitions)))
        checks.insert(2, ("custom", lambda: schemas.custom(bundles, schemas.read_definitions(definitions))))
    checks.append(("configuration", partial(agreement.configuration, bundles, CHECKOUT / "config.yml")))
    for name, check in checks:
        yield from judged(name, check)


def judged(name: str, check: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Yield a check's findings; an unreadable manifest is also a finding, and the schemas report its errors."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - a manifest may have any form
        yield (
            f"the check {name} could not read all of it ({type(error).__name__}: {error}): mend what is named "
            "above first"
        )


def _rendered(kubectl: str, root: Path) -> list[Bundle | str]:
    """Render the folders, the combinations of components, and candidates beside what serves; a finding instead of what
    can't be rendered.
    """
    beside = {folder for _, folder, _ in candidates.BESIDE.values()}  # judged with what they stand beside
    work: list[tuple[str, Callable[[], Bundle]]] = [
        (name, partial(render, kubectl, root, name)) for name in folders(root) if name not in beside
    ]
    work += [(name, partial(candidates.render_beside, kubectl, root, name)) for name in candidates.BESIDE]
    work += [
        (combinations.title(names), partial(combinations.render_combination, kubectl, root, names))
        for names in combinations.combinations(root)
    ]

    def one(name: str, make: Callable[[], Bundle]) -> Bundle | str:
        try:
            return make()
        except RenderError as error:
            return f"{name}: can't be rendered: {error}"

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda item: one(*item), work))


def _mount(bundles: Sequence[Bundle], text: str) -> None:
    """Mount the file as `make -C k8s apply FRONTEND_CONFIG=` does, in every folder with calls in Azure."""
    for bundle in bundles:
        for item in bundle.of("ConfigMap"):
            if item["metadata"]["name"].startswith("settings-") and bundle.name != "overlays/cpu":
                item["data"] = {"settings.yml": text}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m k8s.tools.validate", description="Judge k8s/ without a cluster.")
    parser.add_argument("--kubectl", default="kubectl", help="the program that renders (default: the one in PATH)")
    parser.add_argument("--crds", type=Path, default=None, help="folder with the definitions of custom kinds")
    parser.add_argument("--root", type=Path, default=MANIFESTS, help="the manifests (default: k8s/manifests/)")
    parser.add_argument("--settings", type=Path, default=None, help="judge this FRONTEND_CONFIG instead of ours")
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
    rendered = _rendered(kubectl, options.root)
    bundles = [item for item in rendered if isinstance(item, Bundle)]
    found = [item for item in rendered if isinstance(item, str)]
    if options.settings is not None:
        try:
            _mount(bundles, options.settings.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            print(f"manifests: {options.settings} can't be read ({error}): give a settings file.", file=sys.stderr)
            return 2
    found += judged("files", lambda: files.files(options.root, bundles))
    found += findings(bundles, definitions)
    found += judged("condition", lambda: files.condition(options.root))
    found += judged("roles", lambda: intake.roles(options.root))
    found += judged("retention", lambda: serving.retention(options.root, bundles))
    found += judged("rules", lambda: rules.rules(options.root))
    for line in dict.fromkeys(found):
        print(line)
    objects = sum(len(bundle.objects) for bundle in bundles)
    print(
        f"manifests: {len(bundles)} renderings, {objects} objects, Kubernetes {' and '.join(schemas.versions())}: "
        f"{len(dict.fromkeys(found)) or 'nothing'} found.",
        file=sys.stderr,
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
