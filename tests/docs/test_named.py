"""What the pages on threats and reliability rely on is there: each file, test, setting and metric that they name."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from runtime.config import ROOT

PAGES = ("threats", "reliability")
_CODE = re.compile(r"`([^`\n]+)`")


def named(page: str) -> list[str]:
    return _CODE.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split("\0")


@pytest.mark.parametrize("page", PAGES)
def test_each_test_is_one_file(page: str) -> None:
    names = [name for name in named(page) if name.endswith(".py") and "test_" in name]
    assert len(names) > 15
    files = tracked()
    found = {name: [file for file in files if f"/{file}".endswith(f"/{name}")] for name in names}
    assert {name: files for name, files in found.items() if len(files) != 1} == {}


@pytest.mark.parametrize("page", PAGES)
def test_each_setting_and_metric_exists(page: str) -> None:
    config = yaml.safe_load((ROOT / "config.yml").read_text(encoding="utf-8"))
    metrics = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    settings = [name.split(".") for name in named(page) if re.fullmatch(r"(limits|service|quality)\.\w+", name)]
    assert [name for section, name in settings if name not in config[section]] == []
    assert [name for name in named(page) if re.fullmatch(r"tosia_\w+", name) and f"`{name}`" not in metrics] == []


@pytest.mark.parametrize("page", PAGES)
def test_each_manifest_exists(page: str) -> None:
    assert [name for name in named(page) if name.startswith("k8s/manifests/") and not (ROOT / name).exists()] == []
