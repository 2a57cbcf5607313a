"""What schemathesis draws for the formats of docs/openapi.json that are ours; tests/schemathesis.toml names this
module.
"""

from __future__ import annotations

from pathlib import Path

import schemathesis
from hypothesis import strategies as st

from frontend.answers.page_token import page_token

SAMPLES = Path(__file__).resolve().parent.parent.parent / "samples" / "preprocessing"

samples = st.sampled_from([path.read_bytes() for path in sorted(SAMPLES.glob("*/raw.*"))])


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A sample of which a piece is missing or replaced."""
    data = draw(samples)
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, len(data)))
    return data[:start] + draw(st.binary(max_size=64)) + data[end:]


@st.composite
def tokens(draw: st.DrawFn) -> str | None:
    moment = draw(st.datetimes()).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    return page_token(f"{moment}|{draw(st.from_regex(r'[A-Za-z0-9][A-Za-z0-9._=-]{0,127}', fullmatch=True))}")


# Whole samples most often: what comes after an upload needs one that was diagnosed.
schemathesis.openapi.format("binary", st.one_of(samples, samples, broken(), st.binary(max_size=256)))
schemathesis.openapi.format("page-token", tokens())
