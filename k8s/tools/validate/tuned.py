"""The settings of the front end or the intake in a folder, from its mounted file, variables and arguments, read as it
reads them.
"""

from __future__ import annotations

import contextlib
import io

from frontend.__main__ import parse_arguments
from frontend.cli.commands import given
from frontend.configuration.deadlines_limits_intervals import CONFIG_VARIABLE
from frontend.configuration.tuning import Tuning, read_tuning
from k8s.tools.validate.objects import Bundle, Object, Pod


def is_front_end(container: Object) -> bool:
    return bool(container.get("name") == "frontend")


def is_intake(container: Object) -> bool:
    """Whether it runs the front end's image as the intake: by its command, whatever it is called."""
    return "intake" in container.get("args", [])


def variables(bundle: Bundle, container: Object) -> dict[str, str]:
    """Return the variables in the manifests; secrets are not in manifests."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        name = (source.get("configMapRef") or {}).get("name", "")
        found.update((bundle.named("ConfigMap", name) or {}).get("data") or {})
    found.update(
        {item["name"]: item["value"] for item in container.get("env", []) if isinstance(item.get("value"), str)}
    )
    return found


def tuning_of(bundle: Bundle, pod: Pod, container: Object) -> tuple[Tuning | None, list[str]]:
    """Return the settings and all errors; None instead of the settings after an error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            options = parse_arguments(container.get("args", []))
        except SystemExit:
            return None, [f"its arguments are refused: {said.getvalue().strip().splitlines()[-1]}"]
    environ = variables(bundle, container)
    path = environ.get(CONFIG_VARIABLE, "")
    text = _mounted(bundle, pod, container, path) if path else None
    if path and text is None:
        return None, [f"{CONFIG_VARIABLE} names {path}, where no ConfigMap is mounted that has it"]
    return read_tuning(environ, given(options), operators=text)


def _mounted(bundle: Bundle, pod: Pod, container: Object, path: str) -> str | None:
    """Return the text of a file from a ConfigMap."""
    folder, _, name = path.rpartition("/")
    for mount in container.get("volumeMounts", []):
        for volume in pod.spec.get("volumes", []):
            if mount["mountPath"] == folder and volume["name"] == mount["name"] and "configMap" in volume:
                found = bundle.named("ConfigMap", volume["configMap"].get("name", ""))
                text = ((found or {}).get("data") or {}).get(name)
                return None if text is None else str(text)
    return None
