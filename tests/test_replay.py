"""What a detector rehearses while it adapts is the same wherever it runs."""
import os, subprocess, sys
from importlib.resources import files

CODE = """
import hashlib
from mlcourse.language.clips import example_clips
from mlcourse.language.detector import LanguageDetector
tuned = LanguageDetector.fit(example_clips()[:4], start=LanguageDetector.load())
print(hashlib.sha256(b''.join(values.tobytes() for _, values in sorted(tuned.layers.items()))).hexdigest())
"""


def test_a_working_folder_changes_no_weights(tmp_path):
    (tmp_path/'empty').mkdir()
    stranger = tmp_path/'stranger'/'data'/'clips'
    stranger.mkdir(parents=True)
    (stranger/'clips.csv').write_text('my,own,table\n1,2,3\n')
    # As installed, with no repository around it: a package whose parent has no data folder.
    package = tmp_path/'site-packages'
    package.mkdir()
    os.symlink(files('mlcourse'), package/'mlcourse')
    found = []
    for folder in (tmp_path/'empty', tmp_path/'stranger'):
        done = subprocess.run([sys.executable, '-c', CODE], cwd=folder, text=True, capture_output=True, timeout=200,
                              env={**os.environ, 'PYTHONPATH': str(package)})
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.split()[-1])
    assert found[0] == found[1]
