"""Which recording conditions trouble the language detector, and what gives the language away without listening?

    python benchmarks/conditions_quality.py ~/data/speech

FOLDER holds dev.parquet and train_*.parquet: one row a clip, with the columns language (en, zh), corpus, speaker and audio
(the bytes of a sound file).

The grid: each clip of dev.parquet is cut to its first 3 seconds (a shorter one is taken whole), put through every one of
mlcourse.language.conditions.CONDITIONS, and judged by the shipped weights: a forced choice, at the line between the
languages that the weights came with. 'clean' is the baseline; the change from it is measured clip by clip. The babble is
made of the package's six example clips, three in each language.

The probes: can loudness, bandwidth, noise floor, length, or the silence between words alone tell the language
(mlcourse.language.conditions.probe_shortcuts)? Asked of dev.parquet; of a sample of the training sets, as they are and after
`augment`; and of the embedded clips, in which every voice speaks both languages under the same conditions, as the baseline.
Last comes what a detector could have used: lines fitted on the training sets after `augment`, tried on dev.

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

from language_quality import row, share_right, zh_auc
from mlcourse.core import write_csv
from mlcourse.evaluation import balanced_accuracy, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import source, synthetic_clips
from mlcourse.language.clips import probe_shortcuts, shortcut_features
from mlcourse.language.conditions import augment, CONDITIONS
from mlcourse.language.detector import LanguageDetector

HERE = Path(__file__).parent
SECONDS = 3
CLIPS_A_CORPUS = 100  # of each language, in the sample of the training sets


def read_sounds(clips): return [load(source(clip)) for _, clip in clips.iterrows()]
def change(truth, clean, forced): return balanced_accuracy(truth, forced)-balanced_accuracy(truth, clean)


def grid(detector, clips, sounds):
    "For each condition: balanced accuracy, its change from clean, the recall of each language, and AUC."
    clean = None
    for name, condition in tqdm(CONDITIONS.items(), desc='conditions'):
        heard = [condition(samples[:SECONDS*SAMPLE_RATE], np.random.default_rng(i)) for i, samples in enumerate(sounds)]
        p_zh = detector.predict_many([(samples, SAMPLE_RATE) for samples in heard])['p_zh']
        table = clips.assign(p_zh=p_zh.to_numpy(), forced=np.where(p_zh > 0.5, 'zh', 'en'))
        clean = table['forced'] if clean is None else clean
        yield row(SECONDS, 'balanced accuracy', name, balanced_accuracy, table, 'language', 'forced')
        yield row(SECONDS, 'change from clean', name, change, table.assign(clean=clean), 'language', 'clean', 'forced')
        for language, part in table.groupby('language'): yield row(SECONDS, f'recall {language}', name, share_right, part, 'language', 'forced')
        yield row(SECONDS, 'AUC', name, zh_auc, table, 'language', 'p_zh')


def training_sample(folder):
    "Some clips of each language of each corpus."
    table = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob('train_*.parquet'))], ignore_index=True)
    some = [part.sample(min(len(part), CLIPS_A_CORPUS), random_state=0) for _, part in table.groupby(['language', 'corpus'])]
    return pd.concat(some, ignore_index=True)


def carried_over(train, train_sounds, clips, sounds):
    "The probes fitted on one set and tried on another."
    fit, tried = [pd.DataFrame([shortcut_features(samples) for samples in some]) for some in (train_sounds, sounds)]
    for probe in fit:
        line = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(fit[probe].to_list(), train['language'] == 'zh')
        table = clips.assign(score=line.decision_function(tried[probe].to_list()))
        result = row(None, None, None, zh_auc, table, 'language', 'score')
        yield dict(probe=probe, language='both', corpus='all', clips=len(clips), auc=result['estimate'], low=result['low'], high=result['high'])


def probes(folder, dev, dev_sounds):
    "The probes on each set, with a column that says which."
    train, embedded = training_sample(folder), synthetic_clips()
    sounds = read_sounds(train)
    augmented = [augment(samples, np.random.default_rng(i)) for i, samples in enumerate(sounds)]
    for name, clips, heard in [('embedded clips (baseline)', embedded, read_sounds(embedded)), ('dev', dev, dev_sounds),
                               ('training sets', train, sounds), ('training sets, augmented', train, augmented)]:
        yield probe_shortcuts(clips, heard).assign(clips_of=name)
    yield pd.DataFrame(carried_over(train, augmented, dev, dev_sounds)).assign(clips_of='dev, lines from training')


def wide(result):
    "One line for each condition, as people read it."
    shown = result.assign(interval=[format_interval(*values) for values in result[['estimate', 'low', 'high']].to_numpy()])
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
    result = pd.DataFrame(grid(LanguageDetector.load(arguments.weights), dev, sounds)).rename(columns={'group': 'condition'})
    write_csv(result, arguments.out/'conditions_quality.csv')
    print(wide(result).to_string())
    worst = result[result['metric'] == 'balanced accuracy'].nsmallest(1, 'estimate').iloc[0]
    print(f"worst: {worst['condition']}, balanced accuracy {format_interval(worst['estimate'], worst['low'], worst['high'])}\n")
    found = pd.concat(probes(arguments.folder, dev, sounds))
    found = found[['clips_of', *found.columns.drop('clips_of')]].round(4)
    write_csv(found, arguments.out/'shortcut_probes.csv')
    overall = found[found['corpus'] == 'all']
    shown = overall.assign(interval=[format_interval(*values) for values in overall[['auc', 'low', 'high']].to_numpy()])
    print('AUC of each probe for the language (by corpus in shortcut_probes.csv):')
    print(shown.pivot(index='clips_of', columns='probe', values='interval').loc[shown['clips_of'].unique(), shown['probe'].unique()].to_string())
    print(f'{time.time()-began:.0f} s')


if __name__ == '__main__': main()
