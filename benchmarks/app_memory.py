"""What the pages of an app hold: kernels and memory after reloads, after closed tabs, and with five tabs at once.

    python benchmarks/app_memory.py [--app thumbnails] [--times 20]

Starts `mlcourse app` as a person does, opens its page in Chromium, loads it again `times` times, then opens and closes
as many tabs, a new one as soon as the last has its app. Memory is that of the server and all its kernels: on Linux,
pages that several processes share count once. At the end five tabs each get a file at the same time. The table is kept
in app_memory.csv.
"""
import argparse, os, re, shutil, subprocess, sys, time
from pathlib import Path

import pandas as pd
import psutil
from playwright.sync_api import sync_playwright

from mlcourse.language.clips import example_clips
from mlcourse.thumbnails.edits import sample_thumbnail

HERE = Path(__file__).resolve().parent
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync'] # without a display, and without calls home
FILES = {'language': example_clips().path[0], 'thumbnails': sample_thumbnail()}
ANSWERED = {'language': '.mlc-word', 'thumbnails': '.advice h2'}


def start(app):
    "`mlcourse app` and its address, once it listens."
    command = [sys.executable, '-c', 'import sys; from mlcourse.cli import main; sys.exit(main())']
    server = subprocess.Popen([*command, 'app', app, '--no-browser', '--port=18866'], text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for line in server.stderr:
        if found := re.search(r'http://\S+token=\w+', line): return server, found[0]
    raise SystemExit('The app does not start.')


def size(process):
    "Megabytes; none of one that has just ended."
    try: memory = process.memory_full_info()
    except psutil.NoSuchProcess: return 0
    return getattr(memory, 'pss', memory.rss)/1e6


def held(server):
    "Kernels of the server, and megabytes of all."
    parent = psutil.Process(server.pid)
    kernels = [mb for mb in map(size, parent.children()) if mb]
    return len(kernels), size(parent)+sum(kernels)


def settled(server, kernels=1, seconds=30):
    "What is held when the kernels that were told to end have had time to."
    end = time.monotonic()+seconds
    while held(server)[0] > kernels and time.monotonic() < end: time.sleep(0.2)
    return held(server)


def opened(context, url):
    "A page with the app on it, and the seconds it took."
    page, start = context.new_page(), time.perf_counter()
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector('input[type=file]', state='attached')
    return page, time.perf_counter()-start


def five_at_once(context, url, app):
    "Seconds until five new tabs have all answered."
    start, pages = time.perf_counter(), [context.new_page() for _ in range(5)]
    for page in pages: page.evaluate('url => { location = url }', url) # without waiting for it
    for page in pages: page.wait_for_selector('input[type=file]', state='attached', timeout=120_000)
    for page in pages: page.set_input_files('input[type=file]', FILES[app])
    for page in pages: page.wait_for_selector(ANSWERED[app], timeout=120_000)
    return time.perf_counter()-start


def measure(app, times, context, server, url):
    "Rows of the table."
    page, took = opened(context, url)
    rows = [('the first page', took, *held(server))]
    for _ in range(times):
        page.reload()
        page.wait_for_selector('input[type=file]', state='attached')
    rows.append((f'after {times} reloads', None, *settled(server)))
    for _ in range(times): opened(context, url)[0].close(run_before_unload=True)
    rows.append((f'after {times} closed tabs', None, *settled(server)))
    page.set_input_files('input[type=file]', FILES[app])
    page.wait_for_selector(ANSWERED[app])
    rows.append(('the first tab still answers', None, *held(server)))
    rows.append(('five more tabs answer at once', five_at_once(context, url, app), *held(server)))
    return rows


def main():
    parser = argparse.ArgumentParser(description='What the pages of an app hold.')
    parser.add_argument('--app', choices=list(FILES), default='language')
    parser.add_argument('--times', type=int, default=20)
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        server, url = start(args.app)
        try: rows = measure(args.app, args.times, browser.new_context(), server, url)
        finally: server.terminate(); server.wait(); browser.close()
    table = pd.DataFrame(rows, columns=['when', 'seconds', 'kernels', 'megabytes']).round(1)
    table.to_csv(HERE/'app_memory.csv', index=False)
    print(table.to_string(index=False, na_rep=''))
    print(f'{args.app}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}')
    return int(table.megabytes[1:3].max()-table.megabytes[0] > 300)


if __name__ == '__main__': sys.exit(main())
