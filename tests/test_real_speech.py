"""A few seconds of real speech, by people whom no shipped weights heard."""
import json
from importlib.resources import files

import numpy as np
import pytest

from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import real_clips, real_examples, source
from mlcourse.language.detector import LanguageDetector


@pytest.fixture(scope='module')
def detector(): return LanguageDetector.load()


@pytest.mark.parametrize('clip', list(real_examples().itertuples()), ids=lambda clip: clip.path.rpartition('/')[2])
def test_people_are_heard_right(detector, clip):
    answer = detector.predict(clip.path)
    assert answer.language == clip.language, answer


def test_the_course_speakers_are_told_apart(detector):
    "Words strung to three seconds, one clip a language for each speaker; never the wrong language, seldom unsure."
    words, answers = real_clips().query("corpus == 'dspspeech20' and split == 'test'"), []
    for (_, language), some in words.groupby(['speaker', 'language']):
        samples = np.concatenate([load(source(clip)) for _, clip in some.drop_duplicates('word').iterrows()])
        answers.append((language, detector.predict((samples[:3*SAMPLE_RATE], SAMPLE_RATE)).language))
    assert len(answers) == 16 and all(said in (true, 'unsure') for true, said in answers), answers
    assert sum(said == true for true, said in answers) >= 14, answers


def test_what_is_heard_trained_nothing():
    held = json.loads((files('mlcourse')/'weights'/'language.json').read_text(encoding='utf-8'))['held_out']['speakers']
    assert set(real_examples().speaker) <= set(held)
