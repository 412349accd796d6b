# SPDX-License-Identifier: Apache-2.0
"""Numbers in words, and the report's summary, for terminal and page alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["milliseconds", "number", "size", "summary"]


def number(value: float) -> str:
    """A real number with three digits."""
    return f"{value:.3g}"


def size(count: float) -> str:
    """Bytes in the unit that reads best."""
    for unit, worth in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= worth:
            return f"{count / worth:.3g} {unit}"
    return f"{count:.0f} bytes"


def milliseconds(value: float) -> str:
    """A time in the unit that reads best."""
    if value >= 1e4:
        return f"{value / 1e3:.3g} s"
    return f"{value:.3g} ms" if value >= 0.1 else f"{value * 1e3:.3g} us"


def summary(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts that come first, as pairs of a name and words."""
    ring, cost, circuit, ranges = (data[key] for key in ("parameters", "cost", "circuit", "ranges"))
    sizes, depth = cost["bytes"], circuit["depth"]
    bits = " + ".join(f"{b:.1f}" for b in ring["prime_bits"])
    of_ring = (
        f"{ring['scheme'].upper()}, degree {ring['degree']:,}, primes of {bits} bits, a special one of "
        f"{ring['special_bits']:.1f}: {ring['total_bits']:.0f} of {ring['limit_bits']} bits"
    )
    of_depth = (
        f"{depth['products']} products of ciphertexts, {depth['all_products']} with plain ones, "
        f"{depth['levels']} primes used up"
    )
    time = (
        f"{milliseconds(cost['server_ms'])} a request on {cost['threads']} threads "
        f"({'rehearsed' if cost['rehearsed'] else 'its operations added up'}; "
        f"the circuit at best {milliseconds(cost['wall_ms'])}, "
        f"{milliseconds(cost['cpu_ms'])} of processor time), "
        f"{milliseconds(cost['sample_ms'])} a prediction; "
        f"reading a request {milliseconds(cost['receive_ms'])}; "
        f"client {milliseconds(cost['client_encrypt_ms'])} to encrypt, "
        f"{milliseconds(cost['client_decrypt_ms'])} to decrypt"
    )
    of_size = (
        f"{size(sizes['up'])} up, {size(sizes['down'])} down, keys {size(sizes['keys'])} once "
        f"({len(circuit['rotations'])} rotations), memory {size(sizes['memory'])}"
    )
    rows = [
        ("ring", of_ring),
        ("security", f"{ring['security_bits']} bits (HomomorphicEncryption.org standard, ternary secret)"),
        ("why these", ring["binding"] or ""),
        ("depth", of_depth),
        ("operations", ", ".join(f"{name} {times:,}" for name, times in circuit["operations"].items())),
        ("time", time),
        ("size", of_size),
    ]
    for name, one in data["precision"].items():
        tolerance = "" if one["tolerance"] is None else f", tolerance {number(one['tolerance'])}"
        precision = (
            f"{one['bits']:.1f} bits: error {number(one['typical_error'])} typically, "
            f"{number(one['worst_error'])} at most, scores up to {number(one['largest'])}{tolerance}"
        )
        rows.append((f"precision of {name}", precision))
    if ranges["kind"] == "proved":
        proof = "no input within its bounds can overflow"
    else:
        proof = (
            f"values of {ranges['samples']:,} calibration samples, {ranges['margin']:g} times as large, fit; "
            "an input unlike them may overflow and give a wrong score"
        )
    rows.append(("ranges", f"{proof}; {ranges['room_bits']:.1f} bits of room at {ranges['tightest']}"))
    return [row for row in rows if row[1]]
