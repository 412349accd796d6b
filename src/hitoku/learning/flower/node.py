# SPDX-License-Identifier: Apache-2.0
"""One connection of a SuperNode to a SuperLink: registered, activated, kept alive, served by messages."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from hitoku.errors import PeerError
from hitoku.learning.flower.admission import admission_headers
from hitoku.learning.flower.clients import Headers, client
from hitoku.learning.flower.gate import LAST_HEADER, WAIT_HEADER
from hitoku.learning.flower.messages import ASK, END, Arriving, outgoing, payload, reply

__all__ = ["HEARTBEAT_SECONDS", "Ended", "Node", "Replaced", "Unreachable"]

HEARTBEAT_SECONDS: Final = 5.0
"""A node that is silent for twice as long counts as dead."""
_STOCK_HEARTBEAT_SECONDS: Final = 10.0
"""The shortest that a SuperLink without our gate takes."""
_WAIT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_OBJECT_POLL_SECONDS: Final = 0.01
_log = logging.getLogger(__name__)


class Unreachable(PeerError):
    """No server is there, or it does not know this node any more: connect again."""


class Replaced(PeerError):
    """Another process of the same member has joined."""


class Ended(PeerError):
    """The run has ended."""


class Node:
    """A node, from its registration to its goodbye; use it in `with`.

    Args:
        address: the SuperLink's.
        certificate: the only one that is trusted, PEM.
        member: whose node it is.
        sign: signs with the member's key.
        context: what the admission is bound to.

    Raises:
        Unreachable: no server answered.
        PeerError: the server does not let this member in.
    """

    def __init__(
        self, address: str, certificate: bytes, member: str, sign: Callable[[bytes], bytes], context: bytes
    ) -> None:
        from hitoku.learning.flower import parts

        self._parts = parts
        private = ec.generate_private_key(ec.SECP256R1())  # fresh: a restarted process is a new node
        public = private.public_key()
        key = parts.public_key_to_bytes(public)
        self._headers = Headers()
        who = [
            parts.RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            parts.NodeAuthHttpInterceptor(private, public),
        ]
        self._fleet = client(parts.FleetHttpClient, address, certificate, [*who, self._headers])
        self._beating = client(parts.FleetHttpClient, address, certificate, who)
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None
        self._lost = False
        admission = admission_headers(context, member, key, sign)
        try:
            with self._failing(), self._headers.with_(admission):
                self._fleet.RegisterNode(parts.RegisterNodeFleetRequest(public_key=key))
            self._interval = HEARTBEAT_SECONDS
            self._node = parts.Node(node_id=self._activate(key))
        except BaseException:
            self._close_clients()
            raise

    def __enter__(self) -> Node:
        self._beat = threading.Thread(target=self._heartbeat, name="learning-node", daemon=True)
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(PeerError), self._failing():
            self._fleet.DeactivateNode(self._parts.DeactivateNodeRequest(node_id=self._node.node_id))
        if self._beat is not None:
            self._beat.join(1)
        self._close_clients()

    def serve_one(self, handle: Callable[[bytes], bytes]) -> None:
        """Wait for a request, a few seconds at most, and answer it.

        Raises:
            Ended: the server says that the run has ended.
            Replaced: another process of the member has joined.
            Unreachable: the server is gone.
        """
        if self._lost:
            raise Unreachable("the server missed this node's heartbeats")
        began = time.monotonic()
        with self._failing(), self._headers.with_({WAIT_HEADER: f"{_WAIT_SECONDS:.3f}"}):
            answer = self._fleet.PullMessages(self._parts.PullMessagesRequest(node=self._node))
        if not answer.messages_list:
            self._stop.wait(max(0.0, _POLL_SECONDS - (time.monotonic() - began)))
            return
        head = answer.messages_list[0].metadata
        came = time.monotonic()
        try:
            message = self._fetch(head, answer.message_object_trees[0])
            body = payload(message)
            if head.message_type == END:
                with contextlib.suppress(PeerError):  # nobody has to hear it
                    self._push(reply(b"", message, time.monotonic() - came))
                raise Ended("the run has ended")
            if head.message_type != ASK:
                raise PeerError("Flower brought a message of another program's")
            answered = self._handled(handle, body)
            self._push(reply(answered, message, time.monotonic() - came))
        except (Ended, Replaced, Unreachable):
            raise
        except PeerError as error:  # not ours, or too late: no answer, and on to the next
            _log.warning("a request was not answered: %s", error)

    def _handled(self, handle: Callable[[bytes], bytes], body: bytes) -> bytes | None:
        try:
            return handle(body)
        except Exception:
            _log.exception("a request could not be answered")
            return None

    def _fetch(self, head: Any, tree: Any) -> Any:
        def pull(name: str) -> bytes | None:
            with self._failing():
                answer = self._fleet.PullObject(
                    self._parts.PullObjectRequest(node=self._node, run_id=head.run_id, object_id=name)
                )
            return bytes(answer.object_content) if answer.object_found and answer.object_available else None

        arriving = Arriving(tree, pull)
        until = time.monotonic() + head.ttl
        while (message := arriving.fetch()) is None:
            if time.monotonic() > until or self._stop.wait(_OBJECT_POLL_SECONDS):
                raise PeerError("a request did not come whole")
        with self._failing():
            self._fleet.ConfirmMessageReceived(
                self._parts.ConfirmMessageReceivedRequest(
                    node=self._node, run_id=head.run_id, message_object_id=tree.object_id
                )
            )
        return message

    def _push(self, message: Any) -> None:
        head, tree, objects = outgoing(message)
        with self._failing():
            answer = self._fleet.PushMessages(
                self._parts.PushMessagesRequest(
                    node=self._node,
                    messages_list=[head],
                    message_object_trees=[tree],
                    clientapp_runtime_list=[0.0],
                )
            )
            wanted = [each for each in objects if each[0] in set(answer.objects_to_push)]
            for place, (name, content) in enumerate(wanted):
                last = {LAST_HEADER: "1"} if place == len(wanted) - 1 else {}
                with self._headers.with_(last):
                    self._fleet.PushObject(
                        self._parts.PushObjectRequest(
                            node=self._node,
                            run_id=head.metadata.run_id,
                            object_id=name,
                            object_content=content,
                            session_id=answer.session_id,
                        )
                    )

    def _activate(self, key: bytes) -> int:
        for interval in (HEARTBEAT_SECONDS, _STOCK_HEARTBEAT_SECONDS):
            self._interval = interval
            request = self._parts.ActivateNodeRequest(public_key=key, heartbeat_interval=interval)
            try:
                with self._failing():
                    return int(self._fleet.ActivateNode(request).node_id)
            except Unreachable:
                raise
            except PeerError:
                if interval == _STOCK_HEARTBEAT_SECONDS:
                    raise
        raise AssertionError

    def _heartbeat(self) -> None:
        while not self._stop.wait(self._interval / 3):
            request = self._parts.SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=self._interval)
            try:
                with self._failing():
                    if not self._beating.SendNodeHeartbeat(request).success:
                        self._lost = True
            except PeerError:
                pass  # the next request says what is wrong

    def _close_clients(self) -> None:
        self._fleet.close()
        self._beating.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Flower's and HTTP's errors as ours."""
        httpx = self._parts.httpx
        try:
            yield
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status == 409:
                raise Replaced("another process of this member has joined") from None
            if status == 401 or status >= 500:
                raise Unreachable(
                    f"the server does not know this node, or the clocks differ (status {status})"
                ) from None
            raise PeerError(
                f"the server did not take a call (status {status}): another plan or run, or key?",
                "REFUSED",
            ) from None
        except (httpx.TransportError, ssl.SSLError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise PeerError(
                    "the server shows another certificate than the one given", "CERTIFICATE"
                ) from None
            raise Unreachable(f"no answer ({type(error).__name__})") from None
        except ValueError:
            raise Unreachable("the server's answer is not Flower's") from None
