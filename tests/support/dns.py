"""A name server on loopback that answers as scripted, and a lookup that asks it over UDP."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

_A, _AAAA = 1, 28


class NameServer:
    """Answers each name with its next set of addresses; the last one repeats.

    Args:
        names: For each name the answers in turn, each a list of addresses.
    """

    def __init__(self, names: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._left = {name: list(answers) for name, answers in names.items()}
        self.asked: list[str] = []
        """Names that were asked for, in order."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def lookup(self, host: str, port: int) -> list[str]:
        """Ask the server for the addresses of a name (`NetSettings.lookup`)."""
        labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
        question = labels + b"\0" + struct.pack(">HH", _A, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(
                struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + question, self._socket.getsockname()
            )
            answer = client.recv(4096)
        found: list[str] = []
        at = 12 + len(question)
        for _ in range(struct.unpack_from(">H", answer, 6)[0]):
            size = struct.unpack_from(">H", answer, at + 10)[0]
            found.append(str(ipaddress.ip_address(answer[at + 12 : at + 12 + size])))
            at += 12 + size
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:
                return
            labels: list[str] = []
            at = 12
            while size := query[at]:
                labels.append(query[at + 1 : at + 1 + size].decode())
                at += size + 1
            name = ".".join(labels)
            self.asked.append(name)
            answers = self._left.get(name, [[]])
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            records = b""
            for text in addresses:
                packed = ipaddress.ip_address(text).packed
                kind = _A if len(packed) == 4 else _AAAA
                records += struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(packed)) + packed
            head = struct.pack(">2s5H", query[:2], 0x8180, 1, len(addresses), 0, 0)
            self._socket.sendto(head + query[12 : at + 5] + records, sender)
