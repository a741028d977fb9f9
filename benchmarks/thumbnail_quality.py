"""How much of a video's success does the thumbnail tell, in simulations and on real videos?

    python benchmarks/thumbnail_quality.py ~/data/thumbnails
    python benchmarks/thumbnail_quality.py ~/data/thumbnails --only simulation fitness_2017 --seeds 3

FOLDER holds up to three tables, and the ones that are there are used. Each has the columns video_id, channel_id,
published, observed, view_count and subscriber_count; two also have image (JPEG bytes).

    fitness_2017.parquet   with images: what do age, subscribers and the image tell about the label?
    tables.parquet         without images: the same for age and subscribers, and the regression on subscribers
    gallery.parquet        images made by professionals: do they pass the rules?

`simulation` needs no table: it simulates videos (image R2 0.3, no age confounding), fits a grader on 2,000 thumbnails
of each simulation, and says how far it came from a coin to the oracle, on 1,500 thumbnails of other channels. It does
so for both effects of mlcourse.thumbnails.simulate: `look` (in the table: simulation 1, 2, ...), and `reading`, for
which a picture has to be read.

It prints a table and keeps it as thumbnail_quality.csv beside this script, with a scatter of views by subscribers.
Rows of parts that did not run stay as they were. Every model is scored on channels that it was not trained on, and
every interval draws channels again.

How the grader's settings were chosen: on simulations 101 and 102, which are not scored here, and on that half of the
fitness channels on which the grader learns here; the other half is only scored. A whole run takes about 30 minutes of
one core; the pooled features are kept in the cache folder.
"""
import argparse, hashlib, tempfile, time, zlib
from pathlib import Path

import numpy as np
import pandas as pd

from mlcourse.core import cache_folder, write_csv
from mlcourse.evaluation import auc, bootstrap_interval
from mlcourse.thumbnails.advice import advise
from mlcourse.thumbnails.grader import (
    _baselines, _learn, _predict_rows, backbone, image_adds, learner, MultiScalePooling, pooled_features,
    ThumbnailGrader, to_pixels)
from mlcourse.thumbnails.images import load_image
from mlcourse.thumbnails.properties import without_site_padding
from mlcourse.thumbnails.simulate import EFFECTS, oracle_auc, simulate_videos
from mlcourse.thumbnails.videos import label

HERE = Path(__file__).parent
DRAWS = 500 # of each bootstrap


def read(path, **options):
    "A videos table with log age, log subscribers and log views a day; rows without those are left out."
    # `image` is a path in a videos table
    names = {'published': 'published_at', 'observed': 'observed_at', 'image': 'jpeg'}
    table = pd.read_parquet(path).rename(columns=names)
    # Where the channel is not known, the number of subscribers stands in: one channel has one.
    table['channel_id'] = table.channel_id.fillna('subscribers ' + table.subscriber_count.astype(str))
    videos = label(table, **options).dropna(subset=['views_per_day', 'subscriber_count']).query('views_per_day > 0')
    videos['log_age'] = np.log10(videos.age_days.astype(float))
    videos['log_subscribers'] = np.log10(1 + videos.subscriber_count.astype(float))
    videos['log_views_per_day'] = np.log10(videos.views_per_day.astype(float))
    return videos.reset_index(drop=True)


def features_of(pictures, name):
    "The pooled features of each picture; kept in the cache folder under `name`."
    kept = cache_folder()/f'pooled_features_{name}.npy'
    if not kept.exists(): np.save(kept, pooled_features(MultiScalePooling(backbone()).eval(), pictures))
    return np.load(kept)


def simulation(rows, seeds, effect, fine_tune, n_train=2000, n_test=1500):
    "The grader on simulations, where the oracle's score is known."
    label_name, data = 'above 100 views a day', 'simulation' if effect == 'look' else effect
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            videos = label(simulate_videos(n_train + n_test, folder, image_r2=0.3, age_confounding=False, seed=seed,
                                           effect=effect))
            channels = np.random.default_rng(seed).permutation(videos.channel_id.unique())
            videos['split'] = np.where(videos.channel_id.isin(channels[:n_train//10]), 'train', 'valid')
            start = time.process_time()
            grader = ThumbnailGrader.fit(videos, folder, progress=False)
            seconds = (time.process_time() - start) * n_train / len(videos) # the validation pictures are pooled too
            predicted = grader.predictions(videos, folder)
            name, truth = f'{data} {seed}', predicted.above_threshold.to_numpy(bool)
            best = oracle_auc(predicted)
            baselines = _baselines(videos[videos.split == 'train'], predicted)
            models = {'image alone': predicted.p_image, 'subscribers': baselines['subscribers'],
                      'tabular model': baselines['tabular'], 'combined model': predicted.p_combined}
            if fine_tune and name == 'simulation 1':
                models['image alone, fine_tune(3) of the same network'] = fine_tuned(videos, folder)
            for model, score in models.items(): add(rows, predicted, name, label_name, model, 'AUC', auc, truth, score)
            add(rows, predicted, name, label_name, 'oracle from the image', 'AUC', auc, truth, predicted.true_image)
            # Both models in one draw: what is lucky for the one is lucky for the other.
            add(rows, predicted, name, label_name, 'image alone, share of the oracle', 'share',
                lambda t, a, b: (auc(t, a) - 0.5) / (auc(t, b) - 0.5), truth, predicted.p_image, predicted.true_image)
            added(rows, predicted, name, label_name)
            rows.append(dict(data=name, label='', predictor=f'to learn from {n_train:,} thumbnails, one core',
                             metric='seconds', n=n_train, channels=n_train//10, estimate=round(seconds, 1)))
            print(f'{name}: {seconds:.0f} seconds of one core to learn, target {grader.card["target"]}; '
                  f'oracle {best:.3f}', flush=True)
            keep(rows)
    of_oracle = f"predictor == 'image alone, share of the oracle' and data.str.startswith('{data}')"
    part = pd.DataFrame(rows).query(of_oracle)
    mean, error = part.estimate.mean(), part.estimate.std() / len(part)**0.5
    rows.append(dict(data=f'{data}, mean', label=label_name, predictor='image alone, share of the oracle',
                     metric='share', n=int(part.n.sum()), channels=int(part.channels.sum()), estimate=round(mean, 4),
                     low=round(mean - 1.96*error, 4), high=round(mean + 1.96*error, 4)))
    print({key: rows[-1][key] for key in ('data', 'estimate', 'low', 'high')})


def fine_tuned(videos, folder):
    "The probabilities of fastai's `fine_tune`, for the validation rows."
    learn = learner(videos, folder)
    with learn.no_bar():
        learn.fine_tune(3, 3e-3)
        return learn.get_preds()[0][:, 1].numpy()


def added(rows, predicted, data, name):
    "What the image adds to the table and to the regression, with intervals."
    for question, row in image_adds(predicted, DRAWS).iterrows():
        metric, what = question.split(': ')
        what = what if metric == 'r' else f'what the image adds ({what})'
        rows.append(dict(data=data, label=name, predictor=what, metric=metric,
                         n=len(predicted), channels=predicted.channel_id.nunique(),
                         estimate=round(row['adds'], 4), low=round(row.low, 4), high=round(row.high, 4)))
        print(f"{data:24} {rows[-1]['predictor']:66} {metric:5} {row['adds']:6.4f} [{row.low:7.4f}, {row.high:7.4f}]",
              flush=True)


def keep(rows):
    "Write the rows; of data that is not among them, keep those of earlier runs."
    path, new = HERE/'thumbnail_quality.csv', pd.DataFrame(rows)
    old = pd.read_csv(path) if path.exists() else new[:0]
    write_csv(pd.concat([new, old[~old.data.isin(new.data)]]), path)


def add(rows, videos, data, label_name, predictor, metric, statistic, *arrays):
    "Work out one number with its interval, keep it as a row, and print it."
    estimate, low, high = bootstrap_interval(statistic, *arrays, groups=videos.channel_id, n=DRAWS)
    n, channels = len(videos), videos.channel_id.nunique()
    rows.append(dict(data=data, label=label_name, predictor=predictor, metric=metric, n=n, channels=channels,
                     estimate=round(estimate, 4), low=round(low, 4), high=round(high, 4)))
    print(f"{data:24} {predictor:44} {metric:5} {estimate:6.3f} [{low:6.3f}, {high:6.3f}]  "
          f"n = {n}, {channels} channels", flush=True)


def fitness(path, rows, width):
    "Age, subscribers and the image, against two labels. Half of the channels are for training, half for the score."
    videos = read(path)
    videos['split'] = ['train' if zlib.crc32(channel.encode()) % 2 == 0 else 'valid' for channel in videos.channel_id]
    tenth, views = pd.qcut(videos.log_age, 10, labels=False), videos.views_per_day
    labels = {f'above the median of {views.median():.1f} views a day': views > views.median(),
              'above the median of its tenth by age': views > views.groupby(tenth).transform('median')}
    pictures = [to_pixels(without_site_padding(load_image(data)), width) for data in videos.jpeg]
    features = features_of(pictures, f"{hashlib.sha256(''.join(videos.video_id).encode()).hexdigest()[:16]}_{width}")
    train = (videos.split == 'train').to_numpy()
    for name, target in labels.items():
        print(f'-- label: {name}')
        rows_of = videos.assign(above_threshold=target.astype('boolean'))
        sizes = MultiScalePooling(backbone()).eval().sizes()
        weights, bias, card = _learn(features[train], rows_of[train], sizes)
        predicted = rows_of[~train].join(_predict_rows(card, features[~train] @ weights + bias, rows_of[~train]))
        truth = predicted.above_threshold.to_numpy(bool)
        models = _baselines(rows_of[train], predicted)
        models = {'age': models['age'], 'subscribers': models['subscribers'], 'age + subscribers': models['tabular'],
                  'image alone': predicted.p_image, 'age + subscribers + image': predicted.p_combined}
        for predictor, score in models.items():
            add(rows, predicted, 'fitness_2017', name, predictor, 'AUC', auc, truth, score)
        # How much of what the image model predicts is how old the video is?
        age = np.corrcoef(pd.Series(predicted.p_image).rank(), predicted.log_age.rank())[0, 1]
        rows.append(dict(data='fitness_2017', label=name, predictor='rank correlation of the image model with age',
                         metric='r', n=len(predicted), channels=predicted.channel_id.nunique(), estimate=round(age, 4)))
        print(f"target {card['target']}, alpha {card['alpha']:g}; "
              f'rank correlation of the image model with age {age:.2f}')
        added(rows, predicted, 'fitness_2017', name)


def r_squared(x, y):
    "Of the regression line; nan where all x are alike (a draw may hold one channel only)."
    return np.corrcoef(x, y)[0, 1]**2 if np.ptp(x) else np.nan


def tables(path, rows, picture):
    "Age and subscribers against 100 views a day, and the regression; one source at a time, as each was chosen its way."
    videos = read(path, threshold=100)
    name = 'above 100 views a day'
    for source, part in videos.groupby('source'):
        short, truth = source.split('/')[0], part.above_threshold.to_numpy(bool)
        print(f'-- {source}: {truth.mean():.0%} {name}')
        for predictor, score in (('age', -part.log_age), ('subscribers', part.log_subscribers)):
            add(rows, part, short, name, predictor, 'AUC', auc, truth, score)
        add(rows, part, short, 'log views a day', 'log subscribers', 'R2', r_squared,
            part.log_subscribers, part.log_views_per_day)
    # The three were chosen in three ways, and together the regression explains nothing: do not pool what was not
    # sampled alike.
    add(rows, videos, 'three tables together', 'log views a day', 'log subscribers', 'R2', r_squared,
        videos.log_subscribers, videos.log_views_per_day)
    scatter(videos, picture)


def scatter(videos, picture):
    "Views by subscribers, one dot a video, one panel a table."
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), dpi=80, layout='constrained', sharex=True, sharey=True)
    for axis, (source, part) in zip(axes, videos.groupby('source')):
        x, y = part.log_subscribers, part.log_views_per_day
        axis.scatter(x, y, s=4, alpha=0.3, color='#0072B2', lw=0)
        slope, start = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        axis.plot(ends, start + slope*ends, color='#D55E00', lw=2)
        axis.axhline(2, color='black', lw=1, ls=':')
        axis.set(title=f"{source.split('/')[0]}\nR² = {r_squared(x, y):.2f}, {part.channel_id.nunique()} channels",
                 xlabel='subscribers, log10')
        axis.title.set_size(9)
    axes[0].set_ylabel('views per day, log10\n(dotted: 100 a day)')
    fig.suptitle('More subscribers, more views; but one number of subscribers goes with a thousandfold range of views',
                 fontsize=10)
    fig.savefig(picture)


def gallery(path, rows):
    "Professionals' thumbnails against a published rule, and against ours."
    videos = pd.read_parquet(path)
    for source, part in videos.groupby('source'):
        reports = [advise(data) for data in part.image]
        part = part.assign(channel_id=part.video_id) # nothing to group by: one video, one channel
        wide = np.array([report.properties['std_grey'] > 80 for report in reports], float)
        # The size is a matter of how the pictures were collected, not of how they were made.
        found = np.array([sum(item.name != 'small' for item in report.recommendations) for report in reports], float)
        short = source.split('/')[0]
        add(rows, part, short, 'a rule that tools publish', 'standard deviation of grey above 80', 'share', np.mean,
            wide)
        add(rows, part, short, 'our rules', 'recommendations a picture, size aside', 'mean', np.mean, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='folder with the parquet files')
    parser.add_argument('--only', nargs='+', default=['simulation', 'fitness_2017', 'tables', 'gallery'],
                        help='which parts to run')
    parser.add_argument('--seeds', type=int, default=5, help='how many simulations')
    parser.add_argument('--effects', nargs='+', choices=EFFECTS, default=list(EFFECTS), help='of the simulations')
    parser.add_argument('--train', type=int, default=2000, help='thumbnails to learn from in each simulation')
    parser.add_argument('--test', type=int, default=1500, help='and to be scored on')
    parser.add_argument('--width', type=int, default=160, help='of the real thumbnails, in pixels')
    parser.add_argument('--fine-tune', action='store_true',
                        help="in the first simulation, also fastai's way to train (ten minutes more)")
    args, rows = parser.parse_args(), []
    if not args.folder.is_dir(): parser.error(f'{args.folder} is not a folder')
    jobs = dict(fitness_2017=lambda path: fitness(path, rows, args.width),
                tables=lambda path: tables(path, rows, HERE/'thumbnail_views_by_subscribers.png'),
                gallery=lambda path: gallery(path, rows))
    for name in args.only:
        path = args.folder/f'{name}.parquet'
        print(f'== {name}')
        if name == 'simulation':
            for effect in args.effects: simulation(rows, args.seeds, effect, args.fine_tune, args.train, args.test)
        elif path.exists(): jobs[name](path)
        else: print(f'{path} is not there; left out')
        if rows: keep(rows)


if __name__ == '__main__': main()
