"""The input of a diagnosis: a recording and the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from preprocess.color import ColorSpecParams
from preprocess.formats.container import Container
from preprocess.mel import MelSpecParams
from preprocess.segment import SegmentationParams


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """One recording, and all parameters that determine its diagnosis besides the model.

    source_file: a path, the file's bytes, or a binary file (read from its current position to its end)
    container: of a recording without a header (`runtime.prepare.headerless`); None: the file says what it is
    """

    source_file: str | Path | bytes | BinaryIO
    segmentation_params: SegmentationParams
    mel_spec_params: MelSpecParams
    color_spec_params: ColorSpecParams
    container: Container | None = None

    def read(self) -> bytes:
        """Return the recording's bytes. Raises: OSError where a path can't be read."""
        if isinstance(self.source_file, bytes):
            return self.source_file
        if isinstance(self.source_file, str | Path):
            return Path(self.source_file).read_bytes()
        return self.source_file.read()
