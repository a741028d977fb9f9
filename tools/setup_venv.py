"""Make .venv with mlcourse in it, or do nothing when it is there and up to date.

    python3 tools/setup_venv.py [--dev] [--python python3.12] [--torch cpu]

uv does the work, which pip brings into .uv: it finds a Python, or fetches one, and installs. This script needs nothing
installed, and runs on any Python from 3.6 on, so that an old Python gets a clear sentence too.
"""
import argparse, ast, hashlib, json, os, re, shutil, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
LINUX = sys.platform.startswith('linux')
UV = '0.13.9'
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'
PATIENCE = 15  # seconds for it to answer
# GB that .venv takes on Linux, rounded up. uv's cache shares its files with .venv where both are on one disk.
DISK_GB = {'cuda': 8, 'cpu': 3}
# What pip is told about indexes, for uv.
FROM_PIP = {'index-url': 'UV_DEFAULT_INDEX', 'extra-index-url': 'UV_INDEX', 'find-links': 'UV_FIND_LINKS',
            'trusted-host': 'UV_INSECURE_HOST', 'cert': 'SSL_CERT_FILE', 'proxy': 'ALL_PROXY'}
# The Pythons that are supported: from 3.LOW on, below 3.HIGH.
LOW, HIGH = (int(re.search(key + r' = 3\.(\d+)', (HERE/'settings.ini').read_text(encoding='utf-8')).group(1))
             for key in ('min_python', 'below_python'))
PYTHONS = f'Python 3.{LOW} to 3.{HIGH-1}'


class Problem(Exception):
    "Something a person can put right: its text is the one line that they see."


def program(venv, name): return str(venv/f'Scripts/{name}.exe' if os.name == 'nt' else venv/f'bin/{name}')


def ask(*command, **options):
    "What a command prints; None when it does not run, fails, or takes too long."
    try: return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               universal_newlines=True, check=True, **options).stdout
    except (OSError, subprocess.SubprocessError): return None


def minor_version(venv):
    "The minor version of an environment's Python 3; 0 when it does not run."
    return int(ask(program(venv, 'python'), '-c', 'import sys; print(sys.version_info[1])') or 0)


def explain(said):
    "The one sentence that says why uv or pip stopped, from all that it said."
    if re.search(r'No space left|os error (28|112)\b|Errno 28', said):
        return 'The disk is full: make room and run it again.'
    if 'python-build-standalone' in said:
        return (f'No fitting Python was found, and none could be fetched: install {PYTHONS} from '
                'https://www.python.org/downloads/ or name one with PYTHON=...')
    # pip that reaches no index says that it found no uv: every index has it.
    if re.search('error sending request|Failed to fetch|timed out|distribution found for uv', said):
        host = re.search(r'https?://[^/\s`)]+', said)
        return (f"The package index{' at ' + host.group() if host else ''} cannot be reached: "
                'look at the network (or the proxy) and run it again.')
    if re.search('Hash mismatch|invalid package format|Failed to (download|extract)', said):
        what = re.search(r'(?:download `|Because )([^\s`]+)|$', said).group(1)
        return f'A download is broken ({what}): run it again.'
    why = re.split('(?mi)^error: ', said)[-1].split('\nhint:')[0]
    return 'The install failed: ' + (' '.join(re.sub(r'\n\s*cause:', ':', why).split()) or 'no reason was given.')


def run(root, *command):
    "Run a command and show the lines that tell how far it is; a Problem when it fails."
    process = subprocess.Popen(command, cwd=str(root), universal_newlines=True, errors='replace',
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if re.match(r'(Resolved|Prepared|Installed) \d|Downloading \S+ \(\d{3,}', line):
                print('  ' + line.strip(), flush=True)
        failed = process.wait()
    finally:
        process.kill()
        process.wait()
    if failed: raise Problem(explain(''.join(said)))


def get_uv(root):
    "The path of uv, which will look where pip is told to look."
    home = root/'.uv'
    python, uv = program(home, 'python'), program(home, 'uv')
    if not (ask(uv, '--version') or '').startswith(f'uv {UV} '):
        version = '{}.{}'.format(*sys.version_info)
        try: import ensurepip, venv  # noqa: F401 (Debian takes them out)
        except ImportError:
            raise Problem(f'Python {version} ({sys.executable}) has no venv module: install it '
                          f'(on Debian and Ubuntu: sudo apt install python{version}-venv).') from None
        run(root, sys.executable, '-m', 'venv', '--clear', str(home))
        run(root, python, '-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', 'uv==' + UV)
    told = ask(python, '-m', 'pip', 'config', 'list') or ''
    for section in (':env:', 'install', 'global'):
        for key, value in re.findall(rf'(?m)^{section}\.([\w-]+)=(.+)$', told):
            values = ast.literal_eval(value).split()
            if key in FROM_PIP: os.environ.setdefault(FROM_PIP[key], (',' if key == 'find-links' else ' ').join(values))
    os.environ.setdefault('UV_SYSTEM_CERTS', '1')
    # pip takes the best of all indexes; uv looks no further than the first that has the package.
    if 'UV_INDEX' in os.environ: os.environ.setdefault('UV_INDEX_STRATEGY', 'unsafe-best-match')
    return uv


def cpu_pair(root):
    "uv's arguments for the CPU-only pair of torch and torchvision, in the versions of constraints.txt."
    pins = re.findall(r'(?m)^torch(?:vision)?==[^\s;]+', (root/'constraints.txt').read_text(encoding='utf-8'))
    return ['--no-deps', '--default-index', CPU_INDEX] + pins


def has_nvidia(): return os.path.exists('/proc/driver/nvidia/version') or bool(shutil.which('nvidia-smi'))


def choose_torch(root, pip):
    "The build of PyTorch for this Linux machine, 'cuda' or 'cpu', and why."
    if has_nvidia(): return 'cuda', 'this machine has an NVIDIA card'
    options = dict(timeout=PATIENCE, env=dict(os.environ, UV_HTTP_RETRIES='0'))
    if ask(*pip, '--dry-run', *cpu_pair(root), **options) is not None: return 'cpu', 'this machine has no NVIDIA card'
    return 'cuda', f'no NVIDIA card here, but {CPU_INDEX}, which has the small build, does not answer'


def fingerprint(root):
    "A short text that changes when what should be installed changes."
    names = 'settings.ini', 'setup.py', 'pyproject.toml', 'constraints.txt'
    # Read as text: the same whatever git does to line ends.
    return hashlib.sha256('\n'.join((root/n).read_text(encoding='utf-8') for n in names).encode()).hexdigest()[:16]


def read_stamp(venv):
    "What is known about the install in `venv`, a fingerprint only when it was finished: {} for nothing."
    try: return json.loads((venv/'mlcourse.json').read_text(encoding='utf-8'))
    except (OSError, ValueError): return {}


def write_stamp(venv, **stamp): (venv/'mlcourse.json').write_text(json.dumps(stamp), encoding='utf-8')


def restore(venv, old):
    "What worked before comes back in the place of what is half made."
    shutil.rmtree(str(venv), ignore_errors=True)
    if old.exists(): old.rename(venv)


def make_venv(root, uv, wanted):
    "A new .venv, of the Python that is wanted or the first that fits."
    run(root, uv, 'venv', '--allow-existing', '--seed', '--prompt', 'mlcourse', '--no-project',
        '--python', wanted or f'>=3.{LOW},<3.{HIGH}', '.venv')
    minor = minor_version(root/'.venv')
    if not LOW <= minor < HIGH:
        raise Problem(f"Python 3.{minor} is too {'old' if minor < LOW else 'new'}: mlcourse needs {PYTHONS}.")


def check_disk(root, torch):
    "Say what the install takes, and stop when the disk has no room for it."
    needs, free = DISK_GB[torch or 'cpu'], shutil.disk_usage(str(root)).free / 1e9
    smaller = ', or take the small build of PyTorch with TORCH=cpu' if torch == 'cuda' else ''
    if free < needs:
        raise Problem(f'Too little disk: the install needs {needs} GB free in {root} and there are {free:.1f} GB: '
                      f'make room{smaller}.')
    print(f'Installing into .venv: up to {needs} GB and a few minutes.', flush=True)


def install(root, pip, dev, torch):
    "Install mlcourse, editable, and what it needs into .venv."
    if torch == 'cpu': run(root, *pip, *cpu_pair(root))
    # On sys.path, not found by a hook: any folder called mlcourse beside a notebook would come before that.
    run(root, *pip, '--constraint', 'constraints.txt', '--config-settings', 'editable_mode=compat',
        '--editable', '.[dev,scale,site]' if dev else '.')
    # uv compiles nothing, and left to the first start that is slow.
    print('  Compiling what is imported first', flush=True)
    ask(program(root/'.venv', 'python'), '-W', 'ignore', '-c', 'import fastai.vision.all',
        env=dict(os.environ, PYTHONDONTWRITEBYTECODE=''))


def setup(root, dev=False, wanted=None, torch=None):
    "Bring root/.venv up to date; quick when it is."
    venv, old = root/'.venv', root/'.venv.old'
    if old.exists() and not read_stamp(venv).get('fingerprint'): restore(venv, old)
    stamp, wish = read_stamp(venv), fingerprint(root)
    fits = LOW <= minor_version(venv) < HIGH and all(
        want in (None, stamp.get(key)) for key, want in (('python', wanted), ('torch', torch)))
    # One that this script did not make is somebody's own: install into it if it works, never replace it.
    foreign = venv.exists() and stamp.get('foreign', not stamp)
    if foreign and not fits:
        raise Problem(f'.venv is there, made by somebody else, and it is not what is needed ({wanted or PYTHONS}, '
                      'PyTorch as asked for): move it away and run it again.')
    # One that cannot serve is made anew: stopped halfway, moved, its Python gone, another one wanted.
    fresh = not foreign and not (fits and stamp.get('fingerprint') and stamp['root'] == str(root))
    done = stamp.get('fingerprint') == wish and stamp['root'] == str(root) and (stamp['dev'] or not dev)
    if done and not fresh: return
    if sys.version_info < (3, 8):
        raise Problem(f'Python 3.{sys.version_info[1]} ({sys.executable}) is too old to bring uv: '
                      f'install {PYTHONS} from https://www.python.org/downloads/.')
    if sys.platform == 'darwin' and os.uname().machine == 'x86_64':
        raise Problem('PyTorch is no longer built for Macs with an Intel processor: use the Colab link in README.md.')
    # What an environment has stays: the tests' packages, its Python, and its build of PyTorch.
    dev, wanted, torch = dev or bool(stamp.get('dev')), wanted or stamp.get('python'), torch or stamp.get('torch')
    started, uv = time.time(), get_uv(root)
    pip = [uv, 'pip', 'install', '--python', program(venv, 'python')]
    try:
        if fresh:
            shutil.rmtree(str(old), ignore_errors=True)
            if venv.exists(): venv.rename(old)
            venv.mkdir()
        # Stopped between here and the end, the next run starts afresh.
        write_stamp(venv, **dict(stamp, fingerprint=None, root=str(root), foreign=foreign))
        if fresh:
            make_venv(root, uv, wanted)
            if LINUX and not torch:
                torch, why = choose_torch(root, pip)
                print(f"PyTorch for {'NVIDIA cards' if torch == 'cuda' else 'the processor'}: {why}.")
            check_disk(root, torch)
        else: print('Bringing .venv up to date.', flush=True)
        install(root, pip, dev, torch)
    except BaseException as error:
        if fresh: restore(venv, old)
        # uv changes nothing before it has everything, so an environment that was whole before still is.
        elif isinstance(error, Problem): write_stamp(venv, **stamp)
        raise
    write_stamp(venv, fingerprint=wish, dev=dev, torch=torch, python=wanted, root=str(root), foreign=foreign)
    shutil.rmtree(str(old), ignore_errors=True)
    print(f'Installed in {time.time() - started:.0f} s.')


def main(argv=None, root=HERE):
    parser = argparse.ArgumentParser(description='Make .venv with mlcourse in it, or do nothing when it is up to date.')
    parser.add_argument('--dev', action='store_true', help='also what the tests need')
    parser.add_argument('--python', metavar='PYTHON', help='the Python to use: a name, a version or a path')
    parser.add_argument('--torch', metavar='cuda|cpu', help='on Linux: the build of PyTorch, if not the one that fits')
    args = parser.parse_args(argv)
    try:
        if args.torch not in (None, '', 'cuda', 'cpu'):
            raise Problem(f'TORCH={args.torch} is not known: say TORCH=cuda or TORCH=cpu.')
        setup(Path(root), args.dev, args.python or None, LINUX and args.torch or None)
    except Problem as error: print(error, file=sys.stderr)
    except KeyboardInterrupt: print('\nStopped. The next run starts afresh, with what was downloaded.', file=sys.stderr)
    except OSError as error: print(f'The install cannot go on: {error}.', file=sys.stderr)
    else: return 0
    return 1


if __name__ == '__main__': sys.exit(main())
