"""How much do headlines and pictures differ in truth, and what does picking a winner make of it?

    python benchmarks/true_effects.py ~/data/thumbnails

FOLDER holds upworthy_arms.parquet: the arms of 4,873 tests in which a news site showed its readers, by lot, two or more
packages of headline and picture for one article (Upworthy Research Archive, the exploratory set, 2013 to 2015;
Matias, Munger, Le Quere and Ebersole, 2021, doi 10.1038/s41597-021-00934-7, CC-BY-4.0), with the columns test_id,
arm, impressions and clicks. Two arms of each test are taken by lot, since arms may be in order of their clicks.

True effects: what was seen is the true difference and luck, whose size is known. The true differences are taken to be
a mixture of normal distributions around 0, of widths on a grid, whose shares are fitted (EM; Stephens, 2017).
The winner's curse needs no such model: each arm's impressions are parted by lot; one part picks the winner, the rest
says how much better it is. Both tables are kept beside this script, as true_effects.csv and winners_curse.csv. Seconds.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from mlcourse.core import write_csv
from mlcourse.thumbnails.studio import impressions_needed, judge_test

HERE = Path(__file__).parent
WIDTHS = np.array([.01, .03, .06, .1, .15, .2, .3, .4, .6, .8, 1.2]) # of log ratios
SIZES, QUANTILES, RATE = (250, 500, 1000, 2000), (.1, .25, .5, .75, .9), .04


def pairs(arms, rng):
    "Two arms of each test, by lot: impressions and clicks, each of shape (tests, 2)."
    two = arms.sample(frac=1, random_state=rng).groupby('test_id').head(2).sort_values('test_id')
    two = two[two.groupby('test_id').arm.transform('size') == 2]
    return two[['impressions', 'clicks']].to_numpy().reshape(-1, 2, 2).transpose(2, 0, 1)


def log_ratio(n, k):
    "The log ratio of the rates of two arms, and its variance, with half a click added."
    log_rate, variance = np.log((k + .5)/(n + .5)), 1/(k + .5) - 1/(n + .5)
    return log_rate[:, 0] - log_rate[:, 1], variance.sum(1)


def shares(gap, variance, rounds=2000):
    "The share of each of WIDTHS in the true differences."
    likely = norm.pdf(gap[:, None], scale=np.sqrt(variance[:, None] + WIDTHS**2))
    share = np.full(len(WIDTHS), 1/len(WIDTHS))
    for _ in range(rounds):
        belongs = likely*share
        share = (belongs/belongs.sum(1, keepdims=True)).mean(0)
    return share


def effects(n, k):
    "True differences by quantile, as the better arm's lift, and what a test of each would need."
    share = shares(*log_ratio(n, k))
    size = np.linspace(0, 3, 30_001) # of log ratios, without their sign
    below = (2*norm.cdf(size[:, None]/WIDTHS) - 1) @ share
    lifts = [np.expm1(size[np.searchsorted(below, quantile)]) for quantile in QUANTILES]
    seen = np.expm1(np.quantile(abs(log_ratio(n, k)[0]), QUANTILES))
    return pd.DataFrame(dict(quantile=QUANTILES, seen_lift=seen.round(3), true_lift=np.round(lifts, 3),
                             impressions_needed=[impressions_needed(RATE, lift) for lift in lifts]))


def curse(n, k, size, rng):
    "What becomes of winners that are picked after `size` impressions of each arm."
    enough = (n > 2*size).all(1)
    n, k = n[enough], k[enough]
    first = rng.hypergeometric(k, n - k, size)
    rest = (k - first + .5)/(n - size + .5)
    best = np.argmax(first + rng.uniform(0, .1, first.shape), axis=1) # equal ones by lot
    rows = np.arange(len(n))
    rate = (first + .5)/(size + .5)
    seen, true = (np.log(each[rows, best]/each[rows, 1 - best]) for each in (rate, rest))
    won = np.array([judge_test([size, size], clicks).says == 'won' for clicks in first])
    def typical(values): return round(float(np.expm1(np.mean(values))), 3)
    return dict(impressions=size, tests=len(n), won_share=round(won.mean(), 3), ahead_seen=typical(seen),
                ahead_true=typical(true), won_seen=typical(seen[won]), won_true=typical(true[won]),
                ahead_is_better=round((true > 0).mean(), 3), won_is_better=round((true[won] > 0).mean(), 3))


def main():
    parser = argparse.ArgumentParser(description='True effects in randomised tests.')
    parser.add_argument('folder', type=Path)
    arms, rng = pd.read_parquet(parser.parse_args().folder/'upworthy_arms.parquet'), np.random.default_rng(0)
    n, k = pairs(arms, rng)
    rate = k.sum()/n.sum()
    print(f'{arms.test_id.nunique():,} tests; {len(n):,} with two arms, {np.median(n):,.0f} impressions each in the '
          f'middle, {rate:.1%} clicked; {np.mean([judge_test(*each).says == "won" for each in zip(n, k)]):.0%} won')
    tables = dict(true_effects=effects(n, k), winners_curse=pd.DataFrame([curse(n, k, size, rng) for size in SIZES]))
    for name, table in tables.items():
        write_csv(table, HERE/f'{name}.csv')
        print(table.to_string(index=False))


if __name__ == '__main__': main()
