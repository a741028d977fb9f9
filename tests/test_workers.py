"""predict_many with worker processes: the same rows, Ctrl-C stops them all, a script without a guard hears of it."""
import io, os, re, signal, subprocess, sys, time
from multiprocessing import active_children

import pandas as pd
import pytest

from mlcourse.language.clips import example_clips

WORK = "LanguageDetector.load().predict_many([{path!r}]*{n}, workers=2, progress=True)\n"
pytestmark = pytest.mark.skipif(os.name != 'posix', reason='process groups and their signals are POSIX')


def script(folder, body):
    path = folder/'script.py'
    path.write_text('import signal\nfrom mlcourse.language.detector import LanguageDetector\n' + body)
    return path


def start(path):
    "The script in a process group of its own, as a shell would start it."
    return subprocess.Popen([sys.executable, path], stderr=subprocess.PIPE, start_new_session=True)


def gone(group, seconds=30):
    "Whether all processes of a group end in time."
    for _ in range(10*seconds):
        try: os.killpg(group, 0)
        except ProcessLookupError: return True
        time.sleep(0.1)


def test_ctrl_c_stops_the_workers(tmp_path):
    body = ("if __name__ == '__main__':\n"
            "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # it may be ignored where the tests run
            "    " + WORK.format(path=example_clips().path.iloc[0], n=20_000))
    process, output = start(script(tmp_path, body)), b''
    try:
        while not re.search(rb'\b[1-9]\d*/20000', output):
            chunk = os.read(process.stderr.fileno(), 4096)
            assert chunk, output
            output += chunk
        os.killpg(process.pid, signal.SIGINT)
        rest = process.communicate(timeout=120)[1]
        assert process.returncode != 0 and b'KeyboardInterrupt' in rest
        assert gone(process.pid)
    finally:
        if process.poll() is None: os.killpg(process.pid, signal.SIGKILL)


def test_stopped_while_the_bar_is_drawn_no_worker_is_left(monkeypatch):
    import tqdm
    from mlcourse.language.detector import LanguageDetector
    class Bar(tqdm.tqdm):
        def update(self, n=1): raise KeyboardInterrupt
        def __iter__(self):
            for one in self.iterable: self.update(); yield one
    monkeypatch.setattr(tqdm, 'tqdm', Bar)
    paths = [example_clips().path.iloc[0]]*2000
    with pytest.raises(KeyboardInterrupt) as stopped: LanguageDetector.load().predict_many(paths, workers=1)
    assert stopped.tb and not active_children() # the traceback keeps all that was on the stack


def test_killed_it_takes_its_workers_along(tmp_path):
    body = "if __name__ == '__main__':\n    " + WORK.format(path=example_clips().path.iloc[0], n=20_000)
    process, output = start(script(tmp_path, body)), b''
    try:
        while not re.search(rb'\b[1-9]\d*/20000', output): output += os.read(process.stderr.fileno(), 4096)
        process.kill()
        process.communicate(timeout=60)
        assert gone(process.pid)
    finally:
        try: os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError: pass


def test_a_script_without_a_main_guard_gets_a_sentence(tmp_path):
    process = start(script(tmp_path, WORK.format(path=example_clips().path.iloc[0], n=10)))
    try: errors = process.communicate(timeout=200)[1].decode()
    finally:
        if process.poll() is None: os.killpg(process.pid, signal.SIGKILL)
    expected = '\nOSError: A worker process ended early: in a script, call predict_many under'
    assert process.returncode != 0 and expected in errors


def test_a_script_from_standard_input_gets_a_sentence_that_fits():
    body = f"from mlcourse.language.detector import LanguageDetector\n{WORK.format(path='a.wav', n=3)}"
    done = subprocess.run([sys.executable, '-'], input=body, capture_output=True, text=True, timeout=100)
    assert 'OSError: Worker processes cannot read a program from standard input; save it' in done.stderr


def test_a_worker_that_is_killed_takes_no_row_with_it(monkeypatch):
    "Killed at work, and for each clip of one kind, as when memory runs out: the other rows are there."
    import tqdm
    from mlcourse.language.detector import LanguageDetector
    path = example_clips().path.iloc[0]
    detector = LanguageDetector.load()
    class Bar(tqdm.tqdm):
        def __iter__(self):
            for n, one in enumerate(self.iterable):
                if n in (20, 300): active_children()[0].kill()
                yield one
    with monkeypatch.context() as patched:
        patched.setattr(tqdm, 'tqdm', Bar)
        table = detector.predict_many([path]*600, workers=2)
    assert len(table) == 600 and (table.error == '').all() and (table.source == path).all()
    monkeypatch.setattr('mlcourse.language.detector._to_send', lambda one: Killer() if one == 'kill' else one)
    table = detector.predict_many([path, path, 'kill', path], workers=2)
    assert (table.error == '').tolist() == [True, True, False, True] and 'worker process' in table.error[2]


class Killer:
    "A clip at which a process ends."
    def __fspath__(self): os.kill(os.getpid(), signal.SIGKILL)


def test_workers_give_the_rows_that_one_process_gives(tmp_path):
    from mlcourse.language.detector import LanguageDetector
    path = example_clips().path.iloc[0]
    def sources(): # a generator; files that were read already, and closed
        content = open(path, 'rb').read()
        read, closed = io.BytesIO(content), io.BytesIO(content)
        read.read(); closed.close()
        yield from (path, read, None, float('nan'), closed, memoryview(content), (one for one in 'ab'), tmp_path/'none')
    detector = LanguageDetector.load()
    alone, shared = detector.predict_many(sources()), detector.predict_many(sources(), workers=2)
    assert (alone['error'] == '').tolist() == [True, True, False, False, False, True, False, False]
    pd.testing.assert_frame_equal(alone, shared, rtol=1e-3)
