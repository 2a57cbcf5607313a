"""FFmpeg is let at sound only, and only at kinds of sound that telephones and recorders make."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from preprocess.decode import decode
from preprocess.decoders import ffmpeg
from preprocess.errors import UnsupportedMedia
from preprocess.formats.container import sniff
from tests.preprocess.recordings import LIMITS, by_ffmpeg, warble


def with_pictures(folder: Path) -> bytes:
    """A second of sound beside a picture that moves, as a telephone films."""
    path = folder / "film.mov"
    with av.open(str(path), "w", format="mov") as file:
        pictures = file.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for n in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * n, np.uint8), format="rgb24")
            frame.pts = n
            file.mux(pictures.encode(frame.reformat(format="yuv420p")))
        heard = (warble(16_000, 1.0) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(heard, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        file.mux(sound.encode(frame))
        file.mux(pictures.encode(None))
        file.mux(sound.encode(None))
    return path.read_bytes()


def test_no_decoder_of_pictures_is_opened_to_look_into_a_film(tmp_path: Path) -> None:
    """Where one is opened, FFmpeg knows the pictures' kind of colours."""
    data = with_pictures(tmp_path)
    assert decode(data, LIMITS).duration_s == pytest.approx(1.0, abs=0.01)
    with av.open(io.BytesIO(data), format="mov") as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"  # as PyAV does it by itself
    with ffmpeg._opened(data, sniff(data)) as file:
        assert file.streams.video[0].codec_context.pix_fmt is None


def test_a_kind_of_sound_that_no_telephone_makes_is_refused_by_name() -> None:
    data = by_ffmpeg(warble(8_000), 8_000, "matroska", "real_144")
    with pytest.raises(UnsupportedMedia, match="codec_unknown"):
        decode(data, LIMITS)


def test_every_decoder_that_is_let_exists() -> None:
    """A name with a fault in it would refuse recordings."""
    assert [name for name in sorted(ffmpeg._DECODERS) if av.Codec(name, "r").type != "audio"] == []
