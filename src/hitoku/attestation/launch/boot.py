# SPDX-License-Identifier: Apache-2.0
"""The first thing that runs inside an image: ``boot.py PACKAGES MODULE:FUNCTION ARGUMENT ...``.

It is measured, like all else. Python starts it isolated (``-I -S -B``): no environment, no user's
packages, no ``.pth`` files, no bytecode is written. It adds the image's packages to the path and calls the
entry point.
"""

import sys
from importlib import import_module


def main() -> None:
    """Call the entry point with the remaining arguments as ``sys.argv``."""
    packages, entry, *arguments = sys.argv[1:]
    sys.path.append(packages)
    module, _, function = entry.partition(":")
    sys.argv[:] = [module, *arguments]
    sys.exit(getattr(import_module(module), function)())


if __name__ == "__main__":
    main()
