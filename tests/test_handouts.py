"""Copies of the lessons without answers."""
import nbformat

import handouts
import solutions
from notebooks import ROOT


def test_no_answer_is_left_and_every_question_is(tmp_path):
    handouts.main([str(tmp_path)])
    for path in (ROOT/'nbs/course').glob('[0-9]*.ipynb'):
        lesson, copy = nbformat.read(path, 4), nbformat.read(tmp_path/path.name, 4)
        text = '\n'.join(cell.source for cell in copy.cells)
        code = [part for cell in lesson.cells if cell.cell_type == 'markdown' for part in solutions.folded(cell.source)]
        assert '<details' not in text and not [part for part in code if part in text]
        assert not [cell for cell in copy.cells if cell.cell_type == 'code' and cell.outputs]
        assert [c.source for c in lesson.cells if c.cell_type == 'code'] == [
            c.source for c in copy.cells if c.cell_type == 'code']


def test_a_question_that_is_a_title_stays():
    text = 'Fold.\n\n<details><summary>1. Why mel?</summary>\n\nEars.\n</details>\n\n[word](glossary.ipynb#Mel)'
    nb = handouts.handout(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)]))
    assert '**1. Why mel?**' in nb.cells[0].source and 'Ears' not in nb.cells[0].source
    assert '(https://github.com/mlcourse/mlcourse/blob/main/nbs/course/glossary.ipynb#Mel)' in nb.cells[0].source
