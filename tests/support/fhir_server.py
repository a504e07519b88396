"""A real FHIR server of others (sekmet-fhir) in its own process, with SMART Backend Services on."""

import base64
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from dicom_node.cli.demo_pacs import free_port
from hl7_emr.fhir.http import Tls
from hl7_emr.fhir.smart import SmartClient
from tests.support.hl7_peers import peers_dir
from tests.support.running import wait_until

SEKMET = str(peers_dir() / "bin" / "sekmet")
_LOADER = {"Authorization": "Basic " + base64.b64encode(b"loader:loader").decode()}


class FhirServer:
    """Listens on a free port of this machine; ``smart`` is how the node is registered with it.

    Parameters
    ----------
    folder : Path
        Where its database and its settings lie.
    scopes : str
        What the node's registration allows.
    certificate, key, authority : Path or None
        For https, and who signed it.
    """

    def __init__(
        self,
        folder: Path,
        scopes: str = "system/*.rs system/*.cud",
        certificate: Path | None = None,
        key: Path | None = None,
        authority: Path | None = None,
    ) -> None:
        self._folder = folder
        private_key = ec.generate_private_key(ec.SECP384R1())
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self.smart = SmartClient("emerald", pem, key_id="emerald-1", algorithm="ES384")
        public = json.loads(ECAlgorithm.to_jwk(private_key.public_key())) | {"kid": "emerald-1", "alg": "ES384"}
        port = free_port()
        self.base_url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}/fhir"
        self._tls = Tls(authority) if authority else None
        self._settings: dict[str, Any] = {
            "base_url": self.base_url,
            "host": "127.0.0.1",
            "port": port,
            "data_dir": str(folder),
            "tls_certfile": str(certificate) if certificate else None,
            "tls_keyfile": str(key) if key else None,
            "simulator": {"enabled": False},
            "validation": {"inbound": "warn"},
            "server_auth": {
                "types": ["basic", "smart"],
                "users": {"loader": "loader"},
                "smart_clients": [{"client_id": "emerald", "jwks": {"keys": [public]}, "scopes": scopes}],
            },
        }

    def load(self, bundle: dict[str, Any]) -> dict[str, Any]:
        """Send a transaction as the site's own system would."""
        with self._client() as client:
            answer = client.post(self.base_url, json=bundle, headers=_LOADER, timeout=120)
        assert answer.status_code == 200, answer.text[:2000]
        return answer.json()

    def get(self, path: str) -> dict[str, Any]:
        """Return what the server holds there."""
        with self._client() as client:
            answer = client.get(f"{self.base_url}/{path}", headers=_LOADER, timeout=30)
        assert answer.status_code == 200, answer.text[:2000]
        return answer.json()

    def __enter__(self) -> Self:
        settings = self._folder / "settings.yaml"
        settings.write_text(json.dumps(self._settings))  # JSON is YAML
        self._log = (self._folder / "server.log").open("wb")
        command = [SEKMET, "serve", "-c", str(settings)]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=self._log, stderr=self._log)
        wait_until(self._answers, 60, "the FHIR server answers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _client(self) -> httpx2.Client:
        return httpx2.Client(verify=self._tls.context() if self._tls else True, trust_env=False)

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return client.get(f"{self.base_url}/metadata", headers=_LOADER).status_code == 200
        except httpx2.TransportError:
            return False
