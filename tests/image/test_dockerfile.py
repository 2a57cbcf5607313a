"""What a reader of Dockerfile.frontend can tell without building it."""

from __future__ import annotations

import re

from laptop.service import CHECKOUT
from tests.image.build import BASE, SUITE

TEXT = (CHECKOUT / "Dockerfile.frontend").read_text()
LAST_STAGE = TEXT[TEXT.rindex("\nFROM ") :]


def instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines()) if name]


def test_every_stage_starts_from_the_plain_base() -> None:
    assert ("ARG", f"BASE={BASE}") in instructions(TEXT)
    assert {rest.split()[0] for name, rest in instructions(TEXT) if name == "FROM"} == {"${BASE}"}
    assert BASE.endswith(f"-{SUITE}"), "the stand-in is another Debian than the base"


def test_nothing_runs_in_the_last_stage_and_it_takes_two_folders() -> None:
    """What runs leaves traces: of a builder's settings, of caches."""
    last = instructions(LAST_STAGE)
    assert not [rest for name, rest in last if name in ("RUN", "ADD")]
    assert [rest for name, rest in last if name == "COPY"] == [
        "--from=build /opt/venv /opt/venv",
        "--from=build /app /app",
    ]


def test_packages_come_by_hash_from_wheels_of_an_unnamed_index() -> None:
    assert "--require-hashes" in TEXT
    assert "--only-binary :all:" in TEXT
    assert "--no-cache-dir" in TEXT
    addresses = set(re.findall(r"\w+://[^/'\"\s]+", TEXT))
    assert addresses == {"http://127.0.0.1:8080"}
    assert "index-url" not in TEXT


def test_every_folder_of_ours_enters_a_build() -> None:
    """Each stands for itself in .dockerignore: builders do not look into an excluded folder for a pattern with `**`."""
    named = set((CHECKOUT / ".dockerignore").read_text().splitlines())
    for package in ("export", "frontend", "preprocess", "runtime"):
        for folder in {path.parent for path in (CHECKOUT / package).rglob("*.py")}:
            assert f"!{folder.relative_to(CHECKOUT).as_posix()}/*.py" in named
