# vmbal: `make` compiles the three names of one program; `make help` lists the rest.
VERSION  = 0.1.0
PREFIX  ?= /usr/local
SBINDIR  = $(PREFIX)/sbin
MANDIR   = $(PREFIX)/share/man
CC      ?= cc
CFLAGS  ?= -O2 -g
WARN     = -std=gnu11 -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	   -Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2
CPPFLAGS_ALL = -I. -D_GNU_SOURCE -DVMBAL_VERSION='"$(VERSION)"' $(CPPFLAGS)
LIBVIRT_CFLAGS := $(shell pkg-config --cflags libvirt 2>/dev/null)
LIBVIRT_LIBS   := $(shell pkg-config --libs libvirt 2>/dev/null || echo -lvirt)

B       ?= build
POLICY   = $(patsubst %.c,$(B)/%.o,$(wildcard policy/*.c))
HOST     = $(patsubst %.c,$(B)/%.o,$(wildcard host/*.c))
NAMES    = vcpu_scheduler memory_coordinator

all: vmbal $(NAMES)

vmbal: $(B)/vmbal.o $(HOST) $(POLICY)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^ $(LIBVIRT_LIBS) -lm

$(NAMES): vmbal
	ln -f vmbal $@

$(B)/%.o: %.c vmbal.h Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(LIBVIRT_CFLAGS) $(WARN) $(CFLAGS) -pthread -c -o $@ $<

clean:
	rm -rf build vmbal $(NAMES)

.PHONY: all clean
