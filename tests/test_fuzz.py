"""Inputs that nobody meant to make are answered or refused with one sentence, soon, and with little memory.

Ten thousand of each kind, a thousand where each takes long: `python -m pytest -m slow tests/test_fuzz.py`, or, with a
table of the results, `python tests/fuzz.py`.
"""
import pytest

import fuzz

FEW = {'predict': 100, 'advise': 50, 'weights': 100, 'tables': 100, 'info dicts': 100, 'commands': 100} # else 300
MANY = {'advise': 1000, 'commands': 1000} # else 10,000


@pytest.fixture(autouse=True, scope='module')
def offline():
    with pytest.MonkeyPatch.context() as patch:
        fuzz.offline(patch.setattr)
        yield


def check(kind, n):
    row, failed = fuzz.try_kind(kind, n)
    assert not failed, failed[0]
    assert row['memory_mb'] < 1000


@pytest.mark.parametrize('kind', fuzz.KINDS)
def test_a_few(kind): check(kind, FEW.get(kind, 300))


@pytest.mark.parametrize('kind, number', [('archives', 3588), ('predict', 993),
                                          ('tables', 18), ('tables', 274), ('tables', 9021)])
def test_what_was_found(kind, number):
    assert not fuzz.try_kind(kind, 1, number)[1]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize('kind', fuzz.KINDS)
def test_many(kind): check(kind, MANY.get(kind, 10_000))
