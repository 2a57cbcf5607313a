"""As test_emulated.py, on a newer processor, which takes as long as all of that: a file of its own runs beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processors.emulation import assert_same_bits, native
from tests.processors.recordings import make_recordings

pytestmark = [pytest.mark.system, pytest.mark.shared, pytest.mark.timeout(900)]


def test_exact_decoders_give_the_same_bits_on_a_haswell_and_no_others_differ(tmp_path: Path) -> None:
    make_recordings(tmp_path / "recordings", n_people=2)
    here = json.loads(native("tests.processors.digests", [str(tmp_path / "recordings")]))
    assert_same_bits("Haswell", tmp_path / "recordings", here)
