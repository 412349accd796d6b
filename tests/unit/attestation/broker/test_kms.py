# SPDX-License-Identifier: Apache-2.0
"""AWS KMS behind the key store's interface, against a server with KMS's shapes on this machine."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.unit.attestation.brokers import Office, Platform

from hitoku.attestation import cms
from hitoku.attestation.aws_signature import Credentials, from_environment, signed_headers
from hitoku.attestation.evidence import Kind
from hitoku.attestation.kms import MAX_DOCUMENT_BYTES, AwsKms
from hitoku.errors import SecretError

KEY = bytes(range(32))
ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CONTEXT = {"room": "r", "run": "1" * 32, "table": "t", "key": "2" * 32}
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class Kms:
    """What a KMS key's server does, without its policy: the fields are those of the KMS API Reference."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.instead: dict[str, Any] | bytes | None = None
        self.status = 200

    def answer(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["KeyId"] != ARN:
            return {"__type": "NotFoundException", "message": "quotes the key"}
        if action == "Encrypt":
            blob = {"context": asked["EncryptionContext"], "plain": asked["Plaintext"]}
            text = base64.b64encode(json.dumps(blob).encode()[::-1]).decode()
            return {"CiphertextBlob": text, "KeyId": ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        blob = json.loads(base64.b64decode(asked["CiphertextBlob"])[::-1])
        if blob["context"] != asked["EncryptionContext"]:
            return {"__type": "com.amazonaws.kms#InvalidCiphertextException"}
        told = {"KeyId": ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        if "Recipient" not in asked:
            return {**told, "Plaintext": blob["plain"]}
        assert asked["Recipient"]["KeyEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"
        document = json.loads(base64.b64decode(asked["Recipient"]["AttestationDocument"]))
        recipient = cms.recipient_key(bytes.fromhex(document["public_key"]))
        sealed = cms.seal_enveloped(base64.b64decode(blob["plain"]), recipient)
        return {**told, "CiphertextForRecipient": base64.b64encode(sealed).decode()}


@pytest.fixture
def server() -> Iterator[tuple[Kms, str]]:
    """A KMS, and where it is."""
    kms = Kms()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            action = self.headers["x-amz-target"].removeprefix("TrentService.")
            asked = json.loads(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            kms.asked.append((action, asked, headers))
            said = kms.instead if kms.instead is not None else kms.answer(action, asked)
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(400 if isinstance(said, dict) and "__type" in said else kms.status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield kms, f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def client(url: str, key: str = ARN) -> AwsKms:
    return AwsKms(key, "us-east-1", endpoint=url, credentials=lambda: CREDENTIALS, now=lambda: NOW)


def test_keys_are_wrapped_and_unwrapped_by_the_service(server):
    kms, url = server
    store = client(url)
    wrapped = store.wrap(bytearray(KEY), CONTEXT)
    opened = store.unwrap(wrapped, CONTEXT)
    assert opened == KEY
    assert isinstance(opened, bytearray)
    assert [action for action, _, _ in kms.asked] == ["Encrypt", "Decrypt"]
    assert all(asked["EncryptionContext"] == CONTEXT for _, asked, _ in kms.asked)
    with pytest.raises(SecretError, match=r"^AWS KMS refused: InvalidCiphertextException \(HTTP 400\)$"):
        store.unwrap(wrapped, {**CONTEXT, "run": "3" * 32})


def test_requests_are_signed(server):
    kms, url = server
    client(url).wrap(KEY, CONTEXT)
    _, asked, headers = kms.asked[0]
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/kms/aws4_request, "
        r"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=[0-9a-f]{64}",
        headers["authorization"],
    )
    assert found
    again = signed_headers(
        url + "/",
        {"content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.Encrypt"},
        json.dumps(asked, separators=(",", ":")).encode(),
        CREDENTIALS,
        region="us-east-1",
        service="kms",
        now=NOW,
    )
    assert again["authorization"] == headers["authorization"]
    assert headers["x-amz-date"] == "20261122T090000Z"


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
    ids=["get-vanilla", "post-vanilla"],
)
def test_signatures_are_those_of_the_published_suite(method, signature):
    """Of AWS's Signature Version 4 test suite."""
    made = signed_headers(
        "https://example.amazonaws.com/",
        {},
        b"",
        CREDENTIALS,
        region="us-east-1",
        service="service",
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
        method=method,
    )
    assert made["authorization"].endswith(signature)


@pytest.mark.parametrize(
    ("url", "token", "end"),
    [
        ("https://kms.eu-central-1.amazonaws.com/", "", "0cf1dd31a857b43760b3"),
        ("http://127.0.0.1:8000/", "", "cd7d5517aece75d39225"),
        ("https://kms.eu-central-1.amazonaws.com/", "tok/+==", "14804906a6d3e20e0b7e"),
        ("http://127.0.0.1:8000/", "tok/+==", "d044d7726004cb5ffb2c"),
    ],
)
def test_signatures_are_those_of_botocore(url, token, end):
    """Recorded from `botocore.auth.SigV4Auth` for the same requests."""
    made = signed_headers(
        url,
        {"content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.Encrypt"},
        b'{"KeyId":"x","Plaintext":"AAAA"}',
        Credentials("AKID", "secret", token),
        region="eu-central-1",
        service="kms",
        now=NOW,
    )
    assert made["authorization"].endswith(end)


def test_connections_are_closed(server, monkeypatch):
    import httpx

    closed: list[httpx.Client] = []
    close = httpx.Client.close

    def closing(self: httpx.Client) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(httpx.Client, "close", closing)
    kms, url = server
    client(url).wrap(KEY, CONTEXT)
    kms.instead = b"no"
    with pytest.raises(SecretError):
        client(url).wrap(KEY, CONTEXT)
    assert len(closed) == 2
    kms.instead = None
    with httpx.Client() as given:
        AwsKms(ARN, "us-east-1", endpoint=url, credentials=lambda: CREDENTIALS, client=given).wrap(
            KEY, CONTEXT
        )
        assert not given.is_closed


def test_temporary_credentials_send_their_token():
    token = Credentials("A", "b", "session-token")
    made = signed_headers("https://h/", {}, b"", token, region="r", service="kms", now=NOW)
    assert made["x-amz-security-token"] == "session-token"
    assert "x-amz-security-token" in made["authorization"]


def test_credentials_come_from_the_environment(monkeypatch):
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SecretError, match="AWS_ACCESS_KEY_ID"):
        from_environment()
    with pytest.raises(SecretError):
        from_environment({names[0]: "A"})
    found = from_environment(dict(zip(names, ("A", "very secret", "t"), strict=True)))
    assert (found.key_id, found.secret, found.token) == ("A", "very secret", "t")
    assert "very secret" not in repr(found)
    monkeypatch.setenv(names[0], "E")
    monkeypatch.setenv(names[1], "f")
    assert from_environment() == Credentials("E", "f")


def test_a_recipient_gets_the_key_in_cms(server):
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    kms, url = server
    store, private = client(url), rsa.generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wrapped = store.wrap(KEY, CONTEXT)
    document = json.dumps({"public_key": public.hex()}).encode()
    assert cms.open_enveloped(store.unwrap_for(wrapped, CONTEXT, document), private) == KEY
    for size in (0, MAX_DOCUMENT_BYTES + 1):
        with pytest.raises(SecretError, match="of that size"):
            store.unwrap_for(wrapped, CONTEXT, bytes(size))
    kms.instead = {"Plaintext": base64.b64encode(KEY).decode(), "CiphertextForRecipient": "AAAA"}
    with pytest.raises(SecretError, match="without regard to the recipient"):
        store.unwrap_for(wrapped, CONTEXT, document)
    kms.instead = {"KeyId": ARN, "Plaintext": None}
    with pytest.raises(SecretError, match="without CiphertextForRecipient"):
        store.unwrap_for(wrapped, CONTEXT, document)


def test_what_goes_wrong_says_so_and_quotes_nothing(server):
    kms, url = server
    store = client(url)
    wrapped = store.wrap(KEY, CONTEXT)
    cases: list[tuple[Any, int, str]] = [
        (
            {"__type": "AccessDeniedException", "message": "quotes"},
            200,
            r"AccessDeniedException \(HTTP 400\)",
        ),
        ({"__type": "x#<script>"}, 200, r"refused: no reason"),
        ({"Plaintext": "!"}, 200, "without Plaintext"),
        ({"Plaintext": "AA!AA==="}, 200, "without Plaintext"),
        ({"Plaintext": ""}, 200, "without Plaintext"),
        ({"Plaintext": 5}, 200, "without Plaintext"),
        ({}, 200, "without Plaintext"),
        ({}, 503, r"no reason \(HTTP 503\)"),
        (b"<html>", 502, r"something else than JSON \(HTTP 502\)"),
        (b"[]", 200, "something else than JSON"),
        (b"[" * 100_000, 200, "something else than JSON"),
        (b"x" * 300_000, 200, "more than it ever does"),
    ]
    for instead, status, words in cases:
        kms.instead, kms.status = instead, status
        with pytest.raises(SecretError, match=words) as caught:
            store.unwrap(wrapped, CONTEXT)
        assert "quotes" not in str(caught.value)
        assert base64.b64encode(KEY).decode() not in str(caught.value)
    kms.instead = None
    with pytest.raises(SecretError, match=r"NotFoundException"):
        client(url, "another").wrap(KEY, CONTEXT)
    with pytest.raises(SecretError, match="cannot be reached"):
        client("http://127.0.0.1:1").unwrap(wrapped, CONTEXT)
    assert "wJalr" not in repr(store)


def test_the_broker_never_has_a_key_that_the_service_seals_for_an_enclave(place, clock, server):
    kms, url = server
    office = Office(place, "registry", clock, Platform(Kind.NITRO), wrap=client(url))
    key = office.key()
    assert office.get() == key
    decrypts = [asked for action, asked, _ in kms.asked if action == "Decrypt"]
    assert len(decrypts) == 1
    document = base64.b64decode(decrypts[0]["Recipient"]["AttestationDocument"])
    assert document == office.judged[-1][0].content
    assert decrypts[0]["EncryptionContext"]["run"] in office.entries("key-release")[0]["run"]
    office.records.store.close()


def test_other_evidence_gets_its_key_from_the_broker(place, clock, server):
    kms, url = server
    office = Office(place, "registry", clock, Platform(), wrap=client(url))
    key = office.key()
    assert office.get() == key
    assert "Recipient" not in kms.asked[-1][1]
    office.records.store.close()


def test_a_service_that_refuses_releases_nothing(place, clock, server):
    kms, url = server
    office = Office(place, "registry", clock, Platform(Kind.NITRO), wrap=client(url))
    office.key()
    kms.instead = {"__type": "AccessDeniedException", "message": "the policy says no"}
    with pytest.raises(Exception, match="INTERNAL: AWS KMS refused: AccessDeniedException"):
        office.get()
    assert [e["code"] for e in office.entries("key-refusal")] == ["INTERNAL"]
    assert not office.entries("key-release")
    office.records.store.close()
