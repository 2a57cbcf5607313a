"""What is prepared -> a diagnosis: one gRPC request to a Triton, then the pure last step here."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opentelemetry.trace import SpanKind

from frontend.domain.deadline import Deadline
from frontend.inference.serving_model import ServingModel
from frontend.observability.tracing import span
from runtime.classify import AsyncClassifier
from runtime.conclude import conclude
from runtime.config import QualityLimits
from runtime.diagnosis import Diagnosis
from runtime.errors import InferenceError, InferenceTimeout
from runtime.prepare import Prepared

# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
_RPC = {"rpc.system": "grpc", "rpc.service": "inference.GRPCInferenceService", "rpc.method": "ModelInfer"}


@dataclass(frozen=True, slots=True)
class Scorer:
    """One model, and how its scores are judged. min_coughs: of `Limits`"""

    classifier: AsyncClassifier
    model: ServingModel
    quality_limits: QualityLimits
    min_coughs: int

    async def score(self, prepared: Prepared, deadline: Deadline) -> tuple[Diagnosis, bool]:
        """Score a recording; no inference starts after the deadline. The second value: whether it is the first one
        since the model was away.

        Raises: InferenceError; NotReady.
        """
        contract = self.model.contract()
        if deadline.passed:
            raise InferenceTimeout("The deadline passed before the inference server was asked.")
        started = time.perf_counter()
        try:
            with span("infer", SpanKind.CLIENT, _RPC) as asked:
                asked.set_attribute("tosia.model.version", contract.model.version)
                asked.set_attribute("tosia.spectrograms", len(prepared.spectrograms))
                scores = await self.classifier.classify(prepared.spectrograms, contract, deadline.remaining_s)
        except InferenceError as error:
            self.model.inference_failed(error)
            raise
        # Without any spectrogram, nobody was asked.
        first = len(prepared.spectrograms) > 0 and self.model.inference_succeeded()
        infer_ms = (time.perf_counter() - started) * 1000.0
        with span("conclude"):
            return conclude(prepared, scores, contract, self.quality_limits, self.min_coughs, infer_ms), first
