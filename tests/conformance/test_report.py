"""The suite is complete, or says where it is not; the page in docs says the same."""

from collections import Counter

from conformance import BY_ID, GROUPS, MISSING, PLANNED, REPORT, ROWS, outcomes, render, shown_by


def test_the_checklist_has_207_rows_in_known_groups() -> None:
    assert len(ROWS) == 207
    assert max(Counter(row.id for row in ROWS).values()) == 1
    assert {row.id.partition("-")[0] for row in ROWS} == set(GROUPS)


def test_every_mark_names_a_row() -> None:
    assert not shown_by().keys() - BY_ID.keys()


def test_every_row_has_a_test_or_is_named_as_missing() -> None:
    untested = {row_id for row_id, result in outcomes().items() if result == "missing"}
    assert untested == set(MISSING)


def test_no_row_of_a_planned_group_has_a_test() -> None:
    assert not [row_id for row_id in shown_by() if row_id.partition("-")[0] in PLANNED]


def test_the_page_is_what_the_suite_says() -> None:
    assert REPORT.read_text(encoding="utf-8") == render(outcomes()), (
        "run PYTHONPATH=tests/support python -m conformance"
    )
