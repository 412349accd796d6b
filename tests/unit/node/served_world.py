# SPDX-License-Identifier: Apache-2.0
"""Three members' nodes in threads of one process, over HTTPS, with their health listeners."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from datetime import timedelta
from io import StringIO

from tests.e2e.nodes import free_ports

from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock


class Ahead(SystemClock):
    """A clock that goes wrong when it is told to."""

    off = timedelta()

    def now(self):
        return super().now() + self.off


class World:
    """Three members' nodes in threads of this process."""

    def __init__(self, place, **clocks):
        self.place, self.out, self.nodes, self.threads = place, {}, {}, []
        self.runs: list[str] = []
        ports = free_ports(3 * len(place.members))
        self.ports = {name: ports[3 * n : 3 * n + 3] for n, name in enumerate(place.members)}
        for name, directory in place.members.items():
            listen, health, metrics = (f"127.0.0.1:{port}" for port in self.ports[name])
            peers = {n: f"https://127.0.0.1:{p[0]}" for n, p in self.ports.items() if n != name}
            NodeSettings.made(
                {
                    "listen": listen, "url": f"https://{listen}", "health": health,
                    "metrics": {"listen": metrics}, "rooms": [{"file": "../room.yaml", "peers": peers}],
                }, "here",
            ).write(directory.path)  # fmt: skip
            ready, self.out[name] = threading.Event(), StringIO()
            self.nodes[name] = NodeProcess(
                directory.path, json_log(self.out[name]), ready.set, clocks.get(name)
            )
            self.threads.append(threading.Thread(target=self.nodes[name].run))
            self.threads[-1].start()
            assert ready.wait(300)

    def close(self):
        for node in self.nodes.values():
            node.stop()
        for thread in self.threads:
            thread.join(300)
            assert not thread.is_alive()

    def get(self, name, path, port=1):
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports[name][port]}{path}", timeout=300
            ) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
