# SPDX-License-Identifier: Apache-2.0
"""Two people, two browsers, two nodes: from nothing to an answer that both can account for.

A room is made, joined and signed; tables, rules and budgets are put into it; a question is refused, put
right, asked and answered; the ledger is verified; the answer and the ledger are exported. All by pages; only
the model that rows are scored by comes into the room by commands. Every page on the way, and at the end every
page that links lead to, is looked at (`tests.e2e.browsers`).
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pyotp
import pytest
from tests.e2e.browsers import MOST_BYTES, MOST_SECONDS, PASSWORD, Person, Seen, two_people
from tests.e2e.nodes import hitoku

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROUTES = frozenset(
    path
    for method, path, *_ in map(
        str.split, (Path(__file__).parents[1] / "console" / "abilities.txt").read_text("utf-8").splitlines()
    )
    if method == "GET" and not path.startswith("/api/")
)
"""What a console answers a browser."""
NOT_OPENED = {
    "/login/oidc": "there is no provider; it is no page (test_oidc.py)",
    "/login/oidc/back": "the same",
}
"""Routes that this story does not come to, and why."""
EVIDENCE = "sha256:" + "a" * 64
_FILE = re.compile(r"\.([a-z]+|\{kind\})$")
AIRPORTS = ("FUK", "HND", "KIX")
AGES = ("20s", "40s", "60s")
MOST_NIGHTS = 12
REFUSED = """\
SELECT t.airport, COUNT(DISTINCT t.phone) AS travellers, SUM(t.stay_nights) AS nights
FROM travellers AS t JOIN subscribers AS s ON t.phone = s.phone"""
ASKED = REFUSED + " GROUP BY t.airport"
MODEL = "travels-again"
INPUTS = 4
FARTHEST = 2 * 165
"""No count is farther from the truth than this: where both owners' noise is cut off."""


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(route)))


_PATTERNS = {
    route: _pattern(route) for route in sorted(ROUTES, key=lambda r: -len(re.sub(r"\{[a-z_]+\}", "", r)))
}


def route_of(path: str) -> str | None:
    """The route that answers a path: of those that fit, the one with most of it written out."""
    return next((route for route, pattern in _PATTERNS.items() if pattern.fullmatch(path)), None)


@dataclass
class Story:
    """The two people, and what is true of their tables."""

    aoi_user: Person
    ben_user: Person
    place: Path
    truth: dict[str, int]
    room: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    """Where each user's last answer is shown."""

    def at(self, end: str = "") -> str:
        """The address of a page of the room."""
        return f"/rooms/{self.room}{end}"


def _tables(place: Path) -> dict[str, int]:
    """A travel table and a subscribers' table of some hundred people. Returns travellers by airport."""
    chance = random.Random(4)
    people = [f"+8190{n:04d}{chance.randrange(10**4):04d}" for n in range(900)]
    truth = dict.fromkeys(AIRPORTS, 0)
    with (place / "travellers.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["phone", "airport", "stay_nights"])
        for n, phone in enumerate(people[:700]):
            airport = chance.choice(AIRPORTS)
            truth[airport] += n >= 100
            rows.writerow([phone, airport, chance.randrange(MOST_NIGHTS + 1)])
    with (place / "subscribers.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["phone", "age_band", "calls"])
        for phone in people[100:]:
            rows.writerow([phone, chance.choice(AGES), chance.randrange(MOST_NIGHTS + 1)])
    return truth


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two nodes with nothing in them but their first users."""
    place = tmp_path_factory.mktemp("story")
    with two_people(place) as (aoi_user, ben_user):
        told = Story(aoi_user, ben_user, place, _tables(place))
        _founded(told)
        _registered(told)
        _ruled(told)
        _recognised(told)
        yield told


def _founded(story: Story) -> None:
    aoi_user, ben_user = story.aoi_user, story.ben_user
    aoi_user.sign_in("sign-in")
    ben_user.sign_in()
    aoi_user.look("overview-empty")
    aoi_user.go("/rooms/new")
    aoi_user.page.get_by_label("Name", exact=True).fill("Where subscribers travel")
    for one in ("allow_cleartext", "allow_duplicates", "preserve_nulls"):
        if not aoi_user.page.locator(f"#f-settings-{one}").is_visible():
            aoi_user.page.locator("summary").last.click()
        aoi_user.page.locator(f"#f-settings-{one}").check()
    aoi_user.press("Make the room")
    story.room = aoi_user.page.url.split("/rooms/")[1].split("/")[0]
    aoi_user.press("Invite a company")
    aoi_user.page.locator("#f-name").fill("ben")
    aoi_user.press("Make the invitation")
    invitation = aoi_user.page.locator("#invitation").inner_text().strip()
    ben_user.go("/rooms/join")
    ben_user.page.locator("textarea").fill(invitation)
    ben_user.press("Go to the inviter", "compare-keys")
    aoi_user.go(story.at("/members"), "members-offer")
    # What both read to each other on the phone is the same.
    shown = [p.page.locator(".fingerprint").first.inner_text().split() for p in (aoi_user, ben_user)]
    assert shown[0] == shown[1]
    aoi_user.page.locator("[name=compared]").check()
    aoi_user.press("Admit the key")
    ben_user.press("Look again")
    ben_user.press("Sign exactly this", "signed")
    aoi_user.go(story.at())
    aoi_user.press("Sign exactly this", "agreement")
    assert "in force" in aoi_user.text()
    ben_user.go(f"/rooms/join/{story.room}")
    assert urlsplit(ben_user.page.url).path == story.at()
    assert "in force" in ben_user.text()


def _registered(story: Story) -> None:
    for person, name, group in (
        (story.aoi_user, "travellers", "airport"),
        (story.ben_user, "subscribers", "age_band"),
    ):
        person.go(story.at("/tables"))
        person.press("Add a table")
        person.page.locator("input[type=file]").set_input_files(story.place / f"{name}.csv")
        person.press("Upload")
        # The columns of the file: the person, a group, a number.
        kinds = [("string", "fingerprint"), ("string", "cleartext"), ("bigint", "cleartext")]
        for n, (kind, protection) in enumerate(kinds):
            person.page.locator(f"[name=type-{n}]").select_option(kind)
            person.page.locator(f"[name=protection-{n}]").select_option(protection)
            person.page.locator(f"[name=nullable-{n}]").set_checked(n == 1)
        if name == "travellers":
            person.picture("declare-table")
        person.press("Declare and enter")
        assert group in person.text()


def _ruled(story: Story) -> None:
    for person, name, group, values, number in (
        (story.aoi_user, "travellers", "airport", AIRPORTS, "stay_nights"),
        (story.ben_user, "subscribers", "age_band", AGES, "calls"),
    ):
        page = person.page
        person.go(story.at("/tables"))
        person.press(name)
        person.press("Edit the rule")
        person.press("custom")
        for member in ("aoi", "ben"):
            page.locator(f"[name=provider][value={member}]").check()
        page.locator("[name=privacy][value=noise]").check()
        details = page.locator("details", has=page.locator("[name=unit-column]"))
        if not page.locator("[name=unit-column]").is_visible():
            details.locator("summary").first.click()
        page.locator("[name=unit-column]").select_option("phone")
        page.locator("[name=unit]").fill("person")
        page.locator(f"[name=lower-{number}]").fill("0")
        page.locator(f"[name=upper-{number}]").fill(str(MOST_NIGHTS))
        page.locator(f"[name=public-{group}]").fill("\n".join(values))
        person.press("Try it")
        page.locator("[name=account-epsilon]").fill("20")
        page.locator("[name=account-noise]").fill("10")
        person.press("Save: propose this rule")
        assert "custom" in person.text().lower()


def _recognised(story: Story) -> None:
    aoi_user, ben_user = story.aoi_user, story.ben_user
    aoi_user.go(story.at())
    aoi_user.press("Say how")
    for name in ("travellers", "subscribers"):
        aoi_user.page.locator(f"[name=tables][value={name}]").check()
    aoi_user.page.locator("[name=kind-0]").fill("phone")
    for step in ("nfkc", "trim", "e164"):
        aoi_user.page.locator(f"[name=steps-0][value={step}]").check()
    aoi_user.page.locator("[name=code]").fill("81")
    aoi_user.press("Propose", "proposed")
    assert urlsplit(aoi_user.page.url).path == story.at("/draft")
    ben_user.go(story.at("/draft"), "proposal")
    ben_user.press("Sign exactly this")
    aoi_user.go(story.at())
    assert "phone" in aoi_user.text()
    aoi_user.go(story.at("/tables/travellers"))
    aoi_user.click("Check the whole table")
    aoi_user.page.locator("#check dl").wait_for()
    assert "700" in aoi_user.page.locator("#check").inner_text()
    aoi_user.look()
    aoi_user.fetch(story.at("/tables/travellers/check"))  # what the page asks until it is done


def _asked(person: Person, end: str = "") -> None:
    """Run the question of the verdict, and come to its end."""
    with person.leaving():
        person.click("Run it")
    person.page.locator("#answer-table").wait_for()
    person.look(end)


def _accepted(person: Person) -> None:
    """Wait until the question that was checked may be run; else say what the page says of it."""
    from playwright.sync_api import TimeoutError as Late

    try:
        person.page.locator("form.run button:enabled").wait_for()
    except Late:
        raise AssertionError(person.page.locator("main").inner_html()) from None


def test_a_question_is_refused_put_right_and_answered_with_a_plot(story: Story) -> None:
    aoi_user, ben_user, page = story.aoi_user, story.ben_user, story.aoi_user.page
    aoi_user.go(story.at("/ask"))
    page.locator("#sql").fill(REFUSED)
    aoi_user.click("Check the question")
    page.locator("#verdict .refusal, #verdict [data-fix]").first.wait_for()
    page.get_by_role("button", name="Change it and check again").scroll_into_view_if_needed()
    aoi_user.look("refused")
    aoi_user.click("Change it and check again")
    _accepted(aoi_user)
    assert page.locator("#sql").input_value() == ASKED
    aoi_user.look("accepted")
    _asked(aoi_user)
    page.locator("#plot svg").wait_for()
    story.answers["aoi_user"] = urlsplit(page.url).path
    aoi_user.look("answer")
    rows = [row.split("\t") for row in page.locator("#answer-table tbody").inner_text().splitlines()]
    assert {row[0] for row in rows} == set(story.truth)
    for row in rows:
        assert abs(int(row[1].replace(",", "")) - story.truth[row[0]]) <= FARTHEST
    # Both receive: the other owner has the same answer.
    ben_user.go(story.at("/received"), "received")
    assert "aoi_user" in ben_user.text() or "aoi" in ben_user.text()
    for kind in ("CSV", "JSON", "SVG"):
        with page.expect_download() as coming:
            aoi_user.click(kind)
        held = Path(coming.value.path()).read_text("utf-8")
        if kind == "CSV":
            assert {row[0] for row in csv.reader(io.StringIO(held)) if row} >= set(story.truth)
        elif kind == "JSON":
            assert {row[0] for row in json.loads(held)["rows"]} == set(story.truth)
        else:
            assert "<svg" in held
            assert not any(name in held for name in ("<script", "+81"))


def test_examples_say_what_a_rule_allows(story: Story) -> None:
    person, page = story.aoi_user, story.aoi_user.page
    person.go(story.at("/tables/travellers/rule"))
    for sql, wanted in ((ASKED, "accept"), (REFUSED, "refuse")):
        if not page.locator("#f-new-sql").is_visible():
            page.locator(".verdicts > details summary").click()
        page.locator("#f-new-sql").fill(sql)
        page.locator("[name=new-wanted]").select_option(wanted)
        person.press("Add")
    assert "2 of 2 as wanted" in page.locator("#verdicts").inner_text()
    person.picture("rule", 725)


def test_both_verify_their_ledgers_and_export_them(story: Story) -> None:
    for person in (story.aoi_user, story.ben_user):
        person.go(story.at("/ledger"), "ledger" if person is story.aoi_user else "")
        person.press("Verify the whole ledger")
        person.page.get_by_text("holds", exact=False).first.wait_for()
        person.look("ledger-verified" if person is story.aoi_user else "")
        person.go(story.at("/ledger/export"))
        with person.page.expect_download() as coming:
            person.click(re.compile("Download"))
        lines = Path(coming.value.path()).read_text("utf-8").splitlines()
        assert len(lines) > 2
        assert all(json.loads(line) for line in lines)
        assert not any("+8190" in line for line in lines)


def test_signing_in_and_asking_with_the_keyboard_alone(story: Story) -> None:
    person = story.ben_user
    page, keys = person.page, person.page.keyboard
    person.go("/")
    person.press("Sign out", within="header")

    def to(selector: str) -> None:
        """Tab until something has the focus."""
        for _ in range(120):
            if page.evaluate("(s) => document.activeElement.matches(s)", selector):
                return
            keys.press("Tab")
        raise AssertionError(f"Tab does not come to {selector}: {page.url}")

    to("[name=name]")
    keys.type(person.node.user)
    to("[name=password]")
    keys.type(PASSWORD)
    with person.leaving():
        keys.press("Enter")
    for selector in ('a[href="/rooms"]', f'main a[href="{story.at()}"]', f'a[href="{story.at("/ask")}"]'):
        to(selector)
        with person.leaving():
            keys.press("Enter")
    to("#sql")
    keys.type(ASKED)
    to("#ask-form button.primary")
    keys.press("Enter")
    _accepted(person)
    to("form.run button")
    with person.leaving():
        keys.press("Enter")
    page.locator("#answer-table").wait_for()
    story.answers["ben_user"] = urlsplit(page.url).path
    assert set(story.truth) <= set(page.locator("#answer-table tbody").inner_text().split())


def test_a_one_time_code_and_another_user(story: Story) -> None:
    person = story.ben_user
    page = person.page
    person.go("/account")
    page.locator("#onetime-password").fill(PASSWORD)
    person.press("Set up")
    page.locator("img.qr").wait_for()
    page.locator("details:has(.secret) summary").click()
    secret = page.locator("details .secret").inner_text().replace(" ", "")
    page.locator("#f-code").fill(pyotp.TOTP(secret).now())
    person.press("Confirm")
    codes = page.locator(".recovery li").all_inner_texts()
    person.press("Sign out", within="header")
    person.sign_in()
    assert urlsplit(page.url).path == "/login/code"
    page.locator("#f-code").fill(codes[0])
    person.press("Sign in")
    person.go("/users")
    page.locator("#f-name").fill("chie")
    person.press("Add a user")
    assert "chie" in person.text()


def test_rows_are_scored_by_a_model_that_commands_put_into_the_room(story: Story) -> None:
    rows, wanted = _served(story)
    person, page = story.ben_user, story.ben_user.page
    person.go(story.at(f"/models/{MODEL}"))
    page.locator("input[type=file]").set_input_files(rows)
    # The page comes again by itself until the scores are there: it is opened and looked at after that.
    with person.leaving():
        person.click("Score")
    page.locator('a[href$="/scores.csv"]').wait_for()
    story.answers["scores"] = urlsplit(page.url).path
    person.go(story.answers["scores"], "scores")
    with page.expect_download() as coming:
        person.click("Download CSV")
    lines = Path(coming.value.path()).read_text("utf-8").splitlines()[1:]
    found = [float(line.split(",")[0]) for line in lines]
    assert [one > 0 for one in found] == wanted
    # The other console, whose node computed them: what was asked, and all that it knows of the circuit.
    person, page = story.aoi_user, story.aoi_user.page
    person.go(story.at(f"/models/{MODEL}"), "model")
    assert "Ring degree" in person.text()


def test_every_page_of_both_consoles(story: Story) -> None:
    _records(story)
    for person in (story.aoi_user, story.ben_user):
        _walk(person, story)
    # A server's folder of a run has other curves than a member's; the walk came to one of the two.
    story.aoi_user.go("/learning", "learning")
    runs = {
        name: story.aoi_user.page.locator("tr", has_text=name).get_by_role("link").first.get_attribute("href")
        for name in ("adder", "aki")
    }
    for name, path in runs.items():
        story.aoi_user.go(path, f"run-{name}")
        drawn = story.aoi_user.page.locator("figure.chart svg").count()
        assert bool(drawn) is (name == "aki")
    for person, (language, theme) in ((story.aoi_user, ("ja", "light")), (story.ben_user, ("en", "dark"))):
        person.go("/account")
        person.page.locator("[name=language]").first.select_option(language)
        person.page.locator("[name=theme]").select_option(theme)
        with person.leaving():
            person.page.locator("form:has([name=theme]) button").click()
        person.look()
        end = "-ja" if language == "ja" else "-dark"
        for name, path in (
            ("overview", "/"),
            ("agreement", story.at()),
            ("tables", story.at("/tables")),
            ("rule", story.at(f"/tables/{'travellers' if language == 'ja' else 'subscribers'}/rule")),
            ("budgets", story.at("/budgets")),
            ("ask", story.at("/ask")),
            ("answer", story.answers[person.node.user]),
            ("ledger", story.at("/ledger")),
            ("models", story.at("/models")),
            ("model", story.at(f"/models/{MODEL}")),
            *([("run", runs["aki"])] if language == "ja" else [("scores", story.answers["scores"])]),
        ):
            person.go(path, name + end)
    people = (story.aoi_user, story.ben_user)
    problems = [f"{person.node.user}: {words}" for person in people for words in person.complaints]
    seen: dict[str, list[Seen]] = {}
    for one in (one for person in people for one in person.seen):
        route = route_of(one.path) or one.path
        seen.setdefault(route, []).append(one)
        problems += [f"{route}: {words}" for words in one.axe]
    for route, of in sorted(seen.items()):
        most, slowest = max(one.bytes for one in of), max(one.seconds for one in of)
        sys.stdout.write(f"{route:60} {len(of):3} {most:9,} bytes {slowest:6.2f} s\n")
        if most > MOST_BYTES:
            problems.append(f"{route}: {most:,} bytes")
        if os.environ.get("HITOKU_TIMINGS") and slowest > MOST_SECONDS:
            problems.append(f"{route}: {slowest:.2f} s")
    sys.stdout.write(f"load of this machine: {os.getloadavg()}\n")
    # Pages were looked at; parts of pages, files and streams came without an error.
    came = set(seen) | {route_of(path) for person in people for path in person.came}
    problems += [
        f"{route}: not opened, and not in NOT_OPENED"
        for route in ROUTES
        if route not in came | NOT_OPENED.keys()
    ]
    problems += [
        f"{route}: in NOT_OPENED, and is opened or gone"
        for route in NOT_OPENED
        if route in came or route not in ROUTES
    ]
    assert not problems, "\n".join(sorted(set(problems)))


def _served(story: Story) -> tuple[Path, list[bool]]:
    """aoi offers a model to ben, by the commands of the tutorial, beside the nodes that run.

    Returns:
        A file of rows, and of each whether the model in the clear says yes.
    """
    import numpy as np
    from xgboost import XGBClassifier

    place, aoi, ben = story.place, story.aoi_user.node.directory, story.ben_user.node.directory
    chance = np.random.default_rng(7)
    people = chance.normal(size=(300, INPUTS))
    again = (people @ np.arange(1, INPUTS + 1) > 0).astype(int)
    model = XGBClassifier(n_estimators=4, max_depth=2, max_bin=8, n_jobs=1).fit(people, again)
    margins = model.predict(people, output_margin=True)
    chosen = np.argsort(margins)[[*range(6), *range(-6, 0)]]  # those that noise does not turn round
    model.save_model(place / "model.json")
    np.save(place / "calibration.npy", people)
    rows = place / "rows.csv"
    np.savetxt(rows, people[chosen], delimiter=",", header="a,b,c,d", comments="")
    agreement = aoi / "agreements" / f"{story.room}.yaml"
    compiled, offer, path = place / "compiled", place / "offer.yaml", story.at(f"/models/{MODEL}")
    for words in (
        ("model", "compile", place / "model.json", "--calibration", place / "calibration.npy",
         "--output", compiled),
        ("model", "serve", compiled, "--member", aoi, "--name", MODEL, "--asker", "ben",
         "--rows-per-day", 20_000),
        ("room", "models", agreement, offer),
        ("room", "sign", agreement, "--member", aoi),
    ):  # fmt: skip
        done = hitoku(*words)
        assert done.returncode == 0, done.stderr
        if words[1] == "serve":
            offer.write_text(done.stdout, "utf-8")
    # aoi's node looks for its new version every two seconds, and so does ben's.
    until = time.monotonic() + 300
    while story.ben_user.page.request.get(f"{story.ben_user.node.url}{path}").status != 200:
        assert time.monotonic() < until, path
        assert hitoku("room", "pull", ben).returncode == 0
        time.sleep(0.5)
    return rows, [bool(one) for one in margins[chosen] > 0]


def _records(story: Story) -> None:
    """Put beside what people made what only programs make: a learning run, and evidence that was attested."""
    from tests.appraisals import BINDING
    from tests.unit.learning.learning_world import make_room
    from tests.unit.learning.test_server import Running
    from tests.unit.node.attested_world import PROGRAM

    from hitoku.attestation.attest.dev import DevAttester, make_key_file
    from hitoku.ports import SystemClock
    from hitoku.room import keytables
    from hitoku.room.directory import MemberDirectory

    directory = story.aoi_user.node.directory
    runs = directory / "learning"
    runs.mkdir()
    (story.place / "banks").mkdir()
    banks = Running(make_room(story.place / "banks"), runs)
    banks.run()
    banks.close()
    make_key_file(story.place / "program.key", PROGRAM)
    evidence = json.dumps(DevAttester.open(story.place / "program.key").attest(BINDING).to_dict()).encode()
    row = {"room": story.room, "hash": EVIDENCE, "run": "0" * 32, "content": evidence, "ear": b"not.a.jwt"}
    records = MemberDirectory.open(directory).records(story.room, SystemClock())
    with records.store.transaction() as connection:
        connection.execute(keytables.evidence.insert(), [row])
    records.store.close()


def _walk(person: Person, story: Story) -> None:
    """Every page that links lead to, one of each route; files that links lead to are fetched."""
    waiting = ["/", story.at("/draft/crosstab"), story.at("/attestation/deletion"), "/learning"]
    if person is story.aoi_user:
        waiting.append(story.at(f"/attestation/evidence/{EVIDENCE}"))
    taken = {route_of(path) for path in waiting}
    while waiting:
        path = waiting.pop(0)
        person.go(path)
        links = person.page.locator("a[href]").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        for link in links:
            parts = urlsplit(link)
            if parts.netloc or not parts.path:
                continue
            route = route_of(parts.path)
            assert route is not None, f"{path} leads to {link}, which is no page"
            if route in taken:
                continue
            taken.add(route)
            if _FILE.search(route):
                person.fetch(link)
            else:
                waiting.append(parts.path + (f"?{parts.query}" if parts.query else ""))
