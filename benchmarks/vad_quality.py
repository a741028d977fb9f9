"""Where is the speech? A simple rule beside a network made for it (Silero VAD), and what each does for the answer.

    python benchmarks/vad_quality.py ~/data/speech [--silero silero_vad.jit]

FOLDER holds dev.parquet (see language_quality.py). The first 3 s of every second clip are placed somewhere in 10 s of
background: near silence, pink room noise, mains hum, or a melody of plain notes before and after. Each way of finding
speech says which 10 ms frames hold some. The truth is known: a frame does if the clip alone, there, is within 30 dB of
its loudest. The network then gets what lies between the first and the last frame found, in windows whose votes weigh as
much as they sound like speech, or all the same.

Silero VAD is no part of mlcourse. To measure it too, take its file from the package, which needs nothing else for this:
    pip install --no-deps --target /tmp/silero silero-vad==6.2.3
    python benchmarks/vad_quality.py ~/data/speech --silero /tmp/silero/silero_vad/data/silero_vad.jit

It prints a table, with an interval by speaker, and keeps it as vad_quality.csv beside this script. One thread.
"""
import argparse, time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from mlcourse.core import write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import source
from mlcourse.language.conditions import coloured_noise, power
from mlcourse.language.detector import average_windows, LanguageDetector
from mlcourse.language.spectrogram import log_mel
from mlcourse.language.vad import FRAME, frame_levels, speech_mask, trim_silence

HERE = Path(__file__).parent
SECONDS = 10
N = SECONDS*SAMPLE_RATE


def hum(n, rng):
    "Mains hum: 50 Hz and its overtones, over a little hiss."
    time = np.arange(n)/SAMPLE_RATE
    tones = sum(np.sin(2*np.pi*50*k*time+rng.uniform(0, 6.28))/k for k in (1, 2, 3, 4, 6))
    return (tones+0.03*rng.standard_normal(n)).astype(np.float32)


def melody(n, rng):
    "Notes of a scale with overtones, each a quarter of a second or so, struck and fading."
    parts = []
    while sum(map(len, parts)) < n:
        time = np.arange(int(rng.uniform(0.15, 0.5)*SAMPLE_RATE))/SAMPLE_RATE
        pitch = 220*2**(rng.choice([0, 2, 4, 5, 7, 9, 11, 12])/12)
        parts.append(sum(np.sin(2*np.pi*pitch*k*time)/k**1.5 for k in range(1, 6))*np.exp(-4*time))
    return np.concatenate(parts)[:n].astype(np.float32)


def room_noise(n, rng): return coloured_noise(n, rng, 1)


#         name: (background, level of the speech over it in dB, whether it also runs under the speech)
SCENES = {'near silence': (room_noise, 60, True),
          **{f'room noise, {snr} dB': (room_noise, snr, True) for snr in (20, 10, 5, 0)},
          'hum, 10 dB': (hum, 10, True), 'hum, 0 dB': (hum, 0, True),
          'melody before and after, 0 dB': (melody, 0, False)}


def place(clip, scene, rng):
    "10 s of background with the clip somewhere in it; the samples, and which frames hold speech."
    background, snr_db, under = SCENES[scene]
    noise = background(N, rng)
    levels = frame_levels(clip)
    spoken = levels > levels.max()-30
    loudness = np.mean(10**(levels[spoken]/10))
    noise *= np.sqrt(loudness/10**(snr_db/10)/power(noise)).astype(np.float32)
    start = rng.integers((N-len(clip))//FRAME+1)*FRAME
    if not under: noise[start:start+len(clip)] *= 0.001
    noise[start:start+len(clip)] += clip
    truth = np.zeros(N//FRAME, bool)
    truth[start//FRAME:start//FRAME+len(spoken)] = spoken[:N//FRAME-start//FRAME]
    return noise, truth


def everything(samples): return np.ones(-(-len(samples)//FRAME), bool)


def trimmed(samples):
    "What lies between the first and the last sound."
    found = everything(samples)
    first, last, _ = trim_silence(samples)
    found[:first//FRAME], found[-(-last//FRAME):] = False, False
    return found


def above_floor(samples): return trimmed(samples) & speech_mask(log_mel(samples))[:len(samples)//FRAME]


def silero(path):
    "Silero's network as a function like the others: speech where its probability is above 0.5, every 32 ms."
    network = torch.jit.load(str(path)).eval()
    def find(samples):
        network.reset_states()
        chunks = torch.from_numpy(np.pad(samples, (0, -len(samples) % 512))).split(512)
        with torch.inference_mode(): speech = [network(chunk[None], SAMPLE_RATE).item() > 0.5 for chunk in chunks]
        return np.repeat(speech, 512)[:len(samples)].reshape(-1, FRAME).any(axis=1)
    return find


def trial(detector, find, samples, truth):
    "One clip in one scene, one way of finding speech: its frame error, the time it took, the log-odds of Mandarin."
    started = time.process_time()  # not the clock: others may share the machine
    found = find(samples)
    taken = time.process_time()-started
    rows = np.flatnonzero(found)
    kept = samples[rows[0]*FRAME:(rows[-1]+1)*FRAME] if len(rows) else samples
    spectrogram = log_mel(kept)
    frames = detector.encode_speech(spectrogram, np.ones(spectrogram.shape[1], bool))
    _, logits, speech = detector.score_frames(*frames)
    averages = {'': average_windows(logits, speech)[0], ', windows weighing the same': logits.mean(axis=0)}
    common = dict(frame_error=1-balanced_accuracy(truth, found), ms=1000*taken)
    return [common | dict(how=how, log_odds=float(mean[1]-mean[0])) for how, mean in averages.items()]


def measure(trials):
    "A row for each scene and way."
    for (scene, way), part in trials.groupby(['scene', 'way'], sort=False):
        forced = np.where(part.log_odds > 0, 'zh', 'en')
        common = dict(scene=scene, way=way, clips=len(part),
                      frame_error=round(part.frame_error.mean(), 4), ms=round(part.ms.median(), 2))
        for name, statistic, score in [('balanced accuracy', balanced_accuracy, forced),
                                       ('AUC', lambda t, s: auc(t == 'zh', s), part.log_odds)]:
            interval = bootstrap_interval(statistic, part.language, score, groups=part.speaker)
            yield common | dict(metric=name) | dict(zip(('estimate', 'low', 'high'), np.round(interval, 4)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='the folder that holds dev.parquet')
    parser.add_argument('--silero', type=Path, help='silero_vad.jit; left out of the comparison when not given')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ways = {'everything': everything, 'trim silence': trimmed, 'energy above floor': above_floor}
    if arguments.silero: ways['Silero VAD'] = silero(arguments.silero)
    else: print('Silero VAD is skipped: --silero says where its file is.')
    detector = LanguageDetector.load()
    clips = pd.read_parquet(arguments.folder/'dev.parquet').iloc[::2]
    sounds = [load(source(clip), max_seconds=3) for _, clip in clips.iterrows()]
    rng, rows = np.random.default_rng(0), []
    for scene in tqdm(SCENES):
        for clip, sound in zip(clips.itertuples(), sounds):
            placed, truth = place(sound, scene, rng)
            rows += [dict(scene=scene, way=way+found.pop('how'), language=clip.language, speaker=clip.speaker) | found
                     for way, find in ways.items() for found in trial(detector, find, placed, truth)]
    result = pd.DataFrame(measure(pd.DataFrame(rows)))
    write_csv(result, HERE/'vad_quality.csv')
    intervals = result[['estimate', 'low', 'high']].to_numpy()
    shown = result.assign(interval=[format_interval(*values) for values in intervals])
    print(shown.drop(columns=['estimate', 'low', 'high']).to_string(index=False))


if __name__ == '__main__': main()
