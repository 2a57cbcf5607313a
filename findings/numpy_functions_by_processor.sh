#!/usr/bin/env bash
# Guess: numpy.log of the same float32 numbers has the same bits on every x86-64 processor.
# What happens: NumPy chooses code by processor; with AVX2 log, exp, sin and cos in float32 end in other last bits
# than without.
# Seen with numpy 2.4.6 on an Intel Xeon with AVX-512; NPY_DISABLE_CPU_FEATURES stands for an older processor:
#   log: 7166 of 100000 differ; exp: 39020; sin: 15411; cos: 15851; sqrt: 0   (the counts may be others on another
# processor)
# Needs a processor with AVX2. The fast code is documented to be within a few units in the last place; nothing is
# broken.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$folder/write.py" <<'PY'
import sys
import numpy as np
x = np.random.default_rng(0).uniform(0.1, 50.0, 100_000).astype(np.float32)
np.savez(sys.argv[1], **{name: getattr(np, name)(x) for name in ("log", "exp", "sin", "cos", "sqrt")})
PY
"$folder/venv/bin/python" "$folder/write.py" "$folder/here.npz"
NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR" \
  "$folder/venv/bin/python" -W ignore "$folder/write.py" "$folder/older.npz"
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
import numpy as np
here, older = (np.load(f"{sys.argv[1]}/{name}.npz") for name in ("here", "older"))
differ = {name: int((here[name] != older[name]).sum()) for name in here}
print("; ".join(f"{name}: {count} of 100000 differ" for name, count in differ.items()))
assert differ.pop("sqrt") == 0
assert all(count > 0 for count in differ.values()), "the bits no longer depend on the processor"
PY
