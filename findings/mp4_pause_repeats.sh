#!/usr/bin/env bash
# Guess: FFmpeg plays an MP4 whose edit list has a pause (an empty edit) between two parts as part, pause, part.
# What happens: for sound without a picture the pause is not played, and the time that it would have taken is filled by
# playing the beginning of the file again. The option ignore_editlist gives the whole track.
# Seen with PyAV 18.1.0 (FFmpeg 8.1.2): bursts at 1, 4 and 7 s, list "3 s, 2 s pause, 7 s": right 1, 6, 9; found 1, 4,
# 6, 9.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 av==18.1.0
"$folder/venv/bin/python" - <<'PY'
import struct, tempfile
from pathlib import Path
import av, numpy as np
RATE = 44_100
samples = np.zeros((1, 10 * RATE), dtype=np.float32)
for second in (1, 4, 7):
    samples[0, second * RATE : second * RATE + RATE // 5] = 0.3 * np.sin(np.arange(RATE // 5) * 0.1)
path = Path(tempfile.mkdtemp()) / "note.mp4"
with av.open(str(path), "w", format="mp4") as file:
    stream = file.add_stream("aac", rate=RATE, layout="mono")
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = RATE, 0
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
data = bytearray(path.read_bytes())
at = data.index(b"elst") - 4
old = struct.unpack_from(">I", data, at)[0]
entries = [(3000, 1024), (2000, -1), (7000, 1024 + 3 * RATE)]
edits = b"elst" + struct.pack(">II", 0, 3) + b"".join(struct.pack(">Iihh", *entry, 1, 0) for entry in entries)
edits = struct.pack(">I", len(edits) + 4) + edits
for name in (b"moov", b"trak", b"edts"):
    box = data.index(name) - 4
    struct.pack_into(">I", data, box, struct.unpack_from(">I", data, box)[0] + len(edits) - old)
data[at : at + old] = edits
path.write_bytes(data)
with av.open(str(path)) as file:
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
loud = np.flatnonzero(np.abs(decoded) > 0.1)
onsets = [round(float(start) / RATE, 1) for start in loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > RATE // 3)]]
print("right: [1.0, 6.0, 9.0]; found:", onsets, f"; {len(decoded) / RATE:.1f} s")
assert onsets != [1.0, 6.0, 9.0], "FFmpeg now plays the pause"
assert onsets == [1.0, 4.0, 6.0, 9.0], onsets
PY
