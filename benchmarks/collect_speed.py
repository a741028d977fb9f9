"""Does collecting lose a video, or ask twice, when things go wrong? And how fast is it?

    python benchmarks/collect_speed.py

A fake site lists 1,000 videos of 20 channels, and a server on this machine keeps their pictures, a few sizes each.
Chosen by a fixed seed, one snapshot in twenty fails: half of these once, the others for good. Once the site answers
with a 429, and once the picture server does. The process that collects is killed (SIGKILL) three times, each time
after a random number of snapshots, and started again; a last run asks once more for what failed. Then every row is
compared with what the site has.

The fake site answers at once and there is no pause between videos, so the speed is that of our own part: checking the
picture, and writing. On the real site the pauses take far longer. It prints a table and keeps it as collect_speed.csv.
"""
import argparse, io, random, subprocess, sys, tempfile, time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pandas as pd
from PIL import Image

from mlcourse.core import write_csv
from mlcourse.thumbnails.collect import collect
from mlcourse.thumbnails.videos import read_snapshots

HERE = Path(__file__).parent
PER_CHANNEL = 50


def plan(n, seed):
    "What is wrong with which video: {id: 'once', 'gone', 'no large picture' or None}."
    rng, ids = random.Random(seed), [f'video{i:06}' for i in range(n)]
    wrong = dict.fromkeys(ids)
    for video_id in rng.sample(ids, n//20): wrong[video_id] = rng.choice(['once', 'gone'])
    for video_id in ids[::7]: wrong[video_id] = wrong[video_id] or 'no large picture'
    return wrong


class Site:
    "The fake site. It remembers in a file what it was asked, so that it goes on when the process was killed."
    def __init__(self, n, seed, log):
        self.wrong, self.log = plan(n, seed), Path(log)
        self.log.touch()
        self.asked = Counter(self.log.read_text().split())
        self.busy_at = n//3 # the video whose first request gets a 429

    def remember(self, what):
        self.asked[what] += 1
        with self.log.open('a') as file: file.write(what + '\n')

    def __call__(self, url, flat=False, limit=None):
        ids = list(self.wrong)
        if flat:
            start = int(url.split('channel')[1].split('/')[0])*PER_CHANNEL
            entries = [dict(id=i) for i in ids[start:start+PER_CHANNEL][:limit]]
            return dict(channel_id=f'UC{start:022}', channel_follower_count=start, entries=entries)
        video_id = url[-11:]
        if video_id == ids[self.busy_at] and not self.asked['busy']:
            self.remember('busy')
            raise RuntimeError('HTTP Error 429: Too Many Requests')
        self.remember(video_id)
        if self.wrong[video_id] == 'gone': raise RuntimeError('Video unavailable')
        if self.wrong[video_id] == 'once' and self.asked[video_id] == 1: raise RuntimeError('Connection reset by peer')
        number = int(video_id[5:])
        return dict(title=f'<b>"{number}", \n=1+1', view_count=number, timestamp=1.6e9 + number,
                    channel_id=f'UC{number//PER_CHANNEL*PER_CHANNEL:022}', channel_follower_count=5, duration=60,
                    media_type='video')


class Pictures(BaseHTTPRequestHandler):
    "The picture server: some videos have no large size, and one picture is 'too many requests' at first."
    picture, wrong, busy, lock = b'', {}, [], Lock()

    def do_GET(self):
        video_id, size = Path(self.path).parts[-2:]
        code = 404 if self.wrong.get(video_id) == 'no large picture' and size.startswith('max') else 200
        with self.lock:
            if self.busy and video_id == self.busy[0]: code = 429; self.busy.clear()
        self.send_response(code)
        self.end_headers()
        if code == 200: self.wfile.write(self.picture)

    def log_message(self, *args): pass


def serve(n, seed):
    "The picture server, running; the address of its pictures."
    file = io.BytesIO()
    Image.effect_noise((480, 270), 60).convert('RGB').save(file, 'JPEG')
    Pictures.picture, Pictures.wrong, Pictures.busy = file.getvalue(), plan(n, seed), [f'video{n//2+1:06}']
    server = ThreadingHTTPServer(('127.0.0.1', 0), Pictures)
    Thread(target=server.serve_forever, daemon=True).start()
    return server, f'http://127.0.0.1:{server.server_port}/{{video_id}}/{{size}}.jpg'


def run(folder, image_url, n, seed, report=print):
    "One run of `collect` on the fake site."
    channels = [f'@channel{i}' for i in range((n + PER_CHANNEL - 1)//PER_CHANNEL)]
    return collect(channels, folder, PER_CHANNEL, pause_s=0, extract=Site(n, seed, Path(folder)/'asked.log'),
                   image_url=image_url, report=report, sleep=lambda seconds: None)


def killed(folder, image_url, n, seed, snapshots):
    "Collect in a process of its own, and kill it once it has asked for `snapshots` more; whether it was still at work."
    log = Path(folder)/'asked.log'
    before = log.stat().st_size if log.exists() else 0
    command = [sys.executable, __file__, '--child', str(folder), image_url, '--n', str(n), '--seed', str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and (not log.exists() or log.stat().st_size - before < 12*snapshots): # 12 bytes a line
        time.sleep(0.005)
    process.kill()
    return process.wait() != 0


def trial(folder, n=1000, kills=3, seed=0):
    "Collect with everything that goes wrong; what came of it, as a dict."
    folder, rng = Path(folder), random.Random(seed)
    server, image_url = serve(n, seed)
    wrong = plan(n, seed)
    hits = sum(killed(folder, image_url, n, seed, rng.randint(n//20, n//4)) for _ in range(kills))
    for _ in range(2): videos = run(folder, image_url, n, seed, lambda text: None)
    server.shutdown()
    snapshots, asked = read_snapshots(folder), Counter((folder/'asked.log').read_text().split())
    good = videos[videos.status == 'ok']
    numbers = [int(video_id[5:]) for video_id in good.video_id]
    right = [row.title == f'<b>"{number}", =1+1' and row.view_count == number and (folder/row.image).is_file()
             for row, number in zip(good.itertuples(), numbers)]
    fine = [video_id for video_id in wrong if wrong[video_id] != 'once']
    never_gone = {video_id for video_id in wrong if wrong[video_id] != 'gone'}
    return {'videos listed': n, 'times killed at work': hits,
            'times told 429, and waited': asked['busy'] + (not Pictures.busy),
            'rows lost': len(set(wrong) - set(videos.video_id)),
            'rows doubled': int(videos.video_id.duplicated().sum()),
            'rows that are wrong': len(good) - sum(right) + len(set(good.video_id) ^ never_gone),
            'good snapshots doubled': int(snapshots[snapshots.status == 'ok'].video_id.duplicated().sum()),
            'asked for twice, as a kill cut off the first snapshot': sum(asked[video_id] > 1 for video_id in fine)}


def speed(folder, n, seed):
    "Collected videos a second, nothing going wrong but what `plan` says."
    server, image_url = serve(n, seed)
    Path(folder).mkdir(exist_ok=True)
    started = time.perf_counter()
    videos = run(folder, image_url, n, seed, lambda text: None)
    seconds = time.perf_counter() - started
    server.shutdown()
    return len(videos)/seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--child', nargs=2, metavar=('FOLDER', 'IMAGE_URL'), help=argparse.SUPPRESS)
    parser.add_argument('--n', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=HERE/'collect_speed.csv', help='where the table goes')
    args = parser.parse_args()
    if args.child: run(*args.child, args.n, args.seed); return
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch)/'trial').mkdir()
        found = trial(Path(scratch)/'trial', args.n, seed=args.seed)
        rates = sorted(speed(Path(scratch)/f'speed{i}', min(args.n, 300), args.seed) for i in range(3))
    found |= {'videos a second, median of three': round(rates[1]), 'slowest': round(rates[0]),
              'fastest': round(rates[2])}
    table = pd.DataFrame(dict(metric=found.keys(), value=found.values()))
    print(table.to_string(index=False))
    write_csv(table, args.out)


if __name__ == '__main__': main()
