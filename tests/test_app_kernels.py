"`mlcourse app` as a person starts it: a kernel ends with its page, and there are never too many."
import os, re, subprocess, sys, time, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from conftest import free_port
from mlcourse.kernels import MOST_KERNELS, TOO_MANY

COMMAND = [sys.executable, '-c', 'import sys; from mlcourse.cli import main; sys.exit(main())']


@pytest.fixture(scope='module')
def app(tmp_path_factory):
    "The app's process and address."
    folder = tmp_path_factory.mktemp('app')
    with (folder/'log').open('w') as log:
        server = subprocess.Popen([*COMMAND, 'app', 'thumbnails', '--no-browser', f'--port={free_port()}'],
                                  cwd=folder, env=os.environ | {'IPYTHONDIR': str(folder)},
                                  stdout=subprocess.DEVNULL, stderr=log)
    try:
        for _ in range(600):
            if found := re.search(r'http://\S+token=\w+', (folder/'log').read_text()): break
            time.sleep(0.1)
        yield server, found[0]
        assert 'Traceback' not in (folder/'log').read_text() and ' 403 ' not in (folder/'log').read_text()
    finally: server.terminate(); server.wait(30)


def kernels(server): return len(psutil.Process(server.pid).children())


def wait_for(server, n, seconds=30):
    "How many kernels there are when `n` are, or in the end."
    for _ in range(10*seconds):
        if kernels(server) == n: break
        time.sleep(0.1)
    return kernels(server)


def test_a_kernel_ends_with_its_page(app, browser):
    server, url = app
    def load(): page.wait_for_selector('input[type=file]', state='attached', timeout=90_000)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url); load()
        for _ in range(2): page.reload(); load()
        assert wait_for(server, 1) == 1, 'after reloads'
        other = page
        page = context.new_page()
        page.goto(url); load()
        page.close(run_before_unload=True)
        assert wait_for(server, 1) == 1, 'after a tab was closed'
        other.get_by_text('Try the sample').click()
        other.close(run_before_unload=True)
        assert wait_for(server, 0) == 0


def test_too_many_pages_are_refused_with_a_sentence(app):
    server, url = app
    def ask(_):
        try: return urllib.request.urlopen(url, timeout=120).read().decode()
        except urllib.error.HTTPError as error: return error.read().decode()
    with ThreadPoolExecutor(MOST_KERNELS+2) as pool: pages = list(pool.map(ask, range(MOST_KERNELS+2)))
    assert sum(TOO_MANY in page for page in pages) == 2 and kernels(server) == MOST_KERNELS
