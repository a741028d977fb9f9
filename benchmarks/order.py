"""What is the order of sounds worth? A CNN and a CRNN of one size, with the frames of the spectrogram shuffled in time.

    python benchmarks/order.py SPEECH --keep FOLDER      # an hour of one core; a run that was stopped goes on

SPEECH holds train_synthetic.parquet and dev.parquet. Both networks see the same windows of two seconds, of synthetic
voices that each speak both languages, so that neither voice nor microphone gives the language away: in order or with
their frames shuffled (within 50 ms, within 200 ms, or all), in five runs each. All that is done twice, for 20 epochs
and for 40, since the learning rate rises and falls to nothing in any number of epochs, and a loss that is flat at the
end does not say that more training would not help. They are tested on the first two seconds of recordings: of more
such voices, and of real people. A network that was trained in order is tested at every level of shuffling, the others
at their own. What is counted is the AUC. Intervals are over speakers and runs, drawn together, and differences are
paired: the same speakers and runs on both sides.

Prints a table and keeps it as order.csv, and the losses of each epoch as order_epochs.csv. A third table,
order_swing.csv, shows one thing that a bag of frames knows: how much the balance of low and high bands swings in each
recording, beside what the networks for wholly shuffled frames made of it. nbs/course/14_order.ipynb shows all three.
"""
import argparse, contextlib, io, time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from torch import nn
from torch.utils.data import DataLoader

from mlcourse.core import atomic_path, set_seed, write_csv
from mlcourse.evaluation import format_interval
from mlcourse.language.audio import load
from mlcourse.language.clips import read_ledger, trainable
from mlcourse.language.model import ConvContext, LanguageNet, mean_normalise
from mlcourse.language.spectrogram import log_mel, N_MELS
from mlcourse.language.training import fit_network, WindowDataset

HERE = Path(__file__).resolve().parent
SECONDS, WINDOWS, WATCHED, STEP = 2, 1600, 200, 20 # lengths are whole steps of so many frames: few shapes are fast
RUN = dict(learning_rate=6e-3, batch_size=50)
EPOCHS = 20, 40
SEEDS = range(5)
LEVELS = {'in order': 1, '50 ms': 5, '200 ms': 20, 'whole': 1000} # frames of 10 ms that are shuffled together
TRAINED_IN_ORDER = [('in order', tested) for tested in LEVELS]
ARMS = TRAINED_IN_ORDER + [(level, level) for level in list(LEVELS)[1:]] # (trained, tested)
WATCH_VOICES, TEST_VOICES = range(180, 200), range(200, 240) # the others train


def shuffle_frames(spectrograms, block, rng):
    "Frames (last axis) in random order within each block of `block`."
    n = spectrograms.shape[-1]
    return spectrograms[..., np.lexsort((rng.random(n), np.arange(n)//block))]


def whole_steps(spectrograms): return spectrograms[..., :spectrograms.shape[-1]//STEP*STEP]


class Shuffle(Callback):
    "Shuffle the frames of each batch, after fastai has moved and masked it."
    order = 1
    def __init__(self, block): self.block, self.rng = block, np.random.default_rng(0)
    def before_batch(self): self.learn.xb = (shuffle_frames(whole_steps(self.xb[0]), self.block, self.rng),)


class SmallEncoder(nn.Module):
    "Spectrograms (batch, 64, n_frames) to features (batch, n_frames/4, 2*width)."
    def __init__(self, recurrent, width=24):
        super().__init__()
        self.width = 2*width
        self.sounds = nn.Sequential(nn.Conv1d(N_MELS, width, 5, 2, padding=2), nn.BatchNorm1d(width), nn.ReLU(),
                                    nn.Conv1d(width, width, 3, 2, padding=1), nn.BatchNorm1d(width), nn.ReLU())
        self.context = nn.GRU(width, width, batch_first=True, bidirectional=True) if recurrent else ConvContext(width)
    def forward(self, spectrograms): return self.context(self.sounds(mean_normalise(spectrograms)).transpose(1, 2))[0]


class Drawn:
    "Windows, drawn once for all networks."
    teacher_features = None
    def __init__(self, spectrograms, labels): self.spectrograms, self.labels, self.seed = spectrograms, labels, 0
    def __len__(self): return len(self.labels)
    def __getitem__(self, i): return self.spectrograms[i], self.labels[i]


def draw(clips, n):
    "`n` windows of these clips."
    sounds = [(load(audio)*32767).astype(np.int16) for audio in clips['audio']]
    windows = WindowDataset(clips, sounds, ['en', 'zh'], n, SECONDS, augmented=False, out_of_set_share=0)
    spectrograms, labels = zip(*DataLoader(windows, None))
    return torch.stack(spectrograms), torch.tensor(labels)


def prepare(folder):
    "Windows to train on and to watch, and a table of test recordings with their spectrograms."
    clips = pd.read_parquet(folder/'train_synthetic.parquet')
    voice = clips['speaker'].str.removeprefix('kokoro:').astype(int)
    test, watch = voice.isin(TEST_VOICES), voice.isin(WATCH_VOICES)
    said = clips['text'].isin(clips['text'][test | watch]) # no sentence on both sides
    train = trainable(clips, read_ledger(HERE.parent/'recipes'/'ledger.csv')) & ~said
    tested = pd.concat([clips[test].assign(on='new synthetic voices'),
                        pd.read_parquet(folder/'dev.parquet').assign(on='real people')])
    spectrograms = [whole_steps(log_mel(load(audio, max_seconds=SECONDS))) for audio in tested['audio']]
    return {'train': draw(clips[train], WINDOWS), 'watch': draw(clips[watch], WATCHED),
            'tested': tested[['on', 'language', 'speaker']].assign(spectrogram=spectrograms)}


@torch.inference_mode()
def log_odds(net, spectrograms, block):
    "Mandarin's logit minus English's, for each recording; every network gets the same shuffled frames."
    lengths, found = np.array([s.shape[1] for s in spectrograms]), np.empty(len(spectrograms))
    for length in np.unique(lengths): # recordings of one length go in together
        rows = np.flatnonzero(lengths == length)
        batch = np.stack([shuffle_frames(spectrograms[i], block, np.random.default_rng(i)) for i in rows])
        found[rows] = (net(torch.from_numpy(batch))[0] @ torch.tensor([-1., 1.])).numpy()
    return found


def run(data, recurrent, trained, seed, epochs):
    "Train one network and test it. Returns a row for each arm, and one for each epoch."
    set_seed(seed)
    net = LanguageNet(encoder=SmallEncoder(recurrent))
    with contextlib.redirect_stdout(io.StringIO()):
        learner = fit_network(net, Drawn(*data['train']), Drawn(*data['watch']), device='cpu',
                              callbacks=[Shuffle(LEVELS[trained])], epochs=epochs, **RUN)
    about = dict(epochs=epochs, network='CRNN' if recurrent else 'CNN', trained=trained, seed=seed)
    net.eval()
    rows = [about | dict(tested=tested, log_odds=log_odds(net, list(data['tested']['spectrogram']), LEVELS[tested]))
            for its, tested in ARMS if its == trained]
    losses = np.array(learner.recorder.values)[:, :2].round(4)
    return rows, [about | dict(epoch=i, train_loss=a, valid_loss=b) for i, (a, b) in enumerate(losses, 1)]


def pair_wins(log_odds, is_zh, speaker):
    "Shape (2, n_speakers, n_speakers): pairs of a Mandarin and an English clip ranked right, and all pairs."
    who = np.eye(speaker.max()+1)[speaker]
    zh, en = (log_odds[is_zh], who[is_zh]), (log_odds[~is_zh], who[~is_zh])
    right = (zh[0][:, None] > en[0]) + 0.5*(zh[0][:, None] == en[0])
    return np.stack([zh[1].T @ right @ en[1], zh[1].T @ np.ones_like(right) @ en[1]])


def drawn_aucs(scores, is_zh, speaker, n=1000):
    "The mean AUC of each arm over the runs, then `n` draws of speakers and runs, the same for all: (n_arms, 1+n)."
    wins = np.stack([[pair_wins(run, is_zh, speaker) for run in arm] for arm in scores])
    rng, (_, n_runs, _, n_speakers, _) = np.random.default_rng(0), wins.shape
    times = np.vstack([np.ones(n_speakers), rng.multinomial(n_speakers, np.full(n_speakers, 1/n_speakers), n)])
    runs = np.vstack([np.ones(n_runs), rng.multinomial(n_runs, np.full(n_runs, 1/n_runs), n)])/n_runs
    right, pairs = np.einsum('da,mrkab,db->kmrd', times, wins, times, optimize=True)
    return np.einsum('mrd,dr->md', right/pairs, runs)


def with_interval(draws, names):
    "The first draw, which is the estimate, and the 95% interval of the others."
    return dict(zip(names, np.round([draws[0], *np.nanquantile(draws[1:], [0.025, 0.975])], 4)))


def summary(done, tested):
    "Rows a set of recordings, network and arm: the AUC, and its change from training and testing in order."
    scores = {key: np.stack(part.sort_values('seed')['log_odds'].to_list())
              for key, part in done.groupby(['network', 'trained', 'tested'])}
    rows = []
    for on, part in tested.reset_index(drop=True).groupby('on', sort=False):
        one = {key: values[:, part.index] for key, values in scores.items()}
        draws = drawn_aucs(list(one.values()), (part['language'] == 'zh').to_numpy(), pd.factorize(part['speaker'])[0])
        draws = dict(zip(one, draws))
        for arm in ARMS:
            cnn, crnn = (np.stack([draws[name, *which] for which in (arm, ARMS[0])]) for name in ('CNN', 'CRNN'))
            for name, (now, before) in (('CNN', cnn), ('CRNN', crnn), ('CRNN minus CNN', crnn-cnn)):
                rows.append(dict(on=on, trained=arm[0], tested=arm[1], network=name)
                            | with_interval(now, ['auc', 'low', 'high'])
                            | with_interval(now-before, ['change', 'change_low', 'change_high']))
    return pd.DataFrame(rows)


def swing(spectrogram):
    "How much the balance of the 20 lowest and the 20 highest bands varies from frame to frame, in dB."
    return (spectrogram[:20].mean(axis=0)-spectrogram[-20:].mean(axis=0)).std()


def judged_by_bags(done, tested):
    "Rows a recording: its swing, and the mean log-odds of each network that was trained and tested on shuffled frames."
    bags = done[(done['trained'] == 'whole') & (done['tested'] == 'whole')].groupby('network')['log_odds']
    answers = {name: np.mean(np.stack(runs.to_list()), axis=0).round(3) for name, runs in bags}
    swings = [round(float(swing(one)), 2) for one in tested['spectrogram']]
    return tested[['on', 'language']].assign(swing=swings, **answers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('speech', type=Path, help='holds train_synthetic.parquet and dev.parquet')
    parser.add_argument('--keep', type=Path, required=True, help='a folder for the windows, and for what is done')
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.keep.mkdir(parents=True, exist_ok=True)
    windows, kept, start = args.keep/'windows.pt', args.keep/'done.pkl', time.perf_counter()
    if not windows.exists():
        with atomic_path(windows) as path: torch.save(prepare(args.speech), path)
    data = torch.load(windows, weights_only=False)
    done, epochs = pd.read_pickle(kept) if kept.exists() else ([], [])
    print(f"{len(data['tested'])} recordings; windows after {time.perf_counter()-start:.0f} s", flush=True)
    for n, seed, trained, recurrent in product(EPOCHS, SEEDS, LEVELS, (False, True)):
        name = 'CRNN' if recurrent else 'CNN'
        if any((r['epochs'], r['network'], r['trained'], r['seed']) == (n, name, trained, seed) for r in done): continue
        rows, losses = run(data, recurrent, trained, seed, n)
        done, epochs = done+rows, epochs+losses
        with atomic_path(kept) as path: pd.to_pickle((done, epochs), path)
        print(f"{n} epochs, {name}, {trained}, {seed}: loss {losses[-1]['valid_loss']:.3f}, "
              f'{time.perf_counter()-start:.0f} s so far', flush=True)
    done, tested = pd.DataFrame(done), data['tested']
    table = pd.concat([summary(done[done['epochs'] == n], tested).assign(epochs=n) for n in EPOCHS])
    write_csv(table, HERE/'order.csv')
    write_csv(pd.DataFrame(epochs), HERE/'order_epochs.csv')
    write_csv(judged_by_bags(done[done['epochs'] == EPOCHS[-1]], tested), HERE/'order_swing.csv')
    for row in table.itertuples():
        print(f'{row.epochs} epochs {row.on:20} {row.trained:9} {row.tested:9} {row.network:15} '
              f'AUC {format_interval(row.auc, row.low, row.high)}  '
              f'change {row.change:+.3f} [{row.change_low:+.3f}, {row.change_high:+.3f}]')


if __name__ == '__main__': main()
