"""Is the advice right? Plant faults in thumbnails, and see whether they are named and whether the edits fix them.

    python benchmarks/advice_quality.py --gallery ~/data/gallery.parquet --photos ~/data/photos.parquet --fonts ~/fonts
    python benchmarks/advice_quality.py --gallery ~/data/gallery.parquet --half tune
    python benchmarks/advice_quality.py --photos ~/data/photos.parquet --fonts ~/fonts --sheets ~/votes
    python benchmarks/advice_quality.py --votes ~/votes

The first takes the half that is reported, the second the half the rules were tuned on. The third makes the pages of a
blind vote: 60 pairs of thumbnails, before and after all fixes together; `--seed 2` makes others, `--pairs 120` more.
Somebody who has not seen key.csv writes `left` or `right`, the one they would rather put up, beside each pair in
votes.csv, and the fourth counts, with the interval (Wilson, 95%) of the share that prefers the fixed one, and keeps
both (advice_votes.csv, advice_vote_shares.csv).

gallery.parquet holds real thumbnails (columns video_id, source, image as JPEG bytes), photos.parquet photographs (name,
image) to compose thumbnails from, and the folder of fonts Anton-Regular.ttf, BebasNeue-Regular.ttf and the bold faces
of Noto Sans, for other scripts. What is missing is left out.

The faults, their levels, the seeds and the halves below were written down before the rules were tuned:

- Twelve kinds of faults, and eight that came later, one at a time, each at a level drawn at random from the range in
  `FAULTS`.
- Composed thumbnails: each photograph at 1280x720 with one to three words of a display font, a tenth to a fifth of the
  height, in the quietest of four places, and a title that says something else (`composed`). Each gets every fault.
- Drawn thumbnails: 300, a hundred from each of three seeds; the tuning half has other seeds. A clean one has a good
  exposure, contrast and colour, one to four words and at most a few shapes (`clean_drawing`). Each gets four of the
  twelve faults in turn, so that every fault is injected in 100 of them.
- Real thumbnails: 100, from the half of the gallery whose hashed video_id is odd; even ones are for tuning.
- An injected fault counts as named when its rule fires after that. Thumbnails for which the rule fired before are
  left out for that fault and counted, so that an alarm that was there anyway is no success.
- An edit counts as a fix when its rule does not fire for the edited picture and no rule that did not fire before the
  edit fires after it. It is asked of every injected fault that was named and whose rule
  has edits; no preview is no fix.
- Later we saw what that does not allow for: a picture that was darkened on purpose hides small text of its own, and who
  brightens it again breaks nothing. So there are two counts. `fixed` forgives what fired before the fault was injected,
  too, as long as the report says so; `fixed strictly` is the count above.
- `together`: one to three faults of tone, colour or crop at once. A picture counts when each that was named is gone in
  the picture with all edits, and nothing is named there that was not named before.
- `titles`: the 60 pairs of `title_pairs.csv`, written down before the rule, half of which say the same; the words are
  written on a photograph and read from it. `named` is the share of pairs told right.
- `scripts`: fifteen composed thumbnails for each of twelve scripts; `kept` is the share whose line is found.
- `faces`: how many the real thumbnails have, of both halves; whether they are faces was checked by eye, on most.
- `seconds` are of the processor: of each property, and of a whole card, which is advice and all fixes together, on the
  sample of the app.
- Alarms are counted on thumbnails as they are: the drawn and composed ones, and those of the gallery's trending part.
- Intervals draw thumbnails again (bootstrap, 95%).

What is done is kept in the cache folder after every thumbnail, so that a run that was stopped goes on where it was; the
kept answers are for the rules as they are and are asked for anew when the code changes. `--drawn 20 --real 20` looks at
fewer, and `--done` shows what was kept so far. Rows of parts that did not run stay as they were.
"""
import argparse, hashlib, json, time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps
from scipy.stats import binomtest

from mlcourse.core import atomic_path, cache_folder, write_csv
from mlcourse.evaluation import bootstrap_interval
from mlcourse.thumbnails import advice, edits, properties
from mlcourse.thumbnails.advice import advise, apply_fix, fix_all, MIN_SEVERITY, RULES, severities
from mlcourse.thumbnails.feed import sample_video
from mlcourse.thumbnails.images import load_image
from mlcourse.thumbnails.properties import find_faces, measure, PROPERTIES, read_lines, saliency, title_repeated_share
from mlcourse.thumbnails.properties import TIMESTAMP, without_site_padding
from mlcourse.thumbnails.simulate import channel_design, draw_thumbnail

HERE = Path(__file__).parent
TRENDING = 'aryan-jadon/Dataset-ML-Spring-2022' # the value of `source` of the trending part
SEEDS = {'report': (101, 102, 103), 'tune': (1, 2, 3)}
N_DRAWN, N_REAL = 100, 100 # drawn: for each seed
WORDS = ('the best bread you can bake at home this week with no knead and one pan in under an hour so easy that '
         'anyone who owns an oven will love it every time').upper().split()


FONTS = Path('fonts') # where --fonts says
SCRIPTS = {'Latin': ('BAKING BREAD', 'NotoSans-Bold.ttf'), 'German': ('FRISCH GEBÄCK', 'NotoSans-Bold.ttf'),
           'Vietnamese': ('BÁNH MÌ NGON', 'NotoSans-Bold.ttf'), 'Greek': ('ΦΡΕΣΚΟ ΨΩΜΙ', 'NotoSans-Bold.ttf'),
           'Cyrillic': ('СВЕЖИЙ ХЛЕБ', 'NotoSans-Bold.ttf'), 'Japanese': ('焼きたてパン', 'NotoSansCJK-Bold.ttc'),
           'Chinese': ('新鲜面包做法', 'NotoSansCJK-Bold.ttc'), 'Korean': ('갓 구운 빵집', 'NotoSansCJK-Bold.ttc'),
           'Arabic': ('خبز طازج اليوم', 'NotoSansArabic-Bold.ttf'),
           'Hindi': ('ताज़ी रोटी आज', 'NotoSansDevanagari-Bold.ttf'),
           'Thai': ('ขนมปังสดใหม่', 'NotoSansThai-Bold.ttf'), 'Hebrew': ('לחם טרי היום', 'NotoSansHebrew-Bold.ttf')}


@cache
def font(size, name=''): return ImageFont.truetype(FONTS/name, size) if name else ImageFont.load_default(size)


def some_words(rng, low, high): return [str(word) for word in rng.choice(WORDS, rng.integers(low, high + 1))]


def levels(image, change):
    "Apply `change` to all levels, 0 to 255."
    return Image.fromarray(np.clip(change(np.asarray(image, dtype=float)), 0, 255).round().astype(np.uint8))


def too_dark(image, rng): return levels(image, lambda x: x * rng.uniform(0.12, 0.3))


def too_bright(image, rng):
    "Half of them overexposed until 40 to 65% is clipped, half covered in white fog."
    if rng.random() < 0.5:
        share = rng.uniform(0.4, 0.65)
        gain = 255 / max(np.quantile(np.asarray(image.convert('L')), 1 - share), 8)
        return levels(image, lambda x: x * max(gain, 1))
    k = rng.uniform(0.15, 0.35)
    return levels(image, lambda x: 255 - (255 - x) * k)


def low_contrast(image, rng):
    k, middle = rng.uniform(0.15, 0.35), rng.uniform(110, 160)
    return levels(image, lambda x: middle + (x - x.mean()) * k)


def blurred(image, rng): return image.filter(ImageFilter.GaussianBlur(image.width * rng.uniform(0.008, 0.016)))


def low_saturation(image, rng):
    grey = image.convert('L').convert('RGB')
    return Image.blend(grey, image, rng.uniform(0, 0.15))


def cluttered(image, rng):
    "Strew 70 to 120 small shapes, 3 to 9% of the width, in any colour."
    image = image.copy()
    draw, unit = ImageDraw.Draw(image), image.width / 100
    for _ in range(rng.integers(70, 121)):
        x, y, w, h = rng.uniform(0, image.width), rng.uniform(0, image.height), *rng.uniform(3, 9, 2) * unit
        shape = (draw.ellipse, draw.rectangle, draw.line)[rng.integers(3)]
        shape((x, y, x + w, y + h), fill=tuple(int(c) for c in rng.integers(0, 256, 3)), width=max(1, round(unit)))
    return image


def plate(image, lines, size, x, y, ink, paper, name=''):
    "Write lines of `size` px on a plate at (x, y), shares of the room that is left."
    image, letters = image.copy(), font(size, name)
    width, height = max(letters.getlength(line) for line in lines) + size, size * (1.2 * len(lines) + 0.5)
    left, top = x * max(0, image.width - width), y * max(0, image.height - height)
    draw = ImageDraw.Draw(image)
    if paper: draw.rectangle((left, top, left + width, top + height), fill=paper)
    for i, line in enumerate(lines):
        draw.text((left + size/2, top + size * (0.15 + 1.2 * i)), line, font=letters, fill=ink,
                  stroke_width=0 if paper else max(1, round(size / 12)), stroke_fill='black')
    return image


def small_text(image, rng):
    "A line of five to eight words, 5 to 6% of the height, white on black, left of the timestamp."
    size, line = max(9, round(image.height * rng.uniform(0.05, 0.06))), ' '.join(some_words(rng, 5, 8))
    return plate(image, [line], size, rng.uniform(0, 0.3), rng.uniform(0, 0.7), 'white', 'black')


def luminance(grey): # relative luminance of a grey level, WCAG 2
    c = grey / 255
    return c/12.92 if c <= 0.04045 else ((c + 0.055)/1.055)**2.4


def ink_for(ratio, paper): # the grey whose contrast with the grey of the paper comes nearest to a ratio
    return min(range(256), key=lambda grey: abs((luminance(grey) + 0.05) / (luminance(paper) + 0.05) - ratio))


def low_text_contrast(image, rng):
    "Two or three words, 13 to 18% of the height, on a plate of a grey with a contrast ratio of 1.3 to 1.8."
    ratio, paper = rng.uniform(1.3, 1.8), int(rng.integers(90, 200))
    ink = ink_for(ratio, paper)
    words, size = some_words(rng, 2, 3), round(image.height * rng.uniform(0.13, 0.18))
    return plate(image, words, size, rng.uniform(0, 0.5), rng.uniform(0, 0.4), (ink,)*3, (paper,)*3)


def too_many_words(image, rng):
    "Sixteen to twenty-four outlined words, 8 to 10% of the height, four a line."
    words = some_words(rng, 16, 24)
    lines = [' '.join(words[i:i+4]) for i in range(0, len(words), 4)]
    size = round(image.height * rng.uniform(0.08, 0.1))
    return plate(image, lines, size, rng.uniform(0, 0.4), rng.uniform(0, 0.6), 'white', None)


def under_the_timestamp(image, rng):
    "One or two words, 14 to 20% of the height, on a plate in the bottom right corner."
    words = [word for word in some_words(rng, 8, 8) if len(word) > 2][:rng.integers(1, 3)]
    size = round(image.height * rng.uniform(0.14, 0.2))
    return plate(image, [' '.join(words)], size, 1, rng.uniform(0.97, 1), 'white', 'black')


def letterbox(image, rng):
    "Black bars on two sides, 7 to 14% each."
    frame, share = Image.new('RGB', image.size), rng.uniform(0.07, 0.14)
    box = (0, round(image.height * share)) if rng.random() < 0.7 else (round(image.width * share), 0)
    frame.paste(image.resize((image.width - 2*box[0], image.height - 2*box[1])), box)
    return frame


def white_bars(image, rng):
    "White bars on two sides, 7 to 14% each."
    frame = Image.new('RGB', image.size, 'white')
    side = round(image.height * rng.uniform(0.07, 0.14))
    frame.paste(image.resize((image.width, image.height - 2*side)), (0, side))
    return frame


def one_bar(image, rng):
    "A black or white bar on one side, 8 to 20%."
    frame = Image.new('RGB', image.size, str(rng.choice(['black', 'white'])))
    side = round(image.width * rng.uniform(0.08, 0.2))
    frame.paste(image.resize((image.width - side, image.height)), (side if rng.random() < 0.5 else 0, 0))
    return frame


def collage(image, rng):
    "Twenty copies of parts of the picture, mirrored or not, none of them first."
    tile, frame = (image.width // 5, image.height // 4), Image.new('RGB', image.size)
    for i in range(20):
        x, y = rng.uniform(0, 0.5, 2) * image.size
        part = image.crop((round(x), round(y), round(x) + image.width//2, round(y) + image.height//2)).resize(tile)
        frame.paste(ImageOps.mirror(part) if i % 2 else part, (i % 5 * tile[0], i // 5 * tile[1]))
    return frame


def blends_in(image, rng):
    "What is around the tallest face is filled with the face's own colours, in grains of 4 px."
    faces = find_faces(image)
    if not faces: return image
    left, top, right, bottom = (round(share * side) for share, side in zip(faces[0], image.size * 2))
    skin = np.asarray(image)[top:bottom, left:right].reshape(-1, 3)
    grain = skin[rng.integers(len(skin), size=(image.height // 4, image.width // 4))].astype(np.uint8)
    ground = Image.fromarray(grain).resize(image.size)
    mask = Image.new('L', image.size)
    ImageDraw.Draw(mask).ellipse((left, top, right, bottom), fill=255)
    return Image.composite(image, ground, mask.filter(ImageFilter.GaussianBlur(6)))


def foreign_small(image, rng):
    "A line of small letters in a script that the reader cannot read, 4 to 4.5% of the height."
    words, name = SCRIPTS['Arabic' if rng.random() < 0.5 else 'Korean']
    size = round(image.height * rng.uniform(0.04, 0.045))
    return plate(image, [' '.join([words] * 4)], size, rng.uniform(0, 0.3), rng.uniform(0, 0.6), 'white', 'black', name)


def foreign_faint(image, rng):
    "Words in such a script, 13 to 18% of the height, with a contrast ratio of 1.3 to 1.8."
    words, name = SCRIPTS['Arabic' if rng.random() < 0.5 else 'Korean']
    ratio, paper = rng.uniform(1.3, 1.8), int(rng.integers(90, 200))
    size, ink = round(image.height * rng.uniform(0.13, 0.18)), ink_for(ratio, paper)
    return plate(image, [words], size, rng.uniform(0, 0.5), rng.uniform(0, 0.4), (ink,)*3, (paper,)*3, name)


def shape(image, rng):
    "Cut to another shape, around the centre."
    ratio = rng.choice([1, 4/3, 4/5, 21/9])
    w, h = min(image.width, image.height * ratio), min(image.height, image.width / ratio)
    x, y = (image.width - w) / 2, (image.height - h) / 2
    return image.crop((round(x), round(y), round(x + w), round(y + h)))


FAULTS = {'too dark': too_dark, 'too bright': too_bright, 'low contrast': low_contrast, 'blurred': blurred,
          'low saturation': low_saturation, 'cluttered': cluttered, 'small text': small_text,
          'low text contrast': low_text_contrast, 'too many words': too_many_words,
          'under the timestamp': under_the_timestamp, 'letterbox': letterbox, 'shape': shape,
          'letterbox, white': white_bars, 'letterbox, one side': one_bar, 'no focal point': collage,
          'blends in': blends_in, 'small text, other script': foreign_small,
          'low text contrast, other script': foreign_faint}
RULE = {fault: fault.partition(',')[0] for fault in FAULTS} # the rule that should name it
FIRST = list(FAULTS)[:12] # those of the drawn thumbnails
TOGETHER = 'too dark', 'too bright', 'low contrast', 'low saturation', 'letterbox', 'shape', 'letterbox, one side'
SEED_NAMES = {'low contrast': 'flat', 'low saturation': 'dull', 'low text contrast': 'pale text',
              'under the timestamp': 'under the badge', 'letterbox': 'bars'} # a part of the seeds, which do not change


def clean_drawing(seed, number):
    "A drawn thumbnail in which nothing should be wrong."
    rng = np.random.default_rng([seed, number])
    face = rng.uniform(0.35, 0.85) if rng.random() < 0.7 else 0
    wanted = dict(brightness=rng.uniform(100, 150), contrast=rng.uniform(45, 60), colourfulness=rng.uniform(25, 50),
                  face_height=face, words=0, clutter=rng.integers(0, 7))
    return draw_thumbnail(wanted, channel_design(number, seed), some_words(rng, 1, 4), [seed, number])[0]


def composed(photo, rng, words=None, name=None):
    "A photograph at 1280x720 with words on it where least is to see, clear of faces and of the timestamp."
    image = ImageOps.fit(load_image(photo), (1280, 720))
    words = words or ' '.join(some_words(rng, 1, 3))
    name = name if name is not None else str(rng.choice(['Anton-Regular.ttf', 'BebasNeue-Regular.ttf']))
    letters = font(int(rng.integers(110, 170)), name)
    lines = words.split() if letters.getlength(words) > 600 else [words]
    width, height = max(letters.getlength(line) for line in lines), len(lines) * 1.2 * letters.size
    seen, faces = saliency(image), find_faces(image)

    def cost(place):
        left, top, right, bottom = place[0], place[1], place[0] + width/1280, place[1] + height/720
        rows, columns = seen.shape
        under = seen[round(top*rows):round(bottom*rows), round(left*columns):round(right*columns)].sum()
        return under + 100*sum(max(0, min(right, r) - max(left, l)) * max(0, min(bottom, b) - max(top, t))
                               for l, t, r, b in faces)
    room = 1 - 0.04 - width/1280
    places = [(0.04, 0.06), (room, 0.06), (0.04, 0.9 - height/720), (room, 0.36)]
    x, y = min((place for place in places if place[0] < room or place[1] + height/720 < TIMESTAMP[1]), key=cost)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        place = x*1280, y*720 + i*1.2*letters.size
        draw.text(place, line, font=letters, fill='white', stroke_width=7, stroke_fill='black')
    return image


def odd(video_id): return int(hashlib.sha1(str(video_id).encode()).hexdigest(), 16) % 2 == 1


def pictures(gallery, photos, half, n_drawn, n_real):
    "Tuples (kind, name, picture), drawn and real in turn, then composed; `N_REAL` of the real ones get faults."
    drawn = [('drawn', f'{seed}-{number}', lambda s=seed, n=number: clean_drawing(s, n))
             for number in range(N_DRAWN) for seed in SEEDS[half]]
    real = []
    if gallery:
        table = pd.read_parquet(gallery)
        table = table[[odd(video_id) == (half == 'report') for video_id in table.video_id]]
        table['order'] = [hashlib.sha1(f'order {video_id}'.encode()).hexdigest() for video_id in table.video_id]
        for row in table.sort_values('order').itertuples():
            kind = 'trending' if row.source == TRENDING else 'other'
            real.append((kind, row.video_id, lambda data=row.image: without_site_padding(load_image(data))))
    drawn, real = drawn[:n_drawn], real[:n_real]
    made = []
    if photos and half == 'report':
        for row in pd.read_parquet(photos).itertuples():
            made.append(('composed', row.name, lambda row=row: composed(row.image, rng_of(row.name, 'words'))))
    return [each for pair in zip(drawn, real) for each in pair] + drawn[len(real):] + real[len(drawn):] + made


def severity(fault, image):
    "The severity by one rule; only what it looks at is measured."
    tone = ['exposure', 'contrast'] # where it is off, nothing is said of what it hides
    asked = {'under the timestamp': ['text', 'subject'], 'no focal point': ['text', 'subject'],
             'low text contrast': ['text', *tone], 'blends in': ['subject', *tone]}
    rule = RULES[RULE[fault]]
    return rule.severity(measure(image, only=asked.get(RULE[fault], [rule.property])))


def rng_of(name, fault):
    seed = hashlib.sha1(f'{name} {SEED_NAMES.get(fault, fault)}'.encode()).hexdigest()[:12]
    return np.random.default_rng(int(seed, 16))


def injected(kind, name):
    "The faults that a picture gets: of the first twelve four in turn if drawn and all if real, else every one."
    if kind != 'drawn': return list(FAULTS) if kind == 'composed' else FIRST
    seed, number = map(int, name.split('-'))
    first = 4 * ((number + seed) % 3)
    return FIRST[first:first + 4]


def named(name, image, fault):
    "Did the rule not fire before, and does it fire after?"
    spoiled = FAULTS[fault](image, rng_of(name, fault))
    before, after = severity(fault, image), severity(fault, spoiled)
    counts = before < MIN_SEVERITY and spoiled is not image
    return dict(counts=counts, value=float(after >= MIN_SEVERITY), severity=after)


def alarms(name, image, fault):
    "How many rules fire for the picture as it is, and which."
    items = advise(image).recommendations
    return dict(counts=True, value=len(items), severity=0, names=', '.join(item.name for item in items))


def fixed(name, image, fault):
    "Of a fault that was named and whose rule has edits: does one help, and bring on nothing that was not there before?"
    spoiled = FAULTS[fault](image, rng_of(name, fault))
    if severity(fault, image) >= MIN_SEVERITY or severity(fault, spoiled) < MIN_SEVERITY:
        return dict(counts=False, value=0, severity=0)
    edited, _, revealed = apply_fix(RULE[fault], spoiled, measure(spoiled))
    before = severities(measure(image)) if revealed else {}
    helps = edited is not None and all(before[other] >= MIN_SEVERITY for other in revealed)
    return dict(counts=True, value=float(helps), severity=0,
                strict=float(edited is not None and not revealed), names=', '.join(revealed))


def several(name, image):
    "A picture with one to three faults of tone, colour or crop, and the rules that should name them."
    rng = rng_of(name, 'together')
    chosen = rng.choice(TOGETHER, rng.integers(1, 4), replace=False)
    for fault in chosen: image = FAULTS[fault](image, rng)
    return image, sorted({RULE[fault] for fault in chosen})


def together(name, image, fault):
    "Of the named faults that have an edit: is each gone with all edits, and none new?"
    spoiled, asked = several(name, image)
    properties = measure(spoiled)
    before = {rule for rule, value in severities(properties).items() if value >= MIN_SEVERITY}
    original = {rule for rule, value in severities(measure(image)).items() if value >= MIN_SEVERITY}
    after = {rule for rule, value in severities(fix_all(spoiled, properties)[1]).items() if value >= MIN_SEVERITY}
    there = before & set(asked)
    return dict(counts=bool(there), value=float(not (there & after) and after <= before | original), severity=0,
                names=', '.join(sorted((there & after) | (after - before - original))))


def titles(photos):
    "The pairs of title_pairs.csv, told right or not: words are written on photographs and read from them."
    pairs, photos = pd.read_csv(HERE/'title_pairs.csv'), pd.read_parquet(photos).image
    for i, pair in enumerate(pairs.itertuples()):
        name = 'NotoSansCJK-Bold.ttc' if pair.words > '\u2fff' else None
        image = composed(photos[i % len(photos)], rng_of(pair.words, 'titles'), pair.words, name)
        share = title_repeated_share(' '.join(line.text for line in read_lines(image)), pair.title)
        said = (share or 0) >= advice.REPEATED
        yield dict(metric='titles', kind='repeats' if pair.repeats else 'others', name=pair.words, counts=True,
                   fault='', value=float(said == bool(pair.repeats)), names='' if share is None else f'{share:.2f}')


def scripts(photos):
    "Fifteen thumbnails for each script: is the line found?"
    photos = pd.read_parquet(photos).image
    for script, (words, name) in SCRIPTS.items():
        for i in range(15):
            image = composed(photos[5*i % len(photos)], rng_of(f'{script} {i}', 'scripts'), words, name)
            yield dict(metric='scripts', kind=script, name=f'{script} {i}', counts=True, fault='',
                       value=float(any(line.height_share > 0.06 for line in read_lines(image))))


def faces(gallery):
    "How many faces each real thumbnail has."
    for row in pd.read_parquet(gallery).itertuples():
        yield len(find_faces(without_site_padding(load_image(row.image))))


def sheets(photos, folder, seed, n=60):
    "Pages for a blind vote, 168 px wide as in a phone's list: left and right by a seed, which is kept apart."
    folder, key, tiles = Path(folder), [], {'tone': [], 'other': []}
    folder.mkdir(parents=True, exist_ok=True)
    photos, rng = pd.read_parquet(photos), np.random.default_rng([2026, seed] if seed else 2026)
    for i in range(n):
        photo = photos.iloc[(i + 17*seed) % len(photos)]
        kind = 'tone' if i % 2 else 'other'
        faults = TOGETHER[:4] if kind == 'tone' else ('letterbox', 'letterbox, one side', 'shape', 'cluttered')
        fault = faults[i // 2 % 4]
        image = composed(photo.image, rng_of(photo['name'], 'words'))
        spoiled = FAULTS[fault](image, rng_of(photo['name'], f'vote {i + n*seed}'))
        after, _, fixed = fix_all(spoiled, measure(spoiled))
        if not fixed: continue
        right = bool(rng.integers(2)) # where the fixed one stands
        pair = [ImageOps.pad(each, (168, 94)) for each in ((spoiled, after) if right else (after, spoiled))]
        tiles[kind].append((i, pair))
        key.append(dict(pair=i, kind=kind, fault=fault, fixed=', '.join(fixed), fixed_is='right' if right else 'left'))
    for kind, pairs in tiles.items():
        for page in range(0, len(pairs), 10):
            sheet = Image.new('RGB', (2*400, 5*124), 'white')
            for j, (i, pair) in enumerate(pairs[page:page + 10]):
                x, y = j % 2 * 400, j // 2 * 124
                ImageDraw.Draw(sheet).text((x + 4, y + 50), str(i), fill='black', font=font(14))
                for k, each in enumerate(pair): sheet.paste(each, (x + 34 + 180*k, y + 15))
            sheet.save(folder/f'{kind}_{page // 10}.png')
    write_csv(pd.DataFrame(key), folder/'key.csv')
    write_csv(pd.DataFrame({'pair': [row['pair'] for row in key], 'vote': ''}), folder/'votes.csv')
    print(f'{len(key)} pairs in {folder}; where the fixed one stands is in key.csv, not for those who vote')


def count_votes(folder):
    "How often the fixed one was preferred, with intervals; what was left open counts for neither."
    votes = pd.read_csv(folder/'votes.csv', dtype=str).dropna(subset='vote').astype({'pair': int})
    votes = pd.read_csv(folder/'key.csv').merge(votes, on='pair')
    votes['preferred'], rows = votes.vote == votes.fixed_is, []
    groups = {'all': votes} | dict(list(votes.groupby('kind'))) | dict(list(votes.groupby('fault')))
    for name, part in groups.items():
        yes, n = int(part.preferred.sum()), len(part)
        low, high = binomtest(yes, n).proportion_ci(method='wilson')
        rows.append(dict(pairs=name, n=n, preferred=yes, share=yes / n, low=low, high=high))
    return votes, pd.DataFrame(rows).round(3)


def run(part, todo, faults, kept, only_done):
    "Go through the pictures, keeping what is done after each; gives the rows."
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    asked = []
    for i, (kind, name, picture) in enumerate(todo):
        chosen = [''] if part in (alarms, together) else [
            fault for fault in injected(kind, name) if fault in faults and (part is named or RULES[RULE[fault]].edits)]
        keys = {f'{part.__name__} {name} {fault}': fault for fault in chosen}
        asked += keys
        if only_done or set(keys) <= set(rows): continue
        image = picture()
        for key, fault in keys.items():
            if key in rows: continue
            rows[key] = dict(metric=part.__name__, fault=fault, kind=kind, name=name, **part(name, image, fault))
        with atomic_path(kept) as temporary: Path(temporary).write_text(json.dumps(rows))
        if i % 20 == 0: print(f'{part.__name__}: {i} of {len(todo)}', flush=True)
    return [rows[key] for key in asked if key in rows]


def seconds(image, n=3):
    "For each property the median of `n` runs on one picture, changed a little each time so that nothing is remembered."
    took = {}
    for name, each in PROPERTIES.items():
        runs = []
        for change in range(n + 1): # the first loads what is needed
            copy = image.copy()
            copy.paste((change, 0, 0), (0, 0, 8, 8))
            start = time.process_time() # not the clock: other programs may be busy
            each.measure(copy)
            runs.append(time.process_time() - start)
        took[name] = float(np.median(runs[1:]))
    return took | {'all': sum(took.values()), 'card': card_seconds(n)}


def card_seconds(n):
    "The median of so many cards: advice and all fixes together."
    runs = []
    for change in range(n + 1):
        copy = sample_video().image.copy()
        copy.paste((change, 0, 0), (0, 0, 8, 8))
        start = time.process_time()
        if not advise(copy, title='Why your espresso is bitter').fixed: raise AssertionError('nothing was fixed')
        runs.append(time.process_time() - start)
    return float(np.median(runs[1:]))


def summary(table, pictures_of, what, fault):
    "One line of the result: the mean with its interval over pictures."
    used = table[table.counts.astype(bool)]
    if not len(used): return None
    value, low, high = bootstrap_interval(np.mean, used.value.to_numpy(float), groups=used.name, n=1000)
    return dict(pictures=pictures_of, metric=what, fault=fault, value=round(value, 3), low=round(low, 3),
                high=round(high, 3), n=len(used), left_out=int(len(table) - len(used)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--gallery', help='gallery.parquet, with real thumbnails')
    parser.add_argument('--photos', help='photos.parquet, to compose thumbnails from')
    parser.add_argument('--fonts', default='fonts', help='the folder of the fonts')
    parser.add_argument('--sheets', help='a folder for the pages of a blind vote; nothing else is done')
    parser.add_argument('--seed', type=int, default=0, help='of the pages: other faults on other photographs')
    parser.add_argument('--pairs', type=int, default=60, help='to try; those that no edit helps are left out')
    parser.add_argument('--votes', type=Path, help='that folder, when there are votes in it; nothing else is done')
    parser.add_argument('--half', choices=SEEDS, default='report')
    parser.add_argument('--drawn', type=int, default=3*N_DRAWN, help='how many drawn thumbnails (300)')
    parser.add_argument('--real', type=int, default=N_REAL, help='how many real thumbnails (100)')
    parser.add_argument('--parts', default='named,alarms,fixed,together,titles,scripts,faces,seconds',
                        help='any of these')
    parser.add_argument('--faults', default=';'.join(FAULTS), help='which faults, with ; between them')
    parser.add_argument('--done', action='store_true', help='a table of what was kept so far; nothing new is asked')
    parser.add_argument('--keep', default=str(HERE/'advice_quality.csv'), help='where the table goes')
    args = parser.parse_args()
    global FONTS
    FONTS = Path(args.fonts)
    if args.sheets: return sheets(args.photos, args.sheets, args.seed, args.pairs)
    if args.votes:
        votes, shares = count_votes(args.votes)
        print(shares.to_string(index=False))
        write_csv(votes, HERE/'advice_votes.csv')
        return write_csv(shares, HERE/'advice_vote_shares.csv')
    sources = [__file__, *(module.__file__ for module in (properties, edits, advice))]
    code = hashlib.sha1(b''.join(Path(each).read_bytes() for each in sources)).hexdigest()[:12]
    kept, faults, rows = cache_folder()/f'advice_quality_{args.half}_{code}.json', args.faults.split(';'), []
    todo = pictures(args.gallery, args.photos, args.half, args.drawn, args.real)
    real = pictures(args.gallery, None, args.half, 0, 10_000)
    trending = [each for each in real if each[0] == 'trending'][:args.real]
    for part in (named, alarms, fixed, together):
        if part.__name__ not in args.parts.split(','): continue
        if part is together: todo = [each for each in todo if each[0] == 'composed']
        extra = [each for each in trending if each[1] not in {name for _, name, _ in todo}] if part is alarms else []
        rows += run(part, todo + extra, faults, kept, args.done)
    rows += [row | dict(metric='fixed strictly', value=row['strict'])
             for row in rows if row['metric'] == 'fixed' and row['counts']]
    for part in (titles, scripts):
        if args.photos and part.__name__ in args.parts.split(','): rows += part(args.photos)
    table, lines = pd.DataFrame(rows, columns=None if rows else ['metric', 'kind']), []
    for what, part in table.groupby('metric', sort=False):
        groups = {'drawn': part.kind == 'drawn', 'composed': part.kind == 'composed',
                  'trending' if what == 'alarms' else 'real': part.kind.isin(['trending', 'other'])}
        if what == 'alarms': groups['trending'] = part.kind == 'trending'
        if what in ('titles', 'scripts'): groups = {kind: part.kind == kind for kind in part.kind.unique()}
        for where, chosen in groups.items():
            if not chosen.any(): continue
            whole = what in ('alarms', 'together', 'titles', 'scripts')
            lines.append(summary(part[chosen], where, what, '' if whole else 'all'))
            if whole: continue
            lines += [summary(part[chosen & (part.fault == fault)], where, what, fault) for fault in faults]
    if 'alarms' in args.parts.split(','):
        for where in ('drawn', 'composed', 'trending'):
            asked = table[(table.metric == 'alarms') & (table.kind == where)]
            names = pd.Series([name for row in asked.names for name in row.split(', ') if name], dtype=object)
            print(f'alarms on {where} ones:', names.value_counts().to_dict())
    if 'seconds' in args.parts.split(','):
        large = clean_drawing(101, 0).resize((1280, 720), Image.Resampling.BICUBIC)
        lines += [dict(pictures='1280x720', metric='seconds', fault=name, value=round(value, 3), n=3)
                  for name, value in seconds(large).items()]
    if args.gallery and 'faces' in args.parts.split(','):
        found = np.array(list(faces(args.gallery)))
        lines += [dict(pictures='gallery', metric='faces', fault=what, value=int(value), n=len(found))
                  for what, value in {'pictures with faces': (found > 0).sum(), 'faces': found.sum()}.items()]
    result = pd.DataFrame([line for line in lines if line])
    old = pd.read_csv(args.keep) if Path(args.keep).exists() else result[:0]
    again = pd.MultiIndex.from_frame(old[['metric', 'pictures']]).isin(list(zip(result['metric'], result['pictures'])))
    if args.half == 'report': result = pd.concat([old[~again], result])
    print(result.to_string(index=False, na_rep=''))
    write_csv(result, Path(args.keep))


if __name__ == '__main__': main()
