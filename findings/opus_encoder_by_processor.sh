#!/usr/bin/env bash
# Guess: libopus encodes the same samples to the same bytes on every x86-64 processor.
# What happens: in CELT mode it does not. The x86 build searches pulses with the processor's estimates of a reciprocal
# and of a reciprocal square root (rcpps, rsqrtps), whose bits the architecture does not fix: Intel's, AMD's and an
# emulator's differ. In SILK mode the bytes are the same; forward error correction with expected loss keeps the
# encoder there. Decoding is not affected. Seen with PyAV 18.1.0 (libopus inside), Intel against qemu-user-static 7.2
# as an AMD EPYC (Milan):
#   audio, 32 kbit/s: other bytes; voip, fec, 10 % loss, wideband: same bytes
# Needs Debian's qemu-user-static.
set -euo pipefail
command -v qemu-x86_64-static >/dev/null || { echo "install Debian's qemu-user-static" >&2; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv --copies "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cat > "$folder/encode.py" <<'PY'
import hashlib
import av
import numpy as np
# Integers of a generator: the same everywhere.
samples = (np.random.default_rng(0).standard_normal(3 * 48_000) * 6000).astype(np.int16)
for options in ({"application": "audio"}, {"application": "voip", "fec": "1", "packet_loss": "10", "cutoff": "8000"}):
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate, encoder.options = 32_000, options
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = 48_000, 0
    digest = hashlib.sha256()
    for packet in [*encoder.encode(frame), *encoder.encode(None)]:
        digest.update(bytes(packet))
    print(digest.hexdigest())
PY
python=$("$folder/venv/bin/python" -c 'import sys; print(sys.executable)')
mapfile -t here < <("$python" "$folder/encode.py")
mapfile -t there < <(qemu-x86_64-static -cpu EPYC-Milan "$python" -W ignore "$folder/encode.py" 2>/dev/null)
[ "${here[0]}" = "${there[0]}" ] && celt=same || celt=other
[ "${here[1]}" = "${there[1]}" ] && silk=same || silk=other
echo "audio, 32 kbit/s: $celt bytes; voip, fec, 10 % loss, wideband: $silk bytes"
[ "$celt $silk" = "other same" ]
