"""The pictures of the apps in README.md, taken by a browser: left out unless a folder for them is named.

    MLCOURSE_PICTURES=nbs/images python -m pytest tests/test_pictures.py
"""
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from conftest import PICTURES
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import example_clips
from test_apps import answer, APP, FILES, voice
from test_thumbnail_app import ALL_EDITS, APP as THUMBNAIL_APP

pytestmark = [pytest.mark.skipif(not PICTURES, reason='MLCOURSE_PICTURES names no folder for them'),
              pytest.mark.parametrize('kind', ['voila'], indirect=True)]


def whole(page):
    "The app as a picture, all of it."
    page.set_viewport_size({'width': page.viewport_size['width'], 'height': 4000})
    page.evaluate('document.activeElement.blur()')
    page.wait_for_timeout(500)
    box = page.locator('.mlc-app').bounding_box()
    clip = {'x': box['x']-12, 'y': max(box['y']-12, 0), 'width': box['width']+24, 'height': box['height']+12}
    return Image.open(io.BytesIO(page.screenshot(clip=clip)))


def save(picture, name):
    "Write a picture of 256 colours, which is small enough."
    path = f'{PICTURES}/{name}.png'
    picture.convert('RGB').quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    assert len(open(path, 'rb').read()) < 300_000


def two_languages():
    "A sentence in English, then one in Mandarin."
    paths, pause = example_clips().path, np.zeros(SAMPLE_RATE//2, np.float32)
    return np.concatenate([pause, load(paths[0]), load(paths[2]), pause, load(paths[1]), load(paths[3]), pause])


@pytest.mark.parametrize('name, width, scale', [('language_app', 800, 1.5), ('language_app_phone', 400, 1.5)])
def test_language_app(open_app, tmp_path, name, width, scale):
    page = open_app(APP, width=width, device_scale_factor=scale)
    soundfile.write(tmp_path/'two_languages.wav', two_languages(), SAMPLE_RATE)
    soundfile.write(tmp_path/'voice_message.flac', voice('zh', 4), SAMPLE_RATE)
    for clip in ('voice_message.flac', 'two_languages.wav')[:2 if width > 500 else 1]:
        page.set_input_files(FILES, tmp_path/clip)
        answer(page, clip)
    page.wait_for_timeout(500)
    save(whole(page), name)


def test_thumbnail_app(open_app):
    page = open_app(THUMBNAIL_APP, width=800, device_scale_factor=1.5)
    page.get_by_role('button', name='Try the sample').click()
    page.wait_for_selector(ALL_EDITS)
    page.wait_for_timeout(500)
    save(whole(page), 'thumbnail_app')


def test_language_app_moves(open_app, start_browser, tmp_path):
    "Say something, read the answer, hear it, ask why."
    soundfile.write(tmp_path/'voice.wav', voice('zh', 8), SAMPLE_RATE)
    browser = start_browser('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
                            f'--use-file-for-fake-audio-capture={tmp_path/"voice.wav"}%noloop')
    page = open_app(APP, width=800, height=800, browser=browser, permissions=['microphone'])
    frames, milliseconds = [], []

    def snapshot(ms):
        frames.append(Image.open(io.BytesIO(page.screenshot())).convert('RGB'))
        milliseconds.append(ms)
    snapshot(900)
    page.click('button:has-text("Record")')
    page.wait_for_selector('text=/2[0-9] s left/')
    for _ in range(16):
        snapshot(180)
        page.wait_for_timeout(100)
    page.click('button:has-text("Stop")')
    assert answer(page, 'recording.webm') == 'Mandarin'
    page.wait_for_timeout(300)
    snapshot(1500)
    seconds = page.evaluate('document.querySelector("audio").duration')
    for t in np.arange(0.15, min(seconds, 4), 0.15):
        page.evaluate('t => document.querySelector("audio").currentTime = t', float(t))
        page.wait_for_timeout(60)
        snapshot(150)
    page.set_input_files(FILES, example_clips().path[0])
    assert answer(page, 'en-voice-34.opus') == 'English'
    page.wait_for_timeout(300)
    snapshot(2500)
    path = f'{PICTURES}/language_app.webp'
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, quality=60, method=4)
    assert len(open(path, 'rb').read()) < 2_000_000
