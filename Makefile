# vmbal: `make` compiles the three names of one program.  `make help` lists the rest.
VERSION   = 0.1.0
PREFIX   ?= /usr/local
SBINDIR   = $(PREFIX)/sbin
MANDIR    = $(PREFIX)/share/man
UNITDIR   = $(PREFIX)/lib/systemd/system
SYSUSERS  = $(PREFIX)/lib/sysusers.d
BASHDIR   = $(PREFIX)/share/bash-completion/completions
CFLAGS   ?= -O2 -g
NAMES     = vcpu_scheduler memory_coordinator

WARN      = -std=gnu11 -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	    -Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2
DEFINES   = -I. -D_GNU_SOURCE -DVMBAL_VERSION='"$(VERSION)"'
LIB_CFLAGS := $(shell pkg-config --cflags libvirt libxml-2.0 2>/dev/null || echo -I/usr/include/libxml2)
LIBS       := $(shell pkg-config --libs libvirt libxml-2.0 2>/dev/null || echo -lvirt -lxml2)

# B is where a build goes; SAN names its sanitizers.
B        ?= build
SAN      ?=
SANFLAGS  = $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
COMPILE   = $(CC) $(DEFINES) $(CPPFLAGS) $(LIB_CFLAGS) $(WARN) $(CFLAGS) $(SANFLAGS) -pthread
LINK      = $(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -pthread

POLICY    = $(patsubst %.c,$(B)/%.o,$(wildcard policy/*.c))
HOST      = $(patsubst %.c,$(B)/%.o,$(wildcard host/*.c))
PLANT     = $(patsubst %.c,$(B)/%.o,$(wildcard tests/fake/plant_*.c))
FUZZERS   = $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
UNITS     = $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c tests/fault/test_*.c))
SIM_MAINS := $(shell grep -lE '^int main' tests/sim/*.c 2>/dev/null)
SIMS      = $(patsubst %.c,$(B)/%,$(SIM_MAINS))
SIMLIB    = $(patsubst %.c,$(B)/%.o,$(filter-out $(SIM_MAINS),$(wildcard tests/sim/*.c))) \
	    $(B)/host/cpuset.o $(B)/host/number.o

all: vmbal $(NAMES)

help:
	@echo "make            compile vmbal, vcpu_scheduler, memory_coordinator"
	@echo "make install    to \$$(DESTDIR)\$$(PREFIX), /usr/local by default"
	@echo "make demo       real guests, before and after (installs what is missing; root)"
	@echo "make check      the tests, in a quarter of an hour (installs what is missing; root)"
	@echo "make check-all  what takes longer: mutations, sanitizers, rarer events of real guests"
	@echo "make bench      figures of the policies on random simulated hosts"
	@echo "make ablation   the same for the CPU policy, without one of its rules at a time"
	@echo "make coverage   branch coverage of policy/ and host/"
	@echo "make fuzz       FUZZ_SECONDS=3600 of fuzzing for all targets together (clang)"
	@echo "make soak       SOAK_INTERVALS=1000000 simulated, then SOAK_SECONDS=7200 of real guests"
	@echo "make lint       cppcheck, clang-tidy, mandoc, shellcheck"
	@echo "make format     clang-format over the tree"

vmbal: $(B)/vmbal
	ln -f $< $@

$(NAMES): vmbal
	ln -f $< $@

$(B)/vmbal: $(B)/vmbal.o $(HOST) $(POLICY)
	$(LINK) -o $@ $^ $(LIBS) -lm

$(B)/%.o: %.c vmbal.h $(wildcard host/*.h tests/*/*.h) Makefile
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8
	install -m 755 vmbal $(DESTDIR)$(SBINDIR)/vmbal
	install -m 644 man/vmbal.8 $(DESTDIR)$(MANDIR)/man8/vmbal.8
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERS) $(DESTDIR)$(BASHDIR)
	sed 's,/usr/local/sbin,$(SBINDIR),' contrib/vmbal.service >$(DESTDIR)$(UNITDIR)/vmbal.service
	chmod 644 $(DESTDIR)$(UNITDIR)/vmbal.service
	install -m 644 contrib/vmbal.sysusers $(DESTDIR)$(SYSUSERS)/vmbal.conf
	install -m 644 contrib/vmbal.bash $(DESTDIR)$(BASHDIR)/vmbal
	for name in $(NAMES); do \
		ln -f $(DESTDIR)$(SBINDIR)/vmbal $(DESTDIR)$(SBINDIR)/$$name && \
		ln -sf vmbal.8 $(DESTDIR)$(MANDIR)/man8/$$name.8 && \
		ln -sf vmbal $(DESTDIR)$(BASHDIR)/$$name || exit 1; \
	done

uninstall:
	cd $(DESTDIR)$(SBINDIR) && rm -f vmbal $(NAMES)
	cd $(DESTDIR)$(MANDIR)/man8 && rm -f vmbal.8 $(NAMES:=.8)
	rm -f $(DESTDIR)$(UNITDIR)/vmbal.service $(DESTDIR)$(SYSUSERS)/vmbal.conf
	rm -f $(patsubst %,$(DESTDIR)$(BASHDIR)/%,vmbal $(NAMES))

# What is missing is installed first, then make starts anew and finds it.
deps:
	lab/lab deps

demo: deps
	$(MAKE) all
	lab/demo

check: deps
	$(MAKE) -j$$(nproc) all tests
	tests/run

check-all: deps
	$(MAKE) -j$$(nproc) all tests unit-binaries sanitized
	failed=0; PROGRAM=build/asan/vmbal tests/run --rest || failed=1; \
	$(MAKE) fuzz FUZZ_SECONDS=420 || failed=1; \
	PROGRAM=build/tsan/vmbal tests/run tests/e2e/both.t || failed=1; exit $$failed

# Figures: the policies on random simulated hosts, and beside the rules of other programs.
bench: sims
	$(B)/tests/sim/t_cpu_random
	$(B)/tests/sim/t_cpu_random -o
	$(B)/tests/sim/t_cpu_random -p 0
	$(B)/tests/sim/t_cpu_scale
	$(B)/tests/sim/t_mem_random
	$(B)/tests/sim/t_mem_random 50001 55000
	$(B)/tests/sim/mem_score
	$(B)/tests/sim/grain

ablation:
	tests/sim/ablation

tests: units sims calls purity $(B)/tests/cli/listen

units:
	$(MAKE) B=build/asan SAN=address,undefined unit-binaries

unit-binaries: $(UNITS) $(FUZZERS)

sims: $(SIMS)

# What unit, fault, fuzz and simulated tests reach of the sources.
coverage: deps
	rm -rf build/cov
	$(MAKE) B=build/cov CFLAGS="-O0 -g --coverage" unit-binaries sims
	tests/coverage build/cov

# A crash goes to the corpus of its target, which `make check` replays.
FUZZ_SECONDS ?= 3600
fuzz:
	lab/lab deps clang libclang-rt-dev
	$(MAKE) B=build/fuzz CC=clang CFLAGS="-O1 -g" REPLAY= LDFLAGS=-fsanitize=fuzzer \
		SAN=fuzzer-no-link,address,undefined,float-cast-overflow fuzzers
	tests/fuzz/run build/fuzz/tests/fuzz $(FUZZ_SECONDS)

fuzzers: $(FUZZERS)

# Very long runs: nothing grows, nobody is harmed.
SOAK_INTERVALS ?= 1000000
SOAK_SECONDS   ?= 7200
soak: deps
	$(MAKE) all build/tests/fault/test_soak
	SOAK_INTERVALS=$(SOAK_INTERVALS) build/tests/fault/test_soak
	SOAK_SECONDS=$(SOAK_SECONDS) tests/run tests/soak/guests

# With sanitizers: the program, for the tests on real guests, and the simulations.
sanitized:
	$(MAKE) B=build/asan SAN=address,undefined build/asan/vmbal sims
	$(MAKE) B=build/tsan SAN=thread build/tsan/vmbal

$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(SIMLIB) $(POLICY) $(PLANT)
	$(LINK) -o $@ $^ -lcmocka -lm

# The chain: host/ unchanged, over a simulated libvirt and a simulated /proc.  Only its calls of
# the allocator are renamed, so that they can fail where the simulation's do not.
FAKE      = $(patsubst %.c,$(B)/%.o,$(wildcard tests/fake/*.c))
$(B)/tests/fake/host.o: $(filter-out %/proc.o,$(HOST))
	@mkdir -p $(@D)
	$(LD) -r -o $@.o $^
	objcopy $(foreach f,malloc calloc realloc strdup,--redefine-sym $f=fake_$f) $@.o $@

$(B)/tests/fault/test_%: $(B)/tests/fault/test_%.o $(FAKE) $(B)/tests/fake/host.o $(POLICY)
	$(LINK) -o $@ $^ -lcmocka -lxml2 -lm

# Files of host/ that read this machine itself, where the test is its /proc.
MACHINE   = $(patsubst %,$(B)/%.o,host/cpuset host/log host/notify host/proc host/runtime tests/fake/stderr)
$(B)/tests/fault/test_machine: $(B)/tests/fault/test_machine.o $(MACHINE)
	$(LINK) -Wl,--wrap=fopen -o $@ $^ -lcmocka

$(B)/tests/cli/listen: $(B)/tests/cli/listen.o
	$(LINK) -o $@ $^

# A fuzz target and what it needs neither libvirt nor /proc for; the main is replay.c's, or
# libFuzzer's own.
REPLAY    = $(B)/tests/fuzz/replay.o
PARSERS   = $(patsubst %,$(B)/host/%.o,array cpuset log metadata number proc runtime state topology xml) \
	    $(B)/tests/sim/scenario.o
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(REPLAY) $(PARSERS) $(POLICY)
	$(LINK) -o $@ $^ -lxml2 -lm

# The same calls of the daemon and of the simulation: see tests/e2e/fake.t.
calls: $(B)/tests/e2e/calls $(B)/tests/e2e/calls_fake

$(B)/tests/e2e/calls: $(B)/tests/e2e/calls.o
	$(LINK) -o $@ $^ $(LIBS)

$(B)/tests/e2e/calls_fake.o: tests/e2e/calls.c vmbal.h $(wildcard tests/fake/*.h)
	@mkdir -p $(@D)
	$(COMPILE) -DFAKE -c -o $@ $<

$(B)/tests/e2e/calls_fake: $(B)/tests/e2e/calls_fake.o $(FAKE)
	$(LINK) -o $@ $^ -lxml2 -lm

$(B)/tests/sim/%: $(B)/tests/sim/%.o $(SIMLIB) $(POLICY) $(PLANT)
	$(LINK) -o $@ $^ -lm

# policy/ may call these few functions of libc and has no writable data of its own.
PURE = mem(cpy|cmp|set|move)|str(len|cmp|ncmp|chr)|qsort|__assert_fail|__stack_chk_fail
PURE_MATH = f(min|max|abs|mod)|exp2?|sqrt|pow|log2?|ceil|floor|l?l?round
purity: $(POLICY)
	@nm -u $(POLICY) | awk '$$1 == "U" {print $$2}' | sort -u | \
	grep -vxFf <(nm -g --defined-only $(POLICY) | awk 'NF == 3 {print $$3}') | \
	grep -vxE '$(PURE)|$(PURE_MATH)|_GLOBAL_OFFSET_TABLE_' | sed 's/^/policy calls /' | (! grep .)
	@size -A $(POLICY) | awk '$$1 ~ /^\.(data|bss|tdata|tbss)/ && $$1 !~ /^\.data\.rel\.ro/ && $$2 > 0 {print "policy has writable data"}' | \
	(! grep .)

lint:
	lab/lab deps cppcheck clang-tidy clang-format shellcheck
	cppcheck -q --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
		--inline-suppr --suppress=missingIncludeSystem $(DEFINES) vmbal.c policy host
	clang-tidy --quiet --warnings-as-errors='*' vmbal.c policy/*.c host/*.c -- $(DEFINES) $(LIB_CFLAGS) -std=gnu11
	mandoc -Tlint -W warning man/vmbal.8
	shellcheck -x -e SC2001 lab/lab lab/demo lab/plot lab/judge.sh tests/run tests/coverage \
		tests/fuzz/run tests/sim/ablation tests/soak/guests $(wildcard tests/*/*.t tests/*/*.sh tests/*.sh) \
		contrib/vmbal.bash .ci/run
	clang-format --dry-run -Werror vmbal.c vmbal.h policy/*.c host/*.[ch]

format:
	clang-format -i vmbal.c vmbal.h policy/*.c host/*.[ch] tests/*/*.[ch] lab/*.c

clean:
	rm -rf build vmbal $(NAMES)

SHELL = bash
.PHONY: all help install uninstall deps demo check check-all bench ablation tests units unit-binaries sims \
	sanitized calls coverage fuzz fuzzers soak purity lint format clean
