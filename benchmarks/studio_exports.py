"""What is read from real exports of YouTube Studio, and what can be told from them?

    python benchmarks/studio_exports.py ~/data/thumbnails

FOLDER holds studio_exports.parquet: the tables of real exports of several channels, with the columns source, video_id,
title, published, duration_s, views, watch_hours, impressions, ctr_percent, exported and is_short_guess. Each channel
is written as Studio writes it, and as a French spreadsheet saves it again, and read by `read_studio`; what comes back
has to be the table. Other exports in FOLDER (*.csv, *.zip) are read as they are, or refused with the sentence shown.
If FOLDER holds channel_views.parquet (channel, views, hours_since_published), it also says what matching by age does.

Then, for each channel, Shorts by their guess left out: how many videos have 1,000 impressions, the slope and the spread
of the line through them, how many videos get more or fewer clicks than the channel gets at so many impressions, how
many videos it takes to see that a change of the thumbnails brings 20% more clicks, and how many impressions a test
takes at the channel's rate. Two tables; the second is kept as studio_exports.csv beside this script, with channels in
order of their videos and not by name. A minute.
"""
import argparse, io, time, warnings
from pathlib import Path

import numpy as np
import pandas as pd

from mlcourse.core import write_csv
from mlcourse.thumbnails.studio import (
    HEADERS, impressions_needed, MIN_VIDEOS, read_studio, relative_rates, relative_views, videos_needed)
from mlcourse.thumbnails.videos import as_videos

HERE = Path(__file__).parent
COLUMNS = {'video_id': 'video_id', 'title': 'title', 'published': 'published_at', 'duration_s': 'duration_s',
           'views': 'view_count', 'watch_hours': 'watch_hours', 'impressions': 'impressions',
           'ctr_percent': 'click_through_rate'}


def written(rows, french=False):
    "The bytes of an export with these rows, in English, or as a French spreadsheet saves it."
    table = pd.DataFrame({HEADERS[name][0]: rows[ours] for ours, name in COLUMNS.items()})
    dates = pd.to_datetime(rows.published, errors='coerce')
    table['Video publish time'] = dates.dt.strftime('%d/%m/%Y' if french else '%b %d, %Y').fillna('')
    for name in ('Views', 'Impressions', 'Duration'):
        table[name] = [f'{n:,.0f}'.replace(',', '\u202f' if french else '') if n == n else '' for n in table[name]]
    table.loc[-1] = ['Total', *['']*(len(table.columns) - 1)]
    file = io.StringIO()
    table.sort_index().to_csv(file, index=False, sep=';' if french else ',', decimal=',' if french else '.')
    return file.getvalue().encode('utf-8-sig' if french else 'utf-8')


def agrees(videos, rows):
    "Whether a table that was read says what was written."
    if videos.video_id.tolist() != rows.video_id.tolist(): return False
    rate = (rows.ctr_percent/100).where((rows.impressions != 0) & (rows.ctr_percent <= 100))
    true = dict(view_count=rows.views, impressions=rows.impressions, watch_hours=rows.watch_hours,
                click_through_rate=rate)
    read = {name: videos[name].to_numpy(float, na_value=np.nan) for name in true}
    return all(np.allclose(read[name], true[name].to_numpy(float), equal_nan=True) for name in true)


def told(videos, short):
    "What can be told from one channel."
    rates = relative_rates(videos[~short])
    known = rates.dropna(subset='relative')
    rate = (known.impressions*known.click_through_rate).sum()/known.impressions.sum() if len(known) else np.nan
    spread, enough = rates.attrs['spread'], rates.attrs['n'] >= MIN_VIDEOS
    return dict(without_shorts=len(rates), with_1000_impressions=rates.attrs['n'], rate_percent=round(100*rate, 1),
                slope=round(rates.attrs['slope'], 2), spread=round(spread, 2), more=(rates.says == 'more clicks').sum(),
                fewer=(rates.says == 'fewer clicks').sum(), cannot_tell=(rates.says == 'cannot tell').sum(),
                videos_for_20_percent=2*videos_needed(.2, spread) if enough else pd.NA,
                impressions_for_20_percent=2*impressions_needed(rate, .2) if enough else pd.NA)


def matched_by_age(path):
    "Rank correlation of age with views, and with views relative to those of about the same age, in the median channel."
    found = []
    for _, rows in pd.read_parquet(path).groupby('channel'):
        hours = rows.hours_since_published
        if len(rows) < 15: continue
        published = pd.Timestamp('2026-01-01', tz='UTC') - pd.to_timedelta(hours, unit='h')
        videos = as_videos(pd.DataFrame(dict(published_at=published, view_count=rows.views)))
        views = videos.view_count.astype(float)
        found.append([hours.corr(score, method='spearman') for score in (views, relative_views(videos))])
    return len(found), np.median(found, axis=0)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--out', type=Path, default=HERE/'studio_exports.csv')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    table, start = pd.read_parquet(args.folder/'studio_exports.parquet'), time.perf_counter()
    read, rows = [], []
    for source, channel in sorted(table.groupby('source'), key=lambda item: len(item[1])):
        videos = read_studio(written(channel), observed_at=channel.exported.iloc[0])
        channel = channel.assign(video_id=channel.video_id.str.strip()) # Studio puts a space before a hyphen
        good = channel[channel.video_id.isin(videos.video_id)].reset_index(drop=True)
        read.append(dict(export=source, rows=len(channel), videos=len(videos), read=agrees(videos, good),
                         read_saved_again=agrees(read_studio(written(channel, french=True)), good),
                         impressions=videos.impressions.notna().sum(), dates=videos.published_at.notna().sum()))
        short = good.is_short_guess.to_numpy(bool)
        rows.append(dict(channel=len(rows) + 1, videos=len(videos)) | told(videos, short))
    for path in sorted([*args.folder.glob('*.csv'), *args.folder.glob('*.zip')]):
        try: read.append(dict(export=path.name, videos=len(read_studio(path)), read=True))
        except (ValueError, OSError) as error: read.append(dict(export=path.name, videos=0, read=str(error)))
    print(pd.DataFrame(read).to_string(index=False), end='\n\n')
    print(pd.DataFrame(rows).to_string(index=False))
    print(f'{len(table)} rows in {time.perf_counter() - start:.0f} s')
    if (path := args.folder/'channel_views.parquet').is_file():
        n, (plain, matched) = matched_by_age(path)
        print(f'{n} channels: rank correlation of age with views {plain:+.2f}, with matched views {matched:+.2f}')
    write_csv(pd.DataFrame(rows), args.out)
