"""azure-pipelines.yml says what the seed says, with verbs and names that exist. (It runs at Azure only.)"""

from __future__ import annotations

import re
from typing import Any

import yaml

from k8s.tools.deploy.kustomization import IMAGE
from laptop.service import CHECKOUT

PIPELINE: dict[str, Any] = yaml.safe_load((CHECKOUT / "azure-pipelines.yml").read_text())


def steps(stage: str) -> list[dict[str, Any]]:
    (found,) = [one for one in PIPELINE["stages"] if one["stage"] == stage]
    return found["jobs"][0]["steps"]  # type: ignore[no-any-return]


def test_a_push_to_master_or_main_tests_builds_and_pushes_in_that_order() -> None:
    assert PIPELINE["trigger"]["branches"]["include"] == ["master", "main"]
    assert [one["stage"] for one in PIPELINE["stages"]] == ["test", "image"]
    image = PIPELINE["stages"][1]
    assert image["dependsOn"] == "test"
    assert all(
        part in image["condition"] for part in ("succeeded()", "PullRequest", "refs/heads/master", "refs/heads/main")
    )
    assert [one["inputs"]["command"] for one in steps("image") if one.get("task") == "Docker@2"] == ["build", "push"]


def test_its_verbs_exist() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))
    called = {match[1] for one in steps("test") for match in re.finditer(r"\bmake ([a-z-]+)", one.get("script", ""))}
    assert {"check", "test"} <= called <= verbs


def test_the_image_has_the_name_that_is_deployed_and_a_number_of_its_own() -> None:
    registry, _, repository = IMAGE.partition(".azurecr.io/")
    for one in steps("image"):
        if one.get("task") == "Docker@2":
            assert (one["inputs"]["containerRegistry"], one["inputs"]["repository"]) == (registry, repository)
            assert one["inputs"]["tags"] == "$(buildNumber)"
    (build,) = [one["inputs"] for one in steps("image") if one.get("inputs", {}).get("command") == "build"]
    assert (CHECKOUT / build["Dockerfile"]).is_file()
    assert re.fullmatch(r"\$\[counter\('[a-z-]+', 1\)\]", PIPELINE["variables"]["buildNumber"])
