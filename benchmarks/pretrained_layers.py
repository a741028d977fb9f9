"""How many of Whisper's layers does a language need, and how thin may they be? A linear probe of each.

    python benchmarks/pretrained_layers.py SPEECH_FOLDER      # about five minutes of one core

SPEECH_FOLDER holds train_*.parquet, dev.parquet, and what recipes/teacher.py makes of them: whisper_*.safetensors,
encoders with all of Whisper's layers and all feed-forward units of each, or a quarter of them. No encoder is trained. A
plain logistic regression on mean and standard deviation of the frames after each layer learns the language from windows
of the training clips, and is tested on dev, whose speakers are in no training table. Prints a table and keeps it as
pretrained_layers.csv, which nbs/language/06_model.ipynb shows.
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
from mlcourse.language.model import PretrainedEncoder
from mlcourse.language.spectrogram import log_mel
from mlcourse.language.training import WindowDataset

HERE = Path(__file__).resolve().parent
FF_WIDTHS, WINDOWS, SECONDS = (2048, 512), 1600, (1, 3)


def read_training(folder):
    "Some of the trainable clips, and their sounds."
    tables = sorted(folder.glob('train_*.parquet'))
    clips = pd.concat([pd.read_parquet(table) for table in tables], ignore_index=True)
    clips = clips[trainable(clips, read_ledger(HERE.parent/'recipes'/'ledger.csv'))].sample(4000, random_state=0)
    return clips.drop(columns='audio'), [load(audio) for audio in clips['audio']]


def training_windows(clips, sounds):
    "Batches of windows of one and of three seconds, and their labels."
    for seconds in SECONDS:
        windows = WindowDataset(clips, sounds, ['en', 'zh'], WINDOWS//2, seconds=seconds, seed=seconds,
                                out_of_set_share=0)
        for start in range(0, len(windows), 32):
            batch = [windows[i] for i in range(start, start+32)]
            yield torch.stack([window[0] for window in batch]), [window[1] for window in batch]


def load_encoder(path):
    "An encoder that recipes/teacher.py made."
    tensors, card = load_weights(path)
    encoder = PretrainedEncoder(n_layers=card['n_layers'], ff_width=card['ff_width'])
    encoder.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    return encoder.eval()


@torch.inference_mode()
def after_each_layer(encoder, spectrograms):
    "Mean and standard deviation of the frames before and after each layer, shape (1+n_layers, n, 1024)."
    frames, summaries = encoder.sounds(spectrograms), []
    for layer in (None, *encoder.layers.layers):
        if layer is not None: frames = layer(frames)
        summaries.append(torch.cat([frames.mean(dim=1), frames.std(dim=1)], dim=1))
    return torch.stack(summaries).numpy()


def of_recordings(encoder, recordings, seconds):
    "The summaries of the start of each recording, shape (1+n_layers, n, 1024)."
    spectrograms = [torch.from_numpy(log_mel(samples[:seconds*SAMPLE_RATE]))[None] for samples in recordings]
    return np.concatenate([after_each_layer(encoder, spectrogram) for spectrogram in spectrograms], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds train_*.parquet, dev.parquet and whisper_*.safetensors')
    folder = parser.parse_args().folder
    torch.set_num_threads(1); set_seed(0)
    clips, sounds = read_training(folder)
    dev = pd.read_parquet(folder/'dev.parquet')
    recordings, truth = [load(audio) for audio in dev['audio']], (dev['language'] == 'zh').to_numpy()
    windows, rows = list(training_windows(clips, sounds)), []
    labels = np.concatenate([label for _, label in windows])
    for ff_width in FF_WIDTHS:
        encoder = load_encoder(folder/f'whisper_{ff_width}.safetensors')
        train = np.concatenate([after_each_layer(encoder, batch) for batch, _ in windows], axis=1)
        test = {seconds: of_recordings(encoder, recordings, seconds) for seconds in SECONDS}
        for n in range(len(train)):
            head = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=2000)).fit(train[n], labels)
            for seconds in SECONDS:
                score = head.decision_function(test[seconds][n])
                found = bootstrap_interval(auc, truth, score, groups=dev['speaker'].to_numpy())
                rows.append(dict(layers=n, ff_width=ff_width, seconds=seconds)
                            | dict(zip(('auc', 'low', 'high'), np.round(found, 4))))
                print(f'{n} layers of {ff_width} feed-forward units, {seconds} s: AUC {format_interval(*found)}',
                      flush=True)
    write_csv(pd.DataFrame(rows), HERE/'pretrained_layers.csv')


if __name__ == '__main__': main()
