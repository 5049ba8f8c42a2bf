# Everything a person or CI does with the project. `make` alone prints this list.
PYTHON ?= python3
PORT ?= 5000
VENV := .venv
BIN := $(VENV)/bin
# The installer of the lock is fast where it has a wheel; pip does the same everywhere else.
INSTALL = $(if $(wildcard $(BIN)/uv),$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install) --quiet

# What `make grade` and its like hand on; a folder may have a space in its name.
GRADE = $(if $(FOLDER),'$(FOLDER)') $(if $(FOLDERS),--class '$(FOLDERS)') $(if $(TASK),--task $(TASK)) $(if $(WATCH),--watch) \
  $(if $(STEP),--step) $(if $(JSON),--json) $(if $(JUNIT),--junit '$(JUNIT)') $(if $(LANGUAGE),--language $(LANGUAGE)) $(if $(MENDED),--mended) $(if $(ONLY),--only $(ONLY))

MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help run test quick check flask-login format course course-check course-attacks start grade attack lab crash mutants stops upgrades bench openapi password-list texts pictures docs snippets lock clean

help: ## print this list
	@echo "Bienvenue: a user authentication service. Commands:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{printf "%-22s %s\n", $$1, $$2}'

run: $(VENV)/run.stamp ## set up and serve on http://localhost:5000 (PORT=5001 for another port)
	@exec $(BIN)/bienvenue serve --port $(PORT)

test: $(VENV)/dev.stamp ## set up and show every behaviour once, under four minutes on two cores
	@$(BIN)/python tools/checks.py test

quick: $(VENV)/dev.stamp ## the fast tests, under a minute
	@$(BIN)/python tools/checks.py quick

check: $(VENV)/dev.stamp ## everything: types, all tests in full with coverage, wheel, oldest dependencies, interpreters
	@$(BIN)/python tools/checks.py check

flask-login: $(VENV)/dev.stamp ## fetch Flask-Login's own tests, which `make check` runs on its names
	@$(BIN)/python tools/checks.py flask-login

format: $(VENV)/dev.stamp ## put every Python file into the house's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

course: $(VENV)/run.stamp ## serve the course's exercise on http://localhost:5000
	@cd course && exec ../$(BIN)/python app.py

course-check: $(VENV)/dev.stamp ## run every chapter of the course
	@$(BIN)/python -m pytest -q tests/course

course-attacks: $(VENV)/dev.stamp ## run the attacks of the course: they win on the exercise, not on the service
	@$(BIN)/python -m tests.attacks --course

start: $(VENV)/dev.stamp ## make the empty beginning of the exercise in FOLDER=~/mine
	@$(BIN)/python -m grade --start $(GRADE)

grade: $(VENV)/dev.stamp ## grade the four files in FOLDER=~/mine (TASK=7 WATCH=1 STEP=1 JSON=1), or a class in FOLDERS='all/*' (JUNIT=file)
	@$(BIN)/python -m grade $(GRADE)

attack: $(VENV)/dev.stamp ## run the attacks on the files in FOLDER=~/mine, beside the service (ONLY=A06)
	@$(BIN)/python -m grade --attack $(GRADE)

lab: $(VENV)/dev.stamp ## show each request, row and answer of the files in FOLDER=~/mine as a page
	@$(BIN)/python -m grade --lab $(GRADE)

crash: $(VENV)/dev.stamp ## kill -9 of the service and of the processes that send emails, 200 times each on each database
	@KILLS=$${KILLS:-200} $(BIN)/python -m pytest -q -p no:cacheprovider -n 2 -k "promised or kill" tests/journeys/test_crashes.py tests/journeys/test_emails.py

mutants: $(VENV)/dev.stamp ## grade every mutant of the course, and compare those let through with the list
	@MUTANTS=1 $(BIN)/python -m pytest -q -p no:cacheprovider -n 2 tests/grade/test_mutants.py

stops: $(VENV)/dev.stamp ## stop `bienvenue serve` at a thousand random moments, idle and beside busy loops
	@$(BIN)/python -m tests.journeys.stops $${STOPS:-1000}

upgrades: $(VENV)/dev.stamp ## run this version beside that of FROM=COMMIT on one database, as a fleet that upgrades does
	@rm -rf build/earlier && mkdir -p build/earlier && git archive $(FROM) src | tar -x -C build/earlier
	@EARLIER_SOURCE=build/earlier/src THOROUGH=1 $(BIN)/python -m pytest -q -p no:cacheprovider -n 2 tests/journeys/test_two_versions.py

bench: $(VENV)/dev.stamp ## what a session check costs, and what a storm of sign-ins does to it; seven minutes
	@$(BIN)/python -m bench

openapi: $(VENV)/run.stamp ## print the OpenAPI document of the service
	@$(BIN)/bienvenue openapi

password-list: $(VENV)/dev.stamp ## rebuild the list of common passwords from its sources
	@$(BIN)/python tools/password_list.py

texts: $(VENV)/dev.stamp ## gather the texts for people into every catalogue, and compile it
	@$(BIN)/python -m tools.texts

pictures: $(VENV)/dev.stamp ## take the pictures of pages that README and docs show
	@$(BIN)/python -m tools.pictures

docs: $(VENV)/dev.stamp ## write the API reference, docs/reference, of the docstrings
	@$(BIN)/python -m tools.reference

snippets: $(VENV)/dev.stamp ## put the functions that the course shows whole into its chapters
	@$(BIN)/python tools/snippets.py

lock: $(VENV)/dev.stamp ## resolve the dependencies anew and write both lock files
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/lock

clean: ## remove the virtual environment and everything built
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Bienvenue needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements/installer.lock 2>/dev/null || true

$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the service needs ..."
	@$(INSTALL) --require-hashes -r requirements/run.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@echo "Installing what the tests need ..."
	@$(INSTALL) --require-hashes -r requirements/dev.lock
	@touch $@
