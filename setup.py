"""Package mlcourse from what settings.ini says."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser()
config.read(here/'settings.ini', encoding='utf-8')
settings = config['DEFAULT']


def listed(key): return settings.get(key, '').split()


setup(
    name=settings['lib_name'],
    version=settings['version'],
    description=settings['description'],
    long_description=(here/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author=settings['author'],
    author_email=settings['author_email'],
    url=settings['git_url'],
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=listed('keywords'),
    packages=find_packages(include=['mlcourse', 'mlcourse.*']),
    package_data={'mlcourse': ['weights/*', 'clips/**/*', 'images/*', 'photos/*', 'static/*', 'entries/*/*']},
    python_requires=f">={settings['min_python']},<{settings['below_python']}",
    install_requires=listed('requirements'),
    extras_require={name: listed(f'{name}_requirements') for name in ('dev', 'scale', 'site', 'voices', 'teacher')},
    entry_points={'console_scripts': listed('console_scripts'),
                  'nbdev': [f"{settings['lib_name']}={settings['lib_path']}._modidx:d"]},
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Education',
                 'Programming Language :: Python :: 3', 'Topic :: Education'],
    zip_safe=False,
)
