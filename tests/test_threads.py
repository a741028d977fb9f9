"""Advice in several threads at once: the same answers as in one, and Python survives."""
import json, subprocess, sys

WORK = '''
import json, sys
from concurrent.futures import ThreadPoolExecutor
from PIL import Image, ImageEnhance
from mlcourse.thumbnails.advice import advise
from mlcourse.thumbnails.edits import sample_thumbnail
picture = Image.open(sample_thumbnail()).convert('RGB').resize((480, 270))
def variant(part, i): return ImageEnhance.Brightness(picture.rotate(part/50)).enhance(0.9 + part/200 + i/10)
rounds = [variant(part, i) for part in range(10) for i in range(4)] # no two alike: answers are remembered
def answer(picture): return json.dumps(advise(picture).to_dict())
threads = int(sys.argv[1])
with ThreadPoolExecutor(threads) as pool: print(json.dumps(list(pool.map(answer, rounds))))
'''


def answers(threads):
    done = subprocess.run([sys.executable, '-c', WORK, str(threads)], text=True, capture_output=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_four_threads_answer_as_one_does(): assert answers(4) == answers(1)
