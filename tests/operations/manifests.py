"""The manifests of `k8s/` as kustomize renders them, and ways to find things in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
K8S = ROOT / "k8s"
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))

Manifest = dict[str, Any]

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in C, where PyYAML was built with it: ten times faster."""


def kustomize() -> list[str]:
    """The command that renders. Without one the test is skipped; under CI=true it fails."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    reason = "neither kubectl (1.27 or newer) nor kustomize is installed"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _render(directory: Path, command: tuple[str, ...]) -> str:
    done = subprocess.run([*command, str(directory)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render_text(directory: Path) -> str:
    return _render(directory, tuple(kustomize()))


def render(directory: Path) -> list[Manifest]:
    """All manifests of one kustomization."""
    return [each for each in yaml.load_all(render_text(directory), LOADER) if each]


def overlay(name: str) -> list[Manifest]:
    return render(K8S / "overlays" / name)


def one(manifests: list[Manifest], kind: str, name: str = "svc") -> Manifest:
    """The manifest of that kind and name (generated ones: up to their hash)."""
    found = [m for m in manifests if m["kind"] == kind and plain(m) == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def plain(manifest: Manifest) -> str:
    """The name without the hash that generators append."""
    name: str = manifest["metadata"]["name"]
    head, _, tail = name.rpartition("-")
    return head if manifest["kind"] in ("ConfigMap", "Secret") and len(tail) == 10 else name


def pod_templates(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """(name of the workload, pod template) of everything that makes pods."""
    for manifest in manifests:
        match manifest["kind"]:
            case "Deployment" | "StatefulSet":
                yield manifest["metadata"]["name"], manifest["spec"]["template"]
            case "CronJob":
                yield manifest["metadata"]["name"], manifest["spec"]["jobTemplate"]["spec"]["template"]


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """The replicas' plain options by variable."""
    return dict(one(manifests, "ConfigMap")["data"])
