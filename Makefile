# Nothing but make and Python >= 3.11 is needed: every target makes what it uses in .venv first.
#
#   make run                    the example shop, for a browser
#   make test                   the whole suite, with coverage
#   make test ARGS=tests/web    a part of it, without the coverage floor
#   make test-lowest            with the lowest versions that pyproject.toml allows
#   make lint                   everything that reads the code without running it
#   make messages               collects the texts that people read, and compiles their translations
#   make bench                  the package beside a bare minimum; docs/performance.md has more
#   make mutate                 which changes of the rules no test would notice
#   make audit                  known vulnerabilities in what is installed
#   make upgrade-test           the last tagged version and this one at once, on one storage
#   make docs                   the documentation's site, in build/docs
#   make dist                   the sdist and the wheel, in dist/, checked
#   make smoke                  that wheel, alone in a clean environment
#   make clean                  away with all of it

PYTHON ?= python3
ARGS ?=

VENV := .venv
LOWEST := $(VENV)/lowest
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -qq

# pyright is a Python wheel around the real thing; it need not ask whether there is a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := test
.DELETE_ON_ERROR:
.PHONY: run test test-lowest lint docs messages bench mutate audit upgrade-test dist smoke clean

run: $(VENV)/.run
	@$(PY) example_app.py

# The whole suite is shared out by files, as many share a server or a browser.
SHARED := -n auto --maxprocesses 4 --dist loadfile

test: $(VENV)/.test $(VENV)/.docs
	$(PY) -m pytest --cov --cov-report=term-missing:skip-covered \
	    $(if $(ARGS),--cov-fail-under=0 $(ARGS),$(SHARED))

# These folders run the same code through more storages, processes and browsers: once is enough.
test-lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/python -m pytest --ignore=tests/security --ignore=tests/servers \
	    --ignore=tests/browser --ignore=tests/openapi/test_schemathesis.py $(or $(ARGS),$(SHARED))

# --verifytypes heeds neither --pythonpath nor the import hook of an editable install: it asks the
# first python on the PATH. B105 to B107, B311, B608 and B704 are
# ruff's S105 to S107, S311, S608 and S704: one place to say why a line is no password, or no injection.
lint: $(VENV)/.run $(VENV)/.lint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" PYTHONPATH=. \
	    pyright --verifytypes flask_otp_auth --ignoreexternal
	$(PY) -m bandit --quiet --recursive --skip B105,B106,B107,B311,B608,B704 flask_otp_auth
	$(VENV)/bin/zizmor --offline --quiet .github

# Each new or changed text is then an empty one in the .po files: fill it in, and run this again.
# The .mo files are committed, as a wheel and a fresh clone need them without a step between.
TEXTS := flask_otp_auth/translations
BABEL := $(VENV)/bin/pybabel --quiet
messages: $(VENV)/.test
	$(BABEL) extract --mapping-file pyproject.toml --output-file $(TEXTS)/otp_auth.pot \
	    --add-location file --sort-by-file --width 100 --project flask-otp-auth --version 1 \
	    --msgid-bugs-address= --header-comment '# All texts of flask-otp-auth that people read.' \
	    flask_otp_auth
	$(BABEL) update --domain otp_auth --input-file $(TEXTS)/otp_auth.pot --output-dir $(TEXTS) \
	    --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 100
	$(BABEL) compile --domain otp_auth --directory $(TEXTS)

# A warning is an error, and so is a link, a name or an anchor that leads nowhere. No network.
docs: $(VENV)/.docs
	$(PY) -m sphinx -E -W --keep-going -n -q -d build/doctrees docs build/docs

bench: $(VENV)/.test
	$(PY) -m benchmarks.run $(ARGS)

# Not part of what runs for each change: all of it takes a day; CONTRIBUTING.md says how to try a
# part. ARGS picks mutants. The results stay in mutants/ until make clean. The first pattern is that
# of every function and of no mutant: with it mutmut checks first that it can run each test by its
# name, as a test that it can't run would count as a kill.
mutate: $(VENV)/.test $(VENV)/.mutate
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" mutmut run --max-children 2 '*[!0-9]' \
	    $(or $(ARGS),'flask_otp_auth.*')
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" mutmut results

# Not part of lint: its answer depends on the day and on a vulnerability service that a closed
# network may not reach. --strict makes "could not look it up" a failure, not a clean bill.
audit: $(VENV)/.run $(VENV)/.audit
	$(PY) -m pip freeze --exclude-editable | $(PY) -m pip_audit --strict --disable-pip --no-deps \
	    --progress-spinner off --requirement /dev/stdin

# FROM is any commit whose storage this version is to go on with.
FROM = $(shell git describe --tags --abbrev=0 --match 'v*' HEAD^ 2>/dev/null)
upgrade-test: $(VENV)/.test
	@if [ -z "$(FROM)" ]; then \
	    echo "No version was tagged before this one: nothing to upgrade from. FROM=<commit>?"; \
	else \
	    FROM="$(FROM)" $(PY) -m pytest upgrade $(ARGS); \
	fi

# A build/ left by an older build would put deleted modules into the wheel. With the commit's date
# in place of today's, who builds the same commit gets the same wheel.
dist: $(VENV)/.release
	rm -rf build dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct || date +%s) $(PY) -m build --outdir dist . >/dev/null
	$(PY) .ci/contents.py dist
	$(VENV)/bin/check-wheel-contents dist/*.whl
	$(PY) -m twine check --strict dist/*

# -I: the source tree is not on the path.
smoke:
	rm -rf $(VENV)/smoke
	$(PYTHON) -m venv $(VENV)/smoke
	$(VENV)/smoke/bin/python -m pip --disable-pip-version-check install -qq dist/*.whl
	$(VENV)/smoke/bin/python -I -W error .ci/smoke.py

clean:
	rm -rf $(VENV) build dist mutants *.egg-info .coverage .coverage.* .mypy_cache .pytest_cache \
	    .ruff_cache .import_linter_cache .hypothesis

# Stamps, each made when its step has succeeded. pip knows --group since 25.1, and a new venv
# holds whatever pip its Python shipped with.
$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or newer is needed: make PYTHON=python3.12, say")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.run: $(VENV)/.pip pyproject.toml
	$(PIP) --editable '.[all]'
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) --group test
	touch $@

# Only what the package itself depends on is at its lowest: the tools of the tests are not. uv knows
# only the authorities that it brings along; the system may know more. (Its older name comes second.)
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true
$(LOWEST)/.ready: $(VENV)/.pip pyproject.toml
	$(PIP) --group lowest
	$(PY) -m uv venv --quiet --clear --python $(PY) $(LOWEST)
	$(PY) -m uv pip compile --quiet --python $(PY) --resolution lowest-direct --extra all \
	    --output-file $(LOWEST)/constraints.txt pyproject.toml
	$(PY) -m uv pip install --quiet --python $(LOWEST) --constraints $(LOWEST)/constraints.txt \
	    --editable '.[all]' --group test
	touch $@

$(VENV)/.lint: $(VENV)/.pip pyproject.toml
	$(PIP) --group lint
	touch $@

$(VENV)/.release: $(VENV)/.pip pyproject.toml
	$(PIP) --group release
	touch $@

$(VENV)/.docs: $(VENV)/.run
	$(PIP) --group docs
	touch $@

$(VENV)/.mutate: $(VENV)/.pip pyproject.toml
	$(PIP) --group mutate
	touch $@

$(VENV)/.audit: $(VENV)/.pip pyproject.toml
	$(PIP) --group audit
	touch $@
