"""Every ONNX Runtime that a release meets, each in the environment that pins it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from export.errors import GateError, UnavailableError
from export.gate import score_onnx
from export.gate.golden_set import Spectrograms
from runtime.classify import Scores
from runtime.config import ROOT
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT

# Version -> the environment whose lock file names it.
RUNTIMES = {
    "1.19.2": ".venv-triton",  # Triton 24.10, on a laptop
    "1.23.1": ".venv-training",  # Triton 25.10
    "1.31.1": ".venv",  # Triton 26.11, on AKS, as near as could be found; and in process
}


NEWEST_PYTHON = (3, 12)  # ONNX Runtime 1.19.2 has no wheel for a newer one


def require_runtimes(root: Path = ROOT) -> None:
    """Find out before any work whether all of RUNTIMES can be there: a release was judged by each of them.

    Raises: UnavailableError.
    """
    python = root / RUNTIMES["1.19.2"] / "bin" / "python"
    code = "import sys; print(*sys.version_info[:2])"
    try:
        said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return  # `score_with` says what is wrong with it
    found = (int(said[0]), int(said[1]))
    if found > NEWEST_PYTHON:
        wanted = ".".join(map(str, NEWEST_PYTHON))
        raise UnavailableError(
            f"A release is judged with ONNX Runtime 1.19.2, too, which has no wheel for Python {found[0]}.{found[1]}: "
            f"run `make export PYTHON=python{wanted}` in a clone of its own."
        )


def score_with(version: str, model: bytes, spectrograms: Spectrograms, root: Path = ROOT) -> Scores:
    """Scores of uint8 [shape=(n, n_mels, n_frames)] by one of RUNTIMES.

    Raises: GateError where that environment is missing, holds another version, or refuses the model.
    """
    python = root / RUNTIMES[version] / "bin" / "python"
    remedy = f"remove {RUNTIMES[version]} and run `make export`, which makes it again."
    if not python.exists():
        raise GateError(f"ONNX Runtime {version} is judged in {RUNTIMES[version]}, which is not there: {remedy}")
    with tempfile.TemporaryDirectory() as folder:
        file, given, found = (Path(folder) / name for name in ("model.onnx", "given.npz", "found.npz"))
        file.write_bytes(model)
        np.savez(given, spectrograms=spectrograms, names=[INPUT, COUGH_OUTPUT, CLASS_OUTPUT])
        run = subprocess.run(
            [str(python), score_onnx.__file__, str(file), str(given), str(found)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1].replace(str(file), "model.onnx")
            raise GateError(f"ONNX Runtime {version} can't run the model: {reason}")
        with np.load(found) as scores:
            if str(scores["version"]) != version:
                raise GateError(f"{RUNTIMES[version]} holds ONNX Runtime {scores['version']}, not {version}: {remedy}")
            return Scores(scores["cough"], scores["classes"])
