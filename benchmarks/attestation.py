# SPDX-License-Identifier: Apache-2.0
"""Attestation: verifications a second of each format, a broker under 200 challenges at once.

``verify`` takes the vendors' real evidence, with the clock put inside its window: recognising the bytes, the
chain, all signatures, all checks, from bytes to claims. The peer is the bare library where one does the
same job (`dcap-qvl` for Intel's quotes: it leaves the status, measurement and binding checks to its caller).

``broker``: 200 workers, each with a key of its own waiting, ask for a challenge at the same moment and answer
it at the same moment, against one broker on SQLite, with `dev` evidence and the real appraisal; then each
answers once more, which must be refused.

``enclave``: one question on two tables, in a worker that is launched under swtpm, against plain DuckDB on the
same rows. Inside is from the moment when all tables are open to the sealed answer; the other lines say what
comes before it.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final

from _common import ROOT, Claim, bench_folder, report, say

sys.path.insert(0, str(ROOT))

CHALLENGES: Final = 200
QUICK_CHALLENGES: Final = 20
SECONDS: Final = 2.0
QUICK_SECONDS: Final = 0.2
MOST_MS: Final = 50

AZURE: Final = "azure-snp-vtpm/"
TPM: Final = tuple(
    f"tpm-swtpm/{n}" for n in ("quote.sig", "quote.pcrs", "ak.pub", "ek.der", "issuercert.pem")
)
FORMATS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "AWS Nitro document": ("nitro/evervault-valid-doc.cbor", "2022-10-13T09:30:00+00:00", ()),
    "SEV-SNP report, Milan": (
        "sev-snp/ms-milan-report.bin",
        "2026-11-22T00:00:00+00:00",
        ("sev-snp/ms-milan-vcek.pem",),
    ),
    "TDX quote v4": (
        "tdx/phala-tdx_quote",
        "2025-06-20T00:00:00+00:00",
        ("tdx/phala-tdx_quote_collateral.json",),
    ),
    "TPM 2.0 quote": ("tpm-swtpm/quote.msg", "2026-11-22T00:00:00+00:00", TPM),
    "Azure vTPM on SNP": (f"{AZURE}live-evidence.json", "2026-11-22T00:00:00+00:00", ()),
    "NVIDIA H100 report": (
        "nvidia/hopperAttestationReport.txt",
        "2026-11-22T00:00:00+00:00",
        ("nvidia/hopperCertChain.txt",),
    ),
}


def _rate(work: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Calls a second on one core, and milliseconds of the slowest call."""
    work()
    slowest, count, start = 0.0, 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        work()
        count, slowest = count + 1, max(slowest, time.perf_counter() - now)
    return count / (time.perf_counter() - start), slowest * 1e3


def verifications(quick: bool) -> list[Claim]:
    """Each format."""
    from tests.attestation_pki import VECTORS

    from hitoku.attestation.recognise import recognise
    from hitoku.attestation.verify import verify

    seconds = QUICK_SECONDS if quick else SECONDS
    claims = []
    for name, (file, moment, beside) in FORMATS.items():
        say(name)
        if not (VECTORS / file).exists():
            note = "the folder of vendors' evidence is not here"
            claims.append(Claim(f"{name}: verifications", None, "1/s", None, None, None, None, note))
            continue
        content, others = (VECTORS / file).read_bytes(), [(VECTORS / b).read_bytes() for b in beside]
        now = datetime.fromisoformat(moment)

        def whole(content: bytes = content, others: list[bytes] = others, now: datetime = now) -> object:
            return verify(recognise(content, others), now)

        rate, slowest = _rate(whole, seconds)
        peer = _dcap(content, others[0], now, seconds) if name.startswith("TDX") else None
        ratio = None if peer is None else rate / peer
        note = f"one core; the slowest took {slowest:.1f} ms"
        claims.append(Claim(f"{name}: verifications", rate, "1/s", None, peer, ratio, None, note))
        holds = slowest < MOST_MS
        claims.append(Claim(f"{name}: slowest", slowest, "ms", f"< {MOST_MS}", None, None, holds))
    return claims


def _dcap(content: bytes, collateral: bytes, now: datetime, seconds: float) -> float:
    """The bare library's verifications a second."""
    import dcap_qvl

    read = dcap_qvl.QuoteCollateralV3.from_json(collateral.decode())
    return _rate(lambda: dcap_qvl.verify(content, read, int(now.timestamp())), seconds)[0]


def broker(quick: bool) -> list[Claim]:
    """Challenges and releases of many workers at once."""
    from tests.conftest import make_place
    from tests.unit.attestation.brokers import HOST, Desk, attested

    from hitoku.attestation.release import KeyRequest
    from hitoku.ports import SystemClock

    many = QUICK_CHALLENGES if quick else CHALLENGES
    with bench_folder("broker") as folder:
        place = make_place(Path(folder) / "room", attested)
        desk = Desk(place, "registry", SystemClock())
        runs = [f"{number:032x}" for number in range(many)]
        say(f"{many} keys")
        keys = {run: desk.key(run) for run in runs}
        start = threading.Barrier(many)
        took: dict[str, list[float]] = {"challenge": [], "release": []}
        lost, twice = [], []

        def timed(step: str, work: Callable[[], object]) -> object:
            begun = time.perf_counter()
            made = work()
            took[step].append(time.perf_counter() - begun)
            return made

        def one(run: str) -> None:
            request: KeyRequest = desk.request(run)
            question = request.challenge()
            start.wait()
            challenged = timed("challenge", lambda: desk.desk.answer(HOST, question))
            answer = request.answer(challenged)  # type: ignore[arg-type]
            start.wait()
            released = timed("release", lambda: desk.desk.answer(HOST, answer))
            if bytes(request.open(released)["planes"]) != keys[run]:  # type: ignore[arg-type]
                lost.append(run)
            try:
                desk.desk.answer(HOST, answer)
            except Exception:
                pass
            else:
                twice.append(run)

        say(f"{many} workers at once")
        begun = time.perf_counter()
        with ThreadPoolExecutor(many) as threads:
            list(threads.map(one, runs))
        whole = time.perf_counter() - begun
        entries = [e for e in desk.records.ledger.entries() if e.kind == "key-release"]
        desk.records.store.close()
        shutil.rmtree(place.path, ignore_errors=True)
    once = not lost and not twice and len(entries) == many
    claims = [
        Claim(
            f"{many} challenges at once: keys released twice or lost",
            float(len(lost) + len(twice) + abs(many - len(entries))),
            "keys",
            "0",
            None,
            None,
            once,
            f"{whole:.1f} s for all, each answered twice; SQLite, every step durable",
        )
    ]
    for step, seconds in took.items():
        ordered = sorted(seconds)
        for share in (0.5, 0.99):
            at = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
            name = f"{step} under {many} at once: p{share * 100:.0f}"
            claims.append(Claim(name, at * 1e3, "ms"))
    return claims


PEOPLE: Final = 5_000_000
QUICK_PEOPLE: Final = 200_000
MOST_TIMES: Final = 1.5
ENCLAVE_SQL: Final = (
    "SELECT s.plan, c.region, COUNT(DISTINCT c.phone) AS people FROM customers c JOIN subscribers s "
    "ON c.phone = s.phone GROUP BY s.plan, c.region"
)


class _Watch:
    """A Progress that remembers when each phase began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.start = time.perf_counter()

    def phase(self, name: str, total: int | None = None) -> None:
        """A phase begins."""
        del total
        self.began.setdefault(name, time.perf_counter())

    def advance(self, amount: int = 1) -> None:
        """Nothing."""

    def between(self, first: str, last: str) -> float:
        """Seconds from the beginning of one phase to that of another."""
        return self.began[last] - self.began[first]


def enclave(quick: bool) -> list[Claim]:
    """A question in a launched worker under swtpm, against plain DuckDB on the owners' Parquet files."""
    from tests.enclaves import agreement_data, make, refer

    from hitoku.attestation.launch.image import measure
    from hitoku.attestation.program import pcr_of, program_digest
    from hitoku.attestation.swtpm import missing
    from hitoku.node.local import open_room
    from hitoku.protections.enclave.starting import worker_image

    count = QUICK_PEOPLE if quick else PEOPLE
    if (what := missing()) is not None:
        return [Claim("enclave: the question inside", None, "s", None, None, None, None, what)]
    with bench_folder("enclave") as folder:
        say(f"two tables of {count:,} rows")
        data = agreement_data(attestation={"accept": ["tpm"], "software": True})
        program = program_digest(measure(worker_image("swtpm")))
        world = make(Path(folder) / "room", data, {}, program=None)
        refer(world, program, "tpm", measurements={"pcr12": [pcr_of(program)]})
        files = [world.members[o].path / "tables" / f"{t}.parquet" for o, t in _OWNED]
        _people(files[0], files[1], count)
        say("plain DuckDB on the Parquet files")
        peer = _plain(files[0], files[1])
        say("the same question in an enclave")
        watch = _Watch()
        answer = open_room(world.place, "shop", progress=watch).ask(ENCLAVE_SQL)
        whole = time.perf_counter() - watch.start
    if answer.num_rows != 18:
        raise AssertionError("the enclave answered something else")
    inside = watch.between("run in the enclave", "seal the answer")
    opened = watch.between("sealed tables", "seal the answer")
    note = f"{count:,} rows a table; swtpm, which protects nothing"
    ratio, holds = peer / inside, None if quick else inside < MOST_TIMES * peer
    start = watch.between("start the enclave", "the enclave checks the question")
    return [
        Claim(
            "enclave: the question inside", inside, "s", f"< {MOST_TIMES} x peer", peer, ratio, holds, note
        ),
        Claim("enclave: with opening the tables", opened, "s", None, peer, peer / opened),
        Claim("enclave: launch, measured and attested", start, "s"),
        Claim("enclave: the whole way, sealing included", whole, "s", None, peer, peer / whole),
    ]


_OWNED: Final = (("shop", "customers"), ("telco", "subscribers"))


def _people(customers: Path, subscribers: Path, count: int) -> None:
    """Two tables of people, half of whom are in both."""
    import duckdb

    phone = "'+49 170 ' || lpad(({n} * 7919 % 100000007)::VARCHAR, 9, '0')"
    with duckdb.connect() as database:
        for path, first, column in ((customers, 0, "region"), (subscribers, count // 2, "plan")):
            many = 6 if column == "region" else 3
            number = phone.format(n=f"(range + {first})")
            value = f"'{column} ' || (hash(range, {many}) % {many})::VARCHAR"
            rows = f"SELECT {number} AS phone, {value} AS {column} FROM range({count})"
            database.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")


def _plain(customers: Path, subscribers: Path) -> float:
    """Seconds of plain DuckDB, the median of three, with a fresh database each time."""
    import duckdb

    seconds = []
    for _ in range(3):
        with duckdb.connect() as database:
            database.execute(f"CREATE VIEW customers AS SELECT * FROM '{customers}'")
            database.execute(f"CREATE VIEW subscribers AS SELECT * FROM '{subscribers}'")
            start = time.perf_counter()
            rows = database.execute(ENCLAVE_SQL).fetchall()
            seconds.append(time.perf_counter() - start)
        if len(rows) != 18:
            raise AssertionError("plain DuckDB answered something else")
    return sorted(seconds)[1]


if __name__ == "__main__":
    report("attestation", {"verify": verifications, "broker": broker, "enclave": enclave})
