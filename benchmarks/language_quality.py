"""How good is the language detector on real recordings of speakers and corpora that it never heard?

    python benchmarks/language_quality.py ~/data/speech [--calibrate]

FOLDER holds tables of clips, one row a clip, with the columns clip, language, corpus, speaker and audio (the bytes of a
sound file):

    dev.parquet            English (en) and Mandarin (zh); no speaker or corpus of it was in training
    other_dev.parquet      other languages
    dev_l2.parquet         English by native speakers of Mandarin
    train_english.parquet, train_mandarin.parquet
                           of these only the corpus dspspeech20, in which the same people say words of both languages, and
                           of it only the people and words that training kept out ('held_out' in the weights' card)

and the synthetic voices of data/clips are heard too. A table that is not there is left out, and the lines it gives with it.

What is measured:

- English or Mandarin, a forced choice ('unsure' not allowed), on the first 1, 3 and 10 seconds; a clip that is shorter is
  taken whole, never padded. Once with the line between the languages as shipped, once with a line for every corpus that was
  chosen, at 3 s, on the other corpora.
- The same voice in both languages: the AUC within each voice, so that nothing but the language can tell.
- 'unsure'. The confidence and its thresholds are fitted on these very recordings; so here every corpus is judged by a
  calibration and thresholds that were fitted without it ('leaving each corpus out'), except in lines that say 'as shipped'.
  Other languages are compared at matched length: each English or Mandarin clip is cut to the length of one of theirs.
- Noise, silence, tones and music, made here from seed 0; and clips of both languages, joined: where is the switch?

The baseline is what the length of a clip alone would score, as the shorter clips here are more often Mandarin. Every
interval draws speakers again, not clips. It prints a table, keeps it as language_quality.csv beside this script, keeps how
often answers of a given confidence were right as language_reliability.csv, and writes the overall figures into the card of
the shipped weights. --calibrate first fits the card's line, confidence and thresholds to dev (each clip as it is, and once in a random
disguise, as in training) and other_dev.
"""
import argparse, json, re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from mlcourse.core import atomic_path, write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, equal_recall_threshold, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import source, synthetic_clips
from mlcourse.language.conditions import augment, coloured_noise
from mlcourse.language.calibration import apply_calibration, fit_calibration, noises, threshold_at
from mlcourse.language.detector import LanguageDetector, LENGTHS, shipped_weights
from vad_quality import hum, melody

HERE = Path(__file__).parent
# Who and what of dspspeech20 stays out of training, when the card does not say: speakers, and words (the middle number of a
# clip's name; 00 to 11 are Mandarin, 12 to 19 English).
HELD_OUT = {'speakers': [f'dspspeech20:{n}' for n in range(27, 35)], 'words': ['18', '19', '09', '10', '11']}
ANSWERED = 0.96  # of the clips in a known language; a little more than the 0.95 aimed at, as corpora differ


# The numbers of the network for every clip.

def read(path, **filters):
    "A table of clips, or an empty one with a word about it."
    if not path.is_file():
        print(f'{path} is not there; its lines are left out.')
        return pd.DataFrame(columns=['clip', 'language', 'corpus', 'speaker', 'audio'])
    return pq.read_table(path, filters=[(k, 'in', v) for k, v in filters.items()] or None).to_pandas()


def scored(detector, clips, **more):
    "The network's numbers for whole clips (tuples of samples in the column audio, or sound files)."
    rows = []
    for clip in tqdm(clips.to_dict('records'), desc=' '.join(map(str, more.values())), leave=False):
        samples = clip['audio'] if isinstance(clip['audio'], np.ndarray) else load(source(clip))
        found = detector.score_clip(samples)
        blank = {language: 0. for language in detector.languages} | {'speech': -20., 'sound_s': 0.}  # too little sound
        rows.append({k: v for k, v in clip.items() if k != 'audio'} | {'heard_s': len(samples)/SAMPLE_RATE} | more | (found or blank))
    return pd.DataFrame(rows)


def cut(clips, sounds, seconds):
    "The beginnings of clips: `seconds` is one length, or one for each clip."
    sizes = np.round(np.broadcast_to(seconds, len(clips))*SAMPLE_RATE).astype(int)
    return clips.assign(audio=[samples[:size] for samples, size in zip(sounds, sizes)])


def strung(clips, sounds, seconds, each, rng):
    "For each voice and language, `each` strings of its words, up to `seconds` long, with pauses of a tenth of a second."
    pause, rows = np.zeros(SAMPLE_RATE//10, np.float32), []
    for (voice, language), part in clips.groupby(['speaker', 'language']):
        own = [sounds[i] for i in part.index]
        for _ in range(each):
            words = [own[i] for i in rng.permutation(len(own))[:12]]
            samples = np.concatenate([piece for word in words for piece in (word, pause)])[:round(seconds*SAMPLE_RATE)]
            rows.append(dict(corpus=part.corpus.iloc[0], speaker=voice, language=language, audio=samples))
    return pd.DataFrame(rows)


def not_speech_clips(rng, each=20):
    "Silence, noise, tones and music, 1 to 6 s long."
    def tone(n): return np.sin(2*np.pi*rng.uniform(100, 3000)*np.arange(n)/SAMPLE_RATE)
    def clicks(n): return coloured_noise(n, rng, 0)*(np.arange(n) % int(rng.uniform(1500, 8000)) < 200)
    kinds = {'silence': lambda n: np.zeros(n), 'faint hiss': lambda n: 0.001*coloured_noise(n, rng, 0),
             'white noise': lambda n: coloured_noise(n, rng, 0), 'pink noise': lambda n: coloured_noise(n, rng, 1),
             'brown noise': lambda n: coloured_noise(n, rng, 2), 'mains hum': lambda n: hum(n, rng), 'a tone': tone,
             'a chord': lambda n: sum(tone(n) for _ in range(3)), 'clicks': clicks, 'a melody': lambda n: melody(n, rng)}
    rows = []
    for kind, make in kinds.items():
        for i in range(each):
            samples = make(int(rng.uniform(1, 6)*SAMPLE_RATE)).astype(np.float32)
            level = 1 if kind in ('silence', 'faint hiss') else 10**rng.uniform(-2, -0.5)/max(np.abs(samples).max(), 1e-9)
            rows.append(dict(corpus=kind, speaker=f'{kind} {i}', language='none', audio=(level*samples).astype(np.float32)))
    return pd.DataFrame(rows)


def tongue(clip):
    "The language in the name of a clip or speaker of other_dev.parquet."
    found = re.search(r'wakeword-([a-z]{2})-', clip['clip']) or re.match(r'\w+:([a-z]{2,3})(_[A-Z]{2})?(-|$)', clip['speaker'])
    return found[1] if found else 'not told'


# Lines of the result.

def row(seconds, metric, group, statistic, table, *columns, baseline=np.nan):
    "One line of the result, with an interval by speaker."
    arrays = [table[column].to_numpy() for column in columns]
    estimate, low, high = bootstrap_interval(statistic, *arrays, groups=table['corpus']+'/'+table['speaker'].astype(str))
    return dict(seconds=seconds, group=group, metric=metric, clips=len(table), speakers=table.groupby(['corpus', 'speaker']).ngroups,
                estimate=round(estimate, 4), low=round(low, 4), high=round(high, 4), baseline=round(baseline, 4))


def share_right(truth, named): return np.mean(truth == named)
def zh_auc(truth, score): return auc(truth == 'zh', score)
def share_answered(sure): return np.mean(sure)
def share_unsure(sure): return 1-np.mean(sure)


def lower_recall(truth, named): return min(np.mean(named[truth == language] == language) for language in np.unique(truth))


def right_if_answered(truth, named, sure): return np.mean(truth[sure] == named[sure]) if sure.any() else np.nan


def lines_of_others(table, score, at):
    "For each row of `table` the line between the languages that the other corpora would choose, going by `score` in the rows `at`."
    lines = pd.Series(np.nan, table.index)
    for corpus in table['corpus'].unique():
        rest = at[at['corpus'] != corpus]
        lines[table['corpus'] == corpus] = equal_recall_threshold(rest['language'] == 'zh', rest[score])
    return lines


def forced(table, score, line): return np.where(table[score] > line, 'zh', 'en')


def choices(table, at, seconds):
    "English or Mandarin, for one length."
    table = table.assign(shorter=-table.heard_s, shipped=forced(table, 'lead', 0), by_others=forced(table, 'lead', lines_of_others(table, 'lead', at)))
    table['by_length'] = forced(table, 'shorter', lines_of_others(table, 'shorter', table))
    length, part = balanced_accuracy(table.language, table.by_length), dict(seconds=seconds, group='all', table=table)
    for line, named in (('as shipped', 'shipped'), ('threshold chosen on other corpora', 'by_others')):
        yield row(seconds, f'balanced accuracy, {line}', 'all', balanced_accuracy, table, 'language', named, baseline=length)
        yield row(seconds, f'lower of the two recalls, {line}', 'all', lower_recall, table, 'language', named,
                  baseline=lower_recall(table.language, table.by_length))
    yield row(seconds, 'AUC', 'all', zh_auc, table, 'language', 'lead', baseline=zh_auc(table.language, table.shorter))
    for name in ('language', 'corpus'):
        for group, part in table.groupby(name): yield row(seconds, 'recall, as shipped', group, share_right, part, 'language', 'shipped')


def within_voices(table, seconds, what):
    "The AUC within each voice: the median, and the worst decile, over voices."
    table = table.assign(shorter=-table.heard_s).reset_index(drop=True)
    voices = table['speaker'].unique()
    def of(score): return np.array([zh_auc(part.language, part[score]) for _, part in table.groupby('speaker')])
    own, length = of('lead'), of('shorter')
    for name, statistic in (('median', np.median), ('worst decile', lambda a: np.quantile(a, 0.1))):
        estimate, low, high = bootstrap_interval(statistic, own)
        yield dict(seconds=seconds, group=what, metric=f'AUC within a voice, {name}', clips=len(table), speakers=len(voices),
                   estimate=round(estimate, 4), low=round(low, 4), high=round(high, 4), baseline=round(statistic(length), 4))


def judged(table, card, languages):
    "The table with what a calibration makes of it."
    _, confidence = apply_calibration(card.get('calibration'), table[languages].to_numpy(), table['speech'].to_numpy(), table['sound_s'].to_numpy())
    return table.assign(confidence=confidence, sure=confidence >= threshold_at(card, table['sound_s'].to_numpy()))


def leaving_each_corpus_out(table, fit_on, languages):
    "Judge the rows of each corpus by a calibration fitted on the others."
    parts = []
    for corpus, part in table.groupby('corpus'):
        parts.append(judged(part, {'calibration': fit_calibration(fit_on[fit_on['corpus'] != corpus], languages, ANSWERED)}, languages))
    return pd.concat(parts)


def holding_back(known, other, quiet, seconds):
    "How many clips of each sort get an answer."
    yield row(seconds, 'answered, leaving each corpus out', 'en and zh', share_answered, known, 'sure')
    yield row(seconds, 'right, of those answered', 'en and zh', right_if_answered, known, 'language', 'named', 'sure')
    for table, what in ((other, 'other languages'), (quiet, 'noise, silence, tones, music')):
        if not len(table): continue
        both = pd.concat([known.assign(is_known=True), table.assign(is_known=False)])
        yield row(seconds, "'unsure', leaving each corpus out", what, share_unsure, table, 'sure')
        yield row(seconds, 'AUC of the confidence against en and zh', what, auc, both, 'is_known', 'confidence', baseline=auc(both.is_known, both.heard_s))
        for group, part in table.groupby('corpus'): yield row(seconds, "'unsure', leaving each corpus out", f'{what}: {group}', share_unsure, part, 'sure')
    for group, part in other.groupby('tongue') if len(other) else ():
        if len(part) >= 8: yield row(seconds, "'unsure', leaving each corpus out", f'other languages: {group}', share_unsure, part, 'sure')


def switches(detector, clips, sounds, rng, pairs=60, seconds=4):
    "Clips in both languages, joined: does the table of segments show the switch, and how far from the truth?"
    long = clips.assign(audio=sounds)[[len(x) >= seconds*SAMPLE_RATE for x in sounds]]
    rows = []
    for i in range(pairs if long['language'].nunique() == 2 else 0):
        order = ('en', 'zh') if i % 2 else ('zh', 'en')
        two = [long[long['language'] == language].sample(1, random_state=rng).iloc[0] for language in order]
        loudness = [np.sqrt(np.mean(np.square(clip.audio)))+1e-9 for clip in two]
        joined = np.concatenate([0.1*clip.audio[:seconds*SAMPLE_RATE]/level for clip, level in zip(two, loudness)])
        found = detector.predict((np.clip(joined, -1, 1), SAMPLE_RATE)).segments.query("language != 'unsure'")
        shown = tuple(found.language[found.language != found.language.shift()]) == order
        edge = (found.end_s[found.language == order[0]].max()+found.start_s[found.language == order[1]].min())/2 if shown else np.nan
        rows.append(dict(corpus='joined', speaker=f'{two[0].speaker} {two[1].speaker}', shown=shown, off_s=abs(edge-seconds)))
    if not rows: return
    table, group = pd.DataFrame(rows), 'English and Mandarin joined'
    yield row(2*seconds, 'segments show both, in order', group, np.mean, table, 'shown')
    if table.shown.any(): yield row(2*seconds, 'median distance to the true switch, in s', group, np.median, table[table.shown], 'off_s')


def reliability(table, languages, bins=8):
    "How often answers of about the same confidence were right, with each kind of clip weighing the same."
    known = table['language'].isin(languages)
    kind = np.where(known | (table['language'] == 'none'), table['language'], 'another language')
    weight = (1/pd.Series(kind).map(pd.Series(kind).value_counts())).to_numpy()
    right = (table['language'] == table['named']).to_numpy(float)
    groups = (table['corpus']+'/'+table['speaker'].astype(str)).to_numpy()
    for bin_, rows in pd.Series(np.arange(len(table))).groupby(np.minimum((table['confidence'].to_numpy()*bins).astype(int), bins-1)):
        share = bootstrap_interval(lambda r, w: np.average(r, weights=w), right[rows], weight[rows], groups=groups[rows])
        yield dict(bin=bin_, predicted=np.average(table['confidence'].to_numpy()[rows], weights=weight[rows]), clips=len(rows)) | dict(zip(('observed', 'low', 'high'), share))


def keep_in_card(result):
    "Write the overall figures into the card of the shipped weights."
    path = shipped_weights().with_suffix('.json')
    card = json.loads(path.read_text(encoding='utf-8'))
    overall = result[~result['group'].str.contains(': ') & ~result['metric'].str.startswith('recall')]
    card['figures'] = {'measured_by': 'benchmarks/language_quality.py, intervals by speaker'} | {
        f'{line.metric}, {line.group}, {line.seconds} s': format_interval(line.estimate, line.low, line.high) for line in overall.itertuples()}
    with atomic_path(path) as temporary: temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False)+'\n', encoding='utf-8')


def calibrate_shipped(fit_on, detector):
    "Fit the card's confidence and thresholds."
    calibration = fit_calibration(fit_on, detector.languages, ANSWERED)
    calibration['fitted_on'] = 'benchmarks/language_quality.py --calibrate: dev.parquet as it is and in random disguises, other_dev.parquet, and generated noises'
    detector.card |= {'calibration': calibration}
    detector.save(shipped_weights())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='the folder that holds the tables')
    parser.add_argument('--calibrate', action='store_true', help="first fit the shipped card's confidence and thresholds")
    parser.add_argument('--weights', type=Path, help='a .safetensors file; the shipped weights when left out')
    parser.add_argument('--out', type=Path, default=HERE, help='the folder for the two CSV files')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    detector, rng = LanguageDetector.load(arguments.weights), np.random.default_rng(0)
    languages = detector.languages
    clips, others, accented = (read(arguments.folder/f'{name}.parquet') for name in ('dev', 'other_dev', 'dev_l2'))
    others = others.assign(tongue=[tongue(clip) for clip in others.to_dict('records')])
    sounds, other_sounds = ([load(source(c), max_seconds=max(LENGTHS)) for c in t.to_dict('records')] for t in (clips, others))

    dev = {s: scored(detector, cut(clips, sounds, s), length_s=s) for s in LENGTHS}
    other = {s: scored(detector, cut(others, other_sounds, s), length_s=s) for s in LENGTHS}
    quiet = scored(detector, not_speech_clips(rng))
    made = scored(detector, pd.DataFrame([dict(corpus='noises', speaker=f'{i}', language='none', audio=x) for i, x in enumerate(noises())]))
    in_disguise = [augment(samples, rng, [sounds[i] for i in rng.integers(len(sounds), size=4)]) for samples in sounds]
    hidden = [scored(detector, cut(clips, in_disguise, s), length_s=s, augmented=True) for s in LENGTHS]
    fit_on = pd.concat([*dev.values(), *hidden, *other.values(), made]).drop_duplicates(['corpus', 'speaker', 'clip', 'heard_s', 'augmented'])
    fit_on = fit_on[fit_on.sound_s > 0]
    if arguments.calibrate: calibrate_shipped(fit_on, detector)

    calibration = detector.card.get('calibration')
    def with_lead(table):
        chances, _ = apply_calibration(calibration, table[languages].to_numpy(), table['speech'].to_numpy(), table['sound_s'].to_numpy())
        return table.assign(lead=np.log(chances[:, 1]+1e-12)-np.log(chances[:, 0]+1e-12), named=np.array(languages)[chances.argmax(axis=1)])
    dev = {s: with_lead(table) for s, table in dev.items()}
    lines = [line for s, table in dev.items() for line in choices(table, dev[3], s)]

    held = HELD_OUT | (detector.card.get('held_out') or {})
    words = pd.concat([read(arguments.folder/f'train_{l}.parquet', speaker=held['speakers']) for l in ('english', 'mandarin')], ignore_index=True)
    words = words[words['clip'].str.extract(r'-(\d+)-', expand=False).isin(held['words'])].reset_index(drop=True)
    if len(words):
        word_sounds = [load(source(word)) for word in words.to_dict('records')]
        lines += within_voices(with_lead(scored(detector, cut(words, word_sounds, 3))), 'one word', 'same voice, dspspeech20')
        lines += within_voices(with_lead(scored(detector, strung(words, word_sounds, 3, 20, rng))), 3, 'same voice, dspspeech20, words concatenated')
    voices = synthetic_clips().rename(columns={'path': 'audio'})
    voice_sounds = [load(path) for path in voices.audio]
    for s in (1, 3): lines += within_voices(with_lead(scored(detector, cut(voices, voice_sounds, s))), s, 'same voice, synthetic')

    def left_out(table): return leaving_each_corpus_out(with_lead(table), fit_on, languages)
    everything = []
    for s in (*LENGTHS, 'matched'):
        if s == 'matched' and not len(others): continue
        known = scored(detector, cut(clips, sounds, rng.choice([len(x)/SAMPLE_RATE for x in other_sounds], len(clips)))) if s == 'matched' else dev[s]
        tables = [left_out(known), left_out(other[10 if s == 'matched' else s]) if len(others) else others, left_out(quiet)]
        lines += holding_back(*tables, s)
        everything.append(pd.concat(tables))
        shipped = judged(dev[s] if s in dev else with_lead(known), detector.card, languages)
        lines.append(row(s, 'answered, as shipped', 'en and zh', share_answered, shipped, 'sure'))
    if len(accented):
        heard = judged(with_lead(scored(detector, cut(accented, [load(source(c)) for c in accented.to_dict('records')], 10))), detector.card, languages)
        heard['says'] = np.where(heard.sure, heard.named, 'unsure')
        for says in (*languages, 'unsure'):
            lines.append(row(10, f'share called {says}, as shipped', 'English with a Mandarin accent', np.mean, heard.assign(so=heard.says == says), 'so'))

    lines += switches(detector, clips, sounds, rng)

    result = pd.DataFrame(lines)
    write_csv(result, arguments.out/'language_quality.csv')
    write_csv(pd.DataFrame(reliability(pd.concat(everything[:3]), languages)).round(4), arguments.out/'language_reliability.csv')
    if arguments.weights is None: keep_in_card(result)
    shown = result.assign(interval=[format_interval(*values) for values in result[['estimate', 'low', 'high']].to_numpy()])
    print(shown.drop(columns=['estimate', 'low', 'high']).to_string(index=False, na_rep=''))


if __name__ == '__main__': main()
