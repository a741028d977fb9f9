"""The pages that run in a browser alone, in Chromium: the detector's numbers beside Python's, and the feed."""
import base64, functools, threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile, soxr

import apps
from bad_clips import encode, sound_file
from mlcourse.language.audio import CANCELLED, load, SAMPLE_RATE
from mlcourse.language.clips import example_clips
from mlcourse.language.detector import find_speech, LanguageDetector
from mlcourse.language.spectrogram import log_mel
from mlcourse.thumbnails.edits import sample_thumbnail


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments): pass


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    "The pages on a server of files."
    folder = tmp_path_factory.mktemp('apps')
    try: apps.write_apps(folder)
    except apps.NoRuntime as error: pytest.skip(str(error))
    server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()


@pytest.fixture(scope='module')
def open_page(address):
    "Open a page; at the end nothing was asked of another address, and the console is empty."
    opened, wrong = [], []

    def open(browser, name='detect.html', **options):
        context = browser.new_context(**options)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on('request', lambda r: None if r.url.startswith((address, 'blob:', 'data:')) else wrong.append(r.url))
        page.on('console', lambda m: wrong.append(m.text) if m.type == 'error' else None)
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.goto(address+name)
        page.wait_for_selector('html[data-ready]')
        opened.append(context)
        return page
    yield open
    for context in opened: context.close()
    assert not wrong, wrong


@pytest.fixture(scope='module')
def page(open_page, browser): return open_page(browser)


def call(page, function, samples, *more):
    "What a function of detector.js says of samples."
    code = '''async ([name, data, more]) => {
        const detector = await import('./detector.js'), about = await (await fetch('detector.json')).json();
        const samples = new Float32Array(Uint8Array.from(atob(data), c => c.charCodeAt(0)).buffer);
        const plain = value => ArrayBuffer.isView(value) ? Array.from(value) :
            Array.isArray(value) ? value.map(plain) : value && typeof value == 'object' ?
            Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)])) : value;
        return plain(detector[name](samples, ...(more.length ? more : [about])));
    }'''
    return page.evaluate(code, [function, base64.b64encode(samples.astype(np.float32).tobytes()).decode(), [*more]])


def hear(page, data):
    "The page's answer to a file."
    code = '''async data => (await (await import('./detect.js')).hear(
        new Blob([Uint8Array.from(atob(data), c => c.charCodeAt(0))]), 'clip')).answer'''
    return page.evaluate(code, base64.b64encode(data).decode())


def voice(language, seconds=3):
    clips = example_clips().query('language == @language')
    return np.resize(np.concatenate([load(path) for path in clips.path]), int(seconds*SAMPLE_RATE))


def with_pauses(rng):
    "Speech, a second of faint noise, a click, speech."
    faint = 0.0005*rng.standard_normal(SAMPLE_RATE)
    return np.concatenate([faint, voice('en', 1.3), faint, [0.9, -0.9], faint, voice('zh', 1.1), faint])


def test_spectrogram(page):
    samples = voice('zh')
    assert np.abs(np.array(call(page, 'logMel', samples))-log_mel(samples)).max() < 0.01


@pytest.mark.parametrize('make', [with_pauses, lambda rng: 0.3*rng.standard_normal(2*SAMPLE_RATE),
                                  lambda rng: voice('en', 0.4), lambda rng: voice('en', 0.05)],
                         ids=['pauses', 'noise', 'short', 'very short'])
def test_speech_is_found_where_python_finds_it(page, make):
    samples = make(np.random.default_rng(0)).astype(np.float32)
    (spectrogram, spoken, start, sound), found = find_speech(samples), call(page, 'findSpeech', samples)
    assert found['spoken'] == spoken.tolist() and len(found['spectrogram'][0]) == spectrogram.shape[1]
    np.testing.assert_allclose([found['start'], found['sound']], [start, sound], atol=1e-6)


def test_silence(page):
    assert call(page, 'findSpeech', np.zeros(SAMPLE_RATE)) is None
    answer = hear(page, sound_file(np.zeros(SAMPLE_RATE)))
    assert answer['language'] == 'unsure' and answer['warnings'] == ['the clip is silent']


@pytest.mark.parametrize('rate', [8000, 22_050, 44_100, 48_000])
def test_resampling(page, rate):
    "Tones that 16 kHz can hold stay, higher ones go: as soxr does it, to 70 dB (where its own gain falls by as much)."
    t = np.arange(rate)/rate
    tones = sum(0.2*np.sin(2*np.pi*hertz*t) for hertz in (300, 3400, 6900, 9000, 12_000) if hertz < rate/2)
    mine, theirs = np.array(call(page, 'resample', tones, rate, SAMPLE_RATE)), soxr.resample(tones, rate, SAMPLE_RATE)
    assert len(mine) == len(theirs)
    middle = slice(1000, -1000) # the ends are cut off hard, which every filter rings at in its own way
    assert np.abs(mine-theirs)[middle].max() < 2e-4


KINDS = {'wav': lambda x: sound_file(x), 'stereo at 44.1 kHz': lambda x: sound_file(
             np.stack([soxr.resample(x, SAMPLE_RATE, 44_100)]*2, axis=1), 44_100),
         'flac': lambda x: sound_file(x, format='FLAC'), 'mp3': lambda x: sound_file(x, format='MP3'),
         'm4a': lambda x: encode(x, 'm4a'), 'webm': lambda x: encode(x, 'webm'), 'vorbis': lambda x: encode(x, 'ogg')}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('language', ['en', 'zh'])
def test_answers_are_those_of_python(page, kind, language):
    data = KINDS[kind](voice(language))
    mine, theirs = hear(page, data), LanguageDetector.load().predict(data)
    assert mine['language'] == theirs.language
    assert [s['language'] for s in mine['segments']] == [s['language'] for s in theirs.stretches]
    for name, p in theirs.probabilities.items(): assert abs(mine['probabilities'][name]-p) < 0.02
    assert abs(mine['confidence']-theirs.confidence) < 0.02


@pytest.mark.parametrize('kind', ['wav', 'flac'])
def test_samples_are_those_that_were_written(page, kind):
    "Chromium's own are not: it takes what is above 0 for more than it is."
    data = KINDS[kind](voice('en'))
    code = '''async data => [...(await (await import('./detect.js')).hear(
        new Blob([Uint8Array.from(atob(data), c => c.charCodeAt(0))]), 'clip')).samples]'''
    heard = page.evaluate(code, base64.b64encode(data).decode())
    np.testing.assert_allclose(heard, load(data), rtol=0, atol=1e-7)


def test_two_languages_are_shown_as_in_python(page):
    samples = np.concatenate([voice('en', 8), voice('zh', 8)])
    mine, theirs = hear(page, sound_file(samples)), LanguageDetector.load().predict((samples, SAMPLE_RATE))
    assert mine['language'] == theirs.language and mine['warnings'] == theirs.warnings
    assert [s['language'] for s in mine['segments']] == [s['language'] for s in theirs.stretches]
    for a, b in zip(mine['segments'], theirs.stretches): assert abs(a['end_s']-b['end_s']) < 0.11


def test_channels_that_cancel_and_a_file_that_is_none(page):
    samples = voice('en')
    answer = hear(page, sound_file(np.stack([samples, -samples], axis=1)))
    assert answer['language'] == 'en' and answer['warnings'] == [CANCELLED]
    page.set_input_files('#file', dict(name='<b>notes.wav', mimeType='audio/wav', buffer=b'milk, eggs, bread'))
    page.wait_for_selector('.mlc-wrong:has-text("<b>notes.wav cannot be read as a recording")')


def test_examples_and_a_narrow_screen(open_page, browser):
    page = open_page(browser, viewport={'width': 360, 'height': 740}, color_scheme='dark')
    for i, word in enumerate(['English', 'Mandarin'], 1):
        page.select_option('#examples', index=i)
        page.wait_for_selector(f'#message:has-text("example {i}: ")')
        assert page.inner_text('.mlc-word').split()[0] == word
    page.wait_for_function('document.querySelector("audio").duration > 2')
    assert page.evaluate('document.documentElement.scrollWidth') <= 360


@pytest.mark.parametrize('language, word', [('zh', 'Mandarin'), ('en', 'English')])
def test_microphone(open_page, start_browser, tmp_path, language, word):
    "Chromium plays a file as the microphone."
    spoken = tmp_path/'microphone.wav'
    soundfile.write(spoken, voice(language, 8), SAMPLE_RATE)
    browser = start_browser('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
                            f'--use-file-for-fake-audio-capture={spoken}%noloop')
    page = open_page(browser, permissions=['microphone'])
    page.click('text=Say something')
    page.wait_for_selector('[role=meter][aria-valuenow]')
    page.wait_for_timeout(4500)
    page.click('button:has-text("Stop")')
    page.wait_for_selector('#message:has-text("your recording: ")')
    assert page.inner_text('.mlc-word').split()[0] == word


def test_a_thumbnail_among_its_neighbours(open_page, browser, tmp_path):
    "One's own picture, its title, nine neighbours, and a file that is no picture."
    page = open_page(browser, 'feed.html', viewport={'width': 360, 'height': 740})
    own = Path(sample_thumbnail())
    page.set_input_files('#mine', own)
    page.wait_for_selector(f'#message:has-text("{own.name} is in the feed")')
    page.fill('#title', '<b>Bread</b> in a day')
    for i in range(9): (tmp_path/f'picture_{i}.jpg').write_bytes(own.read_bytes())
    page.set_input_files('#neighbours', sorted(tmp_path.glob('*.jpg')))
    page.wait_for_selector('#message:has-text("9 neighbours; 8 are shown")')
    shown = page.locator('.feed-screen').inner_text()
    assert '<b>Bread</b> in a day' in shown and 'picture 7' in shown and 'picture 8' not in shown
    page.wait_for_function('[...document.querySelectorAll(".feed-screen img")].every(i => i.naturalWidth)')
    page.set_input_files('#mine', dict(name='notes.png', mimeType='image/png', buffer=b'milk'))
    page.wait_for_selector('.mlc-wrong:has-text("notes.png cannot be read as a picture")')
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
