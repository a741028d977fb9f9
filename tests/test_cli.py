"""The `mlcourse` command as a process: exit codes, JSON, help, Ctrl-C and a reader that has gone."""
import json, os, signal, subprocess, sys, time
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from bad_clips import encode
from mlcourse.language.audio import load
from mlcourse.language.clips import example_clips, real_examples
from mlcourse.thumbnails.edits import sample_thumbnail

COMMAND = [sys.executable, '-c', 'import sys; from mlcourse.cli import main; sys.exit(main())']
CLIPS = [str(path) for path in example_clips().path]
SAMPLE = str(sample_thumbnail())


def mlcourse(*arguments, **kwargs):
    done = subprocess.run([*COMMAND, *arguments], **dict(capture_output=True, text=True, timeout=300) | kwargs)
    assert 'Traceback' not in done.stderr
    return done


def test_the_command_is_installed():
    assert version('mlcourse')
    assert subprocess.run([Path(sys.executable).parent/'mlcourse', '--help'], capture_output=True).returncode == 0


@pytest.mark.parametrize('command', ['detect', 'advise', 'collect', 'contest', 'demo', 'app'])
def test_help_shows_an_example(command):
    done = mlcourse(command, '--help')
    assert done.returncode == 0 and f'example: mlcourse {command}' in done.stdout


def test_help_is_quick_and_loads_no_torch():
    heavy = {'torch', 'numpy', 'pandas', 'matplotlib'}
    code = f'import sys, mlcourse.cli; mlcourse.cli.make_parser(); sys.exit(bool({heavy} & set(sys.modules)))'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


@pytest.mark.parametrize('wrong', [[], ['nonsense'], ['detect'], ['advise'], ['collect', '@channel'],
                                   ['detect', '--nonsense', 'a.wav'], ['app'], ['app', 'nonsense'],
                                   ['contest'], ['contest', 'score']])
def test_wrong_usage(wrong):
    done = mlcourse(*wrong)
    assert done.returncode == 2 and 'usage: mlcourse' in done.stderr and not done.stdout


def test_detect_json(tmp_path):
    (tmp_path/'notes.wav').write_text('not a recording')
    (tmp_path/'empty.wav').touch()
    done = mlcourse('detect', '--json', CLIPS[0], 'notes.wav', 'empty.wav', 'absent.wav', str(tmp_path), cwd=tmp_path)
    answers = json.loads(done.stdout)
    assert done.returncode == 1 and len(answers) == 5 and not done.stderr
    assert all(answer.keys() == answers[0].keys() for answer in answers)
    assert answers[0]['error'] is None and answers[0]['language'] == 'en'
    assert set(answers[0]['probabilities']) == {'en', 'zh'}
    assert answers[0]['segments'][0].keys() == {'start_s', 'end_s', 'language', 'confidence'}
    for answer in answers[1:]: assert answer['language'] is None and answer['error'] and '\n' not in answer['error']


def test_detect_names_the_language():
    clips = real_examples()
    done = mlcourse('detect', '--json', *clips.path)
    assert done.returncode == 0
    assert [answer['language'] for answer in json.loads(done.stdout)] == clips.language.to_list()


def test_detect_for_people(tmp_path):
    (tmp_path/'notes.wav').write_text('not a recording')
    done = mlcourse('detect', 'notes.wav', CLIPS[0], cwd=tmp_path)
    assert done.returncode == 1 and CLIPS[0] in done.stdout and done.stderr.startswith('notes.wav ')
    assert done.stderr.count('notes.wav') == 1 and done.stderr.count('\n') == 1


def test_detect_with_weights_that_are_none(tmp_path):
    (tmp_path/'bad.safetensors').write_text('not weights')
    for name in ('bad.safetensors', 'absent.safetensors'):
        done = mlcourse('detect', '--weights', name, CLIPS[0], cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.count('\n') == 1 and not done.stdout


def test_advise_json(tmp_path):
    (tmp_path/'text.jpg').write_text('not a picture')
    done = mlcourse('advise', '--json', '--title', '<b>x</b>', SAMPLE, 'text.jpg', cwd=tmp_path)
    good, bad = json.loads(done.stdout, parse_constant=pytest.fail) # NaN and Infinity are not JSON
    assert done.returncode == 1 and good.keys() == bad.keys() and bad['error'] and bad['properties'] is None
    assert good['title'] == '<b>x</b>'
    assert good['recommendations'][0].keys() >= {'property', 'finding', 'why', 'fix', 'severity'}


def test_advise_for_people():
    done = mlcourse('advise', SAMPLE)
    assert done.returncode == 0 and 'fix first' in done.stdout and not done.stderr


def test_advise_says_what_was_not_measured(tmp_path):
    Image.new('RGB', (320, 180), 'teal').save(tmp_path/'copy.png')
    assert '\n  note: This has the size of one of YouTube' in mlcourse('advise', 'copy.png', cwd=tmp_path).stdout


def test_names_with_odd_characters_stay_on_one_line(tmp_path):
    for name in ('two\nlines.jpg', 'red\x1b[31m.jpg', 'back\u202egpj.exe'):
        done = mlcourse('advise', name, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.count('\n') == 1 and done.stderr[:-1].isprintable()
        try: Image.new('RGB', (320, 180), 'teal').save(tmp_path/name, 'JPEG')
        except OSError: continue # not a file name here
        printed = mlcourse('advise', name, cwd=tmp_path).stdout.split('\n')
        assert all(text.isprintable() for text in printed) and printed[0].endswith('worst first.')


@pytest.mark.parametrize('encoding', ['cp1252', 'cp1251', 'ascii'])
def test_output_whose_alphabet_is_small(tmp_path, encoding):
    "As on Windows, into a file: what cannot be written is shown as its number, and the rest goes on."
    Image.new('RGB', (320, 180), 'teal').save(tmp_path/'漢ü.jpg')
    done = mlcourse('advise', '漢ü.jpg', '缺.jpg', '漢ü.jpg', cwd=tmp_path, encoding=encoding,
                    env=os.environ | dict(PYTHONIOENCODING=encoding))
    assert done.returncode == 1 and done.stdout.count('worst first.') == 2 and done.stdout.startswith('\\u6f22')
    assert done.stderr.count('\n') == 1 and '\\u7f3a.jpg' in done.stderr


def test_patterns_and_names_that_look_like_options(tmp_path):
    "Nobody expands a pattern on Windows; options may stand between files."
    for name in ('-1.wav', 'b.wav', 'c.txt'): (tmp_path/name).write_text('not a recording')
    done = mlcourse('detect', '*.wav', '--json', 'c.txt', '-1.wav', 'https://example.com/a.wav', cwd=tmp_path)
    answers = json.loads(done.stdout)
    assert [answer['input'] for answer in answers] == ['./-1.wav', 'b.wav', 'c.txt', './-1.wav',
                                                       'https://example.com/a.wav']
    assert 'is a web address' in answers[-1]['error'] and not done.stderr


def test_what_a_library_prints_by_itself_is_left_out(tmp_path):
    damaged = bytearray(encode(load(CLIPS[0]), 'mp3'))
    damaged[1000:1200] = bytes(200)
    (tmp_path/'a.mp3').write_bytes(damaged)
    done = mlcourse('detect', 'a.mp3', 'none.mp3', cwd=tmp_path)
    assert done.stdout.startswith('a.mp3: ') and done.stderr.count('\n') == 1 and 'none.mp3' in done.stderr


def test_collect_with_an_address_that_is_none(tmp_path):
    done = mlcourse('collect', 'http://127.0.0.1/nothing', '--folder', str(tmp_path/'videos'))
    assert done.returncode == 1 and done.stderr.count('\n') == 1


posix = pytest.mark.skipif(os.name == 'nt', reason='pipes and signals as on Linux and macOS')


@posix
def test_a_reader_that_has_gone():
    "As in `mlcourse advise *.jpg | head -1`."
    process = subprocess.Popen([*COMMAND, 'advise', *[SAMPLE]*3], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(60) == 1 and process.stderr.read() == b''
    process.stderr.close()


@posix
def test_ctrl_c():
    slow = 'mlcourse.cli.answer_each = lambda *a: print("go", flush=True) or time.sleep(60)'
    code = f'import sys, time, mlcourse.cli; {slow}; sys.exit(mlcourse.cli.main())'
    # A shell may have started us in the background, where Ctrl-C is ignored, and children inherit that.
    def listen(): signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([sys.executable, '-c', code, 'advise', SAMPLE], preexec_fn=listen,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b'go\n'
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 1 and stderr == b'Stopped.\n'
