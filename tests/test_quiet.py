"""Advice and detection leave nothing of anybody else's in the home folder, and call nobody.

What the test sees: folders in an empty home; every host name and address that Python's `socket` is asked for; and
the sockets that the process has open, looked at every 20 ms, where there is a /proc. Native code does not go
through Python's `socket`: of it only a socket that stays open for longer than that is seen, and nothing that it would
send after the work is done. The folder is what tells for onnxruntime: it is there as soon as its telemetry is on.
"""
import json, os, subprocess, sys
from pathlib import Path

from mlcourse.language.clips import example_clips
from mlcourse.thumbnails.edits import sample_thumbnail

RECORD = '''
import os, sys, threading, time
seen = set()
def hook(event, args):
    if event in ('socket.getaddrinfo', 'socket.gethostbyname', 'socket.connect', 'socket.sendto'): seen.add(str(args))
sys.addaudithook(hook)
def watch():
    while True:
        for name in os.listdir('/proc/self/fd'):
            try: target = os.readlink(f'/proc/self/fd/{name}')
            except OSError: continue
            if target.startswith('socket:') and int(name) > 2: seen.add(target)
        time.sleep(0.02)
if os.path.isdir('/proc/self/fd'): threading.Thread(target=watch, daemon=True).start()
'''
WORK = '''
import json, sys, sitecustomize
from mlcourse.language.detector import LanguageDetector
from mlcourse.thumbnails.advice import advise
advise(sys.argv[1])
LanguageDetector.load().predict(sys.argv[2])
if 'onnxruntime' not in sys.modules: sys.exit('this no longer tests what it is for: onnxruntime was not loaded')
print(json.dumps(sorted(sitecustomize.seen)))
'''


def test_nothing_is_left_behind_and_nobody_is_called(tmp_path):
    home, site = tmp_path/'home', tmp_path/'site'
    home.mkdir(); site.mkdir()
    (site/'sitecustomize.py').write_text(RECORD)
    environment = {name: value for name, value in os.environ.items()
                   if name != 'MLCOURSE_CACHE' and not name.startswith('XDG_')}
    path = os.pathsep.join([str(site), str(Path(__file__).resolve().parent.parent)])
    environment |= {'HOME': str(home), 'USERPROFILE': str(home), 'LOCALAPPDATA': str(home/'local'), 'PYTHONPATH': path,
                    'ORT_DISABLE_TELEMETRY': '0'}  # a setting of the user's that would leave it on
    done = subprocess.run([sys.executable, '-c', WORK, str(sample_thumbnail()), example_clips().path.iloc[0]],
                          env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    left = {p.name for p in home.rglob('*')}
    assert not left & {'Microsoft', '.onnxruntime'}, left
    assert json.loads(done.stdout) == []
