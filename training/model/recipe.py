"""The recipe of a network: a cross-validation is valid for a checkpoint only if both have the same recipe."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from runtime.config import digest
from training.model.fit import FitParams

_TRAINING = Path(__file__).resolve().parent.parent
_MODULES = ("data/augment", "data/codecs", "data/examples", "data/lines", "model/fit", "model/network")


def recipe_sha256(fit_params: FitParams, n_variants: int) -> str:
    """Digest of the code that makes examples and fits a network, and of its parameters."""
    code = {name: hashlib.sha256((_TRAINING / f"{name}.py").read_bytes()).hexdigest() for name in _MODULES}
    return digest({"code": code, "fit": asdict(fit_params), "n_variants": n_variants})
