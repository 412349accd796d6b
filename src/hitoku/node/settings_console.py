# SPDX-License-Identifier: Apache-2.0
"""The parts of ``node.toml`` that are about people and operations: console, quotas, metrics.

For example::

    [console]
    listen = "127.0.0.1:8480"
    url = "https://console.airport.example"     # what browsers use

    [console.oidc]
    issuer = "https://login.airport.example"
    client_id = "hitoku"
    client_secret_file = "oidc.secret"

    [console.oidc.abilities]
    analysts = ["ask"]

    [quotas]
    runs = 4
    asks_an_hour = 60

No secret is in here: the file of one is named.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hitoku import limits
from hitoku.node.settings_base import Health, Listen, Part, is_loopback, socket_of, toml_text
from hitoku.room.keys import KEY_FILE

__all__ = ["SEALING_KEY", "ConsoleSettings", "MetricsSettings", "OidcSettings", "QuotaSettings"]

SEALING_KEY: Final = "console-sealing.key"
"""The file of the key that the console seals one-time secrets under; the console makes it itself."""

_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


def _origin(text: str) -> str:
    """A browser's origin, as browsers write it."""
    found = _ORIGIN.fullmatch(text.rstrip("/"))
    if found is None or not 0 < int(found["port"] or 443) < 65_536:
        raise ValueError("not an address of a console: https://host or https://host:port, in lower case")
    if found["scheme"] == "http" and found["host"] != "localhost" and not is_loopback(found["host"]):
        raise ValueError("http:// is for this machine alone, e.g. http://127.0.0.1:8480; else it is https://")
    port = {"http": "80", "https": "443"}[found["scheme"]]
    return found[0].removesuffix(f":{port}") if found["port"] == port else found[0]


def _network(text: str) -> str:
    """An address or network, as it is compared with others."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("not an address or network of a proxy, e.g. 10.0.0.5 or 10.0.0.0/28") from None


def _issuer(text: str) -> str:
    scheme, _, rest = text.partition("://")
    host = rest.partition("/")[0]
    here = host.partition(":")[0] == "localhost" or is_loopback(host.rpartition(":")[0] or host)
    if not rest or not host or (scheme != "https" and not (scheme == "http" and here)):
        raise ValueError("not an issuer: https://... is expected")
    if any(c in rest for c in "?#@ ") or not text.isascii() or not text.isprintable():
        raise ValueError("not an issuer: https://... without query and fragment is expected")
    return text.rstrip("/")


_Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
_File = Annotated[str, Field(min_length=1, max_length=4_096)]
_Ability = Literal["ask", "tables", "sign", "audit", "administer"]


class OidcSettings(Part):
    """Who signs users in besides the console itself: an OpenID Connect provider.

    Attributes:
        issuer: the provider, as it names itself.
        client_id: how the provider knows this console.
        client_secret_file: the file that holds the console's secret at the provider, for its owner alone;
            relative to the member's directory.
        abilities: what users of a group may do, by the group's name at the provider; who is in none may not
            sign in.
        groups: the claim that names a user's groups.
    """

    issuer: Annotated[str, Field(max_length=2_048), AfterValidator(_issuer)]
    client_id: Annotated[str, Field(min_length=1, max_length=256)]
    client_secret_file: _File
    abilities: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=256)],
            Annotated[tuple[_Ability, ...], Field(max_length=5, strict=False)],
        ],
        Field(max_length=256),
    ] = Field(default_factory=dict)
    groups: Annotated[str, Field(min_length=1, max_length=64)] = "groups"

    def lines(self) -> list[str]:
        """As TOML."""
        names = ("issuer", "client_id", "client_secret_file")
        made = ["[console.oidc]", *(f"{n} = {toml_text(getattr(self, n))}" for n in names)]
        if self.groups != "groups":
            made.append(f"groups = {toml_text(self.groups)}")
        if self.abilities:
            made += ["", "[console.oidc.abilities]"]
            made += [f"{toml_text(k)} = {toml_text(list(v))}" for k, v in self.abilities.items()]
        return made


class ConsoleSettings(Part):
    """Where the member's people find their console.

    Attributes:
        listen: HOST:PORT.
        url: what browsers use, also where a proxy stands before it. Decides which origin may post, and
            whether cookies go over TLS only. Of `listen` where nothing is said.
        certificate: what the console shows, PEM with the certificates above it; relative to the member's
            directory. Needed where `listen` is not this machine alone.
        key: of the certificate, PEM, for its owner alone.
        proxies: addresses or networks of the proxies before it, if they are on other machines. All people
            come from a proxy's address, so its connections are not counted by address; nothing that it says
            of them is believed for it.
        oidc: who signs users in besides the console itself; nobody if it is None.
        sources: the folders that tables may be registered from in the browser, relative to the member's
            directory, and ``postgresql://user@host/database`` of databases; nothing else is opened.
        learning: the folders of learning runs that the console shows, themselves or with the runs' folders in
            them, relative to the member's directory.
    """

    listen: Listen = "127.0.0.1:8480"
    url: Annotated[str, AfterValidator(_origin)] = ""
    certificate: _File | None = None
    key: _File | None = None
    proxies: Annotated[tuple[_Network, ...], Field(max_length=64, strict=False)] = ()
    oidc: OidcSettings | None = None
    sources: Annotated[tuple[_File, ...], Field(max_length=64, strict=False)] = ("tables", "data")
    learning: Annotated[tuple[_File, ...], Field(max_length=64, strict=False)] = ("learning",)

    @model_validator(mode="before")
    @classmethod
    def _own_url(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("url") is None:
            listen = str(data.get("listen", "127.0.0.1:8480"))
            # Without a certificate, elsewhere than on loopback, `_check` says what is missing.
            here = data.get("certificate") is None and is_loopback(listen.rpartition(":")[0])
            return {**data, "url": f"{'http' if here else 'https'}://{listen}"}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` needs `key`, and the other way round")
        if self.key is not None and PurePosixPath(self.key) in map(PurePosixPath, (KEY_FILE, SEALING_KEY)):
            raise ValueError("`key` names a file that hitoku keeps itself: call it console-tls.key, e.g.")
        if self.certificate is None and not is_loopback(socket_of(self.listen)[0]):
            raise ValueError(
                "a console that other machines reach needs TLS: name `certificate` and `key`, or listen on "
                "loopback behind a proxy that has them"
            )
        if self.certificate is not None and not self.url.startswith("https://"):
            raise ValueError("`url` begins with https:// where there is a certificate")
        return self

    @property
    def secure(self) -> bool:
        """Whether browsers come over TLS."""
        return self.url.startswith("https://")

    def lines(self) -> list[str]:
        """As TOML."""
        names = ("listen", "url", "certificate", "key")
        made = [f"{n} = {toml_text(v)}" for n in names if (v := getattr(self, n)) is not None]
        if self.proxies:
            made.append(f"proxies = {toml_text(list(self.proxies))}")
        if self.sources != type(self).model_fields["sources"].default:
            made.append(f"sources = {toml_text(list(self.sources))}")
        if self.learning != type(self).model_fields["learning"].default:
            made.append(f"learning = {toml_text(list(self.learning))}")
        return ["[console]", *made, *([] if self.oidc is None else ["", *self.oidc.lines()])]


class QuotaSettings(Part):
    """How much may be asked of this node. Nothing here allows what a rule or a budget does not.

    Attributes:
        runs: how many runs of one other member may be under way here at the same time.
        asks_an_hour: how many runs of one other member may begin here in an hour.
        user_runs: how many questions of one user of the console may be under way at the same time.
        user_asks_an_hour: how many questions one user of the console may ask in an hour.
        body_bytes: the largest body of a request that the console takes.
    """

    runs: Annotated[int, Field(ge=1, le=limits.MAX_QUOTA_RUNS)] = limits.QUOTA_RUNS
    asks_an_hour: Annotated[int, Field(ge=1, le=limits.MAX_QUOTA_ASKS)] = limits.QUOTA_ASKS
    user_runs: Annotated[int, Field(ge=1, le=limits.MAX_QUOTA_RUNS)] = limits.QUOTA_USER_RUNS
    user_asks_an_hour: Annotated[int, Field(ge=1, le=limits.MAX_QUOTA_ASKS)] = limits.QUOTA_USER_ASKS
    body_bytes: Annotated[int, Field(ge=65_536, le=limits.MAX_CONSOLE_BODY_BYTES)] = limits.CONSOLE_BODY_BYTES

    def lines(self) -> list[str]:
        """As TOML; nothing where all is as it is by itself."""
        said = {n: v for n, v in self.model_dump().items() if v != type(self).model_fields[n].default}
        return ["[quotas]", *(f"{n} = {v}" for n, v in said.items())] if said else []


class MetricsSettings(Part):
    """Where metrics are shown besides the health listener.

    Attributes:
        listen: HOST:PORT on loopback, where only ``/metrics`` is answered.
    """

    listen: Health

    def lines(self) -> list[str]:
        """As TOML."""
        return ["[metrics]", f"listen = {toml_text(self.listen)}"]
