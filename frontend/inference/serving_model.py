"""The served model, and whether its parameters equal ours; the front end is ready only after they were found equal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from frontend.domain.errors import NotReady
from runtime.classify import AsyncClassifier, blank_batch
from runtime.contract import ModelContract
from runtime.errors import InferenceError, ModelContractError, UnusableScores

WATCH_S = 1.0
TRIAL_S = 2.0  # for one spectrogram; a few ms are usual

_log = logging.getLogger("tosia.serving_model")


class ServingModel:
    """Watches the model behind Triton.

    Calls are refused until its contract is read, and while its contract differs from ours. If Triton goes away, the
    last contract stays valid: calls are then stored and finished later. Triton calls a model ready whose process has
    died, so after an inference that failed the model is available again when it has scored a blank spectrogram. If
    Triton may sleep (be scaled to zero) and was not reached yet, the release's own contract is valid, but no call is
    scored by it.
    """

    def __init__(
        self,
        classifier: AsyncClassifier,
        check: Callable[[ModelContract], None],
        *,
        expected: ModelContract | None = None,
        name: str = "inference",
        trial_s: float = TRIAL_S,
    ) -> None:
        """check: raises ModelContractError where a contract can't be served with our parameters.

        expected: where Triton may sleep, the contract of the release that it will serve, already checked.
        name: in log lines; trial_s: in which a model must score a blank spectrogram after it has failed
        """
        self._classifier = classifier
        self._check = check
        self._name = name
        self._trial_s = trial_s
        self._expected = expected
        self._differs = False
        self._contract: ModelContract | None = None
        self._why_not: NotReady | ModelContractError = NotReady("triton_not_seen")
        self._suspect = False  # the last inference failed
        self._unusable = False  # its scores could not be used
        self._scored = False  # since it was last away
        self.available = False

    def inference_failed(self, error: InferenceError) -> None:
        """Note that a recording could not be scored; `look` then tries the model itself."""
        self._suspect = True
        if isinstance(error, UnusableScores) and not self._unusable:
            self._unusable = True
            _log.error("%s: scores of the model can't be used: %s", self._name, error)

    def inference_succeeded(self) -> bool:
        """Note that a recording was scored. Return whether it is the first one since the model was away."""
        first, self._scored = not self._scored, True
        self._suspect = self._unusable = False
        return first

    def known(self) -> ModelContract:
        """Return the contract that is served, or will be after Triton's sleep: enough to accept calls.

        Raises: NotReady with the reason.
        """
        if self._contract is None and self._expected is not None and not self._differs:
            return self._expected
        return self.contract()

    def contract(self) -> ModelContract:
        """Return the contract that Triton itself sent.

        Raises: NotReady with the reason; InferenceError while it sleeps.
        """
        if self._contract is not None:
            return self._contract
        if self._expected is not None and not self._differs:
            raise InferenceError("Triton has not been seen yet: it may be asleep.")
        raise NotReady("because", reason=self._why_not)

    async def look(self) -> None:
        """Ask Triton for its contract once, and store the answer."""
        try:
            contract = await self._classifier.contract(timeout_s=2.0)
            self._check(contract)
        except InferenceError:
            self._differs = False  # the mismatching model is gone; re-check the next one
            self._set_available(False)
        except ModelContractError as error:
            self._contract, self._why_not, self._differs = None, error, True
            self._set_available(False)
        else:
            self._differs = False
            if contract != self._contract:  # the known one keeps what it has worked out
                self._contract = contract
            self._set_available(await self._classifier.is_ready() and await self._can_score(contract))

    async def watch(self) -> None:
        """Call `look` repeatedly until cancelled."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                try:
                    await self.look()
                except Exception:  # noqa: BLE001 - a defect of ours must not end the watch
                    _log.exception("looking at the model failed")
                await asyncio.sleep(WATCH_S)

    async def _can_score(self, contract: ModelContract) -> bool:
        if not self._suspect:
            return True
        try:
            await self._classifier.classify(blank_batch(contract), contract, self._trial_s)
        except InferenceError:
            return False
        self._suspect = False
        return True

    def _set_available(self, available: bool) -> None:
        if available != self.available:
            _log.info("%s is %s", self._name, "available" if available else "away")
            self._scored = self._scored and available
        self.available = available
