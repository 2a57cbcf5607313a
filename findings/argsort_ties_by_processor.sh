#!/usr/bin/env bash
# Guess: numpy.argsort puts equal keys in the same order on every x86-64 processor, as it does every time on one.
# What happens: the default sort is vectorised where there is AVX2 (or AVX-512), and equal keys come out in another
# order there. Whoever takes "the ten loudest frames" of a recording with equally loud ones takes others on the next
# machine; kind="stable" agrees.
# Seen with numpy 2.4.6: default: other order; stable: same order. Needs a processor with AVX2.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$folder/write.py" <<'PY'
import sys
import numpy as np
energy = np.random.default_rng(0).integers(0, 20, 1000).astype(np.float32)
np.savez(sys.argv[1], default=np.argsort(energy), stable=np.argsort(energy, kind="stable"))
PY
"$folder/venv/bin/python" "$folder/write.py" "$folder/here.npz"
NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR" \
  "$folder/venv/bin/python" -W ignore "$folder/write.py" "$folder/older.npz"
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
import numpy as np
here, older = (np.load(f"{sys.argv[1]}/{name}.npz") for name in ("here", "older"))
same = {name: bool((here[name] == older[name]).all()) for name in here}
print("; ".join(f"{name}: {'same' if one else 'other'} order" for name, one in same.items()))
assert same == {"default": False, "stable": True}, "the order no longer depends on the processor"
PY
