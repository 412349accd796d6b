# SPDX-License-Identifier: Apache-2.0
"""Write the enclave's worker as a directory, or as the first file system in memory of a virtual machine.

    python packaging/enclave/image.py nitro --directory image
    python packaging/enclave/image.py tsm --directory image --initramfs worker.cpio

`nitro` is for a Nitro enclave, `tsm` for a confidential virtual machine (SEV-SNP, TDX). Beside the
directory, ``<directory>.manifest.json`` names every file with its hash; its digest, which is printed, is
the program that members sign for. The same installation gives the same bytes. NOT RUN ON HARDWARE.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from hitoku.attestation.launch.export import archive, export
from hitoku.attestation.launch.image import Image
from hitoku.attestation.program import program_digest
from hitoku.errors import HitokuError
from hitoku.protections.enclave.starting import worker_image

GUEST = "hitoku.protections.enclave.worker.guest"


def guest_image(platform: str) -> Image:
    """The worker with the entry point for a platform that measures it itself."""
    worker = worker_image("tpm")
    entry = f"{GUEST}:{'enclave' if platform == 'nitro' else 'machine'}"
    more = ("asn1crypto", "cbor2") if platform == "nitro" else ()
    return replace(worker, packages=(*worker.packages, *more), entry=entry, argv=(platform,))


def init(image: Image) -> bytes:
    """The first program of a virtual machine: the image's command line, as Python."""
    program, *arguments = image.command()
    words = ", ".join(map(repr, (program, *arguments)))
    return (
        f"#!{program} -ISB\nimport os\nos.execve({program!r}, [{words}], {{'LC_ALL': 'C.UTF-8'}})\n".encode()
    )


def main(words: list[str]) -> int:
    """Write what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("platform", choices=["nitro", "tsm"])
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--initramfs", type=Path)
    given = parser.parse_args(words)
    image = guest_image(given.platform)
    try:
        manifest = export(image, given.directory)
        if given.initramfs is not None:
            with given.initramfs.open("xb") as target:
                archive(given.directory, target, {"init": init(image)})
    except (HitokuError, OSError) as error:
        sys.stderr.write(f"image.py: {error}\n")
        return 4
    given.directory.with_name(f"{given.directory.name}.manifest.json").write_bytes(manifest.to_bytes())
    sys.stdout.write(f"program {program_digest(manifest)}\nfiles   {len(manifest.files)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
