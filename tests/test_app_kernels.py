"`mlcourse app` as a person starts it: a kernel ends with its page, and there are never too many."
import os, re, subprocess, sys, time

import psutil
import pytest

from conftest import free_port
from mlcourse.kernels import TOO_MANY

COMMAND = [sys.executable, '-c', 'import sys; from mlcourse import cli, kernels; '
           'kernels.MOST_KERNELS = 2; sys.exit(cli.main())']


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


def test_a_kernel_ends_with_its_page_and_there_are_never_too_many(app, browser):
    server, url = app
    with browser.new_context() as context:
        def opened():
            page = context.new_page()
            page.set_default_timeout(90_000)
            page.goto(url)
            return page
        def load(page): page.wait_for_selector('input[type=file]', state='attached')
        page = opened(); load(page)
        page.reload(); load(page)
        assert wait_for(server, 1) == 1, 'after it was loaded again'
        second = opened(); load(second)
        assert TOO_MANY in opened().inner_text('body')
        second.close(run_before_unload=True)
        assert wait_for(server, 1) == 1, 'after a tab was closed'
        page.get_by_text('Try the sample').click()
        page.wait_for_selector('.advice h2')
        page.close(run_before_unload=True)
        assert wait_for(server, 0) == 0
