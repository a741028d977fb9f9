"""How often do the ten checks name the fault of a project, and how often do they see one where there is none?

    python benchmarks/ten_checks.py [--rounds 5]       # about five seconds of one core a round

A round is one project with each fault, and a sound one (`unknown_project` of mlcourse.projects). A project counts as
right when the first check that says FAULT is one that asks for its fault; a sound one, when none says so. After every
round it keeps the table as ten_checks.csv, and prints it at the end.
"""
import argparse
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from mlcourse.core import write_csv
from mlcourse.evaluation import ten_checks
from mlcourse.projects import FAULTS, unknown_project

ASKED_BY = dict(none=[0], column=[3, 5], group=[4], leak=[2]) # the checks that ask for a fault; 0 for none


def try_one(fault, seed):
    "What the checks say of one project."
    numbers = [number for number, finding in enumerate(ten_checks(*unknown_project(seed, fault)), 1) if finding.fault]
    first = numbers[0] if numbers else 0
    return dict(fault=fault, right=first in ASKED_BY[fault], first=first, faults=len(numbers))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5)
    rows = []
    for seed in tqdm(range(parser.parse_args().rounds)):
        rows += [try_one(fault, seed) for fault in FAULTS]
        table = pd.DataFrame(rows).groupby('fault', sort=False)
        table = table.agg(projects=('right', 'size'), right=('right', 'sum'), first=('first', 'median'),
                          faults=('faults', 'mean')).reset_index()
        write_csv(table.round(2), Path(__file__).with_suffix('.csv'))
    print(table.to_string(index=False))


if __name__ == '__main__': main()
