"""Why does a probe before the first layer score less on three seconds than on one, in pretrained_layers.csv?

    python benchmarks/zero_layers.py SPEECH_FOLDER      # about two minutes of one core

Before its first layer, the encoder has added position embeddings to the frames of its convolutions, and the probe gets
the mean and the deviation of their sum over the whole clip. The positions alone give away how long a clip is. There,
one probe learns from windows of one and of three seconds; on "three seconds" of dev it meets clips that are shorter,
since many are, and Mandarin ones more often. Here the probe learns from the frames with the positions, without them,
and from the positions alone; it is tested on all clips, and on those that are not too short. SPEECH_FOLDER is that of
pretrained_layers.py. Prints a table and keeps it as zero_layers.csv.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlcourse.core import load_weights, set_seed, write_csv
from mlcourse.evaluation import auc, bootstrap_interval, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import read_ledger, trainable
from mlcourse.language.model import PretrainedEncoder, sinusoidal_positions
from mlcourse.language.spectrogram import log_mel
from mlcourse.language.training import WindowDataset

HERE = Path(__file__).resolve().parent
CLIPS, WINDOWS, SECONDS = 1500, 1600, (1, 3)


def read_training(folder):
    "Some of the trainable clips, and their sounds."
    tables = [pd.read_parquet(table) for table in sorted(folder.glob('train_*.parquet'))]
    clips = pd.concat(tables, ignore_index=True)
    clips = clips[trainable(clips, read_ledger(HERE.parent/'recipes'/'ledger.csv'))]
    clips = clips[clips['language'].isin(['en', 'zh'])].sample(CLIPS, random_state=0)
    return clips.drop(columns='audio'), [load(audio) for audio in clips['audio']]


def load_encoder(path):
    "The convolutions of an encoder that recipes/teacher.py made."
    tensors, card = load_weights(path)
    encoder = PretrainedEncoder(n_layers=card['n_layers'], ff_width=card['ff_width'])
    encoder.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    return encoder.eval()


@torch.inference_mode()
def summaries(encoder, spectrograms):
    "What a probe gets: mean and deviation over time of the frames, of what is in them without positions, of positions."
    both = encoder.sounds(spectrograms)
    positions = sinusoidal_positions(both.shape[1])[None].expand(len(both), -1, -1)
    parts = {'with positions': both, 'without positions': both-positions, 'positions alone': positions}
    return {name: torch.cat([part.mean(dim=1), part.std(dim=1)], dim=1).numpy() for name, part in parts.items()}


def stack(parts): return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def windows(encoder, clips, sounds):
    "The summaries of windows of one and of three seconds, and their labels."
    found, labels = [], []
    for seconds in SECONDS:
        dataset = WindowDataset(clips, sounds, ['en', 'zh'], WINDOWS//2, seconds=seconds, seed=seconds,
                                out_of_set_share=0)
        for i in range(len(dataset)):
            item = dataset[i]
            found.append(summaries(encoder, item[0][None])); labels.append(item[1])
    return stack(found), np.array(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds train_*.parquet, dev.parquet and whisper_512.safetensors')
    folder = parser.parse_args().folder
    torch.set_num_threads(1); set_seed(0)
    encoder, dev = load_encoder(folder/'whisper_512.safetensors'), pd.read_parquet(folder/'dev.parquet')
    train, labels = windows(encoder, *read_training(folder))
    recordings, truth = [load(audio) for audio in dev['audio']], (dev['language'] == 'zh').to_numpy()
    length, rows = np.array([len(samples)/SAMPLE_RATE for samples in recordings]), []
    def note(probe, seconds, clips, kept, score):
        found = bootstrap_interval(auc, truth[kept], score[kept], groups=dev['speaker'].to_numpy()[kept])
        rows.append(dict(probe=probe, seconds=seconds, clips=clips, n=int(kept.sum()), en=int((kept & ~truth).sum()))
                    | dict(zip(('auc', 'low', 'high'), np.round(found, 4))))
        print(f'{probe}, {seconds} s, {clips} ({kept.sum()}): AUC {format_interval(*found)}', flush=True)
    for seconds in SECONDS:
        specs = [torch.from_numpy(log_mel(samples[:seconds*SAMPLE_RATE]))[None] for samples in recordings]
        test = stack([summaries(encoder, spec) for spec in specs])
        for clips, kept in {'all': length > 0, 'long enough': length >= seconds}.items():
            note('a short clip is Mandarin', seconds, clips, kept, -np.minimum(length, seconds))
            for probe, known in train.items():
                head = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=2000)).fit(known, labels)
                note(probe, seconds, clips, kept, head.decision_function(test[probe]))
    write_csv(pd.DataFrame(rows), HERE/'zero_layers.csv')


if __name__ == '__main__': main()
