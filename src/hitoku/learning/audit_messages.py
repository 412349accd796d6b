# SPDX-License-Identifier: Apache-2.0
"""The messages of a run's transcript: signatures, payloads, and whether what is protected looks protected."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, PeerError
from hitoku.learning.findings import Report
from hitoku.learning.folders import RunFolder
from hitoku.learning.plan import plan_hash
from hitoku.learning.signing import publics_of
from hitoku.learning.transcript import PAYLOADS, read_payload
from hitoku.learning.wire import REPLY_DOMAIN, REQUEST_DOMAIN, open_signed, protected_bytes, protection
from hitoku.room.keys import valid_signature

__all__ = ["Messages", "line_of"]

_OPEN_ALLOWED: Final = 16_384
"""Bytes of an answer that are not protected: names, signatures, hashes, votes."""
_OPEN_BESIDE: Final = 2_048
"""The same of an answer that is made of a member's numbers."""
_BLOCK: Final = 4_096
_LEAST_BYTES: Final = 4_096
"""Fewer bytes tell nothing of how they are distributed."""
_MOST_CHI: Final = 255 + 9 * 510**0.5
"""Of 256 classes: nine standard deviations above the mean. Uniform bytes come there once in 10^12 runs."""
_NUMBERS: Final = ("masks.sum", "masks.masked", "he/give", "he/open")
"""Requests whose answers are made of members' numbers."""
_PUBLIC: Final = ("he/share",)
"""Requests whose answers are public keys, and large."""


class Messages:
    """Signatures, payloads, and how protected bytes look."""

    def __init__(self, folder: RunFolder, report: Report) -> None:
        self._folder, self._report = folder, report
        self._plan = folder.signed.plan
        self._publics = publics_of(folder.room.agreement)
        self._payloads = folder.path / PAYLOADS
        self._bytes: dict[tuple[str, str], NDArray[np.int64]] = {}
        self._blocks: dict[bytes, str] = {}
        self._last: dict[str, NDArray[np.uint64]] = {}
        self._vectors: dict[str, NDArray[np.uint64]] = {}

    def check(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Check every line of a transcript; what is wrong goes into the report."""
        counts: Counter[str] = Counter()
        protected: Counter[str] = Counter()
        full = self._payloads.is_dir()
        for entry in entries:
            direction = entry.get("direction")
            counts[str(direction)] += 1
            try:
                if direction in {"sent", "received"}:
                    self._signed(entry)
                    if direction == "received":
                        protected.update({k: int(n) for k, n in entry["protected"].items()})
                        self._shape(entry)
                    if full:
                        self._payload(entry)
                elif direction == "opened" and full:
                    self._opened(entry)
                elif direction not in {"opened", "absent"}:
                    raise ValueError
            except (KeyError, TypeError, ValueError, AttributeError):
                self._report.find("MALFORMED", f"line {line_of(entry)} of the transcript is malformed")
        if full:
            self._uniform()
        total = sum(protected.values())
        self._report.facts |= {
            "messages": counts["sent"] + counts["received"],
            "sums_opened": counts["opened"],
            "absences": counts["absent"],
            "received_bytes": total,
            "received_by_protection": dict(protected),
            "protected_share": round(1 - protected["open"] / total, 6) if total else 0.0,
            "payloads": full,
        }
        if not full:
            self._report.notices.append(
                "Only hashes of messages were kept (aggregation.transcript: hashes): how protected bytes "
                "look, and whether the model follows from the opened sums, cannot be checked."
            )

    def _signed(self, entry: Mapping[str, Any]) -> None:
        received = entry["direction"] == "received"
        sender = entry["member"] if received else self._plan.server
        domain = REPLY_DOMAIN if received else REQUEST_DOMAIN
        message = domain.encode() + b"\0" + bytes.fromhex(entry["sha256"])
        signature = base64.b64encode(bytes.fromhex(entry["signature"])).decode()
        if entry["member"] not in self._plan.members:
            self._report.find("STRANGER", f"line {line_of(entry)}: a message of nobody in the plan")
        elif not valid_signature(self._publics.get(sender, ""), message, signature):
            self._report.find("SIGNATURE", f"line {line_of(entry)}: the signature is not {sender}'s")

    def _shape(self, entry: Mapping[str, Any]) -> None:
        """Numbers that belong under masks are under masks, and little else is beside them."""
        if entry["kind"] in _PUBLIC:
            return
        most = _OPEN_BESIDE if entry["kind"] in _NUMBERS else _OPEN_ALLOWED
        counted = entry["protected"]
        if int(counted["open"]) > most:
            self._report.find(
                "OPEN_NUMBERS",
                f"line {line_of(entry)}: {counted['open']:,} bytes of an answer of {entry['member']} are "
                "open",
            )

    def _payload(self, entry: Mapping[str, Any]) -> None:
        line = line_of(entry)
        received = entry["direction"] == "received"
        sender = entry["member"] if received else self._plan.server
        try:
            content = read_payload(self._payloads, entry["sha256"])
            opened = open_signed(REPLY_DOMAIN if received else REQUEST_DOMAIN, self._publics[sender], content)
        except InputError:
            self._report.find("PAYLOAD_MISSING", f"line {line}: the message is not beside the transcript")
            return
        except PeerError as error:
            self._report.find("PAYLOAD", f"line {line}: {error}")
            return
        header = opened.header
        fits = opened.digest.hex() == entry["sha256"] and len(content) == entry["bytes"]
        fits = fits and (header.get("member"), header.get("sequence")) == (entry["member"], entry["sequence"])
        fits = fits and header.get("plan") == plan_hash(self._plan).hex()
        counted = {k: n for k, n in protected_bytes(opened.arrays).items() if k != "open"}
        said = {k: int(n) for k, n in entry["protected"].items() if k != "open" and n}
        if not fits or header.get("run") != self._folder.run or counted != said:
            self._report.find("PAYLOAD", f"line {line}: the message is another one than the line says")
            return
        if not received:
            return
        for name, values in opened.arrays.items():
            kind = protection(name)
            if kind == "open" and entry["kind"] in _NUMBERS:
                self._report.find(
                    "OPEN_NUMBERS", f"line {line}: numbers of {entry['member']} are not protected"
                )
            if kind in {"masked", "encrypted", "sealed"}:
                self._look(entry["member"], kind, values, line)
        if entry["kind"] == "masks.sum" and "masked/values" in opened.arrays:
            self._vectors[entry["member"]] = opened.arrays["masked/values"]

    def _look(self, member: str, kind: str, values: NDArray[Any], line: int) -> None:
        raw = np.frombuffer(values.tobytes(), np.uint8)
        if kind == "masked":
            whole = raw[: len(raw) - len(raw) % 8].reshape(-1, 8)
            for place in range(8):
                self._count(member, f"masked, byte {place} of 8", whole[:, place])
            # Under one mask, two vectors differ by what they hide: small numbers, whose high bytes are alike.
            vector, last = whole.reshape(-1).view("<u8"), self._last.get(member)
            if last is not None:
                both = min(len(vector), len(last))
                high = (vector[:both] - last[:both]).view(np.uint8).reshape(-1, 8)[:, 7]
                self._count(member, "the difference of two masked vectors", high)
            self._last[member] = vector
        elif kind == "sealed":
            self._count(member, kind, raw)
        # Encrypted numbers are residues below primes: their bytes are not uniform, only their blocks differ.
        for start in range(0, len(raw) - 63, _BLOCK):
            digest = hashlib.sha256(raw[start : start + _BLOCK].tobytes()).digest()
            where = f"{member}, line {line}"
            if digest in self._blocks:
                self._report.find(
                    "REPEATED",
                    f"the same {kind} bytes are there twice ({self._blocks[digest]}; {where}): a mask was "
                    "used twice, or nothing is masked",
                )
            self._blocks.setdefault(digest, where)

    def _count(self, member: str, what: str, raw: NDArray[np.uint8]) -> None:
        counted = np.bincount(raw, minlength=256)
        known = self._bytes.get((member, what))
        self._bytes[member, what] = counted if known is None else known + counted

    def _uniform(self) -> None:
        worst = 0.0
        for (member, what), counted in sorted(self._bytes.items()):
            total = int(counted.sum())
            if total < _LEAST_BYTES:
                continue
            expected = total / 256
            chi = float(((counted - expected) ** 2 / expected).sum())
            worst = max(worst, chi)
            if chi > _MOST_CHI:
                self._report.find(
                    "NOT_UNIFORM",
                    f"{member}: bytes of {what} are not uniform (chi-square {chi:,.0f} of 255 "
                    "degrees of freedom)",
                )
        self._report.facts["largest_chi_square"] = round(worst, 1)

    def _opened(self, entry: Mapping[str, Any]) -> None:
        try:
            content = read_payload(self._payloads, entry["sha256"])
        except InputError:
            content = b""
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            self._report.find("PAYLOAD_MISSING", f"line {line_of(entry)}: the opened sum is not there")
            return
        if entry["kind"] != "masks.sum":
            return
        vectors, self._vectors = self._vectors, {}
        total = np.zeros(len(content) // 8, np.uint64)
        for name in entry["what"]["members"]:
            if name not in vectors or vectors[name].shape != total.shape:
                self._report.find("SUM", f"line {line_of(entry)}: a vector of {name} is missing in the sum")
                return
            total += vectors[name]
        if total.astype("<u8").tobytes() != content:
            self._report.find("SUM", f"line {line_of(entry)}: the sum is not what the members sent")


def line_of(entry: Mapping[str, Any]) -> int:
    """The number of its line in the transcript, from 1; 0 where it has none."""
    number = entry.get("n")
    return number + 1 if isinstance(number, int) else 0
