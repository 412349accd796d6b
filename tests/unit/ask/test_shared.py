# SPDX-License-Identifier: Apache-2.0
"""Why a run of three servers ended: the leader hears one of the others first, and it may be the wrong one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from hitoku.ask import shared as leading
from hitoku.ask.shared import SharedRun
from hitoku.errors import EngineError, HitokuError, PeerError, Refusal
from hitoku.node.shares import _told
from hitoku.transport import shares

RUN = "ab" * 16
GOING, DONE = (shares.SharesGoing(run=RUN, done=done).model_dump(mode="json") for done in (False, True))
LOST = PeerError("server 'lab' ended the run: nothing was given out", "SHARES_ABORTED")
ECHO = _told(PeerError("server 'telco' broke off: nothing was given out", "SHARES_CLOSED"), "lab")
REASON = _told(PeerError("'shop' sent shares that are not those in its manifest"), "telco")
AWAY = PeerError("'telco' cannot be reached at https://telco: nobody answers there")

Said = Callable[[int], Mapping[str, Any] | HitokuError]
"""What a server answers the first time (0) and later."""


class Others:
    """The two other servers, for a leader: nothing is waited for, everything is counted."""

    me = "shop"

    def __init__(self, **said: Said) -> None:
        self.said, self.asked, self.slept = said, Counter[str](), 0.0

    def call(self, member: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        assert message == {"kind": "hitoku/shares-wait/1", "run": RUN}
        self.asked[member] += 1
        answer = self.said[member](self.asked[member] - 1)
        if isinstance(answer, HitokuError):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def why(self, error: HitokuError = LOST) -> BaseException:
        host: Any = SimpleNamespace(peers=self, clock=self)
        server: Any = SimpleNamespace(servers=("shop", "telco", "lab"))
        request: Any = SimpleNamespace(run=RUN)
        examined: Any = None
        return SharedRun(host, server, "shop", request, examined)._why(error)


def always(answer: Mapping[str, Any] | HitokuError) -> Said:
    return lambda _: answer


@pytest.mark.parametrize("after", [0, 1, 500])
@pytest.mark.parametrize("lab", [ECHO, GOING, DONE, PeerError("'lab' cannot be reached")])
def test_the_server_that_knows_is_heard_however_late_it_is(after: int, lab: Any) -> None:
    others = Others(telco=lambda asked: GOING if asked < after else REASON, lab=always(lab))
    assert str(others.why()) == str(REASON)
    assert others.asked["telco"] == after + 1


def test_who_lost_another_server_is_not_asked_twice() -> None:
    others = Others(telco=always(ECHO), lab=always(ECHO))
    assert others.why() is LOST
    assert others.asked == {"telco": 1, "lab": 1}
    assert others.slept == 0


def test_who_has_computed_has_nothing_to_say() -> None:
    others = Others(telco=always(DONE), lab=always(ECHO))
    assert others.why() is LOST
    assert others.asked == {"telco": 1, "lab": 1}


def test_a_refusal_that_only_echoes_is_asked_about_as_well() -> None:
    """The watch beside the leader's own part hears it as a Refusal."""
    others = Others(telco=always(REASON), lab=always(ECHO))
    assert str(others.why(ECHO)) == str(REASON)


def test_who_cannot_be_reached_is_the_reason() -> None:
    others = Others(telco=always(AWAY), lab=always(ECHO))
    assert others.why() is AWAY
    assert others.asked == {"telco": leading._PATIENCE + 1, "lab": 1}


def test_nobody_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "_REASON_SECONDS", 0.05)
    assert Others(telco=always(GOING), lab=always(GOING)).why() is LOST


@pytest.mark.parametrize(
    "error",
    [
        PeerError("server 'lab' did not answer in time: nothing was given out", "SHARES_TIMEOUT"),
        PeerError("'shop' gave a seed that is not the one in its manifest"),
        Refusal("RUN_ENDED", "the run is over"),
        EngineError("the engine failed"),
    ],
)
def test_a_reason_of_its_own_is_not_asked_about(error: HitokuError) -> None:
    others = Others()
    assert others.why(error) is error
    assert not others.asked


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PeerError("server 'telco' ended the run", "SHARES_ABORTED"), "SHARES_ABORTED"),
        (PeerError("server 'telco' broke off", "SHARES_CLOSED"), "SHARES_CLOSED"),
        (PeerError("server 'telco' did not answer in time", "SHARES_TIMEOUT"), "RUN_ABORTED"),
        (PeerError("'shop' gave a seed that is not the one in its manifest"), "RUN_ABORTED"),
        (EngineError("PLANTED"), "RUN_ABORTED"),
        (Refusal("CONSENT_MISSING", "a consent is missing"), "CONSENT_MISSING"),
    ],
)
def test_a_server_says_whether_it_only_lost_another(error: HitokuError, code: str) -> None:
    told = _told(error, "lab")
    assert told.code == code
    assert "PLANTED" not in str(told)
