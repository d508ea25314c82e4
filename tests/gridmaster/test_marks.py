"""What the store says of units beside their deals."""

from datetime import UTC, datetime, timedelta

from apis_core.cluster.embedded import EmbeddedHub
from apis_core.gridmaster.marks import Marks
from apis_core.ports import Entry
from apis_core.unit.board import Board

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def a_board(**values: dict[str, object] | None) -> Board:
    board = Board(EmbeddedHub().store, lambda: "autonomous")
    for revision, (key, value) in enumerate(values.items(), 1):
        board.note(Entry(key.replace("_", "."), value, revision))
    return board


def test_a_unit_that_was_isolated_and_has_left_still_counts_as_off() -> None:
    marks = Marks.of(a_board(isolated_E009={"who": "me"}, isolated_E001={"who": "me"}), ("E001", "E002"))
    assert marks.isolated == {"E001", "E009"}


def test_who_lost_the_voltage_is_barred_for_a_time_and_who_cannot_hold_it_for_good() -> None:
    until = NOW + timedelta(minutes=5)
    board = a_board(ban_E001={"until": until.isoformat(), "count": 1}, unit_E002={"deadMan": "device", "cannotHold": True})
    marks = Marks.of(board, ("E001", "E002", "E003"))
    assert marks.barred(NOW) == {"E001", "E002"}
    assert marks.barred(until) == {"E002"}
    assert marks.dead_men == {"E001": "", "E002": "device", "E003": ""}


def test_each_change_of_what_is_said_of_units_is_noticed_and_no_other_one() -> None:
    board = a_board(isolated_E001={"who": "me"})
    version = board.marks_version
    board.note(Entry("mode", {"mode": "stop"}, 2))
    assert board.marks_version == version
    # A converter that answers again is read again.
    board.note(Entry("isolated.E001", None, 3))
    assert board.marks_version > version
    assert Marks.of(board, ("E001",)).isolated == frozenset()
