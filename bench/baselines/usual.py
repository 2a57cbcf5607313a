"""The usual service: FastAPI in one process, a plain `def` handler, librosa, torch, one cough after the other.

As FastAPI's documentation has it: a blocking handler is a plain `def`, which runs in a pool of threads ("Concurrency
and async / await"); the model is loaded in the lifespan ("Lifespan Events"); the form is declared in the handler's
parameters ("Request Forms and Files").
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Form, HTTPException, UploadFile
from numpy.typing import NDArray

from bench.baselines.arguments import HOST, ROUTE, read_arguments
from bench.baselines.storing import Diagnose, Storing
from bench.baselines.usual_code import Decision, find_coughs, spectrogram_image, spectrogram_levels, summarise
from bench.baselines.worker_start import make_ready
from frontend.answers.http_errors import HTTP_ERRORS, http_error
from runtime.config import ROOT
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language
from training.model.checkpoint import load_checkpoint
from training.model.network import CoughCNN

READY_PATH = "/health"
CHECKPOINT = ROOT / "models" / "cough_cnn.pt"


def usual_diagnose() -> Diagnose:
    """Loads the checkpoint once. Raises: CheckpointError."""
    torch.set_num_threads(1)
    network, info = load_checkpoint(CHECKPOINT)
    decision = Decision(
        info.labels, info.cough_threshold, info.uncertain_threshold, info.threshold_low, info.threshold_high
    )

    def diagnose(audio: bytes) -> dict[str, Any]:
        coughs = find_coughs(audio)
        scores = [_score(network, spectrogram_image(spectrogram_levels(clip))) for clip in coughs.clips]
        cough = np.array([score for score, _ in scores], dtype=np.float32)
        classes = np.array([row for _, row in scores], dtype=np.float32).reshape(len(scores), len(decision.labels))
        return summarise(audio, coughs, cough, classes, decision)

    return diagnose


def _score(network: CoughCNN, image: NDArray[np.float32]) -> tuple[float, list[float]]:
    """image:

    RGB in [0, 1], float32 [shape=(n_mels, n_frames, 3)]; the rest is `CoughCNN.forward` after its colour table.
    """
    with torch.inference_mode():
        brightness = torch.from_numpy(image) @ network.brightness[:3] + network.brightness[3]
        cough, classes = network.logits(brightness[None, None])
        calibrated = cough * network.calibration[0] + network.calibration[1]
        return float(torch.sigmoid(calibrated)), torch.softmax(classes, dim=1)[0].tolist()


def make_app(var: Path) -> FastAPI:
    """The service; it opens its stores and loads its model when it starts."""
    at_hand: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        at_hand["storing"], at_hand["diagnose"] = Storing(var), usual_diagnose()
        make_ready(at_hand["diagnose"])
        yield
        at_hand["storing"].close()

    app = FastAPI(lifespan=lifespan)

    @app.get(READY_PATH)
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post(ROUTE, status_code=201)
    def post_diagnosis(audio: UploadFile, call_id: Annotated[str | None, Form()] = None) -> dict[str, Any]:
        storing: Storing = at_hand["storing"]
        try:
            return storing.diagnosed(call_id, audio.file.read(), audio.content_type, at_hand["diagnose"])
        except tuple(HTTP_ERRORS) as error:
            raise HTTPException(http_error(error).status, say_error(error, Language.ENGLISH)) from error

    return app


def main() -> None:
    """Returns when the service has ended."""
    arguments = read_arguments(__doc__)
    uvicorn.run(make_app(arguments.var), host=HOST, port=arguments.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
