"""Very many files: Dask beside a plain loop, memory and time a clip at two sizes, and what it costs to be killed.

    python benchmarks/scale_speed.py --sizes 1000 20000

The clips are the forty of mlcourse/clips/replay, named again and again (copies of them would only fill a disk), and
for the plan of a corpus clips of ten seconds, strung together from them, and drawn thumbnails. Dask has two workers
with one thread each on this machine. Speeds are of the work alone, with the workers started and warm, the best of three
runs that take turns; two processes of Python's own, without Dask, say what two cores of this machine give. Memory is
the peak of all processes together, and of the one that hands out the work. One row counts the tests in
tests/test_scale.py that find a shard lost, doubled or half-written. It prints a table and keeps it as scale_speed.csv.
"""
import argparse, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
import numpy as np
import pandas as pd
import psutil
import soundfile
from distributed import Client, LocalCluster

from mlcourse.core import write_csv
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import replay_clips
from mlcourse.scale import answer_items, detect_one, LOCAL, spread
from mlcourse.thumbnails.images import load_image
from mlcourse.thumbnails.properties import measure
from mlcourse.thumbnails.simulate import simulate_videos

HERE = Path(__file__).parent
WORKERS = 2


def properties(path): return {name: repr(value) for name, value in measure(load_image(path)).items()}


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter()-start


class Memory(threading.Thread):
    "The peak of resident memory, in MB: of this process, and with its children."
    def __init__(self):
        super().__init__(daemon=True)
        self.own, self.all, self.running = 0, 0, True

    def run(self):
        me = psutil.Process()
        while self.running:
            sizes = [me.memory_info().rss]
            for child in me.children(recursive=True):
                try: sizes.append(child.memory_info().rss)
                except psutil.Error: continue
            self.own, self.all = max(self.own, sizes[0]/1e6), max(self.all, sum(sizes)/1e6)
            time.sleep(2) # it takes a while itself


def with_dask(items, work=detect_one, shard_size=25):
    "Seconds of work and MB, with workers that have answered some items before."
    with (dask.config.set(LOCAL),
          LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
          Client(cluster) as client, TemporaryDirectory() as folder):
        client.run(answer_items, list(items[:5]), work)
        memory = Memory()
        memory.start()
        seconds = timed(lambda: spread(items, work, folder, cluster.scheduler_address, shard_size=shard_size,
                                       progress=False))
        memory.running = False
        kilobytes = sum(path.stat().st_size for path in Path(folder).glob('shard*'))/1000
    return seconds, memory, kilobytes/len(items)


def with_processes(items, shard_size=25):
    "Seconds of work, with as many processes as Dask has workers and nothing between them."
    work = partial(answer_items, work=detect_one)
    parts = [items[i:i+shard_size] for i in range(0, len(items), shard_size)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context('spawn')) as pool:
        list(pool.map(work, parts[:4]))
        return timed(lambda: list(pool.map(work, parts)))


def beside_plain(paths, n):
    "Dask with two workers beside a loop in one process, and beside two processes, in turns."
    items = (paths*(n//len(paths)+1))[:n]
    answer_items(items[:5], detect_one)
    turns = [(timed(lambda: answer_items(items, detect_one)), with_dask(items)[0], with_processes(items))
             for _ in range(3)]
    plain, dask, processes = map(min, zip(*turns))
    yield f'a plain loop, {n} clips of 2.5 s', 'ms a clip', 1000*plain/n
    yield f'Dask, two workers, {n} clips', 'ms a clip', 1000*dask/n
    yield 'Dask, two workers, to the plain loop', 'times as fast', plain/dask
    yield 'two processes without Dask, to the plain loop', 'times as fast', plain/processes


def at_sizes(paths, sizes):
    "Time and memory at each size, in a process of its own."
    for n in sizes:
        items = (paths*(n//len(paths)+1))[:n]
        seconds, memory, kilobytes = with_dask(items, shard_size=100)
        yield f'{n} clips', 'ms a clip', 1000*seconds/n
        yield f'{n} clips', 'MB in all processes', memory.all
        yield f'{n} clips', 'MB in the one that hands out', memory.own
        yield f'{n} clips', 'kB of answers a clip', kilobytes


def for_a_plan(folder, sounds):
    "What one core does with ten seconds of sound, and with a thumbnail."
    rng, paths = np.random.default_rng(0), []
    for i in range(40):
        samples = np.concatenate([sounds[j] for j in rng.permutation(len(sounds))[:6]])[:10*SAMPLE_RATE]
        paths.append(str(folder/f'{i}.ogg'))
        soundfile.write(paths[-1], samples, SAMPLE_RATE, format='OGG', subtype='OPUS')
    for name, work in (('', detect_one), (', with features', partial(detect_one, features=True))):
        answer_items(paths[:3], work)
        seconds = min(timed(partial(answer_items, paths, work)) for _ in range(2))
        yield f'10 s of sound{name}, one process', 'ms', 1000*seconds/len(paths)
        pd.DataFrame(answer_items(paths, work)).to_parquet(folder/'rows.parquet')
        yield f'10 s of sound{name}', 'kB of answers', (folder/'rows.parquet').stat().st_size/1000/len(paths)
    videos = simulate_videos(20, folder, seed=1)
    pictures = [str(folder/image) for image in videos.image]
    answer_items(pictures[:2], properties)
    seconds = timed(partial(answer_items, pictures, properties))
    yield 'a thumbnail measured, one process', 'ms', 1000*seconds/len(pictures)


def damage():
    "How many of the tests that kill things find something wrong."
    tests = HERE.parent/'tests'/'test_scale.py'
    done = subprocess.run([sys.executable, '-m', 'pytest', str(tests)], cwd=HERE.parent, capture_output=True, text=True)
    print(done.stdout)
    yield ('kill -9 of worker, client, scheduler; disk full; poisoned file', 'tests that find damage',
           done.stdout.count('FAILED ') + ('passed' not in done.stdout))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--sizes', nargs=2, type=int, default=[1000, 20000])
    parser.add_argument('--without-tests', action='store_true', help='nothing is killed')
    parser.add_argument('--n', type=int, default=1200, help='clips, beside the plain loop (1200)')
    parser.add_argument('--out', type=Path, default=HERE/'scale_speed.csv')
    args = parser.parse_args()
    paths, rows = replay_clips().path.tolist(), []
    with TemporaryDirectory() as folder:
        for row in [*beside_plain(paths, args.n), *for_a_plan(Path(folder), [load(path) for path in paths]),
                    *(() if args.without_tests else damage()), *at_sizes(paths, args.sizes)]:
            rows.append(dict(zip(('what', 'unit', 'value'), row)))
    table = pd.DataFrame(rows).round(2)
    print(table.to_string(index=False))
    write_csv(table, args.out)
