# SPDX-License-Identifier: Apache-2.0
"""T15: every format of evidence, mutated, through its parser and through the whole verifier.

One table: each row is a piece of evidence of a hierarchy of our own, taken apart into what its verifier reads
(the quote inside Azure's JSON, each text of Intel's collateral), so that mutations get behind the wrappers.
Of each mutant is asked: nothing but `Refused` comes out, never with INTERNAL; where it is accepted, it says
what the good one said; and memory does not grow. Short by default; `make long` tries 1,000,000 through each
parser and 20,000 through each verifier, and compares the slowest call with 50 ms of CPU.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import resource
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from tests.attestation_gpu import GpuWorld
from tests.attestation_intel import IntelWorld, domain
from tests.attestation_pki import NOW, AmdWorld, NitroWorld, crl, pem
from tests.attestation_tpm import (
    AzureWorld,
    Maker,
    PaperTpm,
    azure_report,
    public_area,
    rsa_key,
    runtime_data,
)

from hitoku.attestation import roots
from hitoku.attestation.certificates import certificate, certificates, revocation_list
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.intel_pieces import read as read_pieces
from hitoku.attestation.quote import parse as parse_quote
from hitoku.attestation.recognise import recognise
from hitoku.attestation.spdm import parse as parse_measured
from hitoku.attestation.tpm2.pcrs import read_log, read_pcrs
from hitoku.attestation.tpm2.structures import Attest, Public, Signature
from hitoku.attestation.verify import azure, nitro, snp_report, verify

pytestmark = pytest.mark.slow

LONG = bool(os.environ.get("HITOKU_LONG"))
SEED = int(os.environ.get("HITOKU_FUZZ_SEED", secrets.randbits(32)))
PARSED = int(os.environ.get("HITOKU_FUZZ", "2000"))
"""Mutants through each parser."""
VERIFIED = max(300, PARSED // 50)
"""Mutants through each whole verifier."""
MOST_SECONDS = 0.05
"""Of CPU, in one call; compared in the long form alone, for a busy machine's caches are cold."""
MOST_MORE_MEMORY = 50 << 20
_LINUX_RESET_PEAK = "5"

Parts = Mapping[str, bytes]


class Row(NamedTuple):
    """Evidence as its parts, and how they make it."""

    parts: Parts
    build: Callable[[Parts], Evidence]


# --- the worlds, and evidence of each format in parts ---

AWS, GPU, INTEL, MAKER = NitroWorld(), GpuWorld(), IntelWorld(), Maker()
CHIPS = {product: AmdWorld(product) for product in ("milan", "genoa", "turin")}
AZURE = AzureWorld(CHIPS["milan"])
LISTS = {"root_ca_crl", "pck_crl"}
TEXTS = INTEL.collateral().keys()


def plain(evidence: Evidence) -> Row:
    """Content and endorsements as they are."""
    return Row(
        {"": evidence.content, **evidence.endorsements},
        lambda parts: Evidence(evidence.kind, parts[""], {n: c for n, c in parts.items() if n}),
    )


def of_amd(product: str, **options: Any) -> Row:
    world = CHIPS[product]
    more = {"chain": pem(world.ask.der, world.asvk.der, world.ark.der), "crl": crl(world.ark)}
    return plain(world.evidence(endorsements=more, **options))


def in_texts(collateral: Mapping[str, str]) -> dict[str, bytes]:
    return {n: bytes.fromhex(text) if n in LISTS else text.encode() for n, text in collateral.items()}


def of_texts(parts: Parts) -> bytes:
    found = {}
    for name in TEXTS & parts.keys():
        found[name] = parts[name].hex() if name in LISTS else parts[name].decode("latin-1")
    return json.dumps(found).encode()


def of_intel(kind: Kind, version: int) -> Row:
    quote = INTEL.quote(kind, version)
    return Row(
        {"": quote, **in_texts(INTEL.collateral(kind))},
        lambda parts: Evidence(kind, parts[""], {"collateral": of_texts(parts)}),
    )


def of_tpm(key: Any) -> Row:
    ek = rsa_key("ek")
    return plain(PaperTpm(key).evidence(ek=MAKER.certify(ek).der, ek_chain=MAKER.chain))


def text64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def bytes64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def of_azure(kind: Kind) -> Row:
    given = AZURE.parts()
    quote = given["tpm_quote"]
    parts = {name: bytes.fromhex(quote[name]) for name in ("message", "signature")}
    parts |= {"pcrs": b"".join(map(bytes.fromhex, quote["pcrs"]))}
    platform, collateral = "az-snp", {}
    if kind is Kind.AZURE_SNP:
        parts |= {name: bytes64(given[name]) for name in ("hcl_report", "vcek")}
    else:
        platform, collateral = "az-tdx", in_texts(INTEL.collateral())
        runtime = runtime_data(AZURE.key)
        parts["hcl_report"] = azure_report(b"", AZURE.key, kind=4, runtime=runtime)
        parts["td_quote"] = INTEL.quote(body=domain(report_data=hashlib.sha256(runtime).digest()))

    def build(parts: Parts) -> Evidence:
        pcrs = [parts["pcrs"][i : i + 32].hex() for i in range(0, len(parts["pcrs"]), 32)]
        tpm = {name: parts[name].hex() for name in ("message", "signature")} | {"pcrs": pcrs}
        inner: dict[str, Any] = {"version": 1, "tpm_quote": tpm}
        inner |= {n: text64(parts[n]) for n in ("hcl_report", "vcek", "td_quote") if n in parts}
        content = json.dumps({"platform": platform, "evidence": inner}).encode()
        return Evidence(kind, content, {"collateral": of_texts(parts)} if collateral else {})

    return Row(parts | collateral, build)


def of_gpus() -> Row:
    content = GPU.content()

    def build(parts: Parts) -> Evidence:
        one = {"evidence": parts["evidence"], "certificate": parts["certificate"]}
        return Evidence(
            Kind.NVIDIA, json.dumps([{n: base64.b64encode(c).decode() for n, c in one.items()}]).encode()
        )

    return Row({"evidence": content, "certificate": GPU.chain()}, build)


VERIFIERS: dict[str, Callable[[], Row]] = {
    "nitro": lambda: plain(AWS.evidence()),
    "snp milan": lambda: of_amd("milan", version=2),
    "snp genoa, loaded key": lambda: of_amd("genoa", loaded=True),
    "snp turin": lambda: of_amd("turin", version=5),
    "tdx 4": lambda: of_intel(Kind.TDX, 4),
    "tdx 5": lambda: of_intel(Kind.TDX, 5),
    "sgx": lambda: of_intel(Kind.SGX, 3),
    "tpm, elliptic": lambda: of_tpm(PaperTpm().key),
    "tpm, rsa": lambda: of_tpm(rsa_key("ak")),
    "azure snp": lambda: of_azure(Kind.AZURE_SNP),
    "azure tdx": lambda: of_azure(Kind.AZURE_TDX),
    "nvidia": lambda: plain(GPU.evidence()),
    "nvidia json": of_gpus,
}

PARSERS: dict[str, tuple[Callable[[bytes], object], Callable[[], list[bytes]]]] = {
    "nitro": (nitro.parse, lambda: [AWS.document(), b"\xd2" + AWS.document()]),
    "snp": (
        snp_report.parse,
        lambda: [CHIPS["milan"].report(version=2), CHIPS["turin"].report(version=5)],
    ),
    "tdx": (parse_quote, lambda: [INTEL.quote(), INTEL.quote(version=5)]),
    "sgx": (parse_quote, lambda: [INTEL.quote(Kind.SGX, 3)]),
    "tpm quote": (Attest.parse, lambda: [PaperTpm().quote()]),
    "tpm signature": (Signature.parse, lambda: [PaperTpm(key).sign(b"x") for key in ak_keys()]),
    "tpm public area": (Public.parse, lambda: [public_area(key) for key in ak_keys()]),
    "tpm pcrs": (read_pcrs, lambda: [PaperTpm().pcrs()]),
    "tpm log": (read_log, lambda: [json.dumps([{"pcr": 12, "digest": "ab" * 32, "what": "x"}] * 3).encode()]),
    "azure report": (azure.parse, lambda: [azure_report(b"", AZURE.key)]),
    "azure json": (recognise, lambda: [AZURE.evidence().content]),
    "nvidia": (parse_measured, lambda: [GPU.content()]),
    "nvidia json": (recognise, lambda: [GPU.array(GPU.content()).content]),
    "any kind": (recognise, lambda: [contents(name) for name in VERIFIERS]),
    "certificates": (certificates, lambda: [INTEL.pck().der, AWS.leaf.der, GPU.chain()]),
    "revocation list": (revocation_list, lambda: [INTEL.crl(INTEL.platform, (1, 2, 3)), crl(AWS.root, (4,))]),
    "intel pieces": (lambda content: read_pieces([content]), lambda: pieces()),
}


def ak_keys() -> list[Any]:
    return [PaperTpm().key, rsa_key("ak")]


def contents(name: str) -> bytes:
    row = VERIFIERS[name]()
    return row.build(row.parts).content


def pieces() -> list[bytes]:
    texts = in_texts(INTEL.collateral())
    wrapped = b'{"tcbInfo":%b, "signature":"%b"}' % (texts["tcb_info"], texts["tcb_info_signature"])
    return [*texts.values(), wrapped, texts["pck_crl"].hex().encode()]


@pytest.fixture(autouse=True)
def trusted() -> Iterator[None]:
    """Our roots in the place of the vendors'."""
    real = roots.root
    ours = certificate(INTEL.root.der)
    with ExitStack() as stack:
        stack.enter_context(AWS.trusted())
        for world in CHIPS.values():
            stack.enter_context(world.trusted())
        stack.enter_context(
            mock.patch.object(roots, "root", lambda name: ours if name == "intel-sgx-root" else real(name))
        )
        stack.enter_context(mock.patch.object(roots, "NVIDIA_DEVICE_IDENTITY", {GPU.root.fingerprint}))
        yield


# --- mutations ---

_TRAPS = (
    b"\xff" * 8,
    bytes(8),
    b"\x7f" + b"\xff" * 7,
    b"\x80",
    b"\x30\x84\xff\xff\xff\xff",
    b"[" * 3000,
    b'{"":' * 16,
    b"9" * 5000,
)


def mutated(source: random.Random, content: bytes) -> bytes:
    """Flipped, overwritten, cut, doubled, filled with what parsers trip over; half keep their length."""
    raw = bytearray(content)
    kinds = source.choice((3, 7))
    for _ in range(source.choice((1, 1, 1, 2, 4, 16))):
        at = source.randrange(len(raw) + 1)
        size = source.choice((1, 1, 2, 4, 32, 256))
        kind = source.randrange(kinds)
        if kind == 0 and raw:
            raw[at % len(raw)] ^= 1 << source.randrange(8)
        elif kind == 1:
            raw[at : at + size] = source.randbytes(min(size, len(raw) - at))
        elif kind == 2:
            trap = source.choice(_TRAPS)[: len(raw) - at]
            raw[at : at + len(trap)] = trap
        elif kind == 3:
            del raw[at : at + size]
        elif kind == 4:
            raw[at:at] = source.randbytes(size)
        elif kind == 5:
            raw[at:at] = raw[at : at + size]
        else:
            raw[at:at] = source.choice(_TRAPS)
    return bytes(raw)


def mutant(source: random.Random, row: Row) -> Evidence:
    """Evidence with one part mutated; at times the finished bytes instead."""
    if source.randrange(8) == 0:
        made = row.build(row.parts)
        name = source.choice(["", *made.endorsements])
        if not name:
            return replace(made, content=mutated(source, made.content))
        changed = {name: mutated(source, made.endorsements[name])}
        return replace(made, endorsements={**made.endorsements, **changed})
    name = source.choice(sorted(row.parts))
    return row.build({**row.parts, name: mutated(source, row.parts[name])})


# --- running them ---


class Slowest:
    """The call that took the most CPU."""

    def __init__(self) -> None:
        self.seconds, self.call = 0.0, lambda: None

    def time(self, call: Callable[[], Any]) -> Any:
        began = time.thread_time()
        try:
            return call()
        except Refused as error:
            return error.code
        finally:
            took = time.thread_time() - began
            if took > self.seconds:
                self.seconds, self.call = took, call

    def again(self) -> float:
        """The least of five runs: what the call itself takes."""
        times = []
        for _ in range(5):
            began = time.thread_time()
            with suppress(Refused):
                self.call()
            times.append(time.thread_time() - began)
        return min(times)


def most_memory() -> int:
    """The most that this process had since `forget_memory`, in bytes; Linux counts in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_memory() -> None:
    """So that the peak of tests before this one does not hide one here; not every Linux lets us."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_LINUX_RESET_PEAK)


def attack(
    name: str, count: int, make: Callable[[random.Random], Callable[[], Any]], judge: Callable[[Any], None]
) -> None:
    """Try so many mutants, a few before memory is looked at: for what is imported and cached late."""
    source = random.Random(f"{name} {SEED}")
    slowest = Slowest()
    for number in range(-(count // 10), count):
        if not number:
            slowest = Slowest()
            forget_memory()
            before = most_memory()
        call = make(source)
        try:
            judge(slowest.time(call))
        except Exception as error:
            where = f"by mutant {number} of HITOKU_FUZZ_SEED={SEED}"
            raise AssertionError(f"{name}: {error!r} {where}") from error
    grown, seconds = most_memory() - before, slowest.again()
    print(f"{name}: {count} mutants, slowest {seconds * 1000:.1f} ms of CPU, {grown >> 20} MB more")  # noqa: T201
    assert grown < MOST_MORE_MEMORY
    assert not LONG or seconds < MOST_SECONDS, f"HITOKU_FUZZ_SEED={SEED}"


@pytest.mark.parametrize("name", PARSERS)
def test_t15_parsers_read_or_refuse(name):
    read, seeds = PARSERS[name]
    given = seeds()
    for content in given:
        read(content)

    def judge(outcome: object) -> None:
        assert outcome is not Code.INTERNAL

    def make(source: random.Random) -> Callable[[], Any]:
        content = mutated(source, source.choice(given))
        return lambda: read(content)

    attack(f"parser of {name}", PARSED, make, judge)


@pytest.mark.parametrize("name", VERIFIERS)
def test_t15_verifiers_refuse_or_say_what_the_good_one_says(name):
    row = VERIFIERS[name]()
    good = said(verify(row.build(row.parts), NOW))
    outcomes = {True: 0, False: 0}

    def judge(outcome: object) -> None:
        assert outcome is not Code.INTERNAL
        assert not isinstance(outcome, Claims) or said(outcome) == good
        outcomes[isinstance(outcome, Claims)] += 1

    def make(source: random.Random) -> Callable[[], Any]:
        evidence = mutant(source, row)
        return lambda: verify(evidence, NOW)

    attack(f"verifier of {name}", VERIFIED, make, judge)
    assert outcomes[False] > outcomes[True], "mutants are mostly refused, or they are none"


def said(claims: Claims) -> tuple[object, ...]:
    """What must not change unsigned: not a TPM's own key, which a credential must prove."""
    firmware = claims.tcb, claims.tcb_status
    return claims.kind, claims.measurements, claims.report_data, firmware, claims.software_rooted


def test_the_harness_can_fail():
    def fails(_: random.Random) -> Callable[[], Any]:
        return lambda: [][0]

    with pytest.raises(AssertionError, match=f"IndexError.*HITOKU_FUZZ_SEED={SEED}"):
        attack("x", 1, fails, lambda _: None)
    held: list[bytes] = []

    def grows(_: random.Random) -> Callable[[], Any]:
        return lambda: held.append(b"x" * (60 << 20))

    with pytest.raises(AssertionError, match="assert"):
        attack("x", 1, grows, lambda _: None)
