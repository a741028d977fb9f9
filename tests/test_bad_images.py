"""Pictures and tables that are not what they seem: one clear sentence, and no memory spent on them."""
import json, struct, subprocess, sys, zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from mlcourse.thumbnails.advice import advise, RULES
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


PEAK = Path('/proc/self/status') # on Linux; what `resource` says of a new process begins with the peak of its parent
PEAK_KB = f"int(re.search(r'VmHWM:\\s+(\\d+)', open('{PEAK}').read())[1])"


@pytest.mark.skipif(not PEAK.exists(), reason='only Linux tells the peak of a process')
def test_huge_png_is_refused_before_it_is_decoded(tmp_path):
    "A true 30,000 x 30,000 picture in a file of about 110 kB; decoded it would need 900 MB or more."
    path = tmp_path/'huge.png'
    path.write_bytes(png(30_000, 30_000, bytes(30_000 * (1 + 30_000//8))))
    assert path.stat().st_size < 1_000_000
    code = ("import re, sys\nfrom mlcourse.thumbnails.images import load_image, UnreadableImage\n"
            f"before = {PEAK_KB}\n"
            "try: load_image(sys.argv[1])\nexcept UnreadableImage as error: print(error)\n"
            f"print({PEAK_KB} - before)")
    done = subprocess.run([sys.executable, '-c', code, path], capture_output=True, text=True, check=True)
    told, grown = done.stdout.strip().rsplit('\n', 1)
    assert 'huge.png has more than 50,000,000 pixels' in told
    assert int(grown) < 20_000


def large_files(folder):
    "Pictures of 50 million pixels, the most that is read, in every number of bytes a pixel."
    grey = Image.linear_gradient('L').resize((7070, 7070)).point(lambda level: level // 4) # dark: edits are tried
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    files = {'grey.png': grey, 'clear.png': Image.merge('RGBA', [grey] * 4), 'floats.tiff': grey.convert('F'),
             'deep.png': deep}
    for name, image in files.items():
        image.save(folder/name)
        yield folder/name


@pytest.mark.skipif(not PEAK.exists(), reason='only Linux tells the peak of a process')
@pytest.mark.timeout(900)
def test_large_pictures_take_little_memory(tmp_path):
    "Whole reports, edits and all, one after the other; a grey PNG of 239 kB once took 5.6 GB."
    code = ("import re, sys\nfrom mlcourse.thumbnails.advice import advise\n"
            "for path in sys.argv[1:]:\n    report = advise(path)\n    report.fixed, report.to_html()\n"
            "    print(report.image.size, report.original.size, report.properties['width_px'])\n"
            f"    print({PEAK_KB})")
    command = [sys.executable, '-c', code, *large_files(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    sizes, peaks = told[::2], told[1::2]
    assert sizes == ['(1280, 1280) (3840, 3840) 7070'] * 4
    assert int(peaks[-1]) < 700_000, peaks


def profile(red, green, blue, gamma):
    "A colour profile (ICC, version 2) of a screen with these primaries, each X, Y and Z, and a gamma."
    def xyz(*values): return b'XYZ \0\0\0\0' + struct.pack('>3i', *(round(value * 65536) for value in values))
    curve = b'curv\0\0\0\0' + struct.pack('>IH', 1, round(gamma * 256)) + b'\0\0'
    name = b'desc\0\0\0\0' + struct.pack('>I', 6) + b'Wide \0'
    tags = {b'desc': name + bytes(-len(name) % 4 + 80), b'cprt': b'text\0\0\0\0none\0\0\0\0',
            b'wtpt': xyz(0.9642, 1, 0.8249),
            b'rXYZ': xyz(*red), b'gXYZ': xyz(*green), b'bXYZ': xyz(*blue),
            b'rTRC': curve, b'gTRC': curve, b'bTRC': curve}
    table, body, start = struct.pack('>I', len(tags)), b'', 128 + 4 + 12*len(tags)
    for tag, data in tags.items():
        table, body = table + tag + struct.pack('>II', start + len(body), len(data)), body + data
    head = struct.pack('>I4sI4s4s4s12x4s', start + len(body), b'lcms', 0x02100000, b'mntr', b'RGB ', b'XYZ ', b'acsp')
    head += bytes(68 - len(head)) + struct.pack('>3i', round(0.9642*65536), 65536, round(0.8249*65536))
    return head + bytes(128 - len(head)) + table + body


ADOBE = (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.2
PROPHOTO = (0.79767, 0.28804, 0), (0.13519, 0.71188, 0), (0.03134, 0.00009, 0.82491), 1.8
WIDE = {'Adobe RGB': profile(*ADOBE), 'ProPhoto': profile(*PROPHOTO)}


@pytest.mark.parametrize('name', WIDE)
@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP'])
def test_wide_colours_are_taken_to_the_screen(name, kind):
    "The same numbers in a wider space are a stronger colour, and grey stays grey."
    options = dict(icc_profile=WIDE[name], **dict(quality=100) if kind in ('JPEG', 'WEBP') else {})
    colours = [load_image(saved(Image.new('RGB', (64, 36), colour), kind, **options)).getpixel((9, 9))
               for colour in ((120, 100, 100), (128, 128, 128))]
    assert colours[0][0] - colours[0][1] > 22 and np.ptp(colours[1]) <= 3
    damaged = saved(Image.new('RGB', (64, 36), (120, 100, 100)), 'PNG', icc_profile=WIDE[name][:200])
    assert load_image(damaged).getpixel((9, 9)) == (120, 100, 100)


def test_a_long_history_is_no_attack():
    history = PngImagePlugin.PngInfo()
    history.add_itxt('XML:com.adobe.xmp', 'x' * 3_000_000, zip=True)
    assert same(load_image(saved(noise, 'PNG', pnginfo=history)), noise)


@pytest.mark.parametrize('levels', [np.float32, np.float64, np.uint16])
@pytest.mark.parametrize('top', [1, 255, 65_535])
def test_colours_in_many_bits(levels, top, tmp_path):
    "A TIFF or PNG of photo editors: the same picture, whatever its range."
    if levels is np.uint16 and top != 65_535: pytest.skip('16 bits have one range')
    cv2 = pytest.importorskip('cv2')
    wanted = np.asarray(noise.resize((64, 36)))
    assert cv2.imwrite(str(tmp_path/'deep.tiff'), (wanted / 255 * top).astype(levels)[..., ::-1])
    assert np.abs(np.asarray(load_image(tmp_path/'deep.tiff')).astype(int) - wanted).max() <= 6


def test_transparency_is_said():
    report = advise(saved(Image.new('RGBA', (320, 180), (200, 40, 40, 0)), 'PNG'))
    assert any('transparent' in note for note in report.notes)


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
    shown = {'1': image.convert('RGB'), 'P': image.convert('RGB'), 'I;16': Image.new('RGB', (160, 90), (156,)*3)}
    assert load_image(image).mode == 'RGB'
    assert same(load_image(image), shown.get(mode, noise), most=2)


def saved(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def same(image, wanted, most=0):
    "Whether two pictures are the same, pixel by pixel, up to `most` of 255 levels."
    image, wanted = (np.asarray(one.convert('RGB')).astype(int) for one in (image, wanted))
    return image.shape == wanted.shape and np.abs(image - wanted).max() <= most


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


def as_shown():
    "What a viewer of pictures shows of each of `odd_files`; the lossy ones are what Pillow makes of them."
    files, white = odd_files(), Image.new('RGB', (160, 90), 'white')
    through = {name: Image.open(BytesIO(data)).convert('RGB') for name, data in files.items()}
    deep = Image.fromarray((np.arange(90*160).reshape(90, 160) * 4 / 257).round().astype(np.uint8))
    hole = Image.open(BytesIO(files['palette_clear.png'])).convert('RGBA')
    hole = Image.alpha_composite(Image.new('RGBA', hole.size, 'white'), hole).convert('RGB')
    return through | {'turned.jpg': through['turned.jpg'].transpose(Image.Transpose.ROTATE_270), 'deep.png': deep,
                      'clear.png': white, 'palette_clear.png': hole}


@pytest.mark.parametrize('name', odd_files())
def test_odd_pictures_are_read_as_they_are_shown(name):
    assert same(load_image(odd_files()[name]), as_shown()[name], most=2)


@pytest.mark.parametrize('name', odd_files())
def test_odd_pictures_get_an_answer(name, tmp_path):
    path = tmp_path/name
    try: path.write_bytes(odd_files()[name])
    except OSError: pytest.skip('not a file name here')
    report = advise(path, title='"><img src=x onerror=alert(1)>')
    assert same(report.original, load_image(path))
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
        assert item.preview or item.guide or item.note or not RULES[item.name].edits
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
