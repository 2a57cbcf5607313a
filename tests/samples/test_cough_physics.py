"""The synthesis holds what its sources say."""

import numpy as np
import pytest

from samples.cough import Person, airflow
from samples.glottis import glottal_flow
from samples.rooms import direct_to_reverberant_db, in_room
from samples.tract import BLOCK, RATE_HZ, blocks, resonate, same_everywhere


@pytest.mark.parametrize("person", [Person.man(1.78, 78), Person.woman(1.66)])
def test_airflow_peaks_on_time_and_expires_the_volume(person: Person) -> None:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    flow = airflow(time_s, person.peak_flow_l_s, person.volume_l, person.peak_time_s)
    assert flow.max() == pytest.approx(1.0, abs=0.02)  # coefficients are published with four digits
    assert time_s[flow.argmax()] == pytest.approx(person.peak_time_s, rel=0.02)
    assert person.peak_flow_l_s * flow.sum() / RATE_HZ == pytest.approx(person.volume_l, rel=1e-3)
    # The ranges of Gupta, Lin and Chen 2009
    assert 1.6 <= person.peak_flow_l_s <= 8.5
    assert 0.057 <= person.peak_time_s <= 0.110
    assert 0.25 <= person.volume_l <= 1.6


def test_a_resonance_peaks_at_its_frequency_and_passes_0_hz() -> None:
    impulse = np.zeros(RATE_HZ)
    impulse[0] = 1.0
    gain = np.abs(np.fft.rfft(resonate(impulse, 1500.0, 100.0)))  # 1 Hz a bin
    assert gain.argmax() == pytest.approx(1500, abs=5)
    assert gain[0] == pytest.approx(1.0, abs=1e-9)


def test_a_moving_resonance_equals_the_difference_equation() -> None:
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal(10 * BLOCK + 7)
    frequency_hz = np.linspace(300.0, 2000.0, blocks(noise.size))
    radius = float(same_everywhere(np.exp(-np.pi * 100.0 / RATE_HZ)))
    cosine = same_everywhere(np.cos(2 * np.pi * frequency_hz / RATE_HZ))
    y = np.zeros(noise.size + 2)
    for n, x in enumerate(noise):
        a1, a2 = -2 * radius * cosine[n // BLOCK], radius**2
        y[n + 2] = (1 + a1 + a2) * x - a1 * y[n + 1] - a2 * y[n]
    np.testing.assert_allclose(resonate(noise, frequency_hz, 100.0), y[2:], atol=1e-10)  # rounding only


def test_glottal_pulses_have_the_pitch_asked_for() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    flow = glottal_flow(np.full(RATE_HZ, 120.0), rng, jitter=0.0, shimmer=0.0)
    spectrum = np.abs(np.fft.rfft(flow - flow.mean()))
    assert spectrum.argmax() == pytest.approx(120, abs=1)


def test_the_room_has_the_stated_direct_to_reverberant_ratio() -> None:
    impulse = np.zeros(RATE_HZ)
    impulse[0] = 1.0
    response = in_room(impulse, np.random.Generator(np.random.PCG64(1)))
    ratio_db = 10 * np.log10(response[0] ** 2 / np.sum(response[1:] ** 2))
    assert ratio_db == pytest.approx(direct_to_reverberant_db(), abs=0.01)
    assert direct_to_reverberant_db() == pytest.approx(5.6, abs=0.1)
