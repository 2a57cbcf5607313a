"""azure-pipelines.yml runs what CI runs, with verbs and names that exist. (It runs at Azure only.)"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.tools.deploy.kustomization import IMAGE
from laptop.service import CHECKOUT
from tests.conftest import SHARED

PIPELINE: dict[str, Any] = yaml.safe_load((CHECKOUT / "azure-pipelines.yml").read_text())


def steps(stage: str) -> list[dict[str, Any]]:
    (found,) = [item for item in PIPELINE["stages"] if item["stage"] == stage]
    return found["jobs"][0]["steps"]  # type: ignore[no-any-return]


def test_a_push_to_master_or_main_tests_builds_and_pushes_in_that_order() -> None:
    assert PIPELINE["trigger"]["branches"]["include"] == ["master", "main"]
    assert [stage["stage"] for stage in PIPELINE["stages"]] == ["test", "image"]
    image = PIPELINE["stages"][1]
    assert image["dependsOn"] == "test"
    assert all(
        part in image["condition"] for part in ("succeeded()", "PullRequest", "refs/heads/master", "refs/heads/main")
    )
    assert [step["inputs"]["command"] for step in steps("image") if step.get("task") == "Docker@2"] == ["build", "push"]


AZ = """#!/bin/bash
echo "$@" >> "$CALLS"
case "$1 $2 $3" in
  "acr repository show") [ "$THERE" = yes ] ;;
  "acr artifact-streaming create") [ "$TIER" = Premium ] ;;
esac
"""


@pytest.mark.parametrize(("there", "tier"), [("no", "Premium"), ("yes", "Premium"), ("no", "Standard")])
def test_tritons_image_is_mirrored_under_the_tag_that_is_deployed(tmp_path: Path, there: str, tier: str) -> None:
    """A stand-in for az writes down what it is given."""
    (stage,) = [item for item in PIPELINE["stages"] if item["stage"] == "image"]
    (job,) = [item for item in stage["jobs"] if item["job"] == "triton"]
    (step,) = job["steps"]
    (tmp_path / "az").write_text(AZ)
    (tmp_path / "az").chmod(0o755)
    calls = tmp_path / "calls"
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls), "THERE": there, "TIER": tier}
    script = step["inputs"]["inlineScript"]
    run = subprocess.run(["bash", "-c", script], cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=True)
    deployment = yaml.safe_load((CHECKOUT / "k8s/manifests/base/triton/deployment.yaml").read_text())
    source = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    image = source.removeprefix("nvcr.io/nvidia/")
    imported = f"acr import --name tosia --source {source} --image {image}"
    assert (imported in calls.read_text().splitlines()) is (there == "no")
    assert f"acr artifact-streaming create --name tosia --image {image}" in calls.read_text().splitlines()
    assert ("can't be streamed" in run.stdout) is (tier != "Premium")
    overlay = yaml.safe_load((CHECKOUT / "k8s/manifests/overlays/azure/kustomization.yaml").read_text())
    names = {item["name"]: item["newName"] for item in overlay["images"]}
    assert names[source.partition(":")[0]] == "tosia.azurecr.io/tritonserver"


def verbs(text: str) -> list[str]:
    """In their order, with what is given to them."""
    return re.findall(r"^\s*make ([a-z-]+(?: [A-Z]+=\w+)*)$", text, flags=re.MULTILINE)


def called() -> dict[str, dict[str, Any]]:
    """The step of each verb."""
    return {verb.split()[0]: step for step in steps("test") for verb in verbs(step.get("script", ""))}


def test_it_runs_what_ci_runs_but_the_image_s_own_test() -> None:
    ours = verbs((CHECKOUT / ".ci" / "run").read_text())
    assert ours == ["check", "test", "test-system", "test-training", "image-test"]
    assert [verb for verb in called() if verb in ours] == ours[:-1]
    assert "make image-test" in (CHECKOUT / "azure-pipelines.yml").read_text().partition("trigger:")[0], "and says why"
    known = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))
    assert called().keys() | set(ours) <= known


def test_the_image_s_python_is_tested_and_the_oldest_that_is_supported() -> None:
    """The last verb alone is for one of them: the gate's ONNX Runtime has no wheel for 3.13."""
    job = PIPELINE["stages"][0]["jobs"][0]
    tested = {item["python"] for item in job["strategy"]["matrix"].values()}
    image = re.findall(r"^ARG BASE=python:([0-9.]+)-", (CHECKOUT / "Dockerfile.frontend").read_text(), re.MULTILINE)
    oldest = re.findall(r'^requires-python = ">=([0-9.]+),', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(image) == len(oldest) == 1
    assert tested == {*image, *oldest}
    assert steps("test")[0]["inputs"] == {"versionSpec": "$(python)"}
    conditions = {verb: step["condition"] for verb, step in called().items() if "condition" in step}
    assert conditions == {"test-training": f"and(succeeded(), eq(variables['python'], '{oldest[0]}'))"}


def test_a_skipped_test_fails_it() -> None:
    assert PIPELINE["variables"]["CI"] == "true"
    assert [name for name, item in called().items() if item.get("env", {}).get("CI", "true") != "true"] == ["manifests"]


def test_there_is_a_browser_before_the_tests_that_need_one() -> None:
    scripts = [step.get("script", "") for step in steps("test")]
    (chromium,) = [n for n, script in enumerate(scripts) if "playwright install --with-deps chromium" in script]
    assert "/usr/local/bin/chromium" in scripts[chromium]  # where the tests look: in the PATH
    assert scripts.index("make check") < chromium < scripts.index("make test WITHOUT=shared")


def test_what_needs_material_beside_the_checkout_is_left_out_by_name() -> None:
    for verb in ("test", "test-system"):
        assert called()[verb]["script"] == f"make {verb} WITHOUT={SHARED}"
        run = subprocess.run(
            ["make", "--dry-run", "--always-make", verb, f"WITHOUT={SHARED}"],
            cwd=CHECKOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"-m pytest --without {SHARED} -m " in run.stdout


CASES = """
import pytest

@pytest.mark.shared
def test_beside_the_checkout(): ...

@pytest.mark.shared
@pytest.mark.system
def test_of_another_tier(): ...

def test_of_the_checkout(): ...

def test_skipped(): pytest.skip("no such program")
"""


@pytest.mark.parametrize(
    ("processes", "chosen", "ci", "code"),
    [((), "not skipped", "true", 0), ((), "", "true", 1), (("-n", "2"), "", "true", 1), ((), "", "", 0)],
)
def test_the_number_left_out_is_said_and_a_skip_fails_with_ci(
    tmp_path: Path, processes: tuple[str, ...], chosen: str, ci: str, code: int
) -> None:
    """Our own conftest.py and settings, on four tests in a folder aside."""
    for name in ("conftest.py", "__init__.py"):
        if (CHECKOUT / "tests" / name).exists():
            shutil.copy(CHECKOUT / "tests" / name, tmp_path)
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "pyproject.toml").write_text((CHECKOUT / "pyproject.toml").read_text())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-m",
        "not system",
        "--without",
        SHARED,
        *processes,
    ]
    run = subprocess.run(
        [*command, "-k", chosen, "."],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))},
            "PYTHONPATH": str(CHECKOUT),
            "CI": ci,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert "not selected: 1 tests marked `shared`" in run.stdout
    assert ("skipped, which is a failure with CI=true" in run.stdout) == bool(code)


def test_the_image_has_the_name_that_is_deployed_and_a_number_of_its_own() -> None:
    registry, _, repository = IMAGE.partition(".azurecr.io/")
    for step in steps("image"):
        if step.get("task") == "Docker@2":
            assert (step["inputs"]["containerRegistry"], step["inputs"]["repository"]) == (registry, repository)
            assert step["inputs"]["tags"] == "$(buildNumber)"
    (build,) = [step["inputs"] for step in steps("image") if step.get("inputs", {}).get("command") == "build"]
    assert (CHECKOUT / build["Dockerfile"]).is_file()
    assert re.fullmatch(r"\$\[counter\('[a-z-]+', 1\)\]", PIPELINE["variables"]["buildNumber"])
