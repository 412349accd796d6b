# SPDX-License-Identifier: Apache-2.0
"""Sealed parcels over HTTPS: whole, over a network that breaks, and never as they are."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import pyarrow as pa
import pytest
from tests.e2e.proxy import Proxy
from tests.unit.transport.https.parties import SECONDS, listening
from tests.unit.transport.https.test_client import carrying, holder, network
from tests.unit.transport.shelves import NAME, RUN, Folder, records
from tests.unit.transport.test_sealed import Sealed, opening

from hitoku.errors import PeerError, RunAborted
from hitoku.transport.https.fetching import HttpsParcels

ECHO = {"kind": "echo"}


def fetched(place, port, batch, how=opening):
    with network(place, "airport", host=f"https://127.0.0.1:{port}") as net:
        parcels = HttpsParcels(net).opened_by(lambda name: how())
        found = list(parcels.fetch("host", RUN, NAME, batch.schema, batch.num_rows, SECONDS))
    return pa.Table.from_batches(found, batch.schema).combine_chunks()


def serving(place, shelf):
    answer = carrying("host", lambda sender, message: ECHO)
    return listening(place.agreement, "host", holder(place, "host"), answer, shelf=shelf)


@pytest.mark.parametrize("cut", [None, 120_000])
def test_a_sealed_parcel_arrives_whole_even_where_the_connection_breaks(place, tmp_path, cut):
    shelf, batch = Sealed(tmp_path), records(20_000)
    shelf.put(batch, rows=1_000)
    with serving(place, shelf) as there:
        if cut is None:
            table = fetched(place, there.port, batch)
        else:
            with Proxy(("127.0.0.1", there.port), drop_bytes=cut) as proxy:
                table = fetched(place, proxy.port, batch)
                assert proxy.drops > 0
    assert table.equals(pa.Table.from_batches([batch]).combine_chunks())


def test_what_comes_as_it_is_or_under_another_key_ends_the_run(place, tmp_path):
    batch = records(10)
    for shelf, how in ((Folder(tmp_path), opening), (Sealed(tmp_path), lambda: opening(key=b"\1" * 32))):
        shelf.put(batch)
        with serving(place, shelf) as there, pytest.raises(RunAborted):
            fetched(place, there.port, batch, how)


def test_without_a_session_nothing_leaves(place, tmp_path):
    class Without(Folder):
        def sealing(self, member, run, name):
            raise PeerError("PLANTED")

    shelf, batch = Without(tmp_path), records(10)
    shelf.put(batch)
    with serving(place, shelf) as there, pytest.raises(PeerError) as caught:
        fetched(place, there.port, batch)
    assert "PLANTED" not in str(caught.value)
    assert shelf.told == []
