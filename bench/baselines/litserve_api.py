"""What both LitServe baselines share: one `LitAPI` around a way to diagnose, and how the server is run.

As LitServe's documentation has it: models and stores are made in `setup`, once a worker ("LitAPI"); a multipart form
arrives in `decode_request` where its parameter is a `Request` ("Request, response format"); work that is bound to the
CPU gets a worker process for each core and more where trying shows that it helps, see bench/load/served.py ("Types of
parallelism", `workers_per_device` in "LitServer"). There is no batching: nearly all of the time goes to preparing each
recording, which a batch would do one after the other in one worker.
"""

# No `from __future__ import annotations` here: LitServe compares the annotation of `request` with the class itself.
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import litserve as ls
from fastapi import HTTPException, Request

from bench.baselines.arguments import HOST, ROUTE, Arguments
from bench.baselines.storing import Diagnose, Storing, make_stores
from bench.baselines.worker_start import make_ready
from frontend.answers.http_errors import HTTP_ERRORS, http_error
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language

READY_PATH = "/health"  # LitServe's own: 200 once every worker has been set up

Upload = tuple[str | None, bytes, str | None]  # call_id, audio, content type


class DiagnosesAPI(ls.LitAPI):
    """Goes to the workers pickled, so it holds nothing before `setup` but how to make what it needs there."""

    def __init__(self, make_diagnose: Callable[[], Diagnose], var: Path) -> None:
        super().__init__(api_path=ROUTE)
        self._make_diagnose = make_diagnose
        self._var = var

    def setup(self, device: str) -> None:
        """Once in every worker."""
        self._storing = Storing(self._var)
        self._diagnose = self._make_diagnose()
        make_ready(self._diagnose)

    def decode_request(self, request: Request) -> Upload:
        """request: the form, although LitServe has it annotated so."""
        if "audio" not in request:
            raise HTTPException(422, "Send the recording as a file in the form's field `audio`.")
        audio = request["audio"]
        return request.get("call_id"), audio.file.read(), audio.content_type

    def predict(self, x: Upload) -> dict[str, Any]:
        """The call, as our service answers with it."""
        call_id, audio, content_type = x
        try:
            return self._storing.diagnosed(call_id, audio, content_type, self._diagnose)
        except tuple(HTTP_ERRORS) as error:
            raise HTTPException(http_error(error).status, say_error(error, Language.ENGLISH)) from error


def serve(make_diagnose: Callable[[], Diagnose], arguments: Arguments) -> None:
    """Returns when the service has ended, which SIGTERM and Ctrl-C bring about."""
    _take_sigterm_for_ctrl_c()
    make_stores(arguments.var)
    server = ls.LitServer(
        DiagnosesAPI(make_diagnose, arguments.var), accelerator="cpu", workers_per_device=arguments.workers
    )
    try:
        server.run(host=HOST, port=arguments.port, log_level="warning", access_log=False, generate_client_file=False)
    except KeyboardInterrupt:  # before LitServe was ready to end its workers itself
        for child in multiprocessing.active_children():
            child.terminate()


def _take_sigterm_for_ctrl_c() -> None:
    """LitServe 0.2.19 ends its processes on Ctrl-C only; on SIGTERM its main process dies and leaves the others
    behind.
    """
    main_process = os.getpid()

    def end(signum: int, _: FrameType | None) -> None:
        if os.getpid() == main_process:
            raise KeyboardInterrupt
        signal.signal(signum, signal.SIG_DFL)  # its forks inherit this handler and end as they did without it
        signal.raise_signal(signum)

    signal.signal(signal.SIGTERM, end)
