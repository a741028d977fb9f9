"""Clips that are not what they seem: an answer or one clear sentence, and no more read than needed."""
import hashlib, io, json, os, subprocess, sys, tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import bad_clips
import numpy as np
import pytest
import soundfile

from mlcourse.language.audio import load, SAMPLE_RATE, UnreadableClip
from mlcourse.language.clips import example_clips, folder_clips
from mlcourse.language.detector import LanguageDetector

VOICE = load(example_clips().path.iloc[0])


@pytest.fixture(scope='module')
def detector(): return LanguageDetector.load()


def as_file(samples, rate=SAMPLE_RATE, format='WAV', **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, **options)
    return file.getvalue()


WAV = as_file(VOICE)
BAD = {'empty.wav': b'', 'text.wav': b'milk, eggs, bread\n' * 50, 'header.wav': WAV[:44], 'zeros.mp3': bytes(5000),
       'page.ogg': b'<html><body>404</body></html>', 'noise.m4a': np.random.default_rng(0).bytes(4000)}


@pytest.mark.parametrize('name', BAD)
def test_not_a_clip(name, tmp_path, detector):
    (tmp_path/name).write_bytes(BAD[name])
    with pytest.raises(UnreadableClip) as error: detector.predict(tmp_path/name)
    assert str(error.value).startswith(name) and str(error.value).endswith('.') and '\n' not in str(error.value)
    assert detector.predict_many([BAD[name]]).error[0].endswith('.')


def test_no_such_file_or_folder(tmp_path, detector):
    with pytest.raises(FileNotFoundError, match='There is no clip at'): detector.predict(tmp_path/'nowhere'/'a.wav')
    with pytest.raises(IsADirectoryError, match='is a folder'): detector.predict(tmp_path)


def test_truncated_mp3_gives_what_is_left():
    whole = as_file(np.tile(VOICE, 3), format='MP3')
    left = load(whole[:len(whole)//2])
    assert 0.3 < len(left)/(3*len(VOICE)) < 0.7


@pytest.mark.parametrize('samples, warning', [(np.zeros(3*SAMPLE_RATE), 'silent'), (np.zeros(1), 'silent'),
                                              (VOICE[8000:9600], 'only 0.1 s')])
def test_too_little_sound_is_unsure(samples, warning, detector):
    answer = detector.predict((samples, SAMPLE_RATE))
    assert answer.language == 'unsure' and answer.confidence == 0 and warning in answer.warnings[0]


def test_samples_that_are_no_numbers(detector):
    spoilt = VOICE.copy()
    spoilt[::100] = np.nan
    assert np.isfinite(list(detector.predict((spoilt, SAMPLE_RATE)).probabilities.values())).all()


@pytest.mark.parametrize('rate, channels', [(192_000, 2), (8_000, 1), (44_100, 8)])
def test_other_rates_and_channels(rate, channels):
    tone = np.sin(2*np.pi*440*np.arange(rate)/rate)[:, None].repeat(channels, axis=1)
    heard = load(as_file(0.5*tone, rate))
    assert len(heard) == SAMPLE_RATE and np.abs(np.fft.rfft(heard)).argmax() == 440


def test_an_hour_is_read_only_as_far_as_needed(tmp_path, detector):
    path = tmp_path/'hour.flac'
    with soundfile.SoundFile(path, 'w', SAMPLE_RATE, 1) as file:
        for _ in range(3600*SAMPLE_RATE//len(VOICE)): file.write(VOICE)
    tracemalloc.start()
    answer = detector.predict(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.language == example_clips().language.iloc[0] and 'only the first 300 s were used' in answer.warnings
    assert peak < 200e6 # the hour itself is 230 MB as float32


class Witness(BaseHTTPRequestHandler):
    "Notes every request."
    def log_message(self, *args): pass
    def do_GET(self): self.server.asked.append(self.path); self.send_error(404)


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    "A folder of bad files, and the server that none of them may ask."
    server = ThreadingHTTPServer(('127.0.0.1', 0), Witness)
    server.asked = []
    Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp('bad')/'clips'
    bad_clips.make(folder, f'http://127.0.0.1:{server.server_port}')
    yield folder, server
    server.shutdown()
    server.server_close()


def run(*command, folder):
    "In a process of its own: a crash, or no end, fails the test and nothing else."
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True,
                          errors='replace', timeout=500, env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)})


@pytest.mark.timeout(600)
def test_many_bad_files_load_or_say_why(many):
    folder, server = many
    files = [path for path in folder.iterdir() if path.is_file()]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in files}) > 150
    done = run(bad_clips.__file__, 'read', folder, folder=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row['name']: row for row in map(json.loads, done.stdout.splitlines())}
    assert set(rows) == {path.name for path in folder.iterdir()}
    assert not [row['traceback'] for row in rows.values() if 'traceback' in row]
    for row in rows.values():
        assert row['seconds'] < 5, row # of processor time
        if 'error' not in row: continue
        assert row['error'].endswith('.') and '\n' not in row['error'], row
        assert row['kind'] in ('UnreadableClip', 'OSError', 'FileNotFoundError', 'IsADirectoryError'), row
    assert not server.asked # no list, script or page made it open an address
    foreign = bad_clips.foreign(folder/'secret.wav', '')
    assert not [name for name in foreign if 'error' not in rows[name]] # nor another file
    for name in ('film.mp4', 'film.webm', 'voice.raw', 'channels8.wav', 'fast.flac', 'cut0.5.mp3', 'one_sample.wav',
                 'secret.wav'):
        assert rows[name].get('samples'), rows[name]
    for name in ('silent_film.mp4', 'silent_film.webm', 'pipe.wav', 'folder.wav', 'rate0.wav'):
        if name in rows: assert 'error' in rows[name], name


@pytest.mark.timeout(600)
def test_command_line_answers_for_many_bad_files(many):
    folder, server = many
    paths = sorted(folder.iterdir())
    program = 'import sys; from mlcourse.cli import main; sys.exit(main())'
    done = run('-c', program, 'detect', '--json', *paths, folder=folder)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr[-2000:]
    answers = json.loads(done.stdout)
    assert [answer['input'] for answer in answers] == [str(path) for path in paths]
    for answer in answers:
        if answer['error']: assert answer['error'].endswith('.') and '\n' not in answer['error'], answer
        else: assert answer['language'] in ('en', 'zh', 'unsure') and 0 <= answer['confidence'] <= 1, answer
    assert not server.asked


def test_a_folder_of_bad_files_is_a_table_and_one_warning(tmp_path):
    (tmp_path/'mine'/'en').mkdir(parents=True)
    bad_clips.make(tmp_path/'mine'/'en'/'maria', 'http://127.0.0.1:9')
    (tmp_path/'mine'/'zh'/'li').mkdir(parents=True)
    (tmp_path/'mine'/'zh'/'li'/'good.wav').write_bytes(WAV)
    (tmp_path/'mine'/'zh'/'circle').symlink_to(tmp_path/'mine')
    try: open(os.fsencode(tmp_path/'mine'/'zh'/'li')+b'/\xff.wav', 'wb').write(WAV)
    except OSError: pass # some file systems refuse such a name
    with pytest.warns(UserWarning, match='files were left out') as told: clips = folder_clips(tmp_path/'mine')
    assert len(told) == 1 and '\n' not in str(told[0].message)
    assert clips.path.is_monotonic_increasing and clips.path.map(str.isprintable).all()
    assert list(clips.speaker.unique()) == ['maria', 'li']
    assert clips.duration_s.between(0, 100).all() # whatever the headers claim
