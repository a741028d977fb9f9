"""Every check of the project, on copies: the working tree stays as it is, and a learner's own outputs do no harm.

    python tools/check.py
    python tools/check.py nbs/language/01_audio.ipynb [...] [--flags slow]     # only that these run, and their answers

It prints a line a check and ends with one that adds everything up.
"""
import argparse, multiprocessing, os, re, shutil, signal, subprocess, sys, tempfile, time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

import rules, solutions
from notebooks import ROOT
from readme import differences

SECONDS_A_NOTEBOOK = 600
# In the copy, the copy's mlcourse comes first. Two notebooks run at once, with a thread each.
ENVIRONMENT = dict(os.environ, MPLBACKEND='agg', OMP_NUM_THREADS='1',
                   PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH'])


def git(*arguments):
    "What git prints, as bytes; None when it fails or there is no git."
    try: done = subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True)
    except OSError: return None
    return done.stdout if done.returncode == 0 else None


def copy_tree(target):
    "Copy what git tracks, and new files that it does not ignore; without git, everything but what is made here."
    listed = git('ls-files', '-z', '--cached', '--others', '--exclude-standard')
    if listed is None:
        leave = shutil.ignore_patterns('.*', '_*o', '*.egg-info', '__pycache__', 'build', 'dist')
        return shutil.copytree(ROOT, target, ignore=leave)
    for name in sorted(set(os.fsdecode(listed).split('\0')) - {''}):
        if not (ROOT/name).is_file(): continue
        (target/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT/name, target/name)
    return target


# On Linux, the process of a notebook is a copy of one that has imported what most notebooks need: it takes seconds.
PROCESSES = multiprocessing.get_context('forkserver' if sys.platform == 'linux' else 'spawn')
IMPORTED = '__main__', 'nbdev.test', 'fastai.vision.all', 'librosa', 'sklearn.linear_model', 'onnxruntime'


def end_family(process):
    "End a process that has a session of its own, and all that it started."
    if hasattr(os, 'killpg'): os.killpg(process.pid, signal.SIGKILL)
    else: process.kill()


def run(command, folder, timeout=600, **environment):
    "Run a command in `folder` and return (whether it succeeded, what it printed); its whole family ends with it."
    process = subprocess.Popen(command, cwd=folder, env={**ENVIRONMENT, 'PYTHONPATH': str(folder), **environment},
                               text=True, errors='replace', start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try: output = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        end_family(process)
        return False, process.communicate()[0] + f'\nstopped after {timeout} s'
    return process.returncode == 0, output


def tool(name, *arguments): return [str(Path(sys.executable).parent/name), *arguments]


def contents(folder, pattern):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob(pattern)) if p.is_file()}


def changed(before, after): return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def check_clean(scratch):
    "Committed notebooks are clean: the ones in git's HEAD, since stepping through a notebook changes the one on disk."
    listed = git('ls-tree', '-r', '-z', '--name-only', 'HEAD', 'nbs', 'settings.ini')
    if not listed: return 'skipped', 'no commit to look at'
    for name in listed.decode().strip('\0').split('\0'):
        (scratch/name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(('.ipynb', '.ini')): (scratch/name).write_bytes(git('show', f'HEAD:{name}'))
    before = contents(scratch, '*.ipynb')
    ok, output = run(tool('nbdev_clean'), scratch)
    dirty = changed(before, contents(scratch, '*.ipynb'))
    if not ok: return 'failed', output
    return ('failed', 'run nbdev_clean and commit again: ' + ', '.join(dirty)) if dirty else ('ok', '')


def check_export(tree):
    "mlcourse/ is what the notebooks' export gives, with no module left over from a notebook that is gone."
    before = contents(tree/'mlcourse', '*.py')
    ok, output = run(tool('nbdev_export'), tree)
    if not ok: return 'failed', output
    after = contents(tree/'mlcourse', '*.py')
    stale = [name for name, code in after.items() for source in re.findall(rb'File to edit: (\S+\.ipynb)', code)
             if not (tree/'mlcourse'/name).parent.joinpath(source.decode()).exists()]
    wrong = sorted({*changed(before, after), *stale})
    return ('failed', 'run nbdev_export: mlcourse/' + ', mlcourse/'.join(wrong)) if wrong else ('ok', '')


def check_readme():
    "README.md is what nbs/index.ipynb gives, with the outputs on disk or with the committed ones."
    nb = nbformat.read(ROOT/'nbs/index.ipynb', 4)
    wrong = differences(nb)
    committed = git('show', 'HEAD:nbs/index.ipynb')
    if wrong and committed:
        outputs = {c.id: c.outputs for c in nbformat.reads(committed.decode(), 4).cells if c.cell_type == 'code'}
        for cell in nb.cells:
            if cell.cell_type == 'code': cell.outputs = outputs.get(cell.id, cell.outputs)
        wrong = differences(nb)
    return ('failed', 'run tools/readme.py: ' + ', '.join(wrong)) if wrong else ('ok', '')


def check_lint(tree):
    "ruff finds nothing, by the rules in pyproject.toml."
    folders = 'mlcourse', 'nbs', *rules.SCRIPTS
    ok, output = run(tool('ruff', 'check', '--no-cache', '--output-format=concise', *folders), tree)
    return ('ok', '') if ok else ('failed', output)


def check_rules(find, root):
    "Nothing is found by `find`, one of those in rules.py."
    findings = find(root)
    return ('failed', '\n'.join(findings)) if findings else ('ok', '')


def test_notebook(path, tree, flags, printed):
    "What the process of one notebook does: nbdev_test, in the copy, with all that is printed in a file."
    if hasattr(os, 'setsid'): os.setsid()
    with open(printed, 'w') as output, open(os.devnull) as nothing:
        for descriptor, file in enumerate((nothing, output, output)): os.dup2(file.fileno(), descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, 'w', buffering=1), open(2, 'w', buffering=1)
    os.environ.update(ENVIRONMENT, PYTHONPATH=str(tree))
    sys.path.insert(0, str(tree))
    os.chdir(tree)
    from nbdev.test import nbdev_test
    nbdev_test(path=str(path), flags=flags)


def check_notebook(path, tree, flags='', seconds=SECONDS_A_NOTEBOOK):
    "One notebook and its folded answers run from top to bottom, by nbdev_test in a process of its own."
    solutions.insert(path)
    printed = path.with_suffix('.printed')
    process = PROCESSES.Process(target=test_notebook, args=(path, tree, flags, printed))
    process.start()
    process.join(seconds)
    if late := process.is_alive(): end_family(process)
    process.join()
    output = printed.read_text(errors='replace') if printed.exists() else ''
    printed.unlink(missing_ok=True)
    return process.exitcode == 0, output + (f'\nstopped after {seconds} s' if late else '')


def run_pytest(tree, report):
    "pytest over tests/, shown as it runs; how many (passed, failed, skipped)."
    # Two files at once: most of the time a test waits for a page, a kernel or a process.
    command = [sys.executable, '-m', 'pytest', '-n', '2', '--dist', 'loadfile', '--no-loadscope-reorder',
               f'--junitxml={report}', '--durations=30', '--durations-min=5']
    subprocess.run(command, cwd=tree, env={**ENVIRONMENT, 'PYTHONPATH': str(tree)})
    try: suite = ElementTree.parse(report).getroot().find('testsuite').attrib
    except (OSError, ElementTree.ParseError): return 0, 1, 0
    total, failed, skipped = int(suite['tests']), int(suite['failures']) + int(suite['errors']), int(suite['skipped'])
    return total - failed - skipped, failed, skipped


def check_files(tell, tree, committed):
    "The checks that run no notebook; `committed` is a new folder."
    committed.mkdir()
    tell('committed notebooks are clean', *check_clean(committed))
    # A learner may open a collapsed cell, or write long lines.
    looked_at = committed if any(committed.iterdir()) else ROOT
    tell('notebooks keep to the limits', *check_rules(rules.notebook_findings, looked_at))
    tell('mlcourse/ is what the notebooks export', *check_export(tree))
    tell('README.md is what nbs/index.ipynb gives', *check_readme())
    tell('ruff finds nothing', *check_lint(tree))
    tell('links lead somewhere', *check_rules(rules.link_findings, ROOT))
    tell('imports keep to the order', *check_rules(rules.import_findings, ROOT))


def check_notebooks(tell, tree, paths, flags=''):
    "Notebooks, two at once."
    # What PyTorch says of its own future helps nobody here.
    os.environ.update(ENVIRONMENT, PYTHONWARNINGS='ignore::FutureWarning:torch.jit._script')
    PROCESSES.set_forkserver_preload(IMPORTED)
    def timed(path):
        started = time.time()
        ok, output = check_notebook(path, tree, flags)
        return path.relative_to(tree), ok, output, time.time() - started
    with ThreadPoolExecutor(2) as pool:
        for path, ok, output, seconds in pool.map(timed, paths):
            tell(f'{path}  {seconds:.0f} s', 'ok' if ok else 'failed', '' if ok else output)


def main(argv=None):
    parser = argparse.ArgumentParser(description='Every check of the project, on copies.')
    parser.add_argument('notebooks', nargs='*', type=Path, help='check that these run, and nothing else')
    parser.add_argument('--flags', default='', help="flags whose cells run too: 'slow network'")
    args = parser.parse_args(argv)
    counts = dict(ok=0, failed=0, skipped=0)

    def tell(what, outcome, output=''):
        counts[outcome] += 1
        print(f'{outcome:8}{what}', flush=True)
        if output: print('        ' + '\n        '.join(output.strip().splitlines()[-40:]), flush=True)

    with tempfile.TemporaryDirectory(prefix='mlcourse-check-') as scratch:
        scratch = Path(scratch).resolve()
        tree = copy_tree(scratch/'mlcourse-copy')
        named = [tree/path.resolve().relative_to(ROOT) for path in args.notebooks]
        if not named: check_files(tell, tree, scratch/'committed')
        check_notebooks(tell, tree, named or sorted((tree/'nbs').rglob('*.ipynb')), args.flags)
        if not named:
            passed, failed, skipped = run_pytest(tree, scratch/'pytest.xml')
            for outcome, n in dict(ok=passed, failed=failed, skipped=skipped).items(): counts[outcome] += n
    skipped = f", {counts['skipped']} skipped" if counts['skipped'] else ''
    print(f"{counts['ok']} passed, {counts['failed']} failed{skipped}")
    return int(counts['failed'] > 0)


if __name__ == '__main__': sys.exit(main())
