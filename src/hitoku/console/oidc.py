# SPDX-License-Identifier: Apache-2.0
"""Sign-in by an OpenID Connect provider: code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

What is checked, and why: ``state`` lies sealed in a cookie of the browser that began, so nobody can finish
what another began; the code is exchanged with the PKCE verifier, so a stolen code is worth nothing; the ID
token is signed by a key of the issuer (asymmetric algorithms only), is of this issuer, for this client, not
expired, and has our ``nonce`` (3.1.3.7); ``iss`` of the answer, where it is sent, is the issuer's (RFC 9207).
A user is who the issuer says by ``sub``; the name is only shown, and never joins a local user of that name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import ssl
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.onetime import console_key
from hitoku.console.store import Account, by_name, by_subject, change, create
from hitoku.console.users import May
from hitoku.errors import InputError, LimitError, PeerError, Refusal, SecretError

if TYPE_CHECKING:
    from hitoku.console.site import Site
    from hitoku.node.settings_console import OidcSettings

__all__ = ["CALLBACK", "begin", "finish", "settings_of"]

CALLBACK: Final = "/login/oidc/back"
_ALGORITHMS: Final = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
_MOST: Final = 1024 * 1024
_SKEW: Final = 60
_FRESH: Final = 600
_TURN: Final = threading.BoundedSemaphore(8)


def settings_of(context: Context) -> OidcSettings | None:
    """What node.toml says of the provider; None where there is none."""
    console = getattr(context.node.settings(), "console", None)
    return getattr(console, "oidc", None)


def _json(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200 or len(response.content) > _MOST:
        raise PeerError("the sign-in provider refused or sent something else than expected")
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PeerError("the sign-in provider sent something else than expected")
    return found


@cache
def _trust() -> ssl.SSLContext:
    """The machine's certificate authorities, read once a process."""
    return ssl.create_default_context()


@contextmanager
def _client() -> Iterator[httpx.Client]:
    """A way to the provider, of which there are few: strangers must not fill all threads with waiting."""
    if not _TURN.acquire(blocking=False):
        raise LimitError("too many sign-ins wait for the provider: try again in some seconds")
    try:
        with httpx.Client(timeout=10, follow_redirects=False, verify=_trust()) as client:
            yield client
    finally:
        _TURN.release()


def _endpoint(metadata: dict[str, Any], name: str, issuer: str) -> str:
    """An address of the provider's; HTTPS, or HTTP where the issuer is on this machine."""
    found = metadata.get(name)
    parts = urlsplit(found) if isinstance(found, str) and len(found) <= 2_048 else None
    if parts is None or not parts.hostname or parts.scheme not in {"https", urlsplit(issuer).scheme}:
        raise PeerError(f"the sign-in provider names no {name} that can be used")
    return str(found)


def _discover(client: httpx.Client, issuer: str) -> dict[str, Any]:
    metadata = _json(client.get(issuer.rstrip("/") + "/.well-known/openid-configuration"))
    # OpenID Connect Discovery 1.0, 4.3: exactly the same.
    if metadata.get("issuer") not in {issuer, issuer + "/"}:
        raise PeerError("the sign-in provider names itself differently from node.toml")
    return metadata


def _key(context: Context) -> AESGCM:
    return AESGCM(hmac.digest(console_key(context), b"oidc cookie", "sha256"))


def begin(context: Context, site: Site, then: str) -> tuple[str, str]:
    """Begin a sign-in. Returns where the browser goes, and the cookie it gets.

    Args:
        context: the console's.
        site: the console's address.
        then: the page to show after it.

    Raises:
        InputError: there is no provider.
        PeerError: the provider cannot be reached or used.
    """
    settings = settings_of(context)
    if settings is None:
        raise InputError("no sign-in provider is set up")
    try:
        with _client() as client:
            metadata = _discover(client, settings.issuer)
    except httpx.HTTPError:
        raise PeerError("the sign-in provider cannot be reached") from None
    held = {
        "state": secrets.token_urlsafe(32),
        "nonce": secrets.token_urlsafe(32),
        "verifier": secrets.token_urlsafe(48),
        "then": then,
        "until": context.clock.now().timestamp() + limits.SIGN_IN_SECONDS,
    }
    challenge = hashlib.sha256(str(held["verifier"]).encode()).digest()
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": site.url + CALLBACK,
        "scope": "openid profile",
        "state": held["state"],
        "nonce": held["nonce"],
        "code_challenge": urlsafe_b64encode(challenge).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    address = _endpoint(metadata, "authorization_endpoint", settings.issuer)
    nonce = secrets.token_bytes(12)
    sealed = nonce + _key(context).encrypt(nonce, json.dumps(held).encode(), b"oidc")
    mark = "&" if urlsplit(address).query else "?"
    return address + mark + urlencode(query), urlsafe_b64encode(sealed).decode()


def _held(context: Context, cookie: str) -> dict[str, Any]:
    try:
        raw = urlsafe_b64decode(cookie)
        held = json.loads(_key(context).decrypt(raw[:12], raw[12:], b"oidc"))
    except (ValueError, InvalidTag):
        raise _refused() from None
    if not isinstance(held, dict) or held["until"] < context.clock.now().timestamp():
        raise _refused()
    return held


def _refused() -> Refusal:
    return Refusal(
        "SIGN_IN_FAILED",
        "this sign-in was not begun in this browser, or too long ago",
        remedy="begin again from the sign-in page",
    )


def finish(context: Context, site: Site, cookie: str, query: dict[str, str]) -> tuple[Account, str]:
    """Finish a sign-in. Returns the user and the page to show.

    Args:
        context: the console's.
        site: the console's address.
        cookie: what `begin` gave the browser.
        query: of the address that the provider sent the browser back to.

    Raises:
        Refusal: ``SIGN_IN_FAILED`` or ``NOT_ALLOWED``.
        PeerError: the provider cannot be reached, or what it says does not hold.
    """
    settings = settings_of(context)
    if settings is None:
        raise InputError("no sign-in provider is set up")
    held = _held(context, cookie)
    if not hmac.compare_digest(query.get("state", "").encode(), str(held["state"]).encode()):
        raise _refused()
    if query.get("iss") not in {None, settings.issuer, settings.issuer + "/"}:
        raise _refused()
    code = query.get("code", "")
    if "error" in query or not 0 < len(code) <= 4_096:
        raise Refusal("SIGN_IN_FAILED", "the sign-in provider did not sign you in")
    try:
        with _client() as client:
            metadata = _discover(client, settings.issuer)
            said = _json(_exchange(context, client, settings, metadata, site, code, str(held["verifier"])))
            keys = _json(client.get(_endpoint(metadata, "jwks_uri", settings.issuer)))
    except httpx.HTTPError:
        raise PeerError("the sign-in provider cannot be reached") from None
    claims = _claims(context, settings, metadata, keys, said.get("id_token"), str(held["nonce"]))
    return _account(context, settings, claims), str(held["then"])


def _exchange(
    context: Context,
    client: httpx.Client,
    settings: OidcSettings,
    metadata: dict[str, Any],
    site: Site,
    code: str,
    verifier: str,
) -> httpx.Response:
    path = context.node.directory.path / settings.client_secret_file
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SecretError(f"{path}: cannot be read") from None
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": site.url + CALLBACK,
        "code_verifier": verifier,
    }
    address = _endpoint(metadata, "token_endpoint", settings.issuer)
    methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if isinstance(methods, list) and "client_secret_basic" not in methods:
        return client.post(address, data={**form, "client_id": settings.client_id, "client_secret": secret})
    # RFC 6749, 2.3.1: both are form-encoded before they are joined.
    return client.post(address, data=form, auth=(quote(settings.client_id, safe=""), quote(secret, safe="")))


def _claims(
    context: Context,
    settings: OidcSettings,
    metadata: dict[str, Any],
    keys: dict[str, Any],
    token: object,
    nonce: str,
) -> dict[str, Any]:
    wrong = PeerError("what the sign-in provider says of the user does not hold")
    if not isinstance(token, str) or len(token) > 65_536:
        raise wrong
    try:
        held: Any = keys
        claims = jwt.decode(token, KeySet.import_key_set(held), algorithms=_ALGORITHMS).claims
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        raise wrong from None
    now = context.clock.now().timestamp()
    audience = claims.get("aud")
    several = audience if isinstance(audience, list) else [audience]
    subject, expires, issued = claims.get("sub"), _time(claims, "exp"), _time(claims, "iat")
    good = (
        claims.get("iss") == metadata["issuer"]
        and settings.client_id in several
        and (len(several) == 1 or claims.get("azp") == settings.client_id)
        and claims.get("azp", settings.client_id) == settings.client_id
        and expires > now - _SKEW
        and now - _FRESH < issued < now + _SKEW
        and isinstance(claims.get("nonce"), str)
        and hmac.compare_digest(claims["nonce"].encode(), nonce.encode())
        and isinstance(subject, str)
        and 0 < len(subject) <= 255
    )
    if not good:
        raise wrong
    return dict(claims)


def _time(claims: dict[str, Any], name: str) -> float:
    """A claim that is a time; one long past where it is none."""
    found = claims.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else 0.0


def _account(context: Context, settings: OidcSettings, claims: dict[str, Any]) -> Account:
    groups = claims.get(settings.groups)
    held = {group for group in groups if isinstance(group, str)} if isinstance(groups, list) else set()
    given = [settings.abilities[group] for group in held & settings.abilities.keys()]
    found = by_subject(context, settings.issuer, claims["sub"])
    if not given:
        if found is not None:
            change(context, found.id, guarded=False, end=True, abilities=frozenset())
        raise Refusal(
            "NOT_ALLOWED",
            "your groups at the sign-in provider give you nothing to do here",
            remedy="ask who administers this console",
        )
    abilities = frozenset(May(name) for names in given for name in names)
    if found is None:
        return create(
            context,
            _name(context, claims),
            abilities,
            issuer=settings.issuer,
            subject=claims["sub"],
        )
    if found.disabled:
        raise Refusal("NOT_ALLOWED", "you may not sign in here", remedy="ask who administers this console")
    if found.abilities != abilities:
        return change(context, found.id, guarded=False, abilities=abilities)
    return found


def _name(context: Context, claims: dict[str, Any]) -> str:
    """A name to show that no other user has."""
    said = next((v for k in ("preferred_username", "name") if isinstance(v := claims.get(k), str)), "user")
    base = "".join(c for c in said if c.isprintable()).strip()[: limits.MAX_NAME_CHARS - 8].strip() or "user"
    name, number = base, 2
    while by_name(context, name) is not None:
        name, number = f"{base} ({number})", number + 1
    return name
