"""Stage 1, decode: a track of MP4 played by its edit list (ISO 14496-12, section 8.6.6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from preprocess.decoders.pieces import DecodeLimits, Gap, Piece
from preprocess.formats.mp4 import Edit


def edited(piece: Piece, edits: list[Edit], limits: DecodeLimits) -> Piece:
    """Play a whole track by its edit list. Raises: AudioTooLong, before memory is taken for it."""
    rate, total = piece.sample_rate_hz, piece.samples.shape[1]
    spans: list[tuple[int, int] | int] = []
    count = 0
    for edit in edits:
        if edit.start_s is None:
            n = round(edit.duration_s * rate)
            spans += [n] if count else []  # a pause in front is no part of the recording
            count += n if count else 0
        else:
            start = min(round(edit.start_s * rate), total)
            end = min(start + round(edit.duration_s * rate), total) if edit.duration_s else total
            spans.append((start, end))
            count += end - start
        limits.check_count(count, rate)
    samples = np.zeros((len(piece.samples), count), dtype=np.float32)
    gaps, at = [], 0
    for span in spans:
        if isinstance(span, int):
            gaps.append(Gap(at, at + span, lost=False))
            at += span
        else:
            start, end = span
            samples[:, at : at + end - start] = piece.samples[:, start:end]
            inside = (replace(gap, start=max(gap.start, start), end=min(gap.end, end)) for gap in piece.gaps)
            shift = at - start
            gaps += [
                replace(one, start=one.start + shift, end=one.end + shift) for one in inside if one.end > one.start
            ]
            at += end - start
    return replace(piece, samples=samples, gaps=tuple(gaps))
