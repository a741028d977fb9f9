"""How long does a grader take to learn from many thumbnails, and how much memory does it take?

    OMP_NUM_THREADS=1 python benchmarks/grader_speed.py
    OMP_NUM_THREADS=1 python benchmarks/grader_speed.py --videos 1000 10000

200 small thumbnails are drawn, and a table of so many videos names them again and again: the work is the same as for
as many different ones, of 320x180 pixels. Each size is a process of its own. Seconds are those of the processor, memory
is the most that the process ever held (resident, as Linux tells it), with Python and its libraries. It prints a table
and keeps it as grader_speed.csv beside this script; three minutes of one core.
"""
import argparse, re, subprocess, sys, tempfile, time
from pathlib import Path

import pandas as pd

from mlcourse.core import write_csv
from mlcourse.thumbnails.simulate import simulate_table, simulate_videos
from mlcourse.thumbnails.videos import label


def learn_from(n, folder):
    "Print n, seconds and gigabytes."
    from mlcourse.thumbnails.grader import ThumbnailGrader
    start, paths = time.process_time(), pd.read_csv(Path(folder)/'videos.csv').image
    videos = label(simulate_table(n, seed=1).assign(image=[paths[i % len(paths)] for i in range(n)]))
    ThumbnailGrader.fit(videos, folder, progress=False)
    seconds, status = time.process_time() - start, Path('/proc/self/status').read_text()
    print(n, round(seconds, 1), round(int(re.search(r'VmHWM:\s+(\d+)', status)[1]) / 1e6, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--videos', type=int, nargs='+', default=[1000, 10_000])
    parser.add_argument('--folder', help=argparse.SUPPRESS) # of the drawn thumbnails: this is the process that learns
    args, rows = parser.parse_args(), []
    if args.folder: return learn_from(args.videos[0], args.folder)
    with tempfile.TemporaryDirectory() as folder:
        simulate_videos(200, folder, seed=1)
        for n in args.videos:
            command = [sys.executable, '-W', 'ignore', __file__, '--videos', str(n), '--folder', folder]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            rows.append(dict(videos=n, seconds=float(found[1]), gigabytes=float(found[2])))
            print(rows[-1], flush=True)
    write_csv(pd.DataFrame(rows), Path(__file__).parent/'grader_speed.csv')


if __name__ == '__main__': main()
