import numpy as np

from forecaster.demand.repair import Findings, Repair, growth


def test_what_is_found_again_is_told_once_with_its_number_and_first_place() -> None:
    findings = Findings()
    findings.note(Repair.REPEATED, np.array([17, 20]))
    findings.note(Repair.REPEATED, np.array([90]))
    findings.note(Repair.RESET, np.array([], dtype=np.int64))

    assert findings.sentences == (
        "3 rows repeat the row before and were counted once (first in line 17)",
    )


def test_rows_without_lines_are_named_by_their_number() -> None:
    findings = Findings("row")
    findings.note(Repair.RESET, np.array([4]))

    assert findings.sentences == (
        "the counter fell once, which was read as a reset to zero (row 4)",
    )


def test_growth_counts_from_zero_after_a_reset_and_keeps_gaps() -> None:
    grown, resets = growth(np.array([5.0, 8.0, 2.0, np.nan, 9.0]))

    np.testing.assert_array_equal(grown, [3, 2, np.nan, np.nan])
    assert resets.tolist() == [False, True, False, False]
