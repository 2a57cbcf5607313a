"""Diagnose many files, one after the other: each gets a diagnosis, a line in the outcomes file and a figure."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runtime.atomic_write import atomic_write
from runtime.classify import Classifier
from runtime.cli.file_outcome import Outcome, failure, printable, too_large
from runtime.cli.outcomes_file import OutcomesFile
from runtime.config import load_config, load_limits
from runtime.diagnosis import Diagnosis
from runtime.errors import AudioError, InferenceError, OutputError
from runtime.execute import execute
from runtime.prepare import Container, headerless_by_name
from runtime.work_unit import WorkUnit

_STEM_BYTES = 200  # a file name may have 255 bytes, with our suffix


class DiagnoseFiles:
    """Diagnoses files with one classifier.

    outcomes: files with an outcome are not done again; new outcomes are added
    figures: the folder for figures; None: draw no figures
    Raises: ConfigError; ParametersDiffer, ModelContractError, InferenceError where the model can't be used at all.
    """

    def __init__(self, classifier: Classifier, outcomes: OutcomesFile | None, figures: Path | None) -> None:
        self._params = load_config()
        self._limits = load_limits()[1]
        classifier.contract().check_parameters(*self._params)
        self._classifier, self._outcomes, self._figures = classifier, outcomes, figures

    def outcome(self, file: Path) -> tuple[Outcome, bool]:
        """Return a file's outcome, and whether the outcome existed already.

        An error of the file, and a model that can't be reached now, are outcomes, too.
        Raises: OutputError; ConfigError, ModelContractError where configuration or model changes meanwhile.
        """
        most = self._limits.max_body_bytes
        try:
            with file.open("rb") as opened:
                data = opened.read(most + 1)  # reading a device would never end
        except OSError as error:
            return self._kept(Outcome(str(file), None, None, failure(error))), False
        if len(data) > most:
            return self._kept(Outcome(str(file), None, None, too_large(most))), False
        sha256 = hashlib.sha256(data).hexdigest()
        container = headerless_by_name(file.name)
        known = self._outcomes.find(str(file), sha256) if self._outcomes else None
        if known is not None:
            if known.diagnosis and self._figures and not figure_path(self._figures, file, sha256).exists():
                self._draw(figure_path(self._figures, file, sha256), data, known.diagnosis, container)
            return known, True
        try:
            diagnosis = execute(WorkUnit(data, *self._params, container), self._classifier)
        except (AudioError, InferenceError) as error:
            return self._kept(Outcome(str(file), sha256, None, failure(error))), False
        if self._figures:
            self._draw(figure_path(self._figures, file, sha256), data, diagnosis, container)
        return self._kept(Outcome(str(file), sha256, diagnosis, None)), False

    def _kept(self, outcome: Outcome) -> Outcome:
        if self._outcomes:
            self._outcomes.append(outcome)
        return outcome

    def _draw(self, path: Path, data: bytes, diagnosis: Diagnosis, container: Container | None) -> None:
        from runtime.figures.drawing import draw_figure  # noqa: PLC0415 - import matplotlib only for figures
        from runtime.figures.playback import at_model_rate  # noqa: PLC0415

        _, mel_spec, color_spec = self._params
        samples = at_model_rate(data, diagnosis, mel_spec, self._limits.decode, container)
        image = draw_figure(samples, diagnosis, mel_spec, color_spec)
        try:
            atomic_write(path, image)  # an existing figure is always whole
        except OSError as error:
            raise OutputError(f"{printable(str(path))} can't be written ({error.strerror}).") from error


def make_folder(folder: Path) -> None:
    """Make the folder. Raises: OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{printable(str(folder))} can't be made ({error.strerror}): give another --figure."
        ) from error


def figure_path(folder: Path, file: Path, sha256: str) -> Path:
    """Return NAME-DIGITS.png, with the first eight digits of the recording's SHA-256.

    Many recordings have the same name, and figures of another run must not be overwritten.
    """
    stem = file.stem.encode(errors="surrogateescape")[:_STEM_BYTES].decode(errors="replace")
    return folder / f"{stem}-{sha256[:8]}.png"
