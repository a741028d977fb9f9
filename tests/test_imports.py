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
    "The libraries that the scripts in `folder` import: (library, name of the script)."
    ours = {p.stem for name in SCRIPTS for p in (ROOT/name).rglob('*.py')} | {'mlcourse'}
    for path in (ROOT/folder).rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        if re.search(r'\.(read|to)_parquet\(', text): yield 'pyarrow', path.name # pandas asks for it only then
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level: names = [node.module]
            libraries = {name.split('.')[0] for name in names} - ours - set(sys.stdlib_module_names)
            yield from ((library, path.name) for library in libraries)


@pytest.mark.parametrize('folder', ['mlcourse', *SCRIPTS])
def test_every_import_is_declared_and_pinned(folder):
    config = configparser.ConfigParser()
    config.read(ROOT/'settings.ini', encoding='utf-8')

    def declared(*extras):
        wanted = ['requirements', *[f'{extra}_requirements' for extra in extras]]
        lines = ' '.join(config['DEFAULT'][key] for key in wanted).split()
        return {re.match(r'[\w-]+', line)[0].replace('-', '_').lower() for line in lines}
    extras = ['dev', 'scale', 'site', 'voices', 'teacher']
    for library, name in imports(folder):
        allowed = extras if folder != 'mlcourse' else ['scale'] if name == 'scale.py' else []
        assert INSTALLED_AS.get(library, library) in declared(*allowed), f'{name} imports {library}'
    pins = re.findall(r'(?m)^([\w-]+)==', (ROOT/'constraints.txt').read_text(encoding='utf-8'))
    assert not declared(*extras) - {name.replace('-', '_').lower() for name in pins}


def test_a_folder_of_the_same_name_is_in_nobodys_way(tmp_path):
    "Whoever cloned the course into their home folder and works there has one. What counts is how it is installed."
    (tmp_path/'mlcourse').mkdir()
    code = "import mlcourse.pages; print(mlcourse.__version__, mlcourse.pages.static_text('page.css')[:1])"
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env=environment, check=True)
