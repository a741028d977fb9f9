"Killed, out of room, started twice, sent nonsense: nothing is lost, doubled, mixed, or of no use afterwards."
import subprocess, sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).resolve().parent.parent/'benchmarks'/'crashes.py'


@pytest.mark.parametrize('what, times', [
    *[(what, 2) for what in ('save', 'upload', 'disk')],
    *[pytest.param(what, 20, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])
      for what in ('collect', 'save', 'upload', 'worker', 'disk', 'two', 'server')]])
def test_nothing_is_lost(what, times, tmp_path):
    command = [sys.executable, str(SCRIPT), what, '--times', str(times), '--out', str(tmp_path/'found.csv')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout+done.stderr
    assert pd.read_csv(tmp_path/'found.csv').drop(columns=['what', 'times']).to_numpy().sum() == 0
