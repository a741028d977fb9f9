"""Collecting when things go wrong: killed processes, a picture server that misbehaves, hostile pages; every row must be
there, once."""
import errno, io, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
from mlcourse.cli import main
from mlcourse.core import CannotWrite, download, DownloadFailed
from mlcourse.thumbnails.collect import (
    ask_site, collect, fetch_image, find_videos, observe, PAUSES_S, StoppedBySite, TooManyFailures, TooManyRequests,
    video_row)
from mlcourse.thumbnails.videos import as_videos, COLUMNS, KINDS, label, read_snapshots, read_videos, STATUSES

CHANNEL = 'UC' + 'x'*22
VIDEO = 'aaaaaaaaaaa'
PAGE = dict(id=VIDEO, title='Bread', view_count=5000, timestamp=1704067200, upload_date='20240101', duration=60,
            channel='Crumbs', channel_id=CHANNEL, channel_follower_count=10, live_status='not_live', media_type='video',
            webpage_url='https://www.youtube.com/watch?v=aaaaaaaaaaa')
HOSTILE = [None, '', [], {}, 'x', -1, 0, 1e400, float('nan'), True, b'x', ['a'], {'a': 1}, 10**30, '../../etc/passwd',
           '\ud800\x00\r\n', object()]


def jpeg(size=(320, 180)):
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert('RGB').save(file, 'JPEG')
    return file.getvalue()


class Server(BaseHTTPRequestHandler):
    "Answers by the video's id and the size; `asked` says for what."
    asked, answer = [], None

    def do_GET(self):
        video_id, size = Path(self.path).parts[-2:]
        self.asked.append((video_id, Path(size).stem))
        code, kind, body, length = type(self).answer(video_id, Path(size).stem)
        self.send_response(code)
        self.send_header('Content-Type', kind)
        if length: self.send_header('Content-Length', str(length))
        self.end_headers()
        try:
            for start in range(0, len(body), 1 << 16): self.wfile.write(body[start:start + (1 << 16)])
        except OSError: pass # the client has closed the connection

    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def address():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/{{video_id}}/{{size}}'
    server.shutdown()


@pytest.fixture
def picture_server(address):
    Server.asked.clear()
    Server.answer = lambda video_id, size: (200, 'image/jpeg', GOOD, None)
    return address


def page_of(**changes):
    "A site with one video."
    return lambda url, flat=False, limit=None: {} if flat else PAGE | changes


GOOD = jpeg((480, 270))
LARGE = {
    'not there': (404, 'text/html', b'<html>404</html>', None),
    'gone': (410, 'text/plain', b'', None),
    'an error page that says it is a picture': (200, 'image/jpeg', b'<html><script>alert(1)</script></html>', None),
    'cut off': (200, 'image/jpeg', GOOD[:3000], None),
    'empty': (200, 'image/jpeg', b'', None),
    'six megabytes': (200, 'image/jpeg', GOOD + bytes(6_000_000), None),
}


@pytest.mark.parametrize('fault', LARGE)
def test_a_size_that_is_no_good_falls_back_to_the_next(fault, picture_server, tmp_path):
    Server.answer = lambda video_id, size: LARGE[fault] if size == 'maxresdefault' else (200, 'image/jpeg', GOOD, None)
    found = fetch_image(VIDEO, tmp_path, ('maxresdefault', 'hqdefault'), picture_server)
    assert found == dict(image=f'images/{VIDEO}.jpg', width=480, height=270)
    assert Server.asked == [(VIDEO, 'maxresdefault'), (VIDEO, 'hqdefault')]
    assert [path.name for path in (tmp_path/'images').iterdir()] == [f'{VIDEO}.jpg'] # nothing half written is left


def test_a_wrong_content_type_does_not_matter(picture_server, tmp_path):
    Server.answer = lambda video_id, size: (200, 'text/html', GOOD, None)
    assert fetch_image(VIDEO, tmp_path, image_url=picture_server)['width'] == 480


def test_no_size_at_all(picture_server, tmp_path):
    Server.answer = lambda video_id, size: LARGE['not there']
    videos = collect(VIDEO, tmp_path, pause_s=0, extract=page_of(), image_url=picture_server)
    assert videos.status.tolist() == ['no_image']


TROUBLE = {'503': (503, 'text/html', b'', None),
           'cut off before the announced end': (200, 'image/jpeg', GOOD[:3000], len(GOOD))}


@pytest.mark.parametrize('trouble', TROUBLE)
def test_a_server_in_trouble_is_asked_again_on_the_next_run(trouble, picture_server, tmp_path):
    Server.answer = lambda video_id, size: TROUBLE[trouble]
    with pytest.raises(DownloadFailed): fetch_image(VIDEO, tmp_path, image_url=picture_server)
    options = dict(pause_s=0, extract=page_of(), image_url=picture_server)
    assert collect(VIDEO, tmp_path, **options).status.tolist() == ['failed']
    Server.answer = lambda video_id, size: (200, 'image/jpeg', GOOD, None)
    assert collect(VIDEO, tmp_path, **options).status.tolist() == ['ok']


def test_429_for_a_picture_is_waited_out(picture_server, tmp_path):
    answers = [(429, 'text/html', b'', None)]*3
    Server.answer = lambda video_id, size: answers.pop() if answers else (200, 'image/jpeg', GOOD, None)
    slept, told = [], []
    videos = collect(VIDEO, tmp_path, pause_s=0, extract=page_of(), image_url=picture_server, report=told.append,
                     sleep=slept.append)
    assert videos.status.tolist() == ['ok'] and [s for s in slept if s] == list(PAUSES_S[:3])
    assert [text.count('waiting') for text in told] == [0, 1, 1, 1]


def test_429_for_ever_stops_after_an_hour(tmp_path):
    def busy(url, flat=False, limit=None): raise RuntimeError('HTTP Error 429: Too Many Requests')
    slept = []
    with pytest.raises(TooManyRequests) as error:
        collect(VIDEO, tmp_path, extract=busy, report=lambda text: None, sleep=slept.append)
    assert sum(slept) == 3600 and slept == sorted(slept) and str(error.value).count('.') == 1


def test_a_check_for_robots_stops_at_once_and_keeps_what_is_there(picture_server, tmp_path):
    def suspicious(url, flat=False, limit=None):
        if url.endswith('b'): raise RuntimeError('Sign in to confirm you’re not a bot. Use --cookies')
        return PAGE
    slept, ids = [], [VIDEO, 'b'*11, 'c'*11]
    with pytest.raises(StoppedBySite) as error:
        collect(ids, tmp_path, pause_s=0, extract=suspicious, image_url=picture_server, report=lambda text: None,
                sleep=slept.append)
    assert 'no robot' in str(error.value) and str(error.value).count('.') == 1 and not any(slept)
    assert read_videos(tmp_path).video_id.tolist() == read_snapshots(tmp_path).video_id.tolist() == [VIDEO]
    asked = []
    def quiet(url, flat=False, limit=None): asked.append(url[-11:]); return PAGE
    videos = collect(ids, tmp_path, pause_s=0, extract=quiet, image_url=picture_server, report=lambda text: None)
    assert videos.video_id.tolist() == ids and asked == ids[1:]


def test_a_dead_network_ends_the_run(tmp_path):
    def dead(url, flat=False, limit=None): raise OSError('Temporary failure in name resolution')
    with pytest.raises(TooManyFailures):
        collect([f'{i:011}' for i in range(50)], tmp_path, pause_s=0, extract=dead, report=lambda text: None)
    assert len(read_videos(tmp_path)) == 10


@pytest.mark.parametrize('name', PAGE)
def test_info_with_each_field_missing_or_hostile(name, picture_server, tmp_path):
    rows = [video_row({key: value for key, value in PAGE.items() if key != name}, VIDEO)]
    rows += [video_row(PAGE | {name: value}, VIDEO) for value in HOSTILE]
    table = label(as_videos(pd.DataFrame(rows)), kinds=None, split_by='time')
    assert set(table.status) <= set(STATUSES) and set(table.kind.dropna()) <= set(KINDS)
    assert (table.video_id == VIDEO).all()
    assert all(channel == CHANNEL for channel in table.channel_id.dropna())
    ids = [f'{i:011}' for i in range(len(HOSTILE))] # and all the way to the disk and back
    site = lambda url, flat=False, limit=None: {} if flat else PAGE | {name: HOSTILE[int(url[-11:])]}
    videos = collect(ids, tmp_path, pause_s=0, extract=site, image_url=picture_server, report=lambda text: None)
    assert videos.video_id.tolist() == read_snapshots(tmp_path).video_id.tolist() == ids
    assert 'failed' not in set(videos.status)


def test_no_info_at_all(tmp_path):
    assert collect(VIDEO, tmp_path, pause_s=0, extract=lambda url, **kwargs: {}).status.tolist() == ['unavailable']


TITLES = ['<script>alert(1)</script>', '"quoted", \'twice\'', 'two\nlines\r\nand \u2028more', '=HYPERLINK("http://x")',
          'nul\x00 and \ud800', 'NA', 'x'*100_000, '漢字 🍞 ع']


def test_titles_survive(picture_server, tmp_path):
    ids = [f'{i:011}' for i in range(len(TITLES))]
    site = lambda url, flat=False, limit=None: PAGE | dict(title=TITLES[int(url[-11:])])
    videos = collect(ids, tmp_path, pause_s=0, extract=site, image_url=picture_server, report=lambda text: None)
    clean = [' '.join(t.replace('\x00', ' ').replace('\u2028', ' ').replace('\ud800', '?').split()) for t in TITLES]
    assert videos.title.tolist() == read_snapshots(tmp_path).title.tolist() == clean
    with (tmp_path/'snapshots.csv').open(newline='', encoding='utf-8') as file:
        assert len(file.read().splitlines()) == len(ids) + 1
    assert '<script>' not in videos.to_html()


BAD_IDS = ['../../etc/x', '../aaaaaaaa', 'a/../../../b', '..', '', 'aaaaaaaaaaa\n', 'aaaaaaaaaa\x00', 'ａaaaaaaaaaa',
           'aaaaaaaaaaaa', None, 7, ['aaaaaaaaaaa'], {'id': 1}]


def test_ids_that_are_paths(picture_server, tmp_path):
    entries = [dict(id=bad) for bad in BAD_IDS] + ['x', None, 3, dict(id=VIDEO)]
    listing = dict(channel_id='../../x', channel_follower_count='many', entries=entries)
    site = lambda url, flat=False, limit=None: listing if flat else PAGE
    assert list(find_videos(['@somebody'], site)[0]) == [VIDEO]
    collect('@somebody', tmp_path/'a'/'b', pause_s=0, extract=site, image_url=picture_server, report=lambda text: None)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file())
    assert files == [f'a/b/images/{VIDEO}.jpg', 'a/b/snapshots.csv', 'a/b/videos.csv']
    for bad in BAD_IDS:
        if isinstance(bad, str):
            with pytest.raises(ValueError): fetch_image(bad, tmp_path, image_url=picture_server)


def test_the_maximum_and_the_dates(picture_server, tmp_path):
    "Three channels of a video a week; only exact dates decide, and what is out of range takes nobody's place."
    now, asked = pd.Timestamp.now('UTC'), []
    def site(url, flat=False, limit=None):
        if flat:
            channel = int(url.split('@c')[1].split('/')[0])
            entries = [dict(id=f'{channel}{i:010}') for i in range(40)][:limit]
            return dict(channel_id=f'UC{channel:022}', entries=entries)
        asked.append(url[-11:])
        published = now - pd.Timedelta(days=7*int(url[-10:]) + .5)
        return PAGE | dict(channel_id=f'UC{int(url[-11]):022}', timestamp=published.timestamp())
    options = dict(after=now - pd.Timedelta(days=200), before=now - pd.Timedelta(days=100), pause_s=0, extract=site,
                   image_url=picture_server, report=lambda text: None)
    videos = collect(['@c1', '@c2', '@c3'], tmp_path, 5, **options)
    inside = videos[videos.status == 'ok']
    assert inside.channel_id.value_counts().tolist() == [5]*3 and set(videos.status) == {'ok', 'skipped'}
    assert inside.published_at.between(options['after'], options['before']).all()
    assert len(asked) == len(set(asked)) == len(videos)
    asked.clear()
    assert len(collect(['@c1', '@c2', '@c3'], tmp_path, 5, **options)) == len(videos) and not asked


def test_observing_that_is_cut_off_goes_on(picture_server, tmp_path):
    ids = [f'{i:011}' for i in range(6)]
    options = dict(pause_s=0, image_url=picture_server, report=lambda text: None)
    collect(ids, tmp_path, extract=page_of(), **options)
    first = read_snapshots(tmp_path)
    week_ago = first.assign(observed_at=first.observed_at - pd.Timedelta(days=7))
    for name in ('videos.csv', 'snapshots.csv'): week_ago[list(COLUMNS)].to_csv(tmp_path/name, index=False)
    def dead(url, flat=False, limit=None): raise OSError('Connection reset by peer')
    assert observe(tmp_path, extract=dead, **options).view_count.tolist() == [5000]*6 # a failed snapshot counts as none
    asked = []
    def stops(url, flat=False, limit=None):
        if len(asked) == 3: raise KeyboardInterrupt
        asked.append(url[-11:]); return PAGE | dict(view_count=6000)
    with pytest.raises(KeyboardInterrupt): observe(tmp_path, extract=stops, **options)
    assert read_videos(tmp_path).view_count.tolist() == [6000]*3 + [5000]*3
    assert observe(tmp_path, extract=page_of(view_count=6000), **options).view_count.tolist() == [6000]*6
    snapshots = read_snapshots(tmp_path)
    assert snapshots[snapshots.status == 'ok'].video_id.value_counts().tolist() == [2]*6


def test_the_table_can_be_made_again_from_the_snapshots(picture_server, tmp_path):
    videos = collect([VIDEO, 'b'*11], tmp_path, pause_s=0, extract=page_of(), image_url=picture_server)
    (tmp_path/'videos.csv').unlink()
    asked = []
    again = collect(VIDEO, tmp_path, pause_s=0, extract=lambda *args, **kwargs: asked.append(args))
    pd.testing.assert_frame_equal(again, videos)
    assert not asked


def test_killed_three_times_nothing_is_lost_or_doubled(tmp_path):
    script, found = ROOT/'benchmarks/collect_speed.py', tmp_path/'found.csv'
    command = [sys.executable, str(script), '--n', '400', '--out', str(found)]
    subprocess.run(command, check=True, timeout=280) # with 1,000 when it is run as it stands
    found = pd.read_csv(found).set_index('metric').value
    assert found['times killed at work'] == 3 and found['times told 429, and waited'] == 2
    for what in ('rows lost', 'rows doubled', 'rows that are wrong', 'good snapshots doubled'):
        assert found[what] == 0, what
    assert found['asked for twice, as a kill cut off the first snapshot'] <= 3


@pytest.mark.parametrize('message, kind', [
    ("[youtube] a: Sign in to confirm you’re not a bot. Use --cookies", StoppedBySite),
    ("[youtube] a: This content isn't available, try again later. The current session has been rate-limited",
     TooManyRequests),
    ('[youtube] Unable to download webpage: HTTP Error 429: Too Many Requests', TooManyRequests)])
def test_a_refusal_that_is_only_a_warning(message, kind, monkeypatch):
    "With `ignore_no_formats_error` yt-dlp warns, and gives an info dict with nothing in it."
    import yt_dlp
    class Warns:
        def __init__(self, options): self.options = options
        def __enter__(self): return self
        def __exit__(self, *args): pass
        def sanitize_info(self, info): return info
        def extract_info(self, url, download):
            assert not download and self.options['sleep_interval_requests'] == 0.75
            self.options['logger'].warning(message)
            return {'id': 'a'}
    monkeypatch.setattr(yt_dlp, 'YoutubeDL', Warns)
    with pytest.raises(StoppedBySite) as error: ask_site('https://www.youtube.com/watch?v=aaaaaaaaaaa')
    assert type(error.value) is kind


@pytest.mark.parametrize('arguments, code, message', [
    ([], 2, 'name an address'), (['--again'], 1, 'There is no videos.csv'),
    (['@somebody', '--after', 'soon'], 1, 'is not a date'),
    (['https://example.com/@somebody'], 1, 'is not a YouTube address')])
def test_the_command_says_what_is_wrong(arguments, code, message, tmp_path, capsys):
    assert main(['collect', *arguments, '--folder', str(tmp_path/'videos')]) == code
    told = capsys.readouterr().err
    assert message in told and told.count('\n') == 1 and not (tmp_path/'videos').exists()


@pytest.mark.parametrize('message', ['The page needs to be reloaded.', 'HTTP Error 403: Forbidden'])
def test_a_passing_refusal_is_asked_for_again(message, picture_server, tmp_path, monkeypatch):
    "As an error, and as a warning over an empty answer, which is all that yt-dlp makes of it here."
    import yt_dlp
    class Warns:
        def __init__(self, options): self.options = options
        def __enter__(self): return self
        def __exit__(self, *args): pass
        def sanitize_info(self, info): return info
        def extract_info(self, url, download):
            self.options['logger'].warning(f'[youtube] {VIDEO}: {message}')
            return {'id': VIDEO}
    monkeypatch.setattr(yt_dlp, 'YoutubeDL', Warns)
    def refuses(url, flat=False, limit=None): raise OSError(f'[youtube] {VIDEO}: Video unavailable. {message}')
    for site in (refuses, ask_site):
        options = dict(pause_s=0, image_url=picture_server, report=lambda text: None)
        assert collect(VIDEO, tmp_path/site.__name__, extract=site, **options).status.tolist() == ['failed']
        assert collect(VIDEO, tmp_path/site.__name__, extract=page_of(), **options).status.tolist() == ['ok']


@pytest.mark.parametrize('change', [dict(timestamp=None, upload_date='00010101'),
                                    dict(timestamp=1e11, upload_date='51381116'),
                                    dict(timestamp=-62135596800, upload_date=None, release_timestamp=1e11)])
def test_a_video_of_the_year_1_or_5138_stops_nothing(change, picture_server, tmp_path):
    ids, options = [VIDEO, 'b'*11], dict(pause_s=0, image_url=picture_server, report=lambda text: None)
    site = lambda url, flat=False, limit=None: {} if flat else PAGE | (change if VIDEO in url else {})
    videos = collect(ids, tmp_path, extract=site, **options)
    assert videos.status.tolist() == ['ok']*2 and videos.published_at.isna().tolist() == [True, False]
    for name in ('videos.csv', 'snapshots.csv'): # as earlier versions wrote them
        table = pd.read_csv(tmp_path/name, dtype='string')
        table.assign(published_at=['5138-11-16 00:00:00+00:00', '0001-01-01']).to_csv(tmp_path/name, index=False)
    with pytest.warns(UserWarning, match='published_at'):
        assert len(collect('c'*11, tmp_path, extract=site, **options)) == 3


def test_every_listing_is_capped(tmp_path):
    limits, many = [], [dict(id=f'{i:011}') for i in range(25_000)]
    def endless(url, flat=False, limit=None):
        limits.append(limit)
        return dict(entries=many) # however many are asked for
    for source in ('youtube.com/playlist?list=RDabcdefghijk', 'youtube.com/playlist?list=PL123', 'ytsearch9:x'):
        assert len(find_videos([source], endless)[0]) <= 20_000
    assert limits == [50, 20_000, 20_000]
    old = pd.Timestamp('2005-01-01', tz='UTC')
    assert len(find_videos(['@a'], lambda url, flat, limit: dict(entries=many[:limit]), after=old)[0]) == 20_000


def test_a_channel_without_the_tab(tmp_path):
    def only(tab):
        def site(url, flat=False, limit=None):
            if not url.endswith(tab): raise OSError(f'This channel does not have a {url.rpartition("/")[2]} tab')
            return dict(entries=[dict(id=VIDEO)])
        return site
    told = []
    for tab in ('videos', 'shorts', 'streams'): assert list(find_videos(['@a'], only(tab))[0]) == [VIDEO]
    assert not find_videos(['@a/shorts'], only('streams'), report=told.append)[0]
    assert 'does not have a shorts tab' in told[0]


def test_two_at_once(picture_server, tmp_path):
    "The second hears of it, and the first loses nothing; the lock of one that was killed holds nobody up."
    inside, options = [], dict(pause_s=0, image_url=picture_server, report=lambda text: None)
    def second(url, flat=False, limit=None):
        for run in (lambda: collect('b'*11, tmp_path, extract=page_of(), **options), lambda: observe(tmp_path)):
            try: run()
            except OSError as error: inside.append(str(error))
        collect('b'*11, tmp_path.parent/'another', extract=page_of(), **options)
        return PAGE
    assert collect(VIDEO, tmp_path, extract=second, **options).video_id.tolist() == [VIDEO]
    assert inside[0].startswith('Another run is collecting into')
    code = ('import os, signal, sys\nfrom mlcourse.thumbnails.collect import collect\n'
            'def site(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n'
            'collect("ccccccccccc", sys.argv[1], extract=site)')
    if os.name == 'posix': assert subprocess.run([sys.executable, '-c', code, tmp_path]).returncode == -9
    assert len(collect('b'*11, tmp_path, extract=page_of(), **options)) == 2


def test_a_clock_that_was_set_back(picture_server, tmp_path):
    options = dict(pause_s=0, image_url=picture_server, report=lambda text: None)
    collect(VIDEO, tmp_path, extract=page_of(), **options)
    for name in ('videos.csv', 'snapshots.csv'):
        table = pd.read_csv(tmp_path/name, dtype='string')
        table.assign(observed_at='2031-01-01 00:00:00+00:00').to_csv(tmp_path/name, index=False)
    assert observe(tmp_path, extract=page_of(view_count=6000), **options).view_count.tolist() == [6000]
    assert collect(VIDEO, tmp_path, extract=page_of(), **options).view_count.tolist() == [6000]
    assert read_snapshots(tmp_path).view_count.tolist() == [5000, 6000]


def test_a_picture_that_drips(tmp_path, monkeypatch):
    class Drips(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers()
            try:
                while True: self.wfile.write(b'x'); time.sleep(0.05)
            except OSError: pass
        def log_message(self, *args): pass
    server = ThreadingHTTPServer(('127.0.0.1', 0), Drips)
    Thread(target=server.serve_forever, daemon=True).start()
    impatient = lambda *args, **kwargs: download(*args, **kwargs | dict(max_seconds=kwargs['max_seconds']/200))
    monkeypatch.setattr('mlcourse.thumbnails.collect.download', impatient)
    videos = collect(VIDEO, tmp_path, pause_s=0, extract=page_of(), report=lambda text: None,
                     image_url=f'http://127.0.0.1:{server.server_port}/{{video_id}}/{{size}}')
    server.shutdown()
    assert videos.status.tolist() == ['failed'] and not list((tmp_path/'images').iterdir())


def test_a_full_disk_is_no_fault_of_the_network(picture_server, tmp_path, monkeypatch):
    def full(*args): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    options = dict(pause_s=0, image_url=picture_server, report=lambda text: None)
    collect(VIDEO, tmp_path, extract=page_of(), **options)
    with monkeypatch.context() as patched:
        patched.setattr('mlcourse.core._receive', full)
        with pytest.raises(CannotWrite, match='no space left on device.; make room'):
            collect('b'*11, tmp_path, extract=page_of(), **options)
    assert len(collect('b'*11, tmp_path, extract=page_of(), **options)) == 2


def test_tables_that_a_spreadsheet_saved(picture_server, tmp_path):
    options = dict(pause_s=0, image_url=picture_server, report=lambda text: None)
    before = collect(VIDEO, tmp_path, extract=page_of(), **options)
    for name in ('videos.csv', 'snapshots.csv'):
        table = pd.read_csv(tmp_path/name, dtype='string')
        dates = {column: pd.to_datetime(table[column], format='ISO8601').dt.strftime('%d.%m.%Y %H:%M')
                 for column in ('published_at', 'observed_at')}
        table.assign(**dates).to_csv(tmp_path/name, sep=';', encoding='utf-8-sig', index=False)
    after = collect([VIDEO, 'b'*11], tmp_path, extract=page_of(), **options)
    assert after.video_id.tolist() == read_snapshots(tmp_path).video_id.tolist() == [VIDEO, 'b'*11]
    assert (after.published_at[0], after.view_count[0]) == (before.published_at[0].floor('min'), before.view_count[0])


@pytest.mark.network
def test_the_real_site(tmp_path):
    videos = collect('ytsearch3:sourdough bread', tmp_path, sizes=('mqdefault',))
    assert len(videos) == 3 and (videos.status == 'ok').any()
    good = videos[videos.status == 'ok']
    assert good[['view_count', 'published_at', 'kind']].notna().all(axis=None) and good.width.eq(320).all()
    assert len(collect('ytsearch3:sourdough bread', tmp_path, sizes=('mqdefault',))) >= 3
