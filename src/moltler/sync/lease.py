"""Leases held by this process: who asks for them, and the heartbeat that keeps them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from moltler.catalog.owner import life_of, this_process
from moltler.errors import MoltlerError
from moltler.flow.sync import Lease
from moltler.ports import Writer

TTL_S = 60.0
HEARTBEAT_S = 20.0


def owner_text(run_id: str) -> str:
    """Give a text that names this machine, this process and one run of it."""
    return f"{socket.gethostname()} {run_id} {this_process()}"


def is_dead(owner: str) -> bool:
    """Tell whether an owner certainly runs no more: a process of this machine that has ended."""
    host, _, rest = owner.partition(" ")
    process = rest.partition(" ")[2]
    return host == socket.gethostname() and bool(process) and life_of(process) == "dead"


def shown_owner(owner: str) -> str:
    """Give an owner as people read it."""
    host, _, rest = owner.partition(" ")
    pid = rest.partition(" ")[2].partition(" ")[0]
    return f"process {pid} of {host}" if pid else owner


class Heartbeat:
    """Renews a lease when no commit has done so for a while.

    Args:
        writer: Of the lease's table.
        lease: What is kept.
        lost: Told once, in the heartbeat's thread, when it is gone or cannot be renewed in time.
        every_s: Seconds between two renewals.
    """

    def __init__(
        self,
        writer: Writer,
        lease: Lease,
        lost: Callable[[MoltlerError], None],
        *,
        every_s: float = HEARTBEAT_S,
    ) -> None:
        self._writer = writer
        self._lease = lease
        self._lost = lost
        self._every_s = every_s
        self._is_over = threading.Event()
        self._beaten = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="moltler-lease", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def note(self) -> None:
        """Take notice of a commit, which has renewed the lease."""
        self._beaten.set()

    def close(self) -> None:
        """End; may be repeated."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        missed = 0
        while not self._is_over.wait(self._every_s):
            if self._beaten.is_set():
                self._beaten.clear()
                missed = 0
                continue
            try:
                self._writer.renew(self._lease, ttl_s=TTL_S)
                missed = 0
            except MoltlerError as error:
                missed += 1
                # A destination that is away for a moment costs nothing yet: the fence decides.
                if error.code == "SNC004" or missed * self._every_s >= TTL_S:
                    self._lost(error)
                    return
