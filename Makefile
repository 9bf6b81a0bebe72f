# One place for people and CI.  `make demo` and `make test` do all the set-up on a fresh Debian machine.
#
#   make demo       two network namespaces, a gateway, a client, traffic: see it work (needs root)
#   make test       every test, those against real peers and those under Wine included (needs root)
#   make test-windows   the Windows path alone: MinGW, Wine, CPython for Windows
#   make check      ruff, mypy --strict, the direction of imports
#   make fuzz       every decoder under libFuzzer, FUZZ_SECONDS each (default 60)
#   make bench      the client beside openconnect and a bare pump; every decoder and encoder by itself (needs root)
#   make engine     build the native engine again
#   make install    install for this user with pipx

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the build needs, and what demo and tests use as real peers.
BUILD_PACKAGES := gcc pkg-config libssl-dev zlib1g-dev liblz4-dev python3-venv
ifeq ($(shell uname -m),x86_64)
BUILD_PACKAGES += libipsec-mb-dev  # there is none for other machines
endif
FUZZ_PACKAGES := clang libclang-rt-14-dev
PEER_PACKAGES := ocserv openconnect vpnc-scripts gnutls-bin openssl iproute2 iputils-ping iperf3 nftables procps
WINDOWS_PACKAGES := wine wine64 mingw-w64 libz-mingw-w64-dev libssl-dev
# What Windows loads, checked as it sees it: a branch of another system is not looked at.
WINDOWS_MODULES := $(wildcard transports/w*.py vpnclient/*_windows.py vpnclient/host/*_windows.py) vpnclient/host/windows \
	transports/reader.py transports/sink.py vpnclient/assembly.py vpnclient/host/system.py vpnclient/permissions.py
ENGINE := transports/engine/libvpnengine.so
ENGINE_SOURCES := meson.build scripts/build_engine.py $(wildcard transports/engine/*.[ch] protocols/framing/*.[ch])

.PHONY: help demo test test-windows unit system check format fuzz bench engine install packages clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

packages:
	@sh scripts/packages.sh $(BUILD_PACKAGES) $(PEER_PACKAGES) $(FUZZ_PACKAGES)

$(VENV)/.ready: pyproject.toml hatch_build.py
	@sh scripts/packages.sh $(BUILD_PACKAGES)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "hatchling>=1.25" "meson>=1.3" "ninja>=1.11" "cffi>=1.16"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	$(BIN)/python -m compileall -q vpnclient protocols transports  # as an installer does: each start would, without
	@touch $@

$(ENGINE): $(VENV)/.ready $(ENGINE_SOURCES)
	$(BIN)/python scripts/build_engine.py
	@touch $@

engine: $(ENGINE)

demo: packages $(ENGINE)
	$(BIN)/vpnclient lab demo

test: packages $(ENGINE) test-windows
	$(BIN)/python -m pytest

test-windows: $(VENV)/.ready $(ENGINE)
	@sh scripts/packages.sh $(WINDOWS_PACKAGES)
	$(BIN)/python scripts/test_windows.py

unit: $(ENGINE)
	$(BIN)/python -m pytest -m "not system"

system: packages $(ENGINE)
	$(BIN)/python -m pytest -m system

check: $(ENGINE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --follow-imports silent --cache-dir .mypy_cache/windows $(WINDOWS_MODULES)
	$(BIN)/python -m pytest --quiet tests/test_imports.py

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

FUZZ_SECONDS ?= 60
fuzz: packages $(ENGINE)
	$(BIN)/python scripts/fuzz.py --seconds $(FUZZ_SECONDS)

bench: packages $(ENGINE)
	$(BIN)/python -m benchmarks.tunnel --json build/performance.json --svg build/performance.svg
	$(BIN)/python -m benchmarks.decoders
	$(BIN)/python -m benchmarks.records
	$(BIN)/python -m benchmarks.tls_records

install:
	pipx install .

clean:
	rm -rf build dist $(VENV) $(ENGINE) transports/engine/_cffi.py
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
