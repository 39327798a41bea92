"""Images with Content Credentials, signed here by a certificate authority of the tests' own."""

import datetime
import functools
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from PIL import Image

from .image_files import save, smooth

TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "HEIF": "image/heic",
}
FORMS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF")
"""Those that Pillow writes by itself."""
TRUSTED = "Test CA"
_QUIET = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False}
_NOW = datetime.datetime.now(datetime.UTC)


class Party(NamedTuple):
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _name(common: str) -> x509.Name:
    attributes = [(NameOID.COMMON_NAME, common), (NameOID.ORGANIZATION_NAME, f"{common} Ltd")]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _usage(**used: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def _builder(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, ends: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - datetime.timedelta(days=1))
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


@functools.cache
def authority(name: str) -> Party:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, _name(name), _NOW + datetime.timedelta(days=1000))
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
    return Party(key, builder.sign(key, hashes.SHA256()))


@functools.cache
def signer(name: str = "Maker", *, by: str = TRUSTED, seconds: float = 1e7, ocsp: str = "") -> Party:
    """A leaf for signing, valid for so many seconds from now; `ocsp`: the address where its revocation
    could be asked."""
    issuer, key = authority(by), ec.generate_private_key(ec.SECP256R1())
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    builder = _builder(name, key, issuer.certificate.subject, ends)
    builder = builder.add_extension(x509.BasicConstraints(False, None), True)
    builder = builder.add_extension(_usage(digital_signature=True), True)
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    builder = builder.add_extension(uses, False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(identifier, False)
    if ocsp:
        place = x509.UniformResourceIdentifier(ocsp)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
    return Party(key, builder.sign(issuer.key, hashes.SHA256()))


def picture(form: str = "JPEG") -> bytes:
    image = Image.fromarray(smooth())
    return save(image.quantize(64) if form == "GIF" else image, form)


def action(name: str, term: str | None = None, agent: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"action": f"c2pa.{name}"}
    if name in ("opened", "placed"):  # these name what they are done to: here, the first ingredient
        made["parameters"] = {"ingredientIds": ["i0"]}
    if term:
        made["digitalSourceType"] = TERMS + term
    if agent:
        made["softwareAgent"] = {"name": agent}
    return made


MADE_BY_AI = action("created", "trainedAlgorithmicMedia", "Dream Machine")
CAPTURED = action("created", "digitalCapture")


def signed(
    *actions: dict[str, Any],
    form: str = "JPEG",
    data: bytes | None = None,
    party: Party | None = None,
    ingredients: Sequence[tuple[str, bytes]] = (),
    remote: str | None = None,
    embed: bool = True,
    generator: str = "Test Kit",
) -> bytes:
    """An image signed by `party`; `ingredients`: relationship (`parentOf`, …) and a JPEG each."""
    party = party or signer()
    chain = party.pem + authority(_issuer_of(party)).pem
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=party.key_pem, ta_url=None)
    manifest = {
        "claim_generator_info": [{"name": generator, "version": "1"}],
        "title": "a picture",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}] if actions else [],
    }
    settings = {"verify": _QUIET, "builder": {"thumbnail": {"enabled": False}}}
    context, out = c2pa.Context.from_dict(settings), io.BytesIO()
    with c2pa.Signer.from_info(info) as sign, c2pa.Builder(json.dumps(manifest), context) as builder:
        for at, (relationship, image) in enumerate(ingredients):
            told = {"title": "an ingredient", "relationship": relationship, "label": f"i{at}"}
            builder.add_ingredient(json.dumps(told), "image/jpeg", io.BytesIO(image))
        if remote:
            builder.set_remote_url(remote)
        if not embed:
            builder.set_no_embed()
        builder.sign(sign, MIME[form], io.BytesIO(data or picture(form)), out)
    return out.getvalue()


def _issuer_of(party: Party) -> str:
    return str(party.certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
