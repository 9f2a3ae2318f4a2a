# vmbal: `make` compiles the three names of one program.  `make help` lists the rest.
VERSION   = 0.1.0
PREFIX   ?= /usr/local
SBINDIR   = $(PREFIX)/sbin
MANDIR    = $(PREFIX)/share/man
UNITDIR   = $(PREFIX)/lib/systemd/system
SYSUSERS  = $(PREFIX)/lib/sysusers.d
BASHDIR   = $(PREFIX)/share/bash-completion/completions
ZSHDIR    = $(PREFIX)/share/zsh/site-functions
CFLAGS   ?= -O2 -g
NAMES     = vcpu_scheduler memory_coordinator

STD       ?= gnu11
WARN      = -std=$(STD) -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	    -Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2
DEFINES   = -I. -D_GNU_SOURCE -DVMBAL_VERSION='"$(VERSION)"'

# libvirt is needed; libxml2 is used where its headers are found (XML=no: as if they were not).
# Without pkg-config both are looked for where compilers look.
XML        ?= yes
PKG_CONFIG ?= pkg-config
HAVE_PKG   := $(shell command -v $(PKG_CONFIG) 2>/dev/null)
# Their headers are the system's, wherever they are: warnings are for ours.
headers     = $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null || echo $(2)))
XML_CFLAGS := $(if $(filter no,$(XML)),-DWITH_XML=0,$(call headers,libxml-2.0,-I/usr/include/libxml2))
WITH_XML   := $(shell $(CC) $(CPPFLAGS) $(XML_CFLAGS) -E -dM lib/xml.h 2>/dev/null | \
	grep -q 'WITH_XML 1$$' && echo yes)
XML_LIBS   := $(if $(WITH_XML),$(shell $(PKG_CONFIG) --libs libxml-2.0 2>/dev/null || echo -lxml2))
LIB_CFLAGS := $(call headers,libvirt) $(XML_CFLAGS)
LIBS       := $(shell $(PKG_CONFIG) --libs libvirt 2>/dev/null || echo -lvirt) $(XML_LIBS)

# B is where a build goes; SAN names its sanitizers.
B        ?= build
SAN      ?=
SANFLAGS  = $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
COMPILE   = $(CC) $(DEFINES) $(CPPFLAGS) $(LIB_CFLAGS) $(WARN) $(CFLAGS) $(SANFLAGS) -pthread
LINK      = $(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -pthread

LIB       = $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
POLICY    = $(patsubst %.c,$(B)/%.o,$(wildcard policy/*.c))
HOST      = $(patsubst %.c,$(B)/%.o,$(wildcard host/*.c))
REPORT    = $(patsubst %.c,$(B)/%.o,$(wildcard report/*.c))
LOOP      = $(patsubst %.c,$(B)/%.o,$(wildcard loop/*.c))
ROOMS     = $(LOOP) $(REPORT) $(HOST) $(POLICY) $(LIB)
PLANT     = $(patsubst %.c,$(B)/%.o,$(wildcard tests/fake/plant_*.c))
# About XML, or on simulated hosts that are described by it.
XML_ONLY  = %/fuzz_metadata.c %/fuzz_topology.c %/test_starved.c %/test_host.c %/test_pcpu.c
NOT_HERE  = $(if $(WITH_XML),%/test_noxml.c,$(XML_ONLY))
FUZZERS   = $(patsubst %.c,$(B)/%,$(filter-out $(NOT_HERE),$(wildcard tests/fuzz/fuzz_*.c)))
UNITS     = $(patsubst %.c,$(B)/%,$(filter-out $(NOT_HERE),$(wildcard tests/unit/test_*.c tests/fault/test_*.c)))
SIM_MAINS := $(shell grep -lE '^int main' tests/sim/*.c 2>/dev/null)
SIMS      = $(patsubst %.c,$(B)/%,$(SIM_MAINS))
SIMLIB    = $(patsubst %.c,$(B)/%.o,$(filter-out $(SIM_MAINS),$(wildcard tests/sim/*.c))) \
	    $(patsubst %,$(B)/lib/%.o,array cpuset number tunable)

all: vmbal $(NAMES)
	@echo "vmbal $(VERSION), $(if $(WITH_XML),with libxml2,$(WITHOUT_XML))$(if $(HAVE_PKG),,$(WITHOUT_PKG))"

WITHOUT_XML = without libxml2$(if $(filter no,$(XML)),$(comma) as XML=no says,: libxml2-dev (Debian, Ubuntu) or libxml2-devel (Fedora) would add guests' own \
policy, kinds of memory from their definitions, NUMA cells and the shape of remote hosts)
comma = ,
WITHOUT_PKG = ; without pkg-config (Debian, Ubuntu: pkg-config; Fedora: pkgconf-pkg-config) libraries were \
looked for where $(firstword $(CC)) looks

# What a compilation cannot do without, and what to install; nothing else is said then.
missing = $(shell finds() { $(CC) $(CPPFLAGS) $(LIB_CFLAGS) -E -include $$1 -x c /dev/null >/dev/null 2>&1; }; \
	if ! command -v $(firstword $(CC)) >/dev/null; then \
		echo "no C compiler $(firstword $(CC)): apt install gcc (Debian, Ubuntu), dnf install gcc (Fedora)"; \
	elif ! finds stdio.h; then \
		echo "no headers of the C library: apt install libc6-dev (Debian, Ubuntu), dnf install glibc-devel (Fedora)"; \
	elif ! finds libvirt/libvirt.h; then \
		echo "no headers of libvirt: apt install libvirt-dev (Debian, Ubuntu), dnf install libvirt-devel (Fedora)"; \
	fi)
needs:
	$(eval MISSING := $(missing))$(if $(MISSING),$(error $(MISSING)$(if $(HAVE_PKG),,$(WITHOUT_PKG))))

help:
	@echo "make            compile vmbal, vcpu_scheduler, memory_coordinator"
	@echo "make install    to \$$(DESTDIR)\$$(PREFIX), /usr/local by default"
	@echo "make demo       real guests, before and after (installs what is missing; root)"
	@echo "make cases      what a monitor shows of the course's cases, to docs/cases, on real guests (root)"
	@echo "make check      the tests, in about 20 minutes (installs what is missing; root)"
	@echo "make check-all  what takes longer: mutations, sanitizers, rarer events of real guests"
	@echo "make bench      figures of the policies on random simulated hosts"
	@echo "make bench-traces TRACES=DIR: memory that hosts of recorded machines need, by rule"
	@echo "make ablation   the same for the CPU policy, without one of its rules at a time"
	@echo "make bench-cost what vmbal itself takes of a host: CPU, memory, calls (root)"
	@echo "make coverage   branch coverage of each room"
	@echo "make portable   other compilers, dialects, word sizes, C libraries (installs them; root)"
	@echo "make fuzz       FUZZ_SECONDS=3600 of fuzzing for all targets together (clang)"
	@echo "make soak       SOAK_INTERVALS=1000000 simulated, then SOAK_SECONDS=7200 of real guests"
	@echo "make lint       cppcheck, clang-tidy, mandoc, shellcheck"
	@echo "make format     clang-format over the tree"
	@echo "make dist       vmbal-$(VERSION).tar.gz of what is committed"

# Three names of one file, or copies where the file system has no links.
vmbal: $(B)/vmbal
	@ln -f $< $@ 2>/dev/null || cp -f $< $@

$(NAMES): vmbal
	@ln -f $< $@ 2>/dev/null || cp -f $< $@

objects: $(B)/vmbal.o $(ROOMS)

$(B)/vmbal: $(B)/vmbal.o $(ROOMS)
	$(LINK) -o $@ $^ $(LIBS) -lm

# Libxml2 may come and go between two builds.
$(B)/xml: FORCE | needs
	@mkdir -p $(@D)
	@echo '$(XML_CFLAGS) $(WITH_XML)' | cmp -s - $@ || echo '$(XML_CFLAGS) $(WITH_XML)' >$@

$(B)/%.o: %.c vmbal.h $(wildcard */*.h tests/*/*.h) Makefile $(B)/xml | needs
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8
	install -m 755 vmbal $(DESTDIR)$(SBINDIR)/vmbal
	install -m 644 man/vmbal.8 $(DESTDIR)$(MANDIR)/man8/vmbal.8
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERS) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR)
	sed 's,/usr/local/sbin,$(SBINDIR),' contrib/vmbal.service >$(DESTDIR)$(UNITDIR)/vmbal.service
	chmod 644 $(DESTDIR)$(UNITDIR)/vmbal.service
	install -m 644 contrib/vmbal.sysusers $(DESTDIR)$(SYSUSERS)/vmbal.conf
	install -m 644 contrib/vmbal.bash $(DESTDIR)$(BASHDIR)/vmbal
	install -m 644 contrib/vmbal.zsh $(DESTDIR)$(ZSHDIR)/_vmbal
	for name in $(NAMES); do \
		(cd $(DESTDIR)$(SBINDIR) && { ln -f vmbal $$name 2>/dev/null || install -m 755 vmbal $$name; }) && \
		(cd $(DESTDIR)$(MANDIR)/man8 && { ln -sf vmbal.8 $$name.8 2>/dev/null || install -m 644 vmbal.8 $$name.8; }) && \
		(cd $(DESTDIR)$(BASHDIR) && { ln -sf vmbal $$name 2>/dev/null || install -m 644 vmbal $$name; }) || exit 1; \
	done

uninstall:
	cd $(DESTDIR)$(SBINDIR) && rm -f vmbal $(NAMES)
	cd $(DESTDIR)$(MANDIR)/man8 && rm -f vmbal.8 $(NAMES:=.8)
	rm -f $(DESTDIR)$(UNITDIR)/vmbal.service $(DESTDIR)$(SYSUSERS)/vmbal.conf
	rm -f $(patsubst %,$(DESTDIR)$(BASHDIR)/%,vmbal $(NAMES)) $(DESTDIR)$(ZSHDIR)/_vmbal

# What is missing is installed first, then make starts anew and finds it.
deps:
	lab/lab deps

demo: deps
	$(MAKE) all
	lab/demo

cases: deps
	$(MAKE) all
	lab/case cpu
	lab/case mem

check: deps
	$(MAKE) -j$$(nproc) all tests
	tests/run

PORTABLE  = clang gcc-multilib musl-tools debhelper lintian zsh
check-all: deps
	lab/lab deps $(PORTABLE)
	$(MAKE) -j$$(nproc) all tests unit-binaries sanitized noxml
	failed=0; PROGRAM=build/asan/vmbal tests/run --rest || failed=1; \
	$(MAKE) fuzz FUZZ_SECONDS=150 || failed=1; \
	PROGRAM=build/tsan/vmbal tests/run tests/e2e/both.t || failed=1; exit $$failed

# Figures: the policies on random simulated hosts, and beside the rules of other programs.
bench: sims
	$(B)/tests/sim/t_cpu_random
	$(B)/tests/sim/t_cpu_random -b
	$(B)/tests/sim/t_cpu_random -o
	$(B)/tests/sim/t_cpu_random -p 0
	$(B)/tests/sim/t_cpu_scale
	$(B)/tests/sim/t_mem_random
	$(B)/tests/sim/t_mem_random 50001 55000
	$(B)/tests/sim/mem_score
	$(B)/tests/sim/grain

# The memory policy on recorded machines: TRACES is a folder of the GWA-T-12 "rnd" format.
bench-traces: sims
	$(B)/tests/sim/traces $(TRACES)

ablation:
	tests/sim/ablation

# What it costs a host itself.
bench-cost: deps
	$(MAKE) all $(B)/tests/fault/cost
	tests/cost

# The same without libxml2: the program, and its tests.
noxml:
	$(MAKE) XML=no B=build/noxml build/noxml/vmbal unit-binaries

tests: units sims calls purity arrows $(B)/tests/cli/listen $(B)/tests/cli/tunables $(if $(WITH_XML),$(B)/tests/make/kinds)

units:
	$(MAKE) B=build/asan SAN=address,undefined unit-binaries

unit-binaries: $(UNITS) $(FUZZERS)

sims: $(SIMS)

# What unit, fault, fuzz and simulated tests reach of the sources.
coverage: deps
	rm -rf build/cov
	$(MAKE) B=build/cov CFLAGS="-O0 -g --coverage" unit-binaries sims
	tests/coverage build/cov

# Other compilers, dialects, word sizes and C libraries.
portable: deps
	lab/lab deps $(PORTABLE)
	tests/run tests/make/portable.t

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
# After units, which is made in the same folder.
sanitized: units
	$(MAKE) B=build/asan SAN=address,undefined build/asan/vmbal sims
	$(MAKE) B=build/tsan SAN=thread build/tsan/vmbal

$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(SIMLIB) $(POLICY) $(PLANT)
	$(LINK) -o $@ $^ -lcmocka -lm

# The chain: host/ unchanged, over a simulated libvirt and a simulated /proc.  Only its calls of
# the allocator are renamed, so that they can fail where the simulation's do not.
FAKE      = $(patsubst %.c,$(B)/%.o,$(wildcard tests/fake/*.c))
$(B)/tests/fake/host.o: $(filter-out %/proc.o,$(LOOP) $(REPORT) $(HOST) $(LIB))
	@mkdir -p $(@D)
	$(LD) -r -o $@.o $^
	objcopy $(foreach f,malloc calloc realloc strdup,--redefine-sym $f=fake_$f) $@.o $@

$(B)/tests/fault/cost: $(B)/tests/fault/cost.o $(FAKE) $(B)/tests/fake/host.o $(POLICY)
	$(LINK) -o $@ $^ $(XML_LIBS) -lm

$(B)/tests/fault/test_%: $(B)/tests/fault/test_%.o $(FAKE) $(B)/tests/fake/host.o $(POLICY)
	$(LINK) -o $@ $^ -lcmocka $(XML_LIBS) -lm

# Files of host/ that read this machine itself, where the test is its /proc.
LOGS      = $(patsubst %.c,%,$(wildcard host/log*.c))
MACHINE   = $(patsubst %,$(B)/%.o,lib/cpuset $(LOGS) host/limits host/notify lib/number host/proc host/runtime host/shape \
	    tests/fake/stderr)
$(B)/tests/fault/test_machine: $(B)/tests/fault/test_machine.o $(MACHINE)
	$(LINK) -Wl,--wrap=fopen -o $@ $^ -lcmocka

$(B)/tests/fault/test_shape: $(B)/tests/fault/test_shape.o $(patsubst %,$(B)/%.o,host/limits host/shape lib/cpuset lib/number)
	$(LINK) -o $@ $^ -lcmocka -lm

$(B)/tests/cli/tunables: $(B)/tests/cli/tunables.o $(patsubst %,$(B)/%.o,lib/tunable lib/number host/limits policy/cpu_tunables policy/mem_tunables)
	$(LINK) -o $@ $^ -lm

$(B)/tests/make/kinds: $(B)/tests/make/kinds.o $(B)/host/metadata.o $(LIB)
	$(LINK) -o $@ $^ $(XML_LIBS) -lm

$(B)/tests/cli/listen: $(B)/tests/cli/listen.o
	$(LINK) -o $@ $^

# A fuzz target and what it needs neither libvirt nor /proc for; the main is replay.c's, or
# libFuzzer's own.
REPLAY    = $(B)/tests/fuzz/replay.o
PARSERS   = $(patsubst %,$(B)/%.o,$(LOGS) host/limits host/metadata host/proc host/runtime host/shape host/topology loop/state) \
	    $(LIB) $(B)/tests/sim/scenario.o
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(REPLAY) $(PARSERS) $(POLICY)
	$(LINK) -o $@ $^ $(XML_LIBS) -lm

# The same calls of the daemon and of the simulation: see tests/e2e/fake.t.
calls: $(B)/tests/e2e/calls $(B)/tests/e2e/calls_fake

$(B)/tests/e2e/calls: $(B)/tests/e2e/calls.o
	$(LINK) -o $@ $^ $(LIBS)

$(B)/tests/e2e/calls_fake.o: tests/e2e/calls.c $(wildcard */*.h tests/*/*.h) | needs
	@mkdir -p $(@D)
	$(COMPILE) -DFAKE -c -o $@ $<

$(B)/tests/e2e/calls_fake: $(B)/tests/e2e/calls_fake.o $(FAKE) $(B)/tests/fake/host.o $(POLICY)
	$(LINK) -o $@ $^ $(XML_LIBS) -lm

$(B)/tests/sim/%: $(B)/tests/sim/%.o $(SIMLIB) $(POLICY) $(PLANT)
	$(LINK) -o $@ $^ -lm

# policy/ may call these few functions of libc, lib/ those that touch nothing either; neither has
# writable data that threads would share.
purity: SHELL = bash
PURE = mem(cpy|cmp|set|move)|str(len|cmp|ncmp|chr)|qsort|__assert_fail|__stack_chk_fail
PURE_MATH = f(min|max|abs|mod)|exp2?|sqrt|pow|log2?|ceil|floor|l?l?round
PURE_TEXT = __ctype_b_loc|strto(d|ul|ull)|s(n|v|vn)?printf|f(put[cs]|printf)|str(c?spn|rchr)|(c|m|re)alloc|free|xml[A-Z].*
purity: $(POLICY) $(LIB)
	@calls() { nm -u $$1 | awk '$$1 == "U" {print $$2}' | sort -u | \
		grep -vxFf <(nm -g --defined-only $(POLICY) $(LIB) | awk 'NF == 3 {print $$3}') | \
		grep -vxE "$$2|_GLOBAL_OFFSET_TABLE_|__tls_get_addr|__popcountdi2" | sed "s/^/$$3 calls /"; }; \
	{ calls '$(POLICY)' '$(PURE)|$(PURE_MATH)' policy; \
	  calls '$(LIB)' '$(PURE)|$(PURE_MATH)|$(PURE_TEXT)' lib; } | (! grep .)
	@size -A $(POLICY) $(filter-out %/xml.o,$(LIB)) | awk '$$1 ~ /^\.(data|bss|tdata|tbss)/ && $$1 !~ /^\.data\.rel\.ro/ && $$2 > 0 {print "writable data"}' | \
	(! grep .)

# Between the rooms every arrow goes down.
arrows: $(ROOMS)
	@tests/rooms $(B)

lint:
	lab/lab deps cppcheck clang-tidy clang-format shellcheck
	cppcheck -q --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
		--inline-suppr --suppress=missingIncludeSystem $(DEFINES) vmbal.c lib policy host report loop
	clang-tidy --quiet --warnings-as-errors='*' vmbal.c lib/*.c policy/*.c host/*.c report/*.c loop/*.c -- $(DEFINES) $(LIB_CFLAGS) -std=gnu11
	mandoc -Tlint -W warning man/vmbal.8
	shellcheck -x -e SC2001 lab/lab lab/demo lab/case lab/plot lab/guest.sh lab/stat.sh lab/judge.sh lab/cases.sh tests/run tests/rooms tests/coverage tests/cost \
		tests/fuzz/run tests/sim/ablation tests/soak/guests $(wildcard tests/*/*.t tests/*/*.sh tests/*.sh debian/tests/installed) \
		contrib/vmbal.bash .ci/run
	clang-format --dry-run -Werror vmbal.[ch] lib/*.[ch] policy/*.[ch] host/*.[ch] report/*.[ch] loop/*.[ch]

format:
	clang-format -i vmbal.[ch] lib/*.[ch] policy/*.[ch] host/*.[ch] report/*.[ch] loop/*.[ch] tests/*/*.[ch] lab/*.[ch]

# What a release is: the tree as committed.
dist:
	git archive --prefix=vmbal-$(VERSION)/ -o vmbal-$(VERSION).tar.gz HEAD

clean:
	rm -rf build vmbal $(NAMES)

.PHONY: FORCE all needs objects portable noxml help install uninstall deps demo cases check check-all bench bench-cost bench-traces ablation tests units unit-binaries sims \
	sanitized calls coverage fuzz fuzzers soak purity arrows lint format dist clean
