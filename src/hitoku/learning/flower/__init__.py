# SPDX-License-Identifier: Apache-2.0
"""Learning over Flower: a real SuperLink, and SuperNodes that stay in memory (extra `learning`).

`server.serve` gives the server a `fleet.FlowerFleet`; `member.serve_member` answers at a member. What Flower
does here is to carry bytes between one server and many nodes that only call out, with registration, node
authentication, heartbeats and a message store. What it does not do here: run programs that come from the
server (nodes ask for none), aggregate (see `hitoku.learning.aggregate`), install, phone home.
"""
