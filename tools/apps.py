"""The two pages that run in a browser alone, in a folder that any server of files can show.

    python tools/apps.py FOLDER

The detector runs there on ONNX Runtime Web, whose npm package npm fetches once (its checksum is below).
"""
import argparse, base64, gzip, hashlib, json, shutil, subprocess, tarfile, tempfile
from pathlib import Path

from mlcourse.core import atomic_path, cache_folder
from mlcourse.language import app, audio, detector, spectrogram, vad
from mlcourse.language.clips import example_clips, real_examples
from mlcourse.pages import STATIC
from mlcourse.thumbnails.feed import feed_data, PHOTOS, shipped_videos

RUNTIME = 'onnxruntime-web', '1.22.0' # the smallest build that knows the operators of the graph
INTEGRITY = 'sha512-Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg=='
# What JavaScript takes from the library's modules, by the names it has there.
SHARED = {audio: ['SAMPLE_RATE', 'CANCELLED'],
          spectrogram: ['N_FFT', 'HOP_LENGTH', 'N_MELS', 'F_MIN', 'F_MAX', 'TOP_DB'],
          vad: ['FRAME', 'TRIM_DB', 'SILENCE_DB', 'MIN_SOUND_S'],
          detector: ['BLOCK', 'MAX_SECONDS', 'SPAN', 'STEP', 'LEAST', 'SWITCH', 'DOUBT', 'MIXED_S']}
PAGES = ['detect.html', 'detect.js', 'detect_worker.js', 'detector.js', 'language_app.css', # of both pages: in static/
         'feed.html', 'feed.css', 'feed.js', 'feed_page.js', 'try.css', 'widgets.css', 'widgets.js']


class NoRuntime(OSError):
    "npm does not give the package."


def runtime():
    "The npm package, fetched when it is not in the cache; `NoRuntime` when it cannot be."
    name, version = RUNTIME
    path = cache_folder()/f'{name}-{version}.tgz'
    if not path.exists():
        command = [shutil.which('npm') or 'npm', 'pack', '--silent', f'{name}@{version}']
        with atomic_path(path) as part, tempfile.TemporaryDirectory() as folder:
            try: subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
            except (OSError, subprocess.SubprocessError) as error:
                raise NoRuntime(f"npm cannot fetch {name} {version}; install Node.js, "
                                "or try again with a network.") from error
            shutil.copyfile(Path(folder)/path.name, part)
    found = 'sha512-' + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found == INTEGRITY: return path
    path.unlink()
    raise NoRuntime(f"{name} {version} has another checksum than it should have; try again later.")


def pack(data, path):
    "Write `data` with gzip, which the page unpacks itself: not every host packs what it sends."
    path.write_bytes(gzip.compress(data, 9, mtime=0))
    return path.stat().st_size


def examples(folder):
    "Copy a few shipped clips; label -> file."
    folder.mkdir(exist_ok=True)
    clips, found = [*real_examples().path[:4], *example_clips().path[::3]], {}
    for i, path in enumerate(map(Path, clips), 1):
        shutil.copyfile(path, folder/path.name)
        found[f'example {i}'] = f'{folder.name}/{path.name}'
    return found


def write_detector(folder):
    "What the detector's page fetches: ONNX Runtime Web, the shipped weights, and a few clips."
    with tarfile.open(runtime()) as package:
        def read(name): return package.extractfile(f'package/dist/{name}').read()
        for name in ('ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs'): (folder/name).write_bytes(read(name))
        size = pack(read('ort-wasm-simd-threaded.wasm'), folder/'ort.wasm.gz')
    size += pack(detector.shipped_weights().read_bytes(), folder/'weights.gz')
    about = {name: getattr(module, name) for module, names in SHARED.items() for name in names}
    about |= {'names': app.NAMES, 'examples': examples(folder/'clips'), 'packed_bytes': size}
    (folder/'detector.json').write_text(json.dumps(about), encoding='utf-8')


def write_feed(folder):
    "What the feed's page fetches: a thumbnail, its neighbours, and whose photographs they are."
    mine, *neighbours = shipped_videos()
    (folder/'feed.json').write_text(json.dumps(feed_data([mine], neighbours)), encoding='utf-8')
    shutil.copyfile(PHOTOS/'photos.csv', folder/'photographs.csv')


def write_apps(folder):
    "Both pages in a folder, which is made."
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES: shutil.copyfile(STATIC/name, folder/name)
    write_detector(folder)
    write_feed(folder)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='The two pages that run in a browser alone.')
    parser.add_argument('folder', type=Path)
    write_apps(parser.parse_args().folder)
