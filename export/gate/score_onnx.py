"""Score spectrograms with the ONNX Runtime of the Python that runs this file:

`python score_onnx.py MODEL.onnx IN.npz OUT.npz`.

Run as a file by other environments (export/gate/onnx_runtimes.py), so it imports nothing of ours. IN.npz holds
`spectrograms` and the tensors' names; OUT.npz holds `cough`, `classes` and the version.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime

BATCH = 64


def main(model: str, given: str, wanted: str) -> None:
    """Batches of BATCH, as Triton's largest."""
    with np.load(given) as file:
        spectrograms, names = file["spectrograms"], [str(name) for name in file["names"]]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = [
        session.run(names[1:], {names[0]: spectrograms[i : i + BATCH]}) for i in range(0, len(spectrograms), BATCH)
    ]
    cough, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
    np.savez(wanted, cough=cough[:, 0], classes=classes, version=onnxruntime.__version__)


if __name__ == "__main__":
    main(*sys.argv[1:])
