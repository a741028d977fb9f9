"""Which suspect taught the first try its mistake? Each one planted in a collection, and met by a clean network.

    python benchmarks/suspects.py [SPEECH] --keep FOLDER      # ten minutes of one core; a run that was stopped goes on

A collection is 28 synthetic voices of data/clips, each of which speaks both languages, two seconds of each sentence. It
trains the small network of nbs/course/11_language_first_try.ipynb, and 12 other voices test it. Every suspect is

- planted: one language of the collection is recorded so, the other is not (English in even runs, Mandarin in odd ones).
  The test is clean, or crossed: there it is the other language that is recorded so.
- met: the collection is clean, the test is recorded so.

For the voice, planted means that 14 voices speak English only and the other 14 Mandarin only, or three and three.
Crossed are the same voices in their other language. It is compared with the same voices and as many sentences, of which
each voice speaks half in either language; and six voices with 28 who say one sentence each, about as many recordings.
The fewer the sentences, the more epochs: every network takes about 102 steps. (In a first run six voices took fewer
steps, and learned nothing in both languages either; so the voices, and only they, were tried again.)

SPEECH holds train_english, train_mandarin, train_mandarin2, dev and dev_l2.parquet, real speech that is not in the
repository; without it the accent is left out. There the collection has its English from Mandarin natives
(speechocean762), from others (LibriSpeech: audiobooks, most readers native), or half from each; its Mandarin is the
same each time (AISHELL-1 and words of DSPSpeech-20). The recordings of accents differ in more than the accent, and
English by Mandarin natives is tested on other speakers of the same corpus, the rest on other corpora.

The rule, written down before any result: guilty is what, planted, takes 0.05 or more from the share that is right on
clean new voices, with the whole 95% interval of the change from a clean collection; an accomplice takes as much when it
is met; the rest is cleared.

Five runs each, with another network. Keeps suspects.csv: for each run and speaker the shares of
seconds that are called right in each language. Prints their mean with an interval over runs and speakers, drawn
together. The lesson nbs/course/13_suspects.ipynb shows it.
"""
import argparse
from functools import lru_cache, partial
from multiprocessing import Pool
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import DataLoaders, Learner
from PIL import Image
from torch import nn

from mlcourse.core import atomic_path, set_seed, write_csv
from mlcourse.evaluation import format_interval
from mlcourse.language.audio import load
from mlcourse.language.clips import read_ledger, source, synthetic_clips, trainable, windows
from mlcourse.language.conditions import add_noise, encode, filter_bands, leading_silence, reverberate
from mlcourse.language.conditions import room_impulse_response, shift_formants, to_16_bits
from mlcourse.language.spectrogram import log_mel, mel_filters, power_spectrogram

HERE = Path(__file__).resolve().parent
RUNS, EPOCHS, STEPS, BATCH, TRAIN_VOICES = 5, 6, 102, 32, 28
MICROPHONE = [0, 100, 400, 1000, 2500, 5000, 8000], [-10, -4, 3, 0, -3, 6, 0] # hertz, dB


# From a second to a picture: uint8, shape (64, 64)

def grey(decibels, white, black):
    "A square, as fastai's Resize squeezes it."
    image = Image.fromarray(np.uint8(255*np.clip((decibels-black)/(white-black), 0, 1)))
    return np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))

def picture(second):
    "White is its loudest point, black 80 dB below."
    decibels = log_mel(second)
    return grey(decibels, decibels.max(), decibels.max()-80)

def absolute(second):
    "White and black are the same level in every picture."
    return grey(10*np.log10(mel_filters()@power_spectrogram(second)+1e-10), 30, -70)

def long_frames(second):
    "As `picture`, from frames of 128 ms in place of 32."
    decibels = 10*np.log10(mel_filters(n_fft=2048)@power_spectrogram(second, 2048)+1e-10)
    return grey(decibels, decibels.max(), decibels.max()-80)

def stretched(second):
    "As `picture`, of the first 0.6 s, which fill the same square."
    return picture(second[:9600])

def late(second):
    "As `picture`, after a quarter of a second of quiet room."
    return picture(leading_silence(second[:12_000], 0.25, np.random.default_rng(0), 40))


# The suspects: what is done to a clip, and how each of its seconds is drawn

class Recording(NamedTuple):
    suspect: str
    change: Callable = lambda samples, rng: samples
    draw: Callable = picture
    base: str = 'clean' # the recording that it is beside

RECORDINGS = {
    'clean': Recording(''),
    'MP3, 64 kb/s': Recording('encoding', lambda samples, rng: encode(samples, 'mp3', 64_000)),
    'Opus, 8 kb/s': Recording('encoding', lambda samples, rng: encode(samples, 'opus', 8000)),
    'noise, 10 dB': Recording('noise', lambda samples, rng: add_noise(samples, 10, rng)),
    'room, 0.6 s': Recording('room', lambda samples, rng: reverberate(samples, room_impulse_response(0.6, rng))),
    'another microphone': Recording('microphone', lambda samples, rng: filter_bands(samples, *MICROPHONE)),
    '20 dB quieter': Recording('level', lambda samples, rng: to_16_bits(samples*np.float32(0.1))),
    'absolute decibels': Recording('', draw=absolute, base='absolute decibels'),
    '20 dB quieter, absolute decibels': Recording('level', lambda samples, rng: to_16_bits(samples*np.float32(0.1)),
                                                  absolute, 'absolute decibels'),
    'frames of 128 ms': Recording('processing', draw=long_frames),
    'a smaller speaker': Recording('voice', lambda samples, rng: shift_formants(samples, 1.12)),
    '0.6 s, stretched': Recording('length', draw=stretched),
    'silence first': Recording('silence', draw=late)}


def draw_all(clips, recording):
    "Pictures of the first two seconds of each clip, uint8, shape (n, 2, 64, 64); overlapping where it is shorter."
    def two(i, clip):
        heard = recording.change(load(source(clip), max_seconds=2), np.random.default_rng(i))
        return [recording.draw(second) for second in windows(heard, 1)[:2]]
    return np.array([two(i, clip) for i, (_, clip) in enumerate(clips.iterrows())])


@lru_cache
def drawn(name, keep):
    "The pictures of the synthetic clips under a recording; drawn once."
    path = keep/f"{name.replace('/', ' per ')}.npy"
    if not path.exists():
        with atomic_path(path) as temporary: np.save(temporary, draw_all(synthetic_clips(), RECORDINGS[name]))
    return np.load(path)


# The network of lesson 11

def block(n_in, n_out):
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.BatchNorm2d(n_out), nn.ReLU())

def small_network():
    return nn.Sequential(block(1, 16), block(16, 32), block(32, 64), block(64, 64),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 2))

def to_tensor(pictures): return torch.from_numpy(pictures.reshape(-1, 1, 64, 64)).float()/255

def fit(pictures, is_zh, run, epochs=EPOCHS):
    "A network, trained on pictures (n, 64, 64) and labels (n,)."
    set_seed(run)
    items = list(zip(to_tensor(pictures), torch.from_numpy(is_zh.astype(int))))
    learn = Learner(DataLoaders.from_dsets(items, items, bs=BATCH, num_workers=0), small_network(),
                    nn.CrossEntropyLoss())
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 5e-3)
    return learn.model.eval()


@torch.inference_mode()
def marks(net, pictures, is_zh, speaker):
    "For each speaker the share of pictures that is called right in each language; pictures (n, 2, 64, 64)."
    called = net(to_tensor(pictures)).argmax(1).numpy().reshape(-1, 2)
    table = pd.DataFrame({'speaker': speaker, 'language': np.where(is_zh, 'zh', 'en'),
                          'right': (called == is_zh[:, None]).mean(1)})
    return table.pivot_table(index='speaker', columns='language', values='right').reindex(columns=['en', 'zh'])


# One training and its tests

@lru_cache
def collection():
    "Of each synthetic clip: its voice, whether it is Mandarin, and whether its voice trains."
    clips = synthetic_clips()
    speaker = clips['speaker'].to_numpy(str)
    return speaker, (clips['language'] == 'zh').to_numpy(), np.isin(speaker, np.unique(speaker)[:TRAIN_VOICES])

def tested(net, rows, **tests):
    "The marks of each test, as one table."
    speaker, is_zh, _ = collection()
    return pd.concat({name: marks(net, pictures[rows], is_zh[rows], speaker[rows])
                      for name, pictures in tests.items()}, names=['tested']).reset_index()

def fit_rows(pictures, rows, run):
    "Train on the two seconds of these clips; the fewer they are, the more often."
    is_zh = collection()[1][rows].repeat(2)
    return fit(pictures[rows], is_zh, run, epochs=STEPS//(len(is_zh)//BATCH))

def meet(base, keep, run):
    "A clean network meets every recording."
    train = collection()[2]
    net, test = fit_rows(drawn(base, keep), train, run), ~train
    for name, recording in RECORDINGS.items():
        if recording.base == base: yield tested(net, test, so=drawn(name, keep)).assign(level=name, trained='clean')

def plant(name, keep, run):
    "One language is recorded so."
    _, is_zh, train = collection()
    so, base = drawn(name, keep), drawn(RECORDINGS[name].base, keep)
    here = (is_zh == run % 2)[:, None, None, None]
    net = fit_rows(np.where(here, so, base), train, run)
    yield tested(net, ~train, clean=base, crossed=np.where(here, base, so)).assign(level=name, trained='planted')

def plant_voice(name, keep, run, n):
    "n voices speak Mandarin and n others English; beside it the same voices, who speak both."
    speaker, is_zh, train = collection()
    voices, pictures = np.random.default_rng(run).permutation(np.unique(speaker[train])), drawn('clean', keep)
    some, all_of_them = np.isin(speaker, voices[:n]), np.isin(speaker, voices[:2*n])
    heard, by_turns = all_of_them & (some == is_zh), all_of_them & (np.arange(len(is_zh))//2 % 2 == is_zh)
    net = fit_rows(pictures, heard, run)
    for rows, test in ((~train, 'clean'), (all_of_them & ~heard, 'crossed')):
        yield tested(net, rows, **{test: pictures}).assign(level=name, trained='planted')
    net = fit_rows(pictures, by_turns, run)
    yield tested(net, ~train, so=pictures).assign(level=f'{name}, both languages', trained='clean')


def few_sentences(name, keep, run):
    "Each voice says one sentence, every other one in Mandarin."
    (_, is_zh, train), n = collection(), np.arange(len(synthetic_clips())) # ten clips a voice, two a sentence
    heard, pictures = train & (n % 10//2 == run) & (n//10 % 2 == is_zh), drawn('clean', keep)
    yield tested(fit_rows(pictures, heard, run), ~train, so=pictures).assign(level=name, trained='clean')


# The accent, on real speech

@lru_cache
def real_pictures(folder, keep):
    "Tables of clips with their pictures: of two collections of English, of one of Mandarin, and of the tests."
    def read(name): return pd.read_parquet(folder/f'{name}.parquet')
    english, dev, l2 = read('train_english'), read('dev'), read('dev_l2')
    mandarin = pd.concat([read('train_mandarin'), read('train_mandarin2')], ignore_index=True)
    ledger = read_ledger(HERE.parent/'recipes'/'ledger.csv')
    english, mandarin = (clips[trainable(clips, ledger)] for clips in (english, mandarin))
    def some(clips, n, *corpora):
        clips = clips[clips['corpus'].isin(corpora) & (clips['duration_s'] > 1.1)]
        return clips.sample(frac=1, random_state=0).groupby('speaker').head(-(-n//clips['speaker'].nunique())).head(n)
    sets = {'learner': some(english, 140, 'speechocean762'), 'native': some(english, 140, 'librispeech_resemblyzer'),
            'mandarin': pd.concat([some(mandarin, 70, 'dspspeech20'),
                                   some(mandarin, 70, 'aishell_sample', 'cyclegan_vc2_aishell')]),
            'by natives': dev[(dev['language'] == 'en') & (dev['duration_s'] > 1.1)],
            'by Mandarin natives': l2[l2['duration_s'] > 1.1],
            'Mandarin': dev[(dev['language'] == 'zh') & (dev['duration_s'] > 1.1)]}
    path = keep/'real.npz'
    if not path.exists():
        with atomic_path(path) as temporary:
            np.savez(temporary, **{name: draw_all(clips, RECORDINGS['clean']) for name, clips in sets.items()})
    pictures = np.load(path)
    return {name: (clips['speaker'].to_numpy(str), pictures[name]) for name, clips in sets.items()}

def plant_accent(name, keep, run, folder):
    "English from Mandarin natives, from others, or half from each."
    sets, rng = real_pictures(folder, keep), np.random.default_rng(run)
    learner, native, mandarin = (sets[part][1] for part in ('learner', 'native', 'mandarin'))
    half = rng.permutation(140) < 70
    english = {'English by Mandarin natives': learner, 'English by natives': native,
               'English by both': np.concatenate([learner[half], native[~half]])}[name]
    is_zh = np.repeat([False, True], [2*len(english), 2*len(mandarin)])
    net = fit(np.concatenate([english, mandarin]), is_zh, run)
    for test in ('by natives', 'by Mandarin natives', 'Mandarin'):
        speaker, pictures = sets[test]
        yield marks(net, pictures, np.full(len(pictures), test == 'Mandarin'), speaker).reset_index().assign(
            level=name, trained='planted', tested=test)


# All of it

def jobs(folder):
    "What is trained, most telling first: (function, level)."
    yield from ((meet, base) for base in ('clean', 'absolute decibels'))
    yield from ((partial(plant_voice, n=n), f'{2*n} voices') for n in (14, 3))
    yield few_sentences, '28 voices, one sentence each'
    if folder: yield from ((partial(plant_accent, folder=folder), f'English by {who}')
                           for who in ('Mandarin natives', 'natives', 'both'))
    yield from ((plant, name) for name, recording in RECORDINGS.items() if recording.suspect)

def do(job, keep):
    "The rows of a job, from the last time if there was one."
    (function, name), run = job
    title = getattr(function, 'func', function).__name__
    path = keep/f"{title}-{name.replace('/', ' per ')}-{run}.csv"
    torch.set_num_threads(1)
    if not path.exists():
        write_csv(pd.concat(list(function(name, keep, run))).assign(run=run), path)
        print(path.stem, flush=True)
    return pd.read_csv(path)

def suspect_of(level):
    if level in RECORDINGS: return RECORDINGS[level].suspect
    return 'accent' if level.startswith('English') else 'voice' if level in ('28 voices', '6 voices') else ''

def interval(rows, column, n=1000):
    "The mean of `column` with an interval: runs and speakers are drawn, both with replacement."
    grid = rows.pivot_table(index='run', columns='speaker', values=column).to_numpy()
    rng, (n_runs, n_speakers) = np.random.default_rng(0), grid.shape
    draws = [np.nanmean(grid[rng.integers(n_runs, size=n_runs)][:, rng.integers(n_speakers, size=n_speakers)])
             for _ in range(n)]
    return np.nanmean(grid), *np.nanquantile(draws, [0.025, 0.975])

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, nargs='?', help='real speech, for the accent')
    parser.add_argument('--keep', type=Path, required=True, help='what is done is kept here')
    parser.add_argument('--workers', type=int, default=1)
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    todo = [(job, run) for job in jobs(args.folder) for run in range(RUNS)]
    with Pool(args.workers) as pool:
        pool.map(partial(drawn, keep=args.keep), RECORDINGS, chunksize=1)
        table = pd.concat(pool.map(partial(do, keep=args.keep), todo, chunksize=1))
    table.insert(0, 'suspect', table['level'].map(suspect_of))
    table = table[['suspect', 'level', 'trained', 'tested', 'run', 'speaker', 'en', 'zh']].round(3)
    write_csv(table, HERE/'suspects.csv')
    for names, rows in table.groupby(['suspect', 'level', 'trained', 'tested'], sort=False):
        rows = rows.assign(right=rows[['en', 'zh']].mean(axis=1))
        print(*(f'{name:34}' for name in names), format_interval(*interval(rows, 'right')))


if __name__ == '__main__': main()
