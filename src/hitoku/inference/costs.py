# SPDX-License-Identifier: Apache-2.0
"""What each primitive costs on this processor: measured once, kept in the platform's data folder.

For every degree the primitives are timed at two levels (a few seconds in all, once, when first asked for).
In between, times follow the number of transforms and products that an operation takes: those with a key
switch grow as a l + b l^2 with the level l (l digits, each in l + 1 components), the rest as a + b l. Results
are kept by processor, version and kernels, so that another machine or build measures anew. What was measured
while other programs kept the machine busy is measured again by the next program that asks, up to twenty
times, and the least is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from hitoku.inference.folder import data_folder

__all__ = ["Costs", "machine"]

_FORM: Final = 2
_GAINS: Final = frozenset({"inside", "maps"})
_BUSY: Final = 1.15
_TRIES: Final = 20
_SQUARE: Final = frozenset({"relinearise", "rotate", "map-source", "map-baby", "map-giant"})
# The levels that are timed: the most is what the security table leaves with primes of some 30 bits. Degree
# 1024 has no room for a data prime and a special one.
_ANCHORS: Final = {2048: (1,), 4096: (1, 2), 8192: (2, 5), 16384: (3, 8), 32768: (4, 12)}


class Costs:
    """Seconds of processor time of one thread, for one ciphertext or one residue.

    Args:
        place: the file that keeps them; None: one for this processor in the platform's data folder.
        measure: what times the primitives of a degree and level; None: `measuring`. For tests.
    """

    def __init__(
        self, place: Path | None = None, measure: Callable[[int, int], dict[str, float]] | None = None
    ) -> None:
        self._place = place or data_folder() / "costs" / f"{_digest(machine())}.json"
        self._measure = measure or _measured
        self._known = self._read()
        self._checked: set[str] = set()

    def of(self, name: str, degree: int, level: int, parts: int = 2, *, few: bool = False) -> float:
        """Seconds of a primitive for one ciphertext; see `measuring.Bench.measure` for the names.

        Args:
            name: the primitive.
            degree: the ring's degree.
            level: primes before the operation.
            parts: parts of the ciphertext; a relinearisation of p parts switches p - 2 of them.
            few: whether it is done to few ciphertexts, so that keys come from afar.
        """
        factor = parts - 2 if name == "relinearise" else parts / 2
        return factor * ((few and self._at(f"{name}/few", degree, level)) or self._at(name, degree, level))

    def fused(self, name: str) -> float:
        """Seconds of the fused kernel for one residue; see `measuring.fused` for the names."""
        return self._entry("fused", partial(self._measure, 0, 0))[f"fused-{name}"]

    def parallel(self, name: str, threads: int) -> float:
        """What threads gain and cost; see `measuring.parallel` for the names. Asked for two and more."""
        return self._entry(f"threads-{threads}", partial(self._measure, 0, threads))[name]

    def _at(self, name: str, degree: int, level: int) -> float:
        anchors = _ANCHORS[degree]
        points = []
        for anchor in anchors:
            entry = self._entry(f"{degree}-{anchor}", partial(self._measure, degree, anchor))
            if name in entry:
                points.append((anchor, entry[name]))
        if not points:
            return 0.0
        name = name.removesuffix("/few")
        if len(points) == 1:
            anchor, value = points[0]
            power = 1.5 if name in _SQUARE else 1.0
            return float(value * (level / anchor) ** power)
        (l1, t1), (l2, t2) = points
        if name in _SQUARE:
            # t / l is a straight line.
            slope = max((t2 / l2 - t1 / l1) / (l2 - l1), 0.0)
            return float(max(t1 / l1 + slope * (level - l1), 0.2 * t1 / l1) * level)
        slope = max((t2 - t1) / (l2 - l1), 0.0)
        return float(max(t1 + slope * (level - l1), t1 * level / l1 / 2))

    def _entry(self, key: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        known = self._known.get(key)
        if known is not None and (key in self._checked or not _doubtful(known)):
            return known
        self._checked.add(key)
        found = measure()
        found["tries"] = 1.0
        if known is not None:
            # Whatever was measured, the machine can do it in the least of the times (gains: the most).
            found = {
                name: (max if name in _GAINS else min)(value, known.get(name, value))
                for name, value in found.items()
            }
            found["tries"] = known.get("tries", 1.0) + 1.0
        self._known[key] = found
        self._write()
        return found

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            data = json.loads(self._place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(data, dict) or data.get("form") != _FORM or data.get("machine") != machine():
            return {}
        return {
            str(key): {str(name): float(value) for name, value in entry.items()}
            for key, entry in data["seconds"].items()
        }

    def _write(self) -> None:
        data = {"form": _FORM, "machine": machine(), "seconds": self._known}
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            # Two programs may measure at once: each puts a whole file there, the last one stays.
            with tempfile.NamedTemporaryFile(
                "w", dir=self._place.parent, suffix=".tmp", delete=False, encoding="utf-8"
            ) as file:
                json.dump(data, file, indent=1, sort_keys=True)
            Path(file.name).replace(self._place)
        except OSError:
            # A folder that cannot be written costs the next program a few seconds, nothing else.
            return


def _doubtful(entry: dict[str, float]) -> bool:
    """Whether it was measured while other programs kept the machine busy, and not often enough yet."""
    return entry.get("busy", 1.0) > _BUSY and entry.get("tries", 1.0) < _TRIES


def machine() -> dict[str, Any]:
    """What the times depend on: processor, cores, kernels, version."""
    from hitoku.hazmat import ring

    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "kernels": ring.backend(),
        "version": _version(),
    }


def _measured(degree: int, level: int) -> dict[str, float]:
    from hitoku.inference import measuring

    before = measuring.busy()
    if degree:
        found = measuring.Bench(degree, level).measure()
    else:
        found = measuring.parallel(level) if level else measuring.fused()
    return found | {"busy": max(before, measuring.busy())}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "cpu family", "model", "stepping", "cache size", "CPU part")
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            found.setdefault(name.strip(), value.strip())
    return ", ".join(found.values()) or platform.machine()


def _version() -> str:
    from hitoku import _core

    try:
        installed = version("hitoku")
    except PackageNotFoundError:
        installed = "unknown"
    # A build of another day may have other kernels: its file's size and time stand for its contents.
    core = Path(_core.__file__).stat()
    return f"{installed}-{core.st_size:x}-{core.st_mtime_ns:x}"


def _digest(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
