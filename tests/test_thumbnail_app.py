"""The thumbnail app in a real browser: in JupyterLab, and as a page of Voila."""
import numpy as np
import pytest
from PIL import Image

from mlcourse.thumbnails.advice import advise
from mlcourse.thumbnails.edits import sample_thumbnail
from mlcourse.thumbnails.feed import photograph

APP = 'from mlcourse.thumbnails.app import ThumbnailApp\napp = ThumbnailApp()\napp'
FIRST, OTHER, NEIGHBOURS, GRADER = (f'.mlc-drop >> nth={n} >> input[type=file]' for n in (0, 1, 2, 4))
IN_VOILA = pytest.mark.parametrize('kind', ['voila'], indirect=True) # what does not depend on the page around it
ALL_EDITS = '.mlc-app .advice figure >> nth=1' # the sample has two faults with an edit each


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    "The sample, a copy without its letterbox, one in another shape, and a file that is no picture."
    folder = tmp_path_factory.mktemp('pictures')
    image = Image.open(sample_thumbnail())
    image.save(folder/'bread.jpg')
    image.crop((0, 90, 1280, 630)).save(folder/'wide.png')
    image.crop((0, 90, 540, 630)).save(folder/'square.webp')
    (folder/'<b>notes.jpg').write_text('milk, eggs, bread')
    return folder


def choose(page, place, path):
    "Choose a file, and wait for the sentence about it."
    page.set_input_files(place, path)
    page.wait_for_selector(f'.mlc-message:has-text("{path.name}"):not(:has-text("Reading"))')


def headings(page, among='.mlc-app '):
    "What is to fix, in the details of the report."
    found = page.locator(f'{among}.advice details li > h3')
    return found.evaluate_all('all => all.map(each => each.firstChild.textContent.trim())')


def test_advice_and_the_saved_report(open_app, pictures, kind, tmp_path):
    "Recommendations with their edits, a broken file, a good one after it, and a report that opens anywhere."
    page = open_app(APP)
    page.get_by_label('Title').fill('<script>alert("bread")</script> 面包')
    page.get_by_label('Title').press('Enter')
    choose(page, FIRST, pictures/'bread.jpg')
    page.wait_for_selector(ALL_EDITS)
    assert headings(page) == ['Letterbox', 'Too dark']
    assert '<script>alert("bread")</script> 面包' in page.inner_text('.advice h2')
    choose(page, FIRST, pictures/'<b>notes.jpg')
    assert page.inner_text('.mlc-wrong').startswith('<b>notes.jpg is not a picture')
    assert headings(page) == ['Letterbox', 'Too dark']
    choose(page, FIRST, pictures/'wide.png')
    assert page.locator('.mlc-wrong').count() == 0 and headings(page) == ['Shape', 'Too dark']
    with page.expect_download() as download: page.click('text=Save the report')
    download.value.save_as(tmp_path/download.value.suggested_filename)
    opens_alone(page.context, tmp_path/'thumbnail_advice.html')
    if kind == 'lab':
        page.click('.jp-Notebook .cm-content')
        page.keyboard.press('Control+s')
        page.wait_for_timeout(2000)
        assert page.notebook.stat().st_size < 20_000


def opens_alone(context, path):
    "A saved report shows its pictures, asks for nothing else, and runs nothing."
    page, asked = context.new_page(), []
    page.on('request', lambda request: asked.append(request.url))
    page.on('dialog', lambda dialog: pytest.fail(dialog.message))
    page.goto(path.as_uri())
    assert headings(page, '') == ['Shape', 'Too dark'] and '面包' in page.locator('h2').first.inner_text()
    page.click('summary')
    assert page.locator('figure > img').evaluate('e => e.naturalWidth') == 390 # the feed, in a list on a phone
    thumbs = page.locator('.thumb').evaluate_all(
        'all => all.map(e => [getComputedStyle(e).backgroundImage.slice(0, 16), e.offsetWidth > 100])')
    assert len(thumbs) == 2 + 2 + 2*6 # the card, as it is, and each fix
    assert all(each == ['url("data:image/', True] for each in thumbs)
    assert [url for url in asked if not url.startswith('data:')] == [path.as_uri()]
    page.close()


@IN_VOILA
def test_versions_in_the_feed(open_app, pictures):
    "Beside each other, in the order chosen, and back to one."
    page = open_app(APP, share=True)
    choose(page, OTHER, pictures/'wide.png')
    assert 'Choose a thumbnail on the left first' in page.inner_text('.mlc-wrong')
    page.set_input_files(FIRST, pictures/'wide.png')
    page.set_input_files(FIRST, pictures/'bread.jpg') # at once: the last one counts
    page.set_input_files(OTHER, [pictures/'square.webp', pictures/'wide.png'])
    labels = ['A. bread.jpg', 'B. square.webp', 'C. wide.png']
    for label in labels: page.wait_for_selector(f'.version > summary:has-text("{label}")')
    page.wait_for_selector('.mlc-message:has-text("wide.png is shown")')
    assert page.locator('.version > summary').all_inner_texts() == labels
    assert page.locator('.mlc-wrong').count() == 0
    assert page.locator('.mlc-feed figcaption').all_inner_texts() == labels
    shape, = [row for row in page.locator('.advice tr').all_inner_texts() if row.startswith('Shape')]
    assert shape.split('\t')[1:] == ['1.78', '1.00', '2.37']
    page.click('text=Without the other versions')
    page.wait_for_selector('.version', state='detached')
    assert headings(page) == ['Letterbox', 'Too dark'] and page.locator('.mlc-feed figure').count() == 1


@IN_VOILA
def test_neighbours_of_ones_own(open_app, pictures, tmp_path):
    "They replace the photographs; a title is shown as text; the feed can be saved for a friend."
    page = open_app(APP, share=True)
    photograph('fig').save(tmp_path/'<i>figs.png')
    page.get_by_label('Title').fill('<b>My</b> bread')
    page.get_by_label('Title').press('Enter')
    choose(page, FIRST, pictures/'bread.jpg')
    page.wait_for_selector('.feed-video >> nth=8')
    page.click('text=Neighbours, last')
    page.set_input_files(NEIGHBOURS, [tmp_path/'<i>figs.png', pictures/'<b>notes.jpg', pictures/'wide.png'])
    page.wait_for_selector('.mlc-wrong:has-text("<b>notes.jpg is not a picture")')
    page.wait_for_selector('.feed-video >> nth=2')
    assert page.locator('.feed-title').all_inner_texts() == ['<i>figs', '<b>My</b> bread', 'wide']
    with page.expect_download() as download: page.click('text=Save the feed')
    download.value.save_as(tmp_path/'feed.html')
    other = page.context.new_page()
    other.goto((tmp_path/'feed.html').as_uri())
    assert other.locator('.feed-title').all_inner_texts() == ['<i>figs', '<b>My</b> bread', 'wide']
    other.close()
    with page.expect_download() as download: page.click('text=Save the picture with all fixes')
    fixed = advise(pictures/'bread.jpg', title='<b>My</b> bread').fixed
    assert np.array_equal(np.asarray(Image.open(download.value.path()).convert('RGB')), np.asarray(fixed))


def test_limit(open_app, tmp_path):
    "A large picture arrives, and one over the limit is refused before it is sent."
    page = open_app(APP, share=True)
    with open(tmp_path/'huge.png', 'wb') as file: file.truncate(51_000_000)
    choose(page, FIRST, tmp_path/'huge.png')
    assert 'huge.png has 51 MB, and the limit is 50 MB' in page.locator('.mlc-wrong').first.inner_text()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1800, 3200, 3), np.uint8))
    noise.save(tmp_path/'noise.png')
    assert 12e6 < (tmp_path/'noise.png').stat().st_size < 20e6 # more than the server takes in one message
    choose(page, FIRST, tmp_path/'noise.png')
    assert page.locator('.mlc-drop').first.locator('.mlc-wrong').count() == 0 and 'Heavy file' in headings(page)


@IN_VOILA
def test_a_grader_that_is_none(open_app, tmp_path):
    page = open_app(APP, share=True)
    (tmp_path/'absent.safetensors').write_bytes(b'milk')
    page.set_input_files(GRADER, tmp_path/'absent.safetensors')
    page.wait_for_selector('.mlc-wrong:has-text("absent.safetensors is not a weights file")')


def test_keyboard_only(open_app, kind):
    "From the top of the app to a saved report, with Tab, Space, Enter and letters."
    page = open_app(APP)
    page.wait_for_selector(FIRST, state='attached')
    with page.expect_file_chooser() as chooser: page.locator(FIRST).press('Space')
    chooser.value.set_files([])

    def tab_to(text, most=1):
        for _ in range(most):
            page.keyboard.press('Tab')
            name = 'document.activeElement.innerText + (document.activeElement.labels?.[0]?.innerText ?? "")'
            if text in page.evaluate(name): return
        raise AssertionError(f'Tab does not reach {text}')
    tab_to('Other versions')
    tab_to('Title')
    page.keyboard.type('abc x') # letters that are commands of JupyterLab
    tab_to('Try the sample')
    page.keyboard.press('Enter')
    page.wait_for_selector(ALL_EDITS)
    assert page.inner_text('.advice h2') == 'abc x'
    tab_to('Neighbours, last')
    page.keyboard.press('Enter')
    page.wait_for_selector('.mlc-more')
    for place in ('Neighbours', 'My last thumbnails', 'My grader', 'Details', 'Save the report'): tab_to(place)
    with page.expect_download(): page.keyboard.press('Enter')
    if kind == 'lab': assert page.locator('.jp-Cell').count() <= 2


@IN_VOILA # where the panels of JupyterLab leave nothing of 400 pixels
def test_labels_and_a_narrow_screen(open_app, pictures):
    "400 pixels are enough, and everything that can be used or seen has a name."
    page = open_app(APP, share=True, width=400, height=900)
    choose(page, FIRST, pictures/'bread.jpg')
    choose(page, OTHER, pictures/'square.webp')
    app = page.locator('.mlc-app')
    wide = app.evaluate('''app => [...app.querySelectorAll('*')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > app.getBoundingClientRect().right + 1)
        .map(e => e.outerHTML.slice(0, 200))''')
    assert not wide
    nameless = app.evaluate('''app => [...app.querySelectorAll('button, input, [role=img], img')]
        .filter(e => !(e.ariaLabel || e.innerText || e.hasAttribute('alt') || e.labels?.[0]?.innerText))
        .map(e => e.outerHTML.slice(0, 200))''')
    assert not nameless
