"""Make data/studio: an export of YouTube Studio as an invented channel would get it, and its drawn thumbnails.

    python recipes/studio_export.py

The zip has the three files of a real export in their true layout. truth.csv says what nobody knows of a real channel:
which pictures have a face, and how much each one's rate is above what the channel gets at so many impressions. The
settings are in studio_export.yaml; the same settings give the same files.
"""
import csv, io, shutil, zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from mlcourse.core import atomic_path, write_csv
from mlcourse.thumbnails.simulate import channel_design, draw_thumbnail, LETTERS, QUALITIES, quality

HERE = Path(__file__).parent
OUT = HERE.parent/'data'/'studio'
HEADER = ['Content', 'Video title', 'Video publish time', 'Duration', 'Views', 'Watch time (hours)', 'Subscribers',
          'Impressions', 'Impressions click-through rate (%)']


def draw_videos(settings, rng):
    "One row a video, with the truth about it."
    n, n_shorts = settings['videos'], settings['shorts']
    short = np.arange(n + n_shorts) >= n
    face = np.append(rng.permutation(n) < settings['face_share']*n, np.zeros(n_shorts, dtype=bool))
    start, end = map(pd.Timestamp, settings['period'])
    days = rng.integers(5, (end - start).days - 10, n + n_shorts)
    shown = settings['impressions']
    age = ((end - start).days - days)/300
    impressions = shown['median']*np.exp(rng.normal(0, shown['sd_log'], len(short)))*age**shown['age_power']
    pairs = rng.permutation(len(settings['adjectives'])*len(settings['things']))[:len(short)]
    adjectives, things, endings = (settings[name] for name in ('adjectives', 'things', 'endings'))
    titles = [(adjectives[i % 10], things[i//10], rng.choice(endings)) for i in pairs]
    return pd.DataFrame(dict(
        video_id=[''.join(LETTERS[rng.integers(len(LETTERS), size=11)]) for _ in short], short=short, face=face,
        published=start + pd.to_timedelta(days, unit='D'), words=[f'{a} {t}'.upper() for a, t, _ in titles],
        title=[f'{a} {t} {e}' + ' #shorts'*int(is_short) for (a, t, e), is_short in zip(titles, short)],
        duration=np.where(short, rng.integers(20, 60, len(short)), np.rint(np.exp(rng.normal(6.3, .3, len(short))))),
        impressions=np.rint(np.where(short, impressions/8, impressions)).astype(int)))


def give_numbers(videos, settings, rng):
    "Add what people did."
    rate, n = settings['rate'], len(videos)
    own = np.exp(rng.normal(0, rate['spread'], n))*np.where(videos.face, settings['face_effect'], 1)
    line = rate['median']*(videos.impressions/settings['impressions']['median'])**rate['slope']
    p = np.where(videos.short, settings['shorts_rate'], line*own).clip(0, .6)
    clicks = rng.binomial(videos.impressions, p)
    swiped = np.where(videos.short, rng.integers(200, 4000, n), 0)
    views = np.rint(clicks*(1 + rng.uniform(*settings['other_views'], n)) + swiped)
    hours = views*videos.duration*rng.uniform(*settings['watched'], n)/3600
    return videos.assign(true_relative_rate=own, clicks=clicks, views=views.astype(int), hours=hours,
                         subscribers=rng.poisson(views/120)).sort_values('views', ascending=False, ignore_index=True)


def text_of(rows):
    "Rows as Studio writes them."
    file = io.StringIO()
    csv.writer(file, lineterminator='\n').writerows(rows)
    return file.getvalue()


def files_of(videos, settings):
    "The three files of the export: {name: text}."
    def row(v):
        return [v.video_id, v.title, f'{v.published:%b} {v.published.day}, {v.published.year}', int(v.duration),
                v.views, round(v.hours, 4), v.subscribers, v.impressions, round(100*v.clicks/v.impressions, 2)]
    total = ['Total', '', '', '', videos.views.sum(), round(videos.hours.sum(), 4), videos.subscribers.sum(),
             videos.impressions.sum(), round(100*videos.clicks.sum()/videos.impressions.sum(), 2)]
    days = pd.date_range(*settings['period'])
    def on(v, day): return int(v.views/20*np.exp(-(day - v.published).days/20)) if day >= v.published else 0
    charted = videos.head(settings['charted']).itertuples()
    chart = [[f'{day:%Y-%m-%d}', *row(v)[:4], on(v, day)] for v in charted for day in days]
    totals = [[f'{day:%Y-%m-%d}', sum(on(v, day) for v in videos.itertuples())] for day in days]
    return {'Table data.csv': text_of([HEADER, total, *map(row, videos.itertuples())]),
            'Chart data.csv': text_of([['Date', *HEADER[:4], 'Views'], *chart]),
            'Totals.csv': text_of([['Date', 'Views'], *totals])}


def draw(video, settings, rng):
    "The drawn thumbnail of a video."
    qualities = {name: quality(name, rng.uniform()) for name in QUALITIES}
    qualities |= dict(face_height=quality('face_height', rng.uniform(.65, 1)) if video.face else 0.,
                      brightness=rng.uniform(105, 150), contrast=rng.uniform(45, 60),
                      colourfulness=rng.uniform(25, 50), clutter=int(rng.integers(0, 12)))
    design = channel_design(int(rng.choice(settings['designs'])))
    return draw_thumbnail(qualities, design, video.words.split(), int(rng.integers(1e9)))[0]


def main():
    settings = yaml.safe_load((HERE/'studio_export.yaml').read_text(encoding='utf-8'))
    rng = np.random.default_rng(settings['seed'])
    videos = give_numbers(draw_videos(settings, rng), settings, rng)
    shutil.rmtree(OUT, ignore_errors=True)
    start, end = settings['period']
    with (atomic_path(OUT/f"Content {start}_{end} {settings['channel']}.zip") as path,
          zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive):
        for name, text in files_of(videos, settings).items():
            member = zipfile.ZipInfo(name, (2026, 8, 1, 12, 0, 0)) # always the same bytes
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, text)
    for video in videos.itertuples():
        picture = draw(video, settings, rng)
        with atomic_path(OUT/'images'/f'{video.video_id}.jpg') as path: picture.save(path, quality=80)
    write_csv(videos[['video_id', 'face', 'true_relative_rate']].round(4), OUT/'truth.csv')
    size = sum(path.stat().st_size for path in OUT.rglob('*') if path.is_file())
    enough = videos[~videos.short & (videos.impressions >= 1000)]
    print(f'{len(videos)} videos, {videos.short.sum()} of them Shorts; {len(enough)} others with 1,000 impressions, '
          f'{enough.face.sum()} of these with a face; {size/1e3:.0f} kB')


if __name__ == '__main__': main()
