"""Every library that is imported is declared in settings.ini, for mlcourse itself in its requirements, and pinned."""
import ast, configparser, os, re, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = 'tests', 'tools', 'benchmarks', 'recipes'
# Where the name that is imported is not the name that is installed.
INSTALLED_AS = dict(PIL='pillow', cv2='opencv_python_headless', sklearn='scikit_learn', yaml='pyyaml',
                    bs4='beautifulsoup4')


def imports(folder):
    "The libraries that the scripts in `folder` import."
    ours = {p.stem for name in SCRIPTS for p in (ROOT/name).rglob('*.py')} | {'mlcourse'}
    for path in (ROOT/folder).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level: names = [node.module]
            yield from {name.split('.')[0] for name in names} - ours - set(sys.stdlib_module_names)


@pytest.mark.parametrize('folder', ['mlcourse', *SCRIPTS])
def test_every_import_is_declared_and_pinned(folder):
    config = configparser.ConfigParser()
    config.read(ROOT/'settings.ini', encoding='utf-8')
    extras = ['scale'] if folder == 'mlcourse' else ['dev', 'scale', 'site', 'voices', 'teacher']
    wanted = ['requirements', *[f'{extra}_requirements' for extra in extras]]
    lines = ' '.join(config['DEFAULT'][key] for key in wanted).split()
    declared = {re.match(r'[\w-]+', line)[0].replace('-', '_').lower() for line in lines}
    assert not {INSTALLED_AS.get(name, name) for name in imports(folder)} - declared
    pins = re.findall(r'(?m)^([\w-]+)==', (ROOT/'constraints.txt').read_text(encoding='utf-8'))
    assert not declared - {name.replace('-', '_').lower() for name in pins}


def test_a_folder_of_the_same_name_is_in_nobodys_way(tmp_path):
    "Whoever cloned the course into their home folder and works there has one. What counts is how it is installed."
    (tmp_path/'mlcourse').mkdir()
    code = "import mlcourse.pages; print(mlcourse.__version__, mlcourse.pages.static_text('page.css')[:1])"
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env=environment, check=True)
