"""Encrypts secrets at rest with `BOBBIN_SECRET_KEY`; the only module that imports cryptography.

cryptography takes about seven megabytes of memory, so it is imported only when there is something to encrypt.
"""

from __future__ import annotations

import base64

from bot.errors import StorageError


class WrongKey(StorageError):
    """None of the keys can decrypt a secret."""


class TokenCipher:
    """Encrypts with the first key and decrypts with any, so a key is rotated by adding the new one in front.

    `secret`: one or more long random texts, separated by commas or white space.
    """

    def __init__(self, secret: str) -> None:
        texts = secret.replace(",", " ").split()
        if not texts:
            raise ValueError("a cipher needs at least one key")
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet

        keys = [Fernet(_key(text)) for text in texts]
        self._newest = keys[0]
        self._keys = MultiFernet(keys)
        self._unreadable = (InvalidToken, UnicodeError)

    def encrypt(self, text: str) -> str:
        return self._keys.encrypt(text.encode()).decode("ascii")

    def decrypt(self, encrypted: str, *, max_age: int | None = None) -> str:
        """Raises WrongKey if no key fits, or if the secret was encrypted more than `max_age` seconds ago."""
        try:
            return self._keys.decrypt(encrypted.encode(), ttl=max_age).decode()
        except self._unreadable as error:
            raise WrongKey(
                "a secret cannot be decrypted: BOBBIN_SECRET_KEY must still contain the key that encrypted it"
            ) from error

    def rotate(self, encrypted: str) -> str:
        """The same secret encrypted with the first key; unchanged if it is already. Raises WrongKey."""
        try:
            self._newest.decrypt(encrypted.encode())
        except self._unreadable:
            return self.encrypt(self.decrypt(encrypted))
        return encrypted


def _key(text: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"bobbin installations").derive(
        text.encode()
    )
    return base64.urlsafe_b64encode(derived)
