"""Pictures and tables that are not what they seem: one clear sentence, and no memory spent on them."""
import json, struct, subprocess, sys, zlib
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont

from mlcourse.thumbnails.advice import advise
from mlcourse.thumbnails.images import load_image, UnreadableImage
from mlcourse.thumbnails.videos import BadVideos, label, read_videos


def png(width, height, pixels=b'\0'):
    "A PNG with a true header; `pixels` is what its data unpacks to."
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    header = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0) # one bit a pixel
    data = zlib.compress(pixels, 9)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', data) + chunk(b'IEND', b'')


def jpeg(image):
    file = BytesIO()
    image.save(file, 'JPEG')
    return file.getvalue()


noise = Image.effect_noise((320, 180), 60).convert('RGB')
BAD = {'text.jpg': b'This is not a picture.', 'empty.jpg': b'', 'truncated.jpg': jpeg(noise)[:3000],
       'header.png': png(30_000, 30_000)[:40], 'page.html': b'<html><script>alert(1)</script></html>',
       'drawing.eps': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'nul.jpg': b'\0' * 5000}


def one_sentence(error):
    text = str(error.value)
    return text.endswith('.') and '\n' not in text and 10 < len(text) < 300


@pytest.mark.parametrize('name', BAD)
@pytest.mark.parametrize('ask', [load_image, advise])
def test_not_a_picture(ask, name, tmp_path):
    path = tmp_path/name
    path.write_bytes(BAD[name])
    for source in (path, str(path), BAD[name], BytesIO(BAD[name])):
        with pytest.raises(UnreadableImage) as error: ask(source)
        assert one_sentence(error)
    with pytest.raises(UnreadableImage, match=name): ask(path)


def test_no_file_there(tmp_path):
    with pytest.raises(FileNotFoundError) as error: load_image(tmp_path/'none.jpg')
    assert one_sentence(error) and 'none.jpg' in str(error.value)
    with pytest.raises(IsADirectoryError) as error: load_image(tmp_path)
    assert one_sentence(error)


def test_huge_png_is_refused_before_it_is_decoded(tmp_path):
    "A true 30,000 x 30,000 picture in a file of about 110 kB; decoded it would need 900 MB or more."
    pytest.importorskip('resource') # not on Windows
    path = tmp_path/'huge.png'
    path.write_bytes(png(30_000, 30_000, bytes(30_000 * (1 + 30_000//8))))
    assert path.stat().st_size < 1_000_000
    code = ("import resource, sys\nfrom mlcourse.thumbnails.images import load_image, UnreadableImage\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "try: load_image(sys.argv[1])\nexcept UnreadableImage as error: print(error)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
    done = subprocess.run([sys.executable, '-c', code, path], capture_output=True, text=True, check=True)
    told, grown = done.stdout.strip().rsplit('\n', 1)
    assert 'huge.png has more than 50,000,000 pixels' in told
    assert int(grown) < (20_000 if sys.platform != 'darwin' else 20_000_000) # kB on Linux, bytes on macOS


@pytest.mark.parametrize('size', [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize('colour', ['black', 'white', 'red'])
def test_tiny_pictures_get_an_answer(size, colour):
    report = advise(Image.new('RGB', size, colour), title='<b>x</b>')
    assert 'small' in [item.name for item in report.recommendations]
    assert '<b>x' not in report.to_html()
    for item in report.recommendations: assert bool(item.preview) == bool(item.change)
    report.figure()


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGBA', 'CMYK', 'YCbCr', 'HSV', 'LAB', 'I', 'F', 'I;16'])
def test_every_kind_of_picture(mode):
    image = Image.fromarray(np.full((90, 160), 40_000, np.uint16)) if mode == 'I;16' else noise.convert(mode)
    assert load_image(image).mode == 'RGB'
    assert load_image(image).size == image.size


def saved(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def odd_files():
    "Pictures that are true pictures, in ways that programs stumble over."
    turned = Image.Exif()
    turned[0x0112] = 6 # a camera held upright: to be shown turned by 90 degrees
    turned[0x010e] = '<script>alert(1)</script>'
    deep = Image.fromarray((np.arange(90*160).reshape(90, 160) * 4).astype(np.uint16))
    clear = Image.new('RGBA', (160, 90), (255, 0, 0, 0))
    frames = [noise.resize((160, 90)).convert('P'), Image.new('P', (160, 90))]
    return {'cmyk.jpg': saved(noise.convert('CMYK'), 'JPEG'), 'deep.png': saved(deep, 'PNG'),
            'palette.png': saved(noise.convert('P'), 'PNG'), 'clear.png': saved(clear, 'PNG'),
            'palette_clear.png': saved(noise.convert('P'), 'PNG', transparency=0),
            'turned.jpg': saved(noise, 'JPEG', exif=turned),
            'really_a_gif.jpg': saved(frames[0], 'GIF', save_all=True, append_images=frames[1:]),
            'really_a_jpeg.png': saved(noise, 'JPEG'), 'bilevel.tiff': saved(noise.convert('1'), 'TIFF'),
            'no_extension': saved(noise, 'WEBP'), '<b>name.jpg': saved(noise, 'JPEG')}


@pytest.mark.parametrize('name', odd_files())
def test_odd_pictures_get_an_answer(name, tmp_path):
    path = tmp_path/name
    try: path.write_bytes(odd_files()[name])
    except OSError: pytest.skip('not a file name here')
    report = advise(path, title='"><img src=x onerror=alert(1)>')
    assert report.image.size == ((180, 320) if name == 'turned.jpg' else report.image.size)
    page = report.to_html(page=True)
    assert '<script' not in page and '<img src=x' not in page and '<b>' not in page and page.isascii()
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_words_on_the_picture_are_escaped_too():
    "What is read on a picture never gets onto the page unescaped."
    image = Image.new('RGB', (640, 360), (40, 90, 160))
    font = ImageFont.load_default(40)
    ImageDraw.Draw(image).text((40, 140), '<script>alert(1)</script>', fill=(70, 120, 180), font=font)
    assert '<script' not in advise(image).to_html(page=True)


def test_a_page_of_text_gets_its_edits_or_a_reason():
    image = Image.new('RGB', (640, 360), (30, 60, 90))
    for i in range(9):
        text, font = f'line {i} of far too many words', ImageFont.load_default(30 - i)
        ImageDraw.Draw(image).text((20, 10 + 38*i), text, fill='white', font=font)
    report = advise(image)
    assert {'too many words', 'small text'} <= {item.name for item in report.recommendations}
    for item in report.recommendations:
        assert item.preview or item.note or item.name in ('blurred', 'small', 'heavy file')
    assert report.to_html(page=True).isascii()


def test_long_strips_are_quick():
    for size in ((20_000, 2), (2, 20_000), (3000, 100)):
        report = advise(Image.new('RGB', size, 'red'))
        assert 'shape' in [item.name for item in report.recommendations]
        report.to_html()


def test_table_with_missing_numbers():
    published = ['2024-01-01', None, '2024-01-01', '2024-01-01', 'never', '2030-01-01']
    table = pd.DataFrame({'video_id': list('abcdef'), 'channel_id': ['x', 'x', None, None, 'y', 'z'],
                          'published_at': published, 'observed_at': '2024-01-11',
                          'view_count': [2000, 5, None, 'hidden', 7, 9]})
    labelled = label(table)
    assert labelled.views_per_day[0] == 200 and labelled.views_per_day.isna().tolist() == [False] + [True]*5
    assert labelled.above_threshold.isna().sum() == 5 and labelled.subscriber_count.isna().all()
    assert set(labelled.split) <= {'train', 'valid'} and labelled.split.notna().all()
    with pytest.raises(BadVideos): label(table.drop(columns='view_count'))


def test_tables_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError): read_videos(tmp_path/'nowhere')
    (tmp_path/'videos.csv').write_bytes(b'\xff\xfe\x00bad\x00')
    with pytest.raises(BadVideos) as error: read_videos(tmp_path)
    assert 'videos.csv' in str(error.value)
    (tmp_path/'videos.csv').write_text('')
    with pytest.raises(BadVideos): read_videos(tmp_path)
