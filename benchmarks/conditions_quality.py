"""Which recording conditions trouble the language detector, and what gives the language away without listening?

    python benchmarks/conditions_quality.py ~/data/speech

FOLDER holds dev.parquet and train_*.parquet: one row a clip, with the columns language (en, zh), corpus, speaker and
audio (the bytes of a sound file).

The grid: each clip of dev.parquet is cut to its first 3 seconds (a shorter one is taken whole), put through every one
of mlcourse.language.conditions.CONDITIONS, and classified by the shipped weights: a forced choice, at the decision
threshold that the weights came with. 'clean' is the baseline; the change from it is measured clip by clip. The babble
is made of the package's six example clips, three in each language.

The probes: can loudness, bandwidth, noise floor, length, or the silence between words alone tell the language
(mlcourse.language.clips.probe_shortcuts)? Asked of dev.parquet; of a sample of the training sets, as they are and after
`augment`; and of the synthetic clips, in which every voice speaks both languages under the same conditions, as the
baseline. Last comes what a detector could have used: regressions fitted on the training sets after `augment`, tried on
dev.

Every interval draws speakers again, not clips. It prints two tables and keeps them beside this script as
conditions_quality.csv and shortcut_probes.csv. About five minutes on one core.
"""
import argparse, time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mlcourse.core import write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import probe_shortcuts, shortcut_features, source, synthetic_clips
from mlcourse.language.conditions import augment, CONDITIONS
from mlcourse.language.detector import LanguageDetector

HERE = Path(__file__).parent
SECONDS = 3
CLIPS_A_CORPUS = 100  # of each language, in the sample of the training sets


def read_sounds(clips): return [load(source(clip)) for _, clip in clips.iterrows()]
def change(truth, clean, forced): return balanced_accuracy(truth, forced)-balanced_accuracy(truth, clean)
def share_right(truth, named): return np.mean(truth == named)
def zh_auc(truth, score): return auc(truth == 'zh', score)


def with_interval(statistic, table, *columns):
    "A statistic of some columns, and its interval by speaker."
    arrays = [table[column].to_numpy() for column in columns]
    interval = bootstrap_interval(statistic, *arrays, groups=table['corpus']+'/'+table['speaker'].astype(str))
    return [round(value, 4) for value in interval]


def row(condition, metric, statistic, table, *columns):
    "One row of the grid."
    estimate, low, high = with_interval(statistic, table, *columns)
    return dict(seconds=SECONDS, condition=condition, metric=metric, clips=len(table),
                speakers=table.groupby(['corpus', 'speaker']).ngroups, estimate=estimate, low=low, high=high,
                baseline=np.nan)


def grid(detector, clips, sounds):
    "For each condition: balanced accuracy, its change from clean, the recall of each language, and AUC."
    clean = None
    for name, condition in tqdm(CONDITIONS.items(), desc='conditions'):
        heard = [condition(samples[:SECONDS*SAMPLE_RATE], np.random.default_rng(i)) for i, samples in enumerate(sounds)]
        p_zh = detector.predict_many([(samples, SAMPLE_RATE) for samples in heard])['p_zh']
        table = clips.assign(p_zh=p_zh.to_numpy(), forced=np.where(p_zh > 0.5, 'zh', 'en'))
        clean = table['forced'] if clean is None else clean
        yield row(name, 'balanced accuracy', balanced_accuracy, table, 'language', 'forced')
        yield row(name, 'change from clean', change, table.assign(clean=clean), 'language', 'clean', 'forced')
        for language, part in table.groupby('language'):
            yield row(name, f'recall {language}', share_right, part, 'language', 'forced')
        yield row(name, 'AUC', zh_auc, table, 'language', 'p_zh')


def training_sample(folder):
    "Some clips of each language of each corpus."
    table = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob('train_*.parquet'))], ignore_index=True)
    table = table[table['language'].isin(['en', 'zh'])]
    some = [part.sample(min(len(part), CLIPS_A_CORPUS), random_state=0)
            for _, part in table.groupby(['language', 'corpus'])]
    return pd.concat(some, ignore_index=True)


def carried_over(train, train_sounds, clips, sounds):
    "The probes fitted on one set and tried on another."
    fit, tried = [pd.DataFrame([shortcut_features(samples) for samples in some]) for some in (train_sounds, sounds)]
    for probe in fit:
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
        regression.fit(fit[probe].to_list(), train['language'] == 'zh')
        table = clips.assign(score=regression.decision_function(tried[probe].to_list()))
        value, low, high = with_interval(zh_auc, table, 'language', 'score')
        yield dict(probe=probe, language='both', corpus='all', clips=len(clips), auc=value, low=low, high=high)


def probes(folder, dev, dev_sounds):
    "The probes on each set, with a column that says which."
    train, synthetic = training_sample(folder), synthetic_clips()
    sounds = read_sounds(train)
    augmented = [augment(samples, np.random.default_rng(i)) for i, samples in enumerate(sounds)]
    for name, clips, heard in [('synthetic clips (baseline)', synthetic, read_sounds(synthetic)),
                               ('dev', dev, dev_sounds), ('training sets', train, sounds),
                               ('training sets, augmented', train, augmented)]:
        yield probe_shortcuts(clips, heard).assign(clips_of=name)
    carried = pd.DataFrame(carried_over(train, augmented, dev, dev_sounds))
    yield carried.assign(clips_of='dev, fitted on the training sets')


def wide(result):
    "One row for each condition, as people read it."
    intervals = result[['estimate', 'low', 'high']].to_numpy()
    shown = result.assign(interval=[format_interval(*values) for values in intervals])
    return shown.pivot(index='condition', columns='metric', values='interval').loc[list(CONDITIONS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='the folder that holds dev.parquet and train_*.parquet')
    parser.add_argument('--weights', type=Path, help='a .safetensors file; the shipped weights when left out')
    parser.add_argument('--out', type=Path, default=HERE, help='the folder for the two tables')
    arguments = parser.parse_args()
    began = time.time()
    torch.set_num_threads(1)
    dev = pd.read_parquet(arguments.folder/'dev.parquet')
    sounds = read_sounds(dev)
    result = pd.DataFrame(grid(LanguageDetector.load(arguments.weights), dev, sounds))
    write_csv(result, arguments.out/'conditions_quality.csv')
    print(wide(result).to_string())
    worst = result[result['metric'] == 'balanced accuracy'].nsmallest(1, 'estimate').iloc[0]
    interval = format_interval(worst['estimate'], worst['low'], worst['high'])
    print(f"worst: {worst['condition']}, balanced accuracy {interval}\n")
    found = pd.concat(probes(arguments.folder, dev, sounds))
    found = found[['clips_of', *found.columns.drop('clips_of')]].round(4)
    write_csv(found, arguments.out/'shortcut_probes.csv')
    overall = found[found['corpus'] == 'all']
    shown = overall.assign(interval=[format_interval(*values) for values in overall[['auc', 'low', 'high']].to_numpy()])
    print('AUC of each probe for the language (by corpus in shortcut_probes.csv):')
    table = shown.pivot(index='clips_of', columns='probe', values='interval')
    print(table.loc[shown['clips_of'].unique(), shown['probe'].unique()].to_string())
    print(f'{time.time()-began:.0f} s')


if __name__ == '__main__': main()
