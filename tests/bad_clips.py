"""Two hundred files that are no good clips, always the same ones, and what reads them all, for test_bad_clips.py.

    python tests/bad_clips.py make FOLDER [SEED]    writes the files; another seed damages others
    python tests/bad_clips.py read FOLDER           reads each, and prints a line of JSON for it
"""
import io, json, os, struct, sys, time, traceback, zipfile
from pathlib import Path

import av
import numpy as np
import soundfile

from mlcourse.language.audio import load, SAMPLE_RATE
from mlcourse.language.clips import example_clips

CONTAINERS = {'wav': ('wav', 'pcm_s16le'), 'flac': ('flac', 'flac'), 'mp3': ('mp3', 'libmp3lame'), 'ogg': None,
              'opus': ('opus', 'libopus'), 'm4a': ('mp4', 'aac'), 'webm': ('webm', 'libopus'),
              'mkv': ('matroska', 'aac')}
RATES = {'opus': 48_000, 'webm': 48_000}


def encode(samples, extension, picture=None, sound=True):
    "`samples` in any container, with a second of video before them if there is a `picture` codec."
    if extension == 'ogg': return sound_file(samples, format='OGG') # Vorbis, which PyAV cannot write
    format, codec = CONTAINERS.get(extension, ('mp4', 'aac'))
    file, rate = io.BytesIO(), RATES.get(extension, SAMPLE_RATE)
    with av.open(file, 'w', format=format) as container:
        if picture:
            video = container.add_stream(picture, rate=5)
            video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        if sound: audio = container.add_stream(codec, rate=rate, layout='mono')
        if picture:
            for i in range(5):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50*i, np.uint8), format='rgb24')
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if sound:
            row = np.ascontiguousarray(samples[None], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(row, format='flt', layout='mono')
            frame.sample_rate = SAMPLE_RATE
            fitted = av.AudioResampler(format=audio.format, layout='mono', rate=rate, frame_size=audio.frame_size)
            for part in fitted.resample(frame)+fitted.resample(None): container.mux(audio.encode(part))
            container.mux(audio.encode(None))
    return file.getvalue()


def sound_file(samples, rate=SAMPLE_RATE, format='WAV', **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, **options)
    return file.getvalue()


def damaged(whole, extension, rng):
    "One good file, spoilt in many ways: name -> bytes."
    files = {}
    for i in range(6): # the header, a few bytes at a time
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 60 if i < 3 else 400), 2+3*i): data[place] = rng.integers(256)
        files[f'header{i}.{extension}'] = bytes(data)
    for share in (0.001, 0.01, 0.2, 0.5, 0.9): files[f'cut{share}.{extension}'] = whole[:int(len(whole)*share)]
    data = bytearray(whole)
    for place in rng.integers(0, len(data), len(data)//50): data[place] = rng.integers(256)
    files[f'rotten.{extension}'] = bytes(data)
    files[f'empty.{extension}'] = b''
    files[f'middle.{extension}'] = whole[len(whole)//2:]
    return files


def wav_header(rate=16_000, channels=1, bits=16, format=1, data_bytes=32_000, block=None):
    "44 bytes that claim whatever they are told to."
    block = channels*bits//8 if block is None else block
    return (b'RIFF'+struct.pack('<I', min(data_bytes+36, 2**32-1))+b'WAVEfmt '+
            struct.pack('<IHHIIHH', 16, format, channels % 2**16, rate % 2**32, rate*block % 2**32, block % 2**16, bits)
            +b'data'+struct.pack('<I', data_bytes % 2**32))


def strange(voice):
    "Files that are well made, but not what one hopes for."
    tone = 0.3*np.sin(2*np.pi*440*np.arange(SAMPLE_RATE)/SAMPLE_RATE)
    spoilt = {name: np.where(np.arange(len(voice)) % 100 == 0, value, voice)
              for name, value in [('nan', np.nan), ('inf', np.inf), ('huge', 1e38)]}
    noise = np.random.default_rng(0).bytes(32_000)
    flac = bytearray(sound_file(voice, format='FLAC'))
    flac[21] |= 0x0f; flac[22:26] = b'\xff'*4 # the header now speaks of 2**36 samples
    mp4 = bytearray(encode(voice, 'm4a'))
    at = mp4.find(b'mvhd'); mp4[at+20:at+24] = b'\xff\xff\xff\xf0' # ... and of fifty days
    return ({f'{name}.wav': sound_file(samples, subtype='FLOAT') for name, samples in spoilt.items()} |
            {'all_nan.wav': sound_file(np.full(16_000, np.nan), subtype='DOUBLE'),
             'fast.wav': sound_file(np.tile(tone, 12), 192_000),
             'fast.flac': sound_file(np.tile(tone, 40), 655_350, 'FLAC'),
             'slow.wav': sound_file(tone, 1), 'channels8.wav': sound_file(np.stack([tone]*8, 1), 48_000),
             'channels8.flac': sound_file(np.stack([tone]*8, 1), 48_000, 'FLAC'),
             'one_sample.wav': sound_file(tone[:1]), 'one_sample.flac': sound_file(tone[:1], format='FLAC'),
             'one_sample.ogg': sound_file(tone[:1], format='OGG'),
             'header_only.wav': wav_header(), 'no_channels.wav': wav_header(channels=0)+noise,
             'many_channels.wav': wav_header(channels=65_535)+noise, 'rate0.wav': wav_header(rate=0)+noise,
             'rate_huge.wav': wav_header(rate=2**32-1)+noise, 'claims_4gb.wav': wav_header(data_bytes=2**32-1)+noise,
             'bits0.wav': wav_header(bits=0)+noise, 'bits64.wav': wav_header(bits=64)+noise,
             'format.wav': wav_header(format=0x7777)+noise, 'block0.wav': wav_header(block=0)+noise,
             'claims_days.flac': bytes(flac), 'claims_days.m4a': bytes(mp4),
             'tag.mp3': b'ID3\x04\x00\x00\x7f\x7f\x7f\x7f'+noise, 'zeros.mp3': bytes(100_000),
             'ones.mp3': b'\xff'*100_000, 'noise.mp3': noise, 'noise.opus': b'OggS'+noise,
             'noise.webm': b'\x1a\x45\xdf\xa3'+noise, 'noise.m4a': b'\0\0\0\x18ftypM4A '+noise,
             'film.mp4': encode(voice, 'mp4', 'mpeg4'),
             'silent_film.mp4': encode(voice, 'mp4', 'mpeg4', sound=False),
             'film.webm': encode(voice, 'webm', 'libvpx'),
             'silent_film.webm': encode(voice, 'webm', 'libvpx', sound=False),
             'silence.wav': sound_file(np.zeros(48_000)), 'voice.raw': sound_file(voice),
             'voice.sd2': sound_file(voice)})


def foreign(secret, address):
    "Files of other kinds, some of which ask FFmpeg to open yet another file, or an address."
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, 'w', zipfile.ZIP_DEFLATED) as archive: archive.writestr('clip.wav', bytes(5_000_000))
    hls = '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n'
    dash = ('<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="audio/mp4">'
            '<Representation id="1" bandwidth="9">'
            f'<BaseURL>{address}/c.m4a</BaseURL></Representation></AdaptationSet></Period></MPD>')
    texts = {'notes.wav': 'milk, eggs, bread\n'*50, 'page.ogg': '<html><body>404</body></html>',
             'data.m4a': json.dumps({'a': 1}), 'one.mp3': 'x', 'table.webm': 'a,b\n1,2\n',
             'script.flac': '#!/bin/sh\necho hello\n', 'drawing.ogg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
             'words.wav': '1\n00:00:01,000 --> 00:00:02,000\nhello\n', 'lyrics.mp3': '[00:01.00]hello\n',
             'meta.m4a': ';FFMETADATA1\ntitle=x\n',
             'near.ffconcat': f'ffconcat version 1.0\nfile {secret.name}\n',
             'near.wav': f'ffconcat version 1.0\nfile {secret.name}\n',
             'far.wav': f"ffconcat version 1.0\nfile '{secret}'\n",
             'net.wav': f"ffconcat version 1.0\nfile '{address}/a.wav'\n",
             'list.m3u8': hls.format(secret.name), 'list.mp3': hls.format(secret),
             'net.m3u8': hls.format(f'{address}/b.wav'), 'file.m3u8': hls.format(f'file://{secret}'),
             'list.m3u': f'{secret}\n', 'list.pls': f'[playlist]\nFile1={secret}\n',
             'call.sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n',
             'dash.mpd': dash, 'frames.wav': 'frame%03d.png', 'graph.wav': 'amovie=secret.wav',
             'tune.xspf': f'<playlist><track><location>{address}/d.wav</location></track></playlist>'}
    return {name: text.encode() for name, text in texts.items()} | {
        'archive.wav': zipped.getvalue(), 'archive.mp3': zipped.getvalue(),
        'picture.wav': b'\x89PNG\r\n\x1a\n'+bytes(2000), 'picture.mp3': b'\xff\xd8\xff\xe0'+bytes(2000),
        'moving.ogg': b'GIF89a'+bytes(500), 'program.wav': b'\x7fELF'+bytes(5000),
        'paper.wav': b'%PDF-1.7\n'+bytes(3000)}


def make(folder, address, seed=0):
    "Write all of them into `folder`; `address` is one that none may ask."
    folder.mkdir()
    rng = np.random.default_rng(seed)
    voice = load(example_clips().path.iloc[0])
    secret = folder/'secret.wav' # a good clip, which only its own name may open
    secret.write_bytes(sound_file(voice))
    files = {}
    for extension in CONTAINERS: files |= damaged(encode(voice, extension), extension, rng)
    for extension, other in zip(CONTAINERS, [*CONTAINERS][1:]+['wav']):
        files[f'named_{other}_is_{extension}.{other}'] = encode(voice, extension)
    files |= strange(voice) | foreign(secret, address)
    files |= {'new\nline.wav': b'no', '-rf.wav': b'no', "a'b;c$(d).wav": b'no', 'é语.wav': b'no'}
    for name, data in files.items(): (folder/name).write_bytes(data)
    (folder/'folder.wav').mkdir()
    if hasattr(os, 'mkfifo'):
        os.mkfifo(folder/'pipe.wav')
        (folder/'loop.wav').symlink_to('loop.wav')
        (folder/'nowhere.wav').symlink_to('gone.wav')


def read_all(folder):
    "Load each file in `folder`; a line of JSON for each."
    os.chdir(folder) # where a playlist would look
    for path in sorted(folder.iterdir()):
        start, row = time.process_time(), {'name': path.name}
        try: row['samples'] = len(load(path, max_seconds=60))
        except (ValueError, OSError) as error: row |= {'error': str(error), 'kind': type(error).__name__}
        except Exception: row['traceback'] = traceback.format_exc()
        print(json.dumps(row | {'seconds': time.process_time()-start}), flush=True)


if __name__ == '__main__':
    task, folder = sys.argv[1], Path(sys.argv[2])
    if task == 'make': make(folder, 'http://127.0.0.1:9', int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    else: read_all(folder)
