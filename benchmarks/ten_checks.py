"""How often do the ten checks name the fault of a project, and how often do they see one where there is none?

    python benchmarks/ten_checks.py         # about ten minutes of one core

Projects with a known fault come from mlcourse.projects: the three of lesson 21, and simulated ones. A project counts as
found when the first check that finds a fault is one that asks for it. Prints a table and keeps it as ten_checks.csv.
"""
import os
os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from tqdm import tqdm

from mlcourse.core import write_csv
from mlcourse.evaluation import ten_checks
from mlcourse.projects import clicks_project, coffee_project, FAULTS, leaf_project, unknown_project

ASKED_BY = dict(none=[], column=[3, 5], group=[4], leak=[2]) # the numbers of the checks that ask for a fault
SIMULATED, PLANTED = 25, 5 # projects of each kind


def projects():
    "Kind, fault, and a function that makes the project in a folder."
    for seed in range(PLANTED):
        yield 'pictures of leaves', 'column', lambda folder, seed=seed: leaf_project(folder, seed)
        yield 'words after a cup', 'group', lambda _, seed=seed: coffee_project(seed)
        yield 'clicks', 'leak', lambda _, seed=seed: clicks_project(seed)
    for seed in range(SIMULATED):
        for fault in FAULTS: yield 'simulated', fault, lambda _, seed=seed, fault=fault: unknown_project(seed, fault)


def main():
    rows = []
    for kind, fault, make in tqdm(list(projects())):
        with TemporaryDirectory() as folder:
            numbers = [number for number, finding in enumerate(ten_checks(*make(folder)), 1) if finding.fault]
        first = numbers[0] if numbers else 0
        right = first in ASKED_BY[fault] if ASKED_BY[fault] else not numbers
        rows.append(dict(project=kind, fault=fault, right=right, first=first, faults=len(numbers)))
    table = pd.DataFrame(rows).groupby(['project', 'fault'], sort=False)
    table = table.agg(projects=('right', 'size'), right=('right', 'sum'), first=('first', 'median'),
                      faults=('faults', 'mean')).reset_index()
    print(table.to_string(index=False))
    write_csv(table.round(2), Path(__file__).with_suffix('.csv'))


if __name__ == '__main__': main()
