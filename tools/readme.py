"""Make README.md, and the figures that it shows, from nbs/index.ipynb.

    python tools/readme.py
"""
import copy, re
from pathlib import PurePosixPath
from posixpath import normpath

import nbformat
from nbconvert import MarkdownExporter
from traitlets.config import Config

from notebooks import ROOT, directives

FIGURES = 'nbs/images/readme'
HEADER = '<!-- Made from nbs/index.ipynb by tools/readme.py: change the notebook, then run make notebooks. -->\n\n'


def from_root(markdown):
    "Links and images as seen from README.md, one folder above the notebook."
    return re.sub(r'\]\((?![a-z]+:|#)([^)\s]+)', lambda m: f"]({normpath('nbs/' + m[1])}", markdown)


def render(nb):
    "README.md's text, and its figures as {path: bytes}."
    nb = copy.deepcopy(nb)
    nb.cells = [c for c in nb.cells if c.source.strip() and not {'hide', 'default_exp'} & directives(c).keys()]
    for cell in nb.cells:
        if cell.cell_type == 'markdown': cell.source = from_root(cell.source)
        else: cell.source = '\n'.join(cell.source.splitlines()[len(directives(cell)):])
    nb.metadata['language_info'] = {'name': 'python'}  # nbdev_clean takes it out; it colours the code
    resources = {'output_files_dir': FIGURES, 'unique_key': 'index'}
    hidden = Config(TagRemovePreprocessor=dict(enabled=True, remove_input_tags=['hide-input']))
    text, resources = MarkdownExporter(config=hidden).from_notebook_node(nb, resources)
    text = re.sub(r'<figure.*?</figure>', '', text) # GitHub plays no sound; the text beside it links to the files
    # GitHub shows the text of a style element, which pandas puts before every table.
    text = re.sub(r'<style scoped>.*?</style>\n?', '', text, flags=re.S)
    text = re.sub(r'!\[(png|jpeg)\]', '![figure]', text)
    text = '\n'.join(line.rstrip() for line in text.splitlines())
    text = HEADER + re.sub(r'\n{3,}', '\n\n', text).strip() + '\n'
    return text, {str(PurePosixPath(k)): v for k, v in resources['outputs'].items()}


def differences(nb, root=ROOT):
    "What of README.md and its figures is not what `nb` gives: a list of paths."
    text, figures = render(nb)
    wanted = {'README.md': text.encode(), **figures}
    files = [p for p in [root/'README.md', *(root/FIGURES).glob('*')] if p.is_file()]
    have = {p.relative_to(root).as_posix(): p.read_bytes() for p in files}
    have = {k: v.replace(b'\r\n', b'\n') if k.endswith('.md') else v for k, v in have.items()}
    return sorted(k for k in wanted.keys() | have.keys() if wanted.get(k) != have.get(k))


def write(nb, root=ROOT):
    "Write README.md and its figures, and remove figures that it no longer shows."
    text, figures = render(nb)
    for old in (root/FIGURES).glob('*'):
        if old.relative_to(root).as_posix() not in figures: old.unlink()
    for name, data in {'README.md': text.encode(), **figures}.items():
        (root/name).parent.mkdir(parents=True, exist_ok=True)
        (root/name).write_bytes(data)


if __name__ == '__main__':
    notebook = nbformat.read(ROOT/'nbs/index.ipynb', 4)
    changed = differences(notebook)
    write(notebook)
    print('README.md: ' + (', '.join(changed) + ' changed' if changed else 'nothing to change'))
