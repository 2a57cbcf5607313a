"""The metrics are those of docs/metrics.md, each with its kind and its labels."""

from __future__ import annotations

import re

from frontend.observability.metrics import Metrics
from runtime.config import ROOT


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(tosia_\w+)` \| (\w+) \|([^|]*)\|", (ROOT / "docs" / "metrics.md").read_text(), re.M)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_docs_name_every_metric_with_its_kind_and_its_labels() -> None:
    metrics = Metrics()
    found = {}
    for var in vars(metrics).values():
        for family in var.describe() if hasattr(var, "describe") else ():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, frozenset(var._labelnames))
    assert found == documented()


def test_names_follow_the_conventions() -> None:
    for name, (kind, _) in documented().items():
        assert name.endswith("_total") == (kind == "counter")
        assert not re.search(r"_(ms|milliseconds|mb|kb|percent)(_|$)", name)
