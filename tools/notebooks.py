"""Run notebooks in clean kernels and save them, cleaned, with their outputs.

    python tools/notebooks.py [NOTEBOOK ...] [--flags 'slow network']

Cells that nbdev_test leaves out are left out here too, and keep the outputs they have.
"""
import argparse, os, re, sys, time
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbdev.clean import nbdev_clean

ROOT = Path(__file__).resolve().parent.parent
GITHUB = 'https://github.com/mlcourse/mlcourse/blob/main/'
LINK = re.compile(r'(\]\(|(?:src|href)=")(?![a-z]+:|#)([^)\s"]+)') # to a file, from markdown or HTML


def directives(cell):
    "nbdev's directives at the top of a code cell: {'export': '', 'eval:': 'false'}."
    lines = cell.source.strip().splitlines() if cell.cell_type == 'code' else []
    found = {}
    for line in lines:
        match = re.match(r'\s*#\s*\|\s*(\S+)\s*(.*)', line)
        if not match: break
        found[match[1]] = match[2].strip()
    return found


def test_flags():
    "The flags whose cells need asking for, from settings.ini."
    config = ConfigParser()
    config.read(ROOT/'settings.ini', encoding='utf-8')
    return set(config['DEFAULT']['tst_flags'].split())


def should_run(cell, left_out):
    "Whether to run a cell, by nbdev_test's rules; `left_out` are the flags that nobody asked for."
    if cell.cell_type != 'code' or 'nbdev_export(' in cell.source: return False
    found = directives(cell)
    return found.get('eval:', '').lower() != 'false' and not left_out & found.keys()


def run(path, flags=(), timeout=1800):
    "Run one notebook in its own folder; saved only when every cell went well."
    nb = nbformat.read(path, 4)
    if any(re.search(r'(?m)^-?\s*skip_exec:\s*true', c.source) for c in nb.cells[:2]): return
    left_out = test_flags() - set(flags)
    # What a cell prints is one piece, however long it took.
    client = NotebookClient(nb, timeout=timeout, kernel_name='python3', coalesce_streams=True,
                            resources={'metadata': {'path': str(path.parent)}},
                            extra_arguments=['--IPKernelApp.log_level=ERROR'])
    with client.setup_kernel():
        for i, cell in enumerate(nb.cells):
            if should_run(cell, left_out): client.execute_cell(cell, i)
    part = path.with_suffix('.ipynb.part')
    nbformat.write(nb, part)
    os.replace(part, path)
    nbdev_clean(str(path))


def main(argv=None):
    parser = argparse.ArgumentParser(description='Run notebooks in clean kernels and save them with their outputs.')
    parser.add_argument('notebooks', nargs='*', type=Path, help='all of them when none is named')
    parser.add_argument('--flags', default='', help="flags whose cells run too: 'slow network'")
    args = parser.parse_args(argv)
    # By folder and number, so that a notebook comes after those that it builds on.
    found = args.notebooks or sorted((ROOT/'nbs').rglob('*.ipynb'))
    os.environ.pop('MPLBACKEND', None) # with one, a kernel would not show its figures
    failed = 0
    for path in (p.resolve() for p in found if '.ipynb_checkpoints' not in p.parts):
        started = time.time()
        try: run(path, args.flags.split())
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed += 1
            print(f'{path.name} was not saved:\n{error}', file=sys.stderr)
        else:
            seconds, size = time.time()-started, path.stat().st_size//1024
            print(f'{path.relative_to(ROOT)}  {seconds:.0f} s, {size} KB', flush=True)
    return int(failed > 0)


if __name__ == '__main__': sys.exit(main())
