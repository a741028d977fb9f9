"""What a label means goes with the rows: through concat, a CSV file and a selection, into the grader's card."""
import pandas as pd
import pytest

from mlcourse.core import write_csv
from mlcourse.thumbnails.grader import ThumbnailGrader
from mlcourse.thumbnails.simulate import simulate_videos
from mlcourse.thumbnails.videos import BadVideos, label, read_videos


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    videos = label(simulate_videos(60, folder, n_channels=12, seed=1), threshold=37)
    return folder, [videos.iloc[:30], videos.iloc[30:]]


def fitted(videos, folder):
    return ThumbnailGrader.fit(videos, folder, width=64, pretrained=False, progress=False)


def read_again(parts, folder):
    write_csv(pd.concat(parts), folder/'videos.csv')
    return read_videos(folder)


@pytest.mark.parametrize('way', [lambda parts, folder: pd.concat([parts[0], parts[1].drop(columns='kind')]),
                                 lambda parts, folder: pd.concat([parts[0], pd.DataFrame(parts[1].to_dict('list'))]),
                                 read_again])
def test_the_threshold_survives(parts, way):
    folder, tables = parts
    grader = fitted(way(tables, folder), folder)
    assert grader.card['threshold'] == 37 and 'more than 37 views a day' in repr(grader)


def test_a_table_read_again_has_its_types(parts):
    folder, tables = parts
    again = read_again(tables, folder)
    assert (again.dtypes == pd.concat(tables).dtypes)[['above_threshold', 'threshold', 'age_days', 'split']].all()


def test_two_meanings_are_refused(parts):
    folder, (first, second) = parts
    with pytest.raises(BadVideos, match='2 ways, with thresholds from 37 to 50 views a day'):
        fitted(pd.concat([first, label(second, threshold=50)]), folder)
    with pytest.raises(BadVideos, match='what its labels mean'):
        fitted(pd.concat([first, second]).drop(columns='threshold'), folder)


def test_an_age_stratified_grader_does_not_speak_of_a_threshold(parts):
    folder, tables = parts
    videos = label(pd.concat(tables), threshold=37, age_stratified=True)
    grader = fitted(videos, folder)
    grade = grader.predict(folder/videos.image.iloc[0])
    for text in repr(grader), str(grade): assert 'among the best videos of its age' in text and '37' not in text
