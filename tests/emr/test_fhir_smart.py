"""SMART Backend Services and mutual TLS, with servers that look at what we show."""

import ssl
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hl7_emr.errors import FhirError, Unreachable
from hl7_emr.fhir.client import Endpoint, FhirClient
from hl7_emr.fhir.http import Http, Tls
from hl7_emr.fhir.smart import BackendServices, SmartClient
from tests.support.certificates import Authority
from tests.support.fhir_bundles import BASE, client, searchset

KEY = ec.generate_private_key(ec.SECP384R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
TOKEN_URL = "https://login.example/token"


class Server:
    """Answers searches to who has the latest token, and keeps each request for one."""

    def __init__(self, lifetime=300, refuses=(), discovery=None):
        self.lifetime, self.refuses = lifetime, refuses
        self.discovery = {"token_endpoint": TOKEN_URL} if discovery is None else discovery
        self.forms, self.tokens_seen, self.revoked = [], [], set()

    def __call__(self, request):
        if request.url.path.endswith("smart-configuration"):
            return httpx2.Response(200, json=self.discovery)
        if str(request.url) == TOKEN_URL:
            return self._token(request)
        token = request.headers["Authorization"]
        self.tokens_seen.append(token)
        return httpx2.Response(401, json={}) if token in self.revoked else httpx2.Response(200, json=searchset())

    def _token(self, request):
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.forms.append(form)
        if form["scope"].endswith(self.refuses):
            return httpx2.Response(400, json={"error": "invalid_scope"})
        content = {"access_token": f"token-{len(self.forms)}", "token_type": "bearer", "expires_in": self.lifetime}
        return httpx2.Response(200, json=content)


def asking(server, clock=lambda: 1_800_000_000.0, **more):
    smart = SmartClient("emerald", PEM, key_id="k1", algorithm="ES384", reads=("Patient", "Observation"), **more)
    return client(server, authorization=BackendServices(BASE, smart, clock))


def ask(asker, times=1):
    for _ in range(times):
        asker.search("Patient", {"identifier": "a|1"}, asker.budget())


def test_the_assertion_is_what_the_profile_asks_for():
    server = Server()
    ask(asking(server))

    (form,) = server.forms
    assertion = form["client_assertion"]
    claims = jwt.decode(
        assertion,
        KEY.public_key(),
        algorithms=["ES384"],
        audience=TOKEN_URL,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (claims["iss"], claims["sub"]) == ("emerald", "emerald")
    assert 0 < claims["exp"] - 1_800_000_000 <= 300
    assert jwt.get_unverified_header(assertion)["kid"] == "k1"
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["scope"] == "system/Patient.rs system/Observation.rs"


def test_each_assertion_is_new_and_a_token_serves_until_shortly_before_its_end():
    server, now = Server(lifetime=100), [1_800_000_000.0]
    asker = asking(server, clock=lambda: now[0])

    ask(asker, times=3)
    now[0] += 75
    ask(asker)

    assert server.tokens_seen == ["Bearer token-1"] * 3 + ["Bearer token-2"]
    ids = {jwt.decode(form["client_assertion"], options={"verify_signature": False})["jti"] for form in server.forms}
    assert len(ids) == 2


def test_a_server_of_the_older_scopes_is_asked_in_its_words():
    server = Server(refuses=".rs")
    ask(asking(server))

    assert [form["scope"].split()[0] for form in server.forms] == ["system/Patient.rs", "system/Patient.read"]


def test_a_refused_token_is_renewed_once():
    server = Server()
    server.revoked = {"Bearer token-1"}
    ask(asking(server))
    assert server.tokens_seen == ["Bearer token-1", "Bearer token-2"]

    server = Server()
    server.revoked = {"Bearer token-1", "Bearer token-2"}
    with pytest.raises(FhirError, match="401"):
        ask(asking(server))
    assert len(server.forms) == 2


@pytest.mark.parametrize("discovery", [{}, {"token_endpoint": None}, {"token_endpoint": "http://login.example/token"}])
def test_no_assertion_goes_to_an_endpoint_that_is_none_or_has_no_tls(discovery):
    server = Server(discovery=discovery)

    with pytest.raises(FhirError):
        ask(asking(server))
    assert server.forms == []


def test_a_configured_token_endpoint_is_not_asked_for():
    server = Server(discovery={})
    ask(asking(server, token_url=TOKEN_URL))

    assert len(server.forms) == 1


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"access_token": 7}', b'{"access_token": "a\\u00e4"}', b"{}"])
def test_what_is_no_token_is_an_error(content):
    def server(request):
        return httpx2.Response(200, content=content)

    with pytest.raises(FhirError):
        ask(asking(server, token_url=TOKEN_URL))


def test_no_secret_is_in_a_representation():
    smart = SmartClient("emerald", PEM, key_id="k1")

    assert "PRIVATE" not in repr(smart)


class Patients(BaseHTTPRequestHandler):
    """Answers every search with nobody."""

    def do_GET(self):
        content = b'{"resourceType": "Bundle", "type": "searchset"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def mutual_tls_server(authority, certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Patients) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_mutual_tls_shows_our_certificate_and_wants_theirs(tmp_path):
    authority = Authority(tmp_path)
    server_files, ours = authority.issue("server"), authority.issue("emerald")
    strangers = Authority(tmp_path, "strangers").issue("stranger")

    with mutual_tls_server(authority.certificate, *server_files) as url:
        assert _search(url, Tls(authority.certificate, *ours)) == []
        for tls in (Tls(authority.certificate), Tls(authority.certificate, *strangers), Tls(None, *ours)):
            with pytest.raises(Unreachable):
                _search(url, tls)


def _search(url, tls):
    with closing(Http(tls)) as http:
        asker = FhirClient(Endpoint(url), http)
        return asker.search("Patient", {}, asker.budget())
