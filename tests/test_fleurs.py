"""FLEURS from a loopback server that imitates its public home: redirects, ranges, and everything that can go wrong."""
import gzip, hashlib, io, tarfile, tracemalloc, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import soundfile

from mlcourse.core import DownloadFailed
from mlcourse.language.clips import COLUMNS, fleurs_clips, FLEURS_LANGUAGES, unpack, UnreadableTable, UnusableArchive

SOUND = 0.1*np.random.default_rng(0).normal(size=4000).astype(np.float32)


def wav(seconds=0.25):
    file = io.BytesIO()
    soundfile.write(file, SOUND[:round(16_000*seconds)], 16_000, format='WAV', subtype='FLOAT')
    return file.getvalue()


def tar_gz(members):
    "An archive of (name or TarInfo, bytes)."
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w:gz') as tar:
        for name, data in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not member.size: member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def row(number, name, gender='FEMALE'): return f'{number}\t{name}\tSaid "so\ttold\tt o l d\t4000\t{gender}\n'


class Home(BaseHTTPRequestHandler):
    "What huggingface.co does: small files at once, large ones through a redirect that announces the sum."
    def log_message(self, *args): pass

    def do_GET(self):
        server, path = self.server, self.path.removeprefix('/store')
        server.asked.append((self.path, self.headers['Range'], self.headers['If-Range']))
        if path not in server.files: return self.send_error(404)
        body = server.files[path]
        if path.endswith('.tar.gz') and path == self.path:
            self.send_response(302)
            self.send_header('Location', '/store'+path)
            if server.announce:
                announced = server.announce.get(path, hashlib.sha256(body).hexdigest())
                self.send_header('X-Linked-ETag', f'"{announced}"')
            self.send_header('Content-Length', 0)
            return self.end_headers()
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        ranged = self.headers['Range'] and self.headers['If-Range'] == etag
        start = int(self.headers['Range'][6:-1]) if ranged else 0
        self.send_response(206 if ranged else 200)
        if ranged: self.send_header('Content-Range', f'bytes {start}-{len(body)-1}/{len(body)}')
        self.send_header('ETag', etag)
        self.send_header('Content-Length', len(body)-start)
        self.end_headers()
        self.wfile.write(body[start:server.cuts.pop(path, len(body))])
        self.close_connection = True


@pytest.fixture
def home():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Home)
    server.asked, server.announce, server.cuts, server.files = [], {'': ''}, {}, {}
    for code in FLEURS_LANGUAGES.values():
        names = [f'{100+i}.wav' for i in range(3)]
        rows = [row(i//2, name) for i, name in enumerate([*names, names[0]])] # one clip twice
        server.files[f'/{code}/dev.tsv'] = ''.join(rows).encode()
        server.files[f'/{code}/audio/dev.tar.gz'] = tar_gz([(f'dev/{name}', wav()) for name in names])
    Thread(target=server.serve_forever, daemon=True).start()
    server.url = f'http://127.0.0.1:{server.server_port}'
    yield server
    server.shutdown()
    server.server_close()


ARCHIVE = '/en_us/audio/dev.tar.gz'


def test_whole_and_only_once(home, tmp_path, capsys):
    clips = fleurs_clips('dev', folder=tmp_path, url=home.url)
    assert list(clips.columns[:7]) == COLUMNS and clips.language.value_counts().to_dict() == {'en': 3, 'zh': 3}
    assert set(clips.split) == {'valid'} and set(clips.license) == {'CC-BY-4.0'} and clips.speaker.isna().all()
    assert set(clips.text) == {'Said "so'} and (clips.duration_s == 0.25).all()
    assert [len(soundfile.read(path)[0]) for path in clips.path] == [4000]*6
    printed = capsys.readouterr().out
    assert printed.startswith('FLEURS') and 'creativecommons.org/licenses/by/4.0' in printed
    assert printed.count('is as expected') == 2
    asked = len(home.asked)
    assert fleurs_clips('dev', folder=tmp_path, url=home.url).equals(clips) and len(home.asked) == asked
    assert not [path for path in tmp_path.rglob('*') if path.suffix in ('.gz', '.part', '.etag')]


def test_goes_on_after_a_cut(home, tmp_path):
    home.cuts[ARCHIVE] = 500
    with pytest.raises(DownloadFailed, match='500 of .* run it again to go on from there'):
        fleurs_clips('dev', folder=tmp_path, url=home.url)
    assert not (tmp_path/'en_us'/'dev.csv').exists()
    assert len(fleurs_clips('dev', folder=tmp_path, url=home.url)) == 6
    ranges = [ranged for path, ranged, _ in home.asked if path == '/store'+ARCHIVE]
    assert ranges == [None, 'bytes=499-']


def test_a_file_that_changed_meanwhile_begins_anew(home, tmp_path):
    home.cuts[ARCHIVE] = 500
    with pytest.raises(DownloadFailed): fleurs_clips('dev', folder=tmp_path, url=home.url)
    home.files[ARCHIVE] = tar_gz([(f'dev/{100+i}.wav', wav(0.2)) for i in range(3)])
    clips = fleurs_clips('dev', folder=tmp_path, url=home.url)
    assert len(soundfile.read(clips.path[0])[0]) == 3200


@pytest.mark.parametrize('known', [True, False])
def test_wrong_sum(home, tmp_path, known):
    "A sum that was given, or announced, and does not fit."
    if not known: home.announce = {ARCHIVE: '0'*64}
    with pytest.raises(DownloadFailed, match='not the expected file'):
        fleurs_clips('dev', folder=tmp_path, url=home.url, sums={'en_us/audio/dev.tar.gz': '1'*64} if known else {})
    home.announce = {'': ''}
    assert len(fleurs_clips('dev', folder=tmp_path, url=home.url)) == 6 # nothing of the wrong one is left


def test_no_sum_is_said(home, tmp_path, capsys):
    home.announce = None
    fleurs_clips('dev', folder=tmp_path, url=home.url)
    assert capsys.readouterr().out.count('was not checked') == 2


def test_not_there(home, tmp_path):
    with pytest.raises(DownloadFailed, match='404'): fleurs_clips('test', folder=tmp_path, url=home.url)
    with pytest.raises(DownloadFailed, match='Could not fetch'):
        fleurs_clips('dev', folder=tmp_path, url='http://127.0.0.1:9')


def link(name, target, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_hostile_members(home, tmp_path):
    "Names that climb, links and devices write nothing outside, and nothing in the place of a clip."
    outside = tmp_path/'outside'
    outside.mkdir()
    (outside/'precious').write_text('mine')
    precious = str(outside/'precious')
    home.files[ARCHIVE] = tar_gz([
        ('../../../evil.wav', b'x'), (str(outside/'evil.wav'), b'x'), (link('dev', str(outside)), b''),
        ('dev/precious', b'x'), (link('dev/100.wav', precious), b''),
        (link('dev/101.wav', precious, tarfile.LNKTYPE), b''), (link('dev/102.wav', '', tarfile.FIFOTYPE), b''),
        ('dev/../100.wav', wav())])
    with warnings.catch_warnings(record=True) as told:
        clips = fleurs_clips('dev', languages={'en': 'en_us'}, folder=tmp_path/'a'/'b', url=home.url)
    assert '2 of 3 clips' in str(told[0].message) and [soundfile.info(path).frames for path in clips.path] == [4000]
    assert [p.name for p in outside.iterdir()] == ['precious'] and (outside/'precious').read_text() == 'mine'
    assert not list(tmp_path.rglob('evil.wav')) and not [p for p in tmp_path.rglob('*') if p.is_symlink()]


def test_bombs_and_damage(home, tmp_path):
    archive = tmp_path/'a.tar.gz'
    archive.write_bytes(tar_gz([('100.wav', bytes(3_000_000))]))
    with pytest.raises(UnusableArchive, match='more than 1,000,000 bytes'):
        unpack(archive, {'100.wav'}, tmp_path/'out', max_bytes=1_000_000)
    assert not list((tmp_path/'out').iterdir())
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE): # a name of a gigabyte, to be held in memory
        header = tarfile.TarInfo('x'); header.type, header.size = kind, 10**9
        archive.write_bytes(gzip.compress(header.tobuf() + bytes(5_000_000)))
        with pytest.raises(UnusableArchive, match='a header of it is too large'): unpack(archive, {'x'}, tmp_path/'out')
    whole = home.files[ARCHIVE]
    for bad in (whole[:len(whole)//2], b'not an archive', b''):
        home.files[ARCHIVE] = bad
        with pytest.raises(UnusableArchive, match='cannot be unpacked'):
            fleurs_clips('dev', folder=tmp_path/'f', url=home.url)
    home.files[ARCHIVE] = whole
    assert len(fleurs_clips('dev', folder=tmp_path/'f', url=home.url)) == 6


def sparse_file(n):
    "A member with a hole or two, and `n` headers that speak of more."
    info = tarfile.TarInfo('a.wav')
    info.type = tarfile.GNUTYPE_SPARSE
    head, hole = bytearray(info.tobuf(tarfile.GNU_FORMAT)), b'%011o\0' % 1
    head[386:482], head[482] = hole*8, 1
    head[148:156] = b'%06o\0 ' % (sum(head[:148])+8*ord(' ')+sum(head[156:]))
    return bytes(head) + (hole*42).ljust(504, b'\0').ljust(512, b'\1')*n


@pytest.mark.parametrize('content, why', [
    (sparse_file(20_000), 'sparse'), (tarfile.TarInfo('a').tobuf()*5000, 'more than 1,000 members'),
    (b''.join(tarfile.TarInfo('x'*900_000).tobuf(tarfile.GNU_FORMAT) for _ in range(60)), None)])
def test_what_an_archive_claims_takes_no_memory(content, why, tmp_path):
    (tmp_path/'a.tar.gz').write_bytes(gzip.compress(content, 1))
    tracemalloc.start()
    try:
        if why is None: unpack(tmp_path/'a.tar.gz', {'a.wav'}, tmp_path/'out')
        else:
            with pytest.raises(UnusableArchive, match=why):
                unpack(tmp_path/'a.tar.gz', {'a.wav'}, tmp_path/'out', max_members=1000)
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally: tracemalloc.stop()


@pytest.mark.parametrize('bad', [b'1\t../../evil.wav\ta\ta\ta\t1\tMALE\n', b'1\t/etc/passwd\ta\ta\ta\t1\tMALE\n',
                                 b'<html>404</html>', b'\xff\xfe\x00', b'', b'1\ta.wav\ta\ta\ta\tmany\tMALE\n'])
def test_bad_table(home, tmp_path, bad):
    home.files['/en_us/dev.tsv'] = bad
    with pytest.raises(UnreadableTable, match='try again later') as error:
        fleurs_clips('dev', folder=tmp_path, url=home.url)
    assert '\n' not in str(error.value)
