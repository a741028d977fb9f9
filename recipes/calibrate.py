"""Fit the confidence of the shipped detector, and the thresholds below which its answer is 'unsure'.

    python recipes/calibrate.py FOLDER     # after language_detector.py; two minutes of one core

FOLDER holds tables of clips (*.parquet). The clips are those of all tables that ledger.csv gives the role choose, as
they are and once randomly augmented, and generated noises. The synthetic voices among them, each of which speaks both
languages, help to place the boundary between the languages; confidence and thresholds are fitted to people. Each kind
of clip weighs what it is in the mix that the card states (mlcourse.language.calibration.MIX), and each corpus of a
kind the same. Writes the calibration into the card of the shipped weights, with what it was fitted on.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from mlcourse.core import change_card
from mlcourse.language.clips import read_ledger, roles
from mlcourse.language.detector import LanguageDetector, shipped_weights

HERE = Path(__file__).resolve().parent
COLUMNS = ['clip', 'language', 'corpus', 'speaker']
ANSWERED = 0.96  # of the clips in a known language; a little more than the 0.95 aimed at, as corpora differ


def clips_to_choose_on(folder):
    "The clips with the role choose, of all tables."
    ledger, parts = read_ledger(HERE/'ledger.csv'), []
    for path in sorted(folder.glob('*.parquet')):
        if not {*COLUMNS, 'audio'} <= set(pq.read_schema(path).names): continue
        about = pq.read_table(path, columns=COLUMNS).to_pandas()
        rows = np.flatnonzero(roles(about, ledger) == 'choose')
        audio = pq.read_table(path, columns=['audio']).take(rows)['audio'].to_pylist()
        parts.append(about.iloc[rows].assign(audio=audio))
    clips = pd.concat(parts, ignore_index=True)
    return clips.assign(synthetic=clips['corpus'] == 'kokoro')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='holds tables of clips')
    parser.add_argument('--weights', type=Path, default=shipped_weights(), help='a .safetensors file; its card changes')
    args = parser.parse_args()
    clips, detector = clips_to_choose_on(args.folder), LanguageDetector.load(args.weights)
    calibration = detector.calibrate(clips, ANSWERED).card['calibration']
    counts = clips.groupby(['language', 'corpus']).agg(clips=('clip', 'size'), speakers=('speaker', 'nunique'))
    calibration['fitted_on'] = ('recipes/calibrate.py: clips that recipes/ledger.csv gives the role choose, as they '
                                'are and randomly augmented, and generated noises')
    calibration['clips'] = counts.reset_index().to_dict('records')
    change_card(args.weights, calibration=calibration)
    print(counts.to_string())
    print('seconds, threshold:', *zip(*calibration['thresholds']))


if __name__ == '__main__': main()
