"""tools/setup_venv.py: whatever way an install fails, it gives one clear line, and the next one works."""
import importlib.util, json, os, shutil, subprocess, sys, tempfile
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT/'tools/setup_venv.py'
pytestmark = pytest.mark.skipif(os.name == 'nt', reason='the stand-ins for Python are shell scripts')


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))  # takes pip's logs
    spec = importlib.util.spec_from_file_location('setup_venv', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path):
    "A folder with what the script reads."
    root = tmp_path/'project'
    root.mkdir()
    for name in ('settings.ini', 'setup.py', 'pyproject.toml', 'constraints.txt'): shutil.copy(ROOT/name, root)
    return root


@pytest.fixture
def only(tmp_path, monkeypatch, script):
    "Put stand-ins for Python on a PATH of their own: only(python3='...shell script...')."
    folder = tmp_path/'bin'
    folder.mkdir()

    def put(**scripts):
        for name, text in scripts.items():
            (folder/name).write_text(f'#!/bin/sh\n{text}\n')
            (folder/name).chmod(0o755)
        monkeypatch.setenv('PATH', str(folder))
        monkeypatch.setattr(script.sys, 'executable', str(folder/'absent'))
        return folder
    return put


def says(version, has_venv=True, bits=64):
    facts = dict(version=version, has_venv=has_venv, path='/opt/python', machine='arm64', bits=bits)
    return f"echo '{json.dumps(facts)}'"


def fails(script, project, capsys, *arguments):
    "Run main, which must fail; the one line it prints about that."
    assert script.main(list(arguments), root=project) == 1
    output = capsys.readouterr().err.strip()
    assert output and '\n' not in output and 'Traceback' not in output
    return output


def test_python_too_old(script, project, only, capsys):
    only(python3=says([3, 9]))
    assert 'Python 3.9 (/opt/python) is too old: mlcourse needs Python 3.11 to 3.13' in fails(script, project, capsys)
    assert not (project/'.venv').exists()


def test_python_too_new(script, project, only, capsys):
    only(python3=says([3, 15]))
    assert 'too new: mlcourse needs Python 3.11 to 3.13' in fails(script, project, capsys)


def test_newest_supported_python_is_taken(script, project, only):
    only(python3=says([3, 14]), python=says([2, 7]), **{'python3.12': says([3, 12]), 'python3.11': says([3, 11])})
    assert script.choose_python(script.supported(project))['version'] == (3, 12)


def test_a_python_that_does_not_run_is_passed_over(script, project, only):
    only(python3=says([3, 11]), **{'python3.13': 'echo "pyenv: python3.13: command not found" >&2; exit 127'})
    assert script.choose_python(script.supported(project))['version'] == (3, 11)


def test_no_python(script, project, only, capsys):
    only()
    assert 'No Python was found' in fails(script, project, capsys)


def test_named_python(script, project, only, capsys):
    only(mine=says([3, 8]), broken='exit 1', short=says([3, 12], bits=32))
    assert 'PYTHON=absent does not run' in fails(script, project, capsys, '--python', 'absent')
    assert 'PYTHON=broken does not run' in fails(script, project, capsys, '--python', 'broken')
    assert 'Python 3.8 (/opt/python) is too old' in fails(script, project, capsys, '--python', 'mine')
    assert '32-bit' in fails(script, project, capsys, '--python', 'short')


def test_no_venv_module(script, project, only, tmp_path, capsys):
    "A real Python whose ensurepip cannot be imported, as Debian's is without python3-venv."
    blocked = tmp_path/'blocked'
    blocked.mkdir()
    (blocked/'ensurepip.py').write_text('raise ImportError("taken out")')
    only(python3=f'PYTHONPATH={blocked} exec {sys.executable} "$@"')
    output = fails(script, project, capsys)
    assert 'has no venv module' in output and f'apt install python3.{sys.version_info[1]}-venv' in output


def test_unknown_torch(script, project, capsys):
    assert 'TORCH=cuda is not known' in fails(script, project, capsys, '--torch', 'cuda')


def old_pythons():
    "Pythons from 3.6 to 3.10 on this machine."
    places = [shutil.which(f'python3.{minor}') for minor in range(6, 11)]
    places += map(str, Path.home().glob('.pyenv/versions/3.*/bin/python'))
    is_old = ['-c', 'import sys; sys.exit(not (3, 6) <= sys.version_info < (3, 11))']
    good = [p for p in places if p and subprocess.run([p, *is_old], stderr=subprocess.DEVNULL).returncode == 0]
    return good or [pytest.param('', marks=pytest.mark.skip('no old Python on this machine'))]


@pytest.mark.parametrize('python', old_pythons())
def test_old_pythons_give_the_line(python, tmp_path):
    done = subprocess.run([python, SCRIPT, '--python', python], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and 'is too old: mlcourse needs Python 3.11 to 3.13.' in done.stderr
    assert done.stderr.count('\n') == 1 and not done.stdout


def test_no_disk(script, project, monkeypatch, capsys):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(script.shutil, 'disk_usage', lambda _: usage(50e9, 49e9, 1e9))
    monkeypatch.setattr(script.sys, 'platform', 'linux')
    output = fails(script, project, capsys, '--python', sys.executable)
    assert 'needs' in output and '1.0 GB' in output and 'TORCH=cpu' in output
    output = fails(script, project, capsys, '--python', sys.executable, '--torch', 'cpu')
    assert f'needs {script.DISK_GB["cpu"][1]} GB' in output and 'TORCH=cpu' not in output
    assert not (project/'.venv').exists()


@pytest.fixture
def roomy(script, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(script.shutil, 'disk_usage', lambda _: usage(500e9, 0, 500e9))


def test_no_network(script, project, roomy, monkeypatch, capsys):
    "A real environment and a real pip, with an index at a port where nobody listens."
    for name in [n for n in os.environ if n.startswith('PIP_')]: monkeypatch.delenv(name)
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
    monkeypatch.setenv('PIP_INDEX_URL', 'http://127.0.0.1:9/simple')
    monkeypatch.setenv('PIP_RETRIES', '0')
    output = fails(script, project, capsys, '--python', sys.executable)
    assert output.startswith('The package index cannot be reached: look at the network')
    assert Path(output.rsplit(' ', 1)[1].rstrip(')')).is_file()
    assert not (project/'.venv').exists()


@pytest.fixture
def pip(script, roomy, monkeypatch):
    "Real environments, made without pip to be quick, and a stand-in for pip that keeps what it was asked."
    asked = []
    def make_venv(venv, python): subprocess.run([python, '-m', 'venv', '--without-pip', venv], check=True)
    monkeypatch.setattr(script, 'run_pip', lambda venv, arguments, log: asked.append(arguments))
    monkeypatch.setattr(script, 'make_venv', make_venv)
    return asked


def test_second_run_does_nothing(script, project, pip):
    setup = ['--python', sys.executable]
    assert script.main(setup, root=project) == 0 and len(pip) == 1
    assert pip[0][-2:] == ['--editable', '.'] and pip[0][:2] == ['--constraint', str(project/'constraints.txt')]
    assert script.main(setup, root=project) == 0 and script.main([], root=project) == 0 and len(pip) == 1
    # The tests' packages come on top, and stay.
    assert script.main(['--dev'], root=project) == 0 and pip[-1][-1] == '.[dev]' and len(pip) == 2
    assert script.main(['--dev'], root=project) == 0 and script.main([], root=project) == 0 and len(pip) == 2
    with (project/'constraints.txt').open('a') as file: file.write('# changed\n')
    assert script.main([], root=project) == 0 and pip[-1][-1] == '.[dev]' and len(pip) == 3


def test_cpu_pair(script, project, pip, monkeypatch):
    monkeypatch.setattr(script.sys, 'platform', 'linux')
    assert script.main(['--torch', 'cpu', '--python', sys.executable], root=project) == 0
    pins = [line for line in (ROOT/'constraints.txt').read_text().splitlines() if line.startswith('torch')]
    assert len(pins) == 2 and pip[0] == ['--no-deps', '--index-url', 'https://download.pytorch.org/whl/cpu', *pins]
    # Once chosen it stays, also without saying so again.
    assert script.main([], root=project) == 0 and len(pip) == 2
    (project/'setup.py').write_text('# changed')
    assert script.main([], root=project) == 0 and pip[2] == pip[0]


def test_stopped_halfway_starts_afresh(script, project, pip, monkeypatch, capsys):
    stand_in = script.run_pip

    def pull_the_plug(venv, arguments, log): raise KeyboardInterrupt
    monkeypatch.setattr(script, 'run_pip', pull_the_plug)
    assert 'Stopped' in fails(script, project, capsys, '--python', sys.executable)
    (project/'.venv/half').touch()
    monkeypatch.setattr(script, 'run_pip', stand_in)
    assert script.main(['--python', sys.executable], root=project) == 0
    assert not (project/'.venv/half').exists() and not (project/'.venv/unfinished').exists()


def test_failed_update_keeps_the_environment(script, project, pip, monkeypatch, capsys):
    assert script.main(['--python', sys.executable], root=project) == 0
    (project/'.venv/whole').touch()
    (project/'setup.py').write_text('# changed')

    def no_network(venv, arguments, log): raise script.Problem('No network.')
    with monkeypatch.context() as patch:
        patch.setattr(script, 'run_pip', no_network)
        assert fails(script, project, capsys) == 'No network.'
    assert script.main([], root=project) == 0 and (project/'.venv/whole').exists()


def test_moved_folder_starts_afresh(script, project, pip):
    assert script.main(['--python', sys.executable], root=project) == 0
    (project/'.venv/old').touch()
    moved = project.rename(project.parent/'moved')
    assert script.main(['--python', sys.executable], root=moved) == 0 and not (moved/'.venv/old').exists()


def test_somebody_elses_environment_is_never_removed(script, project, pip, capsys):
    (project/'.venv').mkdir()
    (project/'.venv/precious').touch()
    assert 'move it away' in fails(script, project, capsys, '--python', sys.executable)
    assert (project/'.venv/precious').exists()
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', project/'.venv'], check=True)
    assert script.main([], root=project) == 0 and (project/'.venv/precious').exists()


@pytest.mark.parametrize('output, told', [
    ('ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device', 'The disk is full'),
    ("WARNING: Retrying ... NewConnectionError('x: Failed to establish a new connection')\n"
     'ERROR: No matching distribution found for setuptools>=77', 'cannot be reached'),
    ('ERROR: No matching distribution found for torch==2.15.0', 'has no torch==2.15.0'),
    ('ERROR: Cannot install a and b because these package versions have conflicting dependencies.',
     'conflicting dependencies.'),
    ('', 'pip gave no reason.')])
def test_explain(script, output, told): assert told in script.explain(output.splitlines(True))


def test_activity(script):
    wheel = 'torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl'
    assert script.activity(f'  Downloading {wheel} (531.2 MB)\n') == 'downloading torch (531.2 MB)'
    assert script.activity('Collecting numpy==2.4.6 (from -c constraints.txt (line 9))') == 'collecting numpy'
    assert script.activity('Installing collected packages: a, b, c') == 'unpacking 3 packages'
    assert script.activity('WARNING: a package is odd') is None


make = pytest.mark.skipif(not shutil.which('make'), reason='needs make')


@make
def test_make_alone_prints_help():
    output = subprocess.run(['make'], cwd=ROOT, capture_output=True, text=True).stdout
    assert all(f'make {target} ' in output for target in ('demo', 'lab', 'test', 'notebooks', 'dev'))


@make
def test_make_without_any_python(tmp_path):
    for name in ('sh', 'echo', 'test'): (tmp_path/name).symlink_to(shutil.which(name))
    command = [shutil.which('make'), 'demo', 'SHELL=/bin/sh']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={'PATH': str(tmp_path)})
    assert done.returncode != 0 and 'No Python was found: install Python 3.11 to 3.13' in done.stderr
