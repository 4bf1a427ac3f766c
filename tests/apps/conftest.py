"""What the tests of `svc serve` share: certificates, and HTTP without a browser."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from harness.tools import require


class Certificate(NamedTuple):
    """A self-signed certificate for 127.0.0.1 and localhost; `encrypted` is its key with a password."""

    cert: Path
    key: Path
    encrypted: Path


PASSWORD = "open sesame"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "key.pem", folder / "encrypted.pem")
    openssl = require("openssl")
    _run(
        *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"),
        *("-keyout", str(made.key), "-out", str(made.cert)),
    )
    _run(
        *(openssl, "pkcs8", "-topk8", "-in", str(made.key), "-out", str(made.encrypted)),
        *("-passout", f"pass:{PASSWORD}"),
    )
    return made


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
