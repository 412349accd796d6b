# SPDX-License-Identifier: Apache-2.0
"""Which addresses of others' choice are called."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.errors import InputError
from hitoku.node.settings import NodeSettings
from hitoku.transport.https.places import Networks, check_network

INSIDE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.20.1.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "192.0.0.9", "192.0.0.192", "168.63.129.16", "100.100.100.200", "fd00:ec2::254",
    "fd20:ce::254", "fec0::1", "192.88.99.1", "3fff::1", "64:ff9b:1::a9fe:a9fe", "64:ff9b::a83f:8110",
    "5f00::1", "2001:db8::1", "192.0.2.1", "198.18.0.1",
]  # fmt: skip
OUTSIDE = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]


def url(host: str) -> str:
    return f"https://[{host}]:8443" if ":" in host else f"https://{host}:8443"


@pytest.mark.parametrize("host", INSIDE)
def test_inside_networks_are_not_called_by_a_node_on_the_internet(host):
    networks = Networks.of(["1.1.1.1"])
    with pytest.raises(InputError, match="is in no network"):
        networks.place(url(host))


@pytest.mark.parametrize("host", OUTSIDE)
def test_what_is_on_the_internet_is_called_by_its_number(host):
    assert Networks.of(["1.1.1.1"]).place(url(host)) == url(str(ip_address(host)))


@pytest.mark.parametrize(
    ("own", "yes", "no"),
    [
        ("127.0.0.1", ["127.0.0.1", "::1"], ["10.0.0.1", "169.254.169.254", "192.168.1.1"]),
        ("10.1.2.3", ["10.200.0.1"], ["127.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254"]),
        ("192.168.7.7", ["192.168.1.1"], ["127.0.0.1", "10.0.0.1"]),
        ("fd00::7", ["fd00::8"], ["::1", "fe80::1"]),
        ("169.254.1.1", [], ["169.254.169.254", "127.0.0.1"]),
    ],
)
def test_a_node_inside_calls_where_it_is_itself(own, yes, no):
    networks = Networks.of([own])
    assert [h for h in (*yes, *no, "1.1.1.1") if networks.allow(ip_address(h))] == [*yes, "1.1.1.1"]


def test_an_operator_lists_more_and_not_everything():
    networks = Networks.of(["1.1.1.1"], ["10.1.0.0/16"])
    assert networks.allow(ip_address("10.1.2.3"))
    assert not networks.allow(ip_address("10.2.0.1"))
    for text in ("0.0.0.0/0", "::/0", "0.0.0.0/1", "host", "10.1.2.3/16", ""):
        with pytest.raises(InputError):
            check_network(text)


@pytest.mark.parametrize(
    ("host", "around"),
    [
        ("169.254.169.254", "169.254.0.0/16"),
        ("168.63.129.16", "168.63.0.0/16"),
        ("100.100.100.200", "100.64.0.0/10"),
        ("192.0.0.192", "192.0.0.0/24"),
        ("fd00:ec2::254", "fd00::/8"),
        ("fd20:ce::254", "fd20:ce::/64"),
        ("fe80::1", "fe80::/10"),
        ("fec0::1", "fec0::/10"),
    ],
)
def test_what_tells_keys_is_called_only_where_exactly_it_is_listed(host, around):
    ip = ip_address(host)
    assert not Networks.of([], [around]).allow(ip)
    assert not Networks.of([str(ip + 1)]).allow(ip)
    assert Networks.of([], [around, host]).allow(ip)


def test_a_name_is_looked_up_once_and_its_number_is_called(monkeypatch):
    """What the name says a moment later does not matter."""
    said = [["10.0.0.5"], ["127.0.0.1"]]

    def look_up(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in said.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    networks = Networks.of([], ["10.0.0.0/8"])
    assert networks.place("https://inviter.example:8444") == "https://10.0.0.5:8444"
    with pytest.raises(InputError):
        networks.place("https://inviter.example:8444")


def test_of_several_numbers_an_allowed_one_is_called(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ("127.0.0.1", "1.1.1.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert Networks().place("https://both.example") == "https://1.1.1.1:443"


def test_unknown_names_are_told_like_refused_ones(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror("no such name")

    words = []
    with pytest.raises(InputError) as caught:
        Networks().place("https://10.0.0.1:1")
    words.append(str(caught.value).replace("10.0.0.1", "X"))
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(InputError) as caught:
        Networks().place("https://inside.example:1")
    words.append(str(caught.value).replace("inside.example", "X"))
    assert words[0] == words[1]


@given(st.ip_addresses())
def test_nothing_but_public_addresses_without_a_list(ip):
    if Networks().allow(ip):
        assert ip.is_global
        assert not any(
            ip in ip_network(one)
            for one in ("127.0.0.0/8", "10.0.0.0/8", "169.254.0.0/16", "fe80::/10", "fc00::/7")
            if ip_network(one).version == ip.version
        )


def test_a_nodes_settings_say_where():
    said = {"listen": "127.0.0.1:8443", "url": "https://127.0.0.1:8443"}
    assert NodeSettings.made(said, "x").places().allow(ip_address("127.0.0.1"))
    anywhere = NodeSettings.made(said | {"listen": "0.0.0.0:8443", "url": "https://1.1.1.1:8443"}, "x")
    assert not anywhere.places().allow(ip_address("127.0.0.1"))
    listed = NodeSettings.made(said | {"networks": ["10.1.0.0/16"]}, "x")
    assert listed.places().allow(ip_address("10.1.0.1"))
    assert NodeSettings.made(said, "x").text() != listed.text()
    with pytest.raises(InputError, match="networks"):
        NodeSettings.made(said | {"networks": ["0.0.0.0/0"]}, "x")
