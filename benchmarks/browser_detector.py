"""The detector in a browser beside Python's: the same answers, and how long a visitor waits.

    python benchmarks/browser_detector.py

Sixty clips of the repository, synthetic and real voices: half as they are (Opus, 16 kHz), half in other kinds of files,
44.1 kHz and stereo among them, with a little noise above 8 kHz, which a 16 kHz clip lacks. For each, the log-odds of
the two languages in Chromium beside those of `LanguageDetector`, both of the whole clip and without rounding; and,
since a network of 8-bit numbers makes something of next to nothing, Python's own with a noise that nobody hears. Then
the time to an answer, for twenty clips of 5 s after a first one; and the first visit: from opening the page, with an
empty cache and 10 Mbit/s, to the first answer. Results are kept in browser_detector.csv.
"""
import argparse, base64, functools, io, os, shutil, subprocess, sys, tempfile, threading, time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pandas as pd
import soundfile, soxr
from playwright.sync_api import sync_playwright

from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.calibration import apply_calibration
from mlcourse.language.clips import real_clips, synthetic_clips
from mlcourse.language.detector import average_windows, LanguageDetector

HERE = Path(__file__).resolve().parent
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync'] # without a display, and without calls home
BYTES_A_SECOND, DELAY_MS = 10e6/8, 40
# name -> rate, channels, container, codec (None: libsndfile writes it)
KINDS = {'WAV, 16 kHz': (16_000, 1, 'WAV', None), 'WAV, 44.1 kHz stereo': (44_100, 2, 'WAV', None),
         'FLAC, 48 kHz stereo': (48_000, 2, 'FLAC', None), 'MP3, 44.1 kHz stereo': (44_100, 2, 'MP3', None),
         'AAC in MP4, 44.1 kHz stereo': (44_100, 2, 'mp4', 'aac'),
         'Opus in WebM, 48 kHz': (48_000, 1, 'webm', 'libopus')}
OWN, FLOOR = 'Opus, 16 kHz', 'Python beside itself, with noise at -120 dB' # what 8-bit numbers make of next to nothing
HEAR = '''async data => {
    const {hear} = await import('./detect.js'), bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
    const start = performance.now(), {answer} = await hear(new Blob([bytes]), 'clip');
    return {...answer, seconds: (performance.now() - start) / 1000};
}'''


def own_clips(n):
    "`n` clips of a second or more as files, evenly from both tables."
    real, made = real_clips().query('duration_s >= 1'), synthetic_clips()
    pick = [table.iloc[np.linspace(0, len(table)-1, n//2).astype(int)] for table in (real, made)]
    return [*pick[0].audio, *(Path(path).read_bytes() for path in pick[1].path)]


def encode(channels, rate, container, codec):
    "A file of samples of shape (n, channels)."
    file = io.BytesIO()
    if not codec:
        soundfile.write(file, channels, rate, format=container)
        return file.getvalue()
    layout = 'stereo' if channels.shape[1] == 2 else 'mono'
    with av.open(file, 'w', format=container) as writer:
        stream = writer.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels.T), format='fltp', layout=layout)
        frame.sample_rate = rate
        fitted = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size)
        for part in fitted.resample(frame)+fitted.resample(None): writer.mux(stream.encode(part))
        writer.mux(stream.encode(None))
    return file.getvalue()


def as_kind(data, kind, rng):
    "A clip in another kind of file; the second channel is quieter and a little late."
    rate, n, container, codec = KINDS[kind]
    samples = soxr.resample(load(data), SAMPLE_RATE, rate)
    if rate > SAMPLE_RATE: samples = samples+0.002*rng.standard_normal(len(samples))
    channels = np.stack([np.roll(samples, 9*i)*0.7**i for i in range(n)], axis=1)
    return encode(channels.astype(np.float32), rate, container, codec)


def python_log_odds(detector, samples):
    "Those of the second language to the first."
    scores = detector.score_windows(samples)
    if 'logits' not in scores: return 0.
    logits, speech = average_windows(scores['logits'], scores['speech'])
    probabilities, _ = apply_calibration(detector.card.get('calibration'), [logits], [speech], [scores['sound_s']])
    return float(np.log(probabilities[0, 1]/probabilities[0, 0]))


def browser_answer(page, data): return page.evaluate(HEAR, base64.b64encode(data).decode())


def log_odds(answer):
    first, second = answer['probabilities'].values()
    return float(np.log(second/first))


def compare(page, detector):
    "A row a kind of file: how far the log-odds are apart, how many answers are the same."
    rng, rows = np.random.default_rng(0), []
    for i, data in enumerate(own_clips(60)):
        kind = [*KINDS][i//2 % len(KINDS)] if i % 2 else OWN
        data = as_kind(data, kind, rng) if i % 2 else data
        samples, answer = load(data), browser_answer(page, data)
        odds = python_log_odds(detector, samples)
        moved = python_log_odds(detector, samples+1e-6*rng.standard_normal(len(samples)).astype(np.float32))
        same = answer['language'] == detector.predict(data).language
        for what in (kind, 'all clips'):
            rows.append({'what': what, 'apart': abs(log_odds(answer)-odds), 'same answer': same})
        rows.append({'what': FLOOR, 'apart': abs(moved-odds), 'same answer': np.nan})
    found = pd.DataFrame(rows).groupby('what').agg({'apart': ['count', 'median', 'max'], 'same answer': 'sum'})
    found.columns = ['n', 'median', 'most', 'same answer']
    return found.loc[[OWN, *KINDS, 'all clips', FLOOR]].reset_index().assign(unit='log-odds apart')


def five_seconds(n):
    "`n` WAV files of 5 s in stereo at 44.1 kHz."
    whole = soxr.resample(np.concatenate([load(data) for data in own_clips(60)]), SAMPLE_RATE, 44_100)
    starts = np.linspace(0, len(whole)-5*44_100, n).astype(int)
    return [encode(np.stack([whole[s:s+5*44_100]]*2, axis=1), 44_100, 'WAV', None) for s in starts]


def answer_times(page):
    "Seconds to an answer, for clips after a first one."
    return [browser_answer(page, data)['seconds'] for data in five_seconds(21)][1:]


def first_visits(browser, url, n=3):
    "Seconds from opening the page, with nothing in the cache and a slow line, to the first answer."
    times, (clip,) = [], five_seconds(1)
    for _ in range(n):
        context = browser.new_context()
        page = context.new_page()
        line = dict(offline=False, latency=DELAY_MS, downloadThroughput=BYTES_A_SECOND, uploadThroughput=BYTES_A_SECOND)
        devtools = context.new_cdp_session(page)
        devtools.send('Network.enable')
        devtools.send('Network.emulateNetworkConditions', line)
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_selector('html[data-ready]')
        page.set_input_files('#file', dict(name='clip.wav', mimeType='audio/wav', buffer=clip))
        page.wait_for_selector('.mlc-word', timeout=120_000)
        times.append(time.perf_counter()-start)
        context.close()
    return times


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments): pass


def measure(folder):
    "The table, of pages in a folder."
    server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}/detect.html'
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(url)
        page.wait_for_selector('#progress', state='hidden')
        table = compare(page, LanguageDetector.load())
        waits = {'answer to a clip of 5 s': answer_times(page),
                 'first visit to first answer': first_visits(browser, url)}
        browser.close()
    rows = [{'what': what, 'n': len(times), 'median': np.median(times), 'most': max(times), 'unit': 's'}
            for what, times in waits.items()]
    megabytes = sum(path.stat().st_size for path in Path(folder).iterdir() if path.is_file())/1e6
    rows.append({'what': 'page, detector and weights, as they are sent', 'n': 1, 'median': megabytes, 'unit': 'MB'})
    return pd.concat([table, pd.DataFrame(rows)]).round(4)


def main():
    argparse.ArgumentParser(description="The detector in a browser beside Python's.").parse_args()
    if not CHROMIUM: sys.exit('There is no Chromium here; install it.')
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, HERE.parent/'tools'/'apps.py', folder], check=True)
        table = measure(folder)
    table.to_csv(HERE/'browser_detector.csv', index=False)
    print(table.to_string(index=False))
    print(f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}')


if __name__ == '__main__': main()
