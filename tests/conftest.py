"""What the tests of the apps share: a browser, and a JupyterLab and a Voila that serve notebooks on loopback.

    def test_something(open_app):                  # once in JupyterLab, once in Voila
        page = open_app('from mlcourse.language.app import LanguageApp\nLanguageApp()')
        page.set_input_files('input[type=file]', path)

A test that should run in one of them only says `@pytest.mark.parametrize('kind', ['voila'], indirect=True)`.
`open_app` waits for an `.mlc-app` on the page. When the test is over it fails if the browser's console or the
kernel's log holds an error.
"""
import os, shutil, signal, socket, subprocess, sys, time, urllib.request

import nbformat
import pytest

from mlcourse.cli import VOILA_OPTIONS

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
# Chromium in a container, without a display and without calls home.
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync']
PICTURES = os.environ.get('MLCOURSE_PICTURES') # a folder that gets the pictures of test_pictures.py
NOT_OURS = ('favicon', 'mathjax', 'MathJax', 'cdn.jsdelivr', 'ERR_INTERNET_DISCONNECTED', 'ERR_NAME_NOT_RESOLVED',
            'ERR_PROXY', 'ERR_TUNNEL')


# Files that take longest begin first, so that no worker is left with one at the end.
LONG = 'test_site.py', 'test_contest.py', 'test_apps.py', 'test_thumbnail_app.py', 'test_scale.py'


def pytest_collection_modifyitems(items): items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope='session')
def playwright():
    "Playwright, or a reason to skip."
    if not CHROMIUM: pytest.skip('there is no Chromium here')
    sync_api = pytest.importorskip('playwright.sync_api', reason='Playwright is not installed')
    with sync_api.sync_playwright() as running: yield running


@pytest.fixture(scope='session')
def start_browser(playwright):
    "Start a Chromium, with more flags if need be; all are closed at the end."
    started = {}

    def start(*flags):
        if flags not in started:
            try: started[flags] = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
            except Exception as error: pytest.skip(f'Chromium does not start here: {str(error).splitlines()[0]}')
        return started[flags]
    yield start
    for browser in started.values(): browser.close()


@pytest.fixture(scope='session')
def browser(start_browser): return start_browser()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    "A JupyterLab or Voila on loopback, its notebooks in a folder of their own."
    def __init__(self, kind, folder):
        self.kind, self.folder, self.log, self.n = kind, folder, folder/'server.log', 0
        (folder/'notebooks').mkdir()
        news = folder/'JUPYTERLAB_SETTINGS_DIR'/'@jupyterlab'/'apputils-extension'/'notification.jupyterlab-settings'
        news.parent.mkdir(parents=True)
        news.write_text('{"fetchNews": "false"}') # or it asks on every page
        self.url = f'http://127.0.0.1:{(port := free_port())}/'
        names = ('JUPYTER_CONFIG_DIR', 'JUPYTER_RUNTIME_DIR', 'IPYTHONDIR', 'JUPYTERLAB_SETTINGS_DIR',
                 'JUPYTERLAB_WORKSPACES_DIR')
        environment = {**os.environ, **{name: str(folder/name) for name in names}, 'OMP_NUM_THREADS': '1'}
        command = {'lab': ['jupyterlab', '--IdentityProvider.token=', '--ServerApp.allow_root=True',
                           f'--ServerApp.root_dir={folder/"notebooks"}', '--LabApp.news_url=',
                           '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate'],
                   'voila': ['voila', str(folder/'notebooks'), *VOILA_OPTIONS]}[kind]
        with self.log.open('w') as log:
            self.process = subprocess.Popen([sys.executable, '-m', *command, '--no-browser', f'--port={port}'],
                                            cwd=folder/'notebooks', env=environment, start_new_session=True,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.wait()

    def wait(self):
        for _ in range(240):
            try: return urllib.request.urlopen(self.url, timeout=5).close()
            except OSError: time.sleep(0.25)
            assert self.process.poll() is None, self.log.read_text()
        raise AssertionError(self.log.read_text())

    def close(self):
        try: # the family has a session of its own: its kernels end with it
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired): os.killpg(self.process.pid, signal.SIGKILL)

    def add(self, code):
        "A notebook with one code cell; returns its path."
        self.n += 1
        path = self.folder/'notebooks'/f'app-{self.n}.ipynb'
        kernel = {'name': 'python3', 'display_name': 'Python 3', 'language': 'python'}
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata={'kernelspec': kernel})
        nbformat.write(nb, path)
        return path


@pytest.fixture(scope='session')
def servers(tmp_path_factory):
    "kind -> a server, started when first asked for and shared by all tests."
    started = {}

    def serve(kind):
        if kind not in started: started[kind] = Server(kind, tmp_path_factory.mktemp(kind))
        return started[kind]
    yield serve
    for server in started.values(): server.close()


@pytest.fixture(params=['lab', 'voila'])
def kind(request): return request.param


def close_dialog(dialog):
    "Answer what JupyterLab asks, such as when its server was slow to answer; a test that fails shows what it was."
    print('JupyterLab asked:', dialog.inner_text())
    dialog.locator('button').last.click()


def run_cell(page):
    "Run the cell of the notebook that JupyterLab shows, as soon as its kernel listens."
    # Attached, not visible: a narrow page hides it.
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status=idle]', state='attached', timeout=60_000)
    for _ in range(20):
        page.click('.jp-Notebook .cm-content')
        page.keyboard.press('Control+Enter')
        page.wait_for_timeout(500)
        if page.inner_text('.jp-InputPrompt').strip() not in ('[ ]:', ''): return


@pytest.fixture(scope='session')
def shared_pages():
    "(kind, code) -> a page that several tests use, since to start a kernel and to load torch takes seconds."
    pages = {}
    yield pages
    for page in pages.values(): page.context.close()


@pytest.fixture
def open_app(servers, kind, browser, shared_pages):
    """Open a notebook of one cell and return the page with its app; `page.notebook` is its path.

    Its kernel works in the folder of the notebook. With `share=True` the page stays open, and the next test that
    asks for the same code gets it as it was left.
    """
    server, opened = servers(kind), []

    def open(code, width=1000, height=1000, browser=browser, share=False, **options):
        page = shared_pages.get((kind, code)) if share else None
        if page: page.set_viewport_size({'width': width, 'height': height})
        else: page = start(code, browser.new_context(viewport={'width': width, 'height': height}, **options))
        if share: shared_pages[kind, code] = page
        opened.append((page, share))
        return page

    def start(code, context):
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.errors, page.notebook = [], server.add(code)
        def ours(message): return not any(word in message.text + str(message.location) for word in NOT_OURS)
        page.on('console', lambda m: page.errors.append(m.text) if m.type == 'error' and ours(m) else None)
        page.on('pageerror', lambda e: page.errors.append(str(e)))
        if kind == 'lab':
            page.add_locator_handler(page.locator('.jp-Dialog'), close_dialog)
            page.goto(f'{server.url}lab/workspaces/w{server.n}/tree/{page.notebook.name}')
            run_cell(page)
        else: page.goto(f'{server.url}voila/render/{page.notebook.name}')
        page.wait_for_selector('.mlc-app', timeout=90_000)
        return page
    before = server.log.stat().st_size
    yield open
    errors = [error for page, _ in opened for error in page.errors]
    for page, shared in opened:
        page.errors.clear()
        if not shared: page.context.close()
    logged = server.log.read_text()[before:]
    assert not errors, errors
    assert 'Traceback' not in logged, logged
