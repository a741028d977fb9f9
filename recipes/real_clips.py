"""Pick the real voices that ship: data/real_clips.parquet and data/contest_clips.parquet; six of the first in
mlcourse/clips/real.

    python recipes/real_clips.py SPEECH     # a minute of one core

SPEECH holds train_english.parquet and train_mandarin.parquet. Which speakers, words and sentences are taken is in
real_clips.yaml; the ledger must give them a role that allows it. The sounds of the table are taken as they are in
SPEECH. Those of the package are strung together from words and encoded once more.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import yaml

from mlcourse.core import atomic_path, write_csv
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import COLUMNS, read_ledger, roles

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def spoken_words(clips, settings):
    "The first recordings of each word of the chosen speakers."
    clips = clips[clips['corpus'] == settings['corpus']]
    split = {f"{settings['corpus']}:{n}": split for split, some in settings['speakers'].items() for n in some}
    name = clips['clip'].str.extract(r'-(?P<word>\d+)-(?P<take>\d+)\.wav$').astype(int)
    clips = clips.assign(split=clips['speaker'].map(split), word=[settings['words'][n] for n in name['word']],
                         license=settings['copyright'])
    wanted = clips['role'] == clips['split'].map(dict(train='train', valid='train', test='course', contest='contest'))
    return clips[wanted & (name['take'] <= clips['split'].map(settings['takes']))]


def read_sentences(clips, settings):
    "One sentence a reader."
    chosen = clips['speaker'].isin([f'librispeech:{n}' for n in settings['readers']])
    clips = clips[chosen & (clips['role'] == 'course') & (clips['duration_s'] >= settings['shortest_s'])]
    return clips.sort_values('duration_s').groupby('speaker').head(1).assign(split='test', word='')


def string_together(clips, settings):
    "Samples of one word after another, with pauses, until there are enough."
    pause, samples = np.zeros(round(settings['pause_s']*SAMPLE_RATE), np.float32), []
    for audio in clips.drop_duplicates('word')['audio']:
        if sum(map(len, samples)) >= settings['seconds']*SAMPLE_RATE: break
        samples += [load(audio), pause]
    return np.concatenate(samples[:-1])


def make_examples(folder, clips, settings):
    "A clip in each language for each example speaker, and their table."
    rows = []
    for number in settings['examples']:
        speaker = f"{settings['corpus']}:{number}"
        for language, some in clips[clips['speaker'] == speaker].groupby('language'):
            samples, name = string_together(some, settings), f'{language}-{number}.opus'
            with atomic_path(folder/name) as path:
                soundfile.write(path, samples, SAMPLE_RATE, format='OGG', subtype='OPUS')
            seconds = round(len(samples)/SAMPLE_RATE, 2)
            rows.append(some.iloc[0][COLUMNS].to_dict() | dict(path=name, duration_s=seconds))
    write_csv(pd.DataFrame(rows, columns=COLUMNS), folder/'clips.csv')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('speech', type=Path, help='holds train_english.parquet and train_mandarin.parquet')
    parser.add_argument('--out', type=Path, default=ROOT/'data'/'real_clips.parquet')
    parser.add_argument('--contest', type=Path, default=ROOT/'data'/'contest_clips.parquet')
    parser.add_argument('--package', type=Path, default=ROOT/'mlcourse'/'clips'/'real', help='where six go')
    parser.add_argument('--settings', type=Path, default=HERE/'real_clips.yaml')
    args = parser.parse_args()
    settings = yaml.safe_load(args.settings.read_text(encoding='utf-8'))
    clips = pd.concat([pd.read_parquet(args.speech/f'train_{name}.parquet') for name in ('english', 'mandarin')],
                      ignore_index=True)
    clips['role'] = roles(clips, read_ledger(HERE/'ledger.csv'))
    chosen = pd.concat([spoken_words(clips, settings), read_sentences(clips, settings)])
    chosen = chosen.rename(columns={'clip': 'path'}).sort_values('path', ignore_index=True)[[*COLUMNS, 'word', 'audio']]
    kept = chosen['split'] == 'contest'
    for out, some in ((args.contest, chosen[kept]), (args.out, chosen := chosen[~kept])):
        with atomic_path(out) as path: some.to_parquet(path, index=False)
        print(f'{out.name}: {len(some)} clips, {out.stat().st_size/1e6:.1f} MB')
    args.package.mkdir(parents=True, exist_ok=True)
    make_examples(args.package, chosen, settings)
    count = chosen.groupby(['corpus', 'split', 'language'])
    print(count.agg(clips=('path', 'size'), speakers=('speaker', 'nunique'), seconds=('duration_s', 'sum')).round(1))


if __name__ == '__main__': main()
