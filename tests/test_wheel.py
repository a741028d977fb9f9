"""The package as a stranger installs it: a wheel, in an environment of its own, far from this folder."""
import json, os, shutil, subprocess, sys, sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    "Run a program of an environment with the wheel; the one that runs the tests lends the packages that it needs."
    folder = tmp_path_factory.mktemp('wheel')
    source, venv = folder/'source', folder/'venv'
    shutil.copytree(ROOT/'mlcourse', source/'mlcourse', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('settings.ini', 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(ROOT/name, source)

    def run(*command):
        return subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, capture_output=True, timeout=200)
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', venv], check=True)
    binaries = venv/('Scripts' if os.name == 'nt' else 'bin')
    purelib = run(binaries/'python', '-c', "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    # Only as a path: .pth files in there, such as the one of an editable install, do not count.
    (Path(purelib)/'lent.pth').write_text(sysconfig.get_path('purelib') + '\n')
    # In the new environment: setuptools cannot build in one with a $ in its path, which this folder may have.
    pip = [binaries/'python', '-m', 'pip', '--disable-pip-version-check']
    built = run(*pip, 'wheel', '--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir', folder, source)
    assert built.returncode == 0, built.stdout + built.stderr
    wheel, = folder.glob('*.whl')
    done = run(*pip, 'install', '--no-deps', '--no-index', '--ignore-installed', wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    return lambda program, *arguments: run(binaries/program, *arguments)


def test_import_is_light_and_from_the_wheel(installed):
    heavy = {'torch', 'fastai', 'numpy'}
    done = installed('python', '-c', f'import sys, mlcourse; print(mlcourse.__file__, *{heavy} & set(sys.modules))')
    assert done.returncode == 0, done.stderr
    assert 'site-packages' in done.stdout and str(ROOT) not in done.stdout
    assert not done.stdout.split()[1:]


def test_what_is_not_code_comes_too(installed):
    "Weights, clips, images, style sheets: all of mlcourse/."
    done = installed('python', '-c', 'import mlcourse; print(mlcourse.__file__)')
    assert done.returncode == 0, done.stderr

    def names(folder):
        found = [p.relative_to(folder) for p in folder.rglob('*') if p.is_file() and '__pycache__' not in p.parts]
        return {name.as_posix() for name in found}
    wanted, have = names(ROOT/'mlcourse'), names(Path(done.stdout.strip()).parent)
    assert wanted <= have, wanted - have
    assert {name.split('/')[0] for name in have} >= {'static', 'weights', 'clips', 'images', 'photos', 'entries'}


def test_detect_on_the_clips_that_come_with_it(installed):
    code = 'from mlcourse.language.clips import example_clips as e; print(e().to_json(orient="records"))'
    listed = installed('python', '-c', code)
    assert listed.returncode == 0, listed.stderr
    clips = json.loads(listed.stdout)
    done = installed('mlcourse', 'detect', '--json', *(clip['path'] for clip in clips))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == 6
    # At least five of six: one may be unsure.
    assert sum(answer['language'] == clip['language'] for answer, clip in zip(answers, clips)) >= 5


def test_advise_on_the_picture_that_comes_with_it(installed):
    code = 'from mlcourse.thumbnails.edits import sample_thumbnail; print(sample_thumbnail())'
    done = installed('mlcourse', 'advise', '--json', installed('python', '-c', code).stdout.strip())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]['recommendations']
