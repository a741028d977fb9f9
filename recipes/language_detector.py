"""Train the weights of the language detector that ship with the package.

    python recipes/language_detector.py FOLDER        # a quarter of an hour with a graphics card and 16 cores
    python recipes/calibrate.py FOLDER && python benchmarks/language_quality.py FOLDER      # confidence, figures

FOLDER holds train_*.parquet, dev.parquet, and what training_voices.py and teacher.py make (train_voices.parquet,
teacher.npz, encoder.safetensors). The settings are those of language_detector.yaml. The encoder starts from Whisper's
first layers and learns from its last, in one run or more; after each, weight interpolation takes it part of the way
towards where it was; then the heads are fitted. Two cores need some hours for it. What a run has learned is kept after
each epoch; started again, it goes on from there (for other settings or data, remove the checkpoints first). Writes
mlcourse/weights/language.safetensors and its card, which says what was trained on and what was held out. Only clips
that shipped weights may learn from (`trainable`) are trained on.
"""
import argparse, copy
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from torch.utils.data import ConcatDataset

from mlcourse.core import load_weights, set_seed
from mlcourse.language.audio import load
from mlcourse.language.clips import read_ledger, roles, trainable
from mlcourse.language.detector import LanguageDetector, shipped_weights
from mlcourse.language.model import LanguageNet, PretrainedEncoder
from mlcourse.language.training import fit_heads, fit_network, interpolate_weights, WindowDataset

HERE = Path(__file__).resolve().parent


def read_samples(audio): return (load(audio)*32767).astype(np.int16)


def read_training(folder, workers=2):
    "The clips to train on, their sounds, the teacher's features, and what is held out."
    clips = pd.concat([pd.read_parquet(table) for table in sorted(folder.glob('train_*.parquet'))], ignore_index=True)
    teacher = np.load(folder/'teacher.npz')
    if list(clips['clip']) != list(teacher['clip']):
        raise SystemExit('teacher.npz is about other tables; run recipes/teacher.py again.')
    out = held_out(clips)
    clips = clips.assign(first_frame=teacher['first_frame'])[trainable(clips, read_ledger(HERE/'ledger.csv'))]
    with ProcessPoolExecutor(workers) as pool: sounds = list(pool.map(read_samples, clips['audio'], chunksize=64))
    return clips.drop(columns='audio'), sounds, teacher['teacher_features'], out


def held_out(clips):
    "For the card: speakers and words of the corpus in which the same people speak both languages; the ledger has more."
    clips = clips[clips['corpus'] == 'dspspeech20']
    role, word = roles(clips, read_ledger(HERE/'ledger.csv')), clips['clip'].str.extract(r'-(\d+)-', expand=False)
    course, train = (role == 'course').groupby(clips['speaker']), (role == 'train').groupby(word)
    return {'corpus': 'dspspeech20', 'speakers': [speaker for speaker, all_of_it in course.all().items() if all_of_it],
            'words': [word for word, some_of_it in train.any().items() if not some_of_it],
            'sentences': 'those of data/clips', 'others': 'whatever recipes/ledger.csv does not give the role train'}


def read_watch(folder, settings, languages):
    "Windows of dev's clips that are there to choose on."
    dev = pd.read_parquet(folder/'dev.parquet')
    dev = dev[roles(dev, read_ledger(HERE/'ledger.csv')) == 'choose']
    return WindowDataset(dev, [load(audio) for audio in dev['audio']], languages, settings['windows'],
                         seed=settings['seed'], augmented=False, out_of_set_share=0)


def train(net, clips, sounds, teacher_features, watch, languages, recipe, checkpoints, **settings):
    "The runs, and the heads, in place; `checkpoints` is a folder."
    for number, run in enumerate(recipe['runs'], 1):
        windows = WindowDataset(clips, sounds, languages, recipe['windows_an_epoch'],
                                shares=recipe['shares'], teacher_features=teacher_features)
        start = copy.deepcopy(net)
        fit_network(net, windows, watch, run['epochs'], run['learning_rate'], recipe['batch_size'],
                    ema_decay=recipe['ema_decay'], checkpoint=checkpoints/f'run_{number}.pt', **settings)
        interpolate_weights(net, start, run['weight_interpolation'])
    heads = recipe['heads']
    settings_of_heads = dict(seed=heads['seed'], shares=recipe['shares'], out_of_set_share=heads['out_of_set_share'])
    fit_heads(net, ConcatDataset([WindowDataset(clips, sounds, languages, n, seconds, **settings_of_heads)
                                  for seconds, n in heads['windows'].items()]), workers=settings['workers'])
    return net


def data_of(clips):
    "For the card: how much of which corpus, by language, with its licences."
    return clips.groupby(['language', 'corpus']).agg(
        clips=('clip', 'size'), speakers=('speaker', 'nunique'),
        hours=('duration_s', lambda s: round(s.sum()/3600, 2)),
        licences=('license', lambda s: sorted(s.unique()))).reset_index().to_dict('records')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path,
                        help='holds train_*.parquet, dev.parquet, teacher.npz and encoder.safetensors')
    parser.add_argument('--settings', type=Path, default=HERE/'language_detector.yaml')
    parser.add_argument('--out', type=Path, default=shipped_weights(), help='a .safetensors file')
    parser.add_argument('--checkpoints', type=Path, help='a folder; FOLDER/checkpoints when left out')
    parser.add_argument('--workers', type=int, default=2, help='processes that prepare windows')
    parser.add_argument('--bfloat16', action='store_true',
                        help='half the bits: twice as fast on processors that can, slower on others')
    args = parser.parse_args()
    settings = yaml.safe_load(args.settings.read_text(encoding='utf-8'))
    card, recipe = settings['card'], settings['recipe']
    clips, sounds, teacher_features, out = read_training(args.folder, args.workers)
    watch = read_watch(args.folder, settings['watch'], card['languages'])
    set_seed(recipe['seed'])
    net = LanguageNet(encoder=PretrainedEncoder())
    tensors, _ = load_weights(args.folder/'encoder.safetensors')
    net.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    checkpoints = args.checkpoints or args.folder/'checkpoints'
    checkpoints.mkdir(exist_ok=True)
    train(net, clips, sounds, teacher_features, watch, card['languages'], recipe, checkpoints,
          workers=args.workers, bfloat16=args.bfloat16)
    card |= dict(made_by='recipes/language_detector.py', held_out=out, recipe=recipe, data=data_of(clips))
    LanguageDetector.from_net(net, card).save(args.out)
    print(f'{args.out}: now recipes/calibrate.py fits its confidence and thresholds.')


if __name__ == '__main__': main()
