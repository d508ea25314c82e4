"""Presets, and the two figures that move a scenario's edges."""

from hypothesis import assume, given, strategies as st
import pytest

from apis_core.model.errors import CommandRefusedError
from apis_core.model.scenario import Scenario
from apis_core.presets import PRESETS, community_scenario, preset_of
from apis_core.rules.edges import Edges, edges, moved
from tests.builders import scenario_json


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("battery_wh", [1200.0, 4800.0, 13_500.0])
def test_every_preset_is_a_whole_scenario_that_has_edges_and_is_known_again(name: str, battery_wh: float) -> None:
    scenario = community_scenario(battery_wh, name)
    assert Scenario.from_json(scenario.to_json(), battery_nominal_capacity_wh=battery_wh)[0] == scenario
    found = edges(scenario)
    assert found is not None
    assert found.request_wh / battery_wh == pytest.approx(PRESETS[name].ask, abs=0.001)
    assert found.offer_wh / battery_wh == pytest.approx(PRESETS[name].offer, abs=0.001)
    assert preset_of(scenario, battery_wh) == name
    assert preset_of(moved(scenario, Edges(found.request_wh - 1, found.offer_wh)), battery_wh) is None


@given(st.floats(1, 4700), st.floats(1, 4799))
def test_what_is_moved_has_its_edges_there_and_comes_back(request_wh: float, offer_wh: float) -> None:
    assume(round(request_wh) + 3 < round(offer_wh))
    before = community_scenario()
    after = moved(before, Edges(round(request_wh), round(offer_wh)))
    assert edges(after) == Edges(round(request_wh), round(offer_wh))
    assert Scenario.from_json(after.to_json(), battery_nominal_capacity_wh=4800)[0] == after
    (old,), (new,) = before.bands, after.bands
    assert [band.status for band in old.battery_bands] == [band.status for band in new.battery_bands]
    # What lies halfway between the two still does, and what is accepted up to there too.
    middle_wh = (round(request_wh) + round(offer_wh)) / 2
    assert {condition.limit_wh for terms in new.accepts.values() for condition in terms.values()} == {new.battery_bands[1].upper_wh}
    assert new.battery_bands[1].upper_wh == pytest.approx(middle_wh, abs=0.5)
    back = moved(after, Edges(1920, 3840))
    stretch = (3840 - 1920) / (round(offer_wh) - round(request_wh))
    assert back.bands[0].battery_bands[1].upper_wh == pytest.approx(2880, abs=max(1, stretch))
    again = moved(moved(back, Edges(round(request_wh), round(offer_wh))), Edges(1920, 3840))
    assert again == back


@pytest.mark.parametrize(("request_wh", "offer_wh"), [(3000, 3001), (3000, 2000), (2880, 2880), (4799, 4800)])
def test_edges_that_leave_a_band_no_room_are_refused(request_wh: float, offer_wh: float) -> None:
    with pytest.raises(CommandRefusedError, match="expected"):
        moved(community_scenario(), Edges(request_wh, offer_wh))


def test_a_scenario_that_cannot_be_said_in_two_figures_is_not() -> None:
    day = scenario_json()
    both = {"a": {"charge": {"limitWh": 1}, "discharge": {"limitWh": 1}}}
    content = {
        "acceptSelection": day["acceptSelection"],
        "00:00:00-24:00:00": {"batteryStatus": {"0-": "a"}, "request": both, "accept": {}},
    }
    odd = Scenario.from_json(content)[0]
    assert edges(odd) is None
    with pytest.raises(CommandRefusedError, match="cannot be said in two figures"):
        moved(odd, Edges(100, 200))
    # Two times of the day with different edges.
    morning, evening = community_scenario(), community_scenario(preset="storm")
    mixed = {key: value for key, value in morning.to_json().items() if "-" not in key}
    mixed["06:00:00-18:00:00"] = morning.to_json()["00:00:00-24:00:00"]
    mixed["18:00:00-06:00:00"] = evening.to_json()["00:00:00-24:00:00"]
    assert edges(Scenario.from_json(mixed)[0]) is None
