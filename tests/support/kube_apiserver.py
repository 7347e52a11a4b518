"""A real Kubernetes API server with its etcd, on loopback, ended by process id; no controllers, no nodes.

The programs are looked for where Kubernetes' own test environment has them: in the folder ``KUBEBUILDER_ASSETS``
(``kube-apiserver``, ``etcd``, ``kubectl``), or on the PATH.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from support.http_service import make_certificates
from support.sshd import free_port

from lifeboat.adapters.http_session import BearerToken, Endpoint

_PATH = os.pathsep.join(filter(None, [os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH")]))
KUBE_APISERVER, ETCD, KUBECTL = (
    shutil.which(name, path=_PATH) for name in ("kube-apiserver", "etcd", "kubectl")
)
ADMINISTRATOR = "the-administrators-token"
START_LIMIT = 120
"""Seconds; about 5 on two idle cores."""


@dataclass
class ApiServer:
    """One cluster. Objects go in and out with ``kubectl``, as its administrator."""

    home: Path
    services: str = "10.0.0.0/24"
    """What addresses services get."""
    port: int = field(default_factory=free_port)
    etcd_port: int = field(default_factory=free_port)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> str:
        return str(self.home / "ca.pem")

    def endpoint(self, token: str, **changes: Any) -> Endpoint:
        settings = {"url": self.url, "credential": BearerToken(token), "ca_file": self.ca_file}
        return Endpoint(**{**settings, "first_wait": 0.05, **changes})

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """What kubectl says. Raises ``AssertionError`` with its complaint."""
        assert KUBECTL
        done = subprocess.run(
            [
                KUBECTL,
                f"--server={self.url}",
                f"--certificate-authority={self.ca_file}",
                f"--token={ADMINISTRATOR}",
                *arguments,
            ],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def forget_the_past(self) -> None:
        """Compact etcd to the present, as it does by itself every five minutes: older continue tokens expire."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.etcd_port}") as etcd:
            revision = etcd.post("/v3/kv/range", json={"key": "AA=="}).json()["header"]["revision"]
            etcd.post("/v3/kv/compaction", json={"revision": revision, "physical": True}).raise_for_status()

    def start(self) -> None:
        assert KUBE_APISERVER
        assert ETCD
        make_certificates(self.home)
        key = rsa.generate_private_key(65537, 2048)
        (self.home / "accounts.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.home / "tokens.csv").write_text(f"{ADMINISTRATOR},admin,admin,system:masters\n")
        peers = f"http://127.0.0.1:{free_port()}"
        clients = f"http://127.0.0.1:{self.etcd_port}"
        self._run(
            ETCD,
            f"--data-dir={self.home / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        )
        self._run(
            KUBE_APISERVER,
            f"--etcd-servers={clients}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.home / 'server.pem'}",
            f"--tls-private-key-file={self.home / 'server.pem'}",
            f"--cert-dir={self.home}",
            f"--token-auth-file={self.home / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.home / 'accounts.pem'}",
            f"--service-account-signing-key-file={self.home / 'accounts.pem'}",
            f"--service-cluster-ip-range={self.services}",
            "--endpoint-reconciler-type=none",  # it does not take an address on loopback
            "--disable-admission-plugins=ServiceAccount",  # no controller makes the accounts that it asks for
        )
        self._wait()

    def _run(self, *command: str) -> None:
        log = (self.home / f"{Path(command[0]).name}.log").open("wb")
        self._processes.append(subprocess.Popen(command, cwd=self.home, stdout=log, stderr=log))

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._processes):
                break
            with contextlib.suppress(AssertionError):
                self.kubectl("get", "--raw=/readyz")
                # Its roles are made by itself, after it is ready.
                self.kubectl("get", "clusterrolebinding", "system:discovery", "system:basic-user")
                self.kubectl("get", "namespace", "default")
                return
            time.sleep(0.2)
        raise RuntimeError((self.home / "kube-apiserver.log").read_text()[-2000:])

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def running_api_server(home: Path, services: str = "10.0.0.0/24") -> Iterator[ApiServer]:
    server = ApiServer(home, services)
    try:
        server.start()
        yield server
    finally:
        server.stop()
