"""The site: the committed notebooks as pages to read, with sound that plays, and the pages that run in a browser alone.

    python tools/make_site.py [--folder _site] [--no-apps]

Nothing is run: a page shows what its notebook was saved with. MkDocs makes the site (its settings are in mkdocs.yml).
"""
import argparse, ast, hashlib, os, re, shutil
from pathlib import Path
from posixpath import normpath

import nbformat
from latex2mathml.converter import convert
from markdown.extensions.toc import slugify
from mkdocs.commands.build import build
from mkdocs.config import load_config

from notebooks import directives, GITHUB, LINK, ROOT

HIDDEN = {'hide', 'default_exp'}
PARTS = {'Lessons': 'course', 'Thumbnails': 'thumbnails', 'Language': 'language', 'Library': 'library'}
TRY = [{'English or Mandarin?': 'try/detect.html'}, {'Your thumbnail in a feed': 'try/feed.html'}]
CODE = re.compile(r'(?ms)(^```.*?^```|`[^`\n]*`)')


def heading(anchor):
    "A heading's name in the site, from that in Jupyter."
    return slugify(anchor.replace('-', ' '), '-')


def site_link(match, folder):
    "A link as the site needs it: to a page instead of its notebook, to GitHub where the site has no such file."
    path, mark, anchor = match[2].partition('#')
    target = normpath(f'nbs/{folder}/{path}')
    if not target.startswith('nbs/') or not (ROOT/target).is_file(): return f'{match[1]}{GITHUB}{target}{mark}{anchor}'
    return match[1] + re.sub(r'\.ipynb$', '.html', path) + mark + heading(anchor)


def mathml(match):
    "A formula as every browser shows it, without a script."
    return convert(match[2], display='block' if match[1] == '$$' else 'inline')


def page_text(markdown, folder):
    "Prose with the site's links and formulas; code stays as it is."
    parts = CODE.split(markdown)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r'(\$\$?)(?! )([^$]+?)\1', mathml, parts[i])
        parts[i] = re.sub(r'!\[([^]]*)\]\(https?:[^)]+\)', r'\1', parts[i]) # badges, whose pictures lie elsewhere
        parts[i] = re.sub(r'(\]\(#)([^)\s]+)', lambda match: match[1] + heading(match[2]), parts[i])
        parts[i] = LINK.sub(lambda match: site_link(match, folder), parts[i])
    return ''.join(parts)


def definitions(nb):
    "A table of what a module's notebook exports: name and first line of its docstring."
    rows = []
    for cell in nb.cells:
        if 'export' not in directives(cell): continue
        for node in ast.parse(re.sub(r'(?m)^\s*[%!].*$', '', cell.source)).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith('_'):
                methods = {'patch' in ast.unparse(d) for d in node.decorator_list}
                if True not in methods: rows.append((node.name, (ast.get_docstring(node) or '').split('\n')[0]))
    text = ''.join(f'| `{name}` | {doc.replace("|", chr(92)+"|")} |\n' for name, doc in rows)
    return f'| name | what it does |\n|---|---|\n{text}' if rows else ''


def without_widgets(output):
    "Whether an output can be shown without a running kernel."
    return not any('widget' in kind for kind in output.get('data', {}))


def page_notebook(path, folder):
    "A notebook as its page shows it: no hidden cells, no directives, links of the site."
    nb = nbformat.read(path, 4)
    table = definitions(nb)
    nb.cells = [cell for cell in nb.cells if cell.source.strip() and not HIDDEN & directives(cell).keys()]
    for cell in nb.cells:
        if cell.cell_type == 'markdown': cell.source = page_text(cell.source, folder)
        else:
            cell.source = '\n'.join(cell.source.strip().splitlines()[len(directives(cell)):])
            cell.outputs = [output for output in cell.outputs if without_widgets(output)]
    if table: nb.cells.insert(1, nbformat.v4.new_markdown_cell(table))
    nb.metadata['language_info'] = {'name': 'python'}
    return nb


def title(nb):
    "Its first heading; None when it has none, and is no page."
    return next((m[1] for cell in nb.cells if (m := re.search(r'(?m)^# (.+)$', cell.source))), None)


def write_pages(docs):
    "Fill the folder that MkDocs reads; the order of the pages."
    shutil.rmtree(docs, ignore_errors=True)
    shutil.copytree(ROOT/'nbs/images', docs/'images')
    shutil.copyfile(ROOT/'tools/site.css', docs/'site.css')
    pages = {}
    for path in sorted((ROOT/'nbs').rglob('*.ipynb')):
        name = path.relative_to(ROOT/'nbs')
        nb = page_notebook(path, name.parent.as_posix())
        if '.ipynb_checkpoints' in name.parts or not title(nb): continue
        (docs/name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nb, docs/name)
        pages[name.as_posix()] = title(nb)
    own = {'index.ipynb': 'Start', 'course/glossary.ipynb': 'Glossary', 'course/teachers.ipynb': 'For teachers'}
    def item(name): return {own.get(name, numbered(name, pages[name])): name}
    parts = [{part: [item(name) for name in pages if name.startswith(folder+'/') and name not in own]}
             for part, folder in PARTS.items()]
    lessons, *modules = parts
    return [*map(item, ['index.ipynb']), {'Try it': TRY}, lessons,
            *(item(name) for name in [*own][1:] if name in pages), {'How it is made': modules}]


def numbered(name, text):
    number = re.match(r'\w+/(\d+)_', name)
    return f'{number[1]} {text}' if number else text


STYLE = re.compile(r'(?s)<style[^>]*>((?:(?!</style>).)*)</style>')
SCRIPT = re.compile(r'(?s)<script[^>]*>(?:(?!</script>).)*(?:mermaid|mathjax)(?:(?!</script>).)*</script>')


def shared_style(match, folder, page):
    "A link to a long style that other pages have, too; a short style stays."
    if len(match[1]) < 4000: return match[0]
    name = f'assets/{hashlib.sha256(match[1].encode()).hexdigest()[:12]}.css'
    (folder/name).write_text(match[1], encoding='utf-8')
    return f'<link rel="stylesheet" href="{os.path.relpath(folder/name, page.parent)}">'


def lighten(folder):
    "Take out what every page repeats, and scripts for diagrams and formulas, which no page needs."
    for path in folder.rglob('*.html'):
        text = STYLE.sub(lambda match, page=path: shared_style(match, folder, page), path.read_text(encoding='utf-8'))
        text = SCRIPT.sub('', text).replace('<script src=""> </script>', '')
        path.write_text(text, encoding='utf-8')


def make_site(folder, docs, with_apps=True):
    "The whole site in a folder."
    nav = write_pages(docs)
    config = load_config(str(ROOT/'mkdocs.yml'), docs_dir=str(docs), site_dir=str(folder), nav=nav)
    build(config)
    lighten(folder)
    if with_apps:
        import apps # here, since pages alone need neither npm nor mlcourse
        apps.write_apps(folder/'try')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='The site.')
    parser.add_argument('--folder', type=Path, default=ROOT/'_site')
    parser.add_argument('--no-apps', action='store_true', help='leave out the pages that need npm')
    args = parser.parse_args()
    make_site(args.folder.resolve(), ROOT/'_docs', not args.no_apps)
