# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4, for POST requests with a body, and whose credentials sign.

As the AWS General Reference has it ("Signing AWS API requests", "Create a signed request"): a canonical
request, its hash with time and scope as the string to sign, HMAC-SHA-256 under a key derived of the secret
by date, region and service. Credentials come from the environment, as AWS's own tools name them; they are
never arguments, and never in an error.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from hitoku.errors import SecretError

__all__ = ["Credentials", "from_environment", "signed_headers"]

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs requests to AWS.

    Attributes:
        key_id: names it.
        secret: signs.
        token: of temporary credentials; empty for others.
    """

    key_id: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.key_id!r})"


def from_environment(environment: Mapping[str, str] | None = None) -> Credentials:
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where it is there, AWS_SESSION_TOKEN.

    Raises:
        SecretError: they are not there.
    """
    found = os.environ if environment is None else environment
    key_id, secret = found.get("AWS_ACCESS_KEY_ID", ""), found.get("AWS_SECRET_ACCESS_KEY", "")
    if not key_id or not secret:
        raise SecretError("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return Credentials(key_id, secret, found.get("AWS_SESSION_TOKEN", ""))


def signed_headers(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    *,
    region: str,
    service: str,
    now: datetime,
    method: str = "POST",
) -> dict[str, str]:
    """The headers of a request, with those that sign it.

    Args:
        url: with a path of characters that need no escape, and without a query.
        headers: all that are to be signed, but for host and time.
        body: what is sent.
        credentials: whose.
        region: AWS's name of it.
        service: e.g. ``kms``.
        now: the time, with its zone.
        method: of HTTP.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    place = urlsplit(url)
    said = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    said |= {"host": place.netloc, "x-amz-date": stamp}
    if credentials.token:
        said["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(said))
    lines = "".join(f"{name}:{said[name]}\n" for name in sorted(said))
    request = "\n".join([method, place.path or "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    message = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + credentials.secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, message.encode(), "sha256").hex()
    credential = f"Credential={credentials.key_id}/{scope}"
    said["authorization"] = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    return said
