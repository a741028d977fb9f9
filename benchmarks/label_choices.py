"""What do the choices in `label` do on real videos, and what do age and subscribers alone give away?

    python benchmarks/label_choices.py ~/data/thumbnails

FOLDER holds fitness_2017.parquet and tables.parquet: one row a video, with the columns video_id, channel_id,
published, observed, view_count, subscriber_count and source. None of these tables tells the kind of a video. The
fitness videos are nearly all below 100 views a day, so the threshold there is their median. Intervals (95 %) draw
channels again. It prints a table and keeps it as label_choices.csv beside this script.
"""
import argparse
from pathlib import Path

import pandas as pd

from mlcourse.core import write_csv
from mlcourse.thumbnails.videos import label, label_report

COLUMNS = ['video_id', 'channel_id', 'published', 'observed', 'view_count', 'subscriber_count', 'source']


def report(videos, threshold):
    "The rows of the report that differ on these tables, with the threshold."
    videos = videos.rename(columns=dict(published='published_at', observed='observed_at'))
    for name in ('published_at', 'observed_at'): videos[name] = videos[name].astype(str)
    threshold = threshold or round(float(label(videos, split_by='time').views_per_day.median()), 1)
    found = label_report(videos, threshold, draws=200).round(2)
    found = found.drop(index='everything') # no kinds are known: the same as the next
    found.index = found.index.str.replace('videos only, ', '').str.replace('videos only', 'split by channel')
    return found.rename_axis('choice').reset_index().assign(threshold=threshold)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    folder, rows = parser.parse_args().folder, []
    for name, threshold in ('fitness_2017', None), ('tables', 100):
        for source, videos in pd.read_parquet(folder/f'{name}.parquet', columns=COLUMNS).groupby('source'):
            rows.append(report(videos, threshold).assign(table=name if name != 'tables' else source.split('/')[-1]))
    table = pd.concat(rows)[['table', 'threshold', *rows[0].columns.drop(['table', 'threshold'])]]
    print(table.to_string(index=False))
    write_csv(table, Path(__file__).parent/'label_choices.csv')


if __name__ == '__main__': main()
