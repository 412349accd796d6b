# SPDX-License-Identifier: Apache-2.0
"""A Flower run of which this process is the ServerApp: started, claimed, kept alive, finished.

Flower starts a run from an app bundle and then starts processes that load the app. Ours is a bundle that
holds its name and nothing else: the server's process claims the run's task itself, as a SuperExec would, and
nodes never ask for the bundle. So no program goes from the server to a bank.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Sequence
from typing import Any, Final

from hitoku.errors import PeerError
from hitoku.learning.flower.clients import Headers, client
from hitoku.learning.flower.gate import LAST_HEADER, SECRET_HEADER, WAIT_HEADER
from hitoku.learning.flower.superlink import SuperLink

__all__ = ["Run"]

_HEARTBEAT_SECONDS: Final = 5.0
_CLAIM_SECONDS: Final = 30.0
_APP: Final = """\
[build-system]
requires = []
build-backend = "none"

[project]
name = "hitoku-learning"
version = "1.0.0"
description = "A run of hitoku learning: the members' own programs answer"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "hitoku"

[tool.flwr.app.components]
serverapp = "hitoku_learning:none"
clientapp = "hitoku_learning:none"

[tool.flwr.app.config]
"""


class Run:
    """A run on a SuperLink, from its start to its end.

    Args:
        link: the SuperLink.

    Raises:
        PeerError: the SuperLink did not start the run.
    """

    def __init__(self, link: SuperLink) -> None:
        from hitoku.learning.flower import parts

        self._parts = parts
        self._link = link
        self.headers = Headers({SECRET_HEADER: link.secret})
        self._stop = threading.Event()
        with self._failing("start a run"):
            self._start()
        self._beat = threading.Thread(target=self._heartbeat, name="learning-run", daemon=True)
        self._beat.start()

    def close(self) -> None:
        """Finish the run; a SuperLink that is gone is no error."""
        self._stop.set()
        self._beat.join(_HEARTBEAT_SECONDS)
        with contextlib.suppress(PeerError), self._failing("finish the run"):
            self.runtime.PushTaskOutput(self._parts.PushTaskOutputRequest(sub_status="completed", details=""))
        self.runtime.close()

    def nodes(self) -> dict[bytes, int]:
        """The nodes that are connected now: each one's public key and its number.

        Raises:
            PeerError: the SuperLink does not answer.
        """
        with self._failing("say which nodes there are"):
            answer = self.runtime.GetNodes(self._parts.GetNodesRequest())
        return {bytes(node.public_key): int(node.node_id) for node in answer.nodes}

    def push(self, messages: Sequence[Any]) -> list[str]:
        """Hand messages to the SuperLink; each one's name, "" for one that it did not take.

        Raises:
            PeerError: the SuperLink does not answer.
        """
        from hitoku.learning.flower.messages import outgoing

        ready = [outgoing(message) for message in messages]
        with self._failing("take messages"):
            answer = self.runtime.PushMessages(
                self._parts.PushAppMessagesRequest(
                    messages_list=[head for head, _, _ in ready],
                    message_object_trees=[tree for _, tree, _ in ready],
                )
            )
            wanted = set(answer.objects_to_push)
            objects = [each for _, _, objects in ready for each in objects if each[0] in wanted]
            for place, (name, content) in enumerate(objects):
                last = {LAST_HEADER: "1"} if place == len(objects) - 1 else {}
                with self.headers.with_(last):
                    self.runtime.PushObject(
                        self._parts.PushObjectRequest(
                            node=self._node(),
                            run_id=self.number,
                            object_id=name,
                            object_content=content,
                            session_id=answer.session_id,
                        )
                    )
        return list(answer.message_ids)

    def pull(self, names: Sequence[str], seconds: float) -> list[tuple[Any, Any]]:
        """The replies to messages that have come, as head and tree; waits so long for news, at most.

        Raises:
            PeerError: the SuperLink does not answer.
        """
        with self._failing("hand over replies"), self.headers.with_({WAIT_HEADER: f"{max(seconds, 0):.3f}"}):
            answer = self.runtime.PullMessages(self._parts.PullAppMessagesRequest(message_ids=list(names)))
        return list(zip(answer.messages_list, answer.message_object_trees, strict=True))

    def pull_object(self, name: str) -> bytes | None:
        """One object's bytes; None while it is not there."""
        with self._failing("hand over a reply"):
            answer = self.runtime.PullObject(
                self._parts.PullObjectRequest(node=self._node(), run_id=self.number, object_id=name)
            )
        return bytes(answer.object_content) if answer.object_found and answer.object_available else None

    def confirm(self, name: str) -> None:
        """Let the SuperLink forget a message's objects."""
        with self._failing("forget a reply"):
            self.runtime.ConfirmMessageReceived(
                self._parts.ConfirmMessageReceivedRequest(
                    node=self._node(), run_id=self.number, message_object_id=name
                )
            )

    def _node(self) -> Any:
        return self._parts.Node(node_id=self._parts.SUPERLINK_NODE_ID)

    def _client(self, kind: Any, name: str, *more: Any) -> Any:
        interceptors = [self._parts.RuntimeVersionHttpInterceptor(component_name=name), self.headers, *more]
        return client(kind, self._link.own_address, self._link.certificate, interceptors)

    def _start(self) -> None:
        parts = self._parts
        bundle = _bundle()
        fab = parts.Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)
        with self._client(parts.ControlHttpClient, "flwr CLI") as control:
            self.number = int(control.StartRun(parts.StartRunRequest(fab=fab)).run_id)
        token = ""
        until = time.monotonic() + _CLAIM_SECONDS
        with self._client(parts.RuntimeHttpClient, "SuperExec") as claiming:
            while not token:
                request = parts.AcquireTaskRequest(supported_task_types=[parts.TaskType.SERVER_APP])
                token = claiming.AcquireTask(request).token
                if not token and time.monotonic() > until:
                    raise PeerError("Flower's SuperLink has no task for its run", "SUPERLINK")
                if not token:
                    time.sleep(0.05)
        self.runtime = self._client(
            parts.RuntimeHttpClient, "flwr-serverapp", parts.RuntimeTokenHttpInterceptor(token=token)
        )
        self.runtime.PullTaskInput(parts.PullTaskInputRequest())

    def _heartbeat(self) -> None:
        while not self._stop.wait(_HEARTBEAT_SECONDS):
            with contextlib.suppress(PeerError), self._failing("hear that we are here"):
                self.runtime.SendTaskHeartbeat(self._parts.SendTaskHeartbeatRequest())

    @contextlib.contextmanager
    def _failing(self, what: str) -> Any:
        try:
            yield
        except self._parts.httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise PeerError(f"Flower's SuperLink did not {what} (status {status})", "SUPERLINK") from None
        except (self._parts.httpx.HTTPError, ValueError) as error:
            name = type(error).__name__
            raise PeerError(f"Flower's SuperLink did not {what} ({name})", "SUPERLINK") from None


def _bundle() -> bytes:
    """An app bundle as Flower packs one, with no program in it."""
    content = _APP.encode()
    manifest = f"pyproject.toml,{hashlib.sha256(content).hexdigest()},{8 * len(content)}"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (("pyproject.toml", _APP), (".info/CONTENT", manifest)):
            file.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()
