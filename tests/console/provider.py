# SPDX-License-Identifier: Apache-2.0
"""A small OpenID Connect provider on loopback, over HTTP: it checks what a provider checks, and can lie."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "hitoku:console", "p%rovided secret"


@cache
def _key() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig", "alg": "RS256"})


class Provider:
    """The provider, its users' claims, and what it is made to say wrongly.

    Attributes:
        claims: of the one user who signs in.
        lie: changes claims before they are signed.
        sign: makes the ID token of claims.
        asked: the queries of the authorization endpoint.
    """

    def __init__(self) -> None:
        self.key = _key()
        self.claims: dict[str, Any] = {"sub": "0001", "preferred_username": "ann", "groups": ["analysts"]}
        self.lie: Callable[[dict[str, Any]], None] = lambda _: None
        self.metadata: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)

    def authorize(self, address: str) -> str:
        """What a browser does there: the user agrees, and it is sent back. Returns where to."""
        asked = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(self.issuer + "/authorize?")
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (
            CLIENT,
            "code",
            "S256",
        )
        assert len(asked["state"]) > 30
        assert len(asked["nonce"]) > 30
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        self.asked.append(asked)
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def _token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        given = b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        good = (
            [unquote(part) for part in given] == [CLIENT, SECRET]
            and asked is not None
            and asked["redirect_uri"] == form.get("redirect_uri")
            and asked["code_challenge"] == urlsafe_b64encode(challenge).decode().rstrip("=")
        )
        if not good or asked is None:
            return None
        now = int(time.time())
        claims = {
            **self.claims,
            "iss": self.issuer,
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
        }
        self.lie(claims)
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def _say(self, said: Any, status: int = 200) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                if self.path == "/.well-known/openid-configuration":
                    at = provider.issuer
                    said = {"issuer": at, "authorization_endpoint": f"{at}/authorize"}
                    said |= {"token_endpoint": f"{at}/token", "jwks_uri": f"{at}/keys"}
                    self._say({**said, **provider.metadata})
                elif self.path == "/keys":
                    self._say({"keys": [provider.key.as_dict(private=False)]})
                else:
                    self._say({}, 404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                form = {k: v[0] for k, v in parse_qs(body).items()}
                said = provider._token(form, self.headers.get("authorization", ""))
                self._say(said or {"error": "invalid_grant"}, 200 if said else 400)

        return Handler
