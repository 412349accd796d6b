# SPDX-License-Identifier: Apache-2.0
"""A software TPM of one's own: swtpm in a process, its state in a fresh folder, gone with it.

It answers as a TPM in hardware does, and protects nothing: whoever operates the machine reads its state and
makes it say what he likes. Evidence that rests on it is software-rooted everywhere.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from hitoku.attestation.tpm2.device import Descriptor, open_device
from hitoku.errors import InputError

__all__ = ["SwTpm", "missing"]

_SECONDS: Final = 30.0


def missing(*, certificate: bool = True) -> str | None:
    """What is not installed of what this module runs; None where all is."""
    for program in ("swtpm", "swtpm_setup", "swtpm_localca") if certificate else ("swtpm",):
        if _found(program) is None:
            return f"{program} is not installed (Debian: swtpm, swtpm-tools)"
    return None


class SwTpm:
    """A software TPM, from `__enter__` (or `start`) to `__exit__` (or `stop`).

    Args:
        private: only who holds a `descriptor` reaches it. No socket has a name, and there is no control
            channel, by which it could be reset. Else it listens at `path`, with its control channel at
            ``<path>.ctrl``, as tpm2-tools expect it.
        certificate: certify its endorsement key. Without, it starts in milliseconds, else in a
            second.
        authority: folder of the authority that certifies it, made if it is new; several TPMs can have one.
            None for an authority made for this one alone.

    Attributes:
        path: where it listens; None where private.
        chain: PEM certificates above the endorsement key's, the root last; empty without a certificate.
    """

    def __init__(
        self, *, private: bool = False, certificate: bool = True, authority: Path | None = None
    ) -> None:
        self._private, self._certificate, self._authority = private, certificate, authority
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self.path: Path | None = None
        self.chain = b""

    @property
    def state(self) -> Path:
        """The folder with its state."""
        if self._folder is None:
            raise InputError("the software TPM is not started")
        return Path(self._folder.name) / "state"

    @property
    def process_id(self) -> int | None:
        """Of swtpm; None where it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Make its state and start it.

        Raises:
            InputError: swtpm is not installed, or does not start.
        """
        if (what := missing(certificate=self._certificate)) is not None:
            raise InputError(what)
        # A unix socket's path has a hundred characters at most: a folder of our own, not the caller's.
        self._folder = tempfile.TemporaryDirectory(prefix="hitoku-tpm-")
        try:
            self.state.mkdir(mode=0o700)
            if self._certificate:
                self._certify()
            self.resume()  # without a state swtpm manufactures itself
        except BaseException:
            self.stop()
            raise

    def resume(self) -> None:
        """Start swtpm on the state as it is: a machine that is switched on again."""
        words = ["socket", "--tpm2", "--tpmstate", f"dir={self.state},mode=0600"]
        words += ["--flags", "not-need-init,startup-clear"]
        if self._private:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with theirs:
                number = theirs.fileno()
                self._process = _start([*words, "--fd", str(number)], (number,))
            self._channel = ours
            return
        self.path = self.state.parent / "tpm"
        control = self.path.with_name("tpm.ctrl")
        for old in (self.path, control):
            old.unlink(missing_ok=True)
        words += ["--server", f"type=unixio,path={self.path},mode=0600"]
        words += ["--ctrl", f"type=unixio,path={control},mode=0600"]
        self._process = _start(words, ())
        end = time.monotonic() + _SECONDS
        while not self.path.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                raise InputError("swtpm does not start")
            time.sleep(0.005)

    def descriptor(self) -> int:
        """A descriptor of the channel to a private one: the caller's, to close or to give to a process."""
        if self._channel is None:
            raise InputError("the software TPM is not private, or not started")
        return os.dup(self._channel.fileno())

    def connect(self) -> Descriptor:
        """A way to it. swtpm serves one connection at a time: close this one before the next."""
        return Descriptor(self.descriptor()) if self._private else open_device(self.path or "")

    def halt(self) -> None:
        """End swtpm, keep its state: a machine that is switched off without warning."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End swtpm and delete its state. A second time does nothing."""
        self.halt()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> SwTpm:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _certify(self) -> None:
        """Manufacture the TPM with a certificate; its authority's files are never the machine's own."""
        folder = self.state.parent
        authority = (self._authority or folder / "authority").resolve()
        authority.mkdir(mode=0o700, exist_ok=True)
        (folder / "localca.conf").write_text(
            f"statedir = {authority}\nsigningkey = {authority}/key.pem\n"
            f"issuercert = {authority}/issuer.pem\ncertserial = {authority}/serial\n"
        )
        (folder / "localca.options").write_text(
            "--platform-manufacturer hitoku\n--platform-version 1\n--platform-model swtpm\n"
        )
        (folder / "setup.conf").write_text(
            f"create_certs_tool = {_found('swtpm_localca')}\n"
            f"create_certs_tool_config = {folder}/localca.conf\n"
            f"create_certs_tool_options = {folder}/localca.options\n"
        )
        words = ["--tpm2", "--tpmstate", str(self.state), "--pcr-banks", "sha256"]
        words += ["--create-ek-cert", "--config", str(folder / "setup.conf")]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
        environment["XDG_CONFIG_HOME"] = str(folder)
        done = subprocess.run(
            [_found("swtpm_setup") or "", *words], env=environment, capture_output=True, check=False
        )
        if done.returncode:
            raise InputError(f"swtpm_setup failed with {done.returncode}")
        parts = [authority / "issuer.pem", *sorted(authority.glob("*rootca-cert.pem"))]
        self.chain = b"".join(part.read_bytes() for part in parts)


def _start(words: list[str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [_found("swtpm") or "", *words],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _found(program: str) -> str | None:
    """Where a program is; some systems keep these out of a user's path."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/usr/bin")
