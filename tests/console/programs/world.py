# SPDX-License-Identifier: Apache-2.0
"""Three members' nodes in threads, over HTTPS on loopback; the airport's with its console, over HTTP."""

from __future__ import annotations

import threading
from io import StringIO

from tests.conftest import Place
from tests.console.asking import Served
from tests.e2e.nodes import free_ports

from hitoku.console.context import Context
from hitoku.console.service import ConsoleService
from hitoku.console.sessions import make_token
from hitoku.console.store import create
from hitoku.console.users import May
from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings

ALL = frozenset(May)


class World:
    """The airport's node, as programs see it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.others = Served(place)
        path = place.members["airport"].path
        listen = f"127.0.0.1:{free_ports(1)[0]}"
        file = path / "node.toml"
        file.write_text(f'{file.read_text("utf-8")}\n[console]\nlisten = "{listen}"\n', "utf-8")
        settings = NodeSettings.open(path).console
        assert settings is not None
        self.url = settings.url
        self.log = StringIO()
        self.service: ConsoleService | None = None

    @property
    def room(self) -> str:
        return str(self.place.agreement.id)

    @property
    def context(self) -> Context:
        assert self.service is not None
        found: Context = self.service.application.state.context
        return found

    def start(self) -> None:
        self.others.start(*(name for name in self.place.members if name != "airport"))
        self.start_airport()

    def start_airport(self) -> None:
        ready = threading.Event()

        def console(view, log):
            self.service = ConsoleService(view, log)
            return self.service

        path = self.place.members["airport"].path
        self.node = NodeProcess(path, json_log(self.log), ready.set, services=(console,))
        self.thread = threading.Thread(target=self.node.run)
        self.thread.start()
        assert ready.wait(300)

    def stop_airport(self) -> None:
        self.node.stop()
        self.thread.join(300)
        assert not self.thread.is_alive()

    def stop(self) -> None:
        self.stop_airport()
        self.others.stop()

    def token(self, name: str, abilities: frozenset[May] = ALL, rooms: frozenset[str] | None = None) -> str:
        """A token of a new user."""
        account = create(self.context, name, abilities, rooms=rooms)
        return make_token(self.context, account, "test", abilities, 1)
