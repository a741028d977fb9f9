"""Folded answers, run from where they stand.

The answer of an exercise is a ```python block inside <details>. Its last line calls the exercise's check, which says a
text that begins with 'Right' when the answer is right. `insert` puts each such block into its notebook, as a code cell
right after the markdown cell that holds it, and asserts that the check said so. It has the flags of its exercise.
"""
import ast, re

import nbformat
from nbformat.v4 import new_code_cell

from notebooks import directives, test_flags

CELL = """{flags}{body}
import contextlib as _contextlib, io as _io
with _contextlib.redirect_stdout(_io.StringIO()) as _printed: _said = {call}
_said = _printed.getvalue() + str(_said)
assert 'Right' in _said, {message!r} + _said
"""


def folded(markdown):
    "The Python blocks inside <details>."
    return [code for part in re.findall(r'(?s)<details.*?</details>', markdown)
            for code in re.findall(r'(?ms)^```python\n(.*?)^```', part)]


def split(code):
    "An answer as (what comes before its last line, the call there); None when its last line is not an expression."
    try: *body, last = ast.parse(code).body
    except (SyntaxError, ValueError): return None
    return (ast.unparse(ast.Module(body, [])), ast.unparse(last)) if isinstance(last, ast.Expr) else None


def answer_cell(code, directives, name):
    "A code cell that runs an answer; `directives` are those of the exercise."
    body, call = split(code)
    kept = {key: value for key, value in directives.items() if key in test_flags() or key == 'eval:'}
    flags = ''.join(f'#| {key} {value}'.rstrip() + '\n' for key, value in kept.items())
    message = f'{name}: the check of the folded answer, {call}, does not say that it is right: '
    return new_code_cell(CELL.format(flags=flags, body=body, call=call, message=message))


def insert(path):
    "Put the folded answers of a notebook into it, to be run; how many there are."
    nb = nbformat.read(path, 4)
    cells, exercise, n = [], {}, 0
    for i, cell in enumerate(nb.cells):
        cells.append(cell)
        if cell.cell_type == 'code': # an exercise may have several cells
            exercise = (exercise if i and nb.cells[i-1].cell_type == 'code' else {}) | directives(cell)
        elif cell.cell_type == 'markdown':
            answers = [answer_cell(code, exercise, path.name) for code in folded(cell.source) if split(code)]
            cells, n = cells + answers, n + len(answers)
    nb.cells = cells
    if n: nbformat.write(nb, path)
    return n
