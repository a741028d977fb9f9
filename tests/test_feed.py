"""The feed as a page of its own, opened from a disk in a real browser."""
import pytest
from PIL import Image

from mlcourse.thumbnails.feed import feed_data, feed_page, PLACES, shipped_videos, Video

# Longer than two lines beside a video, in any font.
HOSTILE = '</script><img src=x onerror="alert(1)"><b>the best bread you can bake at home this week with no knead</b>'


@pytest.fixture
def open_feed(browser, tmp_path):
    "Open a page with variants of one picture and its neighbours; it may ask for nothing and run nothing of theirs."
    opened, errors = [], []

    def open_page(variants=1, width=1000, **kwargs):
        mine = [Video(Image.new('RGB', (1280, 720), colour), HOSTILE, HOSTILE, length='1:02:45', watched=.5)
                for colour in ('red', 'green', 'blue')[:variants]]
        (tmp_path/'feed.html').write_text(feed_page(feed_data(mine, shipped_videos(), **kwargs)), encoding='utf-8')
        page = browser.new_page(viewport={'width': width, 'height': 900})
        page.on('pageerror', lambda error: errors.append(str(error)))
        page.on('dialog', lambda dialog: errors.append(dialog.message))
        page.on('request', lambda request: None if request.url.startswith(('data:', 'file:')) else
                errors.append(request.url))
        page.goto((tmp_path/'feed.html').as_uri())
        page.wait_for_selector('.feed-video')
        opened.append(page)
        return page
    yield open_page
    for page in opened: page.close()
    assert not errors


def test_places_and_pages(open_feed):
    "Nine videos everywhere, at the sizes of PLACES, and the length covers more of a small picture than of a large one."
    page, covered = open_feed(width=1200), {}
    for place, (width, columns, beside) in PLACES.items():
        page.locator(f'input[value={place}]').check()
        assert page.locator('.feed-video').count() == 9
        box, badge = (page.locator(f'.feed-mine {each}').bounding_box() for each in ('.feed-thumb', '.feed-length'))
        assert page.locator('.feed-screen').bounding_box()['width'] == width
        assert abs(box['width'] - (beside or width/columns)) < 40
        covered[place] = badge['width']/box['width']
        assert badge['y'] + badge['height'] <= box['y'] + box['height']
    assert covered['side'] > 1.5*covered['home'] and covered['list'] > 1.5*covered['phone']
    page.locator('input[value=dark]').check()
    assert page.locator('.feed-screen').evaluate('e => getComputedStyle(e).backgroundColor') == 'rgb(15, 15, 15)'
    assert page.inner_text('.feed-mine .feed-title').startswith('</script><img')


def test_titles_are_cut_after_two_lines(open_feed):
    page = open_feed(place='side')
    title = page.locator('.feed-mine .feed-title')
    assert title.evaluate('e => [e.clientHeight, e.scrollHeight > e.clientHeight]') == [40, True]


@pytest.mark.parametrize('width', [400, 800, 1400])
@pytest.mark.parametrize('variants', [1, 3])
def test_nothing_hangs_out(open_feed, width, variants):
    page = open_feed(variants, width)
    for place in PLACES:
        page.locator(f'input[value={place}]').check()
        assert page.locator('.feed-screen').count() == variants
        assert page.evaluate('document.documentElement.scrollWidth') <= width


def test_glance(open_feed):
    "The page shows for about a second; whoever ticks what was there, and only that, is told so."
    page = open_feed(2, place='list', measures=['It differs by 40.'])
    page.click('text=Glance test')
    page.wait_for_selector('.feed-screen:not(.feed-blank)')
    shown = page.evaluate('''() => { const frame = document.querySelector('.feed-screen').getBoundingClientRect();
        return [...document.querySelectorAll('.feed-thumb')].filter(e => { const box = e.getBoundingClientRect();
            return Math.min(box.bottom, frame.bottom) - box.top >= box.height/2 }).map(e => e.children[0].src) }''')
    page.wait_for_selector('.feed-tick')
    assert page.locator('.feed-screen').count() == 0
    asked = page.locator('.feed-tick img').evaluate_all('all => all.map(e => e.src)')
    assert set(shown) < set(asked)
    for i, source in enumerate(asked):
        if source in shown: page.locator('.feed-tick input').nth(i).check()
    page.click('text=That is all')
    said = page.inner_text('[role=status]')
    assert f'{len(shown)} of {len(shown)} that were shown, and 0 of ' in said and 'Yours was among them' in said
    assert page.locator('.feed-screen').count() == 2 and 'It differs by 40.' in page.inner_text('.feed-measures')


def test_a_glance_that_is_left(open_feed):
    "Whoever chooses something else meanwhile is not asked."
    page = open_feed()
    page.click('text=Glance test')
    page.locator('input[value=dark]').check()
    page.wait_for_timeout(2600)
    assert page.locator('.feed-tick').count() == 0 and page.locator('.feed-video').count() == 9
