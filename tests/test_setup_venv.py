"""tools/setup_venv.py: whatever way an install fails, it gives one clear line, and the next one works."""
import importlib.util, os, re, shutil, subprocess, sys, zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from unittest.mock import patch

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT/'tools/setup_venv.py'
DEAD = 'http://127.0.0.1:9'  # where nobody listens
BINARIES = Path(sys.prefix).parent/'.uv'/('Scripts' if os.name == 'nt' else 'bin')
UV = shutil.which('uv', path=os.pathsep.join([str(BINARIES), os.environ['PATH']]))


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location('setup_venv', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'LINUX', True)
    monkeypatch.setattr(module.shutil, 'disk_usage', lambda _: SimpleNamespace(free=500e9))
    monkeypatch.setattr(module, 'has_nvidia', lambda: True)
    with patch.dict(os.environ): yield module


@pytest.fixture
def project(tmp_path):
    "A folder with what the script reads, under a name that shells and make stumble over."
    root = tmp_path/'a $b c'
    root.mkdir()
    for name in ('settings.ini', 'setup.py', 'pyproject.toml', 'constraints.txt'): shutil.copy(ROOT/name, root)
    return root


@pytest.fixture
def asked(script, project, monkeypatch):
    "What uv was asked to install, by a stand-in whose environments are a folder with an empty file."
    asked = []

    def run(root, *command):
        if command[1] == 'venv': (root/'.venv/python').touch()
        else: asked.append(list(command[5:]))
    monkeypatch.setattr(script, 'run', run)
    monkeypatch.setattr(script, 'minor_version', lambda venv: (venv/'python').exists() and sys.version_info[1])
    monkeypatch.setattr(script, 'get_uv', lambda root: UV or 'uv')
    return asked


def fails(script, project, capsys, *arguments):
    "Run main, which must fail; the one line it prints about that."
    assert script.main(list(arguments), root=project) == 1
    output = capsys.readouterr().err.strip()
    assert output and '\n' not in output and 'Traceback' not in output
    return output


def test_second_run_does_nothing(script, project, asked):
    assert script.main([], root=project) == 0
    assert asked == [['--constraint', 'constraints.txt', '--config-settings', 'editable_mode=compat',
                      '--editable', '.']]
    assert script.main([], root=project) == 0 and len(asked) == 1
    # The tests' packages come on top, and stay.
    assert script.main(['--dev'], root=project) == 0 and asked[-1][-1] == '.[dev,scale,site]' and len(asked) == 2
    assert script.main(['--dev'], root=project) == 0 and script.main([], root=project) == 0 and len(asked) == 2
    with (project/'constraints.txt').open('a') as file: file.write('# changed\n')
    assert script.main([], root=project) == 0 and asked[-1][-1] == '.[dev,scale,site]' and len(asked) == 3
    # A folder that was moved needs a new one.
    (project/'.venv/old').touch()
    moved = project.rename(project.parent/'moved')
    assert script.main([], root=moved) == 0 and len(asked) == 4 and not (moved/'.venv/old').exists()


@pytest.mark.parametrize('minor, wrong', [(9, 'old'), (15, 'new')])
def test_python_not_supported(script, project, asked, monkeypatch, capsys, minor, wrong):
    monkeypatch.setattr(script, 'minor_version', lambda venv: minor)
    said = fails(script, project, capsys, '--python', f'python3.{minor}')
    assert said == f'Python 3.{minor} is too {wrong}: mlcourse needs Python 3.11 to 3.14.'
    assert not asked and not (project/'.venv').exists()


@pytest.mark.parametrize('failing, arguments', [
    ('install', ['--dev']), ('install', ['--torch', 'cpu']), ('make_venv', ['--python', 'absent'])])
def test_a_failed_install_leaves_what_works(script, project, asked, monkeypatch, capsys, failing, arguments):
    assert script.main([], root=project) == 0
    (project/'.venv/whole').touch()

    def fail(*arguments): raise script.Problem('It failed.')
    monkeypatch.setattr(script, failing, fail)
    assert fails(script, project, capsys, *arguments) == 'It failed.' and (project/'.venv/whole').exists()
    assert script.main([], root=project) == 0 and len(asked) == 1 and not (project/'.venv.old').exists()


@pytest.fixture(params=[False, True], ids=['Ctrl-C', 'killed'])
def stopped(request, script, project, monkeypatch, capsys):
    "Run main, which is stopped halfway; where it is killed, nothing is put right afterwards."
    def stop(*arguments):
        (project/'.venv/half').touch()
        raise KeyboardInterrupt

    def run(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(script, 'install', stop)
            if request.param: patch.setattr(script, 'restore', lambda venv, old: None)
            assert fails(script, project, capsys, *arguments).startswith('Stopped.')
    return run


def test_stopped_halfway_starts_afresh(script, project, asked, stopped):
    stopped()
    assert script.main([], root=project) == 0 and not (project/'.venv/half').exists()
    (project/'setup.py').write_text('# changed')
    stopped()  # an update, which may leave anything
    assert script.main([], root=project) == 0 and not (project/'.venv/half').exists()
    (project/'.venv/whole').touch()
    stopped('--torch', 'cpu')  # a new one in the place of one that works
    assert script.main([], root=project) == 0 and (project/'.venv/whole').exists() and len(asked) == 2
    assert not (project/'.venv.old').exists()


def test_somebody_elses_environment_is_used_and_never_replaced(script, project, asked, stopped, capsys):
    (project/'.venv').mkdir()
    (project/'.venv/precious').touch()
    assert 'made by somebody else' in fails(script, project, capsys)
    (project/'.venv/python').touch()
    assert 'move it away' in fails(script, project, capsys, '--python', 'python3.12')
    stopped()
    assert script.main([], root=project) == 0 and len(asked) == 1 and (project/'.venv/precious').exists()
    moved = project.rename(project.parent/'moved')  # it is told where mlcourse is now
    assert script.main([], root=moved) == 0 and len(asked) == 2 and (moved/'.venv/precious').exists()


def test_no_disk(script, project, asked, monkeypatch, capsys):
    monkeypatch.setattr(script.shutil, 'disk_usage', lambda _: SimpleNamespace(free=1e9))
    assert 'needs 8 GB' in (said := fails(script, project, capsys)) and '1.0 GB' in said and 'TORCH=cpu' in said
    assert 'needs 3 GB' in (said := fails(script, project, capsys, '--torch', 'cpu')) and 'TORCH' not in said
    assert not (project/'.venv').exists()


def test_no_venv_module(script, project, monkeypatch, capsys):
    "As Debian's Python is without python3-venv."
    monkeypatch.setitem(sys.modules, 'ensurepip', None)
    said = fails(script, project, capsys)
    assert 'has no venv module' in said and f'apt install python3.{sys.version_info[1]}-venv' in said


def test_no_network(script, project, monkeypatch, capsys):
    "A real environment and a real pip, with an index at a port where nobody listens."
    for name, value in dict(CONFIG_FILE=os.devnull, INDEX_URL=DEAD, RETRIES='0').items():
        monkeypatch.setenv(f'PIP_{name}', value)
    assert fails(script, project, capsys).startswith('The package index cannot be reached: look at the network')
    assert not (project/'.venv').exists()


def test_old_pythons_give_the_line(project):
    pythons = list(Path.home().glob('.pyenv/versions/3.[67].*/bin/python'))
    if not pythons: pytest.skip('no old Python on this machine')
    shutil.copytree(SCRIPT.parent, project/'tools')
    for python in pythons:
        done = subprocess.run([python, project/'tools/setup_venv.py'], capture_output=True, text=True)
        assert done.returncode == 1 and 'is too old to bring uv: install Python 3.11 to 3.14' in done.stderr
        assert done.stderr.count('\n') == 1 and not done.stdout


def test_uv_looks_where_pip_looks(script, project, monkeypatch):
    for name in {*script.FROM_PIP.values(), 'UV_INDEX_STRATEGY', *(n for n in os.environ if n.startswith('PIP_'))}:
        monkeypatch.delenv(name, raising=False)
    (project/'pip.conf').write_text('[global]\nindex-url = https://one\nfind-links =\n  /a\n  /b\n'
                                    '[install]\nindex-url = https://two\nextra-index-url = https://three\n')
    monkeypatch.setenv('PIP_CONFIG_FILE', str(project/'pip.conf'))
    monkeypatch.setenv('PIP_CERT', '/c.pem')
    monkeypatch.setattr(script, 'program', lambda home, name: sys.executable if name == 'python' else name)
    monkeypatch.setattr(script, 'run', lambda *command: None)
    script.get_uv(project)
    assert os.environ.items() >= dict(UV_DEFAULT_INDEX='https://two', UV_INDEX='https://three', UV_FIND_LINKS='/a,/b',
                                      SSL_CERT_FILE='/c.pem', UV_INDEX_STRATEGY='unsafe-best-match').items()


@pytest.mark.parametrize('said, told', [
    ('error: Failed to download `a==1`\n  cause: No space left on device (os error 28)', 'The disk is full'),
    ('error: Failed\n  cause: error sending request for url (https://x.org/a)', 'index at https://x.org cannot'),
    ('error: Failed\n  cause: https://x.org/python-build-standalone/x', 'No fitting Python was found, and none could'),
    ('Resolved\nerror: None\n  cause: Because no b==1.\n\nhint: x', 'The install failed: None: Because no b==1.'),
    ('', 'no reason was given')])
def test_explain(script, said, told): assert told in script.explain(said)


def test_build_of_torch(script, project, asked, monkeypatch, capsys):
    monkeypatch.setattr(script, 'choose_torch', lambda root, pip: ('cpu', 'this is why'))
    assert script.main([], root=project) == 0 and asked[0] == script.cpu_pair(project) and len(asked) == 2
    assert 'PyTorch for the processor: this is why.' in capsys.readouterr().out
    # Once chosen it stays; another one is a new environment.
    assert script.main(['--dev'], root=project) == 0 and asked[2] == asked[0] and len(asked) == 4
    assert script.main(['--torch', 'cuda'], root=project) == 0 and len(asked) == 5
    assert 'TORCH=tpu is not known' in fails(script, project, capsys, '--torch', 'tpu')


@pytest.fixture
def pip(script, project, tmp_path, monkeypatch):
    "The real uv's `pip install` in a new environment, and a stand-in for PyTorch's index with two empty wheels."
    if not UV: pytest.skip('this environment was not made by uv')
    for name, version in re.findall(r'(?m)^(torch(?:vision)?)==([\d.]+)$', (project/'constraints.txt').read_text()):
        wheel, info = f'{name}-{version}+cpu-py3-none-any.whl', f'{name}-{version}+cpu.dist-info'
        (tmp_path/'index'/name).mkdir(parents=True)
        with zipfile.ZipFile(tmp_path/'index'/name/wheel, 'w') as file:
            file.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}+cpu\n')
            file.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
            file.writestr(f'{info}/RECORD', '')
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path/'index')))
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(script, 'CPU_INDEX', f'http://127.0.0.1:{server.server_port}')
    monkeypatch.setattr(script, 'has_nvidia', lambda: False)
    monkeypatch.setenv('UV_CACHE_DIR', str(tmp_path/'cache'))
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', project/'.venv'], check=True)
    assert script.minor_version(project/'.venv') == sys.version_info[1] and not script.minor_version(project)
    yield [UV, 'pip', 'install', '--python', script.program(project/'.venv', 'python')]
    server.shutdown()


def test_which_build_of_torch_fits(script, project, pip, monkeypatch):
    assert script.choose_torch(project, pip) == ('cpu', 'this machine has no NVIDIA card')
    monkeypatch.setattr(script, 'PATIENCE', 3)
    with ThreadingHTTPServer(('127.0.0.1', 0), None) as silent:  # accepts, and never answers
        for index in f'http://127.0.0.1:{silent.server_port}', DEAD:
            monkeypatch.setattr(script, 'CPU_INDEX', index)
            assert script.choose_torch(project, pip)[1].endswith(f'{index}, which has the small build, does not answer')
    monkeypatch.setattr(script, 'has_nvidia', lambda: True)
    assert script.choose_torch(project, pip) == ('cuda', 'this machine has an NVIDIA card')


def test_the_pair_is_taken_and_kept(script, project, pip, tmp_path):
    script.run(project, *pip, *script.cpu_pair(project))
    assert len(list(project.glob('.venv/**/torch*+cpu.dist-info'))) == 2
    script.run(project, *pip, '--offline', *script.cpu_pair(project)[3:])  # the same numbers, without +cpu
    for wheel in tmp_path.glob('index/*/*.whl'): wheel.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(script.Problem, match=r'A download is broken \(torch(vision)?==[\d.]+\+cpu\): run it again'):
        script.run(project, *pip, '--no-cache', '--reinstall', *script.cpu_pair(project))


make = pytest.mark.skipif(os.name == 'nt' or not shutil.which('make'), reason='needs make, and shells as on Linux')


@make
def test_make_alone_prints_help():
    output = subprocess.run(['make'], cwd=ROOT, capture_output=True, text=True).stdout
    assert all(f'make {target} ' in output for target in ('demo', 'lab', 'test', 'notebooks', 'dev'))


@make
def test_make_without_any_python(tmp_path):
    for name in ('sh', 'echo', 'test'): (tmp_path/name).symlink_to(shutil.which(name))
    command = [shutil.which('make'), 'demo', 'SHELL=/bin/sh']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={'PATH': str(tmp_path)})
    assert done.returncode != 0 and 'No Python was found: install Python 3.11 to 3.14' in done.stderr
