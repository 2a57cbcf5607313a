"""Run a command of this package: exit code 0, 1 or 2, and one line on stderr for an error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from export.errors import ExportError, OwnModelError, SettingsMissingError, UnavailableError
from runtime.errors import ConfigError, RuntimeFailure

Errors = tuple[type[Exception], ...]


def run_command(name: str, action: Callable[[], int], *, failures: Errors = (), settings: Errors = ()) -> int:
    """failures, settings: further errors that mean 1 (something is wrong) and 2 (the machine, its settings or what it
    was given must change).
    """
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # our sentence contains its information
    must_change: Errors = (SettingsMissingError, UnavailableError, OwnModelError, ConfigError, *settings)
    is_wrong: Errors = (ExportError, RuntimeFailure, *failures)
    try:
        return action()
    except must_change as error:
        return _say(name, str(error), 2)
    except is_wrong as error:
        return _say(name, str(error), 1)
    except OSError as error:
        # Only the file's name: a path may reveal the machine's owner.
        file = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
        return _say(name, f"{error.strerror or 'the file system failed'}{file}: mend that and run it again.", 1)
    except KeyboardInterrupt:
        return _say(name, "interrupted; what was selected before still is. Run it again.", 1)


def _say(name: str, words: str, code: int) -> int:
    print(f"{name}: {words}", file=sys.stderr)
    return code
