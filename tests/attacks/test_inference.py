# SPDX-License-Identifier: Apache-2.0
"""Predictions under attack: hostile bundles, specifications, keys and requests; and what leaks where.

Mutated bytes bring out our own errors alone, in bounded memory. A server process that has served is searched,
all of its memory, for the client's secret key and plain inputs; so are bundle and traffic.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.inference.served import served

from hitoku.errors import HitokuError
from hitoku.inference import Client, ClientSpec, ModelError, Server
from hitoku.inference.bundle import Bundle
from hitoku.inference.wire import Kind, pack, unpack

INPUTS = min(int(os.environ.get("HITOKU_FUZZ", "200000")), 1_000_000)
EACH = max(20, INPUTS // 200)
"""One input here takes milliseconds: frames of hundreds of kB are decoded."""
SEED = int(os.environ.get("HITOKU_FUZZ_SEED", secrets.randbits(32)))
MOST_MORE_MEMORY = 400 * 1024 * 1024


def mutated(content: bytes, source: random.Random) -> bytes:
    """The content with some bytes changed, cut, doubled or with lengths made huge; heads more often."""
    data = bytearray(content)
    for _ in range(source.randint(1, 4)):
        reach = 160 if source.random() < 0.6 else len(data)
        at = source.randrange(max(1, min(reach, len(data))))
        match source.randrange(6):
            case 0:
                data[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                data[at : at + 8] = source.choice([b"\xff" * 8, bytes(8), (1 << 40).to_bytes(8, "little")])
            case 2:
                del data[at:]
            case 3:
                data[at:at] = data[at : at + source.randrange(64)]
            case 4:
                del data[at : at + source.randrange(1, 64)]
            case 5:
                data[at : at + 4] = source.randbytes(4)
        if not data:
            break
    return bytes(data)


def attack(content: bytes, decode: Callable[[bytes], object], times: int) -> None:
    """Only our own errors come out, and memory stays bounded."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(times):
        source = random.Random(number if number % 2 else f"{SEED}/{number}")
        data = mutated(content, source)
        try:
            decode(data)
        except HitokuError as error:
            json.dumps(error.to_dict() if hasattr(error, "to_dict") else str(error))
        except BaseException as error:
            raise AssertionError(f"input {number} of seed {SEED}: {type(error).__name__}: {error}") from error
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_MORE_MEMORY


def test_hostile_frames() -> None:
    frame = pack(Kind.REQUEST, bytes(range(32)), [bytes(50), bytes(7)])
    attack(frame, lambda data: unpack(data, Kind.REQUEST, 2, 4096), INPUTS // 10)


def test_hostile_requests() -> None:
    one = served("table", "latency")
    admitted = one.server.admit(one.keys)
    attack(one.client.encrypt(one.x[:1]), lambda data: one.server.run(data, admitted), EACH // 10)


def test_hostile_keys() -> None:
    one = served("table", "throughput")
    attack(one.keys, one.server.admit, EACH)


def test_hostile_answers() -> None:
    one = served("table", "throughput")
    answer = one.server.run(one.client.encrypt(one.x[:2]), one.keys)
    attack(answer, lambda data: one.client.decrypt(data, 2), EACH)


def test_specifications_of_any_depth() -> None:
    """What can just be read must not be too deep for its digest."""
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 20):
        deep = "[" * depth + "]" * depth
        with pytest.raises(ModelError):
            ClientSpec.from_json('{"format":"hitoku client specification","version":1,"x":' + deep + "}")


def test_hostile_bundles() -> None:
    one = served("table", "latency")
    attack(one.plan.bundle().to_bytes(), Bundle.from_bytes, EACH)


def test_hostile_bundles_with_a_right_digest() -> None:
    """Who changes a bundle can mend its digest: then the decoder of circuits stands alone."""
    import hitoku.inference.bundle as module

    one = served("table", "throughput")
    frame = unpack(one.plan.bundle().to_bytes(), Kind.BUNDLE, 3, 1 << 40)
    head, body = (bytes(s) for s in frame.sections[:2])

    def decode(data: bytes) -> object:
        return Bundle.from_bytes(pack(Kind.BUNDLE, frame.circuit, [head, data, module._digest(head, data)]))

    attack(body, decode, EACH)

    def decode_head(data: bytes) -> object:
        return Bundle.from_bytes(pack(Kind.BUNDLE, frame.circuit, [data, body, module._digest(data, body)]))

    attack(head, decode_head, EACH // 4)


def test_hostile_specifications() -> None:
    import hitoku.inference.specification as module

    text = served("table", "latency").plan.client.to_json()
    attack(text.encode(), ClientSpec.from_json, EACH)
    body = json.loads(text)
    body.pop("digest")
    source = random.Random(SEED)
    values: list[Any] = [None, -1, 0, 1 << 60, 1e308, "", [], {}, [[]], True, "\x00", 0.5, [1] * 9]
    for number in range(EACH):
        changed = json.loads(json.dumps(body))
        place = changed
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = source.choice(keys)
            if isinstance(place[key], dict) and source.random() < 0.8:
                place = place[key]
                continue
            place[key] = source.choice(values)
            break
        with contextlib.suppress(HitokuError):
            ClientSpec.from_json(json.dumps(changed | {"digest": module._digest(changed)}))
        assert number < EACH


def test_a_weak_ring_is_refused() -> None:
    import hitoku.inference.specification as module

    body = json.loads(served("table", "throughput").plan.client.to_json())
    body.pop("digest")
    body["ring"]["degree"] = 1024
    with pytest.raises(ModelError) as caught:
        ClientSpec.from_json(json.dumps(body | {"digest": module._digest(body)}))
    assert caught.value.code in ("RING", "FILE")


def test_huge_frames_are_refused_before_they_are_decoded() -> None:
    one = served("table", "throughput")
    for most, ask in (
        (one.server.most_request_bytes, lambda data: one.server.run(data, one.keys)),
        (one.server.most_key_bytes, one.server.admit),
    ):
        with pytest.raises(ModelError) as caught:
            ask(bytes(most + 1))
        assert caught.value.code == "TOO_LARGE"


def test_inputs_beyond_the_bounds_learn_no_more_than_the_modulus() -> None:
    """A client that skips the check encrypts what it likes: scores wrap around, the answer stays as small."""
    from hitoku.hazmat import ring

    one = served("table", "throughput")
    spec = one.plan.client
    slots = np.full((spec.encoder.count, spec.params.slots), 900.0)
    plain = ring.encode(spec.params, slots, spec.scale, spec.level)
    content = one.client._secret.encrypt(plain).to_bytes()
    answer = one.server.run(pack(Kind.REQUEST, spec.circuit, [content]), one.keys)
    usual = one.server.run(one.client.encrypt(one.x[:2]), one.keys)
    assert len(answer) == len(usual)
    reach = spec.params.primes[0] / spec.answer_scale
    got = ring.Ciphertexts.from_bytes(spec.params, bytes(unpack(answer, Kind.ANSWER, 1, 1 << 40).sections[0]))
    assert np.abs(ring.decode(one.client._secret.decrypt(got))).max() <= reach
    assert reach < 64 * spec.scores.largest, "the last prime is tight around the scores"


# --- what leaks where ---

_SERVER = """
import sys
from pathlib import Path
from hitoku.inference.server import Server
folder = Path(sys.argv[1])
server = Server(folder / "server.bundle")
keys = server.admit((folder / "keys").read_bytes())
for name in ("first", "second"):
    (folder / f"{name}.answer").write_bytes(server.run((folder / name).read_bytes(), keys))
print("served", flush=True)
sys.stdin.read()
"""


def memory_of(process: int) -> Iterator[bytes]:
    """All of a process's memory that can be read, region by region."""
    with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb") as memory:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found is None or "[v" in line:
                continue
            start, end = (int(n, 16) for n in found.groups())
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                yield memory.read(end - start)


def patterns(one: Any, x: Any) -> dict[str, bytes]:
    """What must not be found: pieces of the secret key and of plain inputs, as they stand in memory."""
    secret = one.client.secret()
    encoded = one.plan.client.encoder.encode(x)
    row = next(r for r in encoded if np.count_nonzero(r[:4]) >= 3)
    return {
        "secret key": secret[len(secret) // 2 : len(secret) // 2 + 48],
        "secret key's end": secret[-48:],
        "raw input": x.ravel()[:4].tobytes(),
        "raw input as float32": x.ravel()[:6].astype(np.float32).tobytes(),
        "scaled input": row[:3].tobytes(),
    }


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_nothing_secret_is_at_the_server(objective: Any, tmp_path: Path) -> None:
    one = served("table", objective)
    one.plan.save(tmp_path)
    count = 4 if objective == "throughput" else 1
    asked = one.client.encrypt(one.x[:count])
    (tmp_path / "keys").write_bytes(one.keys)
    (tmp_path / "first").write_bytes(asked)
    (tmp_path / "second").write_bytes(one.client.encrypt(one.x[count : 2 * count]))
    planted = patterns(one, one.x[:count])
    child = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"served\n"
        # That the search finds anything: the request's own bytes are there.
        control = (tmp_path / "second").read_bytes()[2000:2048]
        seen, found = False, set()
        for region in memory_of(child.pid):
            seen = seen or control in region
            found |= {name for name, content in planted.items() if content in region}
    finally:
        child.communicate()
    assert seen, "the search looked in the wrong place"
    assert not found
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert not {name for name, piece in planted.items() if piece in content}, path.name
    answer = (tmp_path / "first.answer").read_bytes()
    scores = one.client.decrypt(answer, count)
    assert np.abs(scores - one.network.run(one.x[:count])).max() < one.plan.tolerance


def test_the_search_would_find_what_is_planted() -> None:
    """The same patterns, in the process that does hold them."""
    one = served("table", "throughput")
    x = np.ascontiguousarray(one.x[:4])
    secret, encoded = one.client.secret(), one.plan.client.encoder.encode(x)
    planted = patterns(one, x)
    held = [secret, x.tobytes(), encoded.tobytes(), x.astype(np.float32).tobytes()]
    assert all(any(piece in content for content in held) for piece in planted.values())


def test_the_same_question_twice_looks_different() -> None:
    one = served("table", "throughput")
    first, second = one.client.encrypt(one.x[:1]), one.client.encrypt(one.x[:1])
    a, b = (np.frombuffer(r[2000:40000], np.uint8) for r in (first, second))
    assert np.mean(a == b) < 0.05
    answers = [one.server.run(first, one.keys) for _ in range(2)]
    assert answers[0] != answers[1], "an answer is re-randomised"
    scores = [one.client.decrypt(a, 1) for a in answers]
    assert not np.array_equal(scores[0], scores[1]), "and flooded"


def test_a_server_keeps_no_more_than_some_clients_keys() -> None:
    one = served("table", "throughput")
    server = Server(one.plan)
    for _ in range(8):
        server.admit(Client(one.plan.client).keys())
    assert len(server._admitted) <= 4
