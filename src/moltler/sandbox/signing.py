"""Signatures with sealed keys, made for the handlers of one child (LANGUAGE §5.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from moltler.sandbox.frames import MAX_KEY, MAX_REQUEST_BODY, BadFrame, Kind, Sign
from moltler.vault.seal import SealBook, SealTooLarge


class Signing:
    """Answers SIGN, one after the other.

    Args:
        send: Writes a frame to the child.
        spawn: Runs a task that ends with the child.
        seals: What the keys may hold.
    """

    def __init__(
        self,
        send: Callable[..., None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        seals: SealBook,
    ) -> None:
        self._send = send
        self._spawn = spawn
        self._seals = seals
        self._is_busy = False

    def start(self, id_: int, sign: Sign, content: bytes) -> None:
        """Make a signature and send it; an empty one says that the key is too large.

        Raises:
            BadFrame: The last one is not made yet, the key is no key, or the text is too large.
        """
        if self._is_busy or len(content) > MAX_REQUEST_BODY * 2 or len(sign.key) > 2 * MAX_KEY:
            raise BadFrame("a signature out of order")
        try:
            key = bytes.fromhex(sign.key)
        except ValueError as error:
            raise BadFrame("a key that is not hexadecimal") from error
        self._is_busy = True
        self._spawn(self._sign(id_, sign.hash, key, content))

    async def _sign(self, id_: int, hash_name: str, key: bytes, content: bytes) -> None:
        try:
            # Of a large text it takes longer than the loop may be held up.
            signature = await asyncio.to_thread(self._seals.sign, hash_name, key, content)
        except SealTooLarge:
            signature = b""
        finally:
            self._is_busy = False
        self._send(Kind.SIGNED, id_, signature)
