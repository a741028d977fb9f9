"""How good is the language detector on real recordings of speakers and corpora that it never heard?

    python benchmarks/language_quality.py ~/data/speech [--calibrate]

FOLDER holds tables of clips, one row a clip, with the columns clip, language, corpus, speaker and audio (the bytes of a
sound file):

    dev.parquet            English (en) and Mandarin (zh); no speaker of it was in training
    other_dev.parquet      other languages
    dev_l2.parquet         English by native speakers of Mandarin
    train_english.parquet, train_mandarin.parquet
                           of these only the corpus dspspeech20, in which the same people say words of both languages,
                           and of it only the people and words that training kept out ('held_out' in the card)

and the synthetic voices of data/clips. A table that is not there is left out, and the rows it gives with it.

What is measured:

- English or Mandarin, a forced choice ('unsure' not allowed), on the first 1, 3 and 10 seconds; a clip that is shorter
  is taken whole, never padded. Once with the decision threshold between the languages as shipped; once, for each
  corpus, with one that was chosen, at 3 s, on the other corpora.
- The same voice in both languages: the AUC within each voice, so that nothing but the language can tell.
- 'unsure'. The confidence and its thresholds may be fitted on these very recordings; so here every corpus gets a
  calibration and thresholds that were fitted without it ('leaving each corpus out'), except in rows that say 'as
  shipped'. Other languages are compared at matched length: each English or Mandarin clip is cut to the length of one
  of theirs.
- Noise, silence, tones and music, made here from seed 0; and clips of both languages, joined: where is the switch?

The baseline is what the length of a clip alone would score, as the shorter clips here are more often Mandarin. Every
interval draws speakers again, not clips. It prints a table, keeps it as language_quality.csv beside this script, keeps
how often answers of a given confidence were right as language_reliability.csv, and writes the overall figures into the
card of the shipped weights. Two and a half minutes of one core.

--calibrate first fits the confidence and the thresholds of the shipped card: to the clips of dev and other_dev that
recipes/ledger.csv gives the role choose (those of dev as they are, and once randomly augmented, as in training), and to
generated noises.
"""
import argparse, re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from mlcourse.core import change_card, write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, equal_recall_threshold, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.calibration import apply_calibration, fit_calibration, noises, threshold_at
from mlcourse.language.clips import read_ledger, roles, source, synthetic_clips
from mlcourse.language.conditions import augment, coloured_noise
from mlcourse.language.detector import LanguageDetector, LENGTHS, shipped_weights

HERE = Path(__file__).parent
# Who and what of dspspeech20 stays out of training, when the card does not say: speakers, and words (the middle number
# of a clip's name; 00 to 11 are Mandarin, 12 to 19 English).
HELD_OUT = {'speakers': [f'dspspeech20:{n}' for n in range(27, 35)], 'words': ['18', '19', '09', '10', '11']}
ANSWERED = 0.96  # of the clips in a known language; a little more than the 0.95 aimed at, as corpora differ


# What the network says of every clip.

def read(path, **filters):
    "A table of clips, or an empty one with a word about it."
    if not path.is_file():
        print(f'{path} is not there; its rows are left out.')
        return pd.DataFrame(columns=['clip', 'language', 'corpus', 'speaker', 'audio'])
    return pq.read_table(path, filters=[(k, 'in', v) for k, v in filters.items()] or None).to_pandas()


def score(detector, clips, **more):
    "The network's numbers for whole clips (samples in the column audio, or sound files)."
    rows = []
    for clip in tqdm(clips.to_dict('records'), desc=' '.join(map(str, more.values())), leave=False):
        samples = clip['audio'] if isinstance(clip['audio'], np.ndarray) else load(source(clip))
        found = detector.score_clip(samples)
        too_little = {language: 0. for language in detector.languages} | {'speech': -20., 'sound_s': 0.}
        about = {k: v for k, v in clip.items() if k != 'audio'}
        rows.append(about | {'clip_s': len(samples)/SAMPLE_RATE} | more | (found or too_little))
    return pd.DataFrame(rows)


def cut(clips, sounds, seconds):
    "The beginnings of clips: `seconds` is one length, or one for each clip."
    sizes = np.round(np.broadcast_to(seconds, len(clips))*SAMPLE_RATE).astype(int)
    return clips.assign(audio=[samples[:size] for samples, size in zip(sounds, sizes)])


def concatenate_words(clips, sounds, seconds, each, rng):
    "For each voice and language, `each` clips of its words, up to `seconds` long, with pauses of a tenth of a second."
    pause, rows = np.zeros(SAMPLE_RATE//10, np.float32), []
    for (voice, language), part in clips.groupby(['speaker', 'language']):
        own = [sounds[i] for i in part.index]
        for _ in range(each):
            words = [own[i] for i in rng.permutation(len(own))[:12]]
            samples = np.concatenate([sound for word in words for sound in (word, pause)])
            rows.append(dict(corpus=part.corpus.iloc[0], speaker=voice, language=language,
                             audio=samples[:round(seconds*SAMPLE_RATE)]))
    return pd.DataFrame(rows)


def hum(n, rng):
    "Mains hum: 50 Hz and its overtones, over a little hiss."
    time = np.arange(n)/SAMPLE_RATE
    tones = sum(np.sin(2*np.pi*50*k*time+rng.uniform(0, 6.28))/k for k in (1, 2, 3, 4, 6))
    return (tones+0.03*rng.standard_normal(n)).astype(np.float32)


def melody(n, rng):
    "Notes of a scale with overtones, each a quarter of a second or so, struck and fading."
    parts = []
    while sum(map(len, parts)) < n:
        time = np.arange(int(rng.uniform(0.15, 0.5)*SAMPLE_RATE))/SAMPLE_RATE
        pitch = 220*2**(rng.choice([0, 2, 4, 5, 7, 9, 11, 12])/12)
        parts.append(sum(np.sin(2*np.pi*pitch*k*time)/k**1.5 for k in range(1, 6))*np.exp(-4*time))
    return np.concatenate(parts)[:n].astype(np.float32)


def not_speech_clips(rng, each=20):
    "Silence, noise, tones and music, 1 to 6 s long."
    def tone(n): return np.sin(2*np.pi*rng.uniform(100, 3000)*np.arange(n)/SAMPLE_RATE)
    def clicks(n): return coloured_noise(n, rng, 0)*(np.arange(n) % int(rng.uniform(1500, 8000)) < 200)
    kinds = {'silence': lambda n: np.zeros(n), 'faint hiss': lambda n: 0.001*coloured_noise(n, rng, 0),
             'white noise': lambda n: coloured_noise(n, rng, 0), 'pink noise': lambda n: coloured_noise(n, rng, 1),
             'brown noise': lambda n: coloured_noise(n, rng, 2), 'mains hum': lambda n: hum(n, rng), 'a tone': tone,
             'a chord': lambda n: sum(tone(n) for _ in range(3)), 'clicks': clicks,
             'a melody': lambda n: melody(n, rng)}
    rows = []
    for kind, make in kinds.items():
        for i in range(each):
            samples = make(int(rng.uniform(1, 6)*SAMPLE_RATE)).astype(np.float32)
            quiet = kind in ('silence', 'faint hiss')
            gain = 1 if quiet else 10**rng.uniform(-2, -0.5)/max(np.abs(samples).max(), 1e-9)
            samples = (gain*samples).astype(np.float32)
            rows.append(dict(corpus=kind, speaker=f'{kind} {i}', language='none', audio=samples))
    return pd.DataFrame(rows)


def language_of(clip):
    "The language in the name of a clip or speaker of other_dev.parquet."
    found = (re.search(r'wakeword-([a-z]{2})-', clip['clip'])
             or re.match(r'\w+:([a-z]{2,3})(_[A-Z]{2})?(-|$)', clip['speaker']))
    return found[1] if found else 'not told'


# Rows of the result.

def row(seconds, metric, group, statistic, table, *columns, baseline=np.nan):
    "One row of the result, with an interval by speaker."
    arrays = [table[column].to_numpy() for column in columns]
    speakers = table['corpus']+'/'+table['speaker'].astype(str)
    estimate, low, high = bootstrap_interval(statistic, *arrays, groups=speakers)
    return dict(seconds=seconds, group=group, metric=metric, clips=len(table),
                speakers=table.groupby(['corpus', 'speaker']).ngroups, estimate=round(estimate, 4),
                low=round(low, 4), high=round(high, 4), baseline=round(baseline, 4))


def share_right(truth, named): return np.mean(truth == named)
def zh_auc(truth, score): return auc(truth == 'zh', score)
def share_answered(sure): return np.mean(sure)
def share_unsure(sure): return 1-np.mean(sure)


def lower_recall(truth, named):
    return min(np.mean(named[truth == language] == language) for language in np.unique(truth))


def right_if_answered(truth, named, sure): return np.mean(truth[sure] == named[sure]) if sure.any() else np.nan


def thresholds_of_others(table, score, at):
    "For each row the threshold that the other corpora would choose, going by the column `score` of the table `at`."
    thresholds = pd.Series(np.nan, table.index)
    for corpus in table['corpus'].unique():
        rest = at[at['corpus'] != corpus]
        thresholds[table['corpus'] == corpus] = equal_recall_threshold(rest['language'] == 'zh', rest[score])
    return thresholds


def forced(table, score, threshold): return np.where(table[score] > threshold, 'zh', 'en')


def choices(table, at, seconds):
    "English or Mandarin, for one length."
    table = table.assign(shorter=-table.clip_s, shipped=forced(table, 'log_odds', 0),
                         by_others=forced(table, 'log_odds', thresholds_of_others(table, 'log_odds', at)))
    table['by_length'] = forced(table, 'shorter', thresholds_of_others(table, 'shorter', table))
    length, lower = (one(table.language, table.by_length) for one in (balanced_accuracy, lower_recall))
    for threshold, named in (('as shipped', 'shipped'), ('threshold chosen on other corpora', 'by_others')):
        yield row(seconds, f'balanced accuracy, {threshold}', 'all', balanced_accuracy, table, 'language', named,
                  baseline=length)
        yield row(seconds, f'lower of the two recalls, {threshold}', 'all', lower_recall, table, 'language', named,
                  baseline=lower)
    yield row(seconds, 'AUC', 'all', zh_auc, table, 'language', 'log_odds',
              baseline=zh_auc(table.language, table.shorter))
    for name in ('language', 'corpus'):
        for group, part in table.groupby(name):
            yield row(seconds, 'recall, as shipped', group, share_right, part, 'language', 'shipped')


def within_voices(table, seconds, what):
    "The AUC within each voice: the median, and the worst decile, over voices."
    table = table.assign(shorter=-table.clip_s).reset_index(drop=True)
    voices = table['speaker'].unique()
    def of(score): return np.array([zh_auc(part.language, part[score]) for _, part in table.groupby('speaker')])
    own, length = of('log_odds'), of('shorter')
    for name, statistic in (('median', np.median), ('worst decile', lambda a: np.quantile(a, 0.1))):
        estimate, low, high = bootstrap_interval(statistic, own)
        yield dict(seconds=seconds, group=what, metric=f'AUC within a voice, {name}', clips=len(table),
                   speakers=len(voices), estimate=round(estimate, 4), low=round(low, 4), high=round(high, 4),
                   baseline=round(statistic(length), 4))


def calibrated(table, calibration, languages):
    "Probabilities and confidence of each row."
    numbers = (table[columns].to_numpy() for columns in (languages, 'speech', 'sound_s'))
    return apply_calibration(calibration, *numbers)


def with_log_odds(table, calibration, languages):
    "The table with Mandarin's log-odds, and the likelier language."
    probabilities, _ = calibrated(table, calibration, languages)
    return table.assign(log_odds=np.log(probabilities[:, 1]+1e-12)-np.log(probabilities[:, 0]+1e-12),
                        named=np.array(languages)[probabilities.argmax(axis=1)])


def with_confidence(table, card, languages):
    "The table with the confidence of a calibration, and whether that is enough to answer."
    _, confidence = calibrated(table, card.get('calibration'), languages)
    return table.assign(confidence=confidence, sure=confidence >= threshold_at(card, table['sound_s'].to_numpy()))


def leaving_each_corpus_out(table, fit_on, languages):
    "The confidence for the rows of each corpus, from a calibration fitted on the others."
    parts = []
    for corpus, part in table.groupby('corpus'):
        calibration = fit_calibration(fit_on[fit_on['corpus'] != corpus], languages, ANSWERED)
        parts.append(with_confidence(part, {'calibration': calibration}, languages))
    return pd.concat(parts)


def abstention(known, other, quiet, seconds):
    "How many clips of each sort get an answer."
    unsure = "'unsure', leaving each corpus out"
    yield row(seconds, 'answered, leaving each corpus out', 'en and zh', share_answered, known, 'sure')
    yield row(seconds, 'right, of those answered', 'en and zh', right_if_answered, known, 'language', 'named', 'sure')
    for table, what in ((other, 'other languages'), (quiet, 'noise, silence, tones, music')):
        if not len(table): continue
        both = pd.concat([known.assign(is_known=True), table.assign(is_known=False)])
        yield row(seconds, unsure, what, share_unsure, table, 'sure')
        yield row(seconds, 'AUC of the confidence against en and zh', what, auc, both, 'is_known', 'confidence',
                  baseline=auc(both.is_known, both.clip_s))
        for group, part in table.groupby('corpus'):
            yield row(seconds, unsure, f'{what}: {group}', share_unsure, part, 'sure')
    for group, part in other.groupby('spoken') if len(other) else ():
        if len(part) >= 8: yield row(seconds, unsure, f'other languages: {group}', share_unsure, part, 'sure')


def switches(detector, clips, sounds, rng, pairs=60, seconds=4):
    "Clips in both languages, joined: does the table of segments show the switch, and how far from the truth?"
    long = clips.assign(audio=sounds)[[len(x) >= seconds*SAMPLE_RATE for x in sounds]]
    rows = []
    for i in range(pairs if long['language'].nunique() == 2 else 0):
        order = ('en', 'zh') if i % 2 else ('zh', 'en')
        two = [long[long['language'] == language].sample(1, random_state=rng).iloc[0] for language in order]
        loudness = [np.sqrt(np.mean(np.square(clip.audio)))+1e-9 for clip in two]
        joined = np.concatenate([0.1*clip.audio[:seconds*SAMPLE_RATE]/rms for clip, rms in zip(two, loudness)])
        found = detector.predict((np.clip(joined, -1, 1), SAMPLE_RATE)).segments.query("language != 'unsure'")
        first, second = (found[found.language == language] for language in order)
        shown = tuple(found.language[found.language != found.language.shift()]) == order
        edge = (first.end_s.max()+second.start_s.min())/2 if shown else np.nan
        speakers = f'{two[0].speaker} {two[1].speaker}'
        rows.append(dict(corpus='joined', speaker=speakers, shown=shown, off_s=abs(edge-seconds)))
    if not rows: return
    table, group = pd.DataFrame(rows), 'English and Mandarin joined'
    yield row(2*seconds, 'segments show both, in order', group, np.mean, table, 'shown')
    if table.shown.any():
        yield row(2*seconds, 'median distance to the true switch, in s', group, np.median, table[table.shown], 'off_s')


def reliability(table, languages, bins=8):
    "How often answers of about the same confidence were right, with each kind of clip weighing the same."
    known = table['language'].isin(languages)
    kind = np.where(known | (table['language'] == 'none'), table['language'], 'another language')
    weight = (1/pd.Series(kind).map(pd.Series(kind).value_counts())).to_numpy()
    right = (table['language'] == table['named']).to_numpy(float)
    groups = (table['corpus']+'/'+table['speaker'].astype(str)).to_numpy()
    confidence = table['confidence'].to_numpy()
    in_bin = np.minimum((confidence*bins).astype(int), bins-1)
    for bin_, rows in pd.Series(np.arange(len(table))).groupby(in_bin):
        share = bootstrap_interval(lambda r, w: np.average(r, weights=w), right[rows], weight[rows],
                                   groups=groups[rows])
        predicted = np.average(confidence[rows], weights=weight[rows])
        yield dict(bin=bin_, predicted=predicted, clips=len(rows)) | dict(zip(('observed', 'low', 'high'), share))


def keep_in_card(result):
    "Write the overall figures into the card of the shipped weights."
    overall = result[~result['group'].str.contains(': ') & ~result['metric'].str.startswith('recall')]
    figures = {'measured_by': 'benchmarks/language_quality.py, intervals by speaker'} | {
        f'{found.metric}, {found.group}, {found.seconds} s': format_interval(found.estimate, found.low, found.high)
        for found in overall.itertuples()}
    change_card(shipped_weights(), figures=figures)


def to_choose_on(table):
    "The rows that may choose a threshold: the ledger says so, or no person speaks."
    generated = table['language'] == 'none'
    by_ledger = roles(table[~generated], read_ledger(HERE.parent/'recipes'/'ledger.csv')) == 'choose'
    return table[generated | by_ledger.reindex(table.index, fill_value=False)]


def calibrate_shipped(fit_on, detector):
    "Fit the card's confidence and thresholds."
    calibration = fit_calibration(to_choose_on(fit_on), detector.languages, ANSWERED)
    calibration['fitted_on'] = (
        'benchmarks/language_quality.py --calibrate: those clips of dev.parquet (as they are and randomly augmented) '
        'and other_dev.parquet that recipes/ledger.csv gives the role choose, and generated noises')
    detector.card |= {'calibration': calibration}
    change_card(shipped_weights(), calibration=calibration)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='the folder that holds the tables')
    parser.add_argument('--calibrate', action='store_true',
                        help="first fit the shipped card's confidence and thresholds")
    parser.add_argument('--weights', type=Path, help='a .safetensors file; the shipped weights when left out')
    parser.add_argument('--out', type=Path, default=HERE, help='the folder for the two CSV files')
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector, rng = LanguageDetector.load(args.weights), np.random.default_rng(0)
    languages = detector.languages
    clips, others, accented = (read(args.folder/f'{name}.parquet') for name in ('dev', 'other_dev', 'dev_l2'))
    others = others.assign(spoken=[language_of(clip) for clip in others.to_dict('records')])
    sounds, other_sounds = ([load(source(clip), max_seconds=max(LENGTHS)) for clip in table.to_dict('records')]
                            for table in (clips, others))

    dev = {s: score(detector, cut(clips, sounds, s), length_s=s) for s in LENGTHS}
    other = {s: score(detector, cut(others, other_sounds, s), length_s=s) for s in LENGTHS}
    quiet = score(detector, not_speech_clips(rng))
    noise = score(detector, pd.DataFrame([dict(corpus='noises', speaker=f'{i}', language='none', audio=samples)
                                          for i, samples in enumerate(noises())]))
    augmented = [augment(samples, rng, [sounds[i] for i in rng.integers(len(sounds), size=4)]) for samples in sounds]
    dev_augmented = [score(detector, cut(clips, augmented, s), length_s=s, augmented=True) for s in LENGTHS]
    fit_on = pd.concat([*dev.values(), *dev_augmented, *other.values(), noise], ignore_index=True)
    fit_on = fit_on.drop_duplicates(['corpus', 'speaker', 'clip', 'clip_s', 'augmented'])
    fit_on = fit_on[fit_on.sound_s > 0]
    if args.calibrate: calibrate_shipped(fit_on, detector)

    def named(table): return with_log_odds(table, detector.card.get('calibration'), languages)
    dev = {s: named(table) for s, table in dev.items()}
    rows = [found for s, table in dev.items() for found in choices(table, dev[3], s)]

    held = HELD_OUT | (detector.card.get('held_out') or {})
    words = pd.concat([read(args.folder/f'train_{language}.parquet', speaker=held['speakers'])
                       for language in ('english', 'mandarin')], ignore_index=True)
    words = words[words['clip'].str.extract(r'-(\d+)-', expand=False).isin(held['words'])].reset_index(drop=True)
    if len(words):
        word_sounds = [load(source(word)) for word in words.to_dict('records')]
        alone, together = cut(words, word_sounds, 3), concatenate_words(words, word_sounds, 3, 20, rng)
        rows += within_voices(named(score(detector, alone)), 'one word', 'same voice, dspspeech20')
        rows += within_voices(named(score(detector, together)), 3, 'same voice, dspspeech20, words concatenated')
    voices = synthetic_clips().rename(columns={'path': 'audio'})
    voice_sounds = [load(path) for path in voices.audio]
    for s in (1, 3):
        rows += within_voices(named(score(detector, cut(voices, voice_sounds, s))), s, 'same voice, synthetic')

    def left_out(table): return leaving_each_corpus_out(named(table), fit_on, languages)
    everything = []
    for s in (*LENGTHS, 'matched'):
        if s == 'matched' and not len(others): continue
        known = dev.get(s)
        if s == 'matched':
            seconds = rng.choice([len(samples)/SAMPLE_RATE for samples in other_sounds], len(clips))
            known = score(detector, cut(clips, sounds, seconds))
        foreign = left_out(other[10 if s == 'matched' else s]) if len(others) else others
        tables = [left_out(known), foreign, left_out(quiet)]
        rows += abstention(*tables, s)
        everything.append(pd.concat(tables))
        shipped = with_confidence(named(known), detector.card, languages)
        rows.append(row(s, 'answered, as shipped', 'en and zh', share_answered, shipped, 'sure'))
    if len(accented):
        starts = cut(accented, [load(source(clip)) for clip in accented.to_dict('records')], 10)
        answers = with_confidence(named(score(detector, starts)), detector.card, languages)
        called = np.where(answers.sure, answers.named, 'unsure')
        for answer in (*languages, 'unsure'):
            rows.append(row(10, f'share called {answer}, as shipped', 'English with a Mandarin accent', np.mean,
                            answers.assign(so=called == answer), 'so'))

    rows += switches(detector, clips, sounds, rng)

    result = pd.DataFrame(rows)
    write_csv(result, args.out/'language_quality.csv')
    by_confidence = pd.DataFrame(reliability(pd.concat(everything[:3]), languages)).round(4)
    write_csv(by_confidence, args.out/'language_reliability.csv')
    if args.weights is None: keep_in_card(result)
    intervals = [format_interval(*values) for values in result[['estimate', 'low', 'high']].to_numpy()]
    shown = result.assign(interval=intervals)
    print(shown.drop(columns=['estimate', 'low', 'high']).to_string(index=False, na_rep=''))


if __name__ == '__main__': main()
