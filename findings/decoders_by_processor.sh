#!/usr/bin/env bash
# Guess: a file decodes to the same samples on every x86-64 processor.
# What happens: decoders choose code by processor. FFmpeg's AAC (as its AC-3, Vorbis and WMA: a cosine transform in
# floats) gives other last bits without FMA; libsndfile's MP3 (mpg123) without AVX, for two channels and not for one.
# FFmpeg's fixed-point `aac_fixed` and `mp3`, and its `mp3float`, give the same bits, as do libopus, libvorbis in
# libsndfile, and everything without loss.
# Seen with PyAV 18.1.0 (FFmpeg 8.1.2) and soundfile 0.14.0 (libsndfile 1.2.2), qemu-user-static 7.2 as a Nehalem
# against a Haswell:
#   aac: other; aac_fixed: same; mp3float: same; libsndfile mp3, 2 channels: other; libsndfile mp3, 1 channel: same
# Needs Debian's qemu-user-static.
set -euo pipefail
command -v qemu-x86_64-static >/dev/null || { echo "install Debian's qemu-user-static" >&2; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv --copies "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 soundfile==0.14.0 numpy==2.4.6
cat > "$folder/encode.py" <<'PY'
import sys
import av
import numpy as np
import soundfile
folder = sys.argv[1]
sound = (np.random.default_rng(0).standard_normal((2, 44_100)) * 0.1).astype(np.float32)
for codec, container, form in (("aac", "adts", "fltp"), ("libmp3lame", "mp3", "fltp")):
    with av.open(f"{folder}/{codec}", "w", format=container) as file:
        stream = file.add_stream(codec, rate=44_100, layout="stereo")
        stream.bit_rate = 96_000
        frame = av.AudioFrame.from_ndarray(sound, format=form, layout="stereo")
        frame.sample_rate, frame.pts = 44_100, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
for channels in (1, 2):
    soundfile.write(f"{folder}/mp3-{channels}", sound[:channels].T, 44_100, format="MP3", subtype="MPEG_LAYER_III")
PY
cat > "$folder/decode.py" <<'PY'
import hashlib
import sys
import av
import numpy as np
import soundfile
folder = sys.argv[1]
def ffmpeg(name, decoder):
    digest = hashlib.sha256()
    with av.open(f"{folder}/{name}") as file:
        stream = file.streams.audio[0]
        codec = av.CodecContext.create(decoder, "r")
        codec.extradata, codec.sample_rate, codec.layout = stream.codec_context.extradata, 44_100, "stereo"
        for packet in file.demux(stream):
            for frame in codec.decode(packet):
                digest.update(np.ascontiguousarray(frame.to_ndarray()).tobytes())
    return digest.hexdigest()
def libsndfile(name):
    return hashlib.sha256(soundfile.read(f"{folder}/{name}", dtype="float32")[0].tobytes()).hexdigest()
print(ffmpeg("aac", "aac"), "aac")
print(ffmpeg("aac", "aac_fixed"), "aac_fixed")
print(ffmpeg("libmp3lame", "mp3float"), "mp3float")
print(libsndfile("mp3-2"), "libsndfile mp3, 2 channels")
print(libsndfile("mp3-1"), "libsndfile mp3, 1 channel")
PY
"$folder/venv/bin/python" "$folder/encode.py" "$folder"
for processor in Nehalem Haswell; do
  qemu-x86_64-static -cpu "$processor" "$folder/venv/bin/python" -W ignore "$folder/decode.py" "$folder" \
    > "$folder/$processor" 2>/dev/null
done
found=$(paste -d' ' <(cut -d' ' -f1 "$folder/Nehalem") "$folder/Haswell" |
  while read -r one other name; do [ "$one" = "$other" ] && echo "$name: same" || echo "$name: other"; done |
  paste -sd';' | sed 's/;/; /g')
echo "$found"
wanted="aac: other; aac_fixed: same; mp3float: same; "
wanted+="libsndfile mp3, 2 channels: other; libsndfile mp3, 1 channel: same"
[ "$found" = "$wanted" ]
