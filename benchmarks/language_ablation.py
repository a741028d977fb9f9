"""Was it recurrence? Train networks, each with one thing more than the last, and test them on new corpora.

    python benchmarks/language_ablation.py SPEECH_FOLDER      # half an hour on two cores

SPEECH_FOLDER holds train_*.parquet, dev.parquet, and what recipes/teacher.py makes of them. Every network sees the same
number of windows, three times with another seed. Prints a table and keeps it as language_ablation.csv, which
nbs/language/07_training.ipynb shows; what is done is kept as it goes, with a key of what it was made from, and a run
that was stopped goes on.
"""
import argparse, time
from copy import copy
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from mlcourse.core import atomic_path, content_key, load_weights, set_seed, write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import read_ledger, trainable
from mlcourse.language.model import CRNNEncoder, LanguageNet, PretrainedEncoder
from mlcourse.language.spectrogram import log_mel
from mlcourse.language.training import fit_heads, fit_network, WindowDataset

HERE = Path(__file__).resolve().parent
SYNTHETIC = ['kokoro', 'kokoro-voices']
SHARES = {'kokoro': 0.22, 'kokoro-voices': 0.30}
SEEDS, SECONDS = (0, 1, 2), (1, 3)
RUN = dict(epochs=2, ema_decay=0.98)
FILES = ['dev.parquet', 'teacher.npz', 'encoder.safetensors']
WINDOWS = 4800 # drawn once, for all networks and seeds that train on the same speech
# network -> (encoder, with synthetic voices, augmented, with the teacher)
STEPS = {'CNN': ('convolutional', False, False, False), 'CRNN': ('recurrent', False, False, False),
         '+ synthetic voices': ('recurrent', True, False, False), '+ augmentation': ('recurrent', True, True, False),
         '+ distillation': ('recurrent', True, True, True), 'pretrained encoder': ('pretrained', True, True, True)}


def read_training(folder):
    "The trainable clips, their sounds, and the teacher's features."
    tables = sorted(folder.glob('train_*.parquet'))
    clips = pd.concat([pd.read_parquet(table) for table in tables], ignore_index=True)
    teacher = np.load(folder/'teacher.npz')
    if list(clips['clip']) != list(teacher['clip']):
        raise SystemExit('teacher.npz is about other tables; run recipes/teacher.py again.')
    may_train = trainable(clips, read_ledger(HERE.parent/'recipes'/'ledger.csv'))
    clips = clips.assign(first_frame=teacher['first_frame'])[may_train]
    sounds = [(load(audio)*32767).astype(np.int16) for audio in clips['audio']]
    return clips.drop(columns='audio'), sounds, teacher['teacher_features']


def new_net(encoder, folder):
    "An untrained network; a pretrained encoder is filled."
    if encoder != 'pretrained': return LanguageNet(encoder=CRNNEncoder(recurrent=encoder == 'recurrent'))
    net = LanguageNet(encoder=PretrainedEncoder())
    tensors, _ = load_weights(folder/'encoder.safetensors')
    net.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    return net


class DrawnWindows:
    "Windows, drawn once: a training set for several networks."
    def __init__(self, windows, workers):
        loader = DataLoader(windows, None, num_workers=workers)
        # A copy of each: a shared one holds a file open.
        self.items = [tuple(part.clone() if torch.is_tensor(part) else part for part in item) for item in loader]
        self.teacher_features, self.seed = windows.teacher_features, 0
    def without_teacher(self):
        other = copy(self)
        other.items, other.teacher_features = [item[:2] for item in self.items], None
        return other
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]


def draw(clips, sounds, teacher_features, synthetic, augmented, workers):
    "Windows to train on, few to watch, and some to fit a student's heads to."
    rows = np.flatnonzero(synthetic | ~clips['corpus'].isin(SYNTHETIC))
    part = clips.iloc[rows], [sounds[row] for row in rows], ['en', 'zh']
    return [DrawnWindows(WindowDataset(*part, n, seed=seed, shares=SHARES, augmented=with_augmentation,
                                       teacher_features=teacher_features), workers)
            for n, seed, with_augmentation in ((WINDOWS, 0, augmented), (64, 999, False), (2000, 500, augmented))]


def train(net, windows, taught):
    "Train `net` in place; a student's heads are fitted anew at the end."
    learn, watch, head = windows if taught else [part.without_teacher() for part in windows]
    rate = 3e-4 if isinstance(net.encoder, PretrainedEncoder) else 2e-3
    fit_network(net, learn, watch, learning_rate=rate, bfloat16=True, **RUN)
    if taught: fit_heads(net, head)
    return net.eval()


@torch.inference_mode()
def log_odds(net, recordings, seconds):
    "Mandarin's logit minus English's, for the start of each recording."
    logits = [net(torch.from_numpy(log_mel(samples[:seconds*SAMPLE_RATE]))[None])[0][0] for samples in recordings]
    return np.array([float(zh-en) for en, zh in logits])


def done_before(kept, keys):
    "The rows of a run that was stopped, but for those that were made from something else."
    rows = pd.read_pickle(kept).to_dict('records') if kept.exists() else []
    return [row for row in rows if row.get('made_from') == keys.get(row['network'], 'none')]


def mean_over_seeds(statistic, truth, by_seed): return np.mean([statistic(truth, column) for column in by_seed.T])


def summary(scores, truth, speakers):
    "A row a network and length: means over the seeds, intervals over the speakers."
    rows = []
    for (name, seconds), part in scores.groupby(['network', 'seconds'], sort=False):
        by_seed = np.stack(part['log_odds'].to_list(), axis=1)
        rows.append(dict(network=name, seconds=seconds))
        for what, one in (('auc', auc), ('balanced_accuracy', lambda t, s: balanced_accuracy(t, s > 0))):
            found = bootstrap_interval(partial(mean_over_seeds, one), truth, by_seed, groups=speakers)
            rows[-1] |= dict(zip((what, f'{what}_low', f'{what}_high'), np.round(found, 4)))
            rows[-1][f'{what}_by_seed'] = ' '.join(f'{one(truth, column):.3f}' for column in by_seed.T)
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path,
                        help='holds train_*.parquet, dev.parquet, teacher.npz and encoder.safetensors')
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept, start = args.folder/'ablation.pkl', time.perf_counter()
    files = [*sorted(args.folder.glob('train_*.parquet')), *(args.folder/name for name in FILES)]
    data = content_key(*files, HERE.parent/'recipes'/'ledger.csv')
    keys = {name: content_key(data, step, SHARES, RUN, WINDOWS) for name, step in STEPS.items()}
    done = done_before(kept, keys)
    dev = pd.read_parquet(args.folder/'dev.parquet')
    recordings, training = [load(audio) for audio in dev['audio']], read_training(args.folder)
    drawn = {}
    for name, (encoder, *speech, taught) in STEPS.items():
        for seed in SEEDS:
            if any(row['network'] == name and row['seed'] == seed for row in done): continue
            if tuple(speech) not in drawn: # the last ones make room
                drawn = {tuple(speech): draw(*training, *speech, args.workers)}
            set_seed(seed)
            net = train(new_net(encoder, args.folder), drawn[tuple(speech)], taught)
            done += [dict(network=name, seed=seed, seconds=s, log_odds=log_odds(net, recordings, s),
                          made_from=keys[name]) for s in SECONDS]
            with atomic_path(kept) as path: pd.DataFrame(done).to_pickle(path)
            print(f'{name}, seed {seed}: {time.perf_counter()-start:.0f} s so far', flush=True)
    truth = (dev['language'] == 'zh').to_numpy()
    table = summary(pd.DataFrame(done), truth, dev['speaker'].to_numpy())
    write_csv(table, HERE/'language_ablation.csv')
    for _, row in table.iterrows():
        found, right = (format_interval(*row[[what, f'{what}_low', f'{what}_high']])
                        for what in ('auc', 'balanced_accuracy'))
        print(f"{row['network']:20} {row['seconds']} s  AUC {found}  balanced accuracy {right}  "
              f"by seed {row['auc_by_seed']}")


if __name__ == '__main__': main()
