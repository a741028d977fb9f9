"""recipes/ledger.csv gives every source, and every speaker that is an exception, one role. Needs only the ledger."""
import json, re
from importlib.resources import files
from pathlib import Path

import pandas as pd

from mlcourse.language.clips import read_ledger, roles

LEDGER = read_ledger(Path(__file__).parents[1]/'recipes'/'ledger.csv')
SPEAKERS, CLIPS = LEDGER[LEDGER['speaker'] != ''], LEDGER[LEDGER['clip'] != '']
SOURCES = LEDGER[(LEDGER['speaker'] == '') & (LEDGER['clip'] == '')]


def test_every_row_says_what_and_why():
    assert (LEDGER[['kind', 'source', 'role', 'why']] != '').all(axis=None)
    assert set(LEDGER['kind']) == {'speech', 'thumbnails'}
    assert not ((LEDGER['speaker'] != '') & (LEDGER['clip'] != '')).any(), 'a row is about a source, a speaker or clips'


def test_nothing_stands_twice():
    for rows, column in ((SOURCES, 'source'), (SPEAKERS, 'speaker'), (CLIPS, 'clip')):
        assert not rows[column].duplicated().any(), rows[column][rows[column].duplicated()].tolist()


def test_exceptions_are_exceptions():
    role = SOURCES.set_index('source')['role']
    for row in pd.concat([SPEAKERS, CLIPS]).itertuples():
        assert row.source in role.index, f'{row.source} has no role of its own'
        assert row.role != role[row.source], f'{row.speaker or row.clip} has the role of its source anyway'
    assert (SPEAKERS['speaker'].str.partition(':')[0] == SPEAKERS['source']).all()
    for row in CLIPS.itertuples():
        source, pattern = row.source, row[LEDGER.columns.get_loc('clip')+1]
        assert pattern.startswith(f'^{source}/') and re.compile(pattern), f'{pattern} must not reach other sources'


def test_each_role_has_its_languages():
    speech = LEDGER[LEDGER['kind'] == 'speech']
    has = {(row.role, language) for row in speech.itertuples() for language in row.language.split()}
    assert {(role, language) for role in ('train', 'choose', 'untouched') for language in ('en', 'zh', 'other')} <= has
    assert {(role, language) for role in ('course', 'contest') for language in ('en', 'zh')} <= has


def test_what_the_shipped_weights_never_heard_trains_no_others():
    card = json.loads((files('mlcourse')/'weights'/'language.json').read_text(encoding='utf-8'))
    held, names = card['held_out'], [f'{n:02d}' for n in range(1, 35)]
    clips = pd.DataFrame([(f'dspspeech20/{speaker}-{word:02d}-01.wav', f'dspspeech20:{speaker}', f'{word:02d}')
                          for speaker in names for word in range(20)], columns=['clip', 'speaker', 'word'])
    never = clips['speaker'].isin(held['speakers']) | clips['word'].isin(held['words'])
    role, for_contest = roles(clips, LEDGER), SPEAKERS['speaker'][SPEAKERS['role'] == 'contest']
    assert set(role[never]) == {'course', 'contest'}
    assert set(role[clips['speaker'].isin(for_contest)]) == {'contest'}, 'a voice of the contest is kept whole'
