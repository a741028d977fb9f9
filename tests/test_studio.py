"""YouTube Studio's exports in every variant that was met (languages, headers, spreadsheets), and files that are none.

All files are made here. No test reaches beyond this machine.
"""
import csv, io, subprocess, sys, time, warnings, zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pandas as pd
import pytest
from PIL import Image

from mlcourse.thumbnails.collect import BUSY, PAUSES_S, StoppedBySite
from mlcourse.thumbnails.studio import (
    ADDED, CANNOT_TELL, contact_sheet, fetch_thumbnails, MAX_BYTES, read_studio, relative_rates, relative_views,
    UnreadableExport)
from mlcourse.thumbnails.videos import BadVideos, COLUMNS, label

IDS = '-AbcdefghiJ', 'dQw4w9WgXcQ', '_0000000000', 'KKKKKKKKKKK'
ORDER = 'id', 'title', 'date', 'length', 'views', 'hours', 'impressions', 'rate'
ROWS = [dict(zip(ORDER, row)) for row in [
    (IDS[0], 'Bread, at last', 'Mar 15, 2025', '600', '12345', '1234.5678', '123456', '6.58'),
    (IDS[1], 'パン "とても"', 'Aug 8, 2020', '45', '7', '0.0102', '3', '66.67'),
    (IDS[2], '', '', '', '0', '0', '0', '0'),
    (IDS[3], '=SUM(A1)', 'Dec 31, 2025', '3600', '999', '98.7', '20896', '4')]]
LANGUAGES = { # the headers in that order, and the word for the total
    'English': ('Content|Video title|Video publish time|Duration|Views|Watch time (hours)|Impressions'
                '|Impressions click-through rate (%)', 'Total'),
    'English since August 2026': ('Content|Video title|Video publish time|Duration|Views|Watch time (hours)'
                                  '|Thumbnail impressions|Thumbnail click-through rate (%)', 'Total'),
    'English, older': ('Video|Video title|Video publish time|Duration|Views|Watch time (hours)|Impressions'
                       '|Impressions click-through rate (%)', 'Total'),
    'German': ('Inhalte|Videotitel|Veröffentlichungszeitpunkt des Videos|Dauer|Aufrufe|Wiedergabezeit (Stunden)'
               '|Impressionen|Klickrate der Impressionen (%)', 'Gesamt'),
    'German since August 2026': ('Videos|Videotitel|Veröffentlichungszeitpunkt des Videos|Dauer|Aufrufe'
                                 '|Wiedergabezeit (Stunden)|Thumbnail-Impressionen|Thumbnail-Klickrate (%)', 'Gesamt'),
    'French': ('Contenu|Titre de la vidéo|Heure de publication de la vidéo|Durée|Vues|Durée de visionnage (heures)'
               '|Impressions|Taux de clics par impression (%)', 'Total'),
    'Spanish': ('Contenido|Título del vídeo|Hora de publicación del vídeo|Duración|Visualizaciones'
                '|Tiempo de visualización (horas)|Impresiones|Porcentaje de clics de las impresiones (%)', 'Total'),
    'Portuguese': ('Conteúdo|Título do vídeo|Horário de publicação do vídeo|Duração|Visualizações'
                   '|Tempo de exibição (horas)|Impressões|Taxa de cliques de impressões (%)', 'Total'),
    'Japanese': ('コンテンツ|動画のタイトル|動画公開時刻|長さ|視聴回数|総再生時間（単位: 時間）'
                 '|インプレッション数|インプレッションのクリック率 (%)', '合計'),
    'Japanese since August 2026': ('コンテンツ|動画のタイトル|動画公開時刻|長さ|視聴回数|総再生時間（単位: 時間）'
                                   '|サムネイルのインプレッション|サムネイルのクリック率 (%)', '合計'),
}


def as_it_is(cell, name): return cell


def table(language='English', total=True, delimiter=',', end='\n', change=as_it_is, order=ORDER, soft=False):
    "An export as text."
    headers, word = LANGUAGES[language]
    names = dict(zip(ORDER, headers.split('|')))
    if soft:
        names = {name: '\u00ad'.join(text[i:i+3] for i in range(0, len(text), 3)) for name, text in names.items()}
        word = 'Ge\u00adsamt'
    sums = {'id': word, 'title': '', 'date': '', 'length': ''}
    rows = [[names[name] for name in order], *([[sums.get(name, '9') for name in order]] if total else [])]
    rows += [[change(row[name], name) for name in order] for row in ROWS]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    return text.getvalue()


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items(): archive.writestr(name, data)
    return file.getvalue()


def check(videos):
    "The table is the one in `ROWS`."
    assert videos.video_id.tolist() == list(IDS)
    assert videos.view_count.tolist() == [12345, 7, 0, 999]
    assert videos.impressions.tolist() == [123456, 3, 0, 20896]
    rates = videos.click_through_rate.fillna(-1) # of no impressions there is no rate
    assert rates.round(6).tolist() == [.0658, .6667, -1, .04]
    assert videos.watch_hours.round(4).tolist() == [1234.5678, .0102, 0, 98.7]
    assert videos.duration_s.fillna(-1).tolist() == [600, 45, -1, 3600]
    assert list(videos)[:len(COLUMNS)] == list(COLUMNS) and list(videos)[-3:] == list(ADDED)
    assert {name: str(videos[name].dtype) for name in ADDED} == ADDED


def check_dates(videos):
    dates = videos.published_at.dt.strftime('%Y-%m-%d').fillna('')
    assert dates.tolist() == ['2025-03-15', '2020-08-08', '', '2025-12-31']


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        yield


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
@pytest.mark.parametrize('total', [True, False])
@pytest.mark.parametrize('language', LANGUAGES)
def test_languages(language, total, mark, end):
    videos = read_studio(mark + table(language, total, end=end).encode())
    check(videos), check_dates(videos)
    assert videos.title.fillna('').tolist() == [row['title'] for row in ROWS]


@pytest.mark.parametrize('language', ['German', 'German since August 2026'])
def test_soft_hyphens(language): check(read_studio(table(language, soft=True).encode()))


def test_columns_in_any_order():
    check(read_studio(table(order=('id', 'rate', 'impressions', 'hours', 'views', 'length', 'date', 'title')).encode()))


def test_more_columns():
    first, *lines = table().splitlines()
    more = [first + ',Likes,Average view duration,Stayed to watch (%)', *(line + ',1,0:01:02,61.5' for line in lines)]
    check(read_studio('\n'.join(more).encode()))


def test_without_impressions():
    "An export whose impressions were not chosen has views all the same; what needs them says how to get them."
    videos = read_studio(table(order=('id', 'title', 'date', 'views')).encode())
    assert videos.impressions.isna().all() and videos.view_count.tolist() == [12345, 7, 0, 999]
    with pytest.raises(BadVideos, match='add these columns'): relative_rates(videos)


def spreadsheet(mark, group, percent=''):
    "How a spreadsheet of some country writes a cell."
    def change(cell, name):
        if name in ('views', 'impressions') and cell: return f'{int(cell):,}'.replace(',', group)
        if name == 'hours':
            whole, _, rest = cell.partition('.')
            return f'{int(whole):,}'.replace(',', group) + (mark + rest if rest else '')
        return cell.replace('.', mark) + percent if name == 'rate' else cell
    return change


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'cp1252'])
@pytest.mark.parametrize('mark, group, delimiter, percent', [
    (',', '\u202f', ';', '\u202f%'), (',', '\xa0', ';', ' %'), (',', '.', ';', ''), (',', '.', '\t', '%'),
    (',', '', ';', ''), ('.', ',', ',', '%'), ('.', '’', ';', ''), ('.', '', '\t', '')])
def test_spreadsheets(mark, group, delimiter, percent, encoding):
    text = table('French', delimiter=delimiter, change=spreadsheet(mark, group, percent))
    if encoding == 'cp1252': text = text.replace('\u202f', '\xa0').replace('パン', 'Brot').replace('とても', '!')
    check(read_studio(text.encode(encoding)))


def test_japanese_spreadsheet(): check(read_studio(table('Japanese').encode('cp932')))


def test_a_line_above_the_headers():
    check(read_studio(('Rapport YouTube Studio 365 jours\n' + table('French', delimiter=';')).encode()))
    check(read_studio(('sep=;\r\n' + table(delimiter=';')).encode()))


def test_ids_that_a_spreadsheet_touched():
    check(read_studio(table(change=lambda cell, name: f" '{cell} " if name == 'id' else cell).encode()))


@pytest.mark.parametrize('form', [
    '{d:%d-%m-%Y}', '{d:%m/%d/%Y}', '{d:%m/%d/%y}', '{d:%d.%m.%Y}', '{d:%Y-%m-%d}', '{d:%d-%b-%y}', '{d:%d %b %Y}',
    '{d:%Y-%m-%dT%H:%M:%SZ}', '{d:%b} {d.day} {d.year}', '{d.year}年{d.month}月{d.day}日'])
def test_dates_saved_again(form):
    def change(cell, name): return form.format(d=pd.Timestamp(cell)) if name == 'date' and cell else cell
    videos = read_studio(table(change=change).encode())
    check(videos), check_dates(videos)


def test_dates_that_cannot_be_told_are_missing():
    videos = read_studio(table(change=lambda cell, name: '08-05-2020' if name == 'date' else cell).encode())
    assert videos.published_at.isna().all()


@pytest.mark.parametrize('names', [
    ('Table data.csv', 'Chart data.csv', 'Totals.csv'), ('a/b/x.CSV', '../../y.csv', '/z.csv'),
    ('Tabellendaten.csv', 'Diagrammdaten.csv', 'Gesamtwerte.csv')])
def test_zip(names, tmp_path):
    chart = 'Date,Content,Video title,Video publish time,Views\n2025-01-01,dQw4w9WgXcQ,x,"Mar 1, 2025",5\n'
    files = dict(zip(names, [table(), chart, 'Date,Views\n2025-01-01,5\n']))
    path = tmp_path/'Content 2020-01-01_2025-12-31 Crumbs.zip'
    for order in (files, dict(reversed(files.items()))):
        path.write_bytes(zipped(order | {'readme.txt': 'x'}))
        for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())): check(read_studio(source))
        with path.open('rb') as file: check(read_studio(file))
    assert read_studio(path).observed_at[0] == pd.Timestamp('2026-01-01', tz='UTC')
    assert read_studio(path, observed_at='2026-02-03').observed_at[0] == pd.Timestamp('2026-02-03', tz='UTC')
    assert sorted(p.name for p in tmp_path.rglob('*')) == [path.name] # nothing is unpacked
    folder = tmp_path/'Content 2020-01-01_2025-12-31 Crumbs'
    folder.mkdir()
    for name, text in files.items(): (folder/name.split('/')[-1]).write_text(text, encoding='utf-8')
    check(read_studio(folder))
    labelled = label(read_studio(path), threshold=1, kinds=None, split_by='time')
    assert labelled.views_per_day.notna().sum() == 3


DAYS = ''.join(f'2025-01-{day:02},5,9\n' for day in range(1, 29))
NOT_ONE = {
    'by country': ('Geography,Views,Impressions\nTotal,9,90\nDE,5,50\n', "broken down by 'Geography'.*Content"),
    'by traffic': ('Traffic source,Views,Watch time (hours)\nTotal,9,90\nSearch,5,50\n',
                   "broken down by 'Traffic source'.*Content"),
    'by date': ('Date,Views,Impressions\nTotal,9,90\n2025-01-01,5,50\n', "broken down by 'Date'.*Content"),
    'by date, German': ('Datum,Aufrufe,Impressionen\nGe\u00adsamt,9,90\n2025-01-01,5,50\n',
                        "broken down by 'Datum'.*Content"),
    'by subscription': ('Subscription status,Views,Impressions\nTotal,9,90\nSubscribed,5,50\n', 'broken down by'),
    'totals': ('Date,Views\n' + DAYS.replace(',9', ''), 'one row a day.*Table data'),
    'by date, no total': ('Date,Views,Impressions\n' + DAYS, 'one row a day.*Table data'),
    'chart': ('Date,Content,Video title,Views\n2025-01-01,dQw4w9WgXcQ,x,5\n', "chart's file.*Table data"),
    'chart, Japanese': ('日付,コンテンツ,動画のタイトル,視聴回数\n2025-01-01,dQw4w9WgXcQ,x,5\n',
                        "chart's file.*Table data"),
    'total only': ('Content,Views,Thumbnail impressions\nTotal,2,4\n', 'holds no videos.*Table data'),
    'takeout': ('Video ID,Approx Duration (ms),Channel ID\ndQw4w9WgXcQ,5,UC\n', 'Takeout'),
    'half-known language': ('Content,Videotitel,Weergaven\nTotaal,,9\ndQw4w9WgXcQ,x,5\n-AbcdefghiJ,y,4\n', 'English'),
    'likes only': ('Content,Video title,Likes\nTotal,,9\ndQw4w9WgXcQ,x,5\n-AbcdefghiJ,y,4\n', 'views, impressions'),
    'unknown language': ('Innhold,Videotittel,Visninger\nTotalt,,9\ndQw4w9WgXcQ,x,5\n-AbcdefghiJ,y,4\n', 'English'),
    'other table': ('name,price\nbread,3\n', 'not an export'),
    'text': ('Dear diary.', 'not an export'), 'empty': ('', 'no table'), 'blank lines': ('\n\n\n', 'not an export'),
    'page': ('<!doctype html><html><body>Sign in</body></html>', 'not an export'),
    'NULs': ('\0'*5000, 'not an export|cannot be read'), 'quote': ('Content,Views\n"' + 'x'*200_000, 'cannot be read'),
}


def one_sentence(error):
    text = str(error.value)
    return text.endswith('.') and '\n' not in text and 20 < len(text) < 330 and text.isprintable()


@pytest.mark.parametrize('name', NOT_ONE)
def test_not_an_export(name, tmp_path):
    text, says = NOT_ONE[name]
    path = tmp_path/f'{name}.csv'
    path.write_text(text, encoding='utf-8')
    for source in (path, text.encode()):
        with pytest.raises(UnreadableExport, match=says) as error: read_studio(source)
        assert one_sentence(error)
    files = {f'{name}.csv': text, 'Totals.csv': NOT_ONE['totals'][0]}
    with pytest.raises(UnreadableExport) as error: read_studio(zipped(files))
    assert one_sentence(error)
    if 'broken down' in says: assert 'broken down' in str(error.value)


def test_no_file(tmp_path):
    for path, kind in ((tmp_path/'none.csv', FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(kind) as error: read_studio(path)
        assert one_sentence(error)
    with pytest.raises(FileNotFoundError) as error: read_studio(table().encode(), folder=tmp_path/'none')
    assert one_sentence(error)


BOMB = ('Content,Views\n' + 'dQw4w9WgXcQ,' + '1'*60_000_000).encode()
ZIPS = {'bomb': zipped({'Table data.csv': BOMB}), 'many': zipped({f'{i}.csv': BOMB[:MAX_BYTES//2] for i in range(5)}),
        'cut': zipped({'Table data.csv': table()})[:-40], 'no table': zipped({'xl/workbook.xml': 'x'}),
        'nested': zipped({'a.zip': zipped({'Table data.csv': table()})}), 'empty': b'PK\x03\x04'}
locked = bytearray(zipped({'Table data.csv': table()}))
for mark, place in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)): locked[locked.index(mark) + place] |= 1
ZIPS['locked'] = bytes(locked)
damaged = bytearray(zipped({'Table data.csv': table()}))
damaged[60:80] = bytes(20)
ZIPS['damaged'] = bytes(damaged)


@pytest.mark.parametrize('name', ZIPS)
def test_bad_zip(name):
    start = time.perf_counter()
    with pytest.raises(UnreadableExport) as error: read_studio(ZIPS[name])
    assert one_sentence(error) and time.perf_counter() - start < 20


def test_a_bomb_takes_no_memory(tmp_path):
    (tmp_path/'bomb.zip').write_bytes(ZIPS['bomb'])
    code = '''if True:
        import resource, sys
        from mlcourse.thumbnails.studio import read_studio, UnreadableExport
        def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = used()
        try: read_studio(sys.argv[1])
        except UnreadableExport: print(used() - before)'''
    command = [sys.executable, '-c', code, tmp_path/'bomb.zip']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) < 150_000, done.stderr # kB


def test_hostile_cells(tmp_path):
    "Huge numbers, titles that are formulas or pages, names with control characters."
    hostile = {'title': '<script>\u202e\x1b[31m' + 'x'*100_000, 'views': '9'*400, 'rate': '1e999', 'hours': 'nan',
               'impressions': '-5', 'length': '1e300'}
    videos = read_studio(table(change=lambda cell, name: hostile.get(name, cell)).encode())
    assert videos.title.str.len().max() <= 500
    assert videos[['view_count', 'click_through_rate', 'watch_hours', 'impressions', 'duration_s']].isna().all().all()
    with pytest.raises(UnreadableExport) as error: read_studio(zipped({'a\x1b[31m\n.csv': 'name,price\n1,2\n'}))
    assert one_sentence(error)


def test_what_is_left_out_is_said():
    more = '#NAME?,x,,,,,,\ndQw4w9WgXcQ,y,,,,,,\n'
    with pytest.warns(UserWarning, match='2 rows'): check(read_studio((table() + more).encode()))
    check(read_studio((table() + 'Showing top 500 results,,,,,,,\n').encode())) # Studio's own last row
    with pytest.warns(UserWarning, match='1 rows'): check(read_studio((table() + 'KKKKKKKKKK2,cut o').encode()))
    many = 'Content,Views\nTotal,9\n' + ''.join(f'{i:011},5\n' for i in range(500))
    with pytest.warns(UserWarning, match='about 500'): assert len(read_studio(many.encode())) == 500


def test_an_older_video_than_the_period(tmp_path):
    path = tmp_path/'Content 2024-01-01_2025-12-31 Crumbs.zip'
    path.write_bytes(zipped({'Table data.csv': table()}))
    with pytest.warns(UserWarning, match='1 of 4 videos are older.*Lifetime'): check(read_studio(path))


def test_thumbnails(tmp_path):
    (tmp_path/'images').mkdir()
    names = (f'images/{IDS[0]}.jpg', f'My bread [{IDS[1]}].webp', f'{IDS[2]}.png', 'other.jpg', f'{IDS[3]}.txt',
             f'{IDS[1]}-old.jpg')
    for name in names[:2]: Image.new('RGB', (640, 360)).save(tmp_path/name)
    for name in names[2:]: (tmp_path/name).write_bytes(b'no picture')
    with pytest.warns(UserWarning, match='not a picture'): videos = read_studio(table().encode(), folder=tmp_path)
    check(videos)
    assert videos.image.fillna('').tolist() == [names[0], names[1], '', '']
    assert videos.status.tolist() == ['ok', 'ok', 'no_image', 'no_image']
    assert videos.width.fillna(0).tolist() == [640, 640, 0, 0]
    assert videos.attrs['folder'] == str(tmp_path)
    contact_sheet(relative_rates(videos)).savefig(io.BytesIO())


class Site(BaseHTTPRequestHandler):
    "Has a picture of one video, and is busy when asked for another."
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        file = io.BytesIO()
        Image.new('RGB', (320, 180)).save(file, 'JPEG')
        self.send_response(200 if IDS[0] in self.path else 429 if IDS[3] in self.path else 404)
        self.end_headers()
        if IDS[0] in self.path: self.wfile.write(file.getvalue())

    def log_message(self, *args): pass


def test_fetching_is_polite(tmp_path):
    server = ThreadingHTTPServer(('127.0.0.1', 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    slept, url = [], f'http://127.0.0.1:{server.server_port}/{{video_id}}/{{size}}.jpg'
    videos, options = read_studio(table().encode()), dict(sizes=('hq720',), image_url=url, sleep=slept.append)
    got = fetch_thumbnails(videos.head(3), tmp_path, **options)
    assert got.image.fillna('').tolist() == [f'images/{IDS[0]}.jpg', '', ''] and slept == [1, 1, 1]
    Site.asked.clear()
    with pytest.raises(StoppedBySite, match=BUSY[:30]): fetch_thumbnails(videos, tmp_path, **options)
    assert slept[5:] == list(PAUSES_S)
    assert not any(IDS[0] in path for path in Site.asked) # what is there is not fetched again
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('n', [0, 1, 4, 5])
def test_few_videos(n):
    videos = read_studio(table().encode())
    videos = videos.iloc[[0]*n].assign(video_id=[f'{i:011}' for i in range(n)]).reset_index(drop=True)
    if n: assert set(relative_rates(videos).says) == {CANNOT_TELL}
    assert relative_views(videos).notna().sum() == (5 if n == 5 else 0)
