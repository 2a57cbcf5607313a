"""Nothing that is imported here reports on its user.

Wheels of ONNX Runtime from 1.29 on write a device's id and a database of events to the home folder and look up a host
for them, unless they are told not to before they are imported (seen with 1.29.0 and 1.31.1;
docs/decisions/0003-dependencies.md).
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
