"""Uploaded bytes on their way to a worker: encrypted, bounded in sum, gone after the verdict.

Their sum is kept beside a sorted set of what it counts, and both change only together, in one script:
a process that dies leaves it right, and what has expired is taken off at the next store.
"""

import os
import secrets
import time
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.client import Pipeline

from . import _names
from ._errors import UploadGoneError, UploadsFullError
from ._redis import Client
from ._secrets import derive

_NONCE = 12

LUA_DROP = """
local function drop_upload(key)
    redis.call('DEL', 'aidetect:upload:' .. key)
    if redis.call('ZREM', 'aidetect:uploads', key) == 1 then
        redis.call('DECRBY', 'aidetect:uploads:bytes', tonumber(string.match(key, '%d+$')))
    end
end
"""
"""A function for scripts; a key ends with the number of bytes that it stands for."""

_DROP = LUA_DROP + "drop_upload(ARGV[1])"

_ADMIT = (
    LUA_DROP
    + """
for _, key in ipairs(redis.call('ZRANGEBYSCORE', 'aidetect:uploads', '-inf', ARGV[2])) do
    drop_upload(key)
end
if redis.call('ZCARD', 'aidetect:uploads') == 0 then
    redis.call('DEL', 'aidetect:uploads:bytes')
end
if redis.call('ZADD', 'aidetect:uploads', ARGV[3], ARGV[1]) == 1 then
    redis.call('INCRBY', 'aidetect:uploads:bytes', string.match(ARGV[1], '%d+$'))
end
if tonumber(redis.call('GET', 'aidetect:uploads:bytes') or 0) > tonumber(ARGV[4]) then
    drop_upload(ARGV[1])
    return 0
end
return 1
"""
)
"""Counts the upload ARGV[1] that lives until ARGV[3], now being ARGV[2]; drops it again where all that
wait are more than ARGV[4] bytes together."""


class Uploads:
    """The waiting uploads of one Redis. `secret` is AIDETECT_SECRET, needed to store and to read."""

    def __init__(self, redis: Client, secret: str, max_bytes: int, ttl: int) -> None:
        self._redis, self._secret, self._max_bytes, self._ttl = redis, secret, max_bytes, ttl
        self._cipher: AESGCM | None = None

    def store(self, data: bytes, sha256: str) -> str:
        """The key under which the bytes wait now. One round trip. Raises UploadsFullError."""
        key = f"{secrets.token_hex(16)}-{len(data)}"
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._aes().encrypt(nonce, data, _bound_to(key, sha256))
        now = time.time()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_names.upload(key), sealed, ex=self._ttl)
            pipe.eval(_ADMIT, 0, key, now, now + self._ttl, self._max_bytes)
            admitted = pipe.execute()[1]
        if not admitted:
            raise UploadsFullError(
                "too many uploads are waiting to be checked: try again in some seconds"
            )
        return key

    def fetch(self, key: str, sha256: str) -> bytes:
        """The bytes. Raises UploadGoneError where they expired or are not those that were stored."""
        return self.open(self.sealed([key])[0], key, sha256)

    def sealed(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of many as they wait, for `open`; None for what expired. One round trip."""
        kept = self._redis.mget([_names.upload(key) for key in keys])
        return [value if isinstance(value, bytes) else None for value in kept]

    def open(self, sealed: bytes | None, key: str, sha256: str) -> bytes:
        """Decrypts; raises as `fetch` does."""
        if sealed is None:
            raise UploadGoneError("the uploaded image waited too long and was deleted: send it again")
        try:
            return self._aes().decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(key, sha256))
        except (InvalidTag, ValueError):
            raise UploadGoneError(
                "the uploaded image cannot be decrypted. Send it again; whoever runs the service: give "
                "server and workers the same AIDETECT_SECRET"
            ) from None

    def drop(self, key: str, pipe: "Pipeline | Client | None" = None) -> None:
        """Deletes the bytes, as a command in `pipe` where one is given; twice does no harm."""
        (self._redis if pipe is None else pipe).eval(_DROP, 0, key)

    def waiting(self) -> int:
        """Bytes that wait, with those that expired since the last store."""
        return int(self._redis.get(_names.UPLOAD_BYTES) or 0)

    def _aes(self) -> AESGCM:
        if self._cipher is None:
            self._cipher = AESGCM(derive(self._secret, "uploads"))
        return self._cipher


def _bound_to(key: str, sha256: str) -> bytes:
    """Associated data: bytes decrypt only under the key and the hash that they were stored with."""
    return f"{key} {sha256}".encode()
