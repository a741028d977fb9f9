"""The language app in a real browser: in JupyterLab, and as a page of Voila."""

import numpy as np
import pytest
import soundfile

from bad_clips import encode
from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import example_clips

APP = "from mlcourse.language.app import LanguageApp\napp = LanguageApp()\napp"
FILES = 'input[type=file]'
WORD = '.mlc-word'


def voice(language, seconds=5):
    "Three shipped clips in one language, in a row."
    clips = example_clips().query('language == @language')
    return np.resize(np.concatenate([load(path) for path in clips.path]), int(seconds*SAMPLE_RATE))


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    "A file for each container, and one that is none."
    folder = tmp_path_factory.mktemp('clips')
    languages = {'english.wav': 'en', 'mandarin.m4a': 'zh', 'english.webm': 'en', 'mandarin.wav': 'zh'}
    for name, language in languages.items():
        (folder/name).write_bytes(encode(voice(language), name.split('.')[1]))
    (folder/'<b>notes.wav').write_text('milk, eggs, bread')
    return folder


def answer(page, name):
    "Wait for the sentence about a clip, and return the word in large type."
    page.wait_for_selector(f'.mlc-message:has-text("{name}: ")')
    return page.inner_text(WORD).split()[0]


def saved(page):
    "The notebook's file after Ctrl-S in JupyterLab."
    page.click('.jp-Notebook .cm-content')
    page.keyboard.press('Control+s')
    page.wait_for_selector('.jp-mod-current:not(.jp-mod-dirty), .lm-mod-current:not(.jp-mod-dirty)')
    page.wait_for_timeout(500)
    return page.notebook.read_text()


def test_upload(open_app, clips, kind):
    "Three containers, a file that is none, a wrong answer, the table, and nothing left in the notebook's file."
    page = open_app(APP)
    for name, word in {'english.wav': 'English', 'mandarin.m4a': 'Mandarin', 'english.webm': 'English'}.items():
        page.set_input_files(FILES, clips/name)
        assert answer(page, name) == word
    page.set_input_files(FILES, clips/'<b>notes.wav')
    page.wait_for_selector('.mlc-wrong:has-text("<b>notes.wav cannot be read as a recording")')
    page.set_input_files(FILES, clips/'mandarin.wav')
    assert answer(page, 'mandarin.wav') == 'Mandarin'
    assert page.locator('.mlc-wrong').count() == 0 and page.locator('tbody tr').count() == 5
    page.wait_for_function('document.querySelector("audio").duration > 4.9')
    explain_and_keep(page)
    with page.expect_download() as download: page.click('text=Save as CSV')
    table = download.value.path().read_text(encoding='utf-8-sig').splitlines()
    assert len(table) == 6 and table[1].startswith('english.wav,5.0,en,') and 'cannot be read' in table[4]
    if kind == 'lab': assert len(saved(page)) < 20_000


def explain_and_keep(page):
    "Press the buttons below a clip, once with a name that is no name."
    page.click('text=Explain')
    page.wait_for_selector('.mlc-explained img')
    page.click('text=That was wrong')
    page.get_by_label('It is').select_option('English')
    page.get_by_label('Speaker').fill('../maria')
    page.click('text=Keep the clip')
    page.wait_for_selector(".mlc-wrong:has-text('cannot be a speaker')")
    page.get_by_label('Speaker').fill('maria')
    page.get_by_label('Speaker').press('Tab')
    page.click('text=Keep the clip')
    page.wait_for_selector('text=Kept as my_voice/en/maria/')
    kept, = (page.notebook.parent/'my_voice').rglob('*.flac')
    assert kept.parent == page.notebook.parent/'my_voice'/'en'/'maria'
    kept.unlink()


def test_limit_and_order(open_app, clips, tmp_path, kind):
    "A large file arrives, one over the limit is refused unsent, and of two quick uploads the last one is shown."
    page = open_app(APP)
    large = np.resize(voice('zh'), (59_000_000//2,))
    soundfile.write(tmp_path/'large.wav', large, 48_000)
    with open(tmp_path/'huge.wav', 'wb') as file: file.truncate(61_000_000)
    page.set_input_files(FILES, tmp_path/'huge.wav')
    page.wait_for_selector('.mlc-wrong:has-text("huge.wav has 61 MB, and the limit is 60 MB")')
    page.set_input_files(FILES, tmp_path/'large.wav')
    page.set_input_files(FILES, clips/'english.wav')
    assert answer(page, 'english.wav') == 'English'
    for i, name in enumerate(['english.wav', 'large.wav']):
        assert page.locator(f'tbody tr >> nth={i}').inner_text().startswith(name)
    option = page.wait_for_selector('option:has-text("large.wav")', state='attached')
    page.get_by_label('Show again').select_option(label=option.text_content())
    page.wait_for_selector('[aria-label*="of large.wav"]')


@pytest.mark.parametrize('kind, language, word', [('lab', 'zh', 'Mandarin'), ('voila', 'en', 'English')],
                         indirect=['kind'])
def test_microphone(open_app, start_browser, clips, language, word):
    "Chromium plays a file as the microphone."
    spoken = clips/f'microphone-{language}.wav'
    if not spoken.exists(): soundfile.write(spoken, voice(language, 8), SAMPLE_RATE)
    browser = start_browser('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
                            f'--use-file-for-fake-audio-capture={spoken}%noloop')
    page = open_app(APP, browser=browser, permissions=['microphone'])
    page.click('button:has-text("Record")')
    page.wait_for_selector('text=/2[0-9] s left/')
    page.wait_for_selector('[role=meter][aria-valuenow]')
    page.wait_for_timeout(4500)
    page.click('button:has-text("Stop")')
    assert answer(page, 'recording.webm') == word


@pytest.mark.parametrize('kind', ['voila'], indirect=True)
def test_no_microphone(open_app):
    "Without one there is a sentence, and uploads go on."
    page = open_app(APP)
    page.click('button:has-text("Record")')
    page.wait_for_selector('.mlc-wrong:has-text("icrophone")')


def test_keyboard_only(open_app, kind):
    "From the top of the app to an answer, its explanation, and a kept clip, with Tab, Space, Enter and letters."
    page = open_app(APP)
    with page.expect_file_chooser() as chooser: page.locator(FILES).press('Space')
    chooser.value.set_files([])

    def tab_to(text, most=12):
        for _ in range(most):
            page.keyboard.press('Tab')
            active = page.evaluate('(e => e.innerText + (e.labels?.[0]?.innerText ?? ""))(document.activeElement)')
            if text in active: return
        active = page.evaluate('document.activeElement.outerHTML.slice(0, 300)')
        raise AssertionError(f'Tab does not reach {text} but {active}')
    for text in ('Record', 'or', 'Try it'): tab_to(text, 1)
    page.keyboard.press('Enter')
    assert answer(page, 'Example 1') == 'English'
    tab_to('Explain', 20)
    page.keyboard.press('Enter')
    page.wait_for_selector('.mlc-explained img')
    tab_to('That was wrong', 1)
    page.keyboard.press('Space')
    page.get_by_label('It is').wait_for()
    tab_to('It is', 1)
    page.keyboard.press('ArrowDown')
    tab_to('Speaker', 1)
    page.keyboard.type('abc x') # letters that are commands of JupyterLab
    tab_to('Keep the clip', 1)
    page.keyboard.press('Enter')
    message = page.wait_for_selector('.mlc-form .mlc-message:not(:empty)').inner_text()
    assert message.startswith('Kept as my_voice/zh/abc x/')
    if kind == 'lab': assert page.locator('.jp-Cell').count() <= 2


def test_labels_and_a_narrow_screen(open_app, clips, kind):
    "400 pixels are enough (in JupyterLab, what the side bar leaves), and everything that can be used has a name."
    page = open_app(APP, width=400 if kind == 'voila' else 780, height=900)
    page.set_input_files(FILES, clips/'english.wav')
    answer(page, 'english.wav')
    page.click('text=That was wrong')
    app = page.locator('.mlc-app')
    assert app.bounding_box()['width'] <= 420
    wide = app.evaluate('''app => [...app.querySelectorAll('*')]
        .filter(e => !e.closest('.mlc-wide') && e.checkVisibility())
        .filter(e => e.getBoundingClientRect().right > app.getBoundingClientRect().right + 1)
        .map(e => e.outerHTML.slice(0, 200))''')
    assert not wide
    controls = 'button, input, select, audio, [role=img], [role=meter]'
    nameless = app.evaluate('''(app, controls) => [...app.querySelectorAll(controls)]
        .filter(e => !(e.ariaLabel || e.innerText || e.labels?.[0]?.innerText))
        .map(e => e.outerHTML.slice(0, 200))''', controls)
    assert not nameless
