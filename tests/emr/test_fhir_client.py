"""Misbehaving servers: nothing hangs beyond its budget, and no token and no question leaves for another server."""

import json
import logging
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx2
import pytest

from hl7_emr.errors import FhirError, Unreachable
from hl7_emr.fhir.client import Endpoint, FhirClient, escaped
from hl7_emr.fhir.http import Http, Limits, retry_after_s
from hl7_emr.fhir.smart import FixedAuthorization
from tests.support.fhir_bundles import BASE, client, searchset


def row(identifier="1", resource_type="Observation"):
    return {"resourceType": resource_type, "id": identifier}


def answers(*responses):
    """Make a server that gives these answers in turn, and keeps what it was asked."""
    asked, rest = [], list(responses)

    def handler(request):
        asked.append(request)
        following = rest.pop(0) if len(rest) > 1 else rest[0]
        return following(request) if callable(following) else following

    handler.asked = asked
    return handler


def ok(content, status=200, **headers):
    return httpx2.Response(status, json=content, headers=headers)


def search(handler, limits=None, **more):
    asking = client(handler, limits, **more)
    return asking.search("Observation", {"patient": "1"}, asking.budget())


OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found", "diagnostics": "x"}],
}
NOT_USABLE = {
    "HTML with status 200": httpx2.Response(200, html="<html>Login</html>"),
    "XML with status 200": httpx2.Response(200, content=b'<Bundle xmlns="http://hl7.org/fhir"/>'),
    "nothing": httpx2.Response(200, content=b""),
    "half an answer": httpx2.Response(200, content=json.dumps(searchset(row()))[:-5].encode()),
    "a list": ok([searchset(row())]),
    "no resource": ok({"entry": []}),
    "an outcome with status 200": ok(OUTCOME),
    "another resource": ok(row()),
    "NaN": httpx2.Response(200, content=b'{"resourceType": "Bundle", "total": NaN}'),
    "brackets without end": httpx2.Response(200, content=b'{"resourceType":' + b"[" * 200_000),
    "bytes that are no UTF-8": httpx2.Response(200, content=b'{"resourceType": "B\xff\xfe"}'),
    "no content": httpx2.Response(204),
    "a redirect": httpx2.Response(302, headers={"Location": "https://elsewhere.example/"}),
    "unauthorised": ok(OUTCOME, 401),
    "forbidden": ok(OUTCOME, 403),
    "gone": ok(OUTCOME, 410),
    "server error": ok(OUTCOME, 500),
    "server error in HTML": httpx2.Response(502, html="<html>Bad gateway</html>"),
    "busy for an hour": ok(OUTCOME, 429, **{"Retry-After": "3600"}),
    "busy until nobody knows": ok(OUTCOME, 503, **{"Retry-After": "soon"}),
    "always busy": ok(OUTCOME, 429, **{"Retry-After": "1"}),
    "a page on another host": ok(searchset(row(), following="https://evil.example/r4?page=2")),
    "a page on another port": ok(searchset(row(), following="https://fhir.example:8443/r4?page=2")),
    "a page without TLS": ok(searchset(row(), following="http://fhir.example/r4?page=2")),
    "a page with a password": ok(searchset(row(), following="https://a:b@fhir.example/r4?page=2")),
    "a page of another kind": ok(searchset(row(), following="file:///etc/passwd")),
    "a page that is no URL": ok(searchset(row(), following="https://[/")),
    "a page that follows itself": ok(searchset(row(), following=f"{BASE}?page=2")),
}


@pytest.mark.parametrize("case", NOT_USABLE)
def test_an_answer_that_cannot_be_used_is_an_error(case):
    with pytest.raises((FhirError, Unreachable)):
        search(answers(NOT_USABLE[case]))


@pytest.mark.parametrize("case", [name for name in NOT_USABLE if name.startswith("a page")])
def test_a_page_elsewhere_is_not_asked_for(case):
    server = answers(NOT_USABLE[case])

    with pytest.raises(FhirError):
        search(server, authorization=FixedAuthorization("Bearer secret"))

    assert {request.url.host for request in server.asked} == {"fhir.example"}
    assert {request.url.scheme for request in server.asked} == {"https"}
    assert {request.url.port for request in server.asked} == {None}


@pytest.mark.parametrize(
    ("error", "transient"),
    [(ok(OUTCOME, 500), True), (ok(OUTCOME, 429, **{"Retry-After": "9"}), True), (ok(OUTCOME, 404), False)],
)
def test_trouble_of_the_server_is_transient(error, transient):
    with pytest.raises(FhirError) as caught:
        search(answers(error))

    assert caught.value.transient is transient


@pytest.mark.parametrize(
    "trouble",
    [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ReadTimeout, httpx2.ReadError, httpx2.RemoteProtocolError],
)
def test_no_answer_is_unreachable(trouble):
    def handler(request):
        raise trouble("no", request=request)

    with pytest.raises(Unreachable):
        search(handler)


def test_pages_are_followed_as_they_are_given_relative_or_not_and_empty_or_not():
    server = answers(
        ok(searchset(row("1"), row("2"), following="?_getpages=a%7Cb")),
        ok(searchset(following=f"{BASE}/Observation?page=3")),
        ok(searchset(row("2"), row("3"), {"resourceType": "Patient", "id": "9"})),
    )

    found = search(server)

    assert [each["id"] for each in found] == ["1", "2", "3"]
    assert str(server.asked[1].url) == f"{BASE}/?_getpages=a%7Cb"


def test_what_a_server_adds_to_its_matches_is_left_out():
    page = searchset(row("1"))
    page["entry"] += [
        {"resource": row("2"), "search": {"mode": "include"}},
        {"resource": OUTCOME, "search": {"mode": "outcome"}},
        {"resource": row("3", "Patient"), "search": {"mode": "match"}},
        {"fullUrl": "x"},
        None,
        {"resource": None},
        {"resource": row("4")},
    ]

    assert [each["id"] for each in search(answers(ok(page)))] == ["1", "4"]


def test_a_page_lost_in_the_middle_is_no_shorter_list():
    with pytest.raises(FhirError, match="410"):
        search(answers(ok(searchset(row(), following="?page=2")), ok(OUTCOME, 410)))


def test_too_many_pages_are_an_error():
    def handler(request):
        page = int(request.url.params.get("page", "0"))
        return ok(searchset(row(str(page)), following=f"?page={page + 1}"))

    with pytest.raises(FhirError, match="more than 30"):
        search(handler)


def test_too_many_bytes_are_an_error():
    with pytest.raises(FhirError, match="more than 1000 bytes"):
        search(answers(ok(searchset(*map(row, "123456789" * 9)))), Limits(max_bytes=1000))


def test_a_server_that_drips_ends_with_the_budget():
    seconds = iter(range(0, 10_000, 3))

    class Dripping(httpx2.SyncByteStream):
        def __iter__(self):
            while True:
                yield b" " * 65536

    with pytest.raises(Unreachable, match="within 20 s"):
        search(lambda _: httpx2.Response(200, stream=Dripping()), clock=lambda: next(seconds))


def test_each_request_has_no_more_time_than_is_left():
    seconds, timeouts = iter([0.0, 19.5, 19.5, 19.5, 19.5]), []

    def handler(request):
        timeouts.append(request.extensions["timeout"])
        return ok(searchset())

    search(handler, clock=lambda: next(seconds))

    assert set(timeouts[0].values()) == {0.5}


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(status):
    waits = []
    server = answers(ok(OUTCOME, status, **{"Retry-After": "2"}), ok(searchset(row())))

    assert search(server, sleep=waits.append)
    assert waits == [2]


def test_an_unknown_parameter_is_refused_first_and_then_put_up_with():
    server = answers(ok(OUTCOME, 400), ok(searchset(row())))

    assert search(server)
    assert [request.headers["Prefer"] for request in server.asked] == ["handling=strict", "handling=lenient"]


def test_a_search_by_post_names_no_patient_in_its_address():
    server = answers(ok(searchset(row())))

    search(server, post_searches=True)

    assert str(server.asked[0].url) == f"{BASE}/Observation/_search"
    assert parse_qs(server.asked[0].content.decode()) == {"patient": ["1"]}


def test_the_value_of_an_identifier_cannot_become_two():
    server = answers(ok(searchset()))
    asking = client(server)

    asking.search("Patient", {"identifier": f"urn:oid:1|{escaped('A,B|C$D')}"}, asking.budget())

    assert b"identifier=urn%3Aoid%3A1%7CA%5C%2CB%5C%7CC%5C%24D" in server.asked[0].url.query


def test_a_reference_to_another_server_is_not_followed():
    server = answers(ok(row("1", "Patient")))
    asking = client(server)

    with pytest.raises(FhirError, match="another server"):
        asking.read("https://evil.example/Patient/1", asking.budget())
    assert server.asked == []
    assert asking.read("Patient/1", asking.budget()) == row("1", "Patient")


@pytest.mark.parametrize("status", [404, 410])
def test_a_resource_that_is_not_there_is_none(status):
    asking = client(answers(ok(OUTCOME, status)))

    assert asking.read("Patient/1", asking.budget()) is None


def test_plain_http_does_not_leave_this_machine():
    asking = FhirClient(Endpoint("http://fhir.example"), Http(transport=httpx2.MockTransport(answers(ok(searchset())))))

    with pytest.raises(FhirError, match="https"):
        asking.search("Patient", {}, asking.budget())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_plain_http_on_this_machine_is_allowed(host):
    asking = FhirClient(Endpoint(f"http://{host}:8080"), Http(transport=httpx2.MockTransport(answers(ok(searchset())))))

    assert asking.search("Patient", {}, asking.budget()) == []


def test_neither_log_nor_error_names_what_was_asked_for(caplog):
    caplog.set_level(logging.DEBUG)
    asking = client(answers(ok(OUTCOME | {"issue": [{"code": "invalid", "diagnostics": "ZZ-4711"}]}, 422)))

    with pytest.raises(FhirError) as caught:
        asking.search("Patient", {"identifier": "urn:oid:1|ZZ-4711"}, asking.budget())

    assert "4711" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3),
        ("Sat, 21 Nov 2026 12:00:07 GMT", 7),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("", float("inf")),
        ("-1", float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_s(header, datetime(2026, 11, 21, 12, tzinfo=UTC)) == seconds


TRANSACTION = {"resourceType": "Bundle", "type": "transaction", "entry": [{}, {}]}


def transaction(response):
    asking = client(answers(response))
    return asking.transaction(TRANSACTION, asking.budget())


def answered(*entries, kind="transaction-response"):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def test_a_transaction_says_where_its_resources_lie():
    created = {"response": {"status": "201 Created", "location": f"{BASE}/Observation/7/_history/1"}}

    assert transaction(ok(answered(created, {"response": {"status": "200"}}))) == ["Observation/7/_history/1", ""]


@pytest.mark.parametrize(
    "response",
    [
        answered({"response": {"status": "201"}}),
        answered({"response": {"status": "201"}}, {"response": {"status": "412"}}),
        answered({"response": {"status": "201"}}, {}),
        answered({"response": {"status": "201"}}, {"response": {"status": "201"}}, kind="batch-response"),
        OUTCOME,
    ],
)
def test_a_transaction_without_success_of_each_entry_has_not_happened(response):
    with pytest.raises(FhirError):
        transaction(ok(response))
