"""Inputs that nobody meant to make, of nine kinds, always the same ones, for test_fuzz.py.

    python tests/fuzz.py [KIND ...] [--n 10000] [--start 0] [--out table.csv]

Each input is answered, or refused with one sentence, as a ValueError or an OSError. The table says, for each kind:
how many were tried; how many were answered; how many failed otherwise; the slowest, in seconds; and by how many
megabytes the most memory ever used grew. Input number i is made of i alone: `--start i --n 1` makes it again.
"""
import argparse, contextlib, gzip, io, json, os, re, resource, sys, tarfile, tempfile, time, traceback, warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import mlcourse.cli
from bad_clips import CONTAINERS, encode
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import example_clips, read_clips, read_fleurs_table, unpack
from mlcourse.language.detector import LanguageDetector
from mlcourse.thumbnails.advice import advise
from mlcourse.thumbnails.collect import video_row
from mlcourse.thumbnails.images import load_image
from mlcourse.thumbnails.studio import read_log, read_studio
from mlcourse.thumbnails.videos import as_videos, label, read_snapshots, read_videos, STATUSES

OURS = Path(mlcourse.cli.__file__).parent
EXTREME = [bytes(4), b'\xff'*4, b'\x7f\xff\xff\xff', b'\xff\xff\xff\x7f', b'\x80\0\0\0', b'\0\0\0\x01', b'\0\0\x10\0']
WORDS = ['', '0', '-1', '1e999', 'nan', '9'*400, 'NA', 'null', '../../etc/passwd', 'a'*5000, '\0', '\ud800', '漢字',
         '=1+1', '"', "'", ',', ';', '\t', '\r\n', '<script>', '\u202e\x1b[31m', '%s', '{}', '2024-01-31', '31.12.9999',
         'http://127.0.0.1:9/x', '-9', '--help', 'true', '١٢٣', '1.234,5', ' ', '\ufeff']


# From one input to another

def pick(rng, values): return values[int(rng.integers(len(values)))]


def changed_bytes(rng, whole):
    "A file with one of the faults that files get."
    data, at = bytearray(whole), int(rng.integers(min(len(whole), pick(rng, [64, 512, len(whole)])))) if whole else 0
    size = int(rng.integers(1, pick(rng, [4, 64, 2048])))
    match int(rng.integers(8)):
        case 0: data[at] ^= 1 << int(rng.integers(8))
        case 1: data[at:at+size] = rng.bytes(size)
        case 2: data[at:at+4] = pick(rng, EXTREME)
        case 3: del data[at:at+size]
        case 4: data[at:at] = data[:size]
        case 5: data[at:at+size] = bytes(size)
        case 6: del data[at:]
        case 7: data += data[at:]
    return bytes(data)


def damaged(rng, seeds):
    "A file with one to four faults; one in twenty is begun by another."
    whole = pick(rng, seeds)
    if rng.random() < 0.05: whole = pick(rng, seeds)[:int(rng.integers(1, 400))]+whole[int(rng.integers(len(whole))):]
    for _ in range(int(rng.integers(1, 5))): whole = changed_bytes(rng, whole) or b'x'
    return whole


def changed_cells(rng, text):
    "A table with other words in it, or with lines gone, moved or doubled; half of them with damaged bytes."
    lines = [re.split(r'([,;\t])', line) for line in text.splitlines(keepends=True)]
    for _ in range(int(rng.integers(1, 6))):
        line = pick(rng, lines)
        match int(rng.integers(4)):
            case 0 | 1: line[int(rng.integers(len(line)))] = pick(rng, WORDS)
            case 2: lines.insert(int(rng.integers(len(lines))), line)
            case 3: del line[int(rng.integers(len(line))):]; line.append('\n')
    encoding = pick(rng, ['utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'cp1252'])
    data = ''.join(map(''.join, lines)).encode(encoding, 'replace')
    return changed_bytes(rng, data) if rng.random() < 0.5 else data


def hostile(rng, depth=2):
    "A value that no site should send."
    value = pick(rng, [None, True, 0, -1, 10**30, 1e400, float('nan'), b'x', object(), 0.5, 1e18, [], {}, *WORDS])
    if depth and rng.random() < 0.2: value = hostile(rng, depth-1)
    return pick(rng, [value, value, value, [value], {pick(rng, WORDS): value}])


# What they are made from

@cache
def voices(seconds):
    "A voice in each container."
    voice = np.resize(load(example_clips().path[0]), int(seconds*SAMPLE_RATE))
    return [encode(voice, extension) for extension in CONTAINERS]


@cache
def pictures():
    "A small picture in each format, and in some rarer kinds."
    noise = Image.effect_noise((96, 54), 60).convert('RGB')
    def saved(image, kind, **options):
        image.save(file := io.BytesIO(), kind, **options)
        return file.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = [saved(noise, kind) for kind in 'PNG JPEG WEBP GIF TIFF BMP ICO PPM AVIF TGA'.split()]
    return [*plain,
            saved(noise.convert('CMYK'), 'JPEG'), saved(noise.convert('P'), 'PNG'), saved(noise, 'JPEG', exif=exif),
            saved(noise.convert('I;16'), 'TIFF', compression='tiff_lzw'), saved(noise.convert('F'), 'TIFF'),
            saved(noise.convert('LA'), 'PNG'), saved(noise, 'GIF', save_all=True, append_images=[noise]),
            saved(noise, 'JPEG', progressive=True), saved(noise, 'WEBP', lossless=True)]


@cache
def detector(): return LanguageDetector.load()


@cache
def page():
    from test_collect import PAGE
    return PAGE


@cache
def exports():
    "Exports of YouTube Studio as text, and in archives."
    from test_studio import LANGUAGES, table, zipped
    texts = [table(language) for language in LANGUAGES]
    return texts, [zipped({'Table data.csv': text, 'Totals.csv': 'Date,Views\n2025-01-01,5\n'}) for text in texts]


@cache
def tar_archive():
    "An archive of a few members, not yet packed."
    with tarfile.open(fileobj=(file := io.BytesIO()), mode='w') as tar:
        for name in ('a.wav', 'dev/b.wav', 'x'*150+'.wav', 'dev/é.wav'):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(bytes(700)))
    return file.getvalue()


@cache
def tables():
    "A table for each reader of tables, and the reader: text, name of its file, reader of its path."
    videos = as_videos(pd.DataFrame([video_row(page() | {'id': i}, i) for i in ('a'*11, 'b'*11)])).to_csv(index=False)
    log = 'test,changed,thumbnail,impressions,clicks\n1,colour,a.jpg,1000,50\n1,colour,b.jpg,1100,70\n'
    fleurs = '1\t100.wav\tA text\ta text\ta | t\t16000\tMALE\n2\t101.wav\tB\tb\tb\t8000\tFEMALE\n'
    clips = example_clips().to_csv(index=False)
    def labelled(path): label(read_videos(path.parent), threshold=1, kinds=None, split_by='time')
    return [(videos, 'videos.csv', labelled), (videos, 'snapshots.csv', lambda path: read_snapshots(path.parent)),
            (log, 'log.csv', read_log), (fleurs, 'dev.tsv', read_fleurs_table), (clips, 'clips.csv', read_clips),
            *[(text, 'Table data.csv', read_studio) for text in exports()[0]]]


# One input of each kind: made from `rng`, asked about in `folder`

def ask_load(rng, folder): load(damaged(rng, voices(0.4)), max_seconds=60)


def ask_predict(rng, folder): detector().predict(damaged(rng, voices(1.5)))


def ask_picture(rng, folder): load_image(damaged(rng, pictures()))


def ask_advice(rng, folder):
    "Half are damaged files; the others are pictures of any size and kind."
    title = pick(rng, [None, *WORDS])
    if rng.random() < 0.5: return advise(damaged(rng, pictures()), title=title).to_dict()
    size = tuple(int(2**rng.uniform(0, 9)) for _ in range(2))
    mode = pick(rng, ['RGB', 'RGB', 'L', 'RGBA', 'P', 'CMYK', '1'])
    image = Image.effect_noise(size, float(rng.uniform(0, 90))).convert(mode)
    json.dumps(advise(image, title=title).to_dict(), default=float)


def ask_weights(rng, folder):
    "Flipped bytes, files that are cut, cards with hostile values: of a detector or a grader."
    from test_weights import FILES, mutations
    for kind, (cls, make) in FILES.items():
        if not (folder/kind).exists():
            (folder/kind).mkdir()
            make(folder/kind)
            cls.load(folder/kind/'weights.safetensors') # the first time loads libraries
    cls = FILES[kind := pick(rng, [*FILES])][0]
    (_, content), = list(mutations(folder/kind/'weights.safetensors', rng, first=int(rng.integers(6)), n=1))
    (folder/'bad.safetensors').write_bytes(content)
    cls.load(folder/'bad.safetensors')


def ask_table(rng, folder):
    text, name, read = pick(rng, tables())
    (folder/name).write_bytes(changed_cells(rng, text))
    read(folder/name)


def ask_info(rng, folder):
    "A site's answer with hostile fields, all the way to labels."
    info = page() | {name: hostile(rng) for name in rng.choice([*page()], int(rng.integers(1, 6)))}
    for name in rng.choice([*page()], int(rng.integers(3))): info.pop(name, None)
    videos = label(as_videos(pd.DataFrame([video_row(info, 'a'*11), video_row(page(), 'b'*11)])), kinds=None)
    assert videos.status.isin([*STATUSES]).all() and videos.video_id[0] == 'a'*11


def ask_archive(rng, folder):
    if rng.random() < 0.5: return read_studio(damaged(rng, exports()[1]))
    inside = rng.random() < 0.7 # damaged before it is packed
    tar = damaged(rng, [tar_archive()]) if inside else tar_archive()
    packed = gzip.compress(tar, 1)
    (folder/'a.tar.gz').write_bytes(packed if inside else damaged(rng, [packed]))
    unpack(folder/'a.tar.gz', {'a.wav', 'b.wav', 'é.wav'}, folder/'out', max_bytes=10_000_000)


COMMANDS = ['detect', 'advise', 'collect', 'detect', 'advise', 'nonsense']
ARGUMENTS = '''--json --title --weights --folder --most --after --before --again --help -- - -x *.wav ** [ *.jpg b.wav
    -1.jpg folder none.wav c.csv @channel 3 . ~'''.split()


def ask_command(rng, folder):
    "Words in any order; what would go to the network gets an empty answer."
    for name in ('b.wav', '-1.jpg', 'c.csv'):
        if not (folder/name).exists(): (folder/name).write_bytes(b'nothing that can be read')
    (folder/'folder').mkdir(exist_ok=True)
    words = [pick(rng, COMMANDS), *[pick(rng, ARGUMENTS if rng.random() < 0.8 else WORDS)
                                    for _ in range(int(rng.integers(7)))]]
    here, out = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out): code = mlcourse.cli.main(words)
    except SystemExit as stop: code = stop.code
    finally: os.chdir(here)
    assert code in (0, 1, 2), f'{words} ended with {code}'
    assert 'Traceback' not in out.getvalue()


KINDS = {'load': ask_load, 'predict': ask_predict, 'pictures': ask_picture, 'advise': ask_advice,
         'weights': ask_weights, 'tables': ask_table, 'info dicts': ask_info, 'archives': ask_archive,
         'commands': ask_command}


# Asking

def is_ours(error):
    "Whether an error is a sentence that the library says, and not one of some library below."
    where, text = traceback.extract_tb(error.__traceback__)[-1].filename, str(error)
    return Path(where).is_relative_to(OURS) and text.endswith('.') and '\n' not in text and len(text) < 700


def offline(put=setattr):
    "What `mlcourse collect` asks of a site is answered here, with nothing."
    from mlcourse.thumbnails import collect as module
    real = module.collect, module.observe
    def nothing(*args, **kwargs): return {}
    def one(urls, folder, **options): return real[0](urls, folder, extract=nothing, pause_s=0, report=print, **options)
    put(module, 'collect', one)
    put(module, 'observe', lambda folder: real[1](folder, extract=nothing, pause_s=0, report=print))


def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(1e6 if sys.platform == 'darwin' else 1e3)


def try_kind(kind, n, start=0):
    "A row of the table, and what failed: (number, how)."
    failed, answered, slowest = [], 0, 0
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action='ignore'):
        ask = KINDS[kind]
        with contextlib.suppress(ValueError, OSError): ask(np.random.default_rng(0), Path(folder)) # libraries load
        before = peak()
        for i in range(start, start+n):
            began, why = time.perf_counter(), None
            try: ask(np.random.default_rng([i, len(kind)]), Path(folder))
            except (ValueError, OSError) as error: why = None if is_ours(error) else traceback.format_exc()
            except Exception: why = traceback.format_exc()
            else: answered += 1
            took = time.perf_counter()-began
            if took > 10: why = why or f'took {took:.0f} s'
            if why: failed.append((i, why))
            slowest = max(slowest, took)
    row = {'kind': kind, 'inputs': n, 'answered': answered, 'failed': len(failed), 'slowest_s': round(slowest, 2),
           'memory_mb': round(peak()-before)}
    return row, failed


def main():
    parser = argparse.ArgumentParser(description='Inputs that nobody meant to make.')
    parser.add_argument('kinds', nargs='*', default=list(KINDS), metavar='KIND')
    parser.add_argument('--n', type=int, default=10_000)
    parser.add_argument('--start', type=int, default=0)
    parser.add_argument('--out', type=Path, help='the table as CSV; more rows are added to it')
    args = parser.parse_args()
    offline()
    rows = []
    for kind in args.kinds:
        began = time.perf_counter()
        row, failed = try_kind(kind, args.n, args.start)
        rows.append(row)
        print(row, f'{time.perf_counter()-began:.0f} s', flush=True)
        for i, how in failed[:20]: print(f'{kind} {i}: {how}', flush=True)
        if args.out: pd.DataFrame([row]).to_csv(args.out, mode='a', header=not args.out.exists(), index=False)
    print(pd.DataFrame(rows).to_string(index=False))
    return int(any(row['failed'] or row['memory_mb'] > 1000 for row in rows))


if __name__ == '__main__': sys.exit(main())
