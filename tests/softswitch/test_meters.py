"""The two-rate three-colour meter against a model that counts tokens in fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from testbed.softswitch.meters import GREEN, RED, YELLOW, Meter, MeterArray, MeterConfig

RATES = st.integers(0, 50)


@given(RATES, RATES, RATES, RATES, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=30))
def test_colours(cir: int, more: int, cburst: int, pburst: int, packets: list[tuple[int, int]]) -> None:
    pir = cir + more
    meter = Meter()
    meter.configure(MeterConfig(cir, cburst, pir, pburst), 0.0)
    peak, committed, now = Fraction(pburst), Fraction(cburst), 0
    for quarter_seconds, units in packets:
        now += quarter_seconds
        peak = min(peak + Fraction(pir * quarter_seconds, 4), Fraction(pburst))
        committed = min(committed + Fraction(cir * quarter_seconds, 4), Fraction(cburst))
        if peak < units:
            colour = RED
        elif committed < units:
            colour, peak = YELLOW, peak - units
        else:
            colour, peak, committed = GREEN, peak - units, committed - units
        assert meter.execute(units, now / 4) == colour


def test_without_configuration_everything_is_green() -> None:
    meter = Meter()
    assert meter.execute(1 << 40, 0.0) == GREEN
    meter.configure(MeterConfig(0, 0, 0, 0), 0.0)
    assert meter.execute(1, 100.0) == RED
    meter.configure(None, 0.0)
    assert meter.execute(1 << 40, 0.0) == GREEN


def test_cells_are_independent() -> None:
    array = MeterArray(4)
    array.configure(1, MeterConfig(0, 0, 0, 0), 0.0)
    assert [array.execute(index, 1, 1.0) for index in range(4)] == [GREEN, RED, GREEN, GREEN]
    array.configure(1, None, 0.0)
    assert array.config(1) is None
    assert array.execute(1, 1, 1.0) == GREEN
