"""`python -m frontend rollout`: the steps of a rollout, taken by a person. Each is stored with who took it and why."""

from __future__ import annotations

import argparse
import getpass

from frontend.configuration.settings import Settings, SettingsError
from frontend.domain.deadline import Deadline
from frontend.domain.records import now
from frontend.domain.rollout import Release, RolloutEvent, Stage
from frontend.rollout.candidate import release_of
from frontend.services import Foundation, open_foundation
from frontend.stores.protocols import StaleRecord
from runtime.contract import ModelContract
from runtime.errors import InferenceError
from runtime.triton_classifier import AsyncTritonClassifier

STORE_S = 10.0
SHOWN = 20  # steps


CANDIDATE_MISSING = "CANDIDATE_TRITON_URL is missing: set it to the gRPC address of the candidate's Triton"
CANDIDATE_AWAY = (
    "The candidate's Triton does not answer at CANDIDATE_TRITON_URL, or serves nothing that fits: look at its log, "
    "then try again."
)


class StepRefused(Exception):
    """The step can't be taken; the message says what to do."""


async def rollout(settings: Settings, options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises: SettingsError, ConfigError, StoreUnavailable, ModelContractError.
    """
    foundation = open_foundation(settings)
    try:
        events = await foundation.stores.records.rollout_events(0, Deadline.after(STORE_S))
        stage, share = _step(options)
        if stage is None:
            _show(events)
            return 0
        try:
            event = await _event(foundation, events, stage, share, options)
            await foundation.stores.records.add_rollout_event(event, len(events), Deadline.after(STORE_S))
        except StepRefused as error:
            print(error)
            return 1
        except StaleRecord:
            print("Somebody took another step meanwhile: look at --status, then try again.")
            return 1
        print(_line(event))
        return 0
    finally:
        await foundation.stores.close()


def _step(options: argparse.Namespace) -> tuple[Stage | None, float]:
    if options.shadow is not None:
        return Stage.SHADOW, options.shadow
    if options.canary is not None:
        return Stage.CANARY, options.canary
    if options.promote:
        return Stage.PROMOTED, 1.0
    return (Stage.STOPPED, 0.0) if options.stop else (None, 0.0)


async def _event(
    foundation: Foundation, events: list[RolloutEvent], stage: Stage, share: float, options: argparse.Namespace
) -> RolloutEvent:
    last = events[-1] if events else None
    if stage is Stage.STOPPED:
        if last is None or last.stage is Stage.STOPPED:
            raise StepRefused("No rollout is on: there is nothing to stop.")
        candidate = last.candidate  # it may be away: that must not keep anybody from stopping it
    else:
        candidate = release_of(await _contract(foundation))
    if stage is Stage.PROMOTED and (last is None or last.stage is not Stage.CANARY or last.candidate != candidate):
        raise StepRefused("Only a candidate that is a canary can be promoted: begin with --canary 0.05.")
    bounds = {
        name: value
        for name, value in (("max_flip_share", options.max_flips), ("max_shift_share", options.max_shifts))
        if value is not None
    }
    return RolloutEvent(now(), options.by or _user(), stage, candidate, share, options.why or "", bounds=bounds)


async def _contract(foundation: Foundation) -> ModelContract:
    """Ask the candidate's Triton what it serves. Raises: SettingsError, StepRefused, ModelContractError."""
    if not foundation.settings.candidate_triton_url:
        raise SettingsError(CANDIDATE_MISSING)
    classifier = AsyncTritonClassifier(foundation.settings.candidate_triton_url)
    try:
        contract = await classifier.contract()
        foundation.check_candidate(contract)
    except InferenceError as error:
        raise StepRefused(CANDIDATE_AWAY) from error
    finally:
        await classifier.close()
    return contract


def _show(events: list[RolloutEvent]) -> None:
    if not events:
        print("There has been no rollout.")
    for event in events[-SHOWN:]:
        print(_line(event))


def _line(event: RolloutEvent) -> str:
    share = f" of {event.share:.1%} of the calls" if event.stage in (Stage.SHADOW, Stage.CANARY) else ""
    why = f": {event.why}" if event.why else ""
    counts = ", ".join(
        f"{event.figures[name]:.0f} of {event.figures[f'{name}_of']:.0f} {name}"
        for name in event.figures
        if f"{name}_of" in event.figures
    )
    figures = f" ({counts})" if counts else ""
    figures += "".join(f", {name} {value:g}" for name, value in event.bounds.items())
    return f"{event.at}  {event.stage.value}{share}, {_name(event.candidate)}, by {event.by}{why}{figures}"


def _name(release: Release) -> str:
    return f"release {release.version} ({release.sha256[:8]}, preparation {release.preprocess_sha256[:8]})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
