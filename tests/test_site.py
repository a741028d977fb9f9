"""The site, from the committed notebooks: no broken link, no dead player, no missing figure, nothing from elsewhere."""
import base64, io, json, re
from urllib.parse import unquote

import nbformat
import pytest
import soundfile
from bs4 import BeautifulSoup
from PIL import Image

from notebooks import directives, ROOT

pytest.importorskip('mkdocs', reason='MkDocs is not installed')
ELSEWHERE = ('http:', 'https:', '//')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "The folder of the site, without the pages that need npm."
    import make_site
    folder = tmp_path_factory.mktemp('site')
    make_site.make_site(folder/'site', folder/'docs', with_apps=False)
    return folder/'site'


@pytest.fixture(scope='module')
def pages(site):
    "Path -> its parsed HTML."
    return {path: BeautifulSoup(path.read_text(encoding='utf-8'), 'html.parser') for path in site.rglob('*.html')}


def notebooks():
    "Path below nbs/ -> the outputs that a page shows."
    found = {}
    for path in (ROOT/'nbs').rglob('*.ipynb'):
        cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == 'code']
        shown = [c for c in cells if not {'hide', 'default_exp'} & directives(c).keys()]
        found[path.relative_to(ROOT/'nbs')] = [o.get('data', {}) for c in shown for o in c.outputs]
    return found


def data_of(address): return base64.b64decode(address.partition('base64,')[2])


def test_links_lead_somewhere(site, pages):
    "Inside the site, to the very heading; the two pages that need npm are made later."
    broken = []
    for path, page in pages.items():
        if path.name == '404.html': continue # its links are those of the host
        for link in page.find_all('a', href=True):
            target, _, anchor = unquote(link['href']).partition('#')
            if re.match('[a-z]+:|//', target) or target.startswith(('try/', '../try/')): continue
            to = (path.parent/target).resolve() if target else path
            if to.is_dir(): to = to/'index.html'
            there = not anchor or pages[to].find(id=anchor) if to in pages else to.is_file()
            if not there: broken.append(f"{path.relative_to(site)}: {link['href']}")
    assert not broken, '\n'.join(broken)


def test_sound_plays_and_pictures_are_there(site, pages):
    "As many players and figures as the notebooks have, each with something in it."
    wrong = []
    for name, outputs in notebooks().items():
        path = site/name.with_suffix('.html')
        if path not in pages: continue
        html = ''.join(''.join(o.get('text/html', '')) for o in outputs)
        players, pictures = pages[path].find_all('audio'), pages[path].select('.jp-OutputArea-output img')
        figures = sum(any(kind.startswith('image/') for kind in o) for o in outputs) + html.count('<img')
        if len(players) != html.count('<audio') or len(pictures) < figures:
            wrong.append(f'{name}: {len(players)} players and {len(pictures)} pictures')
        for player in players:
            if not soundfile.info(io.BytesIO(data_of(player['src']))).frames: wrong.append(f'{name}: a silent player')
    for path, page in pages.items():
        for picture in page.find_all('img', src=True):
            source = picture['src']
            try: Image.open(io.BytesIO(data_of(source)) if source.startswith('data:') else path.parent/source).verify()
            except OSError: wrong.append(f'{path.relative_to(site)}: {source[:80]}')
    assert not wrong, '\n'.join(wrong)


def test_nothing_comes_from_elsewhere(site, pages):
    "Scripts, styles, fonts, pictures and sound are the site's own."
    found = [f"{path.relative_to(site)}: {tag.get('src') or tag.get('href')}" for path, page in pages.items()
             for tag in page.select('script[src], link[rel=stylesheet], link[rel=preconnect], img, audio, iframe')
             if (tag.get('src') or tag.get('href') or '').startswith(ELSEWHERE)]
    assert not found, '\n'.join(found)


def test_hidden_cells_stay_hidden_and_words_are_found(site, pages):
    text = {path.relative_to(site).as_posix(): page.get_text() for path, page in pages.items()}
    assert not [name for name, words in text.items() if re.search(r'(?m)^#\| (hide|export|default_exp)', words)]
    for words in ('find_speech', 'What is listened to'): assert words in text['language/09_detector.html']
    index = json.loads((site/'search/search_index.json').read_text(encoding='utf-8'))
    for word in ('spectrogram', 'thumbnail', 'Nyquist'): assert any(word in doc['text'] for doc in index['docs']), word
