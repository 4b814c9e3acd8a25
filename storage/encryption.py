"""Secrets at rest: sealed with `BOBBIN_SECRET_KEY`, the only home of cryptography.

It is some seven megabytes: loaded only where there is something to seal.
"""

from __future__ import annotations

import base64

from bot.errors import StorageError


class WrongKey(StorageError):
    """None of the keys opens a secret."""


class TokenCipher:
    """Seals with the first key and opens with any: so a key is changed by writing the new one in front.

    `secret`: one or more long random texts, separated by commas or white space.
    """

    def __init__(self, secret: str) -> None:
        texts = secret.replace(",", " ").split()
        if not texts:
            raise ValueError("a seal needs at least one key")
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet

        keys = [Fernet(_key(text)) for text in texts]
        self._newest, self._keys = keys[0], MultiFernet(keys)
        self._unreadable = (InvalidToken, UnicodeError)

    def encrypt(self, text: str) -> str:
        return self._keys.encrypt(text.encode()).decode("ascii")

    def decrypt(self, sealed: str, *, max_age: int | None = None) -> str:
        """Raises WrongKey when no key fits, or after `max_age` seconds."""
        try:
            return self._keys.decrypt(sealed.encode(), ttl=max_age).decode()
        except self._unreadable as error:
            raise WrongKey(
                "a sealed secret cannot be opened: BOBBIN_SECRET_KEY must still hold the key that sealed it"
            ) from error

    def rotate(self, sealed: str) -> str:
        """The same secret under the first key; left as it is when it is so already. Raises WrongKey."""
        try:
            self._newest.decrypt(sealed.encode())
        except self._unreadable:
            return self.encrypt(self.decrypt(sealed))
        return sealed


def _key(text: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"bobbin installations").derive(
        text.encode()
    )
    return base64.urlsafe_b64encode(derived)
