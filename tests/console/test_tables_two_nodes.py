# SPDX-License-Identifier: Apache-2.0
"""From a file in the browser to a table, its rule and its budget in force at two nodes over HTTPS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console.two_nodes import Company, shown, until

pytestmark = pytest.mark.slow

ROWS = "phone,segment,amount\n" + "".join(f"090{n:08},{'ab'[n % 2]},{n % 90}\n" for n in range(3_000))
QUESTION = "SELECT segment, COUNT(DISTINCT phone) AS people FROM customers GROUP BY segment"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Company, Company]]:
    made = Company(tmp_path, "shop"), Company(tmp_path, "cloud")
    yield made
    for one in made:
        one.stop()


def room_of(shop: Company, cloud: Company) -> str:
    """A room in force of an owner that asks and a host."""
    where = shop.post(
        "/rooms/new",
        name="Customers",
        abilities=["query", "receive"],
        protections=["tokens"],
        settings=["allow_cleartext", "allow_duplicates"],
    )
    room = where.split("/")[2]
    made = shop.browser.submit(f"/rooms/{room}/invite", name="cloud", abilities=["host"], hours="24")
    text = re.search(r'id="invitation">([A-Za-z0-9_-]+)<', made.text)
    assert text, shown(made.text)
    joining = cloud.post("/rooms/join", invitation=text[1])
    offered = shop.page(f"/rooms/{room}/members")
    admit = re.search(rf'action="(/rooms/{room}/invite/[0-9a-f]{{32}}/admit)"', offered)
    key = re.search(r'name="key" value="([^"]+)"', offered)
    assert admit
    assert key
    shop.post(admit[1], key=key[1], compared="yes")
    shop.post(f"/rooms/{room}/sign", hash=shop.hash_at(f"/rooms/{room}"))
    cloud.post(f"{joining}/sign", hash=cloud.hash_at(joining))
    until(lambda: (shop.served(room), cloud.served(room)) == (1, 1))
    until(lambda: shop.node.view.settings().rooms[0].peers)
    return room


def test_table_rule_budget_and_preview(pair: tuple[Company, Company]) -> None:
    shop, cloud = pair
    room = room_of(shop, cloud)
    base = f"/rooms/{room}"
    sent = shop.browser.submit(
        f"{base}/tables/-/upload", files={"file": ("customers.csv", ROWS.encode(), "text/csv")}
    )
    assert sent.status_code == 303
    assert "3,000" in shop.page(sent.headers["location"])
    form = {"source": "data/customers.csv", "table": "customers"}
    columns = (
        ("phone", "string", "fingerprint"),
        ("segment", "string", "cleartext"),
        ("amount", "int", "cleartext"),
    )
    for n, (name, kind, protection) in enumerate(columns):
        form |= {f"take-{n}": "yes", f"name-{n}": name, f"type-{n}": kind, f"protection-{n}": protection}
    assert shop.post(f"{base}/tables", **form).endswith("done=in_force")
    until(lambda: (shop.served(room), cloud.served(room)) == (2, 2))
    assert "no rule" in shown(cloud.page(f"{base}/tables"))

    editor = f"{base}/tables/customers/rule"
    rule = {
        "view": "form", "type": "custom", "analyses": "any", "provider": "shop", "privacy": "noise",
        "unit-column": "phone", "unit": "person", "rows": "1", "groups": "1", "lower-amount": "0",
        "upper-amount": "100", "public-segment": "a\nb", "account-epsilon": "2",
    }  # fmt: skip
    tried = shop.browser.submit(editor, **rule, action="add", **{"new-sql": QUESTION, "new-wanted": "accept"})
    assert "1 of 1 as wanted" in shown(tried.text)
    assert shop.post(editor, **rule, action="propose").endswith("done=in_force")
    until(lambda: (shop.served(room), cloud.served(room)) == (3, 3))
    assert "2" in shown(cloud.page(f"{base}/budgets"))

    previewed = shop.browser.submit(f"{base}/budgets/preview", sql=QUESTION)
    said = shown(previewed.text)
    assert "More such questions" in said, said
    assert re.search(r"shop person [0-9.]+ 0 / 2 [0-9,]+", said), said
    with_more_noise = shown(shop.browser.submit(f"{base}/budgets/preview", sql=QUESTION, noise="200").text)
    assert _cost(with_more_noise) < _cost(said)
    standing = shown(shop.page(f"{base}/budgets"))
    assert "person: 100" in shop.page(f"{base}/budgets")
    assert "(questions: 0)" in standing


def _cost(said: str) -> float:
    found = re.search(r"shop person ([0-9.]+) ", said)
    assert found, said
    return float(found[1])
