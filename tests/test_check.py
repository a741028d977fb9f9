"""The tools on a project of two notebooks: what they must find, and what a learner may do."""
import copy, shutil, subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import check, notebooks, readme, rules, solutions

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not shutil.which('git'), reason='needs git')
KERNEL = {'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}
COLLAPSED = {'jupyter': {'source_hidden': True}, 'tags': ['hide-input']}


def save(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    for i, cell in enumerate(cells): cell['id'] = f'cell-{i}'
    nbformat.write(new_notebook(cells=list(cells), metadata=copy.deepcopy(KERNEL)), path)


def commit(root):
    for command in (['add', '-A'], ['-c', 'user.name=a', '-c', 'user.email=a@example.org', 'commit', '-qm', 'x']):
        subprocess.run(['git', *command], cwd=root, check=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    "A clean project: a module, an index, what is made from them, all committed."
    root = tmp_path/'project'
    save(root/'nbs/index.ipynb', new_markdown_cell('# Index\n\n[next](lib/core.ipynb) and [web](https://example.org)'),
         new_code_cell('#| hide\nsecret = 1', metadata=COLLAPSED),
         new_code_cell('#| echo: true\n1 + 1', outputs=[new_output('execute_result', {'text/plain': ['2']})]))
    save(root/'nbs/lib/core.ipynb', new_code_cell('#| default_exp core', metadata=COLLAPSED),
         new_markdown_cell('# Core\n\n> one'), new_code_cell('#| export\ndef one(): return 1'),
         new_code_cell('assert one() == 1'))
    shutil.copy(ROOT/'settings.ini', root)
    for command in ('nbdev_clean', 'nbdev_export'): assert check.run(check.tool(command), root)[0]
    readme.write(nbformat.read(root/'nbs/index.ipynb', 4), root)
    subprocess.run(['git', 'init', '-q'], cwd=root, check=True)
    commit(root)
    monkeypatch.setattr(check, 'ROOT', root)
    monkeypatch.setattr(check, 'differences', lambda nb: readme.differences(nb, root))
    return root


def outcomes(tmp_path):
    "What the three checks of the files say: 'ok' or 'failed'."
    for name in ('tree', 'committed'): shutil.rmtree(tmp_path/name, ignore_errors=True)
    (tmp_path/'committed').mkdir()
    tree = check.copy_tree(tmp_path/'tree')
    done = check.check_clean(tmp_path/'committed'), check.check_export(tree), check.check_readme()
    return [outcome for outcome, _ in done]


def change(path, edit):
    nb = nbformat.read(path, 4)
    edit(nb)
    nbformat.write(nb, path)


def step_through(nb):
    "What JupyterLab leaves behind in a notebook that somebody has run."
    nb.metadata['language_info'] = {'name': 'python', 'version': '3.12.1'}
    for i, cell in enumerate(c for c in nb.cells if c.cell_type == 'code'):
        cell.execution_count, cell.metadata['scrolled'] = i + 1, True
        cell.outputs = [new_output('stream', name='stdout', text='mine\n')]


def test_clean_project_and_a_learners_copy_pass(project, tmp_path):
    assert outcomes(tmp_path) == ['ok', 'ok', 'ok']
    for path in (project/'nbs').rglob('*.ipynb'): change(path, step_through)
    assert outcomes(tmp_path) == ['ok', 'ok', 'ok']
    # The same, committed, is not clean, and its README is not the one that it gives.
    commit(project)
    assert outcomes(tmp_path) == ['failed', 'ok', 'failed']
    assert not check.git('status', '--porcelain')


def test_changed_sources_are_found(project, tmp_path):
    def two(nb): nb.cells[2].source = '#| export\ndef one(): return 2'
    change(project/'nbs/lib/core.ipynb', two)
    assert outcomes(tmp_path) == ['ok', 'failed', 'ok']
    def retitle(nb): nb.cells[0].source = '# Another'
    change(project/'nbs/index.ipynb', retitle)
    assert outcomes(tmp_path) == ['ok', 'failed', 'failed']


def test_a_module_whose_notebook_is_gone_is_found(project, tmp_path):
    (project/'nbs/lib/core.ipynb').unlink()
    assert check.check_export(check.copy_tree(tmp_path/'tree'))[0] == 'failed'


def test_without_git(project, tmp_path):
    shutil.rmtree(project/'.git')
    assert outcomes(tmp_path) == ['skipped', 'ok', 'ok']


def test_one_notebook_at_a_time(project, tmp_path):
    "It runs with the copy's module, and a failure or an endless loop is told."
    tree = check.copy_tree(tmp_path/'tree')
    core = tree/'nbs/lib/core.ipynb'
    def use_export(nb): nb.cells[3].source = 'from mlcourse.core import one\nassert one() == 1'
    change(core, use_export)
    assert check.check_notebook(core, tree)[0]
    def fail(nb): nb.cells[3].source = 'assert one() == 2, "one is not two"'
    change(core, fail)
    ok, output = check.check_notebook(core, tree)
    assert not ok and 'one is not two' in output
    def hang(nb): nb.cells[3].source = 'while True: pass'
    change(core, hang)
    ok, output = check.check_notebook(core, tree, seconds=8)
    assert not ok and 'stopped after 8 s' in output


def test_readme(project):
    text = (project/'README.md').read_text()
    assert '[next](nbs/lib/core.ipynb)' in text and '[web](https://example.org)' in text
    assert 'secret' not in text and '#|' not in text and '```python\n1 + 1\n```' in text and '    2' in text


def test_run_and_save(project, monkeypatch):
    monkeypatch.setattr(notebooks, 'ROOT', project)
    path = project/'nbs/lib/core.ipynb'
    def cells(nb):
        nb.cells[3].source = "from pathlib import Path\nPath.cwd().name"
        more = '#| slow\n1/0', '#| eval: false\n1/0', '#|export\nx = 3', 'x'
        nb.cells += [new_code_cell(source, id=f'more-{i}') for i, source in enumerate(more)]
    change(path, cells)
    assert notebooks.main([str(path)]) == 0
    ran = nbformat.read(path, 4).cells
    assert ran[3].outputs[0].data['text/plain'] == "'lib'" and ran[-1].outputs[0].data['text/plain'] == '3'
    assert ran[3].execution_count is None or 'execution_count' not in ran[3]
    before = path.read_bytes()
    assert notebooks.main([str(path), '--flags', 'slow']) == 1 and path.read_bytes() == before


EXERCISE = '''def check_x(x):
    if x is None: return 'Not tried yet.'
    return 'Right: two.' if x == 2 else 'Not two.'

x = None # replace with a number
check_x(x)'''
ANSWER = '''<details><summary>Answer</summary>

```python
x = one() + {}
{}
```

Two.
</details>

```python
this_is_not_folded
```'''


def answered(nb, answer, exercise=EXERCISE):
    "Put an exercise and its folded answer at the end of a notebook."
    nb.cells += [new_code_cell(exercise, id='exercise'), new_markdown_cell(answer, id='answer')]


def test_folded_answers_are_run(project, tmp_path):
    "A right one passes, printed or returned; a wrong one fails with the notebook's name."
    tree = check.copy_tree(tmp_path/'tree')
    core = tree/'nbs/lib/core.ipynb'
    clean = core.read_bytes()

    def run_with(*answer, exercise=EXERCISE, **kwargs):
        core.write_bytes(clean)
        change(core, lambda nb: answered(nb, ANSWER.format(*answer), exercise))
        return check.check_notebook(core, tree, **kwargs)
    for call in 'check_x(x)', "print('is it?', check_x(x))": assert run_with(1, call)[0]
    ok, output = run_with(2, 'check_x(x)')
    assert not ok and 'core.ipynb' in output and 'Not two.' in output
    # Under a slow exercise it runs only when asked.
    slow = '#| slow\n' + EXERCISE
    assert run_with(2, 'check_x(x)', exercise=slow)[0] and not run_with(2, 'check_x(x)', exercise=slow, flags='slow')[0]
    assert run_with(1, 'check_x(x)', exercise=slow, flags='slow')[0]


def test_answers_stand_after_their_exercise(project):
    core = project/'nbs/lib/core.ipynb'
    assert solutions.insert(core) == 0
    change(core, lambda nb: answered(nb, ANSWER.format(1, 'check_x(x)')))
    assert solutions.insert(core) == 1
    inserted = nbformat.read(core, 4).cells[-1]
    assert inserted.cell_type == 'code' and inserted.source.startswith('x = one() + 1\n')


@pytest.mark.parametrize('edit, told', [
    (lambda nb: nb.cells[3].update(source='x = 1 #' + '-'*120), 'a line of 127 characters'),
    (lambda nb: nb.cells[3].update(source='from math import *'), 'import * from math'),
    (lambda nb: nb.cells[0].metadata.clear(), 'collapse what is hidden'),
    (lambda nb: answered(nb, ANSWER.format(1, 'y = x')), 'ends in a call of its check'),
    (lambda nb: answered(nb, '<details>\n\n    x = 2\n\n</details>'), 'indented'),
    (lambda nb: answered(nb, ANSWER.format(1, 'check_x(x)'), '#| hide\nx = one() + 1\nassert x == 2'), 'repeats the')])
def test_limits_of_notebooks(project, edit, told):
    assert not rules.notebook_findings(project)
    change(project/'nbs/lib/core.ipynb', edit)
    assert any(told in finding for finding in rules.notebook_findings(project))


def test_limits_of_the_course(project):
    "Shorter lines and cells than in a module."
    save(project/'nbs/course/words.ipynb', new_code_cell('x = 1 #' + '-'*90), new_code_cell('x\n\n'*26))
    wide, tall = rules.notebook_findings(project)
    assert 'at most 95' in wide and '26 lines: at most 25' in tall


def test_what_a_lesson_must_have(project):
    "How long it takes, a link to Colab, an install cell, its last sections, and a text for each exercise."
    lesson, install = project/'nbs/course/01_try.ipynb', new_code_cell(rules.INSTALL)
    save(lesson, new_markdown_cell('# Try'), new_code_cell('x = 1'))
    assert len(rules.notebook_findings(project)) == 3 + len(rules.HEADINGS)
    top = f'# Try\n\n*40 minutes.* [Colab]({rules.COLAB}/nbs/course/01_try.ipynb)\n'
    sections = [new_markdown_cell(f'{top}\n## {heading}\n\n') for heading in rules.HEADINGS]
    save(lesson, sections[0], install, *sections[1:])
    assert not rules.notebook_findings(project)
    answer = new_markdown_cell(ANSWER.format(1, 'check_x(x)'))
    save(lesson, sections[0], install, *sections[1:], answer)
    assert 'not one for each answer' in rules.notebook_findings(project)[0]
    save(lesson, sections[0], install, *sections[1:], new_markdown_cell('**1. Two.** Find two.'), answer)
    assert not rules.notebook_findings(project)


def test_links(project):
    assert not rules.link_findings(project)
    def lead_nowhere(nb): nb.cells[0].source += ' [a](lib/absent.ipynb#b) [c](#d) `[e](f.ipynb)` <img src="g.png">'
    change(project/'nbs/index.ipynb', lead_nowhere)
    assert [finding.split()[3] for finding in rules.link_findings(project)] == ['lib/absent.ipynb,', 'g.png,']


HOUSE = {'core': 'library/01_core', 'demo': 'library/07_demo', 'language.audio': 'language/01_audio',
         'language.model': 'language/06_model', 'thumbnails.images': 'thumbnails/01_images'}


@pytest.mark.parametrize('module, code, wrong', [
    ('language.model', 'from .audio import load\nfrom ..core import x\nimport numpy', 0),
    ('language.audio', 'def f():\n    from .model import net', 1),
    ('language.audio', 'from mlcourse.language import model', 1),
    ('thumbnails.images', 'from mlcourse.language.audio import load', 1),
    ('language.audio', 'import mlcourse.demo', 1),
    ('core', 'from .language.audio import load', 1),
    ('demo', 'from .language.audio import load\nfrom .thumbnails import images', 0),
    ('demo', 'from speed import table', 1)])
def test_order_of_imports(tmp_path, module, code, wrong):
    for name, notebook in HOUSE.items():
        path = tmp_path/'mlcourse'/(name.replace('.', '/') + '.py')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'# File to edit: ../nbs/{notebook}.ipynb.\n' + code*(name == module))
    for name in ('benchmarks/speed', 'tests/helper'):
        (tmp_path/name).parent.mkdir()
        (tmp_path/f'{name}.py').write_text('import mlcourse.core')
    assert len(rules.import_findings(tmp_path)) == wrong
    code = 'import sys\nimport check\nfrom speed import table\nsys.path.insert(0, "x")'
    (tmp_path/'tests/helper.py').write_text(code)
    (tmp_path/'tools').mkdir()
    (tmp_path/'tools/check.py').touch()
    assert len(rules.import_findings(tmp_path)) == wrong + 2
