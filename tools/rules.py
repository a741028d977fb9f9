"""The rules that no linter knows: limits of notebooks, links, and who imports whom. Each finding is a sentence.

    python tools/rules.py
"""
import ast, re, sys

import nbformat

from notebooks import ROOT, directives
from solutions import folded, split

LINE, COURSE_LINE, COURSE_CELL = 120, 95, 25 # characters, characters, lines that are not blank
SHARED = {'core', 'evaluation', 'pages', 'widgets'} # what both projects use of the library
SCRIPTS = 'benchmarks', 'recipes', 'tests', 'tools'
SYS_PATH = r'(?m)^\s*sys\.path\.(insert|append)'
COLAB = 'https://colab.research.google.com/github/mlcourse/mlcourse/blob/main'
INSTALL = '%pip install -q ./mlcourse'
DETAILS = r'(?s)<details.*?</details>'
HEADINGS = 'What you learned', 'Exercises', 'Where to go next' # of a lesson


def notebooks_of(root):
    "The notebooks with their names, by folder and number."
    for path in sorted((root/'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' not in path.parts: yield path.relative_to(root).as_posix(), nbformat.read(path, 4)


# Notebooks

def is_collapsed(cell):
    return cell.metadata.get('jupyter', {}).get('source_hidden') and 'hide-input' in cell.metadata.get('tags', [])


def too_long(code, course):
    "A sentence about the longest line, if it is too long."
    longest, limit = max(map(len, code.splitlines()), default=0), COURSE_LINE if course else LINE
    if longest > limit: yield f'a line of {longest} characters: at most {limit}'


def code_findings(cell, course):
    "What is wrong with a code cell."
    yield from too_long(cell.source, course)
    lines = sum(bool(line.strip()) for line in cell.source.splitlines())
    hidden = {'hide', 'default_exp'} & directives(cell).keys()
    if course and lines > COURSE_CELL: yield f'{lines} lines: at most {COURSE_CELL} in a cell of the course'
    if hidden and not is_collapsed(cell):
        yield 'collapse what is hidden: "jupyter": {"source_hidden": true}, "tags": ["hide-input"] in its metadata'
    for name in re.findall(r'(?m)^\s*from (\S+) import \*', cell.source):
        if not (hidden and name == 'fastcore.test'): yield f'import * from {name}: name what is used'
    if re.search(SYS_PATH, cell.source): yield 'sys.path is changed'


def answer_findings(code, hidden):
    "What is wrong with the Python of a folded answer; `hidden` are the lines of the notebook's hidden cells."
    if not split(code): yield 'a folded answer ends in a call of its check; what is not meant to run is a ```text block'
    lines = [line.strip() for line in code.splitlines()[:-1] if line.strip()]
    if sum(line in hidden for line in lines) > len(lines) / 2: yield 'a hidden cell repeats the folded answer'


def markdown_findings(text, hidden, course):
    "What is wrong with a markdown cell."
    for code in folded(text): yield from [*too_long(code, course), *answer_findings(code, hidden)]
    prose = re.sub(r'(?ms)^```.*?^```', '', text)
    if re.search(r'(?m)^(    |\t)', ''.join(re.findall(DETAILS, prose))): yield 'a folded answer is indented: fence it'


def lesson_findings(name, nb):
    "What a lesson lacks: how long it takes, a way to run it on Colab, its last sections, the text of an exercise."
    first, code = nb.cells[0].source, [cell.source for cell in nb.cells if cell.cell_type == 'code']
    if not re.search('minute|hour', first): yield 'how long does it take?'
    if f'{COLAB}/{name}' not in first: yield 'no link that opens it in Colab'
    if code and INSTALL not in code[0]: yield f'the first code cell does not install the course on Colab: {INSTALL}'
    prose = '\n'.join(cell.source for cell in nb.cells if cell.cell_type == 'markdown')
    for heading in HEADINGS:
        if f'\n## {heading}\n' not in prose: yield f'no section "{heading}"'
    numbers = re.findall(r'(?m)^\*\*(\d+)\. ', prose.partition('\n## Exercises\n')[2])
    if numbers != [str(i + 1) for i in range(len(folded(prose)))]: yield f'exercises {numbers}: not one for each answer'


def notebook_findings(root=ROOT):
    "What is wrong with the notebooks."
    findings = []
    for name, nb in notebooks_of(root):
        course = name.startswith('nbs/course/')
        hidden = {line.strip() for cell in nb.cells if 'hide' in directives(cell) for line in cell.source.splitlines()}
        if re.match(r'nbs/course/\d', name): findings += [f'{name}: {text}' for text in lesson_findings(name, nb)]
        for cell in nb.cells:
            code = cell.cell_type == 'code'
            found = code_findings(cell, course) if code else markdown_findings(cell.source, hidden, course)
            findings += [f'{name}, cell {cell.id}: {text}' for text in found]
    return findings


# Links

def link_findings(root=ROOT):
    "Relative links that lead nowhere, in notebooks and in the other pages."
    texts = [(name, c.source) for name, nb in notebooks_of(root) for c in nb.cells if c.cell_type == 'markdown']
    pages = [page for folder in ('', 'data', *SCRIPTS) for page in sorted((root/folder).glob('*.md'))]
    texts += [(page.relative_to(root).as_posix(), page.read_text(encoding='utf-8')) for page in pages]
    findings = []
    for name, text in texts:
        text = re.sub(r'(?s)```.*?```|`[^`]*`', '', text)
        found = re.findall(r'\]\(([^)\s]+)', text) + re.findall(r'(?:src|href)="([^"]+)"', text)
        for link in (link.partition('#')[0] for link in found if not re.match('[a-z]+:', link)):
            if not (root/name).parent.joinpath(link).exists():
                findings.append(f'{name} links to {link}, which is not there')
    return findings


# Imports

def imported(path, package):
    "What a file imports, as (line, dotted name); `package` is the dotted name of its folder, for relative imports."
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import): yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split('.')
            base = parts[:len(parts) + 1 - node.level] if node.level else []
            yield from ((node.lineno, '.'.join(filter(None, [*base, node.module, name.name]))) for name in node.names)


def modules_of(root):
    "Each module with the folder, number and name of its notebook: {'mlcourse.language.vad': ('language', 3, 'vad')}."
    modules = {}
    for path in sorted((root/'mlcourse').rglob('*.py')):
        source = re.search(r'File to edit: \S*nbs/(\w+)/(\d+)_(\w+)\.ipynb', path.read_text(encoding='utf-8'))
        name = '.'.join(path.relative_to(root).with_suffix('').parts)
        if source: modules[name] = source[1], int(source[2]), source[3]
    return modules


def may_import(mine, theirs):
    "Whether a module may import another; both are (folder, number, name)."
    if mine[0] == theirs[0]: return theirs[1] < mine[1]
    if theirs[0] == 'library': return theirs[2] in SHARED
    return mine[0] == 'library' and mine[2] not in SHARED


def module_findings(root=ROOT):
    "Imports between modules against the order of the house."
    modules, findings = modules_of(root), []
    for name, mine in modules.items():
        path = root/(name.replace('.', '/') + '.py')
        for line, target in imported(path, name.rpartition('.')[0]):
            other = next((m for m in (target, target.rpartition('.')[0]) if m in modules), name)
            if other != name and not may_import(mine, theirs := modules[other]):
                findings.append(f'{path.relative_to(root).as_posix()}:{line} imports {other}: '
                                f'{mine[0]}/{mine[1]:02} may not use {theirs[0]}/{theirs[1]:02}')
    return findings


def script_findings(root=ROOT):
    "Imports from a folder of scripts by any other folder, and changes of sys.path."
    homes = {path.stem: folder for folder in SCRIPTS for path in (root/folder).glob('*.py')}
    homes |= {folder: folder for folder in SCRIPTS}
    findings = []
    for path in sorted(path for folder in ('mlcourse', *SCRIPTS) for path in (root/folder).rglob('*.py')):
        name = path.relative_to(root).as_posix()
        mine = name.split('/')[0]
        for line, target in imported(path, ''):
            theirs = homes.get(target.split('.')[0], mine)
            # The tests of the tools use them.
            if theirs not in (mine, 'tools' if mine == 'tests' else mine):
                findings.append(f'{name}:{line} imports from {theirs}/')
        if mine != 'tools' and re.search(SYS_PATH, path.read_text(encoding='utf-8')):
            findings.append(f'{name} changes sys.path')
    return findings


def import_findings(root=ROOT): return list(dict.fromkeys(module_findings(root) + script_findings(root)))


def main():
    findings = [text for find in (notebook_findings, link_findings, import_findings) for text in find()]
    print('\n'.join(findings) or 'nothing to say')
    return int(bool(findings))


if __name__ == '__main__': sys.exit(main())
