"""Secrets in one encrypted file of the home."""

from __future__ import annotations

import base64
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from moltler.errors import LookupFailed, ParseError, near_match
from moltler.ports import Clock
from moltler.vault.keys import KEY_BYTES, check_text, decode_key, read_key_file, write_private
from moltler.vault.locks import hold_lock
from moltler.vault.seal import SealKey

SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LARGEST_VALUE = 64 * 1024
"""Bytes of UTF-8."""
_FORMAT = 1
_NONCE_BYTES = 12
_SCRYPT_COST = 2**15
_KEYRING_WAIT_S = 10.0
_SERVICE = "moltler"

_Source = Literal["environment", "keyring", "file"]
_Given = TypeVar("_Given")


class _Sealed(msgspec.Struct, frozen=True):
    """One encrypted value; name and version are bound to it as associated data."""

    version: int
    created: str
    updated: str
    nonce: bytes
    value: bytes


class _Envelope(msgspec.Struct, frozen=True):
    """The whole file."""

    format: int
    id: str
    """Random; bound to every value, and the user name in the OS keyring."""
    source: _Source
    """Where the master key came from when the file was made."""
    salt: bytes
    cost: int
    check: _Sealed
    """A known text, so that a wrong key is told apart from a damaged value."""
    secrets: dict[str, _Sealed]


@dataclass(frozen=True, slots=True)
class SecretRow:
    """What may be told about a secret."""

    name: str
    created: str
    """ISO 8601, UTC."""
    updated: str


class SecretFile:
    """The secrets of one home, encrypted with AES-GCM; safe for threads and processes.

    Every change reads the file again under a lock and replaces it as a whole, so two processes
    that write at once lose nothing and a killed one leaves the old file or the new one.

    Args:
        home: The folder; made when the first secret is stored.
        environ: For ``MOLTLER_KEY``, and to tell whether an OS keyring can exist.
        clock: Gives the times of creation and change.
    """

    def __init__(self, home: Path, environ: Mapping[str, str], clock: Clock) -> None:
        self.path = home / "secrets.db"
        self.key_path = home / "secrets.key"
        self._environ = environ
        self._clock = clock
        self._seals = SealKey(home, clock)
        self._mutex = threading.Lock()
        self._master: tuple[tuple[str, bytes, str], bytes] | None = None
        """Scrypt and the keyring are slow, so the key is kept per file identity and text."""

    def get(self, name: str) -> str | None:
        """Give the value, or ``None`` if there is no such secret.

        Raises:
            LookupFailed: CAT010, the key is missing or wrong, or the file is damaged.
        """
        with self._mutex:
            envelope = self._read()
            if envelope is None or name not in envelope.secrets:
                return None
            return self._open(envelope, name, envelope.secrets[name], self._key(envelope))

    def put(self, name: str, value: str) -> None:
        """Store or replace a value.

        Raises:
            ParseError: SYN005, the name is not one.
            LookupFailed: CAT004, the value is empty or too large; CAT009, CAT010.
        """
        plain = _checked(name, value)
        with self._mutex:
            self._ensure_home()
            with hold_lock(self.path.with_suffix(".lock"), self._clock):
                envelope, key = self._envelope_to_write()
                now = self._now()
                old = envelope.secrets.get(name)
                version = old.version + 1 if old else 1
                sealed = _seal(key, plain, _binding(envelope.id, name, version), version, now, old)
                self._write(
                    msgspec.structs.replace(envelope, secrets={**envelope.secrets, name: sealed})
                )

    def remove(self, name: str) -> None:
        """Remove a secret; the master key is not needed.

        Raises:
            LookupFailed: CAT005, there is no such secret; CAT009, CAT010.
        """
        with self._mutex:
            envelope = self._read()
            if envelope is not None and name in envelope.secrets:
                with hold_lock(self.path.with_suffix(".lock"), self._clock):
                    envelope = self._read()
                    if envelope is not None and name in envelope.secrets:
                        rest = {k: v for k, v in envelope.secrets.items() if k != name}
                        self._write(msgspec.structs.replace(envelope, secrets=rest))
                        return
            names = tuple(sorted(envelope.secrets)) if envelope else ()
        near = near_match(name, names)
        raise LookupFailed(
            "CAT005",
            f"no secret `{name}`",
            hint=f"did you mean `{near}`?" if near else "see `moltler secrets list`",
        )

    def list(self) -> tuple[SecretRow, ...]:
        """Give names and times by name, never values; the master key is not needed."""
        envelope = self._read()
        if envelope is None:
            return ()
        return tuple(
            SecretRow(name, sealed.created, sealed.updated)
            for name, sealed in sorted(envelope.secrets.items())
        )

    def check(self) -> str:
        """Tell where the master key comes from, after trying it.

        Returns:
            ``environment``, ``keyring``, ``file``, or ``none yet`` while there is no secret.

        Raises:
            LookupFailed: CAT010, the key is missing or wrong, or the file is damaged.
        """
        with self._mutex:
            envelope = self._read()
            if envelope is None:
                text = self._environ.get("MOLTLER_KEY")
                if text and decode_key(text) is None:
                    check_text(text)
                return "none yet"
            self._key(envelope)
            return "environment" if self._environ.get("MOLTLER_KEY") else envelope.source

    def seal_key(self) -> bytes:
        """Give the key of the home's seals, made at its first use."""
        return self._seals.get()

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    def _read(self) -> _Envelope | None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.path, f"cannot be read ({error.strerror})") from error
        try:
            envelope = msgspec.json.decode(content, type=_Envelope)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            try:
                newer = msgspec.json.decode(content, type=dict[str, object]).get("format")
            except (msgspec.DecodeError, UnicodeDecodeError):
                newer = None
            if isinstance(newer, int) and newer > _FORMAT:
                raise _too_new(self.path, newer) from error
            raise _unreadable(self.path, "is damaged") from error
        if envelope.format > _FORMAT:
            raise _too_new(self.path, envelope.format)
        return envelope

    def _write(self, envelope: _Envelope) -> None:
        try:
            write_private(self.path, msgspec.json.encode(envelope))
        except OSError as error:
            raise LookupFailed(
                "CAT010",
                f"cannot write `{self.path}` ({error.strerror})",
                hint="check free space, owner and permissions of the home; nothing was changed",
            ) from error

    def _ensure_home(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LookupFailed(
                "CAT010",
                f"the home `{self.path.parent}` cannot be created ({error.strerror})",
                hint="choose another folder with --home DIR or MOLTLER_HOME",
            ) from error

    def _envelope_to_write(self) -> tuple[_Envelope, bytes]:
        envelope = self._read()
        if envelope is not None:
            return envelope, self._key(envelope)
        identity, salt = os.urandom(16).hex(), os.urandom(16)
        source, key = self._new_key(identity, salt)
        check = _seal(key, b"moltler", _binding(identity, "", 0), 0, self._now(), None)
        return _Envelope(_FORMAT, identity, source, salt, _SCRYPT_COST, check, {}), key

    def _open(self, envelope: _Envelope, name: str, sealed: _Sealed, key: bytes) -> str:
        binding = _binding(envelope.id, name, sealed.version)
        try:
            return AESGCM(key).decrypt(sealed.nonce, sealed.value, binding).decode()
        except (InvalidTag, ValueError) as error:
            raise LookupFailed(
                "CAT010",
                f"the secret `{name}` in `{self.path}` is damaged",
                hint=f"set it anew with `moltler secrets set {name}`",
            ) from error

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # ── the master key ───────────────────────────────────────────────────────────────────────

    def _key(self, envelope: _Envelope) -> bytes:
        text = self._environ.get("MOLTLER_KEY") or ""
        identity = (envelope.id, envelope.salt, text)
        if self._master is None or self._master[0] != identity:
            if text:
                key = _key_of_text(text, envelope.salt, envelope.cost)
            else:
                key = self._stored_key(envelope)
            binding = _binding(envelope.id, "", 0)
            try:
                AESGCM(key).decrypt(envelope.check.nonce, envelope.check.value, binding)
            except (InvalidTag, ValueError) as error:
                raise self._wrong_key(envelope, text) from error
            self._master = (identity, key)
        return self._master[1]

    def _wrong_key(self, envelope: _Envelope, text: str) -> LookupFailed:
        if text and envelope.source != "environment":
            where = "the OS keyring" if envelope.source == "keyring" else f"`{self.key_path}`"
            hint = f"unset MOLTLER_KEY: these secrets were stored with the key in {where}"
        elif text:
            hint = "set MOLTLER_KEY to the text that these secrets were stored with"
        else:
            hint = "restore the key from a backup"
        return LookupFailed(
            "CAT010",
            f"the master key does not open `{self.path}`",
            hint=f"{hint}; or move the file away and set the secrets anew",
        )

    def _stored_key(self, envelope: _Envelope) -> bytes:
        match envelope.source:
            case "environment":
                raise LookupFailed(
                    "CAT010",
                    f"the secrets in `{self.path}` need the key in MOLTLER_KEY, which is not set",
                    hint="set MOLTLER_KEY, or move the file away and set the secrets anew",
                )
            case "file":
                key = read_key_file(self.key_path)
            case "keyring":
                key = _ask_keyring(self._environ, lambda ring: ring.get(envelope.id))
        if key is None:
            where = "OS keyring" if envelope.source == "keyring" else f"file `{self.key_path}`"
            raise LookupFailed(
                "CAT010",
                f"the master key of `{self.path}` is missing: it was in the {where}",
                hint="restore it, or move the file away and set the secrets anew",
            )
        return key

    def _new_key(self, identity: str, salt: bytes) -> tuple[_Source, bytes]:
        text = self._environ.get("MOLTLER_KEY")
        if text:
            return "environment", _key_of_text(text, salt, _SCRYPT_COST)
        kept = read_key_file(self.key_path)
        if kept is not None:
            return "file", kept
        key = os.urandom(KEY_BYTES)
        if _ask_keyring(self._environ, lambda ring: ring.put(identity, key)):
            return "keyring", key
        try:
            write_private(self.key_path, base64.b64encode(key) + b"\n")
        except OSError as error:
            raise LookupFailed(
                "CAT010",
                f"cannot write the key file `{self.key_path}` ({error.strerror})",
                hint="check owner and permissions of the home, or set MOLTLER_KEY",
            ) from error
        return "file", key


def check_secret_name(name: str) -> None:
    """Refuse a text that cannot name a secret.

    Raises:
        ParseError: SYN005.
    """
    if not SECRET_NAME.fullmatch(name) or len(name) > 200:
        raise ParseError(
            "SYN005",
            f"`{name[:80]}` cannot name a secret",
            hint="use letters, digits, `_`, `.` and `-`, starting with a letter or `_`",
        )


def _checked(name: str, value: str) -> bytes:
    check_secret_name(name)
    try:
        plain = value.encode()
    except UnicodeEncodeError as error:
        raise LookupFailed("CAT004", f"the value of the secret `{name}` is not text") from error
    if not plain:
        raise LookupFailed(
            "CAT004",
            f"the value of the secret `{name}` is empty",
            hint=f"remove it with `moltler secrets rm {name}` instead",
        )
    if len(plain) > LARGEST_VALUE:
        raise LookupFailed(
            "CAT004",
            f"the value of the secret `{name}` has {len(plain):,} bytes, more than the"
            f" {LARGEST_VALUE:,} that fit",
        )
    return plain


def _binding(identity: str, name: str, version: int) -> bytes:
    return b"moltler\0" + identity.encode() + b"\0" + name.encode() + b"\0%d" % version


def _seal(
    key: bytes, plain: bytes, binding: bytes, version: int, now: str, old: _Sealed | None
) -> _Sealed:
    nonce = os.urandom(_NONCE_BYTES)
    value = AESGCM(key).encrypt(nonce, plain, binding)
    return _Sealed(version, old.created if old else now, now, nonce, value)


def _key_of_text(text: str, salt: bytes, cost: int) -> bytes:
    key = decode_key(text)
    if key is not None:
        return key
    check_text(text)
    if not 2**10 <= cost <= 2**18:
        raise LookupFailed("CAT010", "the secret file is damaged", hint="restore it from a backup")
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=8, p=1).derive(text.encode())


def _unreadable(path: Path, why: str) -> LookupFailed:
    return LookupFailed(
        "CAT010",
        f"the secret file `{path}` {why}",
        hint="restore it from a backup, or move it away and set the secrets anew",
    )


def _too_new(path: Path, version: int) -> LookupFailed:
    return LookupFailed(
        "CAT010",
        f"`{path}` was written by a newer Moltler (format {version}, this one reads {_FORMAT})",
        hint="upgrade Moltler, or use another home",
    )


# ── the OS keyring ───────────────────────────────────────────────────────────────────────────


class _Ring:
    """The OS keyring, once its library is loaded and has a backend that keeps things safe."""

    def get(self, identity: str) -> bytes | None:
        """Give the key kept for a home, or ``None``."""
        import keyring  # noqa: PLC0415 - takes a tenth of a second, and most homes never ask it

        return decode_key(keyring.get_password(_SERVICE, identity) or "")

    def put(self, identity: str, key: bytes) -> bool:
        """Keep a key; tell whether it can be had back."""
        import keyring  # noqa: PLC0415 - as above

        keyring.set_password(_SERVICE, identity, base64.b64encode(key).decode())
        return self.get(identity) == key

    @property
    def is_usable(self) -> bool:
        """Whether there is a real keyring; the library's stand-ins have a priority below 1."""
        import keyring  # noqa: PLC0415 - as above

        return float(keyring.get_keyring().priority) >= 1


def _ask_keyring(environ: Mapping[str, str], ask: Callable[[_Ring], _Given]) -> _Given | None:
    # Without a session bus no Linux keyring can answer: spare the slow import.
    if sys.platform.startswith("linux") and not (
        environ.get("DBUS_SESSION_BUS_ADDRESS") or environ.get("PYTHON_KEYRING_BACKEND")
    ):
        return None
    # Backends that fail to load would otherwise be reported on stderr.
    logging.getLogger("keyring").addHandler(logging.NullHandler())
    answers: list[_Given] = []

    def run() -> None:
        ring = _Ring()
        try:
            if ring.is_usable:
                answers.append(ask(ring))
        except Exception:  # backends raise anything, and no answer is the answer
            logging.getLogger(__name__).debug("the OS keyring failed", exc_info=True)

    # A locked keyring may wait for a dialog that nobody sees; a daemon thread can be left behind.
    thread = threading.Thread(target=run, name="moltler-keyring", daemon=True)
    thread.start()
    thread.join(_KEYRING_WAIT_S)
    return answers[0] if answers else None
