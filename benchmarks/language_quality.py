"""How good is the shipped language detector on recordings that chose nothing of it, and Whisper base on the clean ones?

    python benchmarks/language_quality.py SPEECH [--whisper FOLDER] [--weights FILE] [--out FOLDER]

SPEECH holds tables of clips (dev, dev_l2, other_dev2, train_english, train_mandarin .parquet): one row a clip, with the
columns clip, language, corpus, speaker and audio (the bytes of a sound file). Only what recipes/ledger.csv calls
untouched is reported: no training and no threshold has seen it. Voices in both languages are those with the
role course. whisper_base.py says how to get Whisper; without it, its columns are empty.

What is measured, at the settings that ship:

- English or Mandarin, a forced choice ('unsure' not allowed), on the first 1, 3 and 10 seconds; a clip that is shorter
  is taken whole, never padded, and the column `shorter` counts them. The baseline is what length alone scores, as the
  shorter clips here are more often Mandarin.
- The same at 3 s in noise, far rooms, babble, and a room with noise on a telephone.
- Accented English that is called Mandarin.
- How often en and zh get an answer, how often that is right, and how often other languages, and noises, get none; and
  how often other languages would, at the threshold that 0.95 of these very clips in en and zh reach. Other
  languages are compared at matched length. Whisper always answers: what counts is whether its likeliest language is en
  or zh.
- The same voice in both languages: the AUC within each voice, so that nothing but the language can tell.
- Two languages in one clip, spoken by one voice: is it called mixed, and do the segments show both in order? And is a
  clip of one language, of one voice or joined of two strings of it, ever called mixed?
- Whether the confidence is to be believed (language_reliability.csv), and what share is right when only the surest are
  answered (language_risk.csv), at the mix of clips that the card states.

Every interval draws speakers again, not clips, and is paired where it is about a difference. It prints a table, keeps
it as language_quality.csv beside this script, and writes its figures into the card of the shipped weights. Five minutes
of one core, ten with Whisper.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from mlcourse.core import change_card, write_csv
from mlcourse.evaluation import auc, balanced_accuracy, bootstrap_interval, format_interval
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.calibration import mix_weights
from mlcourse.language.clips import read_ledger, roles, source, synthetic_clips
from mlcourse.language.conditions import coloured_noise, CONDITIONS
from mlcourse.language.detector import in_turn, LanguageDetector, shipped_weights
from whisper_base import load_whisper

HERE = Path(__file__).parent
LENGTHS = (1, 3, 10)  # seconds
HARD = ('white noise 0 dB', 'pink noise 0 dB', 'babble 5 dB', 'music 5 dB', 'far room', 'room, noise 10 dB, telephone',
        'opus 8 kb/s')
ABOUT = ['clip', 'language', 'corpus', 'speaker']


# The recordings.

def read(folder, name, role):
    "The clips of a table that have a role, with their samples."
    path = folder/f'{name}.parquet'
    about = pq.read_table(path, columns=ABOUT).to_pandas()
    kept = about[roles(about, read_ledger(HERE.parent/'recipes'/'ledger.csv')) == role]
    audio = pq.read_table(path, columns=['audio']).take(kept.index.to_numpy()).to_pandas()['audio']
    return kept.assign(samples=[load(data) for data in audio]).reset_index(drop=True)


def cut(clips, seconds):
    "The beginnings of clips: `seconds` is one length, or one for each clip."
    sizes = np.round(np.broadcast_to(seconds, len(clips))*SAMPLE_RATE).astype(int)
    shorter = [len(samples) < size for samples, size in zip(clips['samples'], sizes)]
    return clips.assign(samples=[samples[:size] for samples, size in zip(clips['samples'], sizes)], shorter=shorter)


def changed(clips, condition):
    return clips.assign(samples=[CONDITIONS[condition](samples, np.random.default_rng(i))
                                 for i, samples in enumerate(clips['samples'])])


def concatenated(clips, seconds, each, rng):
    "For each voice and language, `each` strings of its clips, `seconds` long, with pauses of a tenth of a second."
    pause, rows = np.zeros(SAMPLE_RATE//10, np.float32), []
    for (voice, language), part in clips.groupby(['speaker', 'language']):
        own = part['samples'].to_list()
        for _ in range(each):
            drawn = [own[i] for i in rng.permutation(len(own))]
            samples = np.concatenate([sound for one in drawn for sound in (one, pause)])[:round(seconds*SAMPLE_RATE)]
            rows.append(dict(corpus=part.corpus.iloc[0], speaker=voice, language=language, samples=samples))
    return pd.DataFrame(rows)


def joined(clips, seconds, rng):
    "Strings of one voice, two by two: in both languages (en-zh, zh-en), and in one (en-en, zh-zh)."
    strings, rows = concatenated(clips, seconds, 2, rng), []
    for voice, part in strings.groupby('speaker'):
        by_language = {language: one['samples'].to_list() for language, one in part.groupby('language')}
        for first, second in (('en', 'zh'), ('zh', 'en'), ('en', 'en'), ('zh', 'zh')):
            two = by_language[first][0], by_language[second][1]
            rows.append(dict(corpus=part.corpus.iloc[0], speaker=voice, first=first, second=second,
                             language='mixed' if first != second else first, samples=np.concatenate(two)))
    return pd.DataFrame(rows)


def hum(n, rng):
    time = np.arange(n)/SAMPLE_RATE
    tones = sum(np.sin(2*np.pi*50*k*time+rng.uniform(0, 6.28))/k for k in (1, 2, 3, 4, 6))
    return tones+0.03*rng.standard_normal(n)


def melody(n, rng):
    "Notes of a scale with overtones, each a quarter of a second or so, struck and fading."
    parts = []
    while sum(map(len, parts)) < n:
        time = np.arange(int(rng.uniform(0.15, 0.5)*SAMPLE_RATE))/SAMPLE_RATE
        pitch = 220*2**(rng.choice([0, 2, 4, 5, 7, 9, 11, 12])/12)
        parts.append(sum(np.sin(2*np.pi*pitch*k*time)/k**1.5 for k in range(1, 6))*np.exp(-4*time))
    return np.concatenate(parts)[:n]


def tone(n, rng): return np.sin(2*np.pi*rng.uniform(100, 3000)*np.arange(n)/SAMPLE_RATE)
def pulses(n, rng): return coloured_noise(n, rng, 0)*(np.arange(n) % int(rng.uniform(1500, 8000)) < 200)
def beeps(n, rng): return tone(n, rng)*(np.arange(n) % int(rng.uniform(3000, 9000)) < 2500)


def rasp(n, rng):
    "Like a cough or a throat cleared: rough bursts of noise with a hill or two in the spectrum."
    time, hills = np.arange(n)/SAMPLE_RATE, rng.uniform(300, 2500, 2)
    rough = coloured_noise(n, rng, 1)*(1+np.sign(np.sin(2*np.pi*rng.uniform(30, 80)*time)))
    ringing = sum(np.sin(2*np.pi*hertz*time+3*rng.standard_normal(n).cumsum()/100) for hertz in hills)
    return rough*ringing*np.exp(-(time % rng.uniform(0.25, 0.7))/0.1)


NOISES = {'silence': lambda n, rng: np.zeros(n), 'faint hiss': lambda n, rng: 0.001*coloured_noise(n, rng, 0),
          'white noise': lambda n, rng: coloured_noise(n, rng, 0), 'pink noise': lambda n, rng: coloured_noise(n, rng),
          'brown noise': lambda n, rng: coloured_noise(n, rng, 2), 'mains hum': hum, 'a tone': tone, 'beeps': beeps,
          'a chord': lambda n, rng: sum(tone(n, rng) for _ in range(3)), 'pulses': pulses, 'a melody': melody,
          'rasps': rasp}


def noises(seconds, rng, each=20):
    "Sounds that are no speech, of exactly so many seconds."
    rows = []
    for kind, make in NOISES.items():
        for i in range(each):
            samples = make(int(seconds*SAMPLE_RATE), rng).astype(np.float32)
            if kind not in ('silence', 'faint hiss'): samples *= 10**rng.uniform(-2, -0.5)/np.abs(samples).max()
            rows.append(dict(corpus=kind, speaker=f'{kind} {i}', language='none', samples=samples))
    return pd.DataFrame(rows)


# What is said of them.

def answered(detector, whisper, clips, what):
    "The table with the answers of the detector and of Whisper, without the samples."
    rows = []
    for samples in tqdm(clips['samples'], desc=what, leave=False):
        answer = detector.predict((samples, SAMPLE_RATE))
        rows.append(dict(p_zh=answer.probabilities['zh'], called=answer.language, confidence=answer.confidence,
                         order=' '.join(in_turn(answer.stretches)), seconds=len(samples)/SAMPLE_RATE))
        if whisper:
            chances = whisper(samples)
            rows[-1] |= dict(whisper_forced='zh' if chances['zh'] > chances['en'] else 'en',
                             whisper_called=max(chances, key=chances.get))
    table = pd.concat([clips.drop(columns='samples').reset_index(drop=True), pd.DataFrame(rows)], axis=1)
    return table.assign(forced=np.where(table['p_zh'] > 0.5, 'zh', 'en'), sure=table['called'] != 'unsure')


def speakers_of(table): return (table['corpus']+'/'+table['speaker'].astype(str)).to_numpy()


def row(what, seconds, metric, statistic, table, ours, theirs=None, baseline=np.nan):
    "One row of the result: the detector, Whisper on the same clips, and their difference."
    truth, groups = table['language'].to_numpy(), speakers_of(table)
    result = dict(what=what, seconds=seconds, metric=metric, clips=len(table), speakers=len(set(groups)),
                  shorter=int(table['shorter'].sum()) if 'shorter' in table else 0)
    result |= dict(zip(('estimate', 'low', 'high'), bootstrap_interval(statistic, truth, table[ours], groups=groups)))
    if theirs and theirs in table:
        def difference(truth, a, b): return statistic(truth, a)-statistic(truth, b)
        found = bootstrap_interval(difference, truth, table[ours], table[theirs], groups=groups)
        result |= dict(whisper=statistic(truth, table[theirs].to_numpy()),
                       **dict(zip(('difference', 'difference_low', 'difference_high'), found)))
    return result | dict(baseline=baseline)


def share_right(truth, called): return np.mean(truth == called)
def share_not_called(truth, called): return np.mean(~np.isin(called, ['en', 'zh', 'mixed']))
def share_called_zh(truth, called): return np.mean(called == 'zh')
def share_sure(truth, called): return np.mean(called != 'unsure')
def share_mixed(truth, called): return np.mean(called == 'mixed')


def right_of_sure(truth, called):
    sure = called != 'unsure'
    return np.mean(truth[sure] == called[sure]) if sure.any() else np.nan


def by_length(table):
    "The best that a rule on length alone could score: shorter is Mandarin."
    thresholds = np.unique(table['seconds'])
    return max(balanced_accuracy(table['language'], np.where(table['seconds'] <= t, 'zh', 'en')) for t in thresholds)


def choices(table, what, seconds):
    "English or Mandarin, a forced choice."
    yield row(what, seconds, 'balanced accuracy', balanced_accuracy, table, 'forced', 'whisper_forced',
              by_length(table))
    for language, part in table.groupby('language'):
        yield row(what, seconds, f'recall {language}', share_right, part, 'forced', 'whisper_forced')
    if what != 'clean': return
    for (language, corpus), part in table.groupby(['language', 'corpus']):
        yield row(f'clean: {corpus}', seconds, f'recall {language}', share_right, part, 'forced', 'whisper_forced')


def not_answered_at(known, other, answered=0.95):
    "Which clips in other languages would get no answer if so large a share of en and zh were to get one."
    return other.assign(called=np.where(other['confidence'] < known['confidence'].quantile(1-answered), 'unsure', 'en'))


def abstention(known, other, seconds, what):
    "How many get an answer: of en and zh, and of other languages."
    yield row(f'en and zh{what}', seconds, 'answered', share_sure, known, 'called')
    yield row(f'en and zh{what}', seconds, 'right, of those answered', right_of_sure, known, 'called')
    yield row(f'en and zh{what}', seconds, 'called mixed', share_mixed, known, 'called')
    yield row(f'other languages{what}', seconds, 'not called en or zh', share_not_called, other, 'called',
              'whisper_called')
    yield row(f'other languages{what}', seconds, 'not called, were 0.95 of en and zh answered', share_not_called,
              not_answered_at(known, other), 'called')
    for corpus, part in other.groupby('corpus'):
        yield row(f'other languages{what}: {corpus}', seconds, 'not called en or zh', share_not_called, part, 'called',
                  'whisper_called')


def within_voices(table, seconds, what):
    "The AUC within each voice: the median, and the worst decile, over voices."
    voices = np.array([auc(part.language == 'zh', part.p_zh) for _, part in table.groupby('speaker')])
    for name, statistic in (('median', np.median), ('worst decile', lambda a: np.quantile(a, 0.1))):
        estimate, low, high = bootstrap_interval(statistic, voices)
        yield dict(what=what, seconds=seconds, metric=f'AUC within a voice, {name}', clips=len(table),
                   speakers=len(voices), shorter=0, estimate=estimate, low=low, high=high)


def mixtures(table, seconds, what):
    "Are clips of two languages called mixed, with both in order, and of joined clips of one language none?"
    both, one = table[table['language'] == 'mixed'], table[table['language'] != 'mixed']
    in_order = (both['called'] == 'mixed') & (both['order'] == both['first']+' '+both['second'])
    def share(truth, shown): return np.mean(shown)
    yield row(what, seconds, 'both languages: called mixed', share_mixed, both, 'called')
    yield row(what, seconds, 'both languages: called mixed, segments in order', share, both.assign(o=in_order), 'o')
    yield row(what, seconds, 'one language: called mixed', share_mixed, one, 'called')


# Is the confidence to be believed?

def reliability(table, bins=5):
    "How often answers of about the same confidence were right, in bins of equal count."
    table = table.sort_values('confidence', ignore_index=True)
    weight, groups = mix_weights(table['language'], ['en', 'zh']), speakers_of(table)
    right = (table['language'] == table['forced']).to_numpy(float)
    for number, rows in enumerate(np.array_split(np.arange(len(table)), bins)):
        found = bootstrap_interval(lambda r, w: np.average(r, weights=w), right[rows], weight[rows],
                                   groups=groups[rows])
        yield dict(bin=number, clips=len(rows), lowest=table['confidence'][rows[0]],
                   predicted=np.average(table['confidence'][rows], weights=weight[rows]),
                   **dict(zip(('observed', 'low', 'high'), found)))


def risk(table):
    "What share of the answers is wrong when only the surest are given."
    table = table.sort_values('confidence', ascending=False, ignore_index=True)
    weight = mix_weights(table['language'], ['en', 'zh'])
    wrong = (table['language'] != table['forced']).to_numpy(float)
    coverage, mistakes = weight.cumsum()/weight.sum(), (wrong*weight).cumsum()/weight.cumsum()
    for share in np.arange(0.5, 1.001, 0.05):
        place = min(np.searchsorted(coverage, share), len(table)-1)
        yield dict(coverage=round(share, 2), wrong=mistakes[place], confidence=table['confidence'][place])


def keep_in_card(result):
    "Write the overall figures into the card of the shipped weights."
    overall = result[~result['what'].str.contains(': ')]
    change_card(shipped_weights(), figures={'measured_by': 'benchmarks/language_quality.py, intervals by speaker'} | {
        f'{found.metric}, {found.what}, {found.seconds:g} s': format_interval(found.estimate, found.low, found.high)
        for found in overall.itertuples()})


def measure(detector, whisper, folder):
    "All rows of the result, and the tables for reliability."
    rng = np.random.default_rng(0)
    known, other = read(folder, 'dev', 'untouched'), read(folder, 'other_dev2', 'untouched')
    def ask(clips, what): return answered(detector, None, clips, what)
    def ask_both(clips, what): return answered(detector, whisper, clips, what)
    rows, everything = [], []
    for s in LENGTHS:
        clean = ask_both(cut(known, s), f'clean {s} s')
        foreign = ask_both(cut(other, s), f'other languages {s} s')
        rows += [*choices(clean, 'clean', s), *abstention(clean, foreign, s, '')]
        everything += [clean, foreign]
        if s > 3: continue
        lengths = rng.choice([len(samples)/SAMPLE_RATE for samples in other['samples']], len(known))
        matched = ask(cut(known, np.minimum(lengths, s)), 'matched length')
        rows += abstention(matched, foreign, s, ', matched length')
    for condition in HARD:
        rows += choices(ask(changed(cut(known, 3), condition), condition), condition, 3)
    accented = read(folder, 'dev_l2', 'untouched')
    for s in LENGTHS:
        answers = ask(cut(accented, s), f'accented {s} s')
        what = 'English with a Mandarin accent'
        rows.append(row(what, s, 'called zh, forced choice', share_called_zh, answers, 'forced', 'whisper_forced'))
        rows.append(row(what, s, 'called zh', share_called_zh, answers, 'called'))
    for s in (0.3, 1, 3):
        answers = ask(noises(s, rng), f'noises {s} s')
        rows.append(row('noises', s, 'not called en or zh', share_not_called, answers, 'called'))
        for kind, part in answers.groupby('corpus'):
            rows.append(row(f'noises: {kind}', s, 'not called en or zh', share_not_called, part, 'called'))
        if s > 0.5: everything.append(answers)
    people = pd.concat([read(folder, f'train_{name}', 'course') for name in ('english', 'mandarin')])
    people = people[people['corpus'] == 'dspspeech20']
    people = people.groupby('speaker').filter(lambda part: part['language'].nunique() == 2 and len(part) > 100)
    voices = synthetic_clips()
    voices = voices.assign(samples=[load(source(clip)) for _, clip in voices.iterrows()])
    for clips, what in ((people, 'same voice, people'), (voices, 'same voice, synthetic')):
        for s in (1, 3): rows += within_voices(ask(concatenated(clips, s, 10, rng), what), s, what)
        for s in (3, 5): rows += mixtures(ask(joined(clips, s, rng), what), 2*s, what)
    return pd.DataFrame(rows), pd.concat(everything, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='the folder that holds the tables')
    parser.add_argument('--whisper', type=Path, help='the folder of a Whisper model for CTranslate2')
    parser.add_argument('--weights', type=Path, help='a .safetensors file; the shipped weights when left out')
    parser.add_argument('--out', type=Path, default=HERE, help='the folder for the CSV files')
    args = parser.parse_args()
    whisper = load_whisper(args.whisper) if args.whisper else None
    result, everything = measure(LanguageDetector.load(args.weights), whisper, args.folder)
    write_csv(result.round(4), args.out/'language_quality.csv')
    write_csv(pd.DataFrame(reliability(everything)).round(4), args.out/'language_reliability.csv')
    write_csv(pd.DataFrame(risk(everything)).round(4), args.out/'language_risk.csv')
    if args.weights is None: keep_in_card(result)
    intervals = [format_interval(*values) for values in result[['estimate', 'low', 'high']].to_numpy()]
    shown = result.assign(interval=intervals).round(3)
    print(shown.drop(columns=['estimate', 'low', 'high']).to_string(index=False, na_rep=''))


if __name__ == '__main__': main()
