"""What holds for the repository as a whole: locks, documents, generated files."""

from __future__ import annotations

import json
import re
import subprocess
from hashlib import sha256

import pytest

from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.version import SOFTWARE_VERSION

LOCKS = sorted(path for path in (ROOT / "requirements").glob("*.txt") if path.name != "torch.txt")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_by_hash_and_no_address_is_named(lock) -> None:
    text = lock.read_text()
    assert "://" not in text
    requirements = [part for part in re.split(r"\n(?=\S)", text) if part.strip() and not part.startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==\S+", requirement), requirement.splitlines()[0]
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_serving_has_no_torch() -> None:
    names = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "serving.txt").read_text(), re.MULTILINE)
    assert "numpy" in names
    assert not {"torch", "onnx", "pytest"} & set(names)


def test_training_prepares_audio_with_the_packages_of_serving() -> None:
    serving, training = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("serving.txt", "training.txt")
    )
    for package in ("numpy", "scipy", "soundfile", "soxr", "av"):
        assert serving[package] == training[package]


def test_the_release_is_what_its_manifest_says() -> None:
    manifest = json.loads((MODEL_REPOSITORY / "manifest.json").read_text())
    found = {
        path.relative_to(MODEL_REPOSITORY).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in MODEL_REPOSITORY.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert found == manifest["files"]


def test_one_version() -> None:
    assert f'version = "{SOFTWARE_VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_documents_name_only_verbs_and_files_that_exist() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "README.es.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text()
        named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE))
        assert named
        assert named <= verbs
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{name} links to {target}"


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    pages = [path.name for path in folder.glob("0*.md")]
    assert pages
    assert all(f"({page})" in index for page in pages)


def test_nothing_names_this_machine_or_a_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    texts = [
        ROOT / name for name in tracked if name.endswith((".py", ".md", ".txt", ".in", ".yml", ".toml", ".sh", ".json"))
    ]
    assert len(texts) > 100
    forbidden = re.compile(
        "|".join(("/wo" + "rk/", "/ro" + "ot/", "pypi" + r"\.org", "registry" + r"\.npm", r"deb\." + "debian"))
    )
    for path in texts:
        assert not forbidden.search(path.read_text(encoding="utf-8")), path


def test_documents_name_only_verbs_of_deployment_that_exist() -> None:
    verbs = set(re.findall(r"^#: ([a-z-]+)\t", (ROOT / "k8s" / "Makefile").read_text(), re.MULTILINE))
    assert "all" in verbs
    for file in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        named = set(re.findall(r"make -C k8s ([a-z-]+)", file.read_text()))
        assert named <= verbs, f"{file.name}: {named - verbs}"


def test_the_files_that_start_first_are_there() -> None:
    from tests.conftest import LONGEST_FIRST

    assert [name for name in LONGEST_FIRST if not (ROOT / "tests" / name).is_file()] == []


def test_the_image_gets_every_package_of_what_it_runs() -> None:
    """`.dockerignore` is a list of what may enter; a folder that it lacks is missed only when the image is built."""
    allowed = set((ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())
    for package in ("preprocess", "runtime", "frontend", "export"):
        for file in (ROOT / package).rglob("__init__.py"):
            folder = file.parent.relative_to(ROOT).as_posix()
            assert f"!{folder}/*.py" in allowed, folder
