"""Annotates every replica's pod with its number of sessions, as the cost of deleting it.

Needs nothing but Python. Runs in a pod whose service account may list and patch pods.
"""

import json
import os
import pathlib
import ssl
import sys
import urllib.parse
import urllib.request

ACCOUNT = pathlib.Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = os.environ.get("API", "https://kubernetes.default.svc")
PORT = os.environ.get("METRICS_PORT", "9464")
SELECTOR = os.environ.get("SELECTOR", "app.kubernetes.io/name=svc,app.kubernetes.io/component=replica")
ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"


def ask_api(path: str, patch: object = None) -> dict:
    request = urllib.request.Request(API + path)
    request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text().strip()}")
    if patch is not None:
        request.method, request.data = "PATCH", json.dumps(patch).encode()
        request.add_header("Content-Type", "application/merge-patch+json")
    context = None
    if API.startswith("https:"):
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


def sessions_of(ip: str) -> int:
    with urllib.request.urlopen(f"http://{ip}:{PORT}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("svc_sessions{")))


def main() -> int:
    namespace = (ACCOUNT / "namespace").read_text().strip()
    pods = f"/api/v1/namespaces/{namespace}/pods"
    failed = 0
    for pod in ask_api(f"{pods}?labelSelector={urllib.parse.quote(SELECTOR)}")["items"]:
        name = pod["metadata"]["name"]
        try:
            cost = str(sessions_of(pod["status"]["podIP"]))
            if (pod["metadata"].get("annotations") or {}).get(ANNOTATION) != cost:
                ask_api(f"{pods}/{name}", {"metadata": {"annotations": {ANNOTATION: cost}}})
        except (OSError, KeyError) as error:  # a pod that starts or leaves
            sys.stderr.write(f"{name}: {error}\n")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
