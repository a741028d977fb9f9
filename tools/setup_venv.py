"""Make .venv with mlcourse in it, or do nothing when it is there and up to date.

    python3 tools/setup_venv.py [--dev] [--python python3.12] [--torch cpu]

It needs nothing installed and runs on any Python from 3.6 on, so that an old Python gets a clear sentence too.
"""
import argparse, collections, configparser, hashlib, json, os, re, shutil, subprocess, sys, tempfile, threading, time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'
# GB on the disk, measured on Linux: what stays in .venv, what it takes on the way, and what pip's cache keeps besides.
DISK_GB = {'cuda': (7.1, 9.8, 2.7), 'cpu': (2.3, 3.0, 0.7)}
PROBE = """
import json, platform, struct, sys
try: import ensurepip, venv; has_venv = True
except ImportError: has_venv = False
print(json.dumps(dict(version=sys.version_info[:2], has_venv=has_venv, path=sys.executable,
                      machine=platform.machine(), bits=struct.calcsize('P')*8)))
"""


class Problem(Exception):
    "Something a person can put right: its text is the one line that they see."


def show_version(version): return '{}.{}'.format(*version)


def supported(root):
    "The supported versions of Python, newest first, from settings.ini."
    config = configparser.ConfigParser()
    config.read(str(root/'settings.ini'), encoding='utf-8')
    low, high = (int(config['DEFAULT'][k].split('.')[1]) for k in ('min_python', 'below_python'))
    return [(3, minor) for minor in range(high-1, low-1, -1)]


def say_supported(versions): return 'Python {} to {}'.format(show_version(versions[-1]), show_version(versions[0]))


def probe(command):
    "What `command`, a list, says about itself as a Python; None when it does not run."
    try:
        done = subprocess.run(command + ['-c', PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        facts = json.loads(done.stdout.decode()) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired): return None
    if facts: facts['version'] = tuple(facts['version'])
    return facts


def complaint(facts, versions):
    "Why this Python will not do; None when it will."
    version, needs = show_version(facts['version']), 'mlcourse needs {}'.format(say_supported(versions))
    this = 'Python {} ({})'.format(version, facts['path'])
    if facts['version'] < versions[-1]: return '{} is too old: {}.'.format(this, needs)
    if facts['version'] > versions[0]: return '{} is too new: {}.'.format(this, needs)
    if facts['bits'] < 64: return '{} is a 32-bit build, and PyTorch needs a 64-bit one.'.format(this)
    if sys.platform == 'darwin' and facts['machine'] == 'x86_64':
        return 'PyTorch is no longer built for Macs with an Intel processor: use the Colab link in README.md instead.'
    if not facts['has_venv']:
        return ('{} has no venv module: install it (on Debian and Ubuntu: '
                'sudo apt install python{}-venv).'.format(this, version))


def choose_python(versions, wanted=None):
    "What `probe` says about the Python to use: `wanted`, or the newest supported one that is found."
    if wanted:
        facts = probe([wanted])
        if not facts: raise Problem("PYTHON={} does not run: give the name or the path of a Python.".format(wanted))
        if complaint(facts, versions): raise Problem(complaint(facts, versions))
        return facts
    launcher = [['py', '-' + show_version(v)] for v in versions] if os.name == 'nt' else []
    named = [['python' + show_version(v)] for v in versions] + [['python3'], ['python'], [sys.executable]]
    found = []
    for command in launcher + named:
        facts = probe(command)
        if facts and not complaint(facts, versions): return facts
        if facts: found.append(facts)
    if not found:
        raise Problem('No Python was found: install {} from https://www.python.org/downloads/.'.format(
            say_supported(versions)))
    # A right version that lacks something is the most useful thing to tell; else the newest one found.
    best = max(found, key=lambda f: (f['version'] in versions, f['version']))
    raise Problem(complaint(best, versions)
                  + ' Install one from https://www.python.org/downloads/ or name one with PYTHON=...')


def check_disk(folder, build):
    "Say what the install takes, and stop when the disk has no room for it."
    stays, needs, cache = DISK_GB[build]
    free = shutil.disk_usage(str(folder)).free / 1e9
    if free < needs + cache: os.environ['PIP_NO_CACHE_DIR'] = '1'
    if free < needs:
        smaller = ', or take the small build with TORCH=cpu' if build == 'cuda' else ''
        raise Problem('Too little disk: the install needs {:.1f} GB free in {} '
                      'and there are {:.1f} GB: make room{}.'.format(needs, folder, free, smaller))
    print('Installing into .venv: about {:.1f} GB and a few minutes.'.format(stays))
    if build == 'cuda':
        print('That is the build for NVIDIA cards, which also runs without one. TORCH=cpu takes a third of the room.')


def fingerprint(root):
    "A short text that changes when what should be installed changes."
    names = 'settings.ini', 'setup.py', 'pyproject.toml', 'constraints.txt'
    # Read as text: the same whatever git does to line ends.
    return hashlib.sha256('\n'.join((root/n).read_text(encoding='utf-8') for n in names).encode()).hexdigest()[:16]


def venv_python(venv): return venv/('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def read_stamp(venv):
    "What the last finished install left in `venv`: {} for none."
    try: return json.loads((venv/'mlcourse.json').read_text(encoding='utf-8'))
    except (OSError, ValueError): return {}


def activity(line):
    "What a line of pip's output says is going on; None for the rest."
    found = re.match(r'\s*(Collecting|Downloading|Obtaining) (?:\S*/)?([\w.]+(?:-[A-Za-z]\w*)*)\S*'
                     r'(?:.*(\(\d[\d.]* [kMG]B\)))?', line)
    if found: return ' '.join(filter(None, [found.group(1).lower(), found.group(2), found.group(3)]))
    if line.startswith('Installing collected packages'): return 'unpacking {} packages'.format(line.count(',') + 1)


def show_progress(process, log, every=20):
    "Copy a process's output to `log` and show a sign of life: one line that changes, or one each `every` seconds."
    now = ['starting']

    def read():
        for line in process.stdout:
            log.write(line)
            now[0] = activity(line) or now[0]
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    start = shown = time.time()
    terminal = sys.stdout.isatty()
    while reader.is_alive():
        reader.join(0.5)
        minutes, seconds = divmod(int(time.time() - start), 60)
        line = '  {}:{:02d}  {}'.format(minutes, seconds, now[0])
        if terminal: print('\r' + line[:78].ljust(78), end='', flush=True)
        elif time.time() - shown > every:
            print(line, flush=True)
            shown = time.time()
    if terminal: print('\r' + ' '*78 + '\r', end='', flush=True)
    return process.wait()


NETWORK = ('Failed to establish a new connection|NewConnectionError|ConnectTimeout|Read timed out|NameResolution'
           '|name resolution|getaddrinfo|Connection refused|Network is unreachable|Cannot connect to proxy|ProxyError'
           '|SSLError|CERTIFICATE_VERIFY|Connection broken|RemoteDisconnected|ConnectionResetError|IncompleteRead'
           # Every index has setuptools.
           '|No matching distribution found for setuptools')


def explain(lines):
    "The one line that says why pip stopped, from the end of what it printed."
    text = ''.join(lines)
    if re.search(r'No space left on device|Errno 28|not enough space', text):
        return 'The disk is full: make room and run it again.'
    if re.search(NETWORK, text):
        return 'The package index cannot be reached: look at the network (or the proxy) and run it again.'
    absent = re.findall(r'No matching distribution found for (\S+)', text)
    if absent:
        return 'The package index has no {} for this Python and system: try another with PYTHON=...'.format(absent[-1])
    errors = re.findall(r'(?m)^\s*(?:ERROR|error): (.+)', text) or ['pip gave no reason']
    return 'The install failed: {}.'.format(errors[-1].strip().rstrip('.'))


def run_pip(venv, arguments, log):
    "Run `pip install` with `arguments`, quietly; a Problem when it fails."
    command = [str(venv_python(venv)), '-m', 'pip', 'install', '--no-input', '--disable-pip-version-check',
               '--progress-bar', 'off']
    # Temporary files beside the environment: a small /tmp is common, and the disk that was checked is this one.
    scratch = venv/'tmp'
    scratch.mkdir(exist_ok=True)
    environment = dict(os.environ, TMPDIR=str(scratch), PIP_REQUIRE_VIRTUALENV='0', PYTHONUNBUFFERED='1')
    process = subprocess.Popen(command + arguments, cwd=str(venv.parent), env=environment,
                               universal_newlines=True, errors='replace',
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try: failed = show_progress(process, log)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally: shutil.rmtree(str(scratch), ignore_errors=True)
    if failed:
        log.flush()
        with open(log.name, encoding='utf-8') as said: last = collections.deque(said, 40)
        raise Problem('{} (All that pip said: {})'.format(explain(last), log.name))


def torch_arguments(root):
    "pip's arguments for the matching CPU-only pair of torch and torchvision, in the versions of constraints.txt."
    pins = re.findall(r'(?m)^torch(?:vision)?==[^\s;]+', (root/'constraints.txt').read_text(encoding='utf-8'))
    return ['--no-deps', '--index-url', CPU_INDEX] + pins


def make_venv(venv, python):
    "A new environment in the folder `venv`."
    done = subprocess.run([python, '-m', 'venv', '--prompt', 'mlcourse', str(venv)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode:
        said = (done.stdout.strip().splitlines() or ['no reason given'])[-1]
        raise Problem('Python ({}) could not make a virtual environment: {}'.format(python, said))


def install(root, venv, dev, torch, log):
    "Install mlcourse, editable, and what it needs into `venv`."
    if torch == 'cpu' and sys.platform.startswith('linux'): run_pip(venv, torch_arguments(root), log)
    run_pip(venv, ['--constraint', str(root/'constraints.txt'), '--editable', '.[dev]' if dev else '.'], log)


def setup(root, dev=False, wanted=None, torch=None):
    "Bring root/.venv up to date; quick when it is."
    venv, versions = root/'.venv', supported(root)
    stamp, wish = read_stamp(venv), fingerprint(root)
    chosen = choose_python(versions, wanted) if wanted else None
    alive = probe([str(venv_python(venv))]) if venv.is_dir() else None
    # An environment that cannot serve is made anew: stopped halfway, moved, its Python gone, or another one wanted.
    # One that this script did not make, and that works, is somebody's own: install into it, never remove it.
    mine = bool(stamp) or (venv/'unfinished').exists()
    useless = ((venv/'unfinished').exists() or not alive or (stamp and stamp.get('root') != str(root))
               or (chosen and chosen['version'] != alive['version'])
               or bool(torch and stamp and stamp.get('torch') != torch))
    if venv.exists() and not mine and (useless or complaint(alive, versions)):
        raise Problem('.venv is there, but not a working environment of a supported Python: '
                      'move it away and run it again.')
    if not useless and stamp.get('fingerprint') == wish and (stamp['dev'] or not dev): return
    # What an environment has stays: tests' packages, and a CPU-only torch.
    dev, torch = dev or bool(stamp.get('dev')), torch or stamp.get('torch')
    fresh = useless or not venv.exists()
    if fresh: chosen = chosen or choose_python(versions)
    if fresh or not stamp:
        if venv.exists() and mine: shutil.rmtree(str(venv))
        check_disk(root, 'cuda' if sys.platform.startswith('linux') and torch != 'cpu' else 'cpu')
    else: print('Bringing .venv up to date.')
    started = time.time()
    handle, name = tempfile.mkstemp(prefix='mlcourse-install-', suffix='.log')
    os.close(handle)
    try:
        with open(name, 'w', encoding='utf-8') as log:
            if fresh: venv.mkdir()
            # If it is stopped between here and the end, the next run makes a new environment, not half an old one.
            if fresh or mine: (venv/'unfinished').touch()
            if fresh: make_venv(venv, chosen['path'])
            install(root, venv, dev, torch, log)
    except KeyboardInterrupt:
        os.remove(name)
        raise
    except Exception:
        # pip changes nothing before it has everything, so an environment that was whole before still is.
        if fresh: shutil.rmtree(str(venv), ignore_errors=True)
        elif mine: (venv/'unfinished').unlink()
        raise
    os.remove(name)
    stamp = dict(fingerprint=wish, dev=dev, torch=torch, root=str(root))
    (venv/'mlcourse.json').write_text(json.dumps(stamp), encoding='utf-8')
    if fresh or mine: (venv/'unfinished').unlink()
    print('Installed in {:.0f} s.'.format(time.time() - started))


def main(argv=None, root=HERE):
    parser = argparse.ArgumentParser(description='Make .venv with mlcourse in it, or do nothing when it is up to date.')
    parser.add_argument('--dev', action='store_true', help='also what the tests need')
    parser.add_argument('--python', metavar='PYTHON',
                        help='the Python to use instead of the newest supported one found')
    parser.add_argument('--torch', metavar='cpu',
                        help="'cpu': a CPU-only torch from PyTorch's own index (matters on Linux only)")
    args = parser.parse_args(argv)
    try:
        if args.torch not in (None, '', 'cpu'):
            raise Problem('TORCH={} is not known: leave it out, or say TORCH=cpu.'.format(args.torch))
        setup(Path(root), args.dev, args.python or None, args.torch or None)
    except Problem as error: print(error, file=sys.stderr)
    except KeyboardInterrupt: print('\nStopped. The next run starts the install afresh.', file=sys.stderr)
    except OSError as error: print('The install cannot go on: {}.'.format(error), file=sys.stderr)
    else: return 0
    return 1


if __name__ == '__main__': sys.exit(main())
