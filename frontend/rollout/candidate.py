"""The candidate: a release behind a Triton of its own, with the preparation that it was trained with."""

from __future__ import annotations

from pathlib import Path

from frontend.domain.deadline import Deadline
from frontend.domain.rollout import Release
from frontend.inference.scoring import Scorer
from frontend.inference.worker_tasks import WorkerParameters
from frontend.inference.workers import Workers
from runtime.config import Limits, digest, parameters_in, preprocess_parameters
from runtime.contract import ModelContract, require_same_parameters
from runtime.diagnosis import Diagnosis
from runtime.errors import ConfigError, InferenceError, ModelContractError
from runtime.prepare import AudioFile, Prepared


class Candidate:
    """A scorer with parameters of its own, on the same workers."""

    def __init__(self, scorer: Scorer, workers: Workers, limits: Limits) -> None:
        self.scorer = scorer
        self._workers = workers
        self._limits = limits
        self._parameters: dict[str, WorkerParameters] = {}  # by their digest

    @property
    def available(self) -> bool:
        """Whether its Triton answered the last check and can score."""
        return self.scorer.model.available

    @property
    def release(self) -> Release | None:
        """Return what its Triton serves; None while that is not known."""
        return release_of(self.scorer.model.contract()) if self.available else None

    async def prepare(self, audio: AudioFile, release: Release, deadline: Deadline) -> Prepared:
        """Prepare a recording with the candidate's parameters. release: the one that is asked

        Raises: as `Workers.prepare`; InferenceError, also where its Triton serves another release by now; NotReady.
        """
        contract = self._contract(release)
        if contract.preprocess_sha256 not in self._parameters:
            self._parameters = {contract.preprocess_sha256: worker_parameters(contract, self._limits)}
        return await self._workers.prepare(audio, deadline, self._parameters[contract.preprocess_sha256])

    async def diagnose(self, audio: AudioFile, release: Release, deadline: Deadline) -> Diagnosis:
        """Prepare and score a recording. Raises: as `prepare`."""
        return await self.score(await self.prepare(audio, release, deadline), release, deadline)

    async def score(self, prepared: Prepared, release: Release, deadline: Deadline) -> Diagnosis:
        """Score what was prepared with the candidate's parameters. release: the one that is asked

        Raises: InferenceError, also where its Triton serves another release by now; NotReady.
        """
        self._contract(release)
        diagnosis, _ = await self.scorer.score(prepared, deadline)
        return diagnosis

    def _contract(self, release: Release) -> ModelContract:
        contract = self.scorer.model.contract()
        if release_of(contract) != release:
            raise InferenceError("The candidate's Triton serves another release by now.")
        return contract


def worker_parameters(contract: ModelContract, limits: Limits) -> WorkerParameters:
    """Return a contract's parameters as workers take them. Raises: ModelContractError where they are none of ours."""
    try:
        parameters = parameters_in(contract.preprocess, Path("preprocess"))
    except ConfigError as error:
        raise ModelContractError("model_parameter_unreadable") from error
    # A section that a newer front end would know must not be left out.
    require_same_parameters(contract.preprocess, preprocess_parameters(*parameters))
    return WorkerParameters.of(parameters, limits)


def release_of(contract: ModelContract) -> Release:
    """Return what a contract's diagnoses are made by."""
    thresholds = [contract.cough_threshold, contract.uncertain_threshold, contract.threshold_low]
    judged_by = [list(contract.labels), *thresholds, contract.threshold_high, contract.validated]
    return Release(contract.version, contract.model_sha256, contract.preprocess_sha256, digest(judged_by))
