# SPDX-License-Identifier: Apache-2.0
"""AWS KMS as the keeper of the key that wraps data keys: `KeyWrap` over its Encrypt and Decrypt.

Data keys are made here and encrypted by KMS, each with its run, table and room as encryption context, so a
wrapped key opens for nothing else and every use is in CloudTrail. For evidence of AWS Nitro, KMS is asked
with the attestation document as `Recipient`: it checks the document itself, against the conditions of the
key's policy (``kms:RecipientAttestation:PCR0`` ...; see `hitoku attest lint-kms`), and answers with the key
sealed for the enclave alone, in CMS. Then neither this broker nor its host ever has the key: the owner's
second lock.

What is asked and answered: the AWS KMS API Reference, "Decrypt", "Encrypt" and "RecipientInfo".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from hitoku.attestation.aws_signature import Credentials, from_environment, signed_headers
from hitoku.errors import SecretError

if TYPE_CHECKING:
    import httpx

__all__ = ["MAX_DOCUMENT_BYTES", "AwsKms"]

MAX_DOCUMENT_BYTES: Final = 262_144
_MOST: Final = 256 * 1024
_SECONDS: Final = 20.0
_TARGET: Final = "TrentService."


class AwsKms:
    """AWS KMS.

    Args:
        key: the KMS key, by ARN or id: symmetric, for encryption.
        region: AWS's name of it, e.g. ``eu-central-1``.
        endpoint: where KMS is; AWS's own for the region where it is None.
        credentials: what signs requests; asked for at each, so that temporary ones can change.
        client: sends requests; a new one for each request where it is None.
        now: the time.
    """

    def __init__(
        self,
        key: str,
        region: str,
        *,
        endpoint: str | None = None,
        credentials: Callable[[], Credentials] = from_environment,
        client: httpx.Client | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._key, self._region = key, region
        self._url = (endpoint or f"https://kms.{region}.amazonaws.com").rstrip("/") + "/"
        self._credentials, self._client, self._now = credentials, client, now

    def __repr__(self) -> str:
        return f"AwsKms({self._key!r}, {self._region!r})"

    def wrap(self, key: bytes | bytearray, context: Mapping[str, str]) -> bytes:
        """See `hitoku.attestation.keystore.KeyWrap.wrap`."""
        asked = {"KeyId": self._key, "Plaintext": _base64(key), "EncryptionContext": dict(context)}
        return _bytes(self._ask("Encrypt", asked), "CiphertextBlob")

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytearray:
        """See `hitoku.attestation.keystore.KeyWrap.unwrap`."""
        return bytearray(_bytes(self._ask("Decrypt", self._wrapped(wrapped, context)), "Plaintext"))

    def unwrap_for(self, wrapped: bytes, context: Mapping[str, str], document: bytes) -> bytes:
        """See `hitoku.attestation.keystore.KeyWrap.unwrap_for`."""
        if not 1 <= len(document) <= MAX_DOCUMENT_BYTES:
            raise SecretError("AWS KMS takes no attestation document of that size")
        recipient = {
            "AttestationDocument": _base64(document),
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        }
        answer = self._ask("Decrypt", {**self._wrapped(wrapped, context), "Recipient": recipient})
        if answer.get("Plaintext"):
            # Something between here and KMS left the recipient out: the key came in clear.
            raise SecretError("AWS KMS answered without regard to the recipient: the answer is not used")
        return _bytes(answer, "CiphertextForRecipient")

    def _wrapped(self, wrapped: bytes, context: Mapping[str, str]) -> dict[str, Any]:
        return {"KeyId": self._key, "CiphertextBlob": _base64(wrapped), "EncryptionContext": dict(context)}

    def _ask(self, action: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        import httpx

        body = json.dumps(asked, separators=(",", ":")).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": _TARGET + action}
        headers = signed_headers(
            self._url,
            headers,
            body,
            self._credentials(),
            region=self._region,
            service="kms",
            now=self._now(),
        )
        headers["accept-encoding"] = "identity"
        client = self._client or httpx.Client(timeout=_SECONDS)
        try:
            with client.stream("POST", self._url, content=body, headers=headers) as response:
                content = bytearray()
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > _MOST:
                        raise SecretError("AWS KMS answered with more than it ever does")
                status = response.status_code
        except httpx.HTTPError as error:
            raise SecretError(f"AWS KMS cannot be reached ({type(error).__name__})") from None
        finally:
            if client is not self._client:
                client.close()
        try:
            answer = json.loads(content)
            if not isinstance(answer, dict):
                raise ValueError
        except (ValueError, RecursionError):
            raise SecretError(f"AWS KMS answered with something else than JSON (HTTP {status})") from None
        if status != httpx.codes.OK:
            raise SecretError(f"AWS KMS refused: {_kind(answer)} (HTTP {status})")
        return answer


def _kind(answer: Mapping[str, Any]) -> str:
    """The error's name, as ``prefix#Name``; nothing else of the answer is shown."""
    name = str(answer.get("__type", "")).rpartition("#")[2]
    return name if name.isascii() and name.isalpha() and len(name) <= 64 else "no reason"


def _base64(content: bytes | bytearray) -> str:
    return base64.b64encode(content).decode()


def _bytes(answer: Mapping[str, Any], field: str) -> bytes:
    try:
        content = base64.b64decode(answer[field], validate=True)
    except (KeyError, ValueError, TypeError):
        raise SecretError(f"AWS KMS answered without {field}") from None
    if not content:
        raise SecretError(f"AWS KMS answered without {field}")
    return content
