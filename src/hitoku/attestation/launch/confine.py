# SPDX-License-Identifier: Apache-2.0
"""A place where nothing but the image is: own mount namespace, own network, no privileges.

In namespaces (`NAMESPACES`), the image's copy is in memory that only this program sees, read-only, its
root directory is that copy, and nothing of the machine's files has a name in it. Where the system allows
no new namespaces (some containers) but lets root change its root directory (`DIRECTORY`), the copy is a
directory that the machine's root can still write, and the machine's network is there: weaker, and the
manifest, and so the digest, always say so.

Linux only; standard library only (ctypes: Python 3.11 has neither unshare nor mount).
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from dataclasses import dataclass
from typing import Final

from hitoku.attestation.program import DIRECTORY, NAMESPACES
from hitoku.errors import InputError

__all__ = ["DIRECTORY", "NAMESPACES", "Bound", "Place"]

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 0x1, 0x2, 0x4, 0x8, 0x20
_NOATIME, _NODIRATIME, _BIND, _REC, _PRIVATE, _RELATIME = 0x400, 0x800, 0x1000, 0x4000, 1 << 18, 1 << 21
_DETACH: Final = 2
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECUREBITS = 24, 38, 28
_NO_ROOT: Final = 0x3
"""SECBIT_NOROOT and its lock: user 0 has no capabilities of its own."""
_CAPABILITIES: Final = 64
_CAPABILITY_VERSION: Final = 0x20080522
_NOBODY: Final = 65534
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_SCRATCH: Final = "tmp"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Bound:
    """A directory of the machine that the program sees; nothing in it can be executed or mapped as code.

    Attributes:
        inside: its name in the image's root.
        outside: path on the machine; None: the place is empty.
        writable: the program may write it.
    """

    inside: str
    outside: str | None
    writable: bool


class Place:
    """The place, while it is made: `enter`, copy the image to `top`, `furnish`, `close`, `descend`.

    Args:
        top: an empty directory of ours.
        network: keep the machine's network.
    """

    def __init__(self, top: str, *, network: bool) -> None:
        self.top, self._network = top, network
        self.kind = ""
        self._root = os.geteuid() == 0

    def enter(self) -> None:
        """Go into namespaces of our own, where the system lets us, and put memory at `top`.

        Raises:
            InputError: it lets us have neither namespaces nor a root directory of our own.
        """
        if sys.platform != "linux":
            raise InputError("programs are launched on Linux only")
        flags = _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | (0 if self._network else _CLONE_NEWNET)
        user, group = os.geteuid(), os.getegid()
        if _libc.unshare(flags | (0 if self._root else _CLONE_NEWUSER)):
            if not self._root:
                raise InputError(
                    "this system gives users no namespaces: allow them (kernel.unprivileged_userns_clone=1; "
                    "on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0), or run as root"
                )
            self.kind = DIRECTORY
            os.chmod(self.top, 0o755)  # noqa: PTH101, S103
            return
        if not self._root:
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                    file.write(text)
        self.kind = NAMESPACES
        self._mount(None, "/", None, _REC | _PRIVATE)
        self._mount("image", self.top, "tmpfs", _NOSUID | _NODEV, "mode=0755")

    def furnish(self, bound: list[Bound], *, scratch: bool) -> None:
        """Add what is no program: a few devices that hold no data, an empty /tmp, the machine's bound data.

        Raises:
            InputError: the system does not allow it.
        """
        if self.kind == DIRECTORY and any(lent.outside is not None for lent in bound):
            raise InputError("this system gives no namespaces, so that no directory can be lent to a program")
        os.makedirs(self._path("dev"), 0o755, exist_ok=True)  # noqa: PTH103
        for name in _DEVICES:
            self._device(name)
        if scratch:
            os.makedirs(self._path(_SCRATCH), 0o1777, exist_ok=True)  # noqa: PTH103
            if self.kind == NAMESPACES:
                self._mount("scratch", self._path(_SCRATCH), "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=1777")
            else:
                os.chmod(self._path(_SCRATCH), 0o1777)  # noqa: PTH101, S103
        for lent in bound:
            self._bind(lent)

    def close(self) -> None:
        """Make the image read-only."""
        if self.kind == NAMESPACES:
            self._mount(None, self.top, None, _REMOUNT | _RDONLY | _NOSUID | _NODEV)

    def descend(self, *, keep_user: bool) -> None:
        """Make `top` the root directory and give up every privilege.

        Args:
            keep_user: stay the user that we are (the bound data are his); else become nobody, if we are root.
        """
        os.chdir(self.top)
        if self.kind == NAMESPACES:
            # Both arguments the same: the old root is stacked below the new one and detached (pivot_root(2)).
            self._done(_libc.pivot_root(b".", b"."), "pivot_root")
            self._done(_libc.umount2(b".", _DETACH), "umount2")
        else:
            os.chroot(".")
        os.chdir("/")
        os.umask(0o077)
        self._done(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
        for number in range(_CAPABILITIES):
            if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
                break
        if self._root:
            self._done(_libc.prctl(_PR_SET_SECUREBITS, _NO_ROOT, 0, 0, 0), "prctl")
            if not keep_user:
                os.setgroups([])
                os.setresgid(_NOBODY, _NOBODY, _NOBODY)
                os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        self._done(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")

    def _device(self, name: str) -> None:
        path, there = self._path("dev", name), f"/dev/{name}"
        try:
            if self.kind == NAMESPACES:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444))
                self._mount(there, path, None, _BIND)
            else:
                os.mknod(path, stat.S_IFCHR | 0o666, os.stat(there).st_rdev)  # noqa: PTH116
                os.chmod(path, 0o666)  # noqa: PTH101, S103
        except OSError as error:
            raise InputError(f"/dev/{name} cannot be lent to the program ({error.strerror})") from None

    def _bind(self, lent: Bound) -> None:
        path = self._path(lent.inside)
        os.mkdir(path, 0o755)  # noqa: PTH102
        if lent.outside is None:
            return
        if not os.path.isdir(lent.outside):  # noqa: PTH112
            raise InputError(f"{lent.outside}: only a directory can be lent to a program")
        self._mount(lent.outside, path, None, _BIND)
        # In a user namespace the flags that the mount had may not be taken away.
        had = os.statvfs(path).f_flag
        kept = had & (_RDONLY | _NOATIME | _NODIRATIME) | (_RELATIME if had & 0x1000 else 0)
        flags = _BIND | _REMOUNT | _NOSUID | _NODEV | _NOEXEC | kept
        self._mount(None, path, None, flags | (0 if lent.writable else _RDONLY))

    def _path(self, *parts: str) -> str:
        return os.path.join(self.top, *parts)  # noqa: PTH118

    def _mount(
        self, source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
    ) -> None:
        words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
        result = _libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])
        self._done(result, f"mount of {target}")

    def _done(self, result: int, what: str) -> None:
        if result:
            raise InputError(f"{what}: {os.strerror(ctypes.get_errno())}")
