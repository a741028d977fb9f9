"""Weights files that are damaged, hostile, or half written: a sentence, soon, and no memory to speak of."""
import copy, json, resource, sys, time
from functools import cache

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from safetensors.numpy import save

from mlcourse.core import load_weights, save_weights, UnreadableWeights
from mlcourse.language.detector import LanguageDetector
from mlcourse.language.model import CRNNEncoder, LanguageNet
from mlcourse.thumbnails.grader import ThumbnailGrader

HOSTILE = [10**9, 10**400, -1, 0, float('nan'), float('inf'), '../x', None, True, [], {}, [[[[]]]], [['en'], 2],
           {'a': {}}]
CALIBRATION = dict(scale=1., offsets=[0., 0.], bias=0., weights=[1., 1., 1.], thresholds=[[1., 3.], [.2, .4]])


@cache
def small_detector():
    torch.manual_seed(0)
    card = dict(languages=['en', 'zh'], window_s=3., threshold=0.5, calibration=CALIBRATION)
    return LanguageDetector.from_net(LanguageNet(encoder=CRNNEncoder(16)), card)


def detector_file(folder):
    "A small detector, saved."
    small_detector().save(folder/'weights.safetensors')
    return folder/'weights.safetensors'


def grader_file(folder):
    "A grader that has learned nothing, saved."
    from torch import nn

    from mlcourse.thumbnails.grader import backbone, MultiScalePooling
    body = MultiScalePooling(backbone('squeezenet1_1', pretrained=False)).eval()
    linear = dict(columns=['age_days', 'image'], weights=[1., 1.], bias=0.)
    card = dict(arch='squeezenet1_1', width=160, threshold=100., medians={'age_days': 2.}, models={'combined': linear})
    ThumbnailGrader(nn.Sequential(body, nn.Linear(sum(body.sizes()), 1)), card).save(folder/'weights.safetensors')
    return folder/'weights.safetensors'


FILES = {'detector': (LanguageDetector, detector_file), 'grader': (ThumbnailGrader, grader_file)}


def places(value, path=()):
    "The way to each value in a card."
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from places(one, (*path, key))


def changed(card, path, value):
    "A card with another value at the end of that way."
    card = at = copy.deepcopy(card)
    for key in path[:-1]: at = at[key]
    at[path[-1]] = value
    return card


def mutations(path, rng, n=200, first=0):
    "Flipped bytes, files that are cut, cards with hostile values."
    whole, (tensors, card) = path.read_bytes(), load_weights(path)
    header = 8+int.from_bytes(whole[:8], 'little')
    ways = list(places(card))
    for i in range(first, first+n):
        if i % 3 == 0: # half of the flips in the header
            flipped = bytearray(whole)
            for at in rng.integers(header if i % 2 else len(whole), size=rng.integers(1, 5)):
                flipped[at] ^= 1 << rng.integers(8)
            yield f'flip {i}', bytes(flipped)
        elif i % 3 == 1: yield f'cut {i}', whole[:int(rng.integers(header+1 if i % 2 else len(whole)))]
        else:
            way, value = ways[rng.integers(len(ways))], HOSTILE[rng.integers(len(HOSTILE))]
            yield f'{way} {value!r:.20}', save(tensors, {'card': json.dumps(changed(card, way, value))})


@pytest.mark.parametrize('kind', FILES)
def test_a_changed_file_loads_or_is_refused(tmp_path, kind):
    cls, make = FILES[kind]
    path = make(tmp_path)
    cls.load(path) # the first time loads libraries
    peak, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for name, content in mutations(path, np.random.default_rng(0)):
        path.write_bytes(content)
        start = time.process_time() # of the processor: the machine may have other work
        try: cls.load(path)
        except UnreadableWeights as error:
            refused += 1
            assert '\n' not in str(error) and len(str(error)) < 500, name
        assert time.process_time()-start < 2, name
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-peak
    assert used*(1 if sys.platform == 'darwin' else 1024) < 500e6
    assert refused > 100


@pytest.mark.parametrize('kind', FILES)
@pytest.mark.parametrize('content', [
    b'', b'\xff'*8, (10**9).to_bytes(8, 'little')+b'{}', (2).to_bytes(8, 'little')+b'[]',
    save({'a': np.zeros(3)}), save({'a': np.zeros(3)}, {'card': '['*100_000}), save({'a': np.zeros(3)}, {'card': '[]'}),
    save({'a': np.zeros(3)}, {'card': '{"x": "'+3_000_000*'x'+'"}'})], ids=range(8))
def test_other_files_are_refused(tmp_path, kind, content):
    (tmp_path/'x.safetensors').write_bytes(content)
    with pytest.raises(UnreadableWeights): FILES[kind][0].load(tmp_path/'x.safetensors')


def test_tensors_that_are_not_finite_are_refused(tmp_path):
    path = detector_file(tmp_path)
    tensors, card = load_weights(path)
    save_weights(path, tensors | {'language.bias': np.array([np.nan, 0], np.float32)}, card)
    with pytest.raises(UnreadableWeights, match='language.bias'): LanguageDetector.load(path)


def as_other(change):
    "The graph of a small detector, as bytes, after `change` has been at it."
    model = onnx.load_from_string(small_detector().graph)
    change(model.graph)
    return model.SerializeToString()


def in_a_file(graph):
    graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    graph.initializer[0].external_data.add(key='location', value='/etc/passwd')


def with_a_branch(graph):
    inside = onnx.helper.make_graph([onnx.helper.make_node('Identity', ['score'], ['b'])], 'inside', [], [])
    graph.node.append(onnx.helper.make_node('If', ['score'], ['c'], then_branch=inside, else_branch=inside))


def with_a_strange_operator(graph): graph.node[0].domain = 'com.microsoft'
def without_an_output(graph): del graph.output[2]
def with_another_input(graph): graph.input[0].name = 'x'


def with_other_widths(graph):
    graph.node.append(onnx.helper.make_node('Concat', ['frames', 'frames'], ['twice'], axis=2))
    graph.output[0].name = 'twice'


@pytest.mark.parametrize('change', [in_a_file, with_a_branch, with_a_strange_operator, without_an_output,
                                    with_another_input, with_other_widths])
def test_a_graph_that_does_more_or_other_than_a_detector_is_refused(tmp_path, change):
    path = detector_file(tmp_path)
    tensors, card = load_weights(path)
    save_weights(path, tensors | {'graph': np.frombuffer(as_other(change), np.uint8)}, card)
    with pytest.raises(UnreadableWeights) as error: LanguageDetector.load(path)
    assert '\n' not in str(error.value) and len(str(error.value)) < 500


def test_a_detector_of_an_older_kind_is_refused(tmp_path):
    save_weights(tmp_path/'x.safetensors', {'language.bias': np.zeros(2)}, small_detector().card)
    with pytest.raises(UnreadableWeights, match='no graph'): LanguageDetector.load(tmp_path/'x.safetensors')


def test_stopped_between_the_two_files_the_card_is_that_of_the_weights(tmp_path, monkeypatch):
    path = tmp_path/'x.safetensors'
    save_weights(path, {'w': np.zeros(2)}, {'is': 'old'})
    real = json.dumps
    def stop(card, **how): # the copy for people is the one that is indented
        if 'indent' in how: raise KeyboardInterrupt
        return real(card)
    monkeypatch.setattr(json, 'dumps', stop)
    with pytest.raises(KeyboardInterrupt): save_weights(path, {'w': np.ones(2)}, {'is': 'new'})
    tensors, card = load_weights(path)
    assert (tensors['w'][0], card['is']) in [(0, 'old'), (1, 'new')]
    (tmp_path/'x.json').unlink()
    assert load_weights(path)[1] == card


def test_no_detector_is_trained_that_could_not_be_loaded():
    clips = pd.DataFrame({'language': ['English', 'Mandarin']*2, 'path': 'x.wav', 'speaker': 'a', 'corpus': 'b'})
    with pytest.raises(ValueError, match='codes such as en'): LanguageDetector.fit(clips)


def test_the_copy_of_the_shipped_card_is_that_card():
    from mlcourse.language.detector import shipped_weights
    path = shipped_weights()
    assert json.loads(path.with_suffix('.json').read_text(encoding='utf-8')) == load_weights(path)[1]
