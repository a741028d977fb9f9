# make alone tells what there is. Every target makes .venv when it is not there; a second run does not install again.
#   PYTHON=python3.12   use this Python instead of the first that fits; where none does, uv fetches one
#   TORCH=cpu           on Linux, the build of PyTorch: cpu (a third of the room) or cuda; else the one that fits the machine

BIN := .venv/bin
# PyTorch's threads sleep while they wait. Left to spin, they make training many times slower on a busy machine.
export OMP_WAIT_POLICY ?= passive
# uv does not compile what it installs: Python does at the first import, and may keep it.
unexport PYTHONDONTWRITEBYTECODE
# Any Python from 3.8 on can run the set-up script; an older one says what is wrong.
SETUP = for python in python3 python3.14 python3.13 python3.12 python3.11 python "$$PYTHON" python3; do \
	"$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && break; done; \
	command -v "$$python" >/dev/null || { echo "No Python was found: install Python 3.11 to 3.14 from https://www.python.org/downloads/." >&2; exit 1; }; \
	"$$python" tools/setup_venv.py --python "$$PYTHON" --torch "$$TORCH"

.PHONY: help demo lab test notebooks site weights ablation dev install clean

help:
	@echo "make demo        install what is needed, then run both projects once (three minutes)"
	@echo "make lab         the same install, then open the course in JupyterLab"
	@echo "make test        every check, on copies: the notebooks and the tests (twenty to thirty minutes on two cores)"
	@echo "make notebooks   run all notebooks and save them with their figures (FLAGS='slow network' for all of it)"
	@echo "make site        the site, in _site/: lessons with sound, the library, the pages that run in a browser (needs npm)"
	@echo "make weights SPEECH=folder VOICES=folder   train the shipped weights again: voices, teacher, network (four hours)"
	@echo "make ablation SPEECH=folder                train the six networks that 07_training compares (half an hour)"
	@echo "make dev         once, for people who change notebooks: git hooks and the merge driver"
	@echo "make clean       remove .venv and what the others made"
	@echo "Options: PYTHON=python3.12 chooses the Python, TORCH=cpu or cuda the build of PyTorch on Linux."

install:
	@$(SETUP)

demo: install
	@$(BIN)/mlcourse demo

lab: install
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/nbs/index.ipynb

test:
	@$(SETUP) --dev
	@$(BIN)/python tools/check.py --flags "$(FLAGS)"

notebooks:
	@$(SETUP) --dev
	@$(BIN)/python tools/notebooks.py --flags "$(FLAGS)"
	@$(BIN)/python tools/readme.py

site:
	@$(SETUP) --dev
	@$(BIN)/python tools/make_site.py

# SPEECH holds train_*.parquet and dev.parquet, VOICES the voices of kokoro-js: recipes/training_voices.py says how to get them.
weights:
	@$(SETUP) --dev
	.uv/bin/uv pip install --quiet --python .venv -c constraints.txt -C editable_mode=compat -e '.[voices,teacher]'
	$(BIN)/python recipes/training_voices.py "$(SPEECH)" --voices "$(VOICES)"
	$(BIN)/python recipes/teacher.py "$(SPEECH)"
	$(BIN)/python recipes/language_detector.py "$(SPEECH)"
	$(BIN)/python recipes/calibrate.py "$(SPEECH)"
	$(BIN)/python benchmarks/language_quality.py "$(SPEECH)"

ablation:
	@$(SETUP) --dev
	$(BIN)/python benchmarks/language_ablation.py "$(SPEECH)"

dev:
	@$(SETUP) --dev
	@$(BIN)/nbdev_install_hooks

clean:
	rm -rf .venv .venv.old .uv _demo _docs _site build dist *.egg-info
