"""How fast is it, beside librosa doing the same work in the same run?

    python benchmarks/speed.py

The clips are the embedded ones (data/clips). Every figure is the median of five rounds, in which the two sides take turns;
what to read is the ratio, since seconds depend on the machine. It prints a table and keeps it as speed.csv beside this
script. One thread.
"""
import argparse, os, subprocess, sys, time
for variable in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ[variable] = '1'  # before numpy loads
from pathlib import Path
from statistics import median

import librosa
import pandas as pd
import torch

from mlcourse.core import write_csv
from mlcourse.language.audio import SAMPLE_RATE, load
from mlcourse.language.clips import embedded_clips
from mlcourse.language.detector import LanguageDetector
from mlcourse.language.spectrogram import F_MAX, F_MIN, HOP_LENGTH, N_FFT, N_MELS, TOP_DB, log_mel

HERE = Path(__file__).parent
ROUNDS = 5


def seconds_for(work, items):
    start = time.perf_counter()
    for item in items: work(item)
    return time.perf_counter()-start


def compare(name, ours, theirs, items):
    "Medians over rounds in which both sides take turns; clips a second and the ratio."
    ours(items[0]); theirs(items[0])  # the first call pays for imports and caches
    pairs = [(seconds_for(ours, items), seconds_for(theirs, items)) for _ in range(ROUNDS)]
    return dict(what=name, unit='clips a second', ours=round(len(items)/median(a for a, _ in pairs), 1),
                peer=round(len(items)/median(b for _, b in pairs), 1), ratio=round(median(b/a for a, b in pairs), 2))


def librosa_load(path): return librosa.load(path, sr=SAMPLE_RATE)[0]


def librosa_log_mel(samples):
    power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS,
                                           fmin=F_MIN, fmax=F_MAX, htk=True, norm=None, pad_mode='constant')
    return librosa.power_to_db(power, top_db=TOP_DB)


def import_cost():
    "Seconds that `import mlcourse` adds to a bare interpreter, and whether torch came along."
    def run(code): return seconds_for(lambda c: subprocess.run([sys.executable, '-c', c], check=True), [code])
    pairs = [(run('import mlcourse'), run('pass')) for _ in range(ROUNDS)]
    loads_torch = subprocess.run([sys.executable, '-c', "import mlcourse, sys; sys.exit('torch' in sys.modules)"]).returncode
    print(f"import mlcourse loads torch: {'yes' if loads_torch else 'no'}")
    with_us, bare = (median(side) for side in zip(*pairs))
    return dict(what='import mlcourse, beside a bare interpreter', unit='seconds', ours=round(with_us, 3), peer=round(bare, 3),
                ratio=round(with_us/bare, 2))


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    paths = embedded_clips().path.iloc[::10].to_list()
    sounds = [load(path) for path in paths]
    detector = LanguageDetector.load()
    rows = [
        import_cost(),
        compare('decode an Opus file to 16 kHz (peer: librosa.load)', load, librosa_load, paths),
        compare('log-mel (peer: librosa)', log_mel, librosa_log_mel, sounds),
        compare("file to answer (peer: librosa's decoding and log-mel alone)", detector.predict,
                lambda path: librosa_log_mel(librosa_load(path)), paths),
    ]
    result = pd.DataFrame(rows)
    write_csv(result, HERE/'speed.csv')
    print(f'{len(paths)} clips of {sum(map(len, sounds))/len(sounds)/SAMPLE_RATE:.1f} s on average; one thread')
    print(result.to_string(index=False))


if __name__ == '__main__': main()
