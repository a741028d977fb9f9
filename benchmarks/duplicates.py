"""Is a clip of one file also in another, or twice in the same, under another name, format or level?

    python benchmarks/duplicates.py ~/data/speech/*.parquet

Each PATH is a table of clips: a CSV file, or a parquet file whose column `audio` holds the bytes of a sound file. It
prints the groups that reach across files, then how many pairs of clips each two files (or a file with itself) share,
and keeps that as duplicates.csv beside this script. A group across the files for training and for testing makes the
test worthless.
"""
import argparse, time
from itertools import combinations
from pathlib import Path

import pandas as pd

from mlcourse.core import write_csv
from mlcourse.language.clips import duplicates, read_clips

HERE = Path(__file__).parent


def read(path):
    "A table of clips, with a column that says which file it came from."
    table = pd.read_parquet(path) if path.suffix == '.parquet' else read_clips(path)
    return table.assign(file=path.stem)


def shared_pairs(found, files, sizes):
    "For each two files: their pairs of clips that are one recording."
    pairs = [(*sorted((a.file, b.file)), a.language != b.language)
             for _, group in found.groupby('group') for a, b in combinations(group.itertuples(), 2)]
    pairs = pd.DataFrame(pairs, columns=['file', 'other', 'unlike'])
    rows = []
    for i, file in enumerate(files):
        for other in files[i:]:
            these = pairs[(pairs.file == min(file, other)) & (pairs.other == max(file, other))]
            rows.append({'file': file, 'clips': sizes[file], 'other': other, 'other_clips': sizes[other],
                         'pairs': len(these), 'of_unlike_language': int(these.unlike.sum())})
    return pd.DataFrame(rows)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('paths', nargs='+', type=Path)
    parser.add_argument('--out', type=Path, default=HERE/'duplicates.csv')
    args = parser.parse_args()
    clips = pd.concat([read(path) for path in args.paths], ignore_index=True)
    start = time.perf_counter()
    found = duplicates(clips)
    seconds = time.perf_counter()-start
    across = found[found.groupby('group').file.transform('nunique') > 1]
    columns = ['group', 'same', 'file', 'corpus', 'language', 'speaker', 'clip', 'duration_s']
    across = across[[column for column in columns if column in across]]
    print(across.to_string(index=False, max_rows=60) if len(across) else 'No clip of one file is in another.')
    table = shared_pairs(found, [path.stem for path in args.paths], clips.file.value_counts().to_dict())
    print(table.to_string(index=False))
    print('within a corpus:', found.groupby('corpus').group.nunique().to_dict(), 'groups')
    print(f'{len(clips)} clips in {seconds:.0f} s: {len(clips)/seconds:.0f} a second')
    write_csv(table, args.out)
