"""The package as a stranger installs it: a wheel, in an environment of its own, far from this folder."""
import json, os, shutil, subprocess, sys, sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    "Run a program of an environment that holds the wheel; the packages it needs are lent by the one that runs the tests."
    folder = tmp_path_factory.mktemp('wheel')
    source, venv = folder/'source', folder/'venv'
    shutil.copytree(ROOT/'mlcourse', source/'mlcourse', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('settings.ini', 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(ROOT/name, source)

    def run(*command, **kwargs):
        return subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, capture_output=True, timeout=200, **kwargs)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    built = run(*pip, 'wheel', '--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir', folder, source)
    assert built.returncode == 0, built.stdout + built.stderr
    wheel, = folder.glob('*.whl')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', venv], check=True)
    binaries = venv/('Scripts' if os.name == 'nt' else 'bin')
    purelib = run(binaries/'python', '-c', "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    # Only as a path: .pth files in there, such as the one of an editable install, do not count.
    (Path(purelib)/'lent.pth').write_text(sysconfig.get_path('purelib') + '\n')
    done = run(*pip, '--python', binaries/'python', 'install', '--no-deps', '--no-index', '--ignore-installed', wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    return lambda program, *arguments: run(binaries/program, *arguments)


def test_import_is_light_and_from_the_wheel(installed):
    done = installed('python', '-c', "import sys, mlcourse; print(mlcourse.__file__, *(m for m in ('torch', 'fastai', 'numpy') if m in sys.modules))")
    assert done.returncode == 0, done.stderr
    assert 'site-packages' in done.stdout and str(ROOT) not in done.stdout
    assert not done.stdout.split()[1:]


def test_detect_on_the_clips_that_come_with_it(installed):
    listed = installed('python', '-c', "from mlcourse.language.clips import example_clips as e; print(e()[['path', 'language']].to_json(orient='records'))")
    assert listed.returncode == 0, listed.stderr
    clips = json.loads(listed.stdout)
    done = installed('mlcourse', 'detect', '--json', *(clip['path'] for clip in clips))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == 6
    # At least five of six: one may be unsure.
    assert sum(answer['language'] == clip['language'] for answer, clip in zip(answers, clips)) >= 5


def test_grade_on_the_picture_that_comes_with_it(installed):
    sample = installed('python', '-c', 'from mlcourse.thumbnails.advice import sample_thumbnail as s; print(s())').stdout.strip()
    done = installed('mlcourse', 'grade', '--json', sample)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]['recommendations']
