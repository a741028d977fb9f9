"""Kill it, fill the disk, start it twice, send it nonsense: is anything lost, doubled, mixed, or of no use afterwards?

    python benchmarks/crashes.py [WHAT ...] [--times 20]

Four kinds of work run in processes of their own, which say what they have finished, and are killed (SIGKILL) at a
random moment, again and again: collecting videos from a site on this machine, saving weights, keeping uploaded clips,
and `predict_many`, of whose worker processes one is killed. Then: a disk that takes no more (a limit on the size of
files does the same), two at once, and a server that drips, cuts off, leads elsewhere, or sends without end.

Lost: finished, and not there. Doubled: there twice. Mixed: of two. Unusable: cannot be read, or the work cannot go on.
Left: temporary files that the next run did not sweep away. All should be 0; the table is kept in crashes.csv.
"""
import argparse, io, itertools, os, random, resource, signal, subprocess, sys, tempfile, time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import active_children
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
from PIL import Image

from mlcourse.core import CannotWrite, download, DownloadFailed, load_weights, save_weights, write_csv
from mlcourse.language.app import Clip, keep_clip
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import example_clips
from mlcourse.language.detector import LanguageDetector
from mlcourse.thumbnails.collect import collect, FolderInUse
from mlcourse.thumbnails.videos import read_snapshots
from mlcourse.widgets import Upload

HERE = Path(__file__).resolve().parent
COLUMNS = ['what', 'times', 'lost', 'doubled', 'mixed', 'unusable', 'left']
IDS = [f'video{i:06}' for i in range(400)]
NOTHING = dict(lost=0, doubled=0, mixed=0, unusable=0)


# Work, each in a process of its own: a line for what is finished

def site(url, flat=False, limit=None):
    "What a video's page says: its number, everywhere."
    number = int(url[-6:])
    return dict(id=url[-11:], title=url[-11:], view_count=number, timestamp=1704067200+number, duration=60,
                channel_id='UC'+'x'*22, channel='Crumbs', webpage_url=url)


def work_collect(folder, address):
    print('go', flush=True)
    collect(IDS, folder, pause_s=0, extract=site, image_url=address+'/{video_id}/{size}', report=lambda text: None)


def work_save(folder):
    print('go', flush=True)
    for n in itertools.count(len(list(folder.iterdir())) and load_weights(folder/'w.safetensors')[1]['n']+1):
        save_weights(folder/'w.safetensors', {'w': np.full(300_000, n)}, {'n': n})
        print(n, flush=True)


def tone(n):
    "A different second of sound for each number."
    return (0.3*np.sin(2*np.pi*(200+n)*np.arange(SAMPLE_RATE)/SAMPLE_RATE)).astype('f4')


def work_upload(folder):
    "Clips that come in pieces, as from a browser, and are kept."
    def keep(name, data): # `data`: the samples
        print(keep_clip(Clip(name, np.frombuffer(data, 'f4'), None), folder, 'en', 'me').name, flush=True)
    upload = Upload(keep)
    print('go', flush=True)
    for n in range(len(list(folder.rglob('[!.]*.flac'))), 2000): # half-written ones begin with a dot
        data = tone(n).tobytes()
        for i in range(0, len(data), 16_000):
            about = dict(view='1', name=f'{n}.wav', first=True, size=0, start=i == 0, last=i+16_000 >= len(data))
            upload._handle_custom_msg(about, [memoryview(data)[i:i+16_000]])


# Kill

def killed(work, folder, rng, most_s, *more):
    "Kill such a process at a random moment of its work; what it had finished, and whether it was still at work."
    command = [sys.executable, __file__, '--work', work, str(folder), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'go\n'
    time.sleep(rng.uniform(0, most_s))
    process.kill()
    lines = process.communicate()[0].split('\n')[:-1] # the last may be half a line
    return lines, process.returncode == -signal.SIGKILL


def hidden(folder): return sum(path.name.startswith('.') for path in folder.rglob('*'))


def row(what, times, found, folder): return dict(what=what, times=times, left=hidden(folder)) | found


def kill_save(folder, times, rng):
    found = dict(NOTHING)
    for _ in range(times):
        lines, _ = killed('save', folder, rng, 0.5)
        try: tensors, card = load_weights(folder/'w.safetensors')
        except OSError: found['lost'] += bool(lines); continue
        except ValueError: found['unusable'] += 1; continue
        found['lost'] += bool(lines) and card['n'] < int(lines[-1])
        found['mixed'] += bool((tensors['w'] != card['n']).any())
    save_weights(folder/'w.safetensors', {'w': np.zeros(3)}, {'n': 0})
    return row('kill -9: save', times, found, folder)


def kill_upload(folder, times, rng):
    found, kept = dict(NOTHING), []
    for _ in range(times): kept += killed('upload', folder, rng, 0.5)[0]
    there = [path for path in folder.rglob('*.flac') if not path.name.startswith('.')]
    keep_clip(Clip('last', tone(-1), None), folder, 'en', 'me')
    for path in there:
        try: sound = load(path)
        except ValueError: found['unusable'] += 1; continue
        whose = np.abs(np.fft.rfft(sound)).argmax()-200
        found['mixed'] += len(sound) != SAMPLE_RATE or np.abs(sound-tone(whose)).max() > 0.001
    found['lost'] = len(set(kept)-{path.name for path in there})
    found['doubled'] = len(kept)-len(set(kept))
    return row('kill -9: an upload that is kept', times, found, folder)


def check_videos(folder, videos):
    "What is wrong with a folder that should have all of `IDS`."
    found, snapshots = dict(NOTHING), read_snapshots(folder)
    good = videos[videos.status == 'ok']
    found['lost'] = len(set(IDS)-set(good.video_id))
    seen = snapshots.video_id[snapshots.status == 'ok']
    found['doubled'] = sum(len(ids)-len(set(ids)) for ids in (videos.video_id, seen))
    for video in good.itertuples():
        try: level = np.asarray(Image.open(folder/video.image).convert('L')).mean()
        except (OSError, TypeError): found['unusable'] += 1; continue
        found['mixed'] += video.title != video.video_id or abs(level-grey(video.video_id)) > 2
    return found


def kill_collect(folder, times, rng):
    server, at_work = serve(picture), 0
    for _ in range(times): at_work += killed('collect', folder, rng, 0.4, server.address)[1]
    address = server.address+'/{video_id}/{size}'
    videos = collect(IDS, folder, pause_s=0, extract=site, image_url=address, report=lambda text: None)
    server.shutdown()
    return row('kill -9: collect', at_work, check_videos(folder, videos), folder)


def kill_worker(folder, times, rng):
    detector, clips, found = LanguageDetector.load(), example_clips(), dict(NOTHING)
    paths = [*clips.path]*60
    truth = [*detector.predict_many(clips.path).language]*60
    for _ in range(times):
        def kill(wait=rng.uniform(0, 8)):
            time.sleep(wait)
            for child in active_children()[:1]: child.kill()
        Thread(target=kill).start()
        try: table = detector.predict_many(paths, workers=2)
        except OSError: found['lost'] += len(paths); continue
        found['lost'] += len(paths)-len(table)+int((table.error != '').sum())
        found['mixed'] += int((table.source != paths).sum()+(table.language != truth).sum())
    return row('kill -9: a worker of predict_many', times, found, folder)


# A disk that takes no more, and two at once

def fails(error, work, *args, **options):
    "Whether some work fails as it should."
    try: work(*args, **options)
    except error as why: return str(why).endswith('.') and '\n' not in str(why)
    return False


def full_disk(folder, times, rng):
    found, server = Counter(NOTHING), serve(picture)
    options = dict(pause_s=0, extract=site, image_url=server.address+'/{video_id}/{size}', report=lambda text: None)
    for n in range(times):
        here, limits = folder/str(n), resource.getrlimit(resource.RLIMIT_FSIZE)
        save_weights(here/'w.safetensors', {'w': np.zeros(3)}, {'n': n})
        collect(IDS[:5], here, **options)
        resource.setrlimit(resource.RLIMIT_FSIZE, (rng.randrange(1, 900), limits[1])) # bytes
        try:
            found['unusable'] += not fails(CannotWrite, save_weights, here/'w.safetensors', {'w': np.ones(9999)}, {})
            found['unusable'] += not fails(CannotWrite, collect, IDS[5:], here, **options)
        finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        tensors, card = load_weights(here/'w.safetensors')
        found['lost'] += card != {'n': n} or bool(tensors['w'].any())
        found.update(check_videos(here, collect(IDS, here, **options)))
    server.shutdown()
    return row('a full disk: collect, save', times, dict(found), folder)


def two_at_once(folder, times, rng):
    found, server = Counter(NOTHING), serve(picture)
    for n in range(times):
        (here := folder/str(n)).mkdir()
        command = [sys.executable, __file__, '--work']
        savers = [subprocess.Popen([*command, 'save', str(here/'w')], stdout=subprocess.DEVNULL) for _ in range(2)]
        collectors = [subprocess.Popen([*command, 'collect', str(here/'v'), server.address], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True) for _ in range(2)]
        refused = [FolderInUse.__name__ in one.communicate()[1] for one in collectors]
        for saver in savers: saver.kill(); saver.wait()
        found['unusable'] += all(refused)
        tensors, card = load_weights(here/'w'/'w.safetensors')
        found['mixed'] += bool((tensors['w'] != card['n']).any())
        save_weights(here/'w'/'w.safetensors', {'w': np.zeros(3)}, {'n': 0})
        options = dict(pause_s=0, extract=site, image_url=server.address+'/{video_id}/{size}')
        videos = collect(IDS, here/'v', report=lambda text: None, **options)
        found.update(check_videos(here/'v', videos))
    server.shutdown()
    return row('two at once: collect, save', times, dict(found), folder)


# Servers

def grey(video_id): return 20+int(video_id[-6:]) % 200


def picture(handler):
    "A picture whose grey is that of its video."
    Image.new('RGB', (320, 180), (grey(handler.path.split('/')[1]),)*3).save(file := io.BytesIO(), 'JPEG')
    answer(handler, file.getvalue())


def answer(handler, body, code=200, size=None, **headers):
    handler.send_response(code)
    for name, value in (headers | {'Content-Length': size or len(body)}).items(): handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def drip(handler):
    handler.send_response(200); handler.end_headers()
    while True: handler.wfile.write(b'x'); time.sleep(0.05)


def endless(handler):
    handler.send_response(200); handler.end_headers()
    while True: handler.wfile.write(bytes(1 << 16))


def drip_headers(handler):
    while True: handler.wfile.write(b'H'); time.sleep(0.05)


BAD = {'drips': drip, 'drips its headers': drip_headers, 'sends without end': endless,
       'cuts off': lambda handler: answer(handler, b'x'*100, size=1000),
       'leads to a file': lambda handler: answer(handler, b'', 302, Location='file:///etc/hostname'),
       'leads in a circle': lambda handler: answer(handler, b'', 302, Location=handler.path),
       'sends something else': lambda handler: answer(handler, b'<html></html>')}


def serve(how):
    "A server that answers everything in one way."
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args): pass
        def do_GET(self):
            try: how(self)
            except OSError: pass # the other side has hung up
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    server.address = f'http://127.0.0.1:{server.server_port}'
    return server


def bad_servers(folder, times, rng):
    "Each is given up within seconds, and the file that was there stays."
    import mlcourse.core as core
    core.HEADERS_S, found = 2, dict(NOTHING)
    (folder/'x').write_text('mine')
    options = dict(path=folder/'x', sha256='0'*64, max_bytes=5_000_000, max_seconds=2)
    for how in BAD.values():
        server, began = serve(how), time.monotonic()
        for resume in (False, True):
            found['unusable'] += not fails(DownloadFailed, download, server.address+'/a', resume=resume, **options)
            for part in folder.glob('.x.part*'): part.unlink() # kept on purpose, to go on from
        found['unusable'] += time.monotonic()-began > 20
        found['lost'] += (folder/'x').read_text() != 'mine'
        server.shutdown()
    return row('a server that drips, cuts, redirects, never ends', len(BAD), found, folder)


TRIALS = {'collect': kill_collect, 'save': kill_save, 'upload': kill_upload, 'worker': kill_worker,
          'disk': full_disk, 'two': two_at_once, 'server': bad_servers}
WORK = {'collect': work_collect, 'save': work_save, 'upload': work_upload}


def main():
    parser = argparse.ArgumentParser(description='Kill it, fill the disk, start it twice.')
    parser.add_argument('what', nargs='*', default=list(TRIALS))
    parser.add_argument('--times', type=int, default=20)
    parser.add_argument('--out', type=Path, default=HERE/'crashes.csv')
    parser.add_argument('--work', nargs='+', help=argparse.SUPPRESS) # in a process that will be killed
    args = parser.parse_args()
    if args.work:
        Path(args.work[1]).mkdir(exist_ok=True)
        return WORK[args.work[0]](Path(args.work[1]), *args.work[2:])
    os.environ['MLCOURSE_CACHE'] = (cache := tempfile.TemporaryDirectory()).name
    rows = []
    for name in args.what:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(TRIALS[name](Path(folder), args.times, random.Random(0)))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)[COLUMNS]
    print(table.to_string(index=False))
    kept = pd.read_csv(args.out) if args.out.exists() else table[:0]
    write_csv(pd.concat([kept[~kept.what.isin(table.what)], table]), args.out)
    cache.cleanup()
    return int(table[COLUMNS[2:]].to_numpy().any())


if __name__ == '__main__': sys.exit(main())
