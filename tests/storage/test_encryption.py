"""Secrets at rest: encryption, decryption and key rotation."""

from __future__ import annotations

import time

import pytest
from cryptography.fernet import Fernet

from bot.errors import StorageError
from storage.encryption import TokenCipher, WrongKey, _key

TOKEN = "xoxb-1-2-secret"


def test_encrypted_text_decrypts_and_reveals_nothing() -> None:
    cipher = TokenCipher("a long random text")
    sealed = cipher.encrypt(TOKEN)
    assert cipher.decrypt(sealed) == TOKEN
    assert "xoxb" not in sealed
    assert cipher.encrypt(TOKEN) != sealed


def test_any_replica_with_the_same_key_decrypts() -> None:
    assert TokenCipher("key").decrypt(TokenCipher("key").encrypt(TOKEN)) == TOKEN


@pytest.mark.parametrize("both", ["new old", "new,old", " new , old ", "new\nold"])
def test_with_a_new_key_in_front_both_decrypt_and_the_new_one_encrypts(both: str) -> None:
    rotated = TokenCipher(both)
    assert rotated.decrypt(TokenCipher("old").encrypt(TOKEN)) == TOKEN
    assert rotated.decrypt(TokenCipher("new").encrypt(TOKEN)) == TOKEN
    assert TokenCipher("new").decrypt(rotated.encrypt(TOKEN)) == TOKEN


def test_rotate_encrypts_with_the_newest_key_unless_it_is_so_already() -> None:
    rotated = TokenCipher("new old")
    renewed = rotated.rotate(TokenCipher("old").encrypt(TOKEN))
    assert TokenCipher("new").decrypt(renewed) == TOKEN
    assert rotated.rotate(renewed) == renewed
    with pytest.raises(WrongKey):
        rotated.rotate(TokenCipher("lost").encrypt(TOKEN))


@pytest.mark.parametrize("broken", ["", "xoxb-plain", "gAAAAA", "\u00fc", "gAAAAABn" + "A" * 100])
def test_text_that_was_not_encrypted_is_refused(broken: str) -> None:
    with pytest.raises(WrongKey, match="BOBBIN_SECRET_KEY"):
        TokenCipher("key").decrypt(broken)


def test_another_key_and_a_changed_letter_are_refused() -> None:
    sealed = TokenCipher("key").encrypt(TOKEN)
    with pytest.raises(StorageError):
        TokenCipher("other").decrypt(sealed)
    changed = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
    with pytest.raises(WrongKey):
        TokenCipher("key").decrypt(changed)


def test_the_age_of_a_secret_counts_only_with_max_age() -> None:
    old = Fernet(_key("key")).encrypt_at_time(TOKEN.encode(), int(time.time()) - 601).decode()
    cipher = TokenCipher("key")
    assert cipher.decrypt(old) == TOKEN
    with pytest.raises(WrongKey):
        cipher.decrypt(old, max_age=600)
    assert cipher.decrypt(cipher.encrypt(TOKEN), max_age=600) == TOKEN


def test_a_cipher_without_a_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        TokenCipher(" , ")
