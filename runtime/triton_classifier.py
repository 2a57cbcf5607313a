"""The classifier behind Triton: one batched gRPC request per recording.

Programs use `TritonClassifier`, the front end uses `AsyncTritonClassifier`; both build and read the same messages. An
owner keeps one client for its whole life; a client per request leaks (tritonclient caches channels).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, TypeVar

import grpc
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from numpy.typing import NDArray
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from tritonclient.utils import InferenceServerException

from runtime.classify import Scores, checked_scores, join_scores, no_scores
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT, MODEL_NAME, ModelContract, contract_of
from runtime.errors import InferenceError, InferenceTimeout, UnusableScores

Answer = TypeVar("Answer")

_PROPAGATOR = TraceContextTextMapPropagator()
DEFAULT_TIMEOUT_S = 10.0
_TIMEOUT = "The inference server did not answer in time: try again."

# A server that drains answers NOT_FOUND and UNAVAILABLE for seconds, and CANCELLED for what it had not finished at its
# end, while its neighbour could answer: another try goes to the next address in turn. Inference changes nothing, so it
# may be repeated. gRPC stops at the deadline of a request and after five tries, its limit; under load all five may meet
# the same server, so what only a server can answer that is there gets three such rounds. Where nobody listens the
# answer is UNAVAILABLE without Triton's words, and one round is enough.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "inference.GRPCInferenceService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "NOT_FOUND", "CANCELLED"],
            },
        }
    ]
}
# gRPC repeats no request beyond its buffer, by default 256 KiB: a batch of 64 spectrograms of 6 KB is larger.
_RETRY_BUFFER_BYTES = 4 * 1024 * 1024
_STOPPING = "Server is stopping"  # of Triton 24.10, while it lets those requests end that it has
_ROUNDS = (False, False, True)  # whether it is the last

# Passing `channel_args` drops tritonclient's own defaults, so its message size and keepalive are repeated here.
# Triton's server closes connections that ping more often than every 5 minutes without data unless told otherwise.
CHANNEL_ARGS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
    ("grpc.max_receive_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 2),
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.per_rpc_retry_buffer_size", _RETRY_BUFFER_BYTES),
    # Reconnect to a returned server within a second, not after gRPC's two-minute back-off.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class TritonClassifier:
    """Satisfies `runtime.classify.Classifier`; url is `host:port` or `dns:///name:port`."""

    def __init__(self, url: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._client = triton.InferenceServerClient(url, channel_args=CHANNEL_ARGS)
        self._timeout_s = timeout_s
        self._contract: ModelContract | None = None

    def contract(self) -> ModelContract:
        if self._contract is None:
            self._contract = _translated(self._ask_contract)
        return self._contract

    def classify(self, spectrograms: NDArray[np.uint8]) -> Scores:
        contract = self.contract()
        if not len(spectrograms):
            return no_scores(contract)
        step = contract.max_batch_size
        batches = [spectrograms[start : start + step] for start in range(0, len(spectrograms), step)]
        return join_scores([_translated(partial(self._infer, batch, contract)) for batch in batches])

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> TritonClassifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask_contract(self) -> ModelContract:
        answer = self._client.get_model_config(MODEL_NAME, client_timeout=self._timeout_s)
        metadata = self._client.get_model_metadata(MODEL_NAME, client_timeout=self._timeout_s)
        return contract_of(answer.config, _serving_version(metadata))

    def _infer(self, batch: NDArray[np.uint8], contract: ModelContract) -> Scores:
        until = time.monotonic() + self._timeout_s
        for last in _ROUNDS:
            try:
                answer = self._client.infer(**_request(batch, max(0.001, until - time.monotonic())))
            except InferenceServerException as error:
                if last or not _is_draining(error):
                    raise
            else:
                return _scores(answer, len(batch), contract)
        raise AssertionError("the last round returns or raises")


class AsyncTritonClassifier:
    """Satisfies `runtime.classify.AsyncClassifier`; must be made inside the event loop."""

    def __init__(self, url: str) -> None:
        self._client = triton_aio.InferenceServerClient(url, channel_args=CHANNEL_ARGS)

    async def contract(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> ModelContract:
        """The serving model's promises, asked anew. Raises: InferenceError, ModelContractError."""
        try:
            answer = await self._client.get_model_config(MODEL_NAME, client_timeout=timeout_s)
            metadata = await self._client.get_model_metadata(MODEL_NAME, client_timeout=timeout_s)
        except (InferenceServerException, grpc.RpcError) as error:
            raise _inference_error(error) from error
        return contract_of(answer.config, _serving_version(metadata))

    async def is_ready(self, timeout_s: float = 1.0) -> bool:
        """Whether the server answers and the model is ready."""
        try:
            return bool(await self._client.is_model_ready(MODEL_NAME, client_timeout=timeout_s))
        except (InferenceServerException, grpc.RpcError):
            return False

    async def classify(self, spectrograms: NDArray[np.uint8], contract: ModelContract, timeout_s: float) -> Scores:
        """uint8 [shape=(n, n_mels, n_frames)], n >= 0 -> Scores of n, within `timeout_s` in all.

        Raises: InferenceError, InferenceTimeout.
        """
        if not len(spectrograms):
            return no_scores(contract)
        try:
            async with asyncio.timeout(timeout_s) as timeout:
                parts = []
                for start in range(0, len(spectrograms), contract.max_batch_size):
                    batch = spectrograms[start : start + contract.max_batch_size]
                    answer = await self._infer(batch, timeout.when() or 0.0)
                    parts.append(_scores(answer, len(batch), contract))
        except TimeoutError as error:
            raise InferenceTimeout(_TIMEOUT) from error
        except (InferenceServerException, grpc.RpcError) as error:
            raise _inference_error(error) from error
        return parts[0] if len(parts) == 1 else join_scores(parts)

    async def close(self) -> None:
        await self._client.close()

    async def _infer(self, batch: NDArray[np.uint8], until: float) -> Any:
        """until: on the event loop's clock. Each try gets the remaining time: Triton must not begin one after it."""
        for last in _ROUNDS:
            left_s = until - asyncio.get_running_loop().time()
            if left_s <= 0.0:
                raise TimeoutError
            try:
                return await self._client.infer(**_request(batch, left_s))
            except InferenceServerException as error:
                if last or not _is_draining(error):
                    raise
        raise AssertionError("the last round returns or raises")


@lru_cache(maxsize=4)
def shared_classifier(url: str) -> TritonClassifier:
    """Return the one client of an address, for the life of the process."""
    return TritonClassifier(url)


def _request(batch: NDArray[np.uint8], timeout_s: float) -> dict[str, Any]:
    tensor = triton.InferInput(INPUT, list(batch.shape), "UINT8")
    tensor.set_data_from_numpy(np.ascontiguousarray(batch))
    outputs = [triton.InferRequestedOutput(name) for name in (COUGH_OUTPUT, CLASS_OUTPUT)]
    # The deadline is also gRPC's deadline: Triton drops a request that is still in its queue after it.
    return {
        "model_name": MODEL_NAME,
        "inputs": [tensor],
        "outputs": outputs,
        "client_timeout": timeout_s,
        "headers": _trace_headers(),
    }


def _trace_headers() -> dict[str, str] | None:
    """Return the headers that make Triton's spans part of the running trace (W3C trace context); None where there are
    to be none.

    Triton 24.10 makes spans for each request whose context it can read, also where that says that it is not sampled.
    """
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return None
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def _scores(answer: triton.InferResult, n: int, contract: ModelContract) -> Scores:
    try:
        cough, classes = answer.as_numpy(COUGH_OUTPUT), answer.as_numpy(CLASS_OUTPUT)
    except (ValueError, TypeError, KeyError) as error:  # its bytes don't fit the shape or type that it names
        raise UnusableScores("The inference server answered what can't be read: check the model.") from error
    return checked_scores(cough, classes, n, contract)


def _is_draining(error: InferenceServerException) -> bool:
    status = str(error.status())
    stopping = "UNAVAILABLE" in status and _STOPPING in str(error.message())
    return stopping or "NOT_FOUND" in status or "CANCELLED" in status


def _serving_version(metadata: Any) -> str:
    return str(max((int(version) for version in metadata.versions), default=0))


def _translated(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except (InferenceServerException, grpc.RpcError) as error:
        raise _inference_error(error) from error


def _inference_error(error: Exception) -> InferenceError:
    """Return our error; gRPC's message may contain addresses, so it stays in the cause."""
    status = str(error.status()) if isinstance(error, InferenceServerException) else str(getattr(error, "code", str)())
    if "DEADLINE_EXCEEDED" in status:
        return InferenceTimeout(_TIMEOUT)
    return InferenceError(f"The inference server can't answer now ({status or 'no status'}): try again.")
