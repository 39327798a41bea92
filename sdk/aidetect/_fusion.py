"""How the model's answer and what the file says of itself become one verdict.

The rules, first that applies. *Signed* is what valid Content Credentials of a trusted signer state;
a *claim* is any other finding that says `ai`, credentials of an unknown signer among them:

| the file | the model says | verdict | decided by |
|---|---|---|---|
| signed: AI made it | anything | `ai` | credentials |
| signed: a camera made it | `ai` | `uncertain` because of `conflict` | credentials |
| signed: a camera made it; claims AI | not `ai` | `uncertain` because of `conflict` | credentials |
| claims AI | `ai` | `ai` | model |
| claims AI | `uncertain`, whatever for | `ai` | metadata |
| claims AI | `real` | `uncertain` because of `conflict` | metadata |
| anything else | anything | what the model says | model |

A firm model is not overruled by what anybody can write into a file: thirteen spoofed bytes would be
enough. Where the model has no firm answer, which includes images too small or too flat for it,
nothing contradicts the claim, and the verdict says that it rests on the claim, and that this is
unsigned. A signature of a trusted signer is another matter: makers of generators do not say falsely
that they made an image, so it decides. A camera's signature proves that the file came out of the
camera so, and not what stood before the lens: a photograph of a screen is signed too, and a camera
has been made to sign foreign pixels. So it can contradict, but nothing in a file ever decides `real`.

Cameras that are only named, edits, invalid and unchecked credentials change no label: they are told,
and so is every conflict. That nothing is found means nothing. `probability` stays that of the pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ._provenance import Finding
from ._text import printable
from ._verdict import DecidedBy, Label, Reason, UncertainBecause

_NAMED = 3
_NAME_LIMIT = 40
"""Characters of a name in a sentence: a long one would push what is said of it out of sight."""


@dataclass(frozen=True, slots=True)
class Fused:
    """The label after the rules, and the reasons that the claims add, the weightiest first."""

    label: Label
    because: UncertainBecause | None
    decided_by: DecidedBy
    reasons: tuple[Reason, ...]


def fuse(label: Label, because: UncertainBecause | None, findings: Sequence[Finding]) -> Fused:
    """`label` and `because` are the model's own."""
    signed = {f.says: f for f in findings if f.signal.signed}
    claims = [f for f in findings if f.says == "ai" and not f.signal.signed]
    if "ai" in signed:
        fused = _signed_ai(label, signed["ai"])
    elif "real" in signed and (label == "ai" or claims):
        fused = _signed_camera_against(label, signed["real"], claims)
    elif claims:
        fused = _claimed(label, claims)
    else:
        fused = Fused(label, because, "model", ())
    told = _told("ai" if fused.label == "ai" else label, fused, findings)
    return Fused(fused.label, fused.because, fused.decided_by, (*fused.reasons, *told))


def _signed_ai(label: Label, finding: Finding) -> Fused:
    params = {**_signature(finding), "generator": finding.generator, "model": label}
    said = f"{_signer(finding)} states with a valid signature that {_made(finding)}"
    if label == "real":
        text = f"{said}; the model firmly says the opposite, but the signature decides."
        return Fused("ai", None, "credentials", (Reason("signed_conflict", text, params),))
    code, rest = ("signed_agrees", "; the model agrees") if label == "ai" else ("signed_decides", "")
    return Fused("ai", None, "credentials", (Reason(code, f"{said}{rest}.", params),))


def _signed_camera_against(label: Label, finding: Finding, claims: Sequence[Finding]) -> Fused:
    against = [word for word, is_so in (("model", label == "ai"), ("claim", bool(claims))) if is_so]
    others = " and ".join(
        {"model": "the model", "claim": "another claim in the file"}[a] for a in against
    )
    text = (
        f"{_signer(finding)} states with a valid signature that a camera made the image, but {others}"
        f" {'say' if len(against) > 1 else 'says'} AI: one of them is wrong."
    )
    params = {**_signature(finding), "against": against}
    return Fused("uncertain", "conflict", "credentials", (Reason("camera_conflict", text, params),))


def _claimed(label: Label, claims: Sequence[Finding]) -> Fused:
    params = {
        "signals": [finding.signal.key for finding in claims],
        "generators": list(dict.fromkeys(f.generator for f in claims if f.generator)),
    }
    unknown = all(f.signal.kind == "credentials" for f in claims)
    how = "signed by somebody who is not trusted" if unknown else "unsigned"
    said = f"The file says that it was made by {_names(claims)}; that is {how}"
    if label == "real":
        text = f"{said}, and the model firmly says the opposite: one of the two is wrong."
        return Fused("uncertain", "conflict", "metadata", (Reason("conflict", text, params),))
    if label == "ai":
        text = f"{said}, and agrees with the model."
        return Fused("ai", None, "model", (Reason("claim_agrees", text, params),))
    text = f"{said} and could be forged, but the model does not firmly disagree."
    return Fused("ai", None, "metadata", (Reason("claim_decides", text, params),))


def _told(label: Label, fused: Fused, findings: Sequence[Finding]) -> list[Reason]:
    """What changes no label but has to be known, above all where it speaks against the answer."""
    reasons = [reason for finding in findings if (reason := _remark(label, fused, finding)) is not None]
    codes = [reason.code for reason in reasons]
    return [reason for at, reason in enumerate(reasons) if reason.code not in codes[:at]]


def _remark(label: Label, fused: Fused, finding: Finding) -> Reason | None:
    key, details, says = finding.signal.key, finding.details, finding.says
    if finding.signal.kind == "credentials":
        return _credentials_remark(fused, finding)
    if says == "edited":
        by = f" ({_short(finding.generator)})" if finding.generator else ""
        text = f"The file says that AI made a part of it{by}; that is unsigned and decides nothing."
        return Reason("claim_edited", text, {"signal": key, "generator": finding.generator})
    if key == "iptc_not_ai":
        against = f", against {_answer(fused)}" if label == "ai" else ""
        text = f"The file says that no AI made it{against}; that is unsigned and decides nothing."
        return Reason("claim_not_ai", text, {"signal": key, "against": label == "ai"})
    if key == "camera":
        name = f"{_short(details['make'])} {_short(details['model'])}"
        text = f"The file names a camera ({name}); that is easily forged and decides nothing."
        return Reason("camera_named", text, {"make": details["make"], "model": details["model"]})
    return None


def _credentials_remark(fused: Fused, finding: Finding) -> Reason | None:
    says, state = finding.says, finding.details.get("state", "not checked")
    params = {**_signature(finding), "state": state, "signal": finding.signal.key}
    if "failures" in finding.details:
        params["failures"] = finding.details["failures"]
    if finding.signal.signed:
        if says == "edited":
            text = f"{_signer(finding)} states with a valid signature that AI made a part of the image."
            return Reason("signed_edited", text, params)
        if says == "real" and fused.decided_by != "credentials":
            text = f"{_signer(finding)} states with a valid signature that a camera made the image."
            return Reason("signed_camera", text, params)
        if says == "unclear":
            text = f"Signed by {_signer(finding)}, validly, without a statement on AI."
            return Reason("signed_silent", text, params)
        return None
    if state == "untrusted signer":
        part = "; they say that AI made a part of it" if says == "edited" else ""
        text = (
            f"The Content Credentials are whole, but their signer ({_signer(finding)}) is not a trusted"
            f" one{part}: anybody can make such."
        )
        return Reason("credentials_untrusted", text, params)
    if state == "invalid":
        text = (
            "The Content Credentials are not valid: the image or they were changed after signing, or"
            " they belong to another file. They decide nothing."
        )
        return Reason("credentials_invalid", text, params)
    if state == "remote, not read":
        text = "The file names an address for its Content Credentials, which is not asked."
        return Reason("credentials_remote", text, params)
    why = finding.details.get("why")
    because = f" ({printable(why)})" if why else ""
    text = f"Content Credentials are there but were not checked{because}; cameras and AI both have them."
    return Reason("credentials_not_checked", text, params)


def _signature(finding: Finding) -> dict[str, str | None]:
    return {"signer": finding.details.get("signer"), "signed_at": finding.details.get("signed_at")}


def _signer(finding: Finding) -> str:
    return _short(finding.details.get("signer", "a signer without a name"))


def _made(finding: Finding) -> str:
    return (
        f"AI ({_short(finding.generator)}) made the image" if finding.generator else "AI made the image"
    )


def _answer(fused: Fused) -> str:
    return "the signed statement" if fused.decided_by == "credentials" else "what the model sees"


def _names(claims: Sequence[Finding]) -> str:
    """Generators for people; `AI` where the file names none."""
    names = list(dict.fromkeys(_short(f.generator) for f in claims if f.generator))
    if not names:
        return "AI"
    more = " and others" if len(names) > _NAMED else ""
    return f"AI ({', '.join(names[:_NAMED])}{more})"


def _short(name: str) -> str:
    return printable(name, _NAME_LIMIT)
