"Links into the glossary lead to a word of it, those into notebooks to a heading, and each word has a source."
import re
from pathlib import Path

import nbformat
import pytest

COURSE = Path(__file__).resolve().parent.parent/'nbs'/'course'


def prose(path): return '\n\n'.join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'markdown')


ENTRIES = dict(re.findall(r'(?ms)^### ([^\n]+)\n\n(.*?)(?=\n\n##|\Z)', prose(COURSE/'glossary.ipynb')))


@pytest.mark.parametrize('path', sorted(COURSE.glob('[0-9]*.ipynb')), ids=lambda path: path.stem)
def test_links_lead_to_a_word(path):
    linked = set(re.findall(r'\]\(glossary\.ipynb#([^)]+)\)', prose(path)))
    assert linked <= {word.replace(' ', '-') for word in ENTRIES}


@pytest.mark.parametrize('path', sorted(COURSE.glob('[0-9]*.ipynb')), ids=lambda path: path.stem)
def test_links_lead_to_a_heading(path):
    for name, anchor in re.findall(r'\]\(([\w./]+\.ipynb)#([^)]+)\)', prose(path)):
        headings = re.findall(r'(?m)^#+ (.+)$', prose(path.parent/name))
        assert anchor in [heading.replace(' ', '-') for heading in headings], f'{name} has no heading {anchor}'


def test_every_word_has_a_source():
    assert len(ENTRIES) > 50
    without = [word for word, text in ENTRIES.items() if not re.search(r'\]\(https://\S+\)', text)]
    assert not without
