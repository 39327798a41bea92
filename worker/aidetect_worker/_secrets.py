"""Keys for one purpose each, derived from the operator's one secret."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aidetect import ConfigurationError


def derive(secret: str, purpose: str) -> bytes:
    """32 bytes by HKDF-SHA256 (RFC 5869) that tell nothing of `secret` or of other purposes' keys.

    Raises ConfigurationError where there is no secret.
    """
    if not secret:
        raise ConfigurationError(
            "AIDETECT_SECRET is not set: give server and workers the same random text, such as "
            "`openssl rand -hex 32` prints"
        )
    return HKDF(SHA256(), 32, salt=None, info=f"aidetect {purpose}".encode()).derive(secret.encode())
