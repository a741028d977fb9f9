"""Long jobs over many files: killed workers, schedulers and clients, a full disk, a file that takes its worker down."""
import json, os, signal, subprocess, sys, time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest

pytest.importorskip('distributed')
from distributed import Client, KilledWorker

from mlcourse.scale import _Job, POISONED, spread

pytestmark = pytest.mark.skipif(os.name == 'nt', reason='signals as on Linux and macOS')
N, SIZE = 120, 10
SCRIPT = f'''
import os, signal, sys, time
from pathlib import Path
from mlcourse.scale import spread

def work(item):
    time.sleep(0.2 if {{beside}} else 0.03)
    if item == '33': raise ValueError('33 cannot be read.')
    if item == '71' and {{poison}}: os.kill(os.getpid(), signal.SIGKILL)
    others = {{beside}} and len(list(Path({{out!r}}).glob('shard-*'))) < 11 # are still at work
    if item == '5' and others: os.kill(os.getpid(), signal.SIGKILL)
    return dict(value=2*int(item))

if __name__ == '__main__':
    if {{limit}}:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, ({{limit}}, {{limit}}))
    print('ready', flush=True)
    try: print(len(spread(range({N}), work, {{out!r}}, {{scheduler!r}}, 2, {SIZE}, progress=False)), 'failed')
    except OSError as error: print(error)
'''


@pytest.fixture
def start(tmp_path):
    "Start the job; whatever it and the test leave running ends with the test."
    started = []

    def run(command=None, scheduler=None, poison=False, limit=0, beside=False):
        code = SCRIPT.format(out=str(tmp_path/'out'), scheduler=scheduler, poison=poison, limit=limit,
                             beside=beside)
        (tmp_path/'job.py').write_text(code)
        started.append(subprocess.Popen(command or [sys.executable, tmp_path/'job.py'], cwd=tmp_path, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True))
        return started[-1]
    yield run
    for process in started:
        try: os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError: pass
        process.wait()
        process.stdout.close()


def shards(folder): return sorted((folder/'out').glob('shard-*.parquet'))


def wait_for(folder, n, seconds=60):
    "Until there are `n` shards."
    end = time.monotonic()+seconds
    while len(shards(folder)) < n:
        assert time.monotonic() < end, f'{len(shards(folder))} shards after {seconds} s'
        time.sleep(0.02)


def check(folder, poisoned=()):
    "Every item once, in order; nothing half-written; what failed is listed with its reason."
    rows = pd.concat(map(pd.read_parquet, shards(folder)), ignore_index=True)
    assert list(rows.source) == [str(i) for i in range(N)]
    assert not [path.name for path in (folder/'out').iterdir() if path.name.startswith('.')]
    failed = pd.read_csv(folder/'out'/'failed.csv', dtype=str).set_index('source').error.to_dict()
    assert failed == {'33': '33 cannot be read.'} | dict.fromkeys(poisoned, POISONED)
    good = rows[rows.error == '']
    assert (good.value == 2*good.source.astype(int)).all()


def test_a_worker_is_killed(start, tmp_path):
    job = start()
    wait_for(tmp_path, 2)
    children = psutil.Process(job.pid).children(recursive=True)
    next(child for child in children if 'spawn_main' in str(child.cmdline())).kill()
    assert job.communicate(timeout=120)[0] == 'ready\n1 failed\n'
    check(tmp_path)


def test_the_client_is_killed(start, tmp_path):
    job = start()
    wait_for(tmp_path, 2)
    children = psutil.Process(job.pid).children(recursive=True)
    job.kill()
    before = {path: path.stat().st_mtime_ns for path in shards(tmp_path)}
    assert 2 <= len(before) < N//SIZE
    assert start().communicate(timeout=120)[0] == 'ready\n1 failed\n'
    check(tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in before} # what was there was not done again
    assert not psutil.wait_procs(children, timeout=60)[1] # its workers have ended, too


def test_a_poisoned_file(start, tmp_path):
    assert start(poison=True).communicate(timeout=200)[0] == 'ready\n2 failed\n'
    check(tmp_path, ['71'])


def test_a_file_that_dies_of_what_runs_beside_it(start, tmp_path):
    "Again and again, as long as other shards are at work: it is not blamed."
    assert start(beside=True).communicate(timeout=200)[0] == 'ready\n1 failed\n'
    check(tmp_path)


def test_an_answer_is_lost_with_its_process_and_the_second_try_too():
    "It was there when we looked, and gone when we wanted it: the part is cut in two, as any that takes a process down."
    def lost(): raise KilledWorker('part', None, 0)
    def submit(work, items, *_, **__): return SimpleNamespace(key=str(items))
    job = _Job(SimpleNamespace(submit=submit), ['a', 'b'], None, 2)
    job.running['part'] = 0, 2
    again, number, rows = job.end(SimpleNamespace(key='part', status='finished', result=lost))
    assert ([future.key for future in again], number, rows) == (["['a']", "['b']"], 0, None)


def test_the_disk_is_full(start, tmp_path):
    said = start(limit=1500).communicate(timeout=120)[0]
    assert 'cannot be written (file too large)' in said and said.count('\n') == 2
    assert not shards(tmp_path)
    assert start().communicate(timeout=120)[0] == 'ready\n1 failed\n'
    check(tmp_path)


def test_the_scheduler_is_killed(start, tmp_path):
    python = [sys.executable, '-m', 'distributed.cli.dask_scheduler']
    def serve():
        (tmp_path/'address').unlink(missing_ok=True)
        scheduler = start([*python, '--host', '127.0.0.1', '--port', '0', '--no-dashboard',
                           '--scheduler-file', 'address'])
        while not (tmp_path/'address').exists(): time.sleep(0.1)
        address = json.loads((tmp_path/'address').read_text())['address']
        start([sys.executable, '-m', 'distributed.cli.dask_worker', address, '--nthreads', '1', '--no-dashboard',
               '--death-timeout', '20'])
        return scheduler, address
    scheduler, address = serve()
    job = start(scheduler=address)
    wait_for(tmp_path, 2)
    scheduler.kill()
    assert 'The scheduler is gone' in job.communicate(timeout=150)[0]
    scheduler, address = serve()
    assert start(scheduler=address).communicate(timeout=120)[0] == 'ready\n1 failed\n'
    check(tmp_path)


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr('distributed.Client', lambda address, timeout: Client(address, timeout=2)) # it tries till then
    with pytest.raises(OSError, match='There is no scheduler at tcp://127.0.0.1:1;'):
        spread(['1'], str, tmp_path/'out', 'tcp://127.0.0.1:1', progress=False)


def test_the_command(tmp_path):
    code = 'import sys; from mlcourse.cli import main; sys.exit(main())'
    def call(*words):
        return subprocess.run([sys.executable, '-c', code, 'detect', *words], cwd=tmp_path, capture_output=True,
                              text=True, timeout=200)
    clips = Path(sys.modules['mlcourse'].__file__).parent/'clips'
    paths = [*map(str, sorted(clips.glob('*.opus'))), 'gone.opus']
    pd.DataFrame(dict(path=paths)).to_parquet(tmp_path/'clips.parquet')
    done = call('--table', 'clips.parquet', '--out', 'answers', '--workers', '1')
    assert done.returncode == 1 and done.stdout == 'answers: done; 1 clips failed, listed in answers/failed.csv\n'
    assert list(pd.read_parquet(tmp_path/'answers'/'shard-000000.parquet').language[:6]) == ['en']*3 + ['zh']*3
    for wrong in (['--table', 'clips.parquet'], ['a.wav', '--table', 'clips.parquet', '--out', 'x'], ['--out', 'x']):
        assert call(*wrong).returncode == 2
    for table in ('none.parquet', 'answers/failed.csv', 'answers/plan.json'):
        done = call('--table', table, '--out', 'more')
        assert done.returncode == 1 and done.stderr.count('\n') == 1 and 'Traceback' not in done.stderr
