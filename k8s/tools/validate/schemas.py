"""Kubernetes' own kinds, strictly and for two versions; custom kinds by their definitions; labels that Karpenter
refuses.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from packaging.version import Version

from k8s.tools.validate.objects import Bundle, Object, is_custom, title

WITHOUT_DEFINITION = {
    "cilium.io/v2 CiliumNetworkPolicy"
}  # shared/crds has no definition of it; only the other checks read it

Definitions = dict[tuple[str, str], Object]


@functools.cache
def versions() -> list[str]:
    """Return the two newest versions in kubernetes-validate."""
    known = {
        all_version.removesuffix("-strict").removesuffix("-local")
        for all_version in kubernetes_validate.utils.all_versions()
    }
    return sorted({".".join(item.lstrip("v").split(".")[:2]) for item in known}, key=Version)[-2:]


def built_in(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check Kubernetes' kinds strictly: an unknown field is an error, as in the API server."""
    for bundle in bundles:
        for item in bundle.objects:
            if not is_custom(item):
                for problem in _against_kubernetes(json.dumps(item)):
                    yield bundle.says(item, problem)


@functools.cache
def _against_kubernetes(text: str) -> tuple[str, ...]:
    """Check one object. text: the object as JSON; most objects are in several folders."""
    one, found = json.loads(text), []
    for version in versions():
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(step) for step in error.path)
            found.append(f"not as Kubernetes {version} has it, at {place or 'the top'}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"Kubernetes {version} has no {one.get('apiVersion')} {one.get('kind')}")
    return tuple(found)


@functools.cache
def read_definitions(folder: Path) -> Definitions:
    """Return (apiVersion, kind) -> schema, adapted to jsonschema as in shared/crds/README.md."""
    found: Definitions = {}
    for file in sorted(folder.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]
        for version in definition["spec"]["versions"]:
            if version["served"]:
                schema = _closed(version["schema"]["openAPIV3Schema"])
                properties = schema.setdefault("properties", {})
                for name in ("apiVersion", "kind", "metadata"):
                    properties[name] = {}
                found[f"{group}/{version['name']}", kind] = schema
    return found


def custom(bundles: Sequence[Bundle], definitions: Definitions) -> Iterator[str]:
    """Check custom kinds. A missing definition is also an error; otherwise a wrong apiVersion would pass."""
    for bundle in bundles:
        for item in filter(is_custom, bundle.objects):
            name = f"{item.get('apiVersion')} {item.get('kind')}"
            schema = definitions.get((str(item.get("apiVersion")), str(item.get("kind"))))
            if schema is None:
                if name not in WITHOUT_DEFINITION:
                    yield bundle.says(item, f"{name} is not among the definitions of custom kinds")
                continue
            for error in sorted(jsonschema.Draft7Validator(schema).iter_errors(item), key=str):
                place = ".".join(str(step) for step in error.path)
                yield bundle.says(item, f"not as its definition has it, at {place or 'the top'}: {error.message[:300]}")


def karpenter(bundles: Sequence[Bundle], definitions_folder: Path) -> Iterator[str]:
    """Check labels that the API server refuses by rules (CEL) outside the schema; the rules are read from the
    definition.

    Raises: ValueError where the definition has no such rules, so that the check never passes without rules.
    """
    allowed = _allowed_labels(definitions_folder / "karpenter.sh_nodepools.yaml")
    if "karpenter.azure.com" not in allowed:
        raise ValueError("the definition of NodePool has no rules on labels that we can read")
    for bundle in bundles:
        for pool in bundle.of("NodePool"):
            template = pool["spec"]["template"]
            keys = [requirement["key"] for requirement in template["spec"].get("requirements", [])]
            for key in (*keys, *template.get("metadata", {}).get("labels", {})):
                for restricted, names in allowed.items():
                    if key == restricted or (key.partition("/")[0].endswith(restricted) and key not in names):
                        yield bundle.says(pool, f"{key} is not a label that {restricted} lets one ask for")
            for requirement in template["spec"].get("requirements", []):
                if requirement["operator"] == "In" and not requirement.get("values"):
                    yield bundle.says(pool, f"the requirement {requirement['key']} has no values")


@functools.cache
def _allowed_labels(file: Path) -> dict[str, set[str]]:
    text = file.read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    rule = r'in \[([^\]]+)\] \|\| !\w+\.find\("[^"]*"\)\.endsWith\("([^"]+)"\)'
    for listed, domain in re.findall(rule, text):
        found.setdefault(domain, set()).update(re.findall(r'"([^"]+)"', listed))
    for name in re.findall(r"(?:x|self) != [\"']([^\"'\s]+)[\"']", text):
        found.setdefault(name, set())
    return found


def _closed(schema: Any) -> Any:
    """Close objects with properties, and write int-or-string and nullable as jsonschema does; objects that preserve
    fields stay open.
    """
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {
        key: _closed(value)
        for key, value in schema.items()
        if not key.startswith("x-") and key not in ("nullable", "format")
    }
    if isinstance(schema.get("properties"), dict):
        out["properties"] = {key: _closed(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            out["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
        out.pop("anyOf", None)
        pattern = out.pop("pattern", None)
        out["anyOf"] = [{"type": "integer"}, {"type": "string", **({"pattern": pattern} if pattern else {})}]
    if schema.get("nullable"):
        out = {"anyOf": [out, {"type": "null"}]}
    return out


def names(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that no object is in a folder twice, and that namespaces and names are valid."""
    for bundle in bundles:
        seen: set[tuple[str, str, str]] = set()
        for item in bundle.objects:
            metadata = item.get("metadata") or {}
            key = (str(item.get("kind")), str(metadata.get("namespace")), str(metadata.get("name")))
            if key in seen:
                yield bundle.says(item, "is there twice")
            seen.add(key)
            if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", str(metadata.get("name"))):
                yield f"{bundle.name}: {title(item)}: not a name that Kubernetes takes"
