"""How good is the language detector on real recordings of speakers and corpora that it never heard?

    python benchmarks/language_quality.py ~/data/speech

FOLDER holds dev.parquet: one row a clip, with the columns language (en, zh), corpus, speaker and audio (the bytes of a
sound file). Each clip is judged on its first 1, 3 and 10 seconds; a clip that is shorter is taken whole, never padded.

The answers are a forced choice (the likelier language, 'unsure' not allowed) unless the line says otherwise. The line
between the languages in the shipped weights was chosen on these very recordings, at 3 s; so each length also has a figure
in which every corpus is judged by a line chosen, at 3 s, on the other corpora. Every interval draws speakers again, not
clips. It prints a table, keeps it as language_quality.csv beside this script, and writes the overall figures into the card
of the shipped weights.
"""
import argparse, json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mlcourse.core import atomic_path, write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, equal_recall_threshold, format_interval
from mlcourse.language.audio import SAMPLE_RATE, load
from mlcourse.language.clips import source
from mlcourse.language.detector import LanguageDetector, shipped_weights

HERE = Path(__file__).parent
LENGTHS = (1, 3, 10)  # seconds


def answers(detector, clips, sounds, seconds):
    "The clips with what the detector says of their first `seconds`."
    table = detector.predict_many([(samples[:round(seconds*SAMPLE_RATE)], SAMPLE_RATE) for samples in tqdm(sounds, desc=f'{seconds} s')])
    heard_s = [min(len(samples)/SAMPLE_RATE, seconds) for samples in sounds]
    return clips.assign(p_zh=table.p_zh, named=table.language, forced=np.where(table.p_zh > 0.5, 'zh', 'en'), heard_s=heard_s)


def row(seconds, what, group, statistic, table, *columns):
    "One line of the result, with an interval by speaker."
    arrays = [table[column].to_numpy() for column in columns]
    estimate, low, high = bootstrap_interval(statistic, *arrays, groups=table['corpus']+'/'+table['speaker'].astype(str))
    return dict(seconds=seconds, group=group, measure=what, clips=len(table), speakers=table.groupby(['corpus', 'speaker']).ngroups,
                estimate=round(estimate, 4), low=round(low, 4), high=round(high, 4))


def share_right(truth, named): return np.mean(truth == named)
def zh_auc(truth, score): return auc(truth == 'zh', score)
def share_answered(named): return np.mean(named != 'unsure')


def right_if_answered(truth, named):
    answered = named != 'unsure'
    return np.mean(truth[answered] == named[answered]) if answered.any() else np.nan


def lines_of_others(clips, p_zh):
    "For each clip the line between the languages that the other corpora would choose."
    lines = pd.Series(np.nan, clips.index)
    for corpus in clips['corpus'].unique():
        others = clips['corpus'] != corpus
        lines[~others] = equal_recall_threshold(clips.loc[others, 'language'] == 'zh', p_zh[others])
    return lines


def measure(table, seconds):
    "All the lines for one length."
    yield row(seconds, 'balanced accuracy', 'all', balanced_accuracy, table, 'language', 'forced')
    by_others = table.assign(forced=np.where(table.p_zh > table.line, 'zh', 'en'))
    yield row(seconds, 'balanced accuracy, line chosen on other corpora', 'all', balanced_accuracy, by_others, 'language', 'forced')
    yield row(seconds, 'AUC', 'all', zh_auc, table, 'language', 'p_zh')
    for language, part in table.groupby('language'): yield row(seconds, 'recall', language, share_right, part, 'language', 'forced')
    for corpus, part in table.groupby('corpus'): yield row(seconds, 'recall', corpus, share_right, part, 'language', 'forced')
    yield row(seconds, "answered (not 'unsure')", 'all', share_answered, table, 'named')
    yield row(seconds, 'right, of those answered', 'all', right_if_answered, table, 'language', 'named')
    shorter = table.assign(shorter=-table.heard_s)
    yield row(seconds, 'AUC of length alone (baseline)', 'all', zh_auc, shorter, 'language', 'shorter')


def keep_in_card(result):
    "Write the overall figures into the card of the shipped weights."
    path = shipped_weights().with_suffix('.json')
    card = json.loads(path.read_text(encoding='utf-8'))
    overall = result[result['group'] == 'all']
    card['figures'] = {'measured_by': 'benchmarks/language_quality.py on dev.parquet, intervals by speaker'} | {
        f'{line.measure}, {line.seconds} s': format_interval(line.estimate, line.low, line.high) for line in overall.itertuples()}
    with atomic_path(path) as temporary: temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False)+'\n', encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='the folder that holds dev.parquet')
    parser.add_argument('--weights', type=Path, help='a .safetensors file; the shipped weights when left out')
    parser.add_argument('--out', type=Path, default=HERE/'language_quality.csv')
    arguments = parser.parse_args()
    clips = pd.read_parquet(arguments.folder/'dev.parquet')
    detector = LanguageDetector.load(arguments.weights)
    sounds = [load(source(clip), max_seconds=max(LENGTHS)) for _, clip in clips.iterrows()]
    tables = {seconds: answers(detector, clips, sounds, seconds) for seconds in LENGTHS}
    lines = lines_of_others(clips, tables[3].p_zh)
    result = pd.DataFrame([row for seconds, table in tables.items() for row in measure(table.assign(line=lines), seconds)])
    write_csv(result, arguments.out)
    if arguments.weights is None: keep_in_card(result)
    shown = result.assign(interval=[format_interval(*values) for values in result[['estimate', 'low', 'high']].to_numpy()])
    print(shown.drop(columns=['estimate', 'low', 'high']).to_string(index=False))


if __name__ == '__main__': main()
