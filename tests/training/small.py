"""A training run that takes seconds; apart from recordings.py, which must not need torch."""

from __future__ import annotations

from training.model.fit import FitParams

SMALL = FitParams(steps=12, batch_size=16)
