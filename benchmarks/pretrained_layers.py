"""How many of Whisper's layers does a language need, and how thin may they be? Read the language off each, without any training.

    pip install -e .[teacher]
    python benchmarks/pretrained_layers.py SPEECH_FOLDER      # about five minutes of one core

SPEECH_FOLDER holds train_*.parquet and dev.parquet. The encoder is pretrained as recipes/teacher.py does it, with all ff_width units of
each layer and with a quarter of them; a plain logistic regression on the mean and spread of what is heard after each layer
learns the language from windows of the training clips, and is tested on dev, whose speakers and corpora are in none of
them. Prints a table and keeps it as pretrained_layers.csv, which nbs/language/06_model.ipynb shows.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mlcourse.core import set_seed, write_csv
from mlcourse.evaluation import auc, bootstrap_interval, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.training import held_out, WindowDataset
from mlcourse.language.spectrogram import log_mel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent/'data'))
from teach import FeatureExtractor, at_one_level, borrow, encoder_weights, whisper_folder  # noqa: E402

N_LAYERS, INNER, WINDOWS, SECONDS = 6, (2048, 512), 1600, (1, 3)


@torch.inference_mode()
def after_each_layer(encoder, spectrograms):
    """Mean and spread of what is heard before and after each layer, shape (1+n_layers, n, 1024)."""
    heard, summaries = encoder.sounds(spectrograms), []
    for layer in (None, *encoder.layers.layers):
        if layer is not None: heard = layer(heard)
        summaries.append(torch.cat([heard.mean(dim=1), heard.std(dim=1)], dim=1))
    return torch.stack(summaries).numpy()


def read(folder):
    """The training clips whose licences let weights be passed on, and their sounds."""
    clips = pd.concat([pd.read_parquet(table) for table in sorted(folder.glob('train_*.parquet'))], ignore_index=True)
    clips = clips[clips['may_ship'] & ~held_out(clips)].sample(4000, random_state=0)
    return clips.drop(columns='audio'), [load(audio) for audio in clips['audio']]


def training_windows(clips, sounds):
    """Batches of windows of one and of three seconds, and their labels."""
    for seconds in SECONDS:
        windows = WindowDataset(clips, sounds, ['en', 'zh'], WINDOWS//2, seconds=seconds, seed=seconds, out_of_set_share=0)
        for start in range(0, len(windows), 32):
            batch = [windows[i] for i in range(start, start+32)]
            yield torch.stack([window[0] for window in batch]), [window[1] for window in batch]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds train_*.parquet and dev.parquet')
    folder = parser.parse_args().folder
    torch.set_num_threads(1); set_seed(0)
    clips, sounds = read(folder)
    dev = pd.read_parquet(folder/'dev.parquet')
    recordings, truth = [load(audio) for audio in dev['audio']], (dev['language'] == 'zh').to_numpy()
    windows = list(training_windows(clips, sounds))
    labels = np.concatenate([label for _, label in windows])
    choose = [at_one_level(samples[:3*SAMPLE_RATE]) for samples in sounds if len(samples) >= 3*SAMPLE_RATE][:64]
    weights, rows = encoder_weights(whisper_folder()), []
    for ff_width in INNER:
        encoder = borrow(choose, weights, FeatureExtractor(feature_size=80), n_layers=N_LAYERS, ff_width=ff_width).encoder
        learn = np.concatenate([after_each_layer(encoder, batch) for batch, _ in windows], axis=1)
        test = {s: np.concatenate([after_each_layer(encoder, torch.from_numpy(log_mel(x[:s*SAMPLE_RATE]))[None]) for x in recordings], axis=1) for s in SECONDS}
        for n in range(1+N_LAYERS):
            head = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=2000)).fit(learn[n], labels)
            for seconds in SECONDS:
                low_high = bootstrap_interval(auc, truth, head.decision_function(test[seconds][n]), groups=dev['speaker'].to_numpy())
                rows.append(dict(layers=n, ff_width=ff_width, seconds=seconds) | dict(zip(('auc', 'low', 'high'), np.round(low_high, 4))))
                print(f'{n} layers of {ff_width} ff_width units, {seconds} s: AUC {format_interval(*low_high)}', flush=True)
    write_csv(pd.DataFrame(rows), HERE/'pretrained_layers.csv')


if __name__ == '__main__': main()
