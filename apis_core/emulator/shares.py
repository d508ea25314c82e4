"""The four shares by which the original's studies judged a community, from sums over any time."""


def shares(*, load_wh: float, solar_wh: float, curtailed_wh: float, mains_wh: float, stored_wh: float) -> dict[str, float]:
    """Under the original's names and in its exact forms (hardware reference 1.10); a share of nothing is 0.

    `solar_wh`: what of the sun was used or stored; `stored_wh`: by how much the batteries hold more than at the begin.
    `ssr_real`: the part of the load that did not come from the mains; `ssr_pv`: PV against the load; `sor`: the part of PV that
    was used; `r_utility`: the part of the load that came from the mains.
    """
    return {
        "ssr_real": _ratio(load_wh - mains_wh + stored_wh, load_wh),
        "ssr_pv": _ratio(solar_wh + stored_wh, load_wh),
        "sor": _ratio(solar_wh, solar_wh + curtailed_wh),
        "r_utility": _ratio(mains_wh - stored_wh, load_wh),
    }


def _ratio(some: float, whole: float) -> float:
    return round(some / whole, 4) if whole else 0.0
