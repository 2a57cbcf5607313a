"""Around the service of both BentoML baselines: its arguments, what an API does with an upload, and how the server is
started.

As BentoML's documentation has it: a file arrives as a `pathlib.Path` and makes the request multipart ("Define input and
output types"); models and stores are made in `__init__`, once a worker; the number of workers is the service's, one
process for each core and more where trying shows that it helps, see bench/load/served.py ("Parallelize requests
handling"); what differs between starts is a template argument ("Configure template arguments"); errors that the caller
may see are `BentoMLException`s ("Customize error responses").
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bentoml.exceptions import BentoMLException
from pydantic import BaseModel

from bench.baselines.arguments import HOST, read_arguments
from bench.baselines.storing import Diagnose, Storing, make_stores
from bench.baselines.worker_start import make_ready
from frontend.answers.http_errors import HTTP_ERRORS, http_error
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language

READY_PATH = "/readyz"  # BentoML's own

SERVICE = "bench.baselines.bentoml_service:Diagnoses"
ACCESS_LOG_OFF = {"access": {"enabled": False}}


class TemplateArguments(BaseModel):
    """Of the service; the defaults are for importing its module only. make_diagnose:

    `module:function`, what its workers run.
    """

    workers: int = 1
    var: str = "var"
    make_diagnose: str = ""


class Diagnosing:
    """What one worker holds."""

    def __init__(self, make_diagnose: Callable[[], Diagnose], var: str) -> None:
        self._storing = Storing(Path(var))
        self._diagnose = make_diagnose()
        make_ready(self._diagnose)

    def diagnosed(self, audio: Path, call_id: str | None) -> dict[str, Any]:
        """The call, as our service answers with it; BentoML keeps no content type of an upload."""
        try:
            return self._storing.diagnosed(call_id, audio.read_bytes(), None, self._diagnose)
        except tuple(HTTP_ERRORS) as error:
            raise BentoMLException(
                say_error(error, Language.ENGLISH), error_code=HTTPStatus(http_error(error).status)
            ) from error

    def close(self) -> None:
        self._storing.close()


def serve(make_diagnose: str, description: str | None) -> None:
    """This process becomes `bentoml serve`, so that its signals reach it. make_diagnose: `module:function`."""
    arguments = read_arguments(description)
    make_stores(arguments.var)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.environ["BENTOML_HOME"] = str(arguments.var / "bentoml")  # instead of a folder in the user's home
    given = {"workers": str(arguments.workers), "var": str(arguments.var), "make_diagnose": make_diagnose}
    options = [part for name, value in given.items() for part in ("--arg", f"{name}={value}")]
    listen = ["--host", HOST, "--port", str(arguments.port)]
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, *listen, *options]
    os.execv(sys.executable, command)  # noqa: S606 - from a list of our own
