"""How much speech has which role in recipes/ledger.csv, by language?

    python recipes/ledger.py FOLDER

FOLDER holds tables of clips (*.parquet) with the columns clip, speaker, language and duration_s. Prints clips, speakers
and minutes for each role and language. A source that the ledger does not name is an error: give it a role first.
"""
import argparse, sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from mlcourse.language.clips import read_ledger, roles, ROLES, UnreadableTable

HERE = Path(__file__).resolve().parent
COLUMNS = ['clip', 'speaker', 'language', 'duration_s']


def read_tables(folder):
    "The tables of clips in a folder, without their sounds; other tables are left out."
    tables = [path for path in sorted(folder.glob('*.parquet')) if {*COLUMNS} <= {*pq.read_schema(path).names}]
    if not tables: sys.exit(f'{folder} holds no tables of clips (*.parquet).')
    rows = [pd.read_parquet(path, columns=COLUMNS).assign(table=path.stem) for path in tables]
    return pd.concat(rows, ignore_index=True)


def summary(clips):
    "Clips, speakers and minutes for each role and language."
    clips = clips.assign(role=pd.Categorical(clips['role'], ROLES))
    found = clips.groupby(['role', 'language'], observed=True).agg(
        clips=('clip', 'size'), speakers=('speaker', 'nunique'), minutes=('duration_s', lambda s: round(s.sum()/60, 1)),
        tables=('table', lambda names: ' '.join(sorted(set(names)))))
    return found.reset_index()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds tables of clips')
    clips, ledger = read_tables(parser.parse_args().folder), read_ledger(HERE/'ledger.csv')
    try: clips['role'] = roles(clips, ledger)
    except UnreadableTable as error: sys.exit(str(error))
    print(summary(clips).to_string(index=False))


if __name__ == '__main__': main()
