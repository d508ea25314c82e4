"""A code that a person reads off one machine and types into another: six digits, five minutes, three tries."""

from dataclasses import dataclass, replace
import hmac

DIGITS, LIFETIME_S, TRIES = 6, 300.0, 3


@dataclass(frozen=True, slots=True)
class Offer:
    """A code that may be used until `until_s` [s], with so many tries left."""

    code: str
    until_s: float
    tries_left: int = TRIES


def offered(number: int, now_s: float) -> Offer:
    """A fresh offer from a random number."""
    return Offer(f"{number % 10**DIGITS:0{DIGITS}}", now_s + LIFETIME_S)


def tried(offer: Offer | None, code: str, now_s: float) -> tuple[Offer | None, str]:
    """What is left of an offer after a try, and why the try failed; empty if it was right, and nothing is left then."""
    if offer is None or now_s >= offer.until_s:
        return None, "there is no code now, or it is too old: ask for another one with `apis pair`"
    if hmac.compare_digest(code.strip().encode(), offer.code.encode()):
        return None, ""
    left = offer.tries_left - 1
    if left <= 0:
        return None, "this is not the code, and it was the last try: ask for another one with `apis pair`"
    return replace(offer, tries_left=left), f"this is not the code; tries left: {left}"
