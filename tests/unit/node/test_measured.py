# SPDX-License-Identifier: Apache-2.0
"""Runs that outlive their request are measured to their end."""

from __future__ import annotations

import pytest

from hitoku.errors import PeerError
from hitoku.node.measured import measured
from hitoku.node.metrics import Meter
from hitoku.ports import NoProgress
from hitoku.room.jobs import Job, JobState, Part

JOB = Job("ab" * 16, Part.LEAD, "airport", b'{"kind":"hitoku/run-request/1","protection":"crosstab"}')


class Heard(Meter):
    """A meter that remembers."""

    def __init__(self):
        super().__init__(None, None)
        self.ends, self.phases = [], []

    def ended(self, run, protection, outcome, seconds):
        assert seconds >= 0
        self.ends.append((run, protection, outcome))

    def phase(self, name, total=None):
        self.phases.append((name, total))


class Over(NoProgress):
    """A run that ended elsewhere."""

    def phase(self, name, total=None):
        raise PeerError("the run has ended")


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(JobState.DONE, "done"), (JobState.RELEASED, "done"), (JobState.REFUSED, "refused"),
     (JobState.FAILED, "failed"), (JobState.OPEN, "failed"), (None, "failed")],
)  # fmt: skip
def test_how_a_run_ended_is_told(state, outcome):
    heard = Heard()
    with measured(JOB, lambda: state, NoProgress(), heard) as progress:
        progress.phase("begin", 3)
        progress.advance()
    assert heard.phases == [("begin", 3)]
    assert heard.ends == [(JOB.run, "crosstab", outcome)]


def test_work_that_breaks_has_failed_and_its_error_goes_on():
    heard = Heard()
    with pytest.raises(PeerError), measured(JOB, lambda: JobState.DONE, Over(), heard) as progress:
        progress.phase("begin")
    assert heard.phases == []
    assert heard.ends == [(JOB.run, "crosstab", "failed")]
    with measured(JOB, lambda: JobState.DONE, NoProgress(), NoProgress()):
        pass  # a node that is not measured
