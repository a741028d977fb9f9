"""A calibration that is fitted to clips whose truth is known gives back what they were made with."""
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mlcourse.language.calibration import apply_calibration, fit_calibration, threshold_at

N, SPEAKS = 30_000, (2.0, 0.5) # of each language; how the speech logit of the clips is drawn


@pytest.fixture(scope='module')
def table():
    "Clips whose log-odds are four times too bold and 1.2 too high for Mandarin; longer clips are told apart better."
    rng = np.random.default_rng(0)
    length = rng.choice([1, 3, 10], 2*N)
    fair = rng.logistic(0, 0.5+np.log2(length), 2*N) # log-odds for Mandarin, as they should be
    truth = np.where(rng.random(2*N) < expit(fair), 'zh', 'en')
    return pd.DataFrame({'en': 0., 'zh': 4*fair+1.2, 'speech': rng.normal(*SPEAKS, 2*N), 'sound_s': length*0.9,
                         'length_s': length, 'augmented': False, 'language': truth, 'fair': fair})


@pytest.fixture(scope='module')
def calibration(table): return fit_calibration(table, ['en', 'zh'], answered=0.9)


def test_the_probabilities_are_those_that_the_clips_were_made_with(table, calibration):
    assert calibration['scale'] == pytest.approx(1/4, abs=0.01)
    assert np.subtract(*calibration['offsets']) == pytest.approx(1.2/4, abs=0.04)
    probabilities, _ = apply_calibration(calibration, table[['en', 'zh']], table.speech, table.sound_s)
    np.testing.assert_allclose(probabilities[:, 1], expit(table.fair), atol=0.02)


def test_a_confidence_of_eight_tenths_is_right_eight_times_in_ten(table, calibration):
    probabilities, confidence = apply_calibration(calibration, table[['en', 'zh']], table.speech, table.sound_s)
    right = np.array(['en', 'zh'])[probabilities.argmax(axis=1)] == table.language
    assert confidence == pytest.approx(expit(table.fair.abs()), abs=0.03) # known: the log-odds say it all
    for low in (0.5, 0.6, 0.7, 0.8, 0.9):
        some = (confidence >= low) & (confidence < low+0.1)
        assert right[some].mean() == pytest.approx(confidence[some].mean(), abs=0.02)


def test_the_thresholds_are_where_one_answer_in_ten_is_unsure(table, calibration):
    seconds, thresholds = calibration['thresholds']
    assert seconds == pytest.approx([0.9, 2.7, 9])
    known = [expit(table.fair[table.length_s == n].abs()).quantile(0.1) for n in (1, 3, 10)]
    assert thresholds == pytest.approx(np.maximum(known, 0.5), abs=0.02)
    assert thresholds == sorted(thresholds) and thresholds[2] > thresholds[0]+0.03
    assert threshold_at({'calibration': calibration}, 2.7) == pytest.approx(thresholds[1])


def test_what_is_no_speech_lowers_the_confidence(table):
    rng = np.random.default_rng(1)
    noises = table[:2000].assign(speech=rng.normal(-2, 0.5, 2000), language='none', augmented=None, length_s=np.nan)
    fitted = fit_calibration(pd.concat([table, noises], ignore_index=True), ['en', 'zh'])
    _, sure = apply_calibration(fitted, noises[['en', 'zh']], noises.speech, noises.sound_s)
    assert np.mean(sure < threshold_at({'calibration': fitted}, noises.sound_s)) > 0.8
    assert fitted['weights'][0] > 0.5
