# SPDX-License-Identifier: Apache-2.0
"""The way of a question, side by side: the asker's, every owner's, the host's and a receiver's.

Asker: check, plan, ask every owner for its consent, ask the host to run, receive. Owner: checks the question
itself against the agreement it signed, charges its accounts, and signs a consent to exactly this run. Host:
checks everything again, the owners' signatures included, runs, releases, and sends the answer to its
receivers only. What the asker says about a question counts for nothing but its text.
"""

from __future__ import annotations

from hitoku.ask.asker import ask
from hitoku.ask.common import Sent
from hitoku.ask.host import Host
from hitoku.ask.offering import Offering, SharesOffering
from hitoku.ask.owner import Owner
from hitoku.ask.receiver import Receiver, SealedReceiver

__all__ = ["Host", "Offering", "Owner", "Receiver", "SealedReceiver", "Sent", "SharesOffering", "ask"]
