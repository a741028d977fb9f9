"Recordings that a player would play in spite of what is odd about them: read as it would, and said so."
import io, os, threading

import av
import numpy as np
import pytest

from bad_clips import encode, sound_file, wav_header
from mlcourse.language.audio import CANCELLED, load, load_with_warnings, SAMPLE_RATE


def tone(seconds, hertz=440):
    return (0.3*np.sin(2*np.pi*hertz*np.arange(int(seconds*SAMPLE_RATE))/SAMPLE_RATE)).astype('f4')


def lasts(data): return len(load(data))/SAMPLE_RATE


@pytest.mark.parametrize('kind', ['VORBIS', 'OPUS'])
def test_a_chain_of_ogg_files_is_read_to_its_end(kind):
    links = [sound_file(tone(seconds), format='OGG', subtype=kind) for seconds in (0.5, 2, 1)]
    assert lasts(b''.join(links)) == pytest.approx(3.5, abs=0.1)
    assert len(load(b''.join(links), max_seconds=1)) == SAMPLE_RATE


def test_links_of_a_chain_may_differ_in_rate_and_be_damaged():
    slow = sound_file(tone(1)[::2], rate=8000, format='OGG')
    assert lasts(slow+sound_file(tone(2), format='OGG')) == pytest.approx(3, abs=0.1)
    samples, warnings = load_with_warnings(sound_file(tone(2), format='OGG')+slow[:60])
    assert len(samples)/SAMPLE_RATE == pytest.approx(2, abs=0.1) and warnings == ['a part of it cannot be read']


@pytest.mark.parametrize('extension', ['mp3', 'flac'])
def test_files_that_were_joined_are_read_to_their_end(extension):
    assert lasts(encode(tone(6), extension)+encode(tone(5, 600), extension)) == pytest.approx(11, abs=0.3)


@pytest.mark.parametrize('size', [0, 2**32-1, 2**31-1])
def test_a_wav_whose_size_was_never_written(size):
    samples = (tone(3)*32767).astype('<i2').tobytes()
    assert lasts(wav_header(data_bytes=size)+samples) == pytest.approx(3, abs=0.01)


def adts(seconds, rate, channels):
    "AAC as a phone streams it."
    file = io.BytesIO()
    with av.open(file, 'w', format='adts') as container:
        layout = 'mono' if channels == 1 else 'stereo'
        stream = container.add_stream('aac', rate=rate, layout=layout)
        row = 0.3*np.sin(2*np.pi*440*np.arange(int(seconds*rate))/rate).astype('f4')
        frame = av.AudioFrame.from_ndarray(np.stack([row]*channels), format='fltp', layout=layout)
        frame.sample_rate = rate
        fitted = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size)
        for part in fitted.resample(frame)+fitted.resample(None): container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def test_aac_whose_channels_and_rate_change_midway():
    assert lasts(adts(2, 44_100, 2)+adts(3, 44_100, 1)) == pytest.approx(5, abs=0.2)
    assert lasts(adts(2, 44_100, 1)+adts(3, 22_050, 1)) == pytest.approx(5, abs=0.2)


def test_a_damaged_packet_is_skipped_and_said():
    data = bytearray(encode(tone(20), 'm4a'))
    with av.open(io.BytesIO(bytes(data))) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size and packet.pos]
    place, size = packets[len(packets)//4]
    data[place:place+size] = b'\xff'*size
    samples, warnings = load_with_warnings(bytes(data))
    assert len(samples)/SAMPLE_RATE == pytest.approx(20, abs=0.3)
    assert warnings == [] or 'damaged' in warnings[0]


def with_pause(pause_s, tracks=1, default=0):
    "A Matroska file of one second of sound, a pause in its clock, and one more second; silent tracks beside it."
    file = io.BytesIO()
    with av.open(file, 'w', format='matroska') as container:
        streams = [container.add_stream('pcm_s16le', rate=SAMPLE_RATE, layout='mono') for _ in range(tracks)]
        for number, stream in enumerate(streams): stream.disposition = int(number == default)
        for number, stream in enumerate(streams):
            for _i, start in enumerate((0, 1+pause_s)):
                samples = tone(1) if number == default else np.zeros(SAMPLE_RATE, 'f4')
                frame = av.AudioFrame.from_ndarray((samples*32767).astype('i2')[None], format='s16', layout='mono')
                frame.sample_rate, frame.pts = SAMPLE_RATE, int(start*SAMPLE_RATE)
                container.mux(stream.encode(frame))
    return file.getvalue()


def test_a_pause_in_the_clock_is_silence():
    samples = load(with_pause(2))
    assert len(samples)/SAMPLE_RATE == pytest.approx(4, abs=0.05)
    assert not samples[int(1.1*SAMPLE_RATE):int(2.9*SAMPLE_RATE)].any() and samples[int(3.1*SAMPLE_RATE):].any()
    assert lasts(with_pause(100_000)) == pytest.approx(2, abs=0.05), 'a broken clock is no pause'


def test_the_default_track_is_read():
    assert load(with_pause(0, tracks=2, default=1)).any()


@pytest.mark.parametrize('extension', ['wav', 'array'])
def test_channels_that_cancel(extension):
    stereo = np.stack([tone(1), -tone(1)], axis=1)
    samples, warnings = load_with_warnings(sound_file(stereo) if extension == 'wav' else (stereo, SAMPLE_RATE))
    assert np.abs(samples).max() > 0.25 and warnings == [CANCELLED]
    assert load_with_warnings(sound_file(np.stack([tone(1), 0*tone(1)], axis=1)))[1] == []


def test_floats_above_full_scale_are_turned_down():
    samples = load(sound_file(5*tone(1), subtype='FLOAT'))
    assert np.abs(samples).max() <= 1 and np.mean(np.abs(samples) > 0.99) < 0.1
    np.testing.assert_allclose(samples/np.abs(samples).max(), tone(1)/0.3, atol=0.01)


def test_a_stream_that_cannot_seek():
    read, write = os.pipe()
    def speak():
        with os.fdopen(write, 'wb') as pipe: pipe.write(sound_file(tone(1)))
    threading.Thread(target=speak).start()
    with os.fdopen(read, 'rb') as pipe: assert len(load(pipe)) == SAMPLE_RATE
