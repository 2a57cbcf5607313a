"""What `make -C k8s COMPONENTS="..."` may put together, and no overlay has: rendered as it does, in a temporary folder.

Each component alone and each pair, on top of overlays/azure. Patches that fit alone may undo one another.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from k8s.tools.deploy.components import parts
from k8s.tools.validate.objects import Bundle, render_folder

OVERLAY = "overlays/azure"  # the only one that takes components
_PLAIN = {"apiVersion", "kind", "resources", "components"}

Combination = tuple[str, ...]  # names of components


def combinations(root: Path) -> list[Combination]:
    """Return all that are to be judged beside the overlays: without what overlays/azure has itself, which is the way in
    that components/nginx replaces.
    """
    own = components_of(root / OVERLAY)
    free = sorted({path.parent.name for path in root.glob("components/*/kustomization.yaml")} - own)
    written = {frozenset(components_of(folder)) for folder in root.glob("overlays/*") if _is_plain(folder)}
    chosen = [*((name,) for name in free), *itertools.combinations(free, 2)]
    return [names for names in chosen if frozenset(names) not in written]


def render_combination(kubectl: str, root: Path, names: Combination) -> Bundle:
    """Render overlays/azure with components. Raises: RenderError."""
    with tempfile.TemporaryDirectory(prefix="tosia-") as temporary:
        folder = Path(temporary).resolve()  # kustomize takes relative paths only, and resolves links
        places = [root.resolve() / OVERLAY, *(root.resolve() / "components" / part for part in parts(root, names))]
        overlay, *components = (os.path.relpath(place, folder) for place in places)
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [overlay],
            "components": components,
        }
        (folder / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        return render_folder(kubectl, folder, title(names))


def title(names: Combination) -> str:
    """Return how findings call a combination."""
    return f"{OVERLAY} with {', '.join(names)}"


def components_of(overlay: Path) -> set[str]:
    """Return the components of components/ that an overlay names."""
    named = (Path(part) for part in _kustomization(overlay).get("components", []))
    return {part.name for part in named if part.parent.name == "components"}


def _is_plain(overlay: Path) -> bool:
    """Whether an overlay is overlays/azure with components and nothing else."""
    kustomization = _kustomization(overlay)
    return kustomization.keys() == _PLAIN and kustomization["resources"] == [f"../{Path(OVERLAY).name}"]


def _kustomization(folder: Path) -> dict[str, Any]:
    file = folder / "kustomization.yaml"
    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    return dict(found or {})
