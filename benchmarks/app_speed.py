"""How long the language app takes from upload to answer, where the time goes, and what it does to the memory.

    python benchmarks/app_speed.py [--uploads 100]

Twenty clips of 5 s, one after the other, after a first one that does not count: the median, and the slowest. The first
rows are Python's part, without a browser. The last is the whole way in Chromium and Voila, from the moment a file is
given to the page to the moment its pictures are there (left out where there is no Chromium). Then the memory of a
process that answers a hundred uploads, each with its pictures, and explains the last of them twenty times. Results are
kept in app_speed.csv, which nbs/language/10_app.ipynb shows.
"""
import argparse, gc, io, os, shutil, socket, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import soundfile

from mlcourse.cli import VOILA_OPTIONS, write_app
from mlcourse.language.app import answer_html, flac, LanguageApp, predict_clip, timeline_html
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import example_clips

HERE = Path(__file__).resolve().parent
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync'] # without a display, and without calls home


def wav(samples):
    "The samples as a WAV file."
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format='WAV')
    return file.getvalue()


def five_seconds(n):
    "`n` different WAV files of 5 s, from the shipped clips."
    voices = [np.concatenate([load(p) for p in example_clips().path])]*2
    whole = np.concatenate(voices)
    starts = np.linspace(0, len(whole)-5*SAMPLE_RATE, n).astype(int)
    return [wav(whole[s:s+5*SAMPLE_RATE]) for s in starts]


def python_part(app, files):
    "Seconds for each step of an upload, without a browser."
    rows = []
    for i, data in enumerate(files):
        marks = [time.perf_counter()]
        samples = load(data); marks.append(time.perf_counter())
        clip = predict_clip(app.detector, 'clip', (samples, SAMPLE_RATE)); marks.append(time.perf_counter())
        answer_html(clip.answer), timeline_html(clip), flac(clip.samples); marks.append(time.perf_counter())
        app.try_clip(f'clip {i}', data); marks.append(time.perf_counter())
        rows.append(np.diff(marks))
    return dict(zip(['decode', 'find the language', 'draw the pictures', "all of Python's part"], np.array(rows).T))


def serve_app(folder):
    "Voila with the app on loopback, once it answers: (process, address)."
    with socket.socket() as free: free.bind(('127.0.0.1', 0)); port = free.getsockname()[1]
    command = [sys.executable, '-m', 'voila', str(write_app('language', folder)), *VOILA_OPTIONS,
               '--no-browser', f'--port={port}']
    url = f'http://127.0.0.1:{port}/'
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(240):
        try: urllib.request.urlopen(url, timeout=60).close(); return process, url
        except OSError: time.sleep(0.25)
    process.terminate()
    raise SystemExit('The app does not answer.')


def whole_way(files):
    "Seconds from giving a file to the page to the new answer on it."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        server, url = serve_app(folder)
        try:
            page = browser.new_page()
            page.set_default_timeout(120_000)
            page.goto(url)
            page.wait_for_selector('input[type=file]', state='attached')
            took = []
            for i, data in enumerate(files):
                path = Path(folder)/f'clip-{i}.wav'
                path.write_bytes(data)
                start = time.perf_counter()
                page.set_input_files('input[type=file]', path)
                page.wait_for_selector(f'.mlc-plot[aria-label*="clip-{i}.wav"]', state='attached')
                took.append(time.perf_counter()-start)
            return np.array(took)
        finally: server.terminate(); server.wait(); browser.close()


def megabytes():
    gc.collect()
    return psutil.Process().memory_info().rss/1e6


def memory(app, files, uploads):
    "Megabytes of this process after every tenth upload, then after every explanation."
    used, explained = {}, []
    for n in range(1, uploads+1):
        about = dict(view='1', name=f'clip {n}.wav', first=True, start=True, last=True, size=0)
        app.upload._receive(about, [files[n % len(files)]])
        if n % 10 == 0: used[n] = megabytes()
    for _ in range(uploads//5):
        app.explain.press()
        explained.append(megabytes())
    return used, explained


def main():
    parser = argparse.ArgumentParser(description='From upload to answer, and memory.')
    parser.add_argument('--uploads', type=int, default=100)
    args = parser.parse_args()
    files = five_seconds(21)
    app = LanguageApp(folder=tempfile.mkdtemp())
    times = {name: values[1:] for name, values in python_part(app, files).items()}
    if CHROMIUM: times['in the browser, all of it'] = whole_way(files)[1:]
    rows = [{'what': name, 'unit': 's', 'median': np.median(v), 'most': v.max()} for name, v in times.items()]
    used, explained = memory(LanguageApp(folder=tempfile.mkdtemp()), files, args.uploads)
    grown = used[args.uploads]-used[10]
    rows += [{'what': f'memory after upload {args.uploads}, above that after upload 10', 'unit': 'MB',
              'median': grown, 'most': max(used.values())-used[10]},
             {'what': f'memory after explanation {len(explained)}, above that after the second', 'unit': 'MB',
              'median': explained[-1]-explained[1], 'most': max(explained)-explained[1]}]
    table = pd.DataFrame(rows).round(3)
    table.to_csv(HERE/'app_speed.csv', index=False)
    print(table.to_string(index=False))
    print(f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}')
    return int(grown > 50)


if __name__ == '__main__': sys.exit(main())
