"""How often does a grader that can know nothing claim that the image adds something?

    python benchmarks/thumbnail_chance.py

It simulates videos, five of each channel, and shuffles their views, so that nothing tells anything. 200 graders for
each number of validation channels learn from twice as many other channels, and are scored. What the pictures are does
not matter then, so their features are random numbers, of which half of the variance is the channel's.

`claim` is the share of the graders whose interval of what the image adds to the table (95%, drawn by channel) lies
above zero, with Wilson's 95% interval. `may advise` is the share whose card says so: it asks for enough channels, too,
since an interval that draws from two can be one of three and no more. `better alone` is the share whose image, alone,
has an interval above the best model without a picture. It prints a table and keeps it as thumbnail_chance.csv beside
this script; two minutes of one core, in as many processes as there are cores.
"""
import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from mlcourse.core import write_csv
from mlcourse.thumbnails.grader import _card_scores, _check_splits, _learn, _predict_rows, NothingToLearn
from mlcourse.thumbnails.simulate import simulate_table
from mlcourse.thumbnails.videos import label

EACH, FEATURES = 5, 100 # videos of a channel, random numbers a picture


def scores_of(seed, videos, n_valid):
    "The card of one grader with shuffled labels; None when there is nothing to learn from."
    rng, videos = np.random.default_rng([n_valid, seed]), videos.copy()
    order = rng.permutation(len(videos))
    for name in ('views_per_day', 'above_threshold'): videos[name] = videos[name].array[order]
    channel, names = pd.factorize(videos.channel_id)
    valid = channel < n_valid
    videos['split'] = np.where(valid, 'valid', 'train')
    try: _check_splits(videos)
    except NothingToLearn: return None
    features = rng.normal(size=(len(names), FEATURES))[channel] + rng.normal(size=(len(videos), FEATURES))
    weights, bias, card = _learn(features[~valid], videos[~valid], [FEATURES])
    predicted = videos[valid].join(_predict_rows(card, features[valid] @ weights + bias, videos[valid]))
    return _card_scores(videos[~valid], predicted, draws=200)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--graders', type=int, default=200)
    parser.add_argument('--channels', type=int, nargs='+', default=[2, 10, 30])
    parser.add_argument('--workers', type=int, help='processes; as many as there are cores')
    args, table = parser.parse_args(), []
    for n_valid in args.channels:
        videos = label(simulate_table(3*EACH*n_valid, n_channels=3*n_valid, seed=n_valid))
        with ProcessPoolExecutor(args.workers) as processes:
            score = partial(scores_of, videos=videos, n_valid=n_valid)
            found = pd.DataFrame(filter(None, processes.map(score, range(args.graders), chunksize=10)))
        claims, alone = found.adds_low > 0, found.auc_low > found.baseline_auc
        low, high = binomtest(int(claims.sum()), len(found)).proportion_ci(method='wilson')
        table.append({'channels': n_valid, 'videos': EACH*n_valid, 'graders': len(found), 'claim': claims.mean(),
                      'low': low, 'high': high, 'may advise': found.may_advise.mean(), 'better alone': alone.mean()})
        print(table[-1], flush=True)
    write_csv(pd.DataFrame(table).round(4), Path(__file__).parent/'thumbnail_chance.csv')


if __name__ == '__main__': main()
