# SPDX-License-Identifier: Apache-2.0
"""node.toml as programs change it, and its parts for people and operations."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hitoku import limits
from hitoku.errors import InputError
from hitoku.node import settings_file as change
from hitoku.node.settings import NodeSettings, TableSettings

BASE = {"listen": "127.0.0.1:8443", "url": "https://a:8443"}

TEXT = """\
# our node
listen = "127.0.0.1:8443"  # behind the firewall
url = "https://a:8443"

[[rooms]]
file = "one.yaml"

[rooms.peers]
# the host's operator: see the wiki
host = "https://host:8443"  # since May

[[rooms]]
file = "two.yaml"

[quotas]
runs = 7
"""


def _toml(place: Path, text: str = TEXT) -> Path:
    (place / "node.toml").write_text(text, "utf-8")
    return place / "node.toml"


def test_a_room_is_added_and_all_else_stays(tmp_path):
    file = _toml(tmp_path)
    made = change.add_room(tmp_path, tmp_path / "rooms" / "three.yaml", {"b": "https://b:1"})
    assert [room.file for room in made.rooms] == ["one.yaml", "two.yaml", "rooms/three.yaml"]
    assert made == NodeSettings.open(tmp_path)
    assert made.rooms[2].peers == {"b": "https://b:1"}
    assert made.quotas.runs == 7
    assert file.read_text("utf-8").startswith(TEXT)
    assert change.add_room(tmp_path, tmp_path / "rooms" / "three.yaml", {"c": "https://c:1"}).rooms[
        2
    ].peers == {
        "b": "https://b:1",
        "c": "https://c:1",
    }
    assert len(NodeSettings.open(tmp_path).rooms) == 3


def test_an_address_is_added_changed_and_forgotten_in_the_right_room(tmp_path):
    file = _toml(tmp_path)
    change.set_peer(tmp_path, tmp_path / "two.yaml", "owner", "https://owner:1")
    change.set_peer(tmp_path, tmp_path / "one.yaml", "owner", "https://owner:2")
    change.set_peer(tmp_path, tmp_path / "one.yaml", "host", "https://host:9")
    made = NodeSettings.open(tmp_path)
    assert made.rooms[0].peers == {"host": "https://host:9", "owner": "https://owner:2"}
    assert made.rooms[1].peers == {"owner": "https://owner:1"}
    text = file.read_text("utf-8")
    assert "# the host's operator: see the wiki" in text
    assert "# behind the firewall" in text
    change.set_peer(tmp_path, tmp_path / "one.yaml", "host", None)
    assert NodeSettings.open(tmp_path).rooms[0].peers == {"owner": "https://owner:2"}


def test_a_room_is_dropped(tmp_path):
    _toml(tmp_path)
    made = change.drop_room(tmp_path, tmp_path / "one.yaml")
    assert [room.file for room in made.rooms] == ["two.yaml"]
    assert made.quotas.runs == 7
    assert NodeSettings.open(tmp_path) == made
    with pytest.raises(InputError, match=r"does not name .*one\.yaml"):
        change.drop_room(tmp_path, tmp_path / "one.yaml")


@pytest.mark.parametrize(
    "rooms",
    ['rooms = [{file = "one.yaml", peers = {host = "https://host:1"}}]', "rooms = []", '"rooms" = []'],
)
def test_a_file_that_is_laid_out_otherwise_is_written_anew(tmp_path, rooms):
    _toml(tmp_path, f'listen = "127.0.0.1:8443"\nurl = "https://a"\n{rooms}\n')
    before = NodeSettings.open(tmp_path)
    made = change.add_room(tmp_path, tmp_path / "new.yaml", {"b": "https://b"})
    assert made.rooms[:-1] == before.rooms
    assert made.rooms[-1].peers == {"b": "https://b"}
    if before.rooms:
        made = change.set_peer(tmp_path, tmp_path / "one.yaml", "host", "https://host:2")
        assert made.rooms[0].peers == {"host": "https://host:2"}
    assert NodeSettings.open(tmp_path) == made


def test_nothing_is_written_that_cannot_be_used(tmp_path):
    file = _toml(tmp_path)
    for name, address in (("host", "http://x"), ("Host", "https://x"), ("host", "https://x/path")):
        with pytest.raises(InputError):
            change.set_peer(tmp_path, tmp_path / "one.yaml", name, address)
    assert file.read_text("utf-8") == TEXT
    file.write_text("[", "utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        change.add_room(tmp_path, tmp_path / "x.yaml")
    assert file.read_text("utf-8") == "["


def test_own_tables_are_entered_replaced_and_forgotten(tmp_path):
    _toml(tmp_path)
    change.put_table(tmp_path, TableSettings(name="flights", source="a.csv", columns={"a b": 'c"d'}))
    change.put_table(tmp_path, TableSettings(name="flights", source="b.csv", room="One"))
    change.put_table(tmp_path, TableSettings(name="flights", source="c.csv"))
    made = NodeSettings.open(tmp_path)
    assert {(t.name, t.room): t.source for t in made.tables} == {
        ("flights", "One"): "b.csv",
        ("flights", None): "c.csv",
    }
    change.forget_table(tmp_path, "flights")
    assert [t.source for t in NodeSettings.open(tmp_path).tables] == ["b.csv"]
    with pytest.raises(InputError, match="has no table 'flights'"):
        change.forget_table(tmp_path, "flights")


def test_changes_at_the_same_time_are_all_kept(tmp_path):
    _toml(tmp_path)

    def add(n: int) -> None:
        change.add_room(tmp_path, tmp_path / f"r{n}.yaml", {"b": f"https://b:{n + 1}"})

    threads = [threading.Thread(target=add, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {room.file for room in NodeSettings.open(tmp_path).rooms[2:]} == {f"r{n}.yaml" for n in range(12)}


def test_all_settings_are_written_as_they_are_read(tmp_path):
    made = NodeSettings.made(
        {
            **BASE,
            "health": "127.0.0.1:1",
            "invitations": "0.0.0.0:2",
            "rooms": [{"file": 'odd "name"\x7f.yaml', "peers": {"b": "https://b"}}, {"file": "x"}],
            "tables": [{"name": "t", "source": "t.csv"}],
            "console": {
                "listen": "0.0.0.0:443",
                "url": "https://console.example",
                "certificate": "c.pem",
                "key": "k.pem",
                "oidc": {
                    "issuer": "https://login.example/realms/a",
                    "client_id": "hitoku",
                    "client_secret_file": "oidc.secret",
                    "abilities": {"data team": ["ask", "tables"], "分析": ["audit"]},
                    "groups": "roles",
                },
            },
            "quotas": {"runs": 1, "asks_an_hour": 2, "user_runs": 3, "user_asks_an_hour": 4,
                       "body_bytes": 70_000},
            "metrics": {"listen": "127.0.0.1:9"},
        },
        "here",
    )  # fmt: skip
    made.write(tmp_path)
    assert NodeSettings.open(tmp_path) == made
    nothing = NodeSettings.made(BASE, "here")
    assert "quotas" not in nothing.text()
    assert nothing.rooms == ()
    assert nothing.console is None
    assert nothing.quotas.user_runs == limits.QUOTA_USER_RUNS


@pytest.mark.parametrize(
    ("console", "words"),
    [
        ({"listen": "0.0.0.0:8480"}, "needs TLS"),
        ({"listen": "console.example:8480"}, "needs TLS"),
        ({"listen": "127.0.0.1:1", "certificate": "c"}, "needs `key`"),
        ({"listen": "127.0.0.1:1", "certificate": "c", "key": "k", "url": "http://127.0.0.1:1"}, "https://"),
        ({"url": "http://console.example"}, "for this machine alone"),
        ({"url": "https://console.example/path"}, "not an address of a console"),
        ({"url": "https://user@console.example"}, "not an address of a console"),
        ({"url": "javascript:alert(1)"}, "not an address of a console"),
        ({"oidc": {"issuer": "http://login.example", "client_id": "a", "client_secret_file": "f"}}, "issuer"),
        ({"oidc": {"issuer": "https://l", "client_id": "a", "client_secret_file": "f", "client_secret": "P"}},
         "Extra inputs"),
        ({"oidc": {"issuer": "https://l", "client_id": "a", "client_secret_file": "f",
                   "abilities": {"g": ["root"]}}}, "Input should be"),
    ],
)  # fmt: skip
def test_a_console_that_would_be_unsafe_cannot_be_set(console, words):
    with pytest.raises(InputError, match=words):
        NodeSettings.made({**BASE, "console": console}, "here")


def test_where_a_console_is_found():
    def url(**console: str) -> tuple[str, bool]:
        made = NodeSettings.made({**BASE, "console": console}, "here").console
        assert made is not None
        return made.url, made.secure

    assert url() == ("http://127.0.0.1:8480", False)
    assert url(listen="[::1]:9") == ("http://[::1]:9", False)
    assert url(listen="0.0.0.0:9", certificate="c", key="k", url="https://c.example:443/") == (
        "https://c.example",
        True,
    )
    assert url(url="https://c.example:8443") == ("https://c.example:8443", True)
    assert url(url="http://localhost:8480") == ("http://localhost:8480", False)
