"""`python -m frontend.cli.write_openapi`: writes docs/openapi.json, without settings, stores or a server.

Exits 0; 1 where the file can't be written.
"""

from __future__ import annotations

import json
import sys

from frontend.app import described_routes
from runtime.config import ROOT

FILE = ROOT / "docs" / "openapi.json"


def text() -> str:
    """Return the correct text of docs/openapi.json."""
    return json.dumps(described_routes().openapi(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    try:
        FILE.write_text(text(), encoding="utf-8")
    except OSError as error:
        print(f"openapi: docs/{FILE.name} can't be written ({error.strerror}): check docs/.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
