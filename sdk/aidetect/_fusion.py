"""How the model's answer and the file's unsigned claims become one verdict.

The rules, first that applies; a claim is any finding that says `ai`:

| the model says | the file claims AI | verdict | decided by |
|---|---|---|---|
| anything | no | what the model says | model |
| `ai` | yes | `ai` | model |
| `uncertain`, whatever for | yes | `ai` | metadata |
| `real` | yes | `uncertain` because of `conflict` | metadata |

`decided_by` names what the label would be another without. A firm model is not overruled by what
anybody can write into a file: thirteen spoofed bytes would be enough. Where the model has no firm
answer, which includes images too small or too flat for it, nothing contradicts the claim, and the
verdict says that it rests on the claim, and that this is unsigned. Claims of a camera, of an edit
and the presence of Content Credentials change no label: they are told. Nothing unsigned ever
decides `real`, and no claim means nothing. `probability` stays that of the pixels.
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
    claims = [finding for finding in findings if finding.says == "ai"]
    told = tuple(_claims_told(label, findings))
    if not claims:
        return Fused(label, because, "model", told)
    params = {
        "signals": [finding.signal.key for finding in claims],
        "generators": list(dict.fromkeys(f.generator for f in claims if f.generator)),
    }
    said = f"The file says that it was made by {_names(claims)}; that is unsigned"
    if label == "real":
        text = f"{said}, and the model firmly says the opposite: one of the two is wrong."
        return Fused("uncertain", "conflict", "metadata", (Reason("conflict", text, params), *told))
    if label == "ai":
        text = f"{said}, and agrees with the model."
        return Fused(label, because, "model", (Reason("claim_agrees", text, params), *told))
    text = f"{said} and could be forged, but the model does not firmly disagree."
    return Fused("ai", None, "metadata", (Reason("claim_decides", text, params), *told))


def _claims_told(label: Label, findings: Sequence[Finding]) -> list[Reason]:
    """What changes no label but has to be known, above all where it speaks against the model."""
    reasons = []
    for finding in findings:
        key, details = finding.signal.key, finding.details
        if finding.says == "edited":
            by = f" ({_short(finding.generator)})" if finding.generator else ""
            text = f"The file says that AI made a part of it{by}; that is unsigned and decides nothing."
            reasons.append(Reason("claim_edited", text, {"signal": key, "generator": finding.generator}))
        elif key == "iptc_not_ai":
            against = ", against what the model sees" if label == "ai" else ""
            text = f"The file says that no AI made it{against}; that is unsigned and decides nothing."
            reasons.append(Reason("claim_not_ai", text, {"signal": key, "against": label == "ai"}))
        elif key == "camera":
            name = f"{_short(details['make'])} {_short(details['model'])}"
            text = f"The file names a camera ({name}); that is easily forged and decides nothing."
            params = {"make": details["make"], "model": details["model"]}
            reasons.append(Reason("camera_named", text, params))
        elif finding.signal.kind == "credentials":
            text = "Content Credentials are there but were not checked; cameras and AI both have them."
            reasons.append(Reason("credentials_not_checked", text, {"state": details["state"]}))
    codes = [reason.code for reason in reasons]
    return [reason for at, reason in enumerate(reasons) if reason.code not in codes[:at]]


def _names(claims: Sequence[Finding]) -> str:
    """Generators for people; `AI` where the file names none."""
    names = list(dict.fromkeys(_short(f.generator) for f in claims if f.generator))
    if not names:
        return "AI"
    more = " and others" if len(names) > _NAMED else ""
    return f"AI ({', '.join(names[:_NAMED])}{more})"


def _short(name: str) -> str:
    return printable(name, _NAME_LIMIT)
