"""Make mlcourse/photos: photographs that thumbnails are composed from, with their credits.

    python recipes/photos.py THUMBNAILS

THUMBNAILS holds photos.parquet: photographs under free licences, with the columns name, image (JPEG), what, author,
licence and source. Those that photos.yaml names are cut to 16:9 and made smaller; photos.csv says whose they are, and
what a video with such a picture may be called. The same table and settings give the same files.
"""
import argparse, io
from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

from mlcourse.core import atomic_path, write_csv

HERE = Path(__file__).parent
OUT = HERE.parent/'mlcourse'/'photos'
CREDITS = ['what', 'author', 'licence', 'source']


def widescreen(image, middle, longest):
    "The 16:9 part of a picture around a share of its height, no wider than `longest` pixels."
    height = min(image.height, image.width*9/16)
    width = height*16/9
    left, top = (image.width - width)/2, min(max(0, middle*image.height - height/2), image.height - height)
    part = image.crop((round(left), round(top), round(left + width), round(top + height)))
    part.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return part


def main():
    parser = argparse.ArgumentParser(description='Cut the photographs that ship.')
    parser.add_argument('folder', type=Path)
    table = pd.read_parquet(parser.parse_args().folder/'photos.parquet').set_index('name')
    settings, rows = yaml.safe_load((HERE/'photos.yaml').read_text(encoding='utf-8')), []
    for path in OUT.glob('*.jpg'): path.unlink()
    for name, photo in settings['photos'].items():
        source = table.loc[photo['photo']]
        part = widescreen(Image.open(io.BytesIO(source.image)).convert('RGB'), photo['middle'], settings['longest'])
        with atomic_path(OUT/f'{name}.jpg') as path: part.save(path, quality=settings['quality'], optimize=True)
        rows.append({'name': name, **{key: photo[key] for key in ('title', 'channel', 'words', 'side')},
                     **source[CREDITS], 'width': part.width, 'height': part.height})
    write_csv(pd.DataFrame(rows), OUT/'photos.csv')
    size = sum(path.stat().st_size for path in OUT.glob('*.jpg'))
    print(pd.DataFrame(rows)[['name', 'width', 'licence', 'author']].to_string(index=False))
    print(f'{len(rows)} photographs, {size/1e6:.2f} MB')


if __name__ == '__main__': main()
