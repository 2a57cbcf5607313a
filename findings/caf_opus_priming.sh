#!/usr/bin/env bash
# Guess: FFmpeg's demuxer for CAF leaves out the priming samples that the packet table names, in Opus as in AAC.
# What happens: the table counts in samples of the file's clock (24 kHz in messengers' voice notes), Opus decodes at
# 48 kHz, and FFmpeg leaves out as many samples as the number says, of 48 kHz: half of the priming stays, so sound comes
# 3 ms late.
# Seen with PyAV 18.1.0 (FFmpeg 8.1.2): 156 priming samples at 24 kHz are 312 at 48 kHz; 156 are left out.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 av==18.1.0
"$folder/venv/bin/python" - <<'PY'
import io, struct
import av, numpy as np
RATE, PRIMING = 24_000, 156
tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)[None]
buffer = io.BytesIO()
with av.open(buffer, "w", format="webm") as file:
    stream = file.add_stream("libopus", rate=48_000, layout="mono")
    frame = av.AudioFrame.from_ndarray(tone, format="flt", layout="mono")
    frame.sample_rate, frame.pts = 48_000, 0
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
buffer.seek(0)
with av.open(buffer) as file:
    packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
def chunk(name, body):
    return name + struct.pack(">q", len(body)) + body
def length(number):
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))
table = struct.pack(">qqii", len(packets), len(packets) * 480 - PRIMING, PRIMING, 0)
caf = (b"caff\0\1\0\0" + chunk(b"desc", struct.pack(">d4sIIIII", RATE, b"opus", 0, 0, 480, 1, 0))
       + chunk(b"pakt", table + b"".join(length(len(packet)) for packet in packets))
       + chunk(b"data", b"\0\0\0\1" + b"".join(packets)))
with av.open(io.BytesIO(caf), format="caf") as file:
    frames = list(file.decode(audio=0))
left_out = len(packets) * 960 - sum(frame.samples for frame in frames)
print(f"priming {PRIMING} at {RATE} Hz = {PRIMING * 48_000 // RATE} at 48 kHz; left out: {left_out}")
assert left_out == PRIMING, "FFmpeg now reads the packet table of Opus in CAF otherwise"
PY
