"""Starts, watches and stops one Triton server."""

import http.client
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from local_triton import ports
from local_triton.environment import TritonEnvironment, find_environment
from local_triton.errors import MissingRepositoryError, ServerFailedError
from local_triton.load_failures import why_it_ended

STAND_IN = Path(__file__).parent / "backends" / "onnxruntime"
WARDEN = Path(__file__).with_name("warden.py")
IN_FLIGHT_S = 5  # at a stop, requests that are being computed may take this long
GRACE_S = IN_FLIGHT_S + 5.0  # unloading takes about 2 s; then it is killed
POLL_S = 0.05


class TritonServer:
    """A Triton server on 127.0.0.1 that serves a model repository until it is stopped.

    It goes when this process goes, even by SIGKILL. As a context manager it is started at entry and stopped at exit.
    """

    def __init__(
        self,
        model_repository: Path,
        *,
        log: Path,
        http_port: int | None = None,
        grpc_port: int | None = None,
        metrics_port: int | None = None,
        environment: Path | None = None,
        extra_args: Sequence[str] = (),
        start_timeout_s: float = 60.0,
    ) -> None:
        """Nothing happens before `start()`.

        log: a file that takes the server's output, written anew at each start; its folder is made.
        http_port, grpc_port, metrics_port: free ones are found for those that are None.
        environment: see `environment.find_environment`.
        extra_args: more options for tritonserver; they win over the ones set here.
        start_timeout_s: seconds until all models must be ready; about 3 are usual.
        """
        self.model_repository = model_repository.absolute()
        self.log = log.absolute()
        chosen = iter(ports.free_ports(3))
        self.http_port = http_port or next(chosen)
        self.grpc_port = grpc_port or next(chosen)
        self.metrics_port = metrics_port or next(chosen)
        self._environment = environment
        self._extra_args = list(extra_args)
        self._start_timeout_s = start_timeout_s
        self._warden: subprocess.Popen[bytes] | None = None
        self._scratch = Path()

    @property
    def http_url(self) -> str:
        """As tritonclient.http wants it: host:port."""
        return f"{ports.LOOPBACK}:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        """As tritonclient.grpc wants it, and `TRITON_URL`: host:port."""
        return f"{ports.LOOPBACK}:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus would look."""
        return f"http://{ports.LOOPBACK}:{self.metrics_port}/metrics"

    def start(self) -> None:
        """Returns when every model is ready.

        Raises ConfigurationError before any process is started, ServerFailedError after.
        """
        if self._warden is not None:
            raise RuntimeError("this server is started already")
        environment = find_environment(self._environment)
        if not self.model_repository.is_dir():
            raise MissingRepositoryError(
                f"There is no model repository at {self.model_repository}: `make export` makes one."
            )
        ports.require_free({"HTTP": self.http_port, "gRPC": self.grpc_port, "metrics": self.metrics_port})
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = _prepare(environment, self.model_repository)
        try:
            self._warden = self._launch(environment)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def poll(self) -> int | None:
        """The server's exit code if it has ended, or None while it runs."""
        return self._warden.poll() if self._warden else None

    def why_it_ended(self) -> str:
        """One line from the log for a server that ended by itself; before `stop()`.

        Of a model without a version Triton's log says nothing but that it could not load all models.
        """
        text = self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""
        reason = why_it_ended(text).replace(str(self._scratch / "repository"), str(self.model_repository))
        without = _without_version(self.model_repository) if reason.endswith("failed to load all models") else []
        if without:
            return f"it refuses the model {without[0]}: it has no version, which is a folder with a number for a name"
        return reason

    def stop(self) -> None:
        """Ends the server and everything it started; does nothing when it does not run."""
        if self._warden is not None:
            self._warden.terminate()
            self._warden.wait()
            self._warden = None
        # The warden has removed this, unless it was not started at all.
        if self._scratch.name:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, environment: TritonEnvironment) -> subprocess.Popen[bytes]:
        shm_prefix = f"tosia_triton_{secrets.token_hex(6)}_"
        server = [
            str(environment.server),
            f"--model-repository={self._scratch / 'repository'}",
            f"--backend-directory={self._scratch / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
            "--disable-auto-complete-config",
            "--model-control-mode=none",
            "--exit-on-error=true",
            f"--exit-timeout-secs={IN_FLIGHT_S}",
            f"--http-address={ports.LOOPBACK}",
            f"--grpc-address={ports.LOOPBACK}",
            f"--metrics-address={ports.LOOPBACK}",
            f"--http-port={self.http_port}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-port={self.metrics_port}",
            *self._extra_args,
        ]
        guard = [sys.executable, "-I", str(WARDEN), str(os.getpid()), str(GRACE_S), shm_prefix]
        return subprocess.Popen(
            [*guard, str(self._scratch), str(self.log), *server],
            stdin=subprocess.DEVNULL,
            # The stub takes its packages from the first Python in PATH, and any variable of ours could mislead it.
            env={
                "PATH": f"{environment.path / 'bin'}:/usr/bin:/bin",
                "LD_LIBRARY_PATH": f"{self._scratch / 'lib'}:{environment.libraries}",
                "LANG": "C.UTF-8",
                "ORT_DISABLE_TELEMETRY": "1",  # as on the cluster; wheels from 1.29 on report
                # Triton tells its backends only the configuration itself, not its file.
                "TOSIA_MODEL_CONFIG_NAME": _option(self._extra_args, "--model-config-name"),
            },
            start_new_session=True,  # a Ctrl-C in the terminal is for us: we then stop it in good order
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while not self._is_ready():
            if self.poll() is not None:
                raise ServerFailedError(f"Triton did not start: {self.why_it_ended()} (log: {self.log}).")
            if time.monotonic() > deadline:
                raise ServerFailedError(
                    f"Triton was not ready after {self._start_timeout_s:.0f} s; its log says why: {self.log}."
                )
            time.sleep(POLL_S)

    def _is_ready(self) -> bool:
        # Triton opens gRPC, HTTP and metrics in this order, the last some 50 ms after the models are ready.
        return _answers(self.http_port, "/v2/health/ready") and _answers(self.metrics_port, "/metrics")


def _without_version(repository: Path) -> list[str]:
    """The models that have no folder with a number for a name."""
    return sorted(
        model.name
        for model in repository.iterdir()
        if model.is_dir() and not any(item.is_dir() and item.name.isdecimal() for item in model.iterdir())
    )


def _option(arguments: Sequence[str], name: str) -> str:
    """The value of the last `--name=value` or `--name value`; empty where it is not given."""
    value = ""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            value = argument.partition("=")[2]
        elif argument == name and place + 1 < len(arguments):
            value = arguments[place + 1]
    return value


def _answers(port: int, path: str) -> bool:
    with closing(http.client.HTTPConnection(ports.LOOPBACK, port, timeout=2)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def _prepare(environment: TritonEnvironment, model_repository: Path) -> Path:
    """A private folder with what tritonserver is pointed to: backends, the repository, libpython."""
    # Triton starts the stub by an unquoted shell command that has the paths of backend and model in it.
    parent = tempfile.gettempdir()
    if not re.fullmatch(r"[\w./-]+", parent):
        parent = "/tmp"  # noqa: S108 - mkdtemp makes a name of its own there
    scratch = Path(tempfile.mkdtemp(prefix="tosia-triton-", dir=parent))
    shutil.copytree(environment.python_backend, scratch / "backends" / "python")
    stub = Path(shutil.copy(environment.stub, scratch / "backends" / "python"))
    stub.chmod(0o755)
    shutil.copytree(STAND_IN, scratch / "backends" / "onnxruntime", ignore=shutil.ignore_patterns("__pycache__"))
    (scratch / "repository").symlink_to(model_repository)
    (scratch / "lib").mkdir()
    if environment.libpython:  # alone, since its own folder may hold other libraries that would replace the system's
        (scratch / "lib" / environment.libpython_name).symlink_to(environment.libpython)
    return scratch
