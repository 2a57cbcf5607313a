"""Nothing that is imported here reports on its user.

Wheels of ONNX Runtime from 1.29 on keep a device's id and a database of events in the home folder and send them, unless
they are told not to before they are imported (seen with 1.31.1; docs/decisions/0003-dependencies.md).
"""

import os

VARIABLE = "ORT_DISABLE_TELEMETRY"
os.environ[VARIABLE] = "1"
