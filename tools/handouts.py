"""Copies of the lessons to hand out: without answers and without outputs, since those answer the predictions.

    python tools/handouts.py FOLDER [--keep-outputs]

A copy needs mlcourse (`pip install mlcourse`) and not the repository's notebooks: its links lead to GitHub.
"""
import argparse, re
from pathlib import Path
from posixpath import normpath

import nbformat

from notebooks import GITHUB, LINK, ROOT

DETAILS = re.compile(r'(?s)<details>\s*<summary>(.*?)</summary>.*?</details>')


def question(match):
    "What stays of a folded answer: its question, where the question is its title."
    return '' if match[1].strip() == 'Answer' else f'**{match[1].strip()}**'


def handout(nb, keep_outputs=False):
    "A lesson without its answers."
    for cell in nb.cells:
        if cell.cell_type == 'markdown':
            text = DETAILS.sub(question, cell.source)
            cell.source = LINK.sub(lambda match: match[1] + GITHUB + normpath(f'nbs/course/{match[2]}'), text)
        elif not keep_outputs: cell.outputs = []
    nb.cells = [cell for cell in nb.cells if cell.source.strip()]
    return nb


def main(argv=None):
    parser = argparse.ArgumentParser(description='Copies of the lessons without answers.')
    parser.add_argument('folder', type=Path)
    parser.add_argument('--keep-outputs', action='store_true')
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT/'nbs/course').glob('[0-9]*.ipynb')):
        nbformat.write(handout(nbformat.read(path, 4), args.keep_outputs), args.folder/path.name)
        print(args.folder/path.name)


if __name__ == '__main__': main()
