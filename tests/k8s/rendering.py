"""The folders of k8s/ as they are rendered, once for each test process."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest

from k8s.tools.validate.candidates import BESIDE, render_beside
from k8s.tools.validate.combinations import Combination, combinations, render_combination
from k8s.tools.validate.objects import Bundle, folders, render
from laptop.service import CHECKOUT

MANIFESTS = CHECKOUT / "k8s" / "manifests"
CRDS = CHECKOUT.parent / "shared" / "crds"
TOOL = CHECKOUT / ".venv-kubectl" / "bin" / "kubectl"
FOLDERS = folders(MANIFESTS)
COMBINATIONS = combinations(MANIFESTS)


def kubectl() -> str:
    """`make test` brings one."""
    if not TOOL.exists():
        pytest.skip("kubectl is missing: make .venv-kubectl/bin/kubectl")
    return str(TOOL)


def definitions() -> Path:
    if not CRDS.is_dir():
        pytest.skip("the definitions of custom kinds (../shared/crds) are missing")
    return CRDS


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    return found


@functools.cache
def bundle(name: str) -> Bundle:
    return render(kubectl(), MANIFESTS, name)


@functools.cache
def combined(names: Combination) -> Bundle:
    return render_combination(kubectl(), MANIFESTS, names)


@functools.cache
def beside(name: str) -> Bundle:
    return render_beside(kubectl(), MANIFESTS, name)


def bundles() -> list[Bundle]:
    """All that `make manifests` judges."""
    alone = [name for name in FOLDERS if name not in {folder for _, folder, _ in BESIDE.values()}]
    return [
        *(bundle(name) for name in alone),
        *(combined(names) for names in COMBINATIONS),
        *(beside(name) for name in BESIDE),
    ]


def one(folder: str, kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = [
        document
        for document in bundle(folder).of(kind)
        if name is None or document["metadata"]["name"] == name or document["metadata"]["name"].startswith(f"{name}-")
    ]
    return found
